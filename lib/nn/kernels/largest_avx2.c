/* Maxima over pixels. */
#include "nn/kernels/avx2.h"

#include "nn/kernels/vec_avx2.h"

#include "nn/kernels/pool_body.h"

void iq_largest_avx2(const float *const *pixels, size_t count, size_t channels, float *out)
{
    largest(pixels, count, channels, out);
}
