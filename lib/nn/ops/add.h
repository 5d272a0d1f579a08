/* What comes after the sums of a layer. */
#ifndef IQ_NN_OPS_ADD_H
#define IQ_NN_OPS_ADD_H

#include <stdbool.h>
#include <stddef.h>

/** values += bias (+ residual), then ReLU. @param step floats from row to row
 *  @param residual NULL: none; not values @param bias cols floats */
void iq_add_bias(float *restrict values, size_t step, const float *restrict residual, size_t residual_step,
                 const float *restrict bias, size_t rows, size_t cols, bool relu);

#endif
