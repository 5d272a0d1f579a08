/* Weights in the order in which kernels read them: made once for a network, shared read-only by all its passes. */
#ifndef IQ_NN_PACKS_H
#define IQ_NN_PACKS_H

#include <imgq/env.h>

#include "nn/ops/conv.h"

/** Any thread may use it. */
typedef struct iq_packs iq_packs;

/** What one kernel wants of one layer's weights. */
typedef struct iq_pack {
    const iq_conv_kernel *kernel; /* with packed_floats */
    iq_conv conv;                 /* with weights, bias and set */
    const float *data;            /* out: shared, lives as long as the packs */
} iq_pack;

IMGQ_CHECKED imgq_status iq_packs_create(imgq_env *env, iq_packs **out, imgq_error *err);
/** Makes those that nobody has asked for before, in one block. @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_LIMIT */
IMGQ_CHECKED imgq_status iq_packs_get(iq_packs *packs, iq_pack *wanted, size_t count, imgq_error *err);
/** Bytes of all that was made so far. */
size_t iq_packs_bytes(iq_packs *packs);
/** NULL is a no-op. */
void iq_packs_destroy(iq_packs *packs);

#endif
