/* What is measured: time per layer, and the processor's peak. */
#include "nn_tests.h"
#include "small_net.h"

#include <imgq/cpu.h>

#include "base/clock.h"
#include "nn/forward.h"
#include "nn/kernels/peak.h"

#include "support/check.h"
#include "support/failing_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 11 }; /* a group and a rest */

typedef struct pass {
    small_net small;
    imgq_env *env;
    iq_forward *forward;
    float *images, *answer;
} pass;

static void pass_begin(pass *p)
{
    imgq_error err;
    const iq_forward_options options = {.height = SMALL_SIDE, .width = SMALL_SIDE, .max_images = IMAGES, .threads = 2};
    p->forward = NULL;
    small_net_make(&p->small);
    p->images = random_floats(IMAGES * SMALL_INPUT);
    p->answer = calloc(IMAGES * SMALL_CLASSES, sizeof *p->answer);
    CHECK_OK(imgq_env_create(NULL, &p->env, &err));
    CHECK_OK(iq_forward_create(p->env, &p->small.net, &options, &p->forward, &err));
}

static void pass_end(pass *p)
{
    iq_forward_destroy(p->forward);
    imgq_env_destroy(p->env);
    free(p->images);
    free(p->answer);
    small_net_free(&p->small);
}

static uint64_t sum(const uint64_t *values)
{
    uint64_t total = 0;
    for (size_t i = 0; i < SMALL_LAYERS; i++)
        total += values[i];
    return total;
}

void layer_times_add_up_to_the_run(void)
{
    pass p;
    uint64_t ns[SMALL_LAYERS + 1] = {0};
    pass_begin(&p);
    CHECK_EQ_SIZE(SMALL_LAYERS, iq_forward_layers(p.forward));
    ns[SMALL_LAYERS] = 77;
    iq_forward_profile(p.forward, ns);
    const int64_t started = iq_clock_ns();
    iq_forward_run(p.forward, p.images, IMAGES, p.answer);
    const uint64_t wall = (uint64_t)(iq_clock_ns() - started);
    CHECK(sum(ns) > 0);
    CHECK(sum(ns) <= wall);
    for (size_t i = 0; i < SMALL_LAYERS; i++)
        CHECK(ns[i] > 0);
    CHECK_EQ_SIZE(77, ns[SMALL_LAYERS]);
    const uint64_t once = sum(ns);
    iq_forward_run(p.forward, p.images, IMAGES, p.answer);
    CHECK(sum(ns) > once);
    pass_end(&p);
}

void a_profile_that_ends_writes_no_more(void)
{
    pass p;
    uint64_t ns[SMALL_LAYERS] = {0};
    pass_begin(&p);
    float *plain = calloc(IMAGES * SMALL_CLASSES, sizeof *plain);
    iq_forward_profile(p.forward, ns);
    iq_forward_run(p.forward, p.images, IMAGES, plain);
    const uint64_t before = sum(ns);
    iq_forward_profile(p.forward, NULL);
    iq_forward_run(p.forward, p.images, IMAGES, p.answer);
    CHECK_EQ_SIZE(before, sum(ns));
    CHECK_EQ_MEM(plain, p.answer, IMAGES * SMALL_CLASSES * sizeof *plain);
    free(plain);
    pass_end(&p);
}

void layers_tell_their_work(void)
{
    pass p;
    pass_begin(&p);
    for (size_t i = 0; i < SMALL_LAYERS; i++) {
        const iq_forward_layer at = iq_forward_layer_at(p.forward, i, IMAGES);
        const iq_layer *layer = &p.small.layers[i];
        const bool multiplies = layer->op == IQ_OP_CONV || layer->op == IQ_OP_DENSE;
        const uint64_t window = layer->op == IQ_OP_DENSE ? 1 : (uint64_t)layer->kernel * layer->kernel;
        CHECK(at.layer->op == layer->op);
        CHECK(at.algorithm != NULL && at.algorithm[0] != '\0');
        CHECK_EQ_SIZE(multiplies ? window * layer->in_channels * layer->out_channels * at.out_height * at.out_width : 0,
                      at.macs);
    }
    CHECK(iq_forward_arena_bytes(p.forward) >= SMALL_CLASSES * sizeof(float));
    pass_end(&p);
}

/* x / 2 + 1 has the fixed point 2: after some turns every lane of every register holds it. */
void every_register_of_a_peak_loop_does_its_work(void)
{
    static const iq_peak_kernel *const kernels[] = {
#if defined(__x86_64__)
        &iq_peak_avx512,
        &iq_peak_avx512_bf16,
        &iq_peak_amx,
        &iq_peak_avx2,
#endif
        &iq_peak_plain,
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        if (kernels[i]->fits())
            CHECK_EQ_INT((long long)kernels[i]->flops, (long long)kernels[i]->run(200));
        else
            fprintf(stderr, "this processor has no %s: its loop is not run\n", kernels[i]->isa);
    }
}

void a_peak_names_what_it_measured(void)
{
    imgq_env *env = NULL;
    imgq_error err;
    imgq_cpu_peak plain = IMGQ_CPU_PEAK_INIT, best = IMGQ_CPU_PEAK_INIT;
    CHECK_OK(imgq_env_create(NULL, &env, &err));
    CHECK_OK(imgq_cpu_measure(env, "plain", 2, 0, &plain, &err));
    CHECK_EQ_STR("plain", plain.isa);
    CHECK_EQ_SIZE(2, plain.threads);
    CHECK(plain.median_gflops > 0 && plain.best_gflops >= plain.median_gflops);
    CHECK_OK(imgq_cpu_measure(env, NULL, 1, 0, &best, &err));
    CHECK(best.isa != NULL && best.best_gflops > 0);
    imgq_env_destroy(env);
}

void an_unknown_instruction_set_is_refused_with_the_choices(void)
{
    imgq_env *env = NULL;
    imgq_error err;
    imgq_cpu_peak peak = IMGQ_CPU_PEAK_INIT;
    CHECK_OK(imgq_env_create(NULL, &env, &err));
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, imgq_cpu_measure(env, "mmx", 1, 0, &peak, &err));
    CHECK_CONTAINS("instruction set 'mmx' is not to be had here: choose from ", err.message);
    CHECK_CONTAINS("plain", err.message);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_cpu_measure(env, NULL, 0, 0, &peak, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_cpu_measure(env, NULL, 129, 0, &peak, &err));
    imgq_env_destroy(env);
}

void a_peak_survives_every_failed_allocation(void)
{
    for (size_t nth = 1;; nth++) {
        imgq_env *env = failing_env(nth);
        imgq_error err = {0};
        imgq_cpu_peak peak = IMGQ_CPU_PEAK_INIT;
        const imgq_status status = env == NULL ? IMGQ_E_NOMEM : imgq_cpu_measure(env, "plain", 2, 0, &peak, &err);
        imgq_env_destroy(env);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        if (!failing_has_failed()) {
            CHECK_OK(status);
            return;
        }
        CHECK_STATUS(IMGQ_E_NOMEM, status);
    }
}
