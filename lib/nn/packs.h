/* Weights in the order in which kernels read them: made once for a network, shared read-only by all its passes. */
#ifndef IQ_NN_PACKS_H
#define IQ_NN_PACKS_H

#include <imgq/env.h>

#include "base/pool.h"
#include "nn/net.h"
#include "nn/ops/conv.h"

/** Any thread may use it. */
typedef struct iq_packs iq_packs;

/** What one kernel wants of one layer's weights. A kernel without packed_floats wants them plain, as net.h says, which
 *  takes memory only where the net does not hold them. */
typedef struct iq_pack {
    const iq_conv_kernel *kernel;
    size_t layer;      /* of the net */
    iq_conv conv;      /* with bias and set; weights are filled in here */
    const float *data; /* out: shared, lives as long as the packs; plain ones may be the net's own */
} iq_pack;

/** @param net whose weights they are; borrowed while the packs live, and complete by the first iq_packs_get() */
IMGQ_CHECKED imgq_status iq_packs_create(imgq_env *env, const iq_net *net, iq_packs **out, imgq_error *err);
/** Makes those that nobody has asked for before, in one block, on the pool's threads. Threads touch the memory first
 *  that they pack into.
 *  @param pool borrowed; idle @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_LIMIT; what the net's weights fail with */
IMGQ_CHECKED imgq_status iq_packs_get(iq_packs *packs, iq_pool *pool, iq_pack *wanted, size_t count, imgq_error *err);
/** Bytes of all that was made so far. */
size_t iq_packs_bytes(iq_packs *packs);
/** NULL is a no-op. */
void iq_packs_destroy(iq_packs *packs);

#endif
