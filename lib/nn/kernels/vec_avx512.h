/* Sixteen floats in a register. */
#ifndef IQ_NN_KERNELS_VEC_AVX512_H
#define IQ_NN_KERNELS_VEC_AVX512_H

#include <immintrin.h>

enum { LANES = 16 };
typedef __m512 vec;

#define INLINE static inline __attribute__((always_inline))

INLINE vec v_load(const float *at)
{
    return _mm512_loadu_ps(at);
}
INLINE void v_store(float *at, vec a)
{
    _mm512_storeu_ps(at, a);
}
INLINE vec v_all(float a)
{
    return _mm512_set1_ps(a);
}
INLINE vec v_zero(void)
{
    return _mm512_setzero_ps();
}
INLINE vec v_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}
INLINE vec v_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}
INLINE vec v_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}
/* a x b + c, c - a x b */
INLINE vec v_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}
INLINE vec v_fnma(vec a, vec b, vec c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
/* The second operand wins where one is a NaN: so it stays one. */
INLINE vec v_relu(vec a)
{
    return _mm512_max_ps(_mm512_setzero_ps(), a);
}
/* The larger, and a NaN of either. */
INLINE vec v_larger(vec best, vec a)
{
    const __mmask16 take = _mm512_cmp_ps_mask(best, a, _CMP_LT_OQ) | _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(best, take, a);
}

#endif
