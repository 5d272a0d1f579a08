/* F32 is copied, halves become floats, which is exact. Loops without a way out in the middle, which compilers make
 * vectors of. */
#include "model/widen.h"

#include "base/bytes.h"

#include <math.h>
#include <string.h>

static const uint32_t infinity_bits = 0x7F800000, sign_bit = 0x80000000;

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Exact: every half is a float. */
static float widen_half(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = (half >> 10) & 31, fraction = half & 1023;
    if (exponent == 31)
        return float_of_bits(sign | infinity_bits | fraction << 13);
    if (exponent == 0)
        return float_of_bits(sign | 0x3F800000) * (float)fraction * 0x1p-24f;
    return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

size_t iq_view_count(const iq_tensor_view *view)
{
    return view->bytes / (view->dtype == IQ_DTYPE_F32 ? 4 : 2);
}

void iq_view_widen(const iq_tensor_view *view, size_t first, size_t count, float *out)
{
    if (view->dtype == IQ_DTYPE_F32) {
        const uint8_t *data = view->data + 4 * first;
        for (size_t i = 0; i < count; i++)
            out[i] = float_of_bits(iq_load_le32(data + 4 * i));
        return;
    }
    const uint8_t *data = view->data + 2 * first;
    if (view->dtype == IQ_DTYPE_F16)
        for (size_t i = 0; i < count; i++)
            out[i] = widen_half(iq_load_le16(data + 2 * i));
    else
        for (size_t i = 0; i < count; i++)
            out[i] = float_of_bits((uint32_t)iq_load_le16(data + 2 * i) << 16);
}

/* Magnitudes are ordered as their bits are. */
float iq_view_largest(const iq_tensor_view *view, size_t first, size_t count)
{
    uint32_t most = 0;
    if (view->dtype == IQ_DTYPE_F32) {
        const uint8_t *data = view->data + 4 * first;
        for (size_t i = 0; i < count; i++) {
            const uint32_t bits = iq_load_le32(data + 4 * i) & ~sign_bit;
            most = bits > most ? bits : most;
        }
        return most >= infinity_bits ? INFINITY : float_of_bits(most);
    }
    const uint8_t *data = view->data + 2 * first;
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = iq_load_le16(data + 2 * i) & 0x7FFF;
        most = bits > most ? bits : most;
    }
    const float widest = view->dtype == IQ_DTYPE_F16 ? widen_half((uint16_t)most) : float_of_bits(most << 16);
    return isfinite(widest) ? widest : INFINITY;
}
