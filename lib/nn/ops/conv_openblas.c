/* Convolution as matrix products: 1x1 straight on the NHWC input, others over gathered windows, a block of rows at a
 * time, so that windows and results stay in the cache until bias, residual and ReLU are done.
 *
 * OpenBLAS packs both matrices at each call, unless they are small and it has kernels for those: then a call's cost is
 * that of its products, and blocks are cut to that size over weights that were brought into panels once. */
#include "nn/blas.h"
#include "nn/ops/winograd.h"

#include <string.h>

enum {
    /* Packing calls. */
    BLOCK_FLOATS = 256 * 1024, /* of windows and results: 1 MiB, half of a level-2 cache */
    BLOCK_ROWS_MIN = 192,      /* below it OpenBLAS spends its time packing the weights, again for each block */
    FEW_ROWS = 256,            /* here the weights are most of the work: cut their columns instead */
    FEW_ROWS_COL_PARTS = 4,
    COLS_MIN = 64,
    /* Small calls. */
    PANEL_COLS = 64,
    CALL_ROWS = 56,
    CALL_DEPTH = 1024,
    INPUT_FLOATS = 96 * 1024, /* of a block, in the second level's cache while all panels pass by */
    INPUT_ROWS_MIN = CALL_ROWS / 2,
    INPUT_ROWS_MAX = 4 * CALL_ROWS,
    PARTS_MIN = 12, /* fewer blocks than that are cut by channels too */
    GATHER_ROWS = 14,
    LINE_FLOATS = 16 /* of the cache */
};

static size_t openblas_cost(const iq_conv *conv)
{
    return iq_conv_plain_cost(conv);
}

static bool any_fits(const iq_conv *conv)
{
    (void)conv;
    return true;
}

static bool reads_in_place(const iq_conv *conv)
{
    return conv->kernel == 1 && conv->stride == 1 && conv->pad == 0;
}

static const char *openblas_algorithm(const iq_conv *conv)
{
    return reads_in_place(conv) ? "gemm" : "im2col + gemm";
}

static void finish(const iq_conv *conv, size_t row, size_t rows, size_t col, size_t cols)
{
    conv->set->finish(conv->output + row * conv->out_step + col, conv->out_step,
                      conv->residual != NULL ? conv->residual + row * conv->residual_step + col : NULL,
                      conv->residual_step, conv->bias + col, rows, cols, conv->relu);
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
    size_t step = depth;
    if (reads_in_place(conv)) {
        step = conv->in_step;
        windows = conv->input + part.row * step;
    } else {
        iq_conv_gather(conv, part.row, part.rows, scratch->own);
    }
    iq_blas_gemm(part.rows, part.cols, depth, windows, step, conv->weights + part.col, conv->out_channels,
                 conv->output + part.row * conv->out_step + part.col, conv->out_step, false);
    finish(conv, part.row, part.rows, part.col, part.cols);
}

const iq_conv_kernel iq_conv_openblas = {
    .engine = "openblas",
    .algorithm = openblas_algorithm,
    .fits = any_fits,
    .cost = openblas_cost,
    .phases = iq_conv_one_phase,
    .parts = openblas_parts,
    .own_floats = openblas_own_floats,
    .run = openblas_run,
    .prepare = iq_blas_use_one_thread,
};

/* As iq_blas_gemm(), of up to PANEL_COLS columns, in calls that need no packing. */
static void small_gemm(size_t rows, size_t cols, size_t depth, const float *a, size_t a_step, const float *b,
                       size_t b_step, float *c, size_t c_step)
{
    const size_t pieces = iq_divide_up(depth, CALL_DEPTH), most_depth = iq_divide_up(depth, pieces);
    size_t most = IQ_BLAS_SMALL_PRODUCTS / (cols * most_depth);
    most = most > CALL_ROWS ? CALL_ROWS : most / 4 * 4;
    for (size_t r = 0, n; r < rows; r += n) {
        n = rows - r < most ? rows - r : most;
        for (size_t d = 0; d < depth; d += most_depth)
            iq_blas_gemm(n, cols, depth - d < most_depth ? depth - d : most_depth, a + r * a_step + d, a_step,
                         b + d * b_step, b_step, c + r * c_step, c_step, d > 0);
    }
}

/* One line's neighbours are a step apart whatever the stride. */
static bool reads_lines(const iq_conv *conv)
{
    return conv->kernel == 1 && conv->pad == 0;
}

static bool panels_fits(const iq_conv *conv)
{
    (void)conv;
    return iq_blas_has_small_kernels();
}

static const char *panels_algorithm(const iq_conv *conv)
{
    return reads_lines(conv) ? "gemm" : "im2col + gemm";
}

static iq_conv_split panels_split(const iq_conv *conv)
{
    iq_conv_split split;
    size_t most = INPUT_FLOATS / iq_conv_depth(conv);
    most = most < INPUT_ROWS_MIN ? INPUT_ROWS_MIN : most > INPUT_ROWS_MAX ? INPUT_ROWS_MAX : most;
    split = iq_conv_split_evenly(conv, most, conv->out_channels);
    const size_t panels = iq_divide_up(conv->out_channels, PANEL_COLS);
    const size_t share = iq_divide_up(panels, iq_divide_up(PARTS_MIN, split.row_parts));
    split.cols = share * PANEL_COLS;
    split.col_parts = iq_divide_up(panels, share);
    return split;
}

/* Several parts read the same windows: they are gathered first, for all. */
static bool gathers_first(const iq_conv *conv)
{
    return !reads_lines(conv) && panels_split(conv).col_parts > 1;
}

static size_t panels_phases(const iq_conv *conv)
{
    return gathers_first(conv) ? 2 : 1;
}

static size_t panels_parts(const iq_conv *conv, size_t phase)
{
    if (phase == 0 && gathers_first(conv))
        return iq_divide_up(iq_conv_rows(conv), GATHER_ROWS);
    const iq_conv_split split = panels_split(conv);
    return split.row_parts * split.col_parts;
}

static size_t panels_own_floats(const iq_conv *conv)
{
    return reads_lines(conv) || gathers_first(conv) ? 0 : panels_split(conv).rows * iq_conv_depth(conv);
}

static size_t panels_shared_floats(const iq_conv *conv)
{
    return gathers_first(conv) ? iq_conv_rows(conv) * iq_conv_depth(conv) : 0;
}

/* What a product's results will meet comes from far away: it is asked for before. */
static void fetch(const iq_conv *conv, size_t row, size_t rows, size_t col, size_t cols)
{
    for (size_t r = row; r < row + rows; r++)
        for (size_t c = col; c < col + cols; c += LINE_FLOATS) {
            if (conv->residual != NULL)
                __builtin_prefetch(conv->residual + r * conv->residual_step + c, 0, 2);
            __builtin_prefetch(conv->output + r * conv->out_step + c, 1, 2);
        }
}

/* Rows whose windows are `step` apart, through the panels of a part. */
static void rows_by_panels(const iq_conv *conv, const iq_conv_part *part, size_t row, size_t rows, const float *windows,
                           size_t step)
{
    const size_t depth = iq_conv_depth(conv);
    for (size_t col = part->col; col < part->col + part->cols; col += PANEL_COLS) {
        const size_t cols = conv->out_channels - col < PANEL_COLS ? conv->out_channels - col : PANEL_COLS;
        for (size_t r = 0; r < rows; r += CALL_ROWS) {
            const size_t n = rows - r < CALL_ROWS ? rows - r : CALL_ROWS;
            fetch(conv, row + r, n, col, cols);
            small_gemm(n, cols, depth, windows + r * step, step, conv->packed + col * depth, cols,
                       conv->output + (row + r) * conv->out_step + col, conv->out_step);
            finish(conv, row + r, n, col, cols);
        }
    }
}

static void panels_run(const iq_conv *conv, size_t phase, size_t index, const iq_conv_scratch *scratch)
{
    const size_t depth = iq_conv_depth(conv), all = iq_conv_rows(conv);
    if (phase == 0 && gathers_first(conv)) {
        const size_t row = index * GATHER_ROWS;
        iq_conv_gather(conv, row, all - row < GATHER_ROWS ? all - row : GATHER_ROWS, scratch->shared + row * depth);
        return;
    }
    const iq_conv_split split = panels_split(conv);
    const iq_conv_part part = iq_conv_part_at(conv, &split, index);
    if (gathers_first(conv)) {
        rows_by_panels(conv, &part, part.row, part.rows, scratch->shared + part.row * depth, depth);
    } else if (!reads_lines(conv)) {
        iq_conv_gather(conv, part.row, part.rows, scratch->own);
        rows_by_panels(conv, &part, part.row, part.rows, scratch->own, depth);
    } else if (reads_in_place(conv)) {
        rows_by_panels(conv, &part, part.row, part.rows, conv->input + part.row * conv->in_step, conv->in_step);
    } else {
        for (size_t row = part.row, n; row < part.row + part.rows; row += n) {
            const size_t x = row % conv->out_width, line = row / conv->out_width;
            const size_t image = line / conv->out_height, y = line % conv->out_height;
            const size_t left = part.row + part.rows - row;
            n = conv->out_width - x < left ? conv->out_width - x : left;
            const size_t pixel = (image * conv->in_height + y * conv->stride) * conv->in_width + x * conv->stride;
            rows_by_panels(conv, &part, row, n, conv->input + pixel * conv->in_step, conv->stride * conv->in_step);
        }
    }
}

static size_t panels_packed_floats(const iq_conv *conv)
{
    return iq_conv_depth(conv) * conv->out_channels;
}

/* Panels of [depth][PANEL_COLS]; the last one may be narrower. */
static void panels_pack(const iq_conv *conv, float *packed)
{
    for (size_t col = 0; col < conv->out_channels; col += PANEL_COLS) {
        const size_t cols = conv->out_channels - col < PANEL_COLS ? conv->out_channels - col : PANEL_COLS;
        for (size_t d = 0; d < iq_conv_depth(conv); d++, packed += cols)
            memcpy(packed, conv->weights + d * conv->out_channels + col, cols * sizeof *packed);
    }
}

const iq_conv_kernel iq_conv_openblas_panels = {
    .engine = "openblas",
    .algorithm = panels_algorithm,
    .fits = panels_fits,
    .cost = openblas_cost,
    .phases = panels_phases,
    .parts = panels_parts,
    .own_floats = panels_own_floats,
    .shared_floats = panels_shared_floats,
    .packed_floats = panels_packed_floats,
    .pack = panels_pack,
    .run = panels_run,
};

size_t iq_openblas_panel_cols(const iq_conv *conv)
{
    return iq_blas_has_small_kernels() && conv->out_channels > PANEL_COLS ? PANEL_COLS : conv->out_channels;
}

void iq_openblas_winograd_product(const iq_winograd_product *product)
{
    const size_t depth = product->conv->in_channels;
    const bool small = iq_blas_has_small_kernels();
    for (size_t p = 0; p < product->panels; p++) {
        const float *weights = product->weights + p * depth * product->cols;
        float *after = product->after + p * product->cols;
        if (small)
            small_gemm(product->rows, product->cols, depth, product->before, product->before_step, weights,
                       product->cols, after, product->after_step);
        else
            iq_blas_gemm(product->rows, product->cols, depth, product->before, product->before_step, weights,
                         product->cols, after, product->after_step, false);
    }
}
