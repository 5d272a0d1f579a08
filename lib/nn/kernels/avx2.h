/* The kernels of this instruction set, for its table set_avx2.c alone; contracts in set.h. */
#ifndef IQ_NN_KERNELS_AVX2_H
#define IQ_NN_KERNELS_AVX2_H

#include "nn/kernels/set.h"

IQ_TILE_OF(1, avx2);
IQ_TILE_OF(2, avx2);
IQ_TILE_OF(3, avx2);
IQ_TILE_OF(4, avx2);
IQ_TILE_OF(5, avx2);
IQ_TILE_OF(6, avx2);
IQ_TILE_OF(7, avx2);
IQ_TILE_OF(8, avx2);
IQ_TILE_OF(14, avx2);

void iq_winograd_in_2x2_avx2(const float *const *pixels, size_t channels, float *out, size_t point_step);
void iq_winograd_in_4x4_avx2(const float *const *pixels, size_t channels, float *out, size_t point_step);
void iq_winograd_out_2x2_avx2(const float *points, size_t point_step, size_t channels, const float *bias, bool relu,
                              float *out, size_t line_step, size_t pixel_step, size_t height, size_t width);
void iq_winograd_out_4x4_avx2(const float *points, size_t point_step, size_t channels, const float *bias, bool relu,
                              float *out, size_t line_step, size_t pixel_step, size_t height, size_t width);
void iq_largest_avx2(const float *const *pixels, size_t count, size_t channels, float *out);

extern const iq_kernel_set iq_kernels_avx2;

#endif
