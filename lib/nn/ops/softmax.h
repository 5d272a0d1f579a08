/* Scores to probabilities. */
#ifndef IQ_NN_OPS_SOFTMAX_H
#define IQ_NN_OPS_SOFTMAX_H

#include <stddef.h>

/** In place, summed in double. A NaN or two infinities among the scores make every probability a NaN. */
void iq_softmax(float *values, size_t count);

#endif
