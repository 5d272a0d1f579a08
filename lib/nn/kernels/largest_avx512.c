/* Maxima over pixels. */
#include "nn/kernels/avx512.h"

#include "nn/kernels/vec_avx512.h"

#include "nn/kernels/pool_body.h"

void iq_largest_avx512(const float *const *pixels, size_t count, size_t channels, float *out)
{
    largest(pixels, count, channels, out);
}
