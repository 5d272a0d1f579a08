/* Eight floats in a register. */
#ifndef IQ_NN_KERNELS_VEC_AVX2_H
#define IQ_NN_KERNELS_VEC_AVX2_H

#include <immintrin.h>

enum { LANES = 8 };
typedef __m256 vec;

#define INLINE static inline __attribute__((always_inline))

INLINE vec v_load(const float *at)
{
    return _mm256_loadu_ps(at);
}
INLINE void v_store(float *at, vec a)
{
    _mm256_storeu_ps(at, a);
}
INLINE vec v_all(float a)
{
    return _mm256_set1_ps(a);
}
INLINE vec v_zero(void)
{
    return _mm256_setzero_ps();
}
INLINE vec v_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}
INLINE vec v_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}
INLINE vec v_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}
/* a x b + c, c - a x b */
INLINE vec v_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}
INLINE vec v_fnma(vec a, vec b, vec c)
{
    return _mm256_fnmadd_ps(a, b, c);
}
/* The second operand wins where one is a NaN: so it stays one. */
INLINE vec v_relu(vec a)
{
    return _mm256_max_ps(_mm256_setzero_ps(), a);
}
/* The larger, and a NaN of either. */
INLINE vec v_larger(vec best, vec a)
{
    const vec take = _mm256_or_ps(_mm256_cmp_ps(best, a, _CMP_LT_OQ), _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    return _mm256_blendv_ps(best, a, take);
}

#endif
