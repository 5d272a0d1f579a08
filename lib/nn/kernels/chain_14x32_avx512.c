/* Chains of products on tiles of 14 pixels x 32 channels. */
#include "nn/kernels/avx512.h"

#include "nn/kernels/vec_avx512.h"

#include "nn/kernels/conv_body.h"

#include "nn/kernels/chain_body.h"

IQ_CHAIN_OF(7, avx512)
{
    chain_rows(chain, 0, 7);
}

IQ_CHAIN_OF(14, avx512)
{
    chain_rows(chain, 0, 14);
}

void iq_strassen_sums_avx512(const float *a, const float *b, size_t half, float *sums, size_t step)
{
    strassen_sums(a, b, half, sums, step);
}
