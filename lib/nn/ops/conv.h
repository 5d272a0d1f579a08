/* One convolution over a batch: its shapes, its memory, and the parts in which threads share it. A dense layer is a
 * convolution of 1 x 1 images. */
#ifndef IQ_NN_OPS_CONV_H
#define IQ_NN_OPS_CONV_H

#include <stdbool.h>
#include <stddef.h>

#include "nn/kernels/bf16.h"
#include "nn/kernels/set.h"
#include "nn/type.h"

/** All values NHWC; lines and images follow each other without gaps, pixels are *_step floats apart. Rows of the output
 *  are its pixels, counted through all images. */
typedef struct iq_conv {
    size_t images;
    size_t in_height, in_width, in_channels;
    size_t out_height, out_width, out_channels;
    size_t kernel, stride, pad;
    bool relu;
    size_t in_step, out_step, residual_step; /* at least the channels */
    iq_type in_type, out_type;               /* of input; of residual and output */
    const iq_kernel_set *set;                /* of the engines native (with tiles) and openblas, or NULL */
    const iq_bf16_set *bf16;                 /* beside it, where outputs are of that type; else NULL */
    const float *weights;                    /* [kernel][kernel][in_channels][out_channels] */
    const float *bias;                       /* [out_channels] */
    const float *packed;                     /* what the kernel's pack() wrote; 64-byte aligned */
    const float *input;
    const float *residual; /* as output, or NULL; never output itself */
    float *output;
} iq_conv;

/** How the output is cut: parts of `rows` x `cols`, the last ones smaller. A function of shapes and batch alone, never
 *  of threads: so any number of threads computes the same bits. */
typedef struct iq_conv_split {
    size_t rows, cols;
    size_t row_parts, col_parts;
} iq_conv_split;

/** A piece of the output: rows row .. row + rows - 1, channels col .. col + cols - 1. */
typedef struct iq_conv_part {
    size_t row, rows, col, cols;
} iq_conv_part;

/** 64-byte aligned, of the sizes that the kernel asked for. */
typedef struct iq_conv_scratch {
    float *own;    /* no other thread's */
    float *shared; /* one for all parts, kept from phase to phase */
} iq_conv_scratch;

/** One way to compute convolutions. Callers have validated everything; nothing here fails. The work is some phases,
 * each a number of parts that are computed in any order, by any threads; a phase begins when the one before is done. */
typedef struct iq_conv_kernel {
    const char *engine; /* the name that session options and results know */
    iq_type type;       /* of the outputs it makes; those of IQ_F32 read nothing else */
    /** What it does with this convolution, in a word or three for tables: "gemm", "im2col + gemm"; static. */
    const char *(*algorithm)(const iq_conv *conv);
    bool (*fits)(const iq_conv *conv);
    /** Of an engine's kernels that fit, the one that costs least is taken. In products of one pixel and one tap, see
     *  iq_conv_row_cost(); NULL: taken only where nothing else fits, the first such of the table. */
    size_t (*cost)(const iq_conv *conv);
    size_t (*phases)(const iq_conv *conv);
    size_t (*parts)(const iq_conv *conv, size_t phase);
    size_t (*own_floats)(const iq_conv *conv); /* these two: NULL for none */
    size_t (*shared_floats)(const iq_conv *conv);
    size_t (*packed_floats)(const iq_conv *conv); /* NULL: reads the weights as they are */
    void (*pack)(const iq_conv *conv, float *packed);
    void (*run)(const iq_conv *conv, size_t phase, size_t part, const iq_conv_scratch *scratch);
    void (*prepare)(void); /* once per session, before the first run; may be NULL */
} iq_conv_kernel;

extern const iq_conv_kernel iq_conv_scalar;
/* The openblas engine's: products over panels of packed weights, where OpenBLAS has kernels for small ones; over
 * the weights as they are; Winograd's, which want conv->set. */
extern const iq_conv_kernel iq_conv_openblas_panels;
extern const iq_conv_kernel iq_conv_openblas;
extern const iq_conv_kernel iq_conv_openblas_winograd_2;
extern const iq_conv_kernel iq_conv_openblas_winograd_4;
/* The native engine's; they want conv->set. */
extern const iq_conv_kernel iq_conv_direct;
extern const iq_conv_kernel iq_conv_strassen;
extern const iq_conv_kernel iq_conv_winograd_2;
extern const iq_conv_kernel iq_conv_winograd_4;
/* And on values of bf16; they want conv->bf16 too. */
extern const iq_conv_kernel iq_conv_bf16_direct;
extern const iq_conv_kernel iq_conv_bf16_two; /* on values of IQ_BF16_TWO */
extern const iq_conv_kernel iq_conv_bf16_winograd_2;
extern const iq_conv_kernel iq_conv_bf16_winograd_4;

static inline size_t iq_conv_rows(const iq_conv *conv)
{
    return conv->images * conv->out_height * conv->out_width;
}

/** Values that one output value is a sum of. */
static inline size_t iq_conv_depth(const iq_conv *conv)
{
    return conv->kernel * conv->kernel * conv->in_channels;
}

static inline size_t iq_divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/** What `rows` pixels times one tap's weights cost: reading the weights takes as long as some rows. Measured on Zen 4,
 *  which multiplies with 117 GFLOP/s and reads 40 GB/s from memory. */
static inline size_t iq_conv_row_cost(size_t rows)
{
    enum { WEIGHT_ROWS = 10 };
    return rows > WEIGHT_ROWS ? rows : WEIGHT_ROWS;
}

/** Of the definition's sums. */
static inline size_t iq_conv_plain_cost(const iq_conv *conv)
{
    return conv->kernel * conv->kernel * iq_conv_row_cost(iq_conv_rows(conv));
}

/** For kernels of one phase. */
size_t iq_conv_one_phase(const iq_conv *conv);
/** Cut into parts of at most rows x cols, all of about one size. */
iq_conv_split iq_conv_split_evenly(const iq_conv *conv, size_t rows, size_t cols);
iq_conv_part iq_conv_part_at(const iq_conv *conv, const iq_conv_split *split, size_t index);
/** The windows of `rows` output pixels from `row` on, one per line of iq_conv_depth() floats; zeros outside. */
void iq_conv_gather(const iq_conv *conv, size_t row, size_t rows, float *lines);

#endif
