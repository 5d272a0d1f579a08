/* Convolution as a matrix product: 1x1 with stride 1 straight on the NHWC input, others over gathered windows, a block
 * of rows at a time so that windows and results stay in the cache until bias, residual and ReLU are done. */
#include "nn/blas.h"
#include "nn/ops/add.h"
#include "nn/ops/conv.h"

enum {
    BLOCK_FLOATS = 256 * 1024, /* of windows and results: 1 MiB, half of a level-2 cache */
    BLOCK_ROWS_MIN = 192,      /* below it OpenBLAS spends its time packing the weights, again for each block */
    FEW_ROWS = 256,            /* here the weights are most of the work: cut their columns instead */
    FEW_ROWS_COL_PARTS = 4,
    COLS_MIN = 64
};

static bool openblas_fits(const iq_conv *conv)
{
    return iq_conv_is_packed(conv);
}

static bool reads_in_place(const iq_conv *conv)
{
    return conv->kernel == 1 && conv->stride == 1 && conv->pad == 0;
}

static const char *openblas_algorithm(const iq_conv *conv)
{
    return reads_in_place(conv) ? "gemm" : "im2col + gemm";
}

static iq_conv_split openblas_split(const iq_conv *conv)
{
    size_t rows = BLOCK_FLOATS / (iq_conv_depth(conv) + conv->out_channels);
    if (rows < BLOCK_ROWS_MIN)
        rows = BLOCK_ROWS_MIN;
    size_t cols = conv->out_channels;
    if (iq_conv_rows(conv) <= FEW_ROWS && cols > COLS_MIN) {
        cols = (cols + FEW_ROWS_COL_PARTS - 1) / FEW_ROWS_COL_PARTS;
        cols = cols < COLS_MIN ? COLS_MIN : cols;
    }
    return iq_conv_split_evenly(conv, rows, cols);
}

static size_t openblas_parts(const iq_conv *conv, size_t phase)
{
    (void)phase;
    const iq_conv_split split = openblas_split(conv);
    return split.row_parts * split.col_parts;
}

static size_t openblas_own_floats(const iq_conv *conv)
{
    return reads_in_place(conv) ? 0 : openblas_split(conv).rows * iq_conv_depth(conv);
}

static void openblas_run(const iq_conv *conv, size_t phase, size_t index, const iq_conv_scratch *scratch)
{
    (void)phase;
    const iq_conv_split split = openblas_split(conv);
    const iq_conv_part part = iq_conv_part_at(conv, &split, index);
    const size_t depth = iq_conv_depth(conv);
    const float *windows = scratch->own;
    if (reads_in_place(conv))
        windows = conv->input + part.row * depth;
    else
        iq_conv_gather(conv, part.row, part.rows, scratch->own);
    const size_t at = part.row * conv->out_channels + part.col;
    iq_blas_gemm(part.rows, part.cols, depth, windows, depth, conv->weights + part.col, conv->out_channels,
                 conv->output + at, conv->out_channels);
    iq_add_bias(conv->output + at, conv->residual != NULL ? conv->residual + at : NULL, conv->bias + part.col,
                part.rows, part.cols, conv->out_channels, conv->relu);
}

const iq_conv_kernel iq_conv_openblas = {
    .engine = "openblas",
    .algorithm = openblas_algorithm,
    .fits = openblas_fits,
    .phases = iq_conv_one_phase,
    .parts = openblas_parts,
    .own_floats = openblas_own_floats,
    .run = openblas_run,
    .prepare = iq_blas_use_one_thread,
};
