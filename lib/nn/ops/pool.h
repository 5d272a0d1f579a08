/* Maxima of windows, means of whole images; NHWC. */
#ifndef IQ_NN_OPS_POOL_H
#define IQ_NN_OPS_POOL_H

#include <stddef.h>

typedef struct iq_pool_shape {
    size_t in_height, in_width, out_height, out_width, channels;
    size_t kernel, stride, pad; /* what lies outside counts for nothing */
} iq_pool_shape;

/** Lines line .. line + lines - 1 of the output, counted through all images. */
void iq_max_pool(const iq_pool_shape *shape, const float *input, float *output, size_t line, size_t lines);
/** Images image .. image + images - 1: the mean of all pixels, per channel, summed in double. */
void iq_global_average(const float *input, float *output, size_t pixels, size_t channels, size_t image, size_t images);

#endif
