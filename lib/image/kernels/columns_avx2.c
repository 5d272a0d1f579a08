/* The column pass with 16-bit multiply-adds: a group of four pixels is one shuffle (two pixels in each half, their
 * channels side by side) and two products. Four rows share the weights. */
#include "image/kernels/resample.h"

#include <immintrin.h>
#include <string.h>

typedef struct sums {
    __m256i low, high;
} sums;

/* Where in 16 bytes that begin `before` bytes ahead of a group its channels lie: pixels 0 and 1 as r0 r1 g0 g1 b0 b1 -
 * - for the lower half, 2 and 3 for the upper one, each byte widened. */
static inline __m256i places(char before)
{
    const __m256i pairs = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7,
                                           -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    return _mm256_or_si256(_mm256_add_epi8(pairs, _mm256_set1_epi8(before)),
                           _mm256_cmpgt_epi8(_mm256_setzero_si256(), pairs));
}

static inline void add_group(sums *s, const uint8_t *in, __m256i at, __m256i low, __m256i high)
{
    const __m256i bytes = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)in));
    const __m256i pixels = _mm256_shuffle_epi8(bytes, at);
    s->low = _mm256_add_epi32(s->low, _mm256_madd_epi16(pixels, low));
    s->high = _mm256_add_epi32(s->high, _mm256_madd_epi16(pixels, high));
}

/* r g b - as 32-bit values that were rounded but not clipped. */
static inline __m128i finish(const sums *s)
{
    const __m256i all = _mm256_add_epi32(s->low, _mm256_slli_epi32(s->high, IQ_TAP_LOW_BITS));
    const __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    return _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(1 << (IQ_TAP_BITS - 1))), IQ_TAP_BITS);
}

/* One group of four rows. Each lane of a half wants its two weights of the four. */
static inline void add_groups(sums *s, const uint8_t *const *in, size_t from, __m256i at, const uint8_t *weights)
{
    const __m256i pick = _mm256_setr_epi8(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5,
                                          6, 7, 4, 5, 6, 7);
    const __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)weights));
    const __m256i low = _mm256_shuffle_epi8(both, pick);
    const __m256i high = _mm256_shuffle_epi8(_mm256_unpackhi_epi64(both, both), pick);
    add_group(&s[0], in[0] + from, at, low, high);
    add_group(&s[1], in[1] + from, at, low, high);
    add_group(&s[2], in[2] + from, at, low, high);
    add_group(&s[3], in[3] + from, at, low, high);
}

/* One output pixel of four rows: row k's r g b - are the bytes 4k.. of the answer. */
static inline __m128i four_pixels(const uint8_t *const *in, size_t from, const uint8_t *weights, uint32_t groups)
{
    enum { BYTES = IQ_TAPS_OF_GROUP * 3, BEFORE = 16 - BYTES };
    const __m256i zero = _mm256_setzero_si256(), at = places(0);
    sums s[IQ_ROWS_AT_ONCE] = {{zero, zero}, {zero, zero}, {zero, zero}, {zero, zero}};
    for (uint32_t k = 1; k < groups; k++, from += BYTES, weights += IQ_GROUP_BYTES)
        add_groups(s, in, from, at, weights);
    add_groups(s, in, from - BEFORE, places(BEFORE), weights);
    return _mm_packus_epi16(_mm_packs_epi32(finish(&s[0]), finish(&s[1])),
                            _mm_packs_epi32(finish(&s[2]), finish(&s[3])));
}

/* Three bytes; or four where the next pixel will be written over the fourth. */
static inline void put(uint8_t *const *out, size_t at, __m128i pixels, size_t bytes)
{
    const uint32_t values[4] = {(uint32_t)_mm_cvtsi128_si32(pixels), (uint32_t)_mm_extract_epi32(pixels, 1),
                                (uint32_t)_mm_extract_epi32(pixels, 2), (uint32_t)_mm_extract_epi32(pixels, 3)};
    for (size_t row = 0; row < 4; row++)
        memcpy(out[row] + at, &values[row], bytes);
}

void iq_columns_avx2(uint8_t *const *out, const uint8_t *const *in, uint32_t count, const iq_taps *t,
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
