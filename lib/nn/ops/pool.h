/* Maxima of windows, means of whole images; NHWC. */
#ifndef IQ_NN_OPS_POOL_H
#define IQ_NN_OPS_POOL_H

#include <stddef.h>

#include "nn/kernels/bf16.h"
#include "nn/kernels/set.h"

enum { IQ_POOL_KERNEL_MAX = 16 };

typedef struct iq_pool_shape {
    size_t in_height, in_width, out_height, out_width, channels;
    size_t kernel, stride, pad; /* kernel: 1..IQ_POOL_KERNEL_MAX; what lies outside counts for nothing */
    size_t in_step, out_step;   /* elements from pixel to pixel */
    const iq_kernel_set *set;   /* NULL: plain loops */
    const iq_bf16_set *bf16;    /* for iq_bf16_max_pool() */
    bool two;                   /* its values are IQ_BF16_TWO */
} iq_pool_shape;

/** Lines line .. line + lines - 1 of the output, counted through all images. */
void iq_max_pool(const iq_pool_shape *shape, const float *input, float *output, size_t line, size_t lines);
/** Images image .. image + images - 1: the mean of all pixels, per channel, summed in double. @param step floats from
 *  pixel to pixel of the input; the output is packed */
void iq_global_average(const float *input, size_t step, float *output, size_t pixels, size_t channels, size_t image,
                       size_t images);
/** The same of values of bf16, of one term or two; the mean is of floats. */
void iq_bf16_max_pool(const iq_pool_shape *shape, const uint16_t *input, uint16_t *output, size_t line, size_t lines);
void iq_bf16_global_average(const uint16_t *input, size_t step, bool two, float *output, size_t pixels, size_t channels,
                            size_t image, size_t images);

#endif
