/* Every way to compute a convolution, against its definition written out once more. */
#include "nn_tests.h"

#include "nn/dispatch.h"
#include "nn/ops/conv.h"

#include "support/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const engines[] = {"scalar", "auto"};

/* A convolution with memory of its own; released by free_conv(). */
static iq_conv random_conv(size_t images, size_t height, size_t width, size_t in, size_t out, size_t kernel,
                           size_t stride, size_t pad, bool residual, bool relu)
{
    iq_conv conv = {
        .images = images,
        .in_height = height,
        .in_width = width,
        .in_channels = in,
        .out_height = (height + 2 * pad - kernel) / stride + 1,
        .out_width = (width + 2 * pad - kernel) / stride + 1,
        .out_channels = out,
        .kernel = kernel,
        .stride = stride,
        .pad = pad,
        .relu = relu,
        .in_step = in,
        .out_step = out,
        .residual_step = out,
        .weights = random_floats(kernel * kernel * in * out),
        .bias = random_floats(out),
        .input = random_floats(images * height * width * in),
    };
    conv.output = random_floats(iq_conv_rows(&conv) * out);
    conv.residual = residual ? random_floats(iq_conv_rows(&conv) * out) : NULL;
    return conv;
}

static void free_conv(const iq_conv *conv)
{
    free((void *)conv->weights);
    free((void *)conv->bias);
    free((void *)conv->input);
    free((void *)conv->residual);
    free(conv->output);
}

static double defined_value(const iq_conv *conv, size_t image, size_t y, size_t x, size_t o)
{
    double sum = (double)conv->bias[o];
    for (size_t ky = 0; ky < conv->kernel; ky++)
        for (size_t kx = 0; kx < conv->kernel; kx++)
            for (size_t i = 0; i < conv->in_channels; i++) {
                const long in_y = (long)(y * conv->stride + ky) - (long)conv->pad;
                const long in_x = (long)(x * conv->stride + kx) - (long)conv->pad;
                if (in_y < 0 || in_x < 0 || in_y >= (long)conv->in_height || in_x >= (long)conv->in_width)
                    continue;
                const size_t at =
                    ((image * conv->in_height + (size_t)in_y) * conv->in_width + (size_t)in_x) * conv->in_channels + i;
                const size_t w = ((ky * conv->kernel + kx) * conv->in_channels + i) * conv->out_channels + o;
                sum += (double)conv->input[at] * (double)conv->weights[w];
            }
    const size_t at = ((image * conv->out_height + y) * conv->out_width + x) * conv->out_channels + o;
    if (conv->residual != NULL)
        sum += (double)conv->residual[at];
    return conv->relu && sum < 0 ? 0 : sum;
}

static float *aligned_floats(size_t count)
{
    return aligned_alloc(64, (count * sizeof(float) + 127) / 64 * 64);
}

static size_t floats_or_none(size_t (*floats)(const iq_conv *conv), const iq_conv *conv)
{
    return floats != NULL ? floats(conv) : 0;
}

static void run_kernel(const iq_conv_kernel *kernel, const iq_conv *wanted)
{
    iq_conv conv = *wanted;
    const size_t packed_floats = floats_or_none(kernel->packed_floats, &conv);
    float *packed = aligned_floats(packed_floats);
    if (packed_floats > 0)
        kernel->pack(&conv, packed);
    conv.packed = packed;
    const iq_conv_scratch scratch = {
        .own = aligned_floats(floats_or_none(kernel->own_floats, &conv)),
        .shared = aligned_floats(floats_or_none(kernel->shared_floats, &conv)),
    };
    const size_t phases = kernel->phases(&conv);
    for (size_t phase = 0; phase < phases; phase++)
        for (size_t i = 0; i < kernel->parts(&conv, phase); i++)
            kernel->run(&conv, phase, i, &scratch);
    free(scratch.own);
    free(scratch.shared);
    free(packed);
}

static void run_all_parts(iq_conv *conv, const char *engine)
{
    iq_engine found;
    imgq_error err;
    if (!CHECK_OK(iq_dispatch_engine(engine, NULL, &found, &err)))
        return;
    conv->set = found.set;
    iq_dispatch_prepare(&found);
    run_kernel(iq_dispatch_conv(&found, conv), conv);
}

/* Sums of floats one after the other; what each native kernel may do is in test_kernels.c. */
static double tolerance(const iq_conv *conv)
{
    return (conv->kernel == 3 && conv->stride == 1 ? 6e-5 : 6e-6) * sqrt((double)iq_conv_depth(conv)) + 1e-6;
}

/* The largest difference from the definition. */
static double error_of(const iq_conv *conv)
{
    double worst = 0;
    const float *at = conv->output;
    for (size_t n = 0; n < conv->images; n++)
        for (size_t y = 0; y < conv->out_height; y++)
            for (size_t x = 0; x < conv->out_width; x++)
                for (size_t o = 0; o < conv->out_channels; o++) {
                    const double error = fabs((double)*at++ - defined_value(conv, n, y, x, o));
                    worst = error > worst || isnan(error) ? error : worst;
                }
    return worst;
}

void both_engines_agree_with_the_definition(void)
{
    for (int round = 0; round < 150; round++) {
        const size_t kernels[] = {1, 1, 2, 3, 3, 5, 7};
        const size_t kernel = kernels[random_between(0, 6)], pad = random_between(0, kernel - 1);
        const size_t height = random_between(kernel, kernel + 12), width = random_between(kernel, kernel + 12);
        iq_conv conv =
            random_conv(random_between(1, 3), height, width, random_between(1, 40), random_between(1, 140), kernel,
                        random_between(1, 3), pad, random_between(0, 1) == 1, random_between(0, 1) == 1);
        for (size_t e = 0; e < 2; e++) {
            run_all_parts(&conv, engines[e]);
            if (!CHECK_NEAR(0, error_of(&conv), tolerance(&conv)))
                fprintf(stderr, "%s: %zux%zux%zux%zu k%zu s%zu p%zu to %zu\n", engines[e], conv.images, height, width,
                        conv.in_channels, kernel, conv.stride, pad, conv.out_channels);
        }
        free_conv(&conv);
    }
}

/* Shapes large enough for several blocks of rows or columns: too large for the definition, so the two are compared. */
void engines_agree_on_every_shape_of_the_network(void)
{
    static const size_t shapes[][5] = {
        /* side, in, out, kernel, stride */
        {224, 3, 64, 7, 2},   {56, 64, 256, 1, 1},  {56, 256, 128, 1, 2},  {28, 128, 128, 3, 1},
        {28, 128, 512, 1, 1}, {14, 256, 256, 3, 1}, {14, 1024, 256, 1, 1}, {14, 512, 512, 3, 2},
        {7, 512, 512, 3, 1},  {7, 512, 2048, 1, 1}, {7, 2048, 512, 1, 1},  {1, 2048, 1000, 1, 1},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t *shape = shapes[s];
        iq_conv conv = random_conv(s < 5 ? 1 : random_between(1, 3), shape[0], shape[0], shape[1], shape[2], shape[3],
                                   shape[4], shape[3] / 2, s % 2 == 1, s % 3 == 0);
        const size_t count = iq_conv_rows(&conv) * conv.out_channels;
        float *first = malloc(count * sizeof *first);
        run_all_parts(&conv, "scalar");
        memcpy(first, conv.output, count * sizeof *first);
        run_all_parts(&conv, "auto");
        double worst = 0;
        for (size_t i = 0; i < count; i++) {
            const double off = fabs((double)first[i] - (double)conv.output[i]);
            worst = off > worst || isnan(off) ? off : worst;
        }
        CHECK_NEAR(0, worst, tolerance(&conv));
        free(first);
        free_conv(&conv);
    }
}

void parts_cover_the_output_once(void)
{
    for (int round = 0; round < 300; round++) {
        const iq_conv conv = {.images = random_between(1, 4),
                              .out_height = random_between(1, 9),
                              .out_width = random_between(1, 9),
                              .out_channels = random_between(1, 30)};
        const size_t rows = iq_conv_rows(&conv);
        const iq_conv_split split = iq_conv_split_evenly(&conv, random_between(1, 50), random_between(1, 40));
        uint8_t *seen = calloc(rows, conv.out_channels);
        for (size_t i = 0; i < split.row_parts * split.col_parts; i++) {
            const iq_conv_part part = iq_conv_part_at(&conv, &split, i);
            CHECK(part.rows > 0 && part.cols > 0 && part.row + part.rows <= rows &&
                  part.col + part.cols <= conv.out_channels);
            for (size_t r = 0; r < part.rows; r++)
                for (size_t c = 0; c < part.cols; c++)
                    seen[(part.row + r) * conv.out_channels + part.col + c]++;
        }
        for (size_t i = 0; i < rows * conv.out_channels; i++)
            if (!CHECK_EQ_SIZE(1, seen[i]))
                break;
        free(seen);
    }
}

void bytes_behind_the_output_are_left_alone(void)
{
    for (int round = 0; round < 20; round++) {
        iq_conv conv = random_conv(1, 9, 11, random_between(1, 20), random_between(1, 90), 3, 1, 1, true, true);
        const size_t count = iq_conv_rows(&conv) * conv.out_channels;
        float *guarded = random_floats(count + 64);
        float before[64];
        memcpy(before, guarded + count, sizeof before);
        free(conv.output);
        conv.output = guarded;
        run_all_parts(&conv, "scalar");
        run_all_parts(&conv, "auto");
        CHECK_EQ_MEM(before, guarded + count, sizeof before);
        free_conv(&conv);
    }
}
