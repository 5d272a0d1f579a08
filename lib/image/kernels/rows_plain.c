/* The row pass in plain C, a stretch of bytes at a time so that the sums stay in the first-level cache. */
#include "image/kernels/resample.h"

enum { STRETCH = 1024 };

static void add_row(int32_t *restrict sums, const uint8_t *restrict row, int32_t weight, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sums[i] += row[i] * weight;
}

static void to_bytes(uint8_t *restrict out, const int32_t *restrict sums, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int32_t value = sums[i] >> IQ_TAP_BITS;
        out[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

void iq_rows_plain(uint8_t *out, const uint8_t *const *in, const int32_t *weights, uint32_t length, size_t bytes)
{
    int32_t sums[STRETCH];
    for (size_t from = 0; from < bytes; from += STRETCH) {
        const size_t count = bytes - from < STRETCH ? bytes - from : STRETCH;
        for (size_t i = 0; i < count; i++)
            sums[i] = 1 << (IQ_TAP_BITS - 1);
        for (uint32_t y = 0; y < length; y++)
            add_row(sums, in[y] + from, weights[y], count);
        to_bytes(out + from, sums, count);
    }
}
