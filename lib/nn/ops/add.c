/* Bias, residual and ReLU in one pass over results that are still in the cache. */
#include "nn/ops/add.h"

/* 0 for negative values; a NaN stays one, so that it is seen in the answer. */
static inline float rectified(float value)
{
    return 0.0f > value ? 0.0f : value;
}

void iq_add_bias(float *restrict values, size_t step, const float *restrict residual, size_t residual_step,
                 const float *restrict bias, size_t rows, size_t cols, bool relu)
{
    for (size_t r = 0; r < rows; r++, values += step) {
        if (residual != NULL) {
            for (size_t c = 0; c < cols; c++)
                values[c] += bias[c] + residual[c];
            residual += residual_step;
        } else {
            for (size_t c = 0; c < cols; c++)
                values[c] += bias[c];
        }
        if (relu)
            for (size_t c = 0; c < cols; c++)
                values[c] = rectified(values[c]);
    }
}
