#include "amx_emulated.h"

#include "nn/bf16.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The loops of a product, for the vectors that the machine has: an emulated pass takes a second so, not ten. They touch
 * nothing but the unit, whose sizes are checked before: so no sanitizer need look at each number. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU __attribute__((no_sanitize("address"), no_sanitize("undefined"), optimize("O3")))
#endif

enum { UNIT_TILES = 8, UNIT_ROWS = 16, UNIT_BYTES = 64 };

/* What a thread's unit holds. */
typedef struct unit {
    int configured;
    uint16_t row_bytes[UNIT_TILES];
    uint8_t rows[UNIT_TILES];
    _Alignas(64) uint8_t data[UNIT_TILES][UNIT_ROWS][UNIT_BYTES];
} unit;

static _Thread_local unit here;

static void expect(int fits, const char *what)
{
    if (fits)
        return;
    fprintf(stderr, "a tile unit would trap: %s\n", what);
    abort();
}

/* 64 bytes: palette, start row, 14 reserved, 16 widths in bytes, 16 heights. All tiles become zero. */
static void unit_configure(const void *config)
{
    const uint8_t *bytes = config;
    memset(&here, 0, sizeof here);
    expect(bytes[0] == 1, "another palette than 1");
    for (size_t i = 1; i < 16; i++)
        expect(bytes[i] == 0, "reserved bytes of a configuration");
    memcpy(here.row_bytes, bytes + 16, sizeof here.row_bytes);
    memcpy(here.rows, bytes + 48, sizeof here.rows);
    for (size_t i = 0; i < 8; i++)
        expect(bytes[32 + 2 * i] == 0 && bytes[33 + 2 * i] == 0 && bytes[56 + i] == 0, "more tiles than 8");
    for (size_t i = 0; i < UNIT_TILES; i++)
        expect(here.rows[i] <= UNIT_ROWS && here.row_bytes[i] <= UNIT_BYTES && here.row_bytes[i] % 4 == 0 &&
                   (here.rows[i] == 0) == (here.row_bytes[i] == 0),
               "a tile's size");
    here.configured = 1;
}

static void expect_tile(size_t tile)
{
    expect(here.configured && here.rows[tile] > 0, "a tile that is not configured");
}

static void unit_load(size_t tile, const void *from, size_t step)
{
    expect_tile(tile);
    memset(here.data[tile], 0, sizeof here.data[tile]);
    for (size_t r = 0; r < here.rows[tile]; r++)
        memcpy(here.data[tile][r], (const uint8_t *)from + r * step, here.row_bytes[tile]);
}

static void unit_store(size_t tile, void *to, size_t step)
{
    expect_tile(tile);
    for (size_t r = 0; r < here.rows[tile]; r++)
        memcpy((uint8_t *)to + r * step, here.data[tile][r], here.row_bytes[tile]);
}

static void unit_zero(size_t tile)
{
    expect_tile(tile);
    memset(here.data[tile], 0, sizeof here.data[tile]);
}

static float flushed(float value)
{
    return fabsf(value) < 0x1p-126f ? copysignf(0, value) : value;
}

/* As the manual has it: two chains from zero, of each pair's first products and of its second ones; their sum; that
 * added to what was there. Each step rounds to nearest even, and denormals are zero before and after. A product of two
 * bf16 is exact in fp32, so that adding it is a fused multiply-add but for products below 2^-126. */
FOR_EACH_CPU static void unit_dot(size_t sums, size_t pixels, size_t weights)
{
    expect_tile(sums);
    expect_tile(pixels);
    expect_tile(weights);
    const size_t cols = here.row_bytes[sums] / 4, pairs = here.row_bytes[pixels] / 4;
    expect(here.rows[sums] == here.rows[pixels] && here.rows[weights] == pairs &&
               here.row_bytes[weights] == here.row_bytes[sums],
           "tiles of a product that do not fit each other");
    for (size_t r = 0; r < here.rows[sums]; r++) {
        float first[16] = {0}, second[16] = {0}, sum[16];
        uint16_t x[32];
        memcpy(x, here.data[pixels][r], sizeof x);
        for (size_t k = 0; k < pairs; k++) {
            const float a = flushed(iq_bf16_float(x[2 * k])), b = flushed(iq_bf16_float(x[2 * k + 1]));
            uint32_t w[16];
            memcpy(w, here.data[weights][k], sizeof w);
            for (size_t c = 0; c < 16; c++) {
                /* Flushed by their bits. */
                float low, high;
                uint32_t low_bits = w[c] << 16, high_bits = w[c] & 0xFFFF0000;
                low_bits &= (low_bits & 0x7F800000) == 0 ? 0x80000000 : 0xFFFFFFFF;
                high_bits &= (high_bits & 0x7F800000) == 0 ? 0x80000000 : 0xFFFFFFFF;
                memcpy(&low, &low_bits, sizeof low);
                memcpy(&high, &high_bits, sizeof high);
                first[c] += a * low;
                second[c] += b * high;
            }
        }
        memcpy(sum, here.data[sums][r], sizeof sum);
        for (size_t c = 0; c < cols; c++)
            sum[c] = flushed(flushed(sum[c]) + flushed(flushed(first[c]) + flushed(second[c])));
        memcpy(here.data[sums][r], sum, sizeof sum);
    }
}

static void unit_release(void)
{
    memset(&here, 0, sizeof here);
}

#define TILES_CONFIGURE(config) unit_configure(config)
#define TILES_WRITTEN(from) (void)(from)
#define TILE_LOAD(tile, from, step_bytes) unit_load(tile, from, step_bytes)
#define TILE_STORE(tile, to, step_bytes) unit_store(tile, to, step_bytes)
#define TILE_ZERO(tile) unit_zero(tile)
#define TILE_DOT(sums, pixels, weights) unit_dot(sums, pixels, weights)
#define TILES_RELEASE() unit_release()

#define AMX_TILE_OF(n) static IQ_BF16_TILE_OF(n, emulated);
AMX_TILE_OF(1)
AMX_TILE_OF(2)
AMX_TILE_OF(3)
AMX_TILE_OF(4)
AMX_TILE_OF(5)
AMX_TILE_OF(6)
AMX_TILE_OF(7)
AMX_TILE_OF(8)
AMX_TILE_OF(14)

#include "nn/kernels/amx_body.h"

DEFINE_TILES(emulated)

static void plain_largest(const uint16_t *const *pixels, size_t count, size_t channels, uint16_t *out)
{
    for (size_t c = 0; c < channels; c++) {
        out[c] = pixels[0][c];
        for (size_t p = 1; p < count; p++)
            if (isnan(iq_bf16_float(pixels[p][c])) || iq_bf16_float(pixels[p][c]) > iq_bf16_float(out[c]))
                out[c] = pixels[p][c];
    }
}

static void plain_narrow(const float *values, size_t count, uint16_t *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = iq_bf16_of(values[i]);
}

#define TILE(n) [n] = iq_bf16_tile_##n##_emulated

const iq_bf16_set amx_emulated = {
    .isa = IQ_ISA_AMX,
    .cols = 32,
    .tile = {TILE(1), TILE(2), TILE(3), TILE(4), TILE(5), TILE(6), TILE(7), TILE(8), TILE(14)},
    .has_planes = true,
    .done = unit_release,
    .largest = plain_largest,
    .narrow = plain_narrow,
};
