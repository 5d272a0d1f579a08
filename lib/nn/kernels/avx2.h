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

IQ_CHAIN_OF(7, avx2);
IQ_CHAIN_OF(14, avx2);
void iq_strassen_sums_avx2(const float *a, const float *b, size_t half, float *sums, size_t step);

IQ_WINOGRAD_TRANSFORMS(2, avx2);
IQ_WINOGRAD_TRANSFORMS(4, avx2);
void iq_finish_avx2(float *values, size_t step, const float *residual, size_t residual_step, const float *bias,
                    size_t rows, size_t cols, bool relu);
void iq_largest_avx2(const float *const *pixels, size_t count, size_t channels, float *out);

extern const iq_kernel_set iq_kernels_avx2;

#endif
