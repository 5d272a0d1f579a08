/* Four floats side by side in C: the compiler finds registers for them on every machine, and no flags are needed. */
#ifndef IQ_NN_KERNELS_VEC_PLAIN_H
#define IQ_NN_KERNELS_VEC_PLAIN_H

#include <stdint.h>
#include <string.h>

enum { LANES = 4 };
typedef float vec __attribute__((vector_size(16)));
typedef int32_t mask __attribute__((vector_size(16)));

#define INLINE static inline __attribute__((always_inline))

INLINE vec v_load(const float *at)
{
    vec a;
    memcpy(&a, at, sizeof a);
    return a;
}
INLINE void v_store(float *at, vec a)
{
    memcpy(at, &a, sizeof a);
}
INLINE vec v_all(float a)
{
    return (vec){a, a, a, a};
}
INLINE vec v_add(vec a, vec b)
{
    return a + b;
}
INLINE vec v_sub(vec a, vec b)
{
    return a - b;
}
INLINE vec v_mul(vec a, vec b)
{
    return a * b;
}
/* a x b + c, c - a x b */
INLINE vec v_fma(vec a, vec b, vec c)
{
    return a * b + c;
}
INLINE vec v_fnma(vec a, vec b, vec c)
{
    return c - a * b;
}
/* A NaN stays one. */
INLINE vec v_relu(vec a)
{
    return (vec)((mask)a & ~(v_all(0) > a));
}
/* The larger, and a NaN of either. */
INLINE vec v_larger(vec best, vec a)
{
    const mask take = (best < a) | (a != a);
    return (vec)(((mask)a & take) | ((mask)best & ~take));
}

#endif
