/* The instruction-set side of the native engine, and of what lies around OpenBLAS's products: one set of kernels for each instruction set, behind plain pointers.
 * Kernels get what they read and write as addresses and steps; they know nothing of layers, images or threads. */
#ifndef IQ_NN_KERNELS_SET_H
#define IQ_NN_KERNELS_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/cpu.h"

/* A run is up to IQ_RUN neighbouring pixels of one line: ResNet's lines are 112, 56, 28, 14 and 7 long. A tile is one
 * run, or two of which the first is full. */
enum { IQ_RUN = 7, IQ_TILE = 2 * IQ_RUN };

/** One tile: for each of its pixels `cols` sums over taps x depth, and what comes after them. */
typedef struct iq_tile {
    const float *input[2]; /* the first pixel's window of each run; [1] is read only with more than IQ_RUN pixels */
    size_t in_step;        /* floats from a pixel's window to its neighbour's */
    const ptrdiff_t *taps; /* floats from the window's start to each stretch of `depth` floats */
    size_t tap_count, depth;
    const float *panel;       /* [tap_count][depth][cols], 64-byte aligned */
    const float *bias;        /* cols floats, or NULL */
    const float *residual[2]; /* added before the ReLU; [0] NULL: none */
    size_t residual_step;
    float *output[2];
    size_t out_step;
    bool relu;
    const float *next; /* tap_count x depth cache lines to be fetched meanwhile; any address will do */
} iq_tile;

typedef void (*iq_tile_fn)(const iq_tile *tile);
/** The kernel of n pixels. */
#define IQ_TILE_OF(n, isa) void iq_conv_tile_##n##_##isa(const iq_tile *tile)

/** Every kernel of one instruction set. Each sum runs over taps and depth in order, one fused multiply-add each, so a
 *  pixel's bits do not depend on the tile that holds it. */
typedef struct iq_kernel_set {
    iq_isa isa;
    size_t cols;                  /* output channels of a tile; 0: the set has no tiles */
    iq_tile_fn tile[IQ_TILE + 1]; /* [n]: a tile of n pixels; 1..IQ_RUN + 1 and IQ_TILE are there */
    size_t lanes;                 /* the transforms below want channels in multiples of it */
    /** Winograd's input transform of one tile, side (tile + 2): output [side x side] points, point_step apart.
     *  @param pixels side x side pixels, each `channels` floats */
    void (*winograd_in[2])(const float *const *pixels, size_t channels, float *out, size_t point_step);
    /** And back: from points to tile x tile pixels, of which the first `height` x `width` exist. */
    void (*winograd_out[2])(const float *points, size_t point_step, size_t channels, const float *bias, bool relu,
                            float *out, size_t line_step, size_t pixel_step, size_t height, size_t width);
    /** out[c] = the largest of all pixels' [c]; a NaN wins. @param count at least 1 */
    void (*largest)(const float *const *pixels, size_t count, size_t channels, float *out);
} iq_kernel_set;

/* Of winograd_in and winograd_out. */
enum { IQ_WINOGRAD_2 = 0, IQ_WINOGRAD_4 = 1 };

/** The best set that the machine runs and the mask allows, or NULL. */
const iq_kernel_set *iq_kernels_best(iq_isa at_most);
/** As above, but where there is none that of any machine, which has everything but tiles. */
const iq_kernel_set *iq_kernels_vectors(iq_isa at_most);

#endif
