/* Passes of other precisions than the highest: what they become, and what holds for them as for all. */
#include "amx_emulated.h"
#include "nn_tests.h"
#include "small_net.h"

#include "nn/dispatch.h"
#include "nn/forward.h"

#include "support/check.h"
#include "support/failing_alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 11 }; /* a group and a rest */

typedef struct wish {
    const char *engine, *isa, *precision;
    size_t batch, threads;
    const iq_bf16_set *set;
} wish;

/* What it became, why, and the answers to all images; owned. */
static float *answers(const iq_net *net, const float *images, const wish *w, const char **precision, const char **why)
{
    imgq_env *env = NULL;
    imgq_error err;
    iq_forward *forward = NULL;
    float *out = calloc(IMAGES * SMALL_CLASSES, sizeof *out);
    const iq_forward_options options = {.height = SMALL_SIDE,
                                        .width = SMALL_SIDE,
                                        .max_images = w->batch,
                                        .threads = w->threads,
                                        .engine = w->engine,
                                        .isa = w->isa,
                                        .precision = w->precision,
                                        .bf16 = w->set};
    CHECK_OK(imgq_env_create(NULL, &env, &err));
    *precision = *why = NULL;
    if (CHECK_OK(iq_forward_create(env, net, &options, &forward, &err))) {
        *precision = iq_forward_precision(forward, why);
        for (size_t i = 0; i < IMAGES; i += w->batch)
            iq_forward_run(forward, images + i * SMALL_INPUT, IMAGES - i < w->batch ? IMAGES - i : w->batch,
                           out + i * SMALL_CLASSES);
    }
    iq_forward_destroy(forward);
    imgq_env_destroy(env);
    return out;
}

static double largest_difference(const float *a, const float *b)
{
    double worst = 0;
    for (size_t i = 0; i < IMAGES * SMALL_CLASSES; i++) {
        const double off = fabs((double)a[i] - (double)b[i]);
        worst = off > worst || isnan(off) ? off : worst;
    }
    return worst;
}

static bool is_medium(const char *precision, const char *why)
{
    if (strcmp(precision, "medium") == 0)
        return CHECK(why == NULL);
    fprintf(stderr, "medium is %s here: %s\n", precision, why);
    return false;
}

void medium_is_near_and_the_same_on_any_number_of_threads(void)
{
    small_net small;
    const char *precision, *why;
    small_net_make(&small);
    float *images = random_floats(IMAGES * SMALL_INPUT);
    const wish exact = {.engine = "scalar", .batch = 8, .threads = 2};
    float *want = answers(&small.net, images, &exact, &precision, &why);
    CHECK_EQ_STR("highest", precision);
    for (size_t batch = 1; batch <= IMAGES; batch += 5) {
        wish w = {.precision = "medium", .batch = batch, .threads = 1};
        float *one = answers(&small.net, images, &w, &precision, &why);
        const double off = largest_difference(want, one);
        if (is_medium(precision, why)) {
            CHECK(off > 1e-5); /* it is not fp32 that ran */
            CHECK_NEAR(0, off, 0.05);
        } else {
            CHECK_NEAR(0, off, 1e-5);
        }
        for (w.threads = 2; w.threads <= 5; w.threads++) {
            float *many = answers(&small.net, images, &w, &precision, &why);
            CHECK_EQ_MEM(one, many, IMAGES * SMALL_CLASSES * sizeof *one);
            free(many);
        }
        free(one);
    }
    free(want);
    free(images);
    small_net_free(&small);
}

/* What a machine with tile units computes: three products are fp32's answer to 16 bits, one is bf16's. */
void tile_units_compute_high_and_medium(void)
{
    static const char *const precisions[] = {"high", "medium"};
    static const double within[] = {2e-4, 0.05};
    small_net small;
    const char *precision, *why;
    small_net_make(&small);
    float *images = random_floats(IMAGES * SMALL_INPUT);
    const wish exact = {.engine = "scalar", .batch = 8, .threads = 2};
    float *want = answers(&small.net, images, &exact, &precision, &why);
    for (size_t p = 0; p < 2 && iq_kernels_best(IQ_ISA_AVX512) != NULL; p++)
        for (size_t batch = 1; batch <= IMAGES; batch += 5) {
            wish w = {.precision = precisions[p], .batch = batch, .threads = 1, .set = &amx_emulated};
            float *one = answers(&small.net, images, &w, &precision, &why);
            CHECK_EQ_STR(precisions[p], precision);
            CHECK(why == NULL);
            CHECK(largest_difference(want, one) > (p == 0 ? 1e-7 : 1e-4));
            CHECK_NEAR(0, largest_difference(want, one), within[p]);
            w.threads = 3;
            float *many = answers(&small.net, images, &w, &precision, &why);
            CHECK_EQ_MEM(one, many, IMAGES * SMALL_CLASSES * sizeof *one);
            free(one);
            free(many);
        }
    free(want);
    free(images);
    small_net_free(&small);
}

static void computes_nothing(const iq_bf16_tile *tile)
{
    (void)tile;
}

/* A unit that fails the check is not used. */
void tile_units_that_fail_their_check_are_left_alone(void)
{
    small_net small;
    const char *precision, *why;
    small_net_make(&small);
    float *images = random_floats(IMAGES * SMALL_INPUT);
    iq_bf16_set broken = amx_emulated;
    broken.tile[5] = computes_nothing;
    const wish w = {.precision = "high", .batch = 4, .threads = 1, .set = &broken}, plain = {.batch = 4, .threads = 1};
    float *got = answers(&small.net, images, &w, &precision, &why);
    CHECK_EQ_STR("highest", precision);
    CHECK(why != NULL);
    float *want = answers(&small.net, images, &plain, &precision, &why);
    CHECK_EQ_MEM(want, got, IMAGES * SMALL_CLASSES * sizeof *want);
    free(got);
    free(want);
    free(images);
    small_net_free(&small);
}

/* Each of these says "highest" and why, and computes the same bits as if nothing else had been asked for. */
void what_cannot_be_had_runs_as_highest(void)
{
    static const wish wishes[] = {
        {.precision = "medium", .isa = "avx512", .batch = 3, .threads = 2},
        {.precision = "medium", .isa = "avx2", .batch = 3, .threads = 2},
        {.precision = "medium", .engine = "scalar", .batch = 3, .threads = 2},
        {.precision = "high", .isa = "avx512-bf16", .batch = 3, .threads = 2},
        {.precision = "high", .engine = "scalar", .batch = 3, .threads = 2},
    };
    small_net small;
    small_net_make(&small);
    float *images = random_floats(IMAGES * SMALL_INPUT);
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        const char *precision, *why;
        wish plain = wishes[i];
        plain.precision = NULL;
        float *got = answers(&small.net, images, &wishes[i], &precision, &why);
        CHECK_EQ_STR("highest", precision);
        CHECK(why != NULL);
        float *want = answers(&small.net, images, &plain, &precision, &why);
        CHECK_EQ_STR("highest", precision);
        CHECK(why == NULL);
        CHECK_EQ_MEM(want, got, IMAGES * SMALL_CLASSES * sizeof *want);
        free(got);
        free(want);
    }
    free(images);
    small_net_free(&small);
}

/* Pairs of channels need an even number of them: 95 between two layers is none. */
void a_network_that_medium_cannot_compute_runs_as_highest(void)
{
    small_net small;
    const char *precision, *why;
    small_net_make(&small);
    small.layers[1].op = IQ_OP_CONV; /* reads the 24 channels of the stem, makes 23 */
    const float *weights[] = {random_floats(3 * 3 * 24 * 23), random_floats(23 * 96), random_floats(23 * 32)};
    small.layers[1] = (iq_layer){.op = IQ_OP_CONV,
                                 .input = 1,
                                 .residual = IQ_NO_VALUE,
                                 .kernel = 3,
                                 .stride = 2,
                                 .pad = 1,
                                 .in_channels = 24,
                                 .out_channels = 23,
                                 .weights = weights[0],
                                 .bias = small.layers[0].bias};
    const float *gone[] = {small.layers[2].weights, small.layers[3].weights};
    small.layers[2].in_channels = small.layers[3].in_channels = 23;
    small.layers[2].weights = weights[1];
    small.layers[3].weights = weights[2];
    float *images = random_floats(IMAGES * SMALL_INPUT);
    const wish medium = {.precision = "medium", .batch = 4, .threads = 2}, highest = {.batch = 4, .threads = 2};
    float *got = answers(&small.net, images, &medium, &precision, &why);
    CHECK_EQ_STR("highest", precision);
    CHECK(why != NULL);
    float *want = answers(&small.net, images, &highest, &precision, &why);
    CHECK_EQ_MEM(want, got, IMAGES * SMALL_CLASSES * sizeof *want);
    free(got);
    free(want);
    free(images);
    small.layers[1].weights = small.layers[1].bias = NULL;
    small.layers[2].weights = gone[0];
    small.layers[3].weights = gone[1];
    for (size_t i = 0; i < 3; i++)
        free((void *)weights[i]);
    small_net_free(&small);
}

/* One run of a network, whose answer is of so many floats. */
static float *run_once(const iq_net *net, const iq_forward_options *options, const float *images, size_t floats)
{
    imgq_env *env = NULL;
    imgq_error err;
    iq_forward *forward = NULL;
    float *out = calloc(options->max_images * floats, sizeof *out);
    CHECK_OK(imgq_env_create(NULL, &env, &err));
    if (CHECK_OK(iq_forward_create(env, net, options, &forward, &err)) &&
        CHECK_EQ_SIZE(floats, iq_forward_answer_floats(forward)))
        iq_forward_run(forward, images, options->max_images, out);
    iq_forward_destroy(forward);
    imgq_env_destroy(env);
    return out;
}

static void check_reduced(const iq_layer *layers, size_t count, size_t floats)
{
    static const char *const precisions[] = {"high", "medium"};
    const iq_net net = {.layers = layers, .count = count, .in_channels = layers[0].in_channels};
    float *images = random_floats(2 * SMALL_INPUT);
    iq_forward_options options = {
        .height = SMALL_SIDE, .width = SMALL_SIDE, .max_images = 2, .threads = 2, .engine = "scalar"};
    float *want = run_once(&net, &options, images, floats);
    options.engine = NULL;
    options.bf16 = &amx_emulated;
    for (size_t p = 0; p < 2 && iq_kernels_best(IQ_ISA_AVX512) != NULL; p++) {
        double worst = 0;
        options.precision = precisions[p];
        float *got = run_once(&net, &options, images, floats);
        for (size_t i = 0; i < 2 * floats; i++) {
            const double off = fabs((double)want[i] - (double)got[i]);
            worst = off > worst || isnan(off) ? off : worst;
        }
        CHECK_NEAR(0, worst, p == 0 ? 2e-4 : 0.1);
        free(got);
    }
    free(want);
    free(images);
}

/* Input and answer are floats whatever lies between: a convolution may be last, a pool first, the input be added. */
void values_beside_floats_keep_their_type(void)
{
    small_net small;
    small_net_make(&small);
    check_reduced(small.layers, 4, (size_t)10 * 10 * 32);
    iq_layer layers[3] = {small.layers[1], small.layers[0], small.layers[6]};
    layers[0].input = 0;
    layers[0].in_channels = layers[0].out_channels = layers[1].in_channels = 2; /* pairs */
    layers[1].input = 1;
    layers[2].input = 2;
    layers[2].in_channels = layers[2].out_channels = 24;
    check_reduced(layers, 3, 24);
    layers[0] = small.layers[3];
    layers[0].input = layers[0].residual = 0;
    layers[0].in_channels = layers[0].out_channels = 2;
    check_reduced(layers, 3, 24);
    small_net_free(&small);
}

void medium_survives_every_failed_allocation(void)
{
    small_net small;
    small_net_make(&small);
    for (size_t nth = 1;; nth++) {
        imgq_env *env = failing_env(nth);
        imgq_error err = {0};
        iq_forward *forward = NULL;
        const iq_forward_options options = {
            .height = SMALL_SIDE, .width = SMALL_SIDE, .max_images = 9, .threads = 2, .precision = "medium"};
        const imgq_status status =
            env == NULL ? IMGQ_E_NOMEM : iq_forward_create(env, &small.net, &options, &forward, &err);
        iq_forward_destroy(forward);
        imgq_env_destroy(env);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        if (!failing_has_failed()) {
            CHECK_OK(status);
            break;
        }
        CHECK_STATUS(IMGQ_E_NOMEM, status);
    }
    small_net_free(&small);
}
