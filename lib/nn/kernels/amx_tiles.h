/* The operations of a tile unit, for amx_body.h. The tests have the same ones in plain C. Tile numbers are constants.
 */
#ifndef IQ_NN_KERNELS_AMX_TILES_H
#define IQ_NN_KERNELS_AMX_TILES_H

#include <immintrin.h>

/* What was written must be in memory before it is loaded: the compiler's own operations do not say what they read. */
#define TILES_CONFIGURE(config) _tile_loadconfig(config)
#define TILES_WRITTEN(from) __asm__ volatile("" : : "r"(from) : "memory")
#define TILE_LOAD(tile, from, step_bytes) _tile_loadd(tile, from, step_bytes)
#define TILE_STORE(tile, to, step_bytes) _tile_stored(tile, to, step_bytes)
#define TILE_ZERO(tile) _tile_zero(tile)
#define TILE_DOT(sums, pixels, weights) _tile_dpbf16ps(sums, pixels, weights)
#define TILES_RELEASE() _tile_release()

#endif
