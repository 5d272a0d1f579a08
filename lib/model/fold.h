/* Batch norm disappears into weights and bias; kernels come out as the network reads them. */
#ifndef IQ_MODEL_FOLD_H
#define IQ_MODEL_FOLD_H

#include "model/names.h"

/** What is the same for all layers of a file. */
typedef struct iq_fold {
    const char *path; /* for messages */
    bool hwio;        /* order of kernels in the file, and [in][out] of the head; else OIHW and [out][in] */
    float bn_eps;
} iq_fold;

/** A kernel of any size as a table: [taps][in][out] or [out][in][taps]. */
typedef struct iq_fold_shape {
    size_t taps, in, out;
} iq_fold_shape;

/** What a layer's batch norm and its own bias become.
 *  @param scale out, channels factors of the kernel @param bias out, channels
 *  @return IMGQ_OK; IMGQ_E_CORRUPT (a NaN, an infinity, a variance below 0: names the tensor) */
IMGQ_CHECKED imgq_status iq_fold_norm(const iq_fold *fold, const iq_named_layer *layer, size_t channels, double *scale,
                                      float *bias, imgq_error *err);
/** The head's bias as it is. Errors as above. */
IMGQ_CHECKED imgq_status iq_fold_bias(const iq_fold *fold, const iq_tensor_view *view, size_t channels, float *bias,
                                      imgq_error *err);
/** Refuses a kernel with a NaN or an infinity, before or after scaling.
 *  @param largest of the kernel's magnitudes, as iq_weights_hash() found it @param scale NULL: 1
 *  @return IMGQ_OK; IMGQ_E_CORRUPT (names the tensor) */
IMGQ_CHECKED imgq_status iq_fold_check(const iq_fold *fold, const iq_tensor_view *kernel, const iq_fold_shape *shape,
                                       const double *scale, float largest, imgq_error *err);
/** @param scale shape->out of them, NULL: 1 @param weights out, [taps][in][out] */
void iq_fold_weights(const iq_fold *fold, const iq_tensor_view *kernel, const iq_fold_shape *shape, const double *scale,
                     float *weights);

#endif
