/* Bias, residual and ReLU after the sums of a product. */
#include "nn/kernels/avx2.h"

#include "nn/kernels/vec_avx2.h"

#include "nn/kernels/finish_body.h"

void iq_finish_avx2(float *values, size_t step, const float *residual, size_t residual_step, const float *bias,
                    size_t rows, size_t cols, bool relu)
{
    finish(values, step, residual, residual_step, bias, rows, cols, relu);
}
