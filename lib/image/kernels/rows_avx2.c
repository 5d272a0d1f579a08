/* The row pass with 16-bit multiply-adds: two rows are interleaved, 32 bytes of each at a time. More rows than a resize
 * from 250 times the height sums are left to plain C. */
#include "image/kernels/resample.h"

#include <immintrin.h>

enum { BLOCK = 32, PARTS = 4, MOST_PAIRS = 512 };

/* Weights of one pair of rows, as 16 bits each of the first and the second. An odd last row is paired with itself and a
 * weight of 0. */
typedef struct pair {
    int32_t low, high;
} pair;

static inline pair pair_at(const int32_t *weights, uint32_t length, uint32_t y)
{
    const int32_t mask = (1 << IQ_TAP_LOW_BITS) - 1;
    const int32_t a = weights[y], b = y + 1 < length ? weights[y + 1] : 0;
    const uint32_t low = (uint32_t)(a & mask) | (uint32_t)(b & mask) << 16;
    const uint32_t high = ((uint32_t)(a >> IQ_TAP_LOW_BITS) & 0xFFFF) | (uint32_t)(b >> IQ_TAP_LOW_BITS) << 16;
    return (pair){(int32_t)low, (int32_t)high};
}

static inline void add_part(__m256i *low, __m256i *high, __m256i bytes, __m256i low_weights, __m256i high_weights)
{
    *low = _mm256_add_epi32(*low, _mm256_madd_epi16(bytes, low_weights));
    *high = _mm256_add_epi32(*high, _mm256_madd_epi16(bytes, high_weights));
}

static inline __m256i finish(__m256i low, __m256i high)
{
    return _mm256_srai_epi32(_mm256_add_epi32(low, _mm256_slli_epi32(high, IQ_TAP_LOW_BITS)), IQ_TAP_BITS);
}

static inline void rows_of_block(uint8_t *out, const uint8_t *const *in, const pair *pairs, uint32_t length, size_t at)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i low[PARTS], high[PARTS];
    for (size_t k = 0; k < PARTS; k++) {
        low[k] = _mm256_set1_epi32(1 << (IQ_TAP_BITS - 1));
        high[k] = zero;
    }
    for (uint32_t y = 0; y < length; y += 2, pairs++) {
        const __m256i a = _mm256_loadu_si256((const __m256i *)(in[y] + at));
        const __m256i b = _mm256_loadu_si256((const __m256i *)(in[y + 1 < length ? y + 1 : y] + at));
        const __m256i front = _mm256_unpacklo_epi8(a, b), back = _mm256_unpackhi_epi8(a, b);
        const __m256i lows = _mm256_set1_epi32(pairs->low), highs = _mm256_set1_epi32(pairs->high);
        add_part(&low[0], &high[0], _mm256_unpacklo_epi8(front, zero), lows, highs);
        add_part(&low[1], &high[1], _mm256_unpackhi_epi8(front, zero), lows, highs);
        add_part(&low[2], &high[2], _mm256_unpacklo_epi8(back, zero), lows, highs);
        add_part(&low[3], &high[3], _mm256_unpackhi_epi8(back, zero), lows, highs);
    }
    const __m256i front = _mm256_packs_epi32(finish(low[0], high[0]), finish(low[1], high[1]));
    const __m256i back = _mm256_packs_epi32(finish(low[2], high[2]), finish(low[3], high[3]));
    _mm256_storeu_si256((__m256i *)(out + at), _mm256_packus_epi16(front, back));
}

void iq_rows_avx2(uint8_t *out, const uint8_t *const *in, const int32_t *weights, uint32_t length, size_t bytes)
{
    pair pairs[MOST_PAIRS];
    if (bytes < BLOCK || length > 2 * MOST_PAIRS) {
        iq_rows_plain(out, in, weights, length, bytes);
        return;
    }
    for (uint32_t y = 0; y < length; y += 2)
        pairs[y / 2] = pair_at(weights, length, y);
    for (size_t at = 0; at + BLOCK <= bytes; at += BLOCK)
        rows_of_block(out, in, pairs, length, at);
    if (bytes % BLOCK != 0) /* the last block overlaps the one before, with the same bytes */
        rows_of_block(out, in, pairs, length, bytes - BLOCK);
}
