/* Convolution as it is defined, in double: slow, and what every other way is measured against. */
#include "nn/ops/conv.h"

enum { SCALAR_COLS = 64, SCALAR_ROWS = 64 };

static bool scalar_fits(const iq_conv *conv)
{
    (void)conv;
    return true;
}

static iq_conv_split scalar_split(const iq_conv *conv)
{
    return iq_conv_split_evenly(conv, SCALAR_ROWS, SCALAR_COLS);
}

static size_t scalar_parts(const iq_conv *conv, size_t phase)
{
    (void)phase;
    const iq_conv_split split = scalar_split(conv);
    return split.row_parts * split.col_parts;
}

/* sum[c] += the window's products for the output channels from col on. */
static void sum_window(const iq_conv *conv, size_t row, size_t col, size_t cols, double *sum)
{
    const size_t out_x = row % conv->out_width, out_y = row / conv->out_width % conv->out_height;
    const size_t image = row / (conv->out_width * conv->out_height);
    for (size_t ky = 0; ky < conv->kernel; ky++) {
        for (size_t kx = 0; kx < conv->kernel; kx++) {
            const size_t y = out_y * conv->stride + ky, x = out_x * conv->stride + kx;
            if (y < conv->pad || x < conv->pad || y - conv->pad >= conv->in_height || x - conv->pad >= conv->in_width)
                continue;
            const size_t pixel = (image * conv->in_height + y - conv->pad) * conv->in_width + x - conv->pad;
            const float *input = conv->input + pixel * conv->in_step;
            const float *weights =
                conv->weights + (ky * conv->kernel + kx) * conv->in_channels * conv->out_channels + col;
            for (size_t i = 0; i < conv->in_channels; i++)
                for (size_t c = 0; c < cols; c++)
                    sum[c] += (double)input[i] * (double)weights[i * conv->out_channels + c];
        }
    }
}

static void scalar_run(const iq_conv *conv, size_t phase, size_t index, const iq_conv_scratch *scratch)
{
    (void)phase;
    (void)scratch;
    const iq_conv_split split = scalar_split(conv);
    const iq_conv_part part = iq_conv_part_at(conv, &split, index);
    for (size_t row = part.row; row < part.row + part.rows; row++) {
        double sum[SCALAR_COLS] = {0};
        sum_window(conv, row, part.col, part.cols, sum);
        for (size_t c = 0; c < part.cols; c++) {
            const size_t col = part.col + c;
            double value = sum[c] + (double)conv->bias[col];
            if (conv->residual != NULL)
                value += (double)conv->residual[row * conv->residual_step + col];
            /* A NaN stays one. */
            conv->output[row * conv->out_step + col] = conv->relu && value < 0 ? 0.0f : (float)value;
        }
    }
}

static const char *scalar_algorithm(const iq_conv *conv)
{
    (void)conv;
    return "direct";
}

const iq_conv_kernel iq_conv_scalar = {
    .engine = "scalar",
    .algorithm = scalar_algorithm,
    .fits = scalar_fits,
    .phases = iq_conv_one_phase,
    .parts = scalar_parts,
    .run = scalar_run,
};
