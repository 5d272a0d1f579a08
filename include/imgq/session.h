/* One forward pass at a time over a shared model. */
#ifndef IMGQ_SESSION_H
#define IMGQ_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/model.h>
#include <imgq/prediction.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Activations and threads of one forward pass. One call at a time; several sessions run side by side. */
typedef struct imgq_session imgq_session;

typedef struct imgq_session_options {
    size_t size;
    size_t threads;        /* 0: what affinity and the cgroup's CPU quota grant; at most 128 */
    size_t max_batch;      /* images of one run; 0: 32; at most 4096 */
    const char *engine;    /* "auto" (NULL), "scalar", "openblas", "native" */
    const char *precision; /* "highest" (NULL), "high", "medium"; see imgq_session_precision() */
    const char *isa;       /* the most that "native" may use: "amx-bf16", "avx512-bf16", "avx512", "avx2", "scalar";
                            * NULL: all there is */
} imgq_session_options;

#ifdef __cplusplus
#define IMGQ_SESSION_OPTIONS_INIT \
    ([] { imgq_session_options o = imgq_session_options(); o.size = sizeof o; return o; }())
#else
#define IMGQ_SESSION_OPTIONS_INIT ((imgq_session_options){.size = sizeof(imgq_session_options)})
#endif

/**
 * All memory that a run needs is taken here. OpenBLAS's thread count is process-wide: creating a session sets it to 1.
 * Weights that no session of the model had in this order before are packed here, on the session's threads.
 * @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_INVALID (threads or max_batch); IMGQ_E_UNSUPPORTED (engine or precision: names
 *         the choices); IMGQ_E_CORRUPT (the model's file was written to after it was opened); IMGQ_E_IO; IMGQ_E_LIMIT
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_session_create(imgq_model *model,
                                                      const imgq_session_options *options,
                                                      imgq_session **out, imgq_error *err);
/**
 * @param nhwc         batch x height x width x 3 floats, normalised by the model's recipe; borrowed
 * @param batch        1..max_batch
 * @param probs        out, batch x class count
 * @param probs_count  floats at probs
 * @return IMGQ_OK; IMGQ_E_INVALID. Allocates nothing. The same image gives the same probabilities within 1e-5
 *         whatever its neighbours, the batch size and the thread count.
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_session_run(imgq_session *session, const float *nhwc,
                                                   size_t batch, float *probs, size_t probs_count,
                                                   imgq_error *err);
/** As imgq_session_run(), before the softmax. */
IMGQ_API IMGQ_CHECKED imgq_status imgq_session_logits(imgq_session *session, const float *nhwc,
                                                      size_t batch, float *logits,
                                                      size_t logits_count, imgq_error *err);
/** Decode, preprocess, run, top-k of one image file. @param top out, top_count of them */
IMGQ_API IMGQ_CHECKED imgq_status imgq_session_classify(imgq_session *session, const void *bytes,
                                                        size_t len, imgq_prediction *top,
                                                        size_t top_count, imgq_error *err);
/** The engine in use: "scalar", "openblas", "native"; borrowed, static. */
IMGQ_API const char *imgq_session_engine(const imgq_session *session);
/** The precision in use: "highest" where the processor cannot do what was asked for; borrowed, static. */
IMGQ_API const char *imgq_session_precision(const imgq_session *session);

/** What a session takes. */
typedef struct imgq_session_info {
    size_t size;
    size_t threads;
    uint64_t arena_bytes;  /* activations and scratch, its own */
    uint64_t packed_bytes; /* weights in the orders of all the model's sessions so far, which share them; the model has
                            * no others in memory */
    const char *isa;       /* of imgq's own kernels in it: "amx-bf16", "avx512-bf16", "avx512", "avx2", "plain" (C); "" of
                            * "scalar"; static */
} imgq_session_info;

/** One layer of the network, as this session computes it. */
typedef struct imgq_layer_info {
    size_t size;
    const char *op;        /* "conv", "max-pool", "average-pool", "dense"; static */
    const char *algorithm; /* how: "gemm", "winograd 4x4", …; static */
    uint32_t kernel, stride, in_channels, out_channels, out_height, out_width;
    uint64_t macs; /* multiplications with an addition that one image takes when computed directly */
} imgq_layer_info;

#ifdef __cplusplus
#define IMGQ_SESSION_INFO_INIT \
    ([] { imgq_session_info o = imgq_session_info(); o.size = sizeof o; return o; }())
#define IMGQ_LAYER_INFO_INIT \
    ([] { imgq_layer_info o = imgq_layer_info(); o.size = sizeof o; return o; }())
#else
#define IMGQ_SESSION_INFO_INIT ((imgq_session_info){.size = sizeof(imgq_session_info)})
#define IMGQ_LAYER_INFO_INIT ((imgq_layer_info){.size = sizeof(imgq_layer_info)})
#endif

/** @param info out; info->size says how much of it the caller knows @return IMGQ_OK; IMGQ_E_INVALID (size) */
IMGQ_API IMGQ_CHECKED imgq_status imgq_session_get_info(const imgq_session *session, imgq_session_info *info,
                                                        imgq_error *err);
IMGQ_API size_t imgq_session_layer_count(const imgq_session *session);
/** @param index 0..imgq_session_layer_count() - 1, in the order in which layers run
 *  @param batch the images of the run: the algorithm may depend on it
 *  @param info  as for imgq_session_get_info()
 *  @return IMGQ_OK; IMGQ_E_INVALID (index, batch, size) */
IMGQ_API IMGQ_CHECKED imgq_status imgq_session_layer(const imgq_session *session, size_t index, size_t batch,
                                                     imgq_layer_info *info, imgq_error *err);
/** From now on each run adds what every layer took to layer_ns[index]: nanoseconds of the wall on all threads together,
 *  so that the sum over the layers is the time of the run but for the softmax. Layers that are computed together count
 *  for the first of them. Not during a run.
 *  @param layer_ns imgq_session_layer_count() of them, borrowed until the next call here; NULL: no more timing */
IMGQ_API void imgq_session_profile(imgq_session *session, uint64_t *layer_ns);
/** The best top_count of count probabilities, best first, equal ones by class number. @return how many were written */
IMGQ_API size_t imgq_topk(const float *probs, size_t count, imgq_prediction *top, size_t top_count);
IMGQ_API void imgq_session_destroy(imgq_session *session);

#ifdef __cplusplus
}
#endif

#endif
