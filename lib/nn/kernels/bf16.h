/* Kernels on values of bf16: each product is one of pairs of neighbouring channels, summed in fp32. Beside the fp32 set
 * of the same machine, which computes what stays fp32. */
#ifndef IQ_NN_KERNELS_BF16_H
#define IQ_NN_KERNELS_BF16_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/kernels/set.h"

/** One tile: for each of its pixels `cols` sums over taps x depth pairs, and what comes after them. As iq_tile, but
 * that steps are of 16-bit elements. */
typedef struct iq_bf16_tile {
    const uint16_t *input[2]; /* the first pixel's window of each run; [1] is read only with more than IQ_RUN pixels */
    size_t in_step;
    const ptrdiff_t *taps;
    size_t tap_count, depth;     /* depth in pairs */
    const uint16_t *panel;       /* [tap_count][depth][cols][2], 64-byte aligned */
    const float *bias;           /* cols floats, or NULL */
    const uint16_t *residual[2]; /* added before the ReLU; [0] NULL: none */
    size_t residual_step;
    size_t residual_plane; /* not 0: so far behind are its second terms */
    uint16_t *output[2];   /* rounded to nearest even */
    size_t out_plane;      /* not 0: what the rounding took is rounded too, and written so far behind */
    float *sums[2];        /* not NULL: the bare sums go there instead, and there is neither residual nor ReLU */
    size_t out_step;       /* elements of the one that is written */
    bool relu;
    const void *next; /* tap_count x depth cache lines to be fetched meanwhile; any address will do */
    uint32_t *shape;  /* the caller's, 0 before the first tile: what the tile unit is configured for until done() */
} iq_bf16_tile;

typedef void (*iq_bf16_tile_fn)(const iq_bf16_tile *tile);
/** The kernel of n pixels. */
#define IQ_BF16_TILE_OF(n, isa) void iq_bf16_tile_##n##_##isa(const iq_bf16_tile *tile)

/** Every bf16 kernel of one instruction set. A pixel's bits do not depend on the tile that holds it. */
typedef struct iq_bf16_set {
    iq_isa isa;
    size_t cols;                       /* output channels of a tile */
    iq_bf16_tile_fn tile[IQ_TILE + 1]; /* [n]: a tile of n pixels; 1..IQ_RUN + 1 and IQ_TILE are there */
    bool has_planes;                   /* tiles know residual_plane and out_plane */
    void (*done)(void);                /* after a thread's last tile, NULL: nothing */
    size_t lanes;                      /* the transforms below want channels in multiples of it; 0: there are none */
    /** Winograd's transforms, as in iq_kernel_set: sums in fp32, points rounded to bf16 before the product. */
    void (*winograd_in[2])(const uint16_t *const *pixels, size_t channels, uint16_t *out, size_t point_step);
    void (*winograd_out[2])(const float *points, size_t point_step, size_t channels, const float *bias, bool relu,
                            uint16_t *out, size_t line_step, size_t pixel_step, size_t height, size_t width);
    /** out[c] = the largest of all pixels' [c]; a NaN wins. @param count at least 1 */
    void (*largest)(const uint16_t *const *pixels, size_t count, size_t channels, uint16_t *out);
    /** Rounds to nearest even; denormals become 0. */
    void (*narrow)(const float *values, size_t count, uint16_t *out);
} iq_bf16_set;

/** The best set that the machine runs and the mask allows, or NULL. Asks the operating system for the tile units if the
 *  processor has them and the mask allows them. */
const iq_bf16_set *iq_bf16_best(iq_isa at_most);
/** Whether its tiles compute what they should, on small whole numbers, whose sums are exact in any order. */
bool iq_bf16_check(const iq_bf16_set *set);

#endif
