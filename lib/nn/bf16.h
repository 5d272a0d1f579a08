/* bf16: the upper half of a float. */
#ifndef IQ_NN_BF16_H
#define IQ_NN_BF16_H

#include <stdint.h>
#include <string.h>

static inline float iq_bf16_float(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/** To nearest, ties to even, as processors do it: denormals become 0, a NaN stays one. */
static inline uint16_t iq_bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000)
        return (uint16_t)(bits >> 16 | 0x40);
    if (magnitude < 0x00800000)
        return (uint16_t)(bits >> 16 & 0x8000);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/** What rounding to `first` took of the value, rounded too: the two together are the value to 16 bits. */
static inline uint16_t iq_bf16_second(float value, uint16_t first)
{
    /* An infinity and a NaN are one term. */
    return (first & 0x7F80) == 0x7F80 ? 0 : iq_bf16_of(value - iq_bf16_float(first));
}

#endif
