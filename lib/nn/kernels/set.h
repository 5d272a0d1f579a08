/* The instruction-set side of the native engine, and of what lies around OpenBLAS's products: one set of kernels for
 * each instruction set, behind plain pointers. Kernels get what they read and write as addresses and steps; they know
 * nothing of layers, images or threads. */
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
    size_t next_too;   /* with at most IQ_RUN + 1 pixels: as many so many floats behind; 0: no more */
} iq_tile;

typedef void (*iq_tile_fn)(const iq_tile *tile);

/** One product of a chain, and what is done with the sums so far. Tiles beside the output are [pixel][cols]. */
typedef struct iq_link {
    const float *input[2]; /* as of a tile */
    size_t in_step;
    float *keep;              /* the sums are written there too, unless NULL */
    const float *aside;       /* added to what goes to the output alone, unless NULL */
    const float *plus;        /* added to the sums for the links that follow, unless NULL */
    float *output[2];         /* [0] NULL: none, and no plus. Without a plus it is the chain's last */
    const float *residual[2]; /* added to the output, [0] unless NULL */
    const float *fetch; /* `depth` cache lines to be fetched meanwhile, fetch_step floats apart; any address will do */
    size_t fetch_step;
} iq_link;

enum { IQ_LINKS_MAX = 4 };

/** Products whose sums stay in the registers from one to the next. */
typedef struct iq_chain {
    iq_link links[IQ_LINKS_MAX];
    size_t count, depth;
    const float *panels; /* [count][depth][cols], 64-byte aligned */
    const float *bias;   /* cols floats, or NULL: the sums begin with them */
    const float *start;  /* or with this tile, or NULL */
    size_t residual_step, out_step;
    bool relu;
    const float *next; /* count x depth cache lines to be fetched meanwhile; any address will do */
} iq_chain;

typedef void (*iq_chain_fn)(const iq_chain *chain);
#define IQ_CHAIN_OF(n, isa) void iq_conv_chain_##n##_##isa(const iq_chain *chain)
/** The kernel of n pixels. */
#define IQ_TILE_OF(n, isa) void iq_conv_tile_##n##_##isa(const iq_tile *tile)

/* Winograd's tiles: 2 x 2 or 4 x 4 pixels. */
enum { IQ_WINOGRAD_2 = 0, IQ_WINOGRAD_4 = 1, IQ_WINOGRAD_KINDS = 2, IQ_WINOGRAD_MAX = 4 };

/** From pixels to points: point i is written to out + i x point_step, `channels` floats.
 *  @param pixels those under a tile's windows, line by line, each `channels` floats */
typedef void (*iq_winograd_in_fn)(const float *const *pixels, size_t channels, float *out, size_t point_step);
/** And back, of the tile's pixels only the first `height` x `width`. */
typedef void (*iq_winograd_out_fn)(const float *points, size_t point_step, size_t channels, const float *bias,
                                   bool relu, float *out, size_t line_step, size_t pixel_step, size_t height,
                                   size_t width);
#define IQ_WINOGRAD_IN_OF(tile, y, x, isa)                                                                             \
    void iq_winograd_in_##tile##_##y##x##_##isa(const float *const *pixels, size_t channels, float *out,               \
                                                size_t point_step)
#define IQ_WINOGRAD_OUT_OF(tile, y, x, isa)                                                                            \
    void iq_winograd_out_##tile##_##y##x##_##isa(const float *points, size_t point_step, size_t channels,              \
                                                 const float *bias, bool relu, float *out, size_t line_step,           \
                                                 size_t pixel_step, size_t height, size_t width)
#define IQ_WINOGRAD_TRANSFORMS_OF(tile, y, x, isa)                                                                     \
    IQ_WINOGRAD_IN_OF(tile, y, x, isa);                                                                                \
    IQ_WINOGRAD_OUT_OF(tile, y, x, isa)
#define IQ_WINOGRAD_TRANSFORMS(tile, isa)                                                                              \
    IQ_WINOGRAD_TRANSFORMS_OF(tile, 0, 0, isa);                                                                        \
    IQ_WINOGRAD_TRANSFORMS_OF(tile, 0, 1, isa);                                                                        \
    IQ_WINOGRAD_TRANSFORMS_OF(tile, 1, 0, isa);                                                                        \
    IQ_WINOGRAD_TRANSFORMS_OF(tile, 1, 1, isa)

/* Of winograd_in or winograd_out: "in" or "out". */
#define IQ_WINOGRAD_ROW(way, tile, isa)                                                                                \
    [IQ_WINOGRAD_##tile] = {{iq_winograd_##way##_##tile##_00_##isa, iq_winograd_##way##_##tile##_01_##isa},            \
                            {iq_winograd_##way##_##tile##_10_##isa, iq_winograd_##way##_##tile##_11_##isa}}

/** Every kernel of one instruction set. Each sum runs over taps and depth in order, one fused multiply-add each, so a
 *  pixel's bits do not depend on the tile that holds it. */
typedef struct iq_kernel_set {
    iq_isa isa;
    size_t cols;                    /* output channels of a tile; 0: the set has no tiles */
    iq_tile_fn tile[IQ_TILE + 1];   /* [n]: a tile of n pixels; 1..IQ_RUN + 1 and IQ_TILE are there */
    iq_chain_fn chain[IQ_TILE + 1]; /* IQ_RUN and IQ_TILE are there */
    /** Strassen's sums of one pixel of `half` + `half` channels and its partner: four rows of `half` floats, `step`
     * apart: b0 + b1, b0 + b1 - a0, a0 - b0, a0 + a1 - b0 - b1. Without a partner the second and the fourth alone. */
    void (*strassen_sums)(const float *a, const float *b, size_t half, float *sums, size_t step);
    size_t lanes; /* the transforms below want channels in multiples of it */
    /** Winograd's transforms: [kind][lines one short][columns one short]. Short tiles have a pixel less than the kind
     *  says, and lack the points of that index, but take the weights of full ones. */
    iq_winograd_in_fn winograd_in[IQ_WINOGRAD_KINDS][2][2];
    iq_winograd_out_fn winograd_out[IQ_WINOGRAD_KINDS][2][2];
    /** out[c] = the largest of all pixels' [c]; a NaN wins. @param count at least 1 */
    void (*largest)(const float *const *pixels, size_t count, size_t channels, float *out);
    /** values += bias (+ residual), then ReLU, in which a NaN stays one; rows are *_step floats apart.
     *  @param residual not values, or NULL @param bias cols floats */
    void (*finish)(float *values, size_t step, const float *residual, size_t residual_step, const float *bias,
                   size_t rows, size_t cols, bool relu);
} iq_kernel_set;

/** The best set that the machine runs and the mask allows, or NULL. */
const iq_kernel_set *iq_kernels_best(iq_isa at_most);
/** As above, but where there is none that of any machine, which has everything but tiles. */
const iq_kernel_set *iq_kernels_vectors(iq_isa at_most);

#endif
