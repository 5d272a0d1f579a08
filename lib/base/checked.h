/* Arithmetic on numbers from outside. Each answers true when the result does not fit. */
#ifndef IQ_BASE_CHECKED_H
#define IQ_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

static inline bool iq_mul_size(size_t *out, size_t a, size_t b)
{
    return __builtin_mul_overflow(a, b, out);
}

static inline bool iq_add_size(size_t *out, size_t a, size_t b)
{
    return __builtin_add_overflow(a, b, out);
}

#endif
