/* The column pass with VNNI's sums of four byte products: four rows in the four quarters of a register, in each its
 * four pixels as r0-r3 g0-g3 b0-b3, and one product for each byte of the weights. */
#include "image/kernels/resample.h"

#include <immintrin.h>
#include <string.h>

typedef struct sums {
    __m512i low, middle, top;
} sums;

static inline __m128i load(const uint8_t *in)
{
    return _mm_loadu_si128((const __m128i *)in);
}

static inline __m512i four_weights(const uint8_t *weights)
{
    int32_t four;
    memcpy(&four, weights, sizeof four);
    return _mm512_set1_epi32(four);
}

/* @param at where in 16 bytes from `from` on the four pixels' channels lie */
static inline void add_group(sums *s, const uint8_t *const *in, size_t from, __m512i at, const uint8_t *weights)
{
    const __m256i front = _mm256_inserti128_si256(_mm256_castsi128_si256(load(in[0] + from)), load(in[1] + from), 1);
    const __m256i back = _mm256_inserti128_si256(_mm256_castsi128_si256(load(in[2] + from)), load(in[3] + from), 1);
    const __m512i pixels = _mm512_shuffle_epi8(_mm512_inserti64x4(_mm512_castsi256_si512(front), back, 1), at);
    s->low = _mm512_dpbusd_epi32(s->low, pixels, four_weights(weights));
    s->middle = _mm512_dpbusd_epi32(s->middle, pixels, four_weights(weights + IQ_TAPS_OF_GROUP));
    s->top = _mm512_dpbusd_epi32(s->top, pixels, four_weights(weights + (size_t)2 * IQ_TAPS_OF_GROUP));
}

/* One output pixel of four rows: row k's r g b - are the bytes 4k.. of the answer. */
static inline __m128i four_pixels(const uint8_t *const *in, size_t from, const uint8_t *weights, uint32_t groups)
{
    enum { BYTES = IQ_TAPS_OF_GROUP * 3, BEFORE = 16 - BYTES };
    const __m512i at = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1));
    const __m512i last =
        _mm512_broadcast_i32x4(_mm_setr_epi8(4, 7, 10, 13, 5, 8, 11, 14, 6, 9, 12, 15, -1, -1, -1, -1));
    sums s = {_mm512_set1_epi32(1 << (IQ_TAP_BITS - 1)), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (uint32_t k = 1; k < groups; k++, from += BYTES, weights += IQ_GROUP_BYTES)
        add_group(&s, in, from, at, weights);
    add_group(&s, in, from - BEFORE, last, weights);
    const __m512i upper = _mm512_add_epi32(s.middle, _mm512_slli_epi32(s.top, 8));
    const __m512i sum = _mm512_srai_epi32(_mm512_add_epi32(s.low, _mm512_slli_epi32(upper, 8)), IQ_TAP_BITS);
    return _mm512_cvtusepi32_epi8(_mm512_max_epi32(sum, _mm512_setzero_si512()));
}

/* Three bytes; or four where the next pixel will be written over the fourth. */
static inline void put(uint8_t *const *out, size_t at, __m128i pixels, size_t bytes)
{
    const uint32_t values[4] = {(uint32_t)_mm_cvtsi128_si32(pixels), (uint32_t)_mm_extract_epi32(pixels, 1),
                                (uint32_t)_mm_extract_epi32(pixels, 2), (uint32_t)_mm_extract_epi32(pixels, 3)};
    for (size_t row = 0; row < 4; row++)
        memcpy(out[row] + at, &values[row], bytes);
}

void iq_columns_avx512(uint8_t *const *out, const uint8_t *const *in, uint32_t count, const iq_taps *t,
                       const iq_tap_groups *groups)
{
    const uint8_t *from[IQ_ROWS_AT_ONCE];
    uint8_t *to[IQ_ROWS_AT_ONCE];
    (void)t;
    for (uint32_t row = 0; row < IQ_ROWS_AT_ONCE; row++) { /* fewer rows: the last is done again */
        from[row] = in[row < count ? row : count - 1];
        to[row] = out[row < count ? row : count - 1];
    }
    const size_t stride = (size_t)groups->most * IQ_GROUP_BYTES;
    for (uint32_t i = 0; i < groups->count; i++) {
        const __m128i pixels =
            four_pixels(from, (size_t)groups->first[i] * 3, groups->weights + i * stride, groups->length[i]);
        if (i + 1 < groups->count)
            put(to, (size_t)i * 3, pixels, 4);
        else
            put(to, (size_t)i * 3, pixels, 3);
    }
}
