/* The column pass in plain C: what Pillow does, and what every other kernel is held to. */
#include "image/kernels/resample.h"

static uint8_t to_byte(int32_t sum)
{
    const int32_t value = sum >> IQ_TAP_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void columns_of_row(uint8_t *restrict out, const uint8_t *restrict in, const iq_taps *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const int32_t *weights = t->weights + (size_t)i * t->most;
        const uint8_t *pixel = in + (size_t)t->first[i] * 3;
        int32_t r = 1 << (IQ_TAP_BITS - 1), g = r, b = r;
        for (uint32_t x = 0; x < t->length[i]; x++, pixel += 3) {
            r += pixel[0] * weights[x];
            g += pixel[1] * weights[x];
            b += pixel[2] * weights[x];
        }
        out[(size_t)i * 3 + 0] = to_byte(r);
        out[(size_t)i * 3 + 1] = to_byte(g);
        out[(size_t)i * 3 + 2] = to_byte(b);
    }
}

void iq_columns_plain(uint8_t *const *out, const uint8_t *const *in, uint32_t count, const iq_taps *t,
                      const iq_tap_groups *groups)
{
    (void)groups;
    for (uint32_t row = 0; row < count; row++)
        columns_of_row(out[row], in[row], t);
}
