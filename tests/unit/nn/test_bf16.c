/* The kernels on bf16 values one by one against the plain loops on the same numbers: every shape of both networks,
 * thousands of others, on memory whose neighbours cannot be touched. */
#include "amx_emulated.h"
#include "guarded.h"
#include "nn_tests.h"

#include "nn/bf16.h"
#include "nn/ops/conv.h"
#include "nn/ops/pool.h"

#include "support/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const iq_conv_kernel *const kernels[] = {&iq_conv_bf16_direct, &iq_conv_bf16_winograd_2,
                                                &iq_conv_bf16_winograd_4, &iq_conv_bf16_two};

/* Error that an algorithm may make before the result is rounded, in units of the square root of a sum's length: direct
 * sums are fp32's, Winograd's points are rounded to bf16.
 * Two terms leave out the product of second ones, 2^-16 of a product at most. */
static const double errors[] = {4e-6, 1.5e-2, 5e-2, 2e-5};

enum { KERNELS = sizeof kernels / sizeof *kernels, SETS_MAX = 2, POISON = 0x7FC1 /* a NaN that no kernel makes */ };

/* The emulated tile unit is everywhere, the processor's own products are where it has them. */
static size_t find_sets(const iq_bf16_set **sets)
{
    size_t count = 0;
    sets[count++] = &amx_emulated;
    if (iq_bf16_best(IQ_ISA_AVX512_BF16) != NULL)
        sets[count++] = iq_bf16_best(IQ_ISA_AVX512_BF16);
    return count;
}

/* One value in both types: bf16 of one term or two as kernels get it, with poison between, and floats without gaps. */
typedef struct twin {
    guarded half;
    float *wide;
} twin;

static twin twin_begin(size_t pixels, size_t channels, size_t step, size_t terms, bool at_end)
{
    const size_t count = ((pixels - 1) * terms + terms - 1) * step + channels;
    twin t = {.half = guarded_begin(count * 2, at_end, 2), .wide = malloc(pixels * channels * sizeof(float))};
    uint16_t *half = t.half.data;
    for (size_t i = 0; i < count; i++)
        half[i] = POISON;
    for (size_t i = 0; i < pixels * channels; i++) {
        const float value = (float)((double)(random_bits() >> 11) * 0x1p-52 - 1.0);
        uint16_t *at = half + i / channels * step * terms + i % channels;
        at[0] = iq_bf16_of(value);
        t.wide[i] = iq_bf16_float(at[0]);
        if (terms == 2) {
            at[step] = iq_bf16_second(value, at[0]);
            t.wide[i] += iq_bf16_float(at[step]);
        }
    }
    return t;
}

static void twin_end(const twin *t)
{
    guarded_end(&t->half);
    free(t->wide);
}

static void run_on(const iq_conv *shape, const iq_conv_kernel *kernel, bool at_end)
{
    iq_conv c = *shape;
    const guarded packed = guarded_begin(kernel->packed_floats != NULL ? kernel->packed_floats(&c) * 4 : 0, at_end, 64);
    const guarded own = guarded_begin(kernel->own_floats != NULL ? kernel->own_floats(&c) * 4 : 0, at_end, 64);
    const guarded shared = guarded_begin(kernel->shared_floats != NULL ? kernel->shared_floats(&c) * 4 : 0, at_end, 64);
    const iq_conv_scratch scratch = {.own = own.data, .shared = shared.data};
    if (kernel->packed_floats != NULL)
        kernel->pack(&c, packed.data);
    c.packed = packed.data;
    for (size_t phase = 0; phase < kernel->phases(&c); phase++)
        for (size_t part = kernel->parts(&c, phase); part > 0; part--)
            kernel->run(&c, phase, part - 1, &scratch);
    guarded_end(&packed);
    guarded_end(&own);
    guarded_end(&shared);
}

typedef struct bench {
    iq_conv conv;
    twin input, residual, output, weights;
    float *bias;
    bool at_end;
} bench;

/* Weights are numbers of bf16 too: so the plain loops compute the same sums. */
static void bench_begin(bench *b, bool residual)
{
    iq_conv *c = &b->conv;
    const size_t pixels = iq_conv_rows(c), terms = c->out_type == IQ_BF16_TWO ? 2 : 1;
    b->at_end = random_between(0, 1) == 1;
    b->input = twin_begin(c->images * c->in_height * c->in_width, c->in_channels, c->in_step, terms, b->at_end);
    b->residual = twin_begin(pixels, c->out_channels, c->residual_step, terms, b->at_end);
    b->output = twin_begin(pixels, c->out_channels, c->out_step, terms, b->at_end);
    b->weights = twin_begin(iq_conv_depth(c), c->out_channels, c->out_channels, terms, b->at_end);
    b->bias = random_floats(c->out_channels);
    c->weights = b->weights.wide;
    c->bias = b->bias;
    c->residual = residual ? b->residual.half.data : NULL;
}

static void bench_end(const bench *b)
{
    const twin *const twins[] = {&b->input, &b->residual, &b->output, &b->weights};
    for (size_t i = 0; i < 4; i++)
        twin_end(twins[i]);
    free(b->bias);
}

/* What the plain loops make of the same numbers. */
static void run_plain(bench *b)
{
    iq_conv c = b->conv;
    c.input = b->input.wide;
    c.residual = b->conv.residual != NULL ? b->residual.wide : NULL;
    c.output = b->output.wide;
    c.in_step = c.in_channels;
    c.out_step = c.residual_step = c.out_channels;
    run_on(&c, &iq_conv_scalar, b->at_end);
}

/* The kernel's output against it: half of bf16's last place, and what the sums may err. */
static bool is_near(const bench *b, double error)
{
    const iq_conv *c = &b->conv;
    const size_t terms = c->out_type == IQ_BF16_TWO ? 2 : 1;
    const uint16_t *out = b->output.half.data;
    const double may_err = error * sqrt((double)iq_conv_depth(c)) + 1e-6, last_place = terms == 2 ? 0x1p-16 : 0x1p-8;
    for (size_t p = 0; p < iq_conv_rows(c); p++)
        for (size_t o = 0; o < c->out_channels; o++) {
            const double want = (double)b->output.wide[p * c->out_channels + o];
            const uint16_t *at = out + p * c->out_step * terms + o;
            const double got = (double)iq_bf16_float(at[0]) + (terms == 2 ? (double)iq_bf16_float(at[c->out_step]) : 0);
            if (!(fabs(got - want) <= fabs(want) * last_place + may_err))
                return CHECK_NEAR(want, got, fabs(want) * last_place + may_err);
        }
    return true;
}

static bool gaps_are_poison(const bench *b)
{
    const iq_conv *c = &b->conv;
    const uint16_t *out = b->output.half.data;
    const size_t terms = c->out_type == IQ_BF16_TWO ? 2 : 1;
    for (size_t i = 0; i < (iq_conv_rows(c) * terms - 1) * c->out_step; i++)
        if (i % c->out_step >= c->out_channels && out[i] != POISON)
            return false;
    return true;
}

/* Every kernel that fits, on every set. @return how many ran */
static size_t compare_all(iq_conv shape, bool residual)
{
    const iq_bf16_set *sets[SETS_MAX];
    const size_t set_count = find_sets(sets);
    size_t ran = 0;
    bench b = {.conv = shape};
    bench_begin(&b, residual);
    run_plain(&b);
    b.conv.input = shape.in_type != IQ_F32 ? b.input.half.data : (void *)b.input.wide;
    b.conv.in_step = shape.in_type != IQ_F32 ? shape.in_step : shape.in_channels;
    b.conv.output = b.output.half.data;
    for (size_t i = 0; i < set_count * KERNELS; i++) {
        const size_t k = i % KERNELS;
        b.conv.bf16 = sets[i / KERNELS];
        if (kernels[k]->type != shape.out_type || !kernels[k]->fits(&b.conv))
            continue;
        run_on(&b.conv, kernels[k], b.at_end);
        const bool near = is_near(&b, errors[k]), clean = CHECK(gaps_are_poison(&b));
        if (!near || !clean)
            fprintf(stderr, "%s: %zux%zux%zux%zu k%zu s%zu p%zu to %zu\n", kernels[k]->algorithm(&b.conv), shape.images,
                    shape.in_height, shape.in_width, shape.in_channels, shape.kernel, shape.stride, shape.pad,
                    shape.out_channels);
        ran++;
    }
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
        .in_step = in + in % 2,
        .out_step = out,
        .residual_step = out,
        .in_type = IQ_BF16,
        .out_type = IQ_BF16,
    };
}

/* The same with values of two terms. */
static iq_conv of_two(iq_conv conv)
{
    conv.in_type = conv.in_type == IQ_F32 ? IQ_F32 : IQ_BF16_TWO;
    conv.out_type = IQ_BF16_TWO;
    return conv;
}

static bool is_here(void)
{
    if (iq_bf16_best(IQ_ISA_AVX512_BF16) != NULL)
        return true;
    fprintf(stderr, "this processor has no bf16 products: their kernels are not run\n");
    return false;
}

void bf16_kernels_agree_on_every_layer_of_both_networks(void)
{
    static const size_t shapes[][5] = {
        /* side, in, out, kernel, stride */
        {224, 3, 64, 7, 2},     {56, 64, 64, 1, 1},    {56, 64, 64, 3, 1},    {56, 64, 256, 1, 1},
        {56, 256, 64, 1, 1},    {56, 256, 128, 1, 2},  {56, 256, 512, 1, 2},  {56, 256, 128, 1, 1},
        {56, 128, 128, 3, 2},   {28, 128, 128, 3, 1},  {28, 128, 512, 1, 1},  {28, 512, 128, 1, 1},
        {28, 512, 256, 1, 2},   {28, 512, 1024, 1, 2}, {28, 512, 256, 1, 1},  {28, 256, 256, 3, 2},
        {14, 256, 256, 3, 1},   {14, 256, 1024, 1, 1}, {14, 1024, 256, 1, 1}, {14, 1024, 512, 1, 2},
        {14, 1024, 2048, 1, 2}, {14, 1024, 512, 1, 1}, {14, 512, 512, 3, 2},  {7, 512, 512, 3, 1},
        {7, 512, 2048, 1, 1},   {7, 2048, 512, 1, 1},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t *shape = shapes[s], side = shape[0];
        iq_conv conv = shaped(side > 14 ? 1 : random_between(1, 3), side, side, shape[1], shape[2], shape[3], shape[4],
                              shape[3] / 2);
        conv.in_type = s == 0 ? IQ_F32 : IQ_BF16;
        conv.relu = s % 2 == 0;
        conv.in_step += shape[1] >= 64 ? 32 : 0;
        conv.out_step += 32;
        conv.residual_step += 32;
        CHECK(compare_all(conv, s % 3 == 0) > 0);
        CHECK(compare_all(of_two(conv), s % 3 == 0) == 1);
    }
}

/* Widths of one run and two, tails of every length, channels that fill no panel and no pair, steps of any size. */
void bf16_kernels_agree_on_any_shape(void)
{
    size_t ran = 0;
    for (int round = 0; round < 2000; round++) {
        const size_t window[] = {1, 1, 1, 2, 3, 3, 5, 7};
        const size_t kernel = window[random_between(0, 7)], pad = random_between(0, kernel - 1);
        const iq_type type = random_between(0, 1) == 1 ? IQ_BF16 : IQ_F32;
        iq_conv conv = shaped(random_between(1, 3), random_between(kernel, kernel + 10),
                              random_between(kernel, kernel + 20), random_between(1, 20) * (type == IQ_BF16 ? 2 : 1),
                              random_between(1, 80), kernel, random_between(1, 3), pad);
        conv.in_type = type;
        conv.relu = random_between(0, 1) == 1;
        conv.in_step += random_between(0, 1) * 2 * random_between(0, 5);
        conv.out_step += random_between(0, 1) * random_between(0, 5);
        conv.residual_step += random_between(0, 1) * random_between(0, 5);
        ran += compare_all(round % 2 == 0 ? conv : of_two(conv), random_between(0, 1) == 1);
    }
    CHECK(ran >= 2000);
}

/* Winograd's tiles at every place of the border. */
void bf16_winograd_agrees_on_any_side(void)
{
    size_t ran = 0;
    for (int round = 0; is_here() && round < 400; round++) {
        const size_t pad = random_between(0, 2);
        iq_conv conv = shaped(random_between(1, 4), random_between(3, 19), random_between(3, 19),
                              16 * random_between(1, 3), 32 * random_between(1, 2), 3, 1, pad);
        conv.relu = random_between(0, 1) == 1;
        conv.in_step += 2 * random_between(0, 5);
        conv.out_step += random_between(0, 5);
        ran += compare_all(conv, false);
    }
    CHECK(ran > 400 || iq_bf16_best(IQ_ISA_AVX512_BF16) == NULL);
}

/* However a convolution is cut, an output pixel comes out the same: alone, or among others. */
void a_bf16_pixels_bits_do_not_depend_on_its_tile(void)
{
    const iq_bf16_set *sets[SETS_MAX];
    const size_t set_count = find_sets(sets);
    for (size_t pixels = 1; pixels <= 31; pixels++) {
        bench many = {.conv = shaped(1, 1, pixels, 38, 48, 1, 1, 0)};
        bench_begin(&many, false);
        many.conv.bf16 = sets[pixels % set_count];
        many.conv.input = many.input.half.data;
        many.conv.output = many.output.half.data;
        run_on(&many.conv, &iq_conv_bf16_direct, false);
        for (size_t p = 0; p < pixels; p++) {
            uint16_t alone[48];
            iq_conv one = many.conv;
            one.in_width = one.out_width = 1;
            one.input = (void *)((uint16_t *)many.input.half.data + p * 38);
            one.output = (void *)alone;
            run_on(&one, &iq_conv_bf16_direct, false);
            CHECK_EQ_MEM(alone, (uint16_t *)many.output.half.data + p * 48, sizeof alone);
        }
        bench_end(&many);
    }
}

/* The processor rounds as iq_bf16_of() does: ties, denormals, infinities and what is no number among them. */
void bf16_is_rounded_to_nearest_even(void)
{
    static const uint32_t bits[] = {0x3F800000, 0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x7F7FFFFF, 0x7F800000,
                                    0xFF800000, 0x00000001, 0x807FFFFF, 0x00800000, 0x80000000, 0x7FC12345, 0x7F800001};
    static const uint16_t want[] = {0x3F80, 0x3F80, 0x3F82, 0x3F81, 0x3F80, 0x7F80, 0x7F80,
                                    0xFF80, 0x0000, 0x8000, 0x0080, 0x8000, 0x7FC1, 0x7FC0};
    const iq_bf16_set *set = iq_bf16_best(IQ_ISA_AVX512_BF16);
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        float value;
        memcpy(&value, &bits[i], sizeof value);
        CHECK_EQ_INT(want[i], iq_bf16_of(value));
    }
    for (int round = 0; is_here() && round < 2000; round++) {
        const size_t count = random_between(1, 40);
        const guarded in = guarded_begin(count * 4, round % 2 == 0, 4), out = guarded_begin(count * 2, true, 2);
        for (size_t i = 0; i < count; i++) {
            const uint32_t any = random_between(0, 1) == 1 ? (uint32_t)random_bits() : bits[random_between(0, 13)];
            memcpy((uint8_t *)in.data + 4 * i, &any, sizeof any);
        }
        set->narrow(in.data, count, out.data);
        for (size_t i = 0; i < count; i++)
            CHECK_EQ_INT(iq_bf16_of(((float *)in.data)[i]), ((uint16_t *)out.data)[i]);
        guarded_end(&in);
        guarded_end(&out);
    }
}

/* Maxima are one of the pixels' values: nothing is rounded, and a NaN stays. */
void bf16_max_pool_sees_only_pixels_that_exist(void)
{
    for (int round = 0; is_here() && round < 300; round++) {
        const size_t kernel = random_between(1, 4), pad = random_between(0, kernel - 1);
        iq_pool_shape wide = {.in_height = random_between(kernel, 12),
                              .in_width = random_between(kernel, 12),
                              .channels = random_between(1, 70),
                              .kernel = kernel,
                              .stride = random_between(1, 3),
                              .pad = pad};
        wide.out_height = (wide.in_height + 2 * pad - kernel) / wide.stride + 1;
        wide.out_width = (wide.in_width + 2 * pad - kernel) / wide.stride + 1;
        wide.in_step = wide.out_step = wide.channels;
        iq_pool_shape half = wide;
        half.bf16 = iq_bf16_best(IQ_ISA_AVX512_BF16);
        half.in_step += random_between(0, 3);
        half.out_step += random_between(0, 3);
        const size_t lines = 2 * wide.out_height, out_pixels = lines * wide.out_width;
        const twin in = twin_begin(2 * wide.in_height * wide.in_width, wide.channels, half.in_step, 1, true);
        const twin out = twin_begin(out_pixels, wide.channels, half.out_step, 1, true);
        iq_max_pool(&wide, in.wide, out.wide, 0, lines);
        iq_bf16_max_pool(&half, in.half.data, out.half.data, 0, lines);
        for (size_t i = 0; i < out_pixels * wide.channels; i++) {
            const size_t at = i / wide.channels * half.out_step + i % wide.channels;
            if (!CHECK_EQ_INT(iq_bf16_of(out.wide[i]), ((uint16_t *)out.half.data)[at]))
                break;
        }
        twin_end(&in);
        twin_end(&out);
    }
    if (is_here()) {
        const uint16_t nan = 0x7FC0, one = 0x3F80, *const first[] = {&nan, &one}, *const last[] = {&one, &nan};
        uint16_t got[2];
        iq_bf16_best(IQ_ISA_AVX512_BF16)->largest(first, 2, 1, &got[0]);
        iq_bf16_best(IQ_ISA_AVX512_BF16)->largest(last, 2, 1, &got[1]);
        CHECK_EQ_INT(nan, got[0]);
        CHECK_EQ_INT(nan, got[1]);
    }
}

/* Two terms are added, the larger float wins with both of its terms. */
void max_pool_of_two_terms_keeps_both(void)
{
    for (int round = 0; round < 100; round++) {
        iq_pool_shape wide = {.in_height = random_between(3, 12), .in_width = random_between(3, 12), .kernel = 3};
        wide.channels = random_between(1, 40);
        wide.stride = random_between(1, 2);
        wide.pad = random_between(0, 1);
        wide.out_height = (wide.in_height + 2 * wide.pad - 3) / wide.stride + 1;
        wide.out_width = (wide.in_width + 2 * wide.pad - 3) / wide.stride + 1;
        wide.in_step = wide.out_step = wide.channels;
        iq_pool_shape two = wide;
        two.two = true;
        two.bf16 = &amx_emulated;
        two.in_step += random_between(0, 3);
        two.out_step += random_between(0, 3);
        const size_t pixels = 2 * wide.out_height * wide.out_width, out_step = two.out_step;
        const twin in = twin_begin(2 * wide.in_height * wide.in_width, wide.channels, two.in_step, 2, true);
        const twin out = twin_begin(pixels, wide.channels, out_step, 2, true);
        iq_max_pool(&wide, in.wide, out.wide, 0, 2 * wide.out_height);
        iq_bf16_max_pool(&two, in.half.data, out.half.data, 0, 2 * wide.out_height);
        for (size_t i = 0; i < pixels * wide.channels; i++) {
            const uint16_t *at = (uint16_t *)out.half.data + i / wide.channels * 2 * out_step + i % wide.channels;
            if (!CHECK(out.wide[i] == iq_bf16_float(at[0]) + iq_bf16_float(at[out_step])))
                break;
        }
        float mean[40];
        iq_bf16_global_average(in.half.data, two.in_step, true, mean, wide.in_height * wide.in_width, wide.channels, 0,
                               1);
        for (size_t c = 0; c < wide.channels; c++) {
            double want = 0;
            for (size_t p = 0; p < wide.in_height * wide.in_width; p++)
                want += (double)in.wide[p * wide.channels + c] / (double)(wide.in_height * wide.in_width);
            CHECK_NEAR(want, (double)mean[c], 1e-6);
        }
        twin_end(&in);
        twin_end(&out);
    }
}

static void forgets_a_block(const iq_bf16_tile *tile)
{
    iq_bf16_tile less = *tile;
    less.tap_count--;
    amx_emulated.tile[14](&less);
}

static void forgets_second_terms(const iq_bf16_tile *tile)
{
    iq_bf16_tile less = *tile;
    less.residual_plane = 0;
    amx_emulated.tile[3](&less);
}

/* What a session trusts a tile unit by: right sets pass, and any fault in any tile is seen. */
void the_check_of_a_set_sees_a_fault(void)
{
    CHECK(iq_bf16_check(&amx_emulated));
    if (is_here())
        CHECK(iq_bf16_check(iq_bf16_best(IQ_ISA_AVX512_BF16)));
    iq_bf16_set broken = amx_emulated;
    broken.tile[14] = forgets_a_block;
    CHECK(!iq_bf16_check(&broken));
    broken = amx_emulated;
    broken.tile[3] = forgets_second_terms;
    CHECK(!iq_bf16_check(&broken));
    broken = amx_emulated;
    broken.tile[8] = amx_emulated.tile[7];
    CHECK(!iq_bf16_check(&broken));
}
