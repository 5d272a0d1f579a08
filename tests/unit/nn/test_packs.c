/* Weights that a net reads when they are asked for: the same answers, each order made once, and nothing half made. */
#include "nn_tests.h"
#include "small_net.h"

#include "base/fail.h"
#include "nn/forward.h"
#include "nn/packs.h"

#include "support/check.h"
#include "support/failing_alloc.h"

#include <fenv.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 3 };

/* A small net without weights, and one with them behind it. */
typedef struct far_net {
    small_net with, without;
    atomic_size_t reads;
    size_t broken; /* this layer cannot be read; SMALL_LAYERS: all can */
} far_net;

static size_t weight_layers(const far_net *far)
{
    size_t count = 0;
    for (size_t i = 0; i < SMALL_LAYERS; i++)
        count += far->with.layers[i].weights != NULL;
    return count;
}

static imgq_status read_layer(void *user, size_t layer, float *out, imgq_error *err)
{
    far_net *far = user;
    atomic_fetch_add(&far->reads, 1);
    if (layer == far->broken)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "layer %zu is gone", layer);
    memcpy(out, far->with.layers[layer].weights, iq_layer_weight_floats(&far->with.layers[layer]) * sizeof *out);
    return IMGQ_OK;
}

static void make_far(far_net *far)
{
    memset(far, 0, sizeof *far);
    small_net_make(&far->with);
    far->without = far->with;
    for (size_t i = 0; i < SMALL_LAYERS; i++)
        far->without.layers[i].weights = NULL;
    far->without.net.layers = far->without.layers;
    far->without.net.read_weights = read_layer;
    far->without.net.read_user = far;
    far->broken = SMALL_LAYERS;
}

static imgq_status run(imgq_env *env, const iq_net *net, iq_packs *packs, const char *engine, size_t threads,
                       const float *images, float *answer, imgq_error *err)
{
    iq_forward *forward = NULL;
    const iq_forward_options options = {.height = SMALL_SIDE,
                                        .width = SMALL_SIDE,
                                        .max_images = IMAGES,
                                        .threads = threads,
                                        .engine = engine,
                                        .packs = packs};
    imgq_status status = iq_forward_create(env, net, &options, &forward, err);
    CHECK((forward != NULL) == (status == IMGQ_OK));
    if (status == IMGQ_OK && answer != NULL)
        iq_forward_run(forward, images, IMAGES, answer);
    iq_forward_destroy(forward);
    return status;
}

static const char *const engines[] = {"scalar", "auto"};

void weights_that_are_read_make_the_same_bits(void)
{
    imgq_env *env = failing_env(0);
    imgq_error err;
    far_net far;
    float want[IMAGES * SMALL_CLASSES], got[IMAGES * SMALL_CLASSES];
    make_far(&far);
    float *images = random_floats(IMAGES * SMALL_INPUT);
    for (size_t e = 0; e < 2; e++) {
        CHECK_OK(run(env, &far.with.net, NULL, engines[e], 1, images, want, &err));
        for (size_t threads = 1; threads <= 12; threads += threads < 4 ? 1 : 8) {
            memset(got, 0, sizeof got);
            atomic_store(&far.reads, 0);
            CHECK_OK(run(env, &far.without.net, NULL, engines[e], threads, images, got, &err));
            CHECK_EQ_SIZE(weight_layers(&far), atomic_load(&far.reads));
            CHECK_EQ_MEM(want, got, sizeof want);
        }
    }
    free(images);
    small_net_free(&far.with);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

void passes_share_what_they_both_need(void)
{
    imgq_env *env = failing_env(0);
    imgq_error err;
    far_net far;
    iq_packs *packs = NULL;
    size_t plain = 0;
    make_far(&far);
    CHECK_OK(iq_packs_create(env, &far.without.net, &packs, &err));
    for (size_t i = 0; i < SMALL_LAYERS; i++)
        if (far.with.layers[i].weights != NULL)
            plain += (iq_layer_weight_floats(&far.with.layers[i]) + 15) / 16 * 16 * sizeof(float);
    CHECK_OK(run(env, &far.without.net, packs, "auto", 2, NULL, NULL, &err));
    const size_t first = iq_packs_bytes(packs);
    CHECK(first >= plain);
    CHECK_OK(run(env, &far.without.net, packs, "auto", 1, NULL, NULL, &err));
    CHECK_EQ_SIZE(first, iq_packs_bytes(packs));
    CHECK_EQ_SIZE(weight_layers(&far), atomic_load(&far.reads));
    CHECK_OK(run(env, &far.without.net, packs, "scalar", 1, NULL, NULL, &err));
    CHECK_OK(run(env, &far.without.net, packs, "scalar", 3, NULL, NULL, &err));
    const size_t both = iq_packs_bytes(packs);
    CHECK(both == first || both == first + plain); /* the former where auto reads plain weights too */
    CHECK_EQ_SIZE(weight_layers(&far) * (both == first ? 1 : 2), atomic_load(&far.reads));
    iq_packs_destroy(packs);
    small_net_free(&far.with);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

/* Plain weights that the net holds are nobody's second copy. */
void weights_in_memory_are_not_copied(void)
{
    imgq_env *env = failing_env(0);
    imgq_error err;
    small_net small;
    iq_packs *packs = NULL;
    small_net_make(&small);
    CHECK_OK(iq_packs_create(env, &small.net, &packs, &err));
    CHECK_OK(run(env, &small.net, packs, "scalar", 2, NULL, NULL, &err));
    CHECK_EQ_SIZE(0, iq_packs_bytes(packs));
    iq_packs_destroy(packs);
    small_net_free(&small);
    imgq_env_destroy(env);
}

void a_layer_that_cannot_be_read_fails_the_pass(void)
{
    imgq_env *env = failing_env(0);
    imgq_error err;
    far_net far;
    iq_packs *packs = NULL;
    make_far(&far);
    CHECK_OK(iq_packs_create(env, &far.without.net, &packs, &err));
    for (size_t threads = 1; threads <= 3; threads++) {
        far.broken = 4;
        CHECK_STATUS(IMGQ_E_CORRUPT, run(env, &far.without.net, packs, NULL, threads, NULL, NULL, &err));
        CHECK_EQ_STR("layer 4 is gone", err.message);
        CHECK_STATUS(IMGQ_E_CORRUPT, run(env, &far.without.net, packs, NULL, threads, NULL, NULL, NULL));
        CHECK_EQ_SIZE(0, iq_packs_bytes(packs));
    }
    far.broken = SMALL_LAYERS;
    CHECK_OK(run(env, &far.without.net, packs, NULL, 2, NULL, NULL, &err));
    CHECK(iq_packs_bytes(packs) > 0);
    iq_packs_destroy(packs);
    small_net_free(&far.with);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

void packing_survives_every_failed_allocation(void)
{
    far_net far;
    make_far(&far);
    for (size_t e = 0; e < 2; e++) {
        imgq_status status = IMGQ_E_NOMEM;
        size_t nth = 0;
        while (status == IMGQ_E_NOMEM && ++nth < 100) {
            imgq_env *env = failing_env(nth);
            iq_packs *packs = NULL;
            if (env == NULL)
                continue;
            status = iq_packs_create(env, &far.without.net, &packs, NULL);
            if (status == IMGQ_OK)
                status = run(env, &far.without.net, packs, engines[e], 2, NULL, NULL, NULL);
            CHECK_EQ_INT(failing_has_failed() ? IMGQ_E_NOMEM : IMGQ_OK, status);
            iq_packs_destroy(packs);
            imgq_env_destroy(env);
            CHECK_EQ_SIZE(0, failing_live_bytes());
        }
        CHECK_EQ_INT(IMGQ_OK, status);
        CHECK(nth > 8);
    }
    small_net_free(&far.with);
}

/* Transformed weights are rounded: always to the nearest. */
void the_hosts_rounding_does_not_reach_the_weights(void)
{
    enum { SIDE = 12, CHANNELS = 64, FLOATS = SIDE * SIDE * CHANNELS };
    imgq_env *env = failing_env(0);
    imgq_error err;
    float *weights = random_floats(9 * CHANNELS * CHANNELS), *bias = random_floats(CHANNELS);
    float *image = random_floats(FLOATS), *answers[2];
    const iq_layer layer = {.op = IQ_OP_CONV,
                            .residual = IQ_NO_VALUE,
                            .kernel = 3,
                            .stride = 1,
                            .pad = 1,
                            .in_channels = CHANNELS,
                            .out_channels = CHANNELS,
                            .weights = weights,
                            .bias = bias};
    const iq_net net = {.layers = &layer, .count = 1, .in_channels = CHANNELS};
    const iq_forward_options options = {.height = SIDE, .width = SIDE, .max_images = 1, .threads = 1};
    for (int upward = 0; upward < 2; upward++) {
        iq_forward *forward = NULL;
        answers[upward] = calloc(FLOATS, sizeof(float));
        fesetround(upward ? FE_UPWARD : FE_TONEAREST);
        const imgq_status status = iq_forward_create(env, &net, &options, &forward, &err);
        fesetround(FE_TONEAREST);
        if (CHECK_STATUS(IMGQ_OK, status))
            iq_forward_run(forward, image, 1, answers[upward]);
        iq_forward_destroy(forward);
    }
    CHECK_EQ_MEM(answers[0], answers[1], FLOATS * sizeof(float));
    free(answers[0]);
    free(answers[1]);
    free(image);
    free(bias);
    free(weights);
    imgq_env_destroy(env);
}
