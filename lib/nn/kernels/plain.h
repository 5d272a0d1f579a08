/* The kernels that any machine runs, for their table set_plain.c alone; contracts in set.h. */
#ifndef IQ_NN_KERNELS_PLAIN_H
#define IQ_NN_KERNELS_PLAIN_H

#include "nn/kernels/set.h"

void iq_winograd_in_2x2_plain(const float *const *pixels, size_t channels, float *out, size_t point_step);
void iq_winograd_in_4x4_plain(const float *const *pixels, size_t channels, float *out, size_t point_step);
void iq_winograd_out_2x2_plain(const float *points, size_t point_step, size_t channels, const float *bias, bool relu,
                               float *out, size_t line_step, size_t pixel_step, size_t height, size_t width);
void iq_winograd_out_4x4_plain(const float *points, size_t point_step, size_t channels, const float *bias, bool relu,
                               float *out, size_t line_step, size_t pixel_step, size_t height, size_t width);
void iq_largest_plain(const float *const *pixels, size_t count, size_t channels, float *out);

extern const iq_kernel_set iq_kernels_plain;

#endif
