/* Shapes and slots. */
#include "nn_tests.h"
#include "small_net.h"

#include "nn/plan.h"

#include "support/check.h"

#include <string.h>

void a_plan_knows_every_shape(void)
{
    static const size_t want[][3] = {{37, 37, 3}, {19, 19, 24}, {10, 10, 24}, {5, 5, 96},           {10, 10, 32},
                                     {5, 5, 32},  {5, 5, 96},   {1, 1, 96},   {1, 1, SMALL_CLASSES}};
    imgq_env *env = NULL;
    imgq_error err;
    iq_plan plan;
    small_net small;
    small_net_make(&small);
    CHECK_OK(imgq_env_create(NULL, &env, &err));
    if (CHECK_OK(iq_plan_create(env, &small.net, SMALL_SIDE, SMALL_SIDE, NULL, &plan, &err))) {
        for (size_t v = 0; v <= SMALL_LAYERS; v++) {
            CHECK_EQ_SIZE(want[v][0], plan.values[v].height);
            CHECK_EQ_SIZE(want[v][1], plan.values[v].width);
            CHECK_EQ_SIZE(want[v][2], plan.values[v].channels);
        }
        CHECK_EQ_SIZE(3, plan.slots);
        iq_plan_release(env, &plan);
    }
    imgq_env_destroy(env);
    small_net_free(&small);
}

/* A random network of 1x1 convs that read and add any value made before. */
static void random_net(iq_layer *layers, size_t count)
{
    for (uint32_t i = 0; i < count; i++)
        layers[i] = (iq_layer){
            .op = IQ_OP_CONV,
            .input = (uint32_t)random_between(i > 2 ? i - 2 : 0, i),
            .residual =
                i > 0 && random_between(0, 2) == 0 ? (uint32_t)random_between(i > 3 ? i - 3 : 0, i) : IQ_NO_VALUE,
            .kernel = 1,
            .stride = 1,
            .in_channels = 4,
            .out_channels = 4,
        };
}

static bool is_read_from(const iq_layer *layers, size_t count, uint32_t value, size_t first)
{
    for (size_t i = first; i < count; i++)
        if (layers[i].input == value || layers[i].residual == value)
            return true;
    return value == count;
}

void living_values_never_share_a_slot(void)
{
    imgq_env *env = NULL;
    imgq_error err;
    CHECK_OK(imgq_env_create(NULL, &env, &err));
    for (int round = 0; round < 200; round++) {
        iq_layer layers[24];
        const size_t count = random_between(1, 24);
        random_net(layers, count);
        const iq_net net = {.layers = layers, .count = count, .in_channels = 4};
        iq_plan plan;
        if (!CHECK_OK(iq_plan_create(env, &net, 3, 3, NULL, &plan, &err)))
            continue;
        for (uint32_t v = 2; v <= count; v++)
            for (uint32_t older = 1; older < v; older++)
                if (is_read_from(layers, count, older, v - 1)) /* by the layer that makes v, or later */
                    CHECK(plan.values[v].slot != plan.values[older].slot);
        iq_plan_release(env, &plan);
    }
    imgq_env_destroy(env);
}

static void expect_refused(imgq_env *env, const small_net *small, size_t side, const char *message)
{
    imgq_error err;
    iq_plan plan;
    CHECK_STATUS(IMGQ_E_INVALID, iq_plan_create(env, &small->net, side, side, NULL, &plan, &err));
    CHECK_EQ_STR(message, err.message);
}

void layers_that_do_not_fit_are_refused(void)
{
    imgq_env *env = NULL;
    imgq_error err;
    small_net small;
    small_net_make(&small);
    CHECK_OK(imgq_env_create(NULL, &env, &err));
    expect_refused(env, &small, 0, "a network of 8 layers on 0 x 0");
    expect_refused(env, &small, (size_t)1 << 40, "a network of 8 layers on 1099511627776 x 1099511627776");
    small.layers[3].in_channels = 25;
    expect_refused(env, &small, SMALL_SIDE, "layer 3 reads 24 channels and wants 25");
    small.layers[3].in_channels = 24;
    small.layers[5].residual = 2;
    expect_refused(env, &small, SMALL_SIDE, "layer 5 adds a value of another shape");
    small.layers[5].residual = 7;
    expect_refused(env, &small, SMALL_SIDE, "layer 5 reads a value that is not made yet");
    small.layers[5].residual = 3;
    small.layers[0].stride = 0;
    expect_refused(env, &small, SMALL_SIDE, "nothing is left of 37 x 37 at layer 0");
    small.layers[0].stride = 2;
    small.layers[6].op = IQ_OP_DENSE;
    expect_refused(env, &small, SMALL_SIDE, "layer 6 is dense and reads 5 x 5");
    small_net_free(&small);
    imgq_env_destroy(env);
}
