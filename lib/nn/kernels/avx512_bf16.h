/* The kernels of this instruction set, for its table set_avx512_bf16.c alone; contracts in bf16.h. */
#ifndef IQ_NN_KERNELS_AVX512_BF16_H
#define IQ_NN_KERNELS_AVX512_BF16_H

#include "nn/kernels/bf16.h"

IQ_BF16_TILE_OF(1, avx512);
IQ_BF16_TILE_OF(2, avx512);
IQ_BF16_TILE_OF(3, avx512);
IQ_BF16_TILE_OF(4, avx512);
IQ_BF16_TILE_OF(5, avx512);
IQ_BF16_TILE_OF(6, avx512);
IQ_BF16_TILE_OF(7, avx512);
IQ_BF16_TILE_OF(8, avx512);
IQ_BF16_TILE_OF(14, avx512);

void iq_bf16_winograd_in_2x2_avx512(const uint16_t *const *pixels, size_t channels, uint16_t *out, size_t point_step);
void iq_bf16_winograd_in_4x4_avx512(const uint16_t *const *pixels, size_t channels, uint16_t *out, size_t point_step);
void iq_bf16_winograd_out_2x2_avx512(const float *points, size_t point_step, size_t channels, const float *bias,
                                     bool relu, uint16_t *out, size_t line_step, size_t pixel_step, size_t height,
                                     size_t width);
void iq_bf16_winograd_out_4x4_avx512(const float *points, size_t point_step, size_t channels, const float *bias,
                                     bool relu, uint16_t *out, size_t line_step, size_t pixel_step, size_t height,
                                     size_t width);
void iq_bf16_largest_avx512(const uint16_t *const *pixels, size_t count, size_t channels, uint16_t *out);
void iq_bf16_narrow_avx512(const float *values, size_t count, uint16_t *out);

extern const iq_bf16_set iq_bf16_avx512;

#endif
