/* Between bf16 in memory and sixteen floats in a register. */
#ifndef IQ_NN_KERNELS_VEC_AVX512_BF16_H
#define IQ_NN_KERNELS_VEC_AVX512_BF16_H

#include <stdint.h>

#include "nn/kernels/vec_avx512.h"

INLINE vec b_load(const uint16_t *at)
{
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)at));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
INLINE void b_store(uint16_t *at, vec a)
{
    _mm256_storeu_si256((__m256i *)(void *)at, (__m256i)_mm512_cvtneps_pbh(a));
}
/* a, then b behind it. */
INLINE void b_store_two(uint16_t *at, vec a, vec b)
{
    _mm512_storeu_si512(at, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

#endif
