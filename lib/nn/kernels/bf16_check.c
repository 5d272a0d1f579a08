/* A small product on every size of tile. Tile units came without a machine to try them on: a session trusts them only
 * where they pass. */
#include "nn/kernels/bf16.h"

#include "nn/bf16.h"

#include <string.h>

enum { COLS = 32, DEPTH = 37, TAPS = 2, PIXEL = 2 * DEPTH + 10, PLANE = IQ_TILE * COLS };

typedef struct product {
    uint16_t input[(IQ_TILE + TAPS) * PIXEL], panel[TAPS * DEPTH * COLS * 2];
    uint16_t residual[2 * PLANE], output[2 * PLANE];
    float bias[COLS];
    uint32_t seed;
} product;

/* -8..8; the remainder of a plain generator's upper bits. */
static float next(product *p)
{
    p->seed = p->seed * 1664525 + 1013904223;
    return (float)((int)(p->seed >> 16) % 17 - 8);
}

static void fill(product *p, uint16_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = iq_bf16_of(next(p));
}

static float sum_of(const product *p, size_t pixel, size_t col)
{
    float sum = p->bias[col];
    for (size_t tap = 0; tap < TAPS; tap++)
        for (size_t i = 0; i < 2 * DEPTH; i++)
            sum += iq_bf16_float(p->input[(pixel + tap) * PIXEL + i]) *
                   iq_bf16_float(p->panel[((tap * DEPTH + i / 2) * COLS + col) * 2 + i % 2]);
    return sum;
}

static bool is_right(const product *p, size_t rows, bool planes)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < COLS; c++) {
            const size_t at = r * COLS + c;
            float want = sum_of(p, r, c) + iq_bf16_float(p->residual[at]);
            want += planes ? iq_bf16_float(p->residual[PLANE + at]) : 0;
            want = want < 0 ? 0 : want;
            const uint16_t first = iq_bf16_of(want);
            if (p->output[at] != first || (planes && p->output[PLANE + at] != iq_bf16_second(want, first)))
                return false;
        }
    return true;
}

bool iq_bf16_check(const iq_bf16_set *set)
{
    static const ptrdiff_t taps[TAPS] = {0, PIXEL};
    _Alignas(64) product p = {.seed = 1};
    uint32_t shape = 0;
    bool right = set->cols == COLS;
    fill(&p, p.input, sizeof p.input / sizeof *p.input);
    fill(&p, p.panel, sizeof p.panel / sizeof *p.panel);
    fill(&p, p.residual, sizeof p.residual / sizeof *p.residual);
    for (size_t c = 0; c < COLS; c++)
        p.bias[c] = next(&p);
    for (int planes = 0; planes <= (set->has_planes ? 1 : 0); planes++)
        for (size_t rows = 1; right && rows <= IQ_TILE; rows++) {
            const iq_bf16_tile tile = {
                .input = {p.input, p.input + IQ_RUN * PIXEL},
                .in_step = PIXEL,
                .taps = taps,
                .tap_count = TAPS,
                .depth = DEPTH,
                .panel = p.panel,
                .bias = p.bias,
                .residual = {p.residual, p.residual + IQ_RUN * COLS},
                .residual_step = COLS,
                .residual_plane = planes ? PLANE : 0,
                .output = {p.output, p.output + IQ_RUN * COLS},
                .out_plane = planes ? PLANE : 0,
                .out_step = COLS,
                .relu = true,
                .next = p.panel,
                .shape = &shape,
            };
            if (set->tile[rows] == NULL)
                continue;
            memset(p.output, 0xFF, sizeof p.output);
            set->tile[rows](&tile);
            right = is_right(&p, rows, planes != 0);
        }
    if (set->done != NULL)
        set->done();
    return right;
}
