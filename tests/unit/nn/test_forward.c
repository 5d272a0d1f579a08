/* Whole passes: threads, groups, memory, and the host's floating-point mode. */
#include "nn_tests.h"
#include "small_net.h"

#include "base/pool.h"
#include "nn/forward.h"

#include "support/check.h"
#include "support/failing_alloc.h"

#include <fenv.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 19 }; /* two groups and a rest */

static imgq_env *plain_env(void)
{
    imgq_env *env = NULL;
    imgq_error err;
    CHECK_OK(imgq_env_create(NULL, &env, &err));
    return env;
}

/* Answers of all images in runs of `batch`; owned. */
static float *answers(const small_net *small, const float *images, size_t batch, size_t threads, const char *engine)
{
    imgq_env *env = plain_env();
    imgq_error err;
    iq_forward *forward = NULL;
    float *out = calloc(IMAGES * SMALL_CLASSES, sizeof *out);
    const iq_forward_options options = {
        .height = SMALL_SIDE, .width = SMALL_SIDE, .max_images = batch, .threads = threads, .engine = engine};
    if (CHECK_OK(iq_forward_create(env, &small->net, &options, &forward, &err)))
        for (size_t i = 0; i < IMAGES; i += batch)
            iq_forward_run(forward, images + i * SMALL_INPUT, IMAGES - i < batch ? IMAGES - i : batch,
                           out + i * SMALL_CLASSES);
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

static const char *const engines[] = {"scalar", "auto"};

void any_number_of_threads_makes_the_same_bits(void)
{
    small_net small;
    small_net_make(&small);
    float *images = random_floats(IMAGES * SMALL_INPUT);
    for (size_t e = 0; e < 2; e++) {
        for (size_t batch = 1; batch <= IMAGES; batch += 9) {
            float *one = answers(&small, images, batch, 1, engines[e]);
            for (size_t threads = 2; threads <= 5; threads++) {
                float *many = answers(&small, images, batch, threads, engines[e]);
                CHECK_EQ_MEM(one, many, IMAGES * SMALL_CLASSES * sizeof *one);
                free(many);
            }
            free(one);
        }
    }
    free(images);
    small_net_free(&small);
}

typedef struct side {
    const small_net *small;
    const float *images;
    float *answer;
} side;

static void *run_side(void *user)
{
    side *s = user;
    s->answer = answers(s->small, s->images, 8, 2, NULL);
    return NULL;
}

/* Several sessions of one host, each with threads of its own, over one OpenBLAS. */
void passes_side_by_side_do_not_meet(void)
{
    enum { SIDES = 4 };
    small_net small;
    small_net_make(&small);
    float *images = random_floats(IMAGES * SMALL_INPUT);
    float *alone = answers(&small, images, 8, 2, NULL);
    side sides[SIDES];
    pthread_t threads[SIDES];
    for (size_t i = 0; i < SIDES; i++) {
        sides[i] = (side){.small = &small, .images = images};
        CHECK_EQ_INT(0, iq_thread_start(&threads[i], "side", run_side, &sides[i]));
    }
    for (size_t i = 0; i < SIDES; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ_MEM(alone, sides[i].answer, IMAGES * SMALL_CLASSES * sizeof *alone);
        free(sides[i].answer);
    }
    free(alone);
    free(images);
    small_net_free(&small);
}

void neighbours_do_not_change_an_answer(void)
{
    small_net small;
    small_net_make(&small);
    float *images = random_floats(IMAGES * SMALL_INPUT);
    for (size_t e = 0; e < 2; e++) {
        float *alone = answers(&small, images, 1, 1, engines[e]);
        for (size_t batch = 2; batch <= IMAGES; batch++) {
            float *together = answers(&small, images, batch, 1 + batch % 2, engines[e]);
            CHECK_NEAR(0, largest_difference(alone, together), 1e-5);
            free(together);
        }
        free(alone);
    }
    free(images);
    small_net_free(&small);
}

void engines_give_one_answer(void)
{
    small_net small;
    small_net_make(&small);
    float *images = random_floats(IMAGES * SMALL_INPUT);
    float *scalar = answers(&small, images, 8, 2, "scalar"), *best = answers(&small, images, 8, 2, "auto");
    CHECK_NEAR(0, largest_difference(scalar, best), 1e-5);
    free(scalar);
    free(best);
    free(images);
    small_net_free(&small);
}

static void *counting_realloc(void *user, void *ptr, size_t old_size, size_t new_size, size_t alignment)
{
    (void)old_size;
    atomic_fetch_add((atomic_size_t *)user, 1);
    free(new_size == 0 ? ptr : NULL);
    return new_size == 0 ? NULL : aligned_alloc(alignment, (new_size + alignment - 1) / alignment * alignment);
}

static void expect_no_allocation(const small_net *small, const float *images, const char *engine, const char *precision)
{
    atomic_size_t calls = 0;
    imgq_env *env = NULL;
    imgq_error err;
    iq_forward *forward = NULL;
    float answer[IMAGES * SMALL_CLASSES];
    imgq_env_options env_options = IMGQ_ENV_OPTIONS_INIT;
    env_options.realloc_fn = counting_realloc;
    env_options.realloc_user = &calls;
    CHECK_OK(imgq_env_create(&env_options, &env, &err));
    const iq_forward_options options = {.height = SMALL_SIDE,
                                        .width = SMALL_SIDE,
                                        .max_images = IMAGES,
                                        .threads = 2,
                                        .engine = engine,
                                        .precision = precision};
    if (CHECK_OK(iq_forward_create(env, &small->net, &options, &forward, &err))) {
        const size_t before = atomic_load(&calls);
        CHECK(before > 0);
        for (size_t batch = 1; batch <= IMAGES; batch++)
            iq_forward_run(forward, images, batch, answer);
        CHECK_EQ_SIZE(before, atomic_load(&calls));
    }
    iq_forward_destroy(forward);
    imgq_env_destroy(env);
}

/* The arena of a session is all that its runs have, whatever the batch. */
void a_run_allocates_nothing(void)
{
    static const char *const precisions[] = {"highest", "high", "medium"};
    small_net small;
    small_net_make(&small);
    float *images = random_floats(IMAGES * SMALL_INPUT);
    for (size_t e = 0; e < 2; e++)
        for (size_t p = 0; p < 3; p++)
            expect_no_allocation(&small, images, engines[e], precisions[p]);
#if IMGQ_HAVE_OPENBLAS
    expect_no_allocation(&small, images, "openblas", NULL);
#endif
    free(images);
    small_net_free(&small);
}

void the_callers_floating_point_mode_comes_back(void)
{
    small_net small;
    small_net_make(&small);
    float *images = random_floats(IMAGES * SMALL_INPUT);
    float *usual = answers(&small, images, 8, 2, NULL);
    fesetround(FE_UPWARD);
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept(FE_DIVBYZERO);
    float *odd = answers(&small, images, 8, 2, NULL);
    const int mode = fegetround(), raised = fetestexcept(FE_ALL_EXCEPT);
    volatile float tiny = 1e-38f;
    const float denormal = tiny / 8.0f;
    fesetround(FE_TONEAREST);
    feclearexcept(FE_ALL_EXCEPT);
    CHECK_EQ_INT(FE_UPWARD, mode);
    CHECK_EQ_INT(FE_DIVBYZERO, raised);
    CHECK(denormal > 0.0f);
    CHECK_EQ_MEM(usual, odd, IMAGES * SMALL_CLASSES * sizeof *usual);
    free(usual);
    free(odd);
    free(images);
    small_net_free(&small);
}

/* By whichever thread computes them. */
void denormals_are_flushed(void)
{
    imgq_env *env = plain_env();
    imgq_error err;
    float weights[4] = {1e-20f, 1e-20f, 1e-20f, 1e-20f}, bias[1] = {0};
    enum { PIXELS = 2000, RUNS = 20 };
    static float input[PIXELS * 4], answer[PIXELS];
    for (size_t i = 0; i < PIXELS * 4; i++)
        input[i] = 1e-20f;
    const iq_layer layer = {.op = IQ_OP_CONV,
                            .residual = IQ_NO_VALUE,
                            .kernel = 1,
                            .stride = 1,
                            .in_channels = 4,
                            .out_channels = 1,
                            .weights = weights,
                            .bias = bias};
    const iq_net net = {.layers = &layer, .count = 1, .in_channels = 4};
    for (size_t e = 0; e < 4; e++) {
        iq_forward *forward = NULL;
        const iq_forward_options options = {
            .height = 1, .width = PIXELS, .max_images = 1, .threads = e < 2 ? 1 : 3, .engine = engines[e % 2]};
        if (CHECK_OK(iq_forward_create(env, &net, &options, &forward, &err))) {
            size_t flushed = 0;
            for (int run = 0; run < RUNS; run++) {
                for (size_t p = 0; p < PIXELS; p++)
                    answer[p] = 1;
                iq_forward_run(forward, input, 1, answer);
                for (size_t p = 0; p < PIXELS; p++)
                    flushed += fpclassify(answer[p]) == FP_ZERO;
            }
            CHECK_EQ_SIZE((size_t)PIXELS * RUNS, flushed);
        }
        iq_forward_destroy(forward);
    }
    imgq_env_destroy(env);
}

void an_unknown_engine_is_refused_with_the_choices(void)
{
    imgq_env *env = plain_env();
    imgq_error err;
    iq_forward *forward = NULL;
    small_net small;
    small_net_make(&small);
    const iq_forward_options options = {
        .height = SMALL_SIDE, .width = SMALL_SIDE, .max_images = 1, .threads = 1, .engine = "quantum"};
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, iq_forward_create(env, &small.net, &options, &forward, &err));
    CHECK(forward == NULL);
    CHECK_CONTAINS("engine 'quantum' is not built in: choose from auto, ", err.message);
    CHECK_CONTAINS("scalar", err.message);
    small_net_free(&small);
    imgq_env_destroy(env);
}

static imgq_status create_once(imgq_env *env, const small_net *small)
{
    iq_forward *forward = NULL;
    const iq_forward_options options = {.height = SMALL_SIDE, .width = SMALL_SIDE, .max_images = 8, .threads = 2};
    imgq_status status = iq_forward_create(env, &small->net, &options, &forward, NULL);
    CHECK((forward != NULL) == (status == IMGQ_OK));
    iq_forward_destroy(forward);
    return status;
}

void create_survives_every_failed_allocation(void)
{
    small_net small;
    small_net_make(&small);
    imgq_status status = IMGQ_E_NOMEM;
    for (size_t nth = 1; status == IMGQ_E_NOMEM && nth < 100; nth++) {
        imgq_env *env = failing_env(nth);
        if (env == NULL)
            continue;
        status = create_once(env, &small);
        CHECK_EQ_INT(failing_has_failed() ? IMGQ_E_NOMEM : IMGQ_OK, status);
        imgq_env_destroy(env);
        CHECK_EQ_SIZE(0, failing_live_bytes());
    }
    CHECK_EQ_INT(IMGQ_OK, status);
    small_net_free(&small);
}
