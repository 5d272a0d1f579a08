/* The column pass with 16-bit multiply-adds. The two halves of a register are two rows, so that a weight is a plain
 * broadcast and nothing is added across; a group of four pixels is two shuffles (two pixels each, their channels side
 * by side) and four products. Four rows share the weights, four outputs are written together. */
#include "image/kernels/put.h"
#include "image/kernels/resample.h"

#include <immintrin.h>
#include <string.h>

typedef struct sums {
    __m256i low, high;
} sums;

/* Weights 0 and 1 or 2 and 3 of a group, in every lane. */
typedef struct pair {
    __m256i at; /* where the two pixels' channels lie in 16 bytes: r r g g b b - -, each byte widened */
    __m256i low, high;
} pair;

static inline __m256i two_weights(const uint8_t *weights)
{
    int32_t both;
    memcpy(&both, weights, sizeof both);
    return _mm256_set1_epi32(both);
}

/* @param before bytes that a load begins ahead of the group */
static inline pair pair_at(const uint8_t *weights, int second, char before)
{
    const __m128i first = _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    const char ahead = (char)(before + (second ? 6 : 0));
    const __m128i at =
        _mm_or_si128(_mm_add_epi8(first, _mm_set1_epi8(ahead)), _mm_cmpgt_epi8(_mm_setzero_si128(), first));
    const uint8_t *mine = weights + (second ? 2 * sizeof(int16_t) : 0);
    return (pair){_mm256_broadcastsi128_si256(at), two_weights(mine),
                  two_weights(mine + IQ_TAPS_OF_GROUP * sizeof(int16_t))};
}

static inline __m256i two_rows(const uint8_t *a, const uint8_t *b)
{
    const __m256i low = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a));
    return _mm256_inserti128_si256(low, _mm_loadu_si128((const __m128i *)b), 1);
}

static inline void add_pair(sums *s, __m256i bytes, const pair *p)
{
    const __m256i pixels = _mm256_shuffle_epi8(bytes, p->at);
    s->low = _mm256_add_epi32(s->low, _mm256_madd_epi16(pixels, p->low));
    s->high = _mm256_add_epi32(s->high, _mm256_madd_epi16(pixels, p->high));
}

/* One group of four rows, loaded from `before` bytes ahead of it. */
static inline void add_group(sums *s, const uint8_t *const *in, size_t from, const uint8_t *weights, char before)
{
    const pair first = pair_at(weights, 0, before), second = pair_at(weights, 1, before);
    const size_t at = from - (size_t)before;
    const __m256i front = two_rows(in[0] + at, in[1] + at), back = two_rows(in[2] + at, in[3] + at);
    add_pair(&s[0], front, &first);
    add_pair(&s[0], front, &second);
    add_pair(&s[1], back, &first);
    add_pair(&s[1], back, &second);
}

static inline __m256i finish(const sums *s)
{
    return _mm256_srai_epi32(_mm256_add_epi32(s->low, _mm256_slli_epi32(s->high, IQ_TAP_LOW_BITS)), IQ_TAP_BITS);
}

/* One output pixel of four rows, r g b - in 16 bits that are rounded, not clipped: rows 0 and 2, then 1 and 3. */
static inline __m256i four_pixels(const uint8_t *const *in, const iq_tap_groups *groups, uint32_t i)
{
    enum { BYTES = IQ_TAPS_OF_GROUP * 3, BEFORE = 16 - BYTES };
    const __m256i zero = _mm256_setzero_si256(), half = _mm256_set1_epi32(1 << (IQ_TAP_BITS - 1));
    const uint8_t *weights = groups->weights + (size_t)i * groups->most * IQ_GROUP_BYTES;
    size_t from = (size_t)groups->first[i] * 3;
    sums s[2] = {{half, zero}, {half, zero}};
    for (uint32_t k = 1; k < groups->length[i]; k++, from += BYTES, weights += IQ_GROUP_BYTES)
        add_group(s, in, from, weights, 0);
    add_group(s, in, from, weights, BEFORE);
    return _mm256_packs_epi32(finish(&s[0]), finish(&s[1]));
}

void iq_columns_avx2(uint8_t *const *out, const uint8_t *const *in, uint32_t count, const iq_taps *t,
                     const iq_tap_groups *groups)
{
    const uint8_t *from[IQ_ROWS_AT_ONCE];
    const uint32_t last = groups->count - 1;
    (void)t;
    for (uint32_t row = 0; row < IQ_ROWS_AT_ONCE; row++) /* fewer rows: the last is done again */
        from[row] = in[row < count ? row : count - 1];
    for (uint32_t i = 0; i <= last; i += IQ_OUTPUTS_AT_ONCE) {
        __m256i pixels[IQ_OUTPUTS_AT_ONCE]; /* past the end: the last one again */
        for (uint32_t k = 0; k < IQ_OUTPUTS_AT_ONCE; k++)
            pixels[k] = four_pixels(from, groups, last - i < k ? last : i + k);
        const __m256 left = _mm256_castsi256_ps(_mm256_packus_epi16(pixels[0], pixels[1]));
        const __m256 right = _mm256_castsi256_ps(_mm256_packus_epi16(pixels[2], pixels[3]));
        const __m256i even = _mm256_castps_si256(_mm256_shuffle_ps(left, right, 0x88)); /* rows 0 and 1 */
        const __m256i odd = _mm256_castps_si256(_mm256_shuffle_ps(left, right, 0xDD));  /* rows 2 and 3 */
        const __m128i rows[IQ_ROWS_AT_ONCE] = {_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1),
                                               _mm256_castsi256_si128(odd), _mm256_extracti128_si256(odd, 1)};
        const size_t room = groups->count - i;
        for (uint32_t row = 0; row < count; row++)
            iq_put_pixels(out[row] + (size_t)i * 3, rows[row], room < 4 ? room : 4, room);
    }
}
