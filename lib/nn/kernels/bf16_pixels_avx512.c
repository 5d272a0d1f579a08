/* Maxima over pixels of bf16, and floats rounded to it. */
#include "nn/kernels/avx512_bf16.h"

#include "nn/kernels/vec_avx512_bf16.h"

INLINE vec load_some(const uint16_t *at, __mmask16 some)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, at)), 16));
}

static __mmask16 mask_of(size_t left)
{
    return (__mmask16)(left < LANES ? (1u << left) - 1 : 0xFFFF);
}

void iq_bf16_largest_avx512(const uint16_t *const *pixels, size_t count, size_t channels, uint16_t *out)
{
    for (size_t c = 0; c < channels; c += LANES) {
        const __mmask16 some = mask_of(channels - c);
        vec best = load_some(pixels[0] + c, some);
        for (size_t p = 1; p < count; p++)
            best = v_larger(best, load_some(pixels[p] + c, some));
        _mm256_mask_storeu_epi16(out + c, some, (__m256i)_mm512_cvtneps_pbh(best));
    }
}

void iq_bf16_narrow_avx512(const float *values, size_t count, uint16_t *out)
{
    for (size_t i = 0; i < count; i += LANES) {
        const __mmask16 some = mask_of(count - i);
        _mm256_mask_storeu_epi16(out + i, some, (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, values + i)));
    }
}
