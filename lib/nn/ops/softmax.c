/* The largest score is taken off first, so that no exponential overflows. */
#include "nn/ops/softmax.h"

#include <math.h>

void iq_softmax(float *values, size_t count)
{
    double largest = -HUGE_VAL, sum = 0;
    for (size_t i = 0; i < count; i++)
        if ((double)values[i] > largest)
            largest = (double)values[i];
    for (size_t i = 0; i < count; i++)
        sum += exp((double)values[i] - largest);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(exp((double)values[i] - largest) / sum);
}
