/* How column kernels write: four pixels of a row at once. */
#ifndef IQ_IMAGE_KERNELS_PUT_H
#define IQ_IMAGE_KERNELS_PUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <immintrin.h>

/** Outputs that are written together. */
enum { IQ_OUTPUTS_AT_ONCE = 4 };

/** Writes the first `count` of four r g b - pixels. @param room pixels from `to` to the row's end: where there are more
 *  than four, bytes behind them are written as well, which the next call writes again */
static inline void iq_put_pixels(uint8_t *to, __m128i four, size_t count, size_t room)
{
    const __m128i close = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m128i bytes = _mm_shuffle_epi8(four, close);
    if (room * 3 >= sizeof bytes) {
        _mm_storeu_si128((__m128i *)to, bytes);
        return;
    }
    uint8_t all[sizeof bytes];
    _mm_storeu_si128((__m128i *)all, bytes);
    memcpy(to, all, count * 3);
}

#endif
