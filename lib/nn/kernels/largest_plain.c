/* Maxima over pixels. */
#include "nn/kernels/plain.h"

#include "nn/kernels/vec_plain.h"

#include "nn/kernels/pool_body.h"

void iq_largest_plain(const float *const *pixels, size_t count, size_t channels, float *out)
{
    largest(pixels, count, channels, out);
}
