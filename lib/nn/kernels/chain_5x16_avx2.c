/* Chains of products on tiles of 5 pixels x 16 channels, the larger ones piece by piece. */
#include "nn/kernels/avx2.h"

#include "nn/kernels/vec_avx2.h"

#include "nn/kernels/conv_body.h"

#include "nn/kernels/chain_body.h"

IQ_CHAIN_OF(7, avx2)
{
    chain_rows(chain, 0, 4);
    chain_rows(chain, 4, 3);
}

IQ_CHAIN_OF(14, avx2)
{
    chain_rows(chain, 0, 5);
    chain_rows(chain, 5, 5);
    chain_rows(chain, 10, 4);
}

void iq_strassen_sums_avx2(const float *a, const float *b, size_t half, float *sums, size_t step)
{
    strassen_sums(a, b, half, sums, step);
}
