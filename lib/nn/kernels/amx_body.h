/* The core kernel on a tile unit: two runs of up to 7 pixels x 32 channels, 16 pairs of channels at a time. Tiles 0 and
 * 1 are the first run's sums, 2 and 3 the second's, 4 and 5 the pixels of each, 6 and 7 the weights. The including file
 * has brought the operations. */

#include <string.h>

#include "nn/bf16.h"

enum { COLS = 32, BLOCK_PAIRS = 16, ROW_BYTES = 64, TILES = 8 };

/* As the processor reads it. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* Pixels of the first run and of the second (0: none, but a tile cannot have no rows), pairs of a block. */
static inline void configure(const iq_bf16_tile *t, size_t first, size_t second, size_t pairs)
{
    const uint32_t shape = (uint32_t)(first << 16 | second << 8 | pairs);
    if (*t->shape == shape)
        return;
    *t->shape = shape;
    tile_config config = {.palette = 1};
    for (size_t i = 0; i < TILES; i++) {
        const size_t rows = i >= 6 ? pairs : i == 4 || i < 2 ? first : second;
        config.rows[i] = (uint8_t)(rows > 0 ? rows : 1);
        config.row_bytes[i] = (uint16_t)(i == 4 || i == 5 ? pairs * 4 : ROW_BYTES);
    }
    TILES_WRITTEN(&config);
    TILES_CONFIGURE(&config);
}

/* The pairs left behind the last whole block, with zeros behind them. */
typedef struct tail {
    _Alignas(64) uint16_t pixels[IQ_TILE][ROW_BYTES / 2];
    _Alignas(64) uint16_t weights[BLOCK_PAIRS][COLS * 2];
} tail;

static inline void take_tail(const iq_bf16_tile *t, ptrdiff_t tap, const uint16_t *panel, size_t rows, size_t done,
                             tail *out)
{
    const size_t left = t->depth - done;
    memset(out, 0, sizeof *out);
    for (size_t r = 0; r < rows; r++)
        memcpy(out->pixels[r], t->input[r / IQ_RUN] + tap + r % IQ_RUN * t->in_step + 2 * done, left * 4);
    memcpy(out->weights, panel, left * sizeof out->weights[0]);
}

/* One block of all sums. */
static inline void block(const uint16_t *first, const uint16_t *second, size_t step_bytes, const uint16_t *weights)
{
    TILE_LOAD(6, weights, 2 * ROW_BYTES);
    TILE_LOAD(7, weights + ROW_BYTES / 2, 2 * ROW_BYTES);
    TILE_LOAD(4, first, step_bytes);
    TILE_DOT(0, 4, 6);
    TILE_DOT(1, 4, 7);
    if (second != NULL) {
        TILE_LOAD(5, second, step_bytes);
        TILE_DOT(2, 5, 6);
        TILE_DOT(3, 5, 7);
    }
}

/* Bias, residual, ReLU, and rounding to one term or two. */
static inline void finish(const iq_bf16_tile *t, size_t r, const float *sums)
{
    const size_t run = r / IQ_RUN, pixel = r % IQ_RUN;
    float values[COLS];
    for (size_t c = 0; c < COLS; c++)
        values[c] = t->bias != NULL ? sums[c] + t->bias[c] : sums[c];
    if (t->sums[0] != NULL) {
        memcpy(t->sums[run] + pixel * t->out_step, values, sizeof values);
        return;
    }
    if (t->residual[0] != NULL) {
        const uint16_t *added = t->residual[run] + pixel * t->residual_step;
        for (size_t c = 0; c < COLS; c++)
            values[c] += t->residual_plane != 0 ? iq_bf16_float(added[c]) + iq_bf16_float(added[t->residual_plane + c])
                                                : iq_bf16_float(added[c]);
    }
    uint16_t *out = t->output[run] + pixel * t->out_step;
    for (size_t c = 0; c < COLS; c++) {
        values[c] = t->relu && 0.0f > values[c] ? 0.0f : values[c];
        out[c] = iq_bf16_of(values[c]);
    }
    for (size_t c = 0; t->out_plane != 0 && c < COLS; c++)
        out[t->out_plane + c] = iq_bf16_second(values[c], out[c]);
}

static inline void tile_rows(const iq_bf16_tile *t, size_t rows)
{
    const size_t first = rows < IQ_RUN ? rows : IQ_RUN, second = rows - first;
    const size_t pairs = t->depth < BLOCK_PAIRS ? t->depth : BLOCK_PAIRS;
    _Alignas(64) float sums[IQ_TILE][COLS];
    tail rest;
    const uint16_t *panel = t->panel;
    configure(t, first, second, pairs);
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    for (size_t tap = 0; tap < t->tap_count; tap++) {
        const uint16_t *in = t->input[0] + t->taps[tap];
        const uint16_t *behind = second > 0 ? t->input[1] + t->taps[tap] : NULL;
        size_t k = 0;
        for (; k + pairs <= t->depth; k += pairs, panel += pairs * COLS * 2)
            block(in + 2 * k, behind != NULL ? behind + 2 * k : NULL, t->in_step * 2, panel);
        if (k == t->depth)
            continue;
        take_tail(t, t->taps[tap], panel, rows, k, &rest);
        TILES_WRITTEN(&rest);
        block(rest.pixels[0], second > 0 ? rest.pixels[IQ_RUN] : NULL, ROW_BYTES, rest.weights[0]);
        panel += (t->depth - k) * COLS * 2;
    }
    TILE_STORE(0, sums[0], sizeof sums[0]);
    TILE_STORE(1, sums[0] + COLS / 2, sizeof sums[0]);
    if (second > 0) {
        TILE_STORE(2, sums[IQ_RUN], sizeof sums[0]);
        TILE_STORE(3, sums[IQ_RUN] + COLS / 2, sizeof sums[0]);
    }
    for (size_t r = 0; r < rows; r++)
        finish(t, r, sums[r]);
}

#define DEFINE_TILE(n, isa)                                                                                            \
    IQ_BF16_TILE_OF(n, isa)                                                                                            \
    {                                                                                                                  \
        tile_rows(tile, n);                                                                                            \
    }

#define DEFINE_TILES(isa)                                                                                              \
    DEFINE_TILE(1, isa)                                                                                                \
    DEFINE_TILE(2, isa)                                                                                                \
    DEFINE_TILE(3, isa)                                                                                                \
    DEFINE_TILE(4, isa)                                                                                                \
    DEFINE_TILE(5, isa)                                                                                                \
    DEFINE_TILE(6, isa)                                                                                                \
    DEFINE_TILE(7, isa)                                                                                                \
    DEFINE_TILE(8, isa)                                                                                                \
    DEFINE_TILE(14, isa)
