/* Weights in the order in which kernels read them: made once for a network, shared read-only by all its passes. */
#ifndef IQ_NN_PACKS_H
#define IQ_NN_PACKS_H

#include <imgq/env.h>

#include "nn/ops/conv.h"

/** Any thread may use it. */
typedef struct iq_packs iq_packs;

IMGQ_CHECKED imgq_status iq_packs_create(imgq_env *env, iq_packs **out, imgq_error *err);
/** What this kernel wants of these weights; made at the first call. @param conv with weights, bias and set
 *  @param out shared, lives as long as packs; NULL if the kernel reads weights as they are
 *  @return IMGQ_OK; IMGQ_E_NOMEM */
IMGQ_CHECKED imgq_status iq_packs_get(iq_packs *packs, const iq_conv_kernel *kernel, const iq_conv *conv,
                                      const float **out, imgq_error *err);
/** Bytes of all that was made so far. */
size_t iq_packs_bytes(iq_packs *packs);
/** NULL is a no-op. */
void iq_packs_destroy(iq_packs *packs);

#endif
