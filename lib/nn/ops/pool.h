/* Maxima of windows, means of whole images; NHWC. */
#ifndef IQ_NN_OPS_POOL_H
#define IQ_NN_OPS_POOL_H

#include <stddef.h>

#include "nn/kernels/set.h"

enum { IQ_POOL_KERNEL_MAX = 16 };

typedef struct iq_pool_shape {
    size_t in_height, in_width, out_height, out_width, channels;
    size_t kernel, stride, pad; /* kernel: 1..IQ_POOL_KERNEL_MAX; what lies outside counts for nothing */
    size_t in_step, out_step;   /* floats from pixel to pixel */
    const iq_kernel_set *set;   /* NULL: plain loops */
} iq_pool_shape;

/** Lines line .. line + lines - 1 of the output, counted through all images. */
void iq_max_pool(const iq_pool_shape *shape, const float *input, float *output, size_t line, size_t lines);
/** Images image .. image + images - 1: the mean of all pixels, per channel, summed in double. @param step floats from
 *  pixel to pixel of the input; the output is packed */
void iq_global_average(const float *input, size_t step, float *output, size_t pixels, size_t channels, size_t image,
                       size_t images);

#endif
