/* A network at work: images in, scores out, on its own threads and memory. */
#ifndef IQ_NN_FORWARD_H
#define IQ_NN_FORWARD_H

#include <imgq/env.h>

#include "base/pool.h"
#include "nn/net.h"
#include "nn/packs.h"

typedef struct iq_forward iq_forward;

typedef struct iq_forward_options {
    size_t height, width;    /* of the input */
    size_t max_images;       /* of one run; at least 1 */
    size_t threads;          /* at least 1 */
    const char *engine;      /* NULL: the best */
    const char *precision;   /* "highest" (NULL), "high", "medium" */
    const iq_bf16_set *bf16; /* tests: of high and medium, whatever the machine has; else NULL */
    const char *isa;         /* the most that the native engine may use, NULL: the machine's best */
    iq_packs *packs;         /* shared by all passes over the net, borrowed; NULL: the pass makes its own */
} iq_forward_options;

/** @param net borrowed while the pass lives @param out owned, iq_forward_destroy()
 *  @return IMGQ_OK; IMGQ_E_INVALID; IMGQ_E_UNSUPPORTED (engine); IMGQ_E_LIMIT; IMGQ_E_NOMEM; what the net's
 *          read_weights() fails with */
IMGQ_CHECKED imgq_status iq_forward_create(imgq_env *env, const iq_net *net, const iq_forward_options *options,
                                           iq_forward **out, imgq_error *err);
/** Floats that the last layer makes of one image. */
size_t iq_forward_answer_floats(const iq_forward *forward);
const char *iq_forward_engine(const iq_forward *forward); /* static */
/** The instruction set of its own kernels: "amx-bf16", "avx512-bf16", "avx512", "avx2", "plain"; "" of the scalar
 * engine, which has none. Static. */
const char *iq_forward_isa(const iq_forward *forward);
/** The one that it became, and if that is not the one that was wanted, why; both static, the latter else NULL. */
const char *iq_forward_precision(const iq_forward *forward, const char **why);
/** Layers, in the order in which they run. */
size_t iq_forward_layers(const iq_forward *forward);

/** One layer as it is computed at some batch. */
typedef struct iq_forward_layer {
    const iq_layer *layer; /* borrowed */
    size_t out_height, out_width;
    uint64_t macs;         /* multiplications with an addition that one image takes, computed directly */
    const char *algorithm; /* static */
} iq_forward_layer;

/** @param index 0..iq_forward_layers() - 1 @param images of the run, 1..max_images */
iq_forward_layer iq_forward_layer_at(const iq_forward *forward, size_t index, size_t images);
/** From now on each run adds what every layer took, in nanoseconds of the wall, to layer_ns[index]. A pass that
 * computes layers together counts their time for the first of them, and calls the others' algorithm "with NAME".
 *  @param layer_ns iq_forward_layers() of them, borrowed until the next call here; NULL: no more timing */
void iq_forward_profile(iq_forward *forward, uint64_t *layer_ns);
/** Bytes of activations and scratch, taken at creation. */
size_t iq_forward_arena_bytes(const iq_forward *forward);
/** Bytes of weights in an order of its kernels' own, beside the network's, shared with all passes over them; 0 if
 *  they read the network's own. */
size_t iq_forward_packed_bytes(const iq_forward *forward);
/** Allocates nothing, cannot fail. One call at a time. The same images give the same bits on any number of threads.
 *  @param nhwc    images x height x width x channels; borrowed
 *  @param images  1..max_images
 *  @param answer  out, images x iq_forward_answer_floats() */
void iq_forward_run(iq_forward *forward, const float *nhwc, size_t images, float *answer);
/** Images that meet in one layer at most: a longer run is one of such groups, after each other. */
size_t iq_forward_group(const iq_forward *forward);
/** Work of the caller's on the pass's threads, as iq_pool_run(). Not during a run. */
void iq_forward_spread(iq_forward *forward, size_t count, iq_pool_fn fn, void *user);
/** NULL is a no-op. */
void iq_forward_destroy(iq_forward *forward);

#endif
