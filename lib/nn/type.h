/* How values are held in memory between layers. */
#ifndef IQ_NN_TYPE_H
#define IQ_NN_TYPE_H

#include <stddef.h>

/** Pointers to values are written as float * everywhere; those who compute on another type know it by this. Counts and
 *  steps are of elements. */
typedef enum iq_type {
    IQ_F32 = 0,
    IQ_BF16 = 1,    /* the upper half of a float, rounded to nearest even; steps are even */
    IQ_BF16_TWO = 2 /* a float as the sum of two bf16: a pixel is the first terms of all its channels and, a step of
                     * 16-bit elements further, the second ones, what the first left of the float; steps are even */
} iq_type;

static inline size_t iq_type_bytes(iq_type type)
{
    return type == IQ_BF16 ? 2 : 4;
}

#endif
