/* Tile products alone: four independent sums, as many as there are tiles for. A turn is 4 products of 16 x 16 sums of
 * 32 products each. */
#include "nn/kernels/peak.h"

#include "nn/cpu.h"
#include "nn/kernels/amx_tiles.h"

#include <stdint.h>
#include <string.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64 };

/* As the processor reads it. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

static int amx_fits(void)
{
    return iq_cpu_tiles();
}

static float amx_run(size_t turns)
{
    static const uint16_t one = 0x3F80, two = 0x4000;
    uint16_t pixels[ROWS * ROW_BYTES / 2], weights[ROWS * ROW_BYTES / 2];
    float sums[4][ROWS * ROW_BYTES / 4], total = 0;
    tile_config config = {.palette = 1};
    for (size_t i = 0; i < ROWS * ROW_BYTES / 2; i++) {
        pixels[i] = one;
        weights[i] = two;
    }
    for (size_t i = 0; i < TILES; i++) {
        config.rows[i] = ROWS;
        config.row_bytes[i] = ROW_BYTES;
    }
    TILES_WRITTEN(&config);
    TILES_CONFIGURE(&config); /* all tiles are zero now */
    TILES_WRITTEN(pixels);
    TILES_WRITTEN(weights);
    TILE_LOAD(4, pixels, ROW_BYTES);
    TILE_LOAD(6, weights, ROW_BYTES);
    for (size_t i = 0; i < turns; i++) {
        TILE_DOT(0, 4, 6);
        TILE_DOT(1, 4, 6);
        TILE_DOT(2, 4, 6);
        TILE_DOT(3, 4, 6);
    }
    TILE_STORE(0, sums[0], ROW_BYTES);
    TILE_STORE(1, sums[1], ROW_BYTES);
    TILE_STORE(2, sums[2], ROW_BYTES);
    TILE_STORE(3, sums[3], ROW_BYTES);
    TILES_RELEASE();
    for (size_t s = 0; s < 4; s++)
        for (size_t i = 0; i < ROWS * ROW_BYTES / 4; i++)
            total += sums[s][i];
    return total / (float)turns;
}

const iq_peak_kernel iq_peak_amx = {
    .isa = "amx-bf16",
    .fits = amx_fits,
    .flops = (size_t)4 * 16 * 16 * 32 * 2,
    .run = amx_run,
};
