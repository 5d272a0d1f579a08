/* What all convolutions share: cutting the output into parts, and gathering windows. */
#include "nn/ops/conv.h"

#include <string.h>

size_t iq_conv_one_phase(const iq_conv *conv)
{
    (void)conv;
    return 1;
}

iq_conv_split iq_conv_split_evenly(const iq_conv *conv, size_t rows, size_t cols)
{
    iq_conv_split split;
    split.rows = iq_divide_up(iq_conv_rows(conv), iq_divide_up(iq_conv_rows(conv), rows));
    split.row_parts = iq_divide_up(iq_conv_rows(conv), split.rows);
    split.cols = iq_divide_up(conv->out_channels, iq_divide_up(conv->out_channels, cols));
    split.col_parts = iq_divide_up(conv->out_channels, split.cols);
    return split;
}

iq_conv_part iq_conv_part_at(const iq_conv *conv, const iq_conv_split *split, size_t index)
{
    iq_conv_part part;
    part.row = index / split->col_parts * split->rows;
    part.col = index % split->col_parts * split->cols;
    const size_t rows_left = iq_conv_rows(conv) - part.row, cols_left = conv->out_channels - part.col;
    part.rows = split->rows < rows_left ? split->rows : rows_left;
    part.cols = split->cols < cols_left ? split->cols : cols_left;
    return part;
}

static void copy_pixels(const iq_conv *conv, const float *from, size_t count, float *out)
{
    if (conv->in_step == conv->in_channels) {
        memcpy(out, from, count * conv->in_channels * sizeof *out);
        return;
    }
    for (size_t p = 0; p < count; p++)
        memcpy(out + p * conv->in_channels, from + p * conv->in_step, conv->in_channels * sizeof *out);
}

/* The kernel-wide stretch of one input line that a window sees. x is the window's left edge + pad. */
static void gather_stretch(const iq_conv *conv, const float *line, size_t x, float *out)
{
    const size_t channels = conv->in_channels;
    if (x >= conv->pad && x - conv->pad + conv->kernel <= conv->in_width) {
        copy_pixels(conv, line + (x - conv->pad) * conv->in_step, conv->kernel, out);
        return;
    }
    const size_t before = x < conv->pad ? conv->pad - x : 0;
    const size_t first = x + before - conv->pad;
    size_t count = conv->kernel - before;
    if (first + count > conv->in_width)
        count = first < conv->in_width ? conv->in_width - first : 0;
    memset(out, 0, before * channels * sizeof *out);
    copy_pixels(conv, line + first * conv->in_step, count, out + before * channels);
    memset(out + (before + count) * channels, 0, (conv->kernel - before - count) * channels * sizeof *out);
}

void iq_conv_gather(const iq_conv *conv, size_t row, size_t rows, float *lines)
{
    const size_t line_floats = conv->in_width * conv->in_step, stretch = conv->kernel * conv->in_channels;
    for (size_t r = row; r < row + rows; r++) {
        const size_t x = r % conv->out_width * conv->stride;
        const size_t y = r / conv->out_width % conv->out_height * conv->stride;
        const float *image = conv->input + r / (conv->out_width * conv->out_height) * conv->in_height * line_floats;
        for (size_t ky = 0; ky < conv->kernel; ky++, lines += stretch) {
            const size_t padded_y = y + ky;
            if (padded_y < conv->pad || padded_y - conv->pad >= conv->in_height)
                memset(lines, 0, stretch * sizeof *lines);
            else
                gather_stretch(conv, image + (padded_y - conv->pad) * line_floats, x, lines);
        }
    }
}
