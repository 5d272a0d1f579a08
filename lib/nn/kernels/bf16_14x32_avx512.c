/* 14 pixels x 32 channels of pairs: 28 sums, 2 registers of weights, 1 or 2 broadcasts. */
#include "nn/kernels/avx512_bf16.h"

#include "nn/kernels/vec_avx512_bf16.h"

#include <string.h>

enum { VECS = 2, COLS = VECS * LANES };

INLINE vec dot(vec sum, __m512i x, __m512i weights)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)weights);
}

/* A pair of channels, the same in all lanes. */
INLINE __m512i pair(const uint16_t *at)
{
    int32_t both;
    memcpy(&both, at, sizeof both);
    return _mm512_set1_epi32(both);
}

INLINE void finish(const iq_bf16_tile *t, int run, size_t pixel, vec *value)
{
    if (t->sums[0] != NULL) {
        float *out = t->sums[run] + pixel * t->out_step;
        v_store(out, value[0]);
        v_store(out + LANES, value[1]);
        return;
    }
    if (t->residual[0] != NULL) {
        const uint16_t *residual = t->residual[run] + pixel * t->residual_step;
        value[0] = v_add(value[0], b_load(residual));
        value[1] = v_add(value[1], b_load(residual + LANES));
    }
    if (t->relu) {
        value[0] = v_relu(value[0]);
        value[1] = v_relu(value[1]);
    }
    b_store_two(t->output[run] + pixel * t->out_step, value[0], value[1]);
}

/* Addresses as one of three pointers in each run and a step or two: more pointers do not fit into the registers. */
#define PIXEL(r) (at[(r) / 7][(r) % 7 / 3] + (size_t)((r) % 7 % 3) * step)

INLINE void tile_rows(const iq_bf16_tile *t, const int rows)
{
    vec sum[14][VECS];
    const size_t step = t->in_step, depth = t->depth;
    const uint16_t *panel = t->panel;
    const uint8_t *next = t->next;
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < VECS; v++)
            sum[r][v] = t->bias != NULL ? v_load(t->bias + v * LANES) : v_zero();
    for (size_t tap = 0; tap < t->tap_count; tap++) {
        const uint16_t *at[2][3];
#pragma GCC unroll 3
        for (int i = 0; i < 3; i++) {
            at[0][i] = t->input[0] + t->taps[tap] + (rows > 3 * i ? (size_t)i * 3 * step : 0);
            at[1][i] = rows > 7 ? t->input[1] + t->taps[tap] + (rows > 7 + 3 * i ? (size_t)i * 3 * step : 0) : at[0][i];
        }
#pragma GCC unroll 4
        for (size_t k = 0; k < depth; k++) {
            __m512i weights[VECS];
            __builtin_prefetch(next, 0, 2);
            next += 64;
#pragma GCC unroll 2
            for (int v = 0; v < VECS; v++)
                weights[v] = _mm512_loadu_si512(panel + (size_t)v * 2 * LANES);
            panel += 2 * COLS;
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++) {
                const __m512i x = pair(PIXEL(r) + 2 * k);
#pragma GCC unroll 2
                for (int v = 0; v < VECS; v++)
                    sum[r][v] = dot(sum[r][v], x, weights[v]);
            }
        }
    }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
        finish(t, r / 7, (size_t)(r % 7), sum[r]);
}

#define DEFINE_TILE(n)                                                                                                 \
    IQ_BF16_TILE_OF(n, avx512)                                                                                         \
    {                                                                                                                  \
        tile_rows(tile, n);                                                                                            \
    }

DEFINE_TILE(1)
DEFINE_TILE(2)
DEFINE_TILE(3)
DEFINE_TILE(4)
DEFINE_TILE(5)
DEFINE_TILE(6)
DEFINE_TILE(7)
DEFINE_TILE(8)
DEFINE_TILE(14)
