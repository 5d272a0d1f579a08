/* The kernels of the engines native and openblas one by one against the plain loops: every shape of both networks,
 * thousands of others, on memory whose neighbours cannot be touched. */
#include "nn_tests.h"

#include "nn/dispatch.h"
#include "nn/ops/conv.h"

#include "support/check.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const iq_conv_kernel *const kernels[] = {
    &iq_conv_direct,   &iq_conv_strassen,        &iq_conv_winograd_2,          &iq_conv_winograd_4,
#if IMGQ_HAVE_OPENBLAS
    &iq_conv_openblas, &iq_conv_openblas_panels, &iq_conv_openblas_winograd_2, &iq_conv_openblas_winograd_4,
#endif
};

/* Error that an algorithm may make, in units of the sum's usual size. F(4x4) multiplies by up to 100 what it takes off
 * again. */
static const double errors[] = {4e-6, 1.2e-5, 4e-6, 6e-5, 4e-6, 4e-6, 4e-6, 6e-5};

enum { KERNELS = sizeof kernels / sizeof *kernels, SETS_MAX = 2 };

/* A sum grows with the root of its length, and each step rounds what has gathered: that error grows with the length. */
static double tolerance(size_t kernel, double depth)
{
    return errors[kernel] * sqrt(depth) + 2e-8 * depth + 1e-6;
}

static bool is_native(const iq_conv_kernel *kernel)
{
    return strcmp(kernel->engine, "native") == 0;
}

/* The sets with tiles that this machine runs. */
static size_t find_sets(const iq_kernel_set **sets)
{
    size_t count = 0;
    const iq_kernel_set *avx512 = iq_kernels_best(IQ_ISA_AVX512), *avx2 = iq_kernels_best(IQ_ISA_AVX2);
    if (avx512 != NULL)
        sets[count++] = avx512;
    if (avx2 != NULL && avx2 != avx512)
        sets[count++] = avx2;
    return count;
}

/* Floats between two pages that nobody may touch: right before the end, or right behind the start. */
typedef struct guarded {
    uint8_t *block;
    size_t bytes;
    float *floats;
} guarded;

static guarded guard(size_t count, bool at_end, size_t alignment)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = count * sizeof(float);
    const size_t inner = (size + alignment + page - 1) / page * page;
    guarded g = {.bytes = inner + 2 * page};
    g.block = mmap(NULL, g.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.block == MAP_FAILED)
        abort();
    mprotect(g.block, page, PROT_NONE);
    mprotect(g.block + page + inner, page, PROT_NONE);
    g.floats = (float *)(void *)(g.block + page + (at_end ? (inner - size) / alignment * alignment : 0));
    return g;
}

static void unguard(const guarded *g)
{
    munmap(g->block, g->bytes);
}

static void fill(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((double)(random_bits() >> 11) * 0x1p-52 - 1.0);
}

/* What lies between pixels must be neither read nor written: it is poison, and stays it. */
static void poison_gaps(float *values, size_t pixels, size_t channels, size_t step)
{
    for (size_t p = 0; p + 1 < pixels; p++)
        for (size_t c = channels; c < step; c++)
            values[p * step + c] = NAN;
}

static bool gaps_are_poison(const float *values, size_t pixels, size_t channels, size_t step)
{
    for (size_t p = 0; p + 1 < pixels; p++)
        for (size_t c = channels; c < step; c++)
            if (!isnan(values[p * step + c]))
                return false;
    return true;
}

enum { INPUT, RESIDUAL, OUTPUT, WEIGHTS, BIAS, PACKED, OWN, SHARED, BLOCKS };

typedef struct bench {
    iq_conv conv;
    guarded blocks[BLOCKS];
    bool at_end;
} bench;

static size_t span(size_t pixels, size_t channels, size_t step)
{
    return (pixels - 1) * step + channels;
}

static float *block(bench *b, size_t which, size_t count, size_t alignment)
{
    b->blocks[which] = guard(count, b->at_end, alignment);
    return b->blocks[which].floats;
}

/* A convolution on guarded memory; conv has shapes, steps and set. */
static void bench_begin(bench *b, bool residual)
{
    iq_conv *c = &b->conv;
    const size_t in_pixels = c->images * c->in_height * c->in_width, out_pixels = iq_conv_rows(c);
    const size_t in = span(in_pixels, c->in_channels, c->in_step), out = span(out_pixels, c->out_channels, c->out_step);
    const size_t added = residual ? span(out_pixels, c->out_channels, c->residual_step) : 0;
    float *input = block(b, INPUT, in, 4), *residuals = block(b, RESIDUAL, added, 4);
    float *weights = block(b, WEIGHTS, iq_conv_depth(c) * c->out_channels, 4),
          *bias = block(b, BIAS, c->out_channels, 4);
    fill(input, in);
    fill(residuals, added);
    fill(weights, iq_conv_depth(c) * c->out_channels);
    fill(bias, c->out_channels);
    poison_gaps(input, in_pixels, c->in_channels, c->in_step);
    if (residual)
        poison_gaps(residuals, out_pixels, c->out_channels, c->residual_step);
    c->input = input;
    c->residual = residual ? residuals : NULL;
    c->weights = weights;
    c->bias = bias;
    c->output = block(b, OUTPUT, out, 4);
    poison_gaps(c->output, out_pixels, c->out_channels, c->out_step);
}

static void bench_end(const bench *b)
{
    for (size_t i = 0; i < PACKED; i++)
        unguard(&b->blocks[i]);
}

static void run_one(bench *b, const iq_conv_kernel *kernel)
{
    iq_conv *c = &b->conv;
    if (kernel->prepare != NULL)
        kernel->prepare();
    const size_t packed = kernel->packed_floats != NULL ? kernel->packed_floats(c) : 0;
    c->packed = block(b, PACKED, packed, 64);
    if (packed > 0)
        kernel->pack(c, b->blocks[PACKED].floats);
    const iq_conv_scratch scratch = {
        .own = block(b, OWN, kernel->own_floats != NULL ? kernel->own_floats(c) : 0, 64),
        .shared = block(b, SHARED, kernel->shared_floats != NULL ? kernel->shared_floats(c) : 0, 64),
    };
    const size_t phases = kernel->phases(c);
    for (size_t phase = 0; phase < phases; phase++)
        for (size_t part = kernel->parts(c, phase); part > 0; part--)
            kernel->run(c, phase, part - 1, &scratch);
    for (size_t i = PACKED; i < BLOCKS; i++)
        unguard(&b->blocks[i]);
}

/* The largest difference of two outputs. */
static double difference(const iq_conv *c, const float *want)
{
    double worst = 0;
    for (size_t p = 0; p < iq_conv_rows(c); p++)
        for (size_t o = 0; o < c->out_channels; o++) {
            const double error = fabs((double)c->output[p * c->out_step + o] - (double)want[p * c->out_step + o]);
            worst = error > worst || isnan(error) ? error : worst;
        }
    return worst;
}

/* Every kernel that fits, on every set; OpenBLAS's on the one without tiles too. @return how many ran */
static size_t compare_all(iq_conv shape, bool residual)
{
    const iq_kernel_set *sets[SETS_MAX + 1];
    size_t set_count = find_sets(sets);
    sets[set_count++] = iq_kernels_vectors(IQ_ISA_SCALAR);
    size_t ran = 0;
    bench b = {.conv = shape, .at_end = random_between(0, 1) == 1};
    bench_begin(&b, residual);
    const size_t pixels = iq_conv_rows(&b.conv), floats = span(pixels, shape.out_channels, shape.out_step);
    float *want = malloc(floats * sizeof *want);
    run_one(&b, &iq_conv_scalar);
    memcpy(want, b.conv.output, floats * sizeof *want);
    for (size_t s = 0; s < set_count; s++)
        for (size_t k = 0; k < KERNELS; k++) {
            b.conv.set = sets[s];
            if ((is_native(kernels[k]) && sets[s]->cols == 0) || !kernels[k]->fits(&b.conv))
                continue;
            fill(b.conv.output, floats);
            poison_gaps(b.conv.output, pixels, shape.out_channels, shape.out_step);
            run_one(&b, kernels[k]);
            const bool near = CHECK_NEAR(0, difference(&b.conv, want), tolerance(k, (double)iq_conv_depth(&b.conv)));
            const bool clean = CHECK(gaps_are_poison(b.conv.output, pixels, shape.out_channels, shape.out_step));
            if (getenv("TEST_ERRORS") != NULL || !near || !clean)
                fprintf(stderr, "%s %s on %zu lanes: %zux%zux%zux%zu k%zu s%zu p%zu to %zu: %.2e of sqrt(depth)\n",
                        kernels[k]->engine, kernels[k]->algorithm(&b.conv), sets[s]->lanes, shape.images,
                        shape.in_height, shape.in_width, shape.in_channels, shape.kernel, shape.stride, shape.pad,
                        shape.out_channels, difference(&b.conv, want) / sqrt((double)iq_conv_depth(&b.conv)));
            ran++;
        }
    free(want);
    bench_end(&b);
    return ran;
}

static iq_conv shaped(size_t images, size_t height, size_t width, size_t in, size_t out, size_t kernel, size_t stride,
                      size_t pad)
{
    return (iq_conv){
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
        .in_step = in,
        .out_step = out,
        .residual_step = out,
    };
}

void kernels_agree_on_every_layer_of_both_networks(void)
{
    static const size_t shapes[][5] = {
        /* side, in, out, kernel, stride */
        {224, 3, 64, 7, 2},     {56, 64, 64, 1, 1},    {56, 64, 64, 3, 1},    {56, 64, 256, 1, 1},
        {56, 256, 64, 1, 1},    {56, 256, 128, 1, 2},  {56, 256, 512, 1, 2},  {56, 256, 128, 1, 1},
        {56, 128, 128, 3, 2},   {28, 128, 128, 3, 1},  {28, 128, 512, 1, 1},  {28, 512, 128, 1, 1},
        {28, 512, 256, 1, 2},   {28, 512, 1024, 1, 2}, {28, 512, 256, 1, 1},  {28, 256, 256, 3, 2},
        {14, 256, 256, 3, 1},   {14, 256, 1024, 1, 1}, {14, 1024, 256, 1, 1}, {14, 1024, 512, 1, 2},
        {14, 1024, 2048, 1, 2}, {14, 1024, 512, 1, 1}, {14, 512, 512, 3, 2},  {7, 512, 512, 3, 1},
        {7, 512, 2048, 1, 1},   {7, 2048, 512, 1, 1},  {1, 2048, 1000, 1, 1},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t *shape = shapes[s], side = shape[0];
        iq_conv conv = shaped(side > 28 ? 1 : random_between(1, 3), side, side, shape[1], shape[2], shape[3], shape[4],
                              shape[3] / 2);
        conv.relu = s % 2 == 0;
        conv.in_step += side > 1 && shape[1] >= 64 ? 16 : 0;
        conv.out_step += side > 1 ? 16 : 0;
        conv.residual_step += 16;
        CHECK(compare_all(conv, s % 3 == 0) > 0 || iq_kernels_best(IQ_ISA_AVX512) == NULL);
    }
}

/* Widths of one run and two, tails of every length, channels that fill no panel, steps of any size. */
void kernels_agree_on_any_shape(void)
{
    for (int round = 0; round < 2500; round++) {
        const size_t window[] = {1, 1, 1, 2, 3, 3, 5, 7};
        const size_t kernel = window[random_between(0, 7)], pad = random_between(0, kernel - 1);
        iq_conv conv =
            shaped(random_between(1, 3), random_between(kernel, kernel + 10), random_between(kernel, kernel + 20),
                   random_between(1, 40), random_between(1, 80), kernel, random_between(1, 3), pad);
        conv.relu = random_between(0, 1) == 1;
        conv.in_step += random_between(0, 1) * random_between(0, 5);
        conv.out_step += random_between(0, 1) * random_between(0, 5);
        conv.residual_step += random_between(0, 1) * random_between(0, 5);
        compare_all(conv, random_between(0, 1) == 1);
    }
}

/* Winograd's tiles at every place of the border. */
void winograd_agrees_on_any_side(void)
{
    size_t ran = 0;
    for (int round = 0; round < 400; round++) {
        const size_t pad = random_between(0, 2);
        iq_conv conv = shaped(random_between(1, 4), random_between(3, 19), random_between(3, 19),
                              16 * random_between(1, 3), 32 * random_between(1, 2), 3, 1, pad);
        conv.relu = random_between(0, 1) == 1;
        conv.in_step += random_between(0, 5);
        conv.out_step += random_between(0, 5);
        ran += compare_all(conv, false);
    }
    CHECK(ran > 400 || iq_kernels_best(IQ_ISA_AVX512) == NULL);
}

/* A 1x1 convolution that Strassen's products fit: whole runs of pixels, channels in halves. */
static iq_conv strassen_shape(void)
{
    const size_t stride = random_between(1, 2), side = random_between(2, 5);
    const size_t images = iq_divide_up(96, 7 * side) + random_between(0, 2), in = 32 * random_between(2, 6);
    const size_t out = 64 * (iq_divide_up(256 - in, 64) + random_between(0, 1));
    iq_conv conv = shaped(images, stride * side, stride * 7, in, out, 1, stride, 0);
    conv.relu = random_between(0, 1) == 1;
    conv.in_step += random_between(0, 5);
    conv.out_step += random_between(0, 5);
    conv.residual_step += random_between(0, 5);
    return conv;
}

/* Images of an odd number of runs leave one without a partner. */
void strassen_agrees_on_any_shape(void)
{
    const iq_kernel_set *sets[SETS_MAX];
    const size_t set_count = find_sets(sets);
    for (int round = 0; round < 60; round++) {
        iq_conv conv = strassen_shape();
        for (size_t s = 0; s < set_count; s++) {
            conv.set = sets[s];
            CHECK(iq_conv_strassen.fits(&conv));
        }
        compare_all(conv, random_between(0, 1) == 1);
    }
}

/* Partners are of one image: other images, and how many there are, change nothing. */
void strassens_bits_do_not_depend_on_other_images(void)
{
    const iq_kernel_set *sets[SETS_MAX];
    const size_t set_count = find_sets(sets);
    for (int round = 0; round < 20; round++)
        for (size_t s = 0; s < set_count; s++) {
            bench many = {.conv = strassen_shape()};
            iq_conv *c = &many.conv;
            c->set = sets[s];
            c->images++;
            bench_begin(&many, false);
            run_one(&many, &iq_conv_strassen);
            bench fewer = many;
            const size_t skipped = c->out_height * c->out_width, pixels = (c->images - 1) * skipped;
            float *out = malloc(pixels * c->out_step * sizeof *out);
            fewer.conv.images--;
            fewer.conv.input += c->in_height * c->in_width * c->in_step;
            fewer.conv.output = out;
            run_one(&fewer, &iq_conv_strassen);
            for (size_t p = 0; p < pixels; p++)
                CHECK_EQ_MEM(out + p * c->out_step, c->output + (skipped + p) * c->out_step,
                             c->out_channels * sizeof *out);
            free(out);
            bench_end(&many);
        }
}

/* Of the kernels that fit, the one of least work is taken: not the first of the table, and none for want of a price. */
void each_layer_goes_to_the_kernel_of_least_work(void)
{
    static const struct {
        size_t images, side, in, out, kernel, pad;
        const char *algorithm;
    } rows[] = {
        {8, 14, 1024, 256, 1, 0, "strassen"},    {1, 28, 128, 512, 1, 0, "strassen"},
        {1, 7, 512, 2048, 1, 0, "direct"},       {1, 56, 64, 64, 1, 0, "direct"},
        {8, 14, 256, 256, 3, 1, "winograd 4x4"}, {1, 7, 512, 512, 3, 1, "winograd 2x2"},
    };
    iq_engine engine;
    imgq_error err;
    if (iq_dispatch_engine("native", NULL, &engine, &err) != IMGQ_OK)
        return; /* a processor without AVX2 has no such kernels */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        iq_conv conv =
            shaped(rows[i].images, rows[i].side, rows[i].side, rows[i].in, rows[i].out, rows[i].kernel, 1, rows[i].pad);
        conv.set = engine.set;
        CHECK_EQ_STR(iq_dispatch_conv(&engine, &conv)->algorithm(&conv), rows[i].algorithm);
    }
}

/* However a convolution is cut, an output pixel comes out the same: alone, or among others. */
void a_pixels_bits_do_not_depend_on_its_tile(void)
{
    const iq_kernel_set *sets[SETS_MAX];
    const size_t set_count = find_sets(sets);
    for (size_t s = 0; s < set_count; s++)
        for (size_t pixels = 1; pixels <= 31; pixels++) {
            bench many = {.conv = shaped(1, 1, pixels, 37, 48, 1, 1, 0)};
            many.conv.set = sets[s];
            bench_begin(&many, false);
            run_one(&many, &iq_conv_direct);
            for (size_t p = 0; p < pixels; p++) {
                float alone[48];
                bench one = many;
                one.conv.in_width = one.conv.out_width = 1;
                one.conv.input += p * 37;
                one.conv.output = alone;
                run_one(&one, &iq_conv_direct);
                CHECK_EQ_MEM(alone, many.conv.output + p * 48, sizeof alone);
            }
            bench_end(&many);
        }
}

/* A worker may move to another machine: its answers do not. */
void every_instruction_set_makes_the_same_bits(void)
{
    const iq_kernel_set *sets[SETS_MAX];
    if (find_sets(sets) < SETS_MAX)
        return;
    for (int round = 0; round < 60; round++) {
        bench b = {.conv = shaped(2, random_between(3, 19), random_between(3, 19), 16 * random_between(1, 3),
                                  32 * random_between(1, 2), 3, 1, random_between(0, 2))};
        if (round % 3 == 0) {
            b.conv = strassen_shape();
            b.conv.out_step = b.conv.out_channels;
        }
        b.conv.relu = round % 2 == 0;
        bench_begin(&b, false);
        const size_t bytes = iq_conv_rows(&b.conv) * b.conv.out_channels * sizeof(float);
        float *first = malloc(bytes);
        for (size_t k = 0; k < KERNELS; k++) {
            b.conv.set = sets[0];
            if (!is_native(kernels[k]) || !kernels[k]->fits(&b.conv))
                continue;
            run_one(&b, kernels[k]);
            memcpy(first, b.conv.output, bytes);
            b.conv.set = sets[1];
            run_one(&b, kernels[k]);
            CHECK_EQ_MEM(first, b.conv.output, bytes);
        }
        free(first);
        bench_end(&b);
    }
}

void largest_keeps_every_nan(void)
{
    const iq_kernel_set *sets[SETS_MAX + 1];
    size_t set_count = find_sets(sets);
    sets[set_count++] = iq_kernels_vectors(IQ_ISA_SCALAR);
    for (size_t s = 0; s < set_count; s++)
        for (int round = 0; round < 500; round++) {
            const size_t channels = random_between(1, 70), count = random_between(1, 9);
            guarded in[9], out = guard(channels, true, 4);
            const float *pixels[9];
            for (size_t p = 0; p < count; p++) {
                in[p] = guard(channels, p % 2 == 0, 4);
                fill(in[p].floats, channels);
                if (random_between(0, 3) == 0)
                    in[p].floats[random_between(0, channels - 1)] = NAN;
                pixels[p] = in[p].floats;
            }
            sets[s]->largest(pixels, count, channels, out.floats);
            for (size_t c = 0; c < channels; c++) {
                float want = pixels[0][c];
                for (size_t p = 1; p < count; p++)
                    want = isnan(want) || isnan(pixels[p][c]) ? NAN : fmaxf(want, pixels[p][c]);
                CHECK(isnan(want) ? isnan(out.floats[c]) : want == out.floats[c]);
            }
            for (size_t p = 0; p < count; p++)
                unguard(&in[p]);
            unguard(&out);
        }
}

void finish_agrees_on_any_shape(void)
{
    const iq_kernel_set *sets[SETS_MAX + 1];
    size_t set_count = find_sets(sets);
    sets[set_count++] = iq_kernels_vectors(IQ_ISA_SCALAR);
    for (size_t s = 0; s < set_count; s++)
        for (int round = 0; round < 500; round++) {
            const size_t rows = random_between(1, 9), cols = random_between(1, 70);
            const size_t step = cols + random_between(0, 5), residual_step = cols + random_between(0, 5);
            const bool add = random_between(0, 1) == 1, relu = random_between(0, 1) == 1, at_end = round % 2 == 0;
            const guarded values = guard(span(rows, cols, step), at_end, 4), bias = guard(cols, at_end, 4);
            const guarded residual = guard(span(rows, cols, residual_step), at_end, 4);
            float before[9 * 75];
            fill(values.floats, span(rows, cols, step));
            fill(bias.floats, cols);
            fill(residual.floats, span(rows, cols, residual_step));
            values.floats[random_between(0, cols - 1)] = NAN;
            memcpy(before, values.floats, span(rows, cols, step) * sizeof *before);
            sets[s]->finish(values.floats, step, add ? residual.floats : NULL, residual_step, bias.floats, rows, cols,
                            relu);
            for (size_t i = 0; i < span(rows, cols, step); i++) {
                const size_t r = i / step, c = i % step;
                float want = before[i];
                if (c < cols) {
                    want += bias.floats[c];
                    want += add ? residual.floats[r * residual_step + c] : 0.0f;
                    want = relu && want < 0 ? 0.0f : want;
                }
                CHECK(isnan(want) ? isnan(values.floats[i]) : want == values.floats[i]);
            }
            unguard(&values);
            unguard(&bias);
            unguard(&residual);
        }
}
