/* The kernels that any machine runs, for their table set_plain.c alone; contracts in set.h. */
#ifndef IQ_NN_KERNELS_PLAIN_H
#define IQ_NN_KERNELS_PLAIN_H

#include "nn/kernels/set.h"

IQ_WINOGRAD_TRANSFORMS(2, plain);
IQ_WINOGRAD_TRANSFORMS(4, plain);
void iq_finish_plain(float *values, size_t step, const float *residual, size_t residual_step, const float *bias,
                     size_t rows, size_t cols, bool relu);
void iq_largest_plain(const float *const *pixels, size_t count, size_t channels, float *out);

extern const iq_kernel_set iq_kernels_plain;

#endif
