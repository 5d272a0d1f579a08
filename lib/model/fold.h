/* Batch norm disappears into weights and bias; kernels come out as the network reads them. */
#ifndef IQ_MODEL_FOLD_H
#define IQ_MODEL_FOLD_H

#include "model/names.h"

/** Room that folding needs for the widened tensors of one layer: one per thread that folds. */
enum { IQ_FOLD_SCRATCH_FLOATS = 512 * 512 * 9 };

/** What is the same for all layers of a file. */
typedef struct iq_fold {
    const char *path; /* for messages */
    bool hwio;        /* order of kernels in the file, and [in][out] of the head; else OIHW and [out][in] */
    float bn_eps;
    float *scratch; /* IQ_FOLD_SCRATCH_FLOATS, or as many as the head has, if that is more */
} iq_fold;

/** @param weights out, [kernel][kernel][in][out] @param bias out
 *  @return IMGQ_OK; IMGQ_E_CORRUPT (a NaN, an infinity, a variance below 0: names the tensor) */
IMGQ_CHECKED imgq_status iq_fold_conv(const iq_fold *fold, const iq_named_layer *layer, const iq_resnet50_conv *conv,
                                      float *weights, float *bias, imgq_error *err);
/** @param weights out, [in][classes] @param bias out */
IMGQ_CHECKED imgq_status iq_fold_head(const iq_fold *fold, const iq_named_layer *layer, uint32_t classes,
                                      float *weights, float *bias, imgq_error *err);

#endif
