/* Pooling, softmax and top-k. */
#include "nn_tests.h"

#include <imgq/session.h>

#include "nn/ops/pool.h"
#include "nn/ops/softmax.h"

#include "support/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float defined_max(const iq_pool_shape *shape, const float *image, size_t y, size_t x, size_t c)
{
    float best = -INFINITY;
    for (size_t ky = 0; ky < shape->kernel; ky++)
        for (size_t kx = 0; kx < shape->kernel; kx++) {
            const long in_y = (long)(y * shape->stride + ky) - (long)shape->pad;
            const long in_x = (long)(x * shape->stride + kx) - (long)shape->pad;
            if (in_y >= 0 && in_x >= 0 && in_y < (long)shape->in_height && in_x < (long)shape->in_width)
                best = fmaxf(best, image[((size_t)in_y * shape->in_width + (size_t)in_x) * shape->channels + c]);
        }
    return best;
}

void max_pool_sees_only_pixels_that_exist(void)
{
    for (int round = 0; round < 60; round++) {
        const size_t kernel = random_between(1, 4), images = random_between(1, 3);
        iq_pool_shape shape = {.in_height = random_between(kernel, 14),
                               .in_width = random_between(kernel, 14),
                               .channels = random_between(1, 21),
                               .kernel = kernel,
                               .stride = random_between(1, 3),
                               .pad = random_between(0, kernel - 1)};
        shape.in_step = shape.out_step = shape.channels;
        shape.out_height = (shape.in_height + 2 * shape.pad - kernel) / shape.stride + 1;
        shape.out_width = (shape.in_width + 2 * shape.pad - kernel) / shape.stride + 1;
        const size_t in_floats = shape.in_height * shape.in_width * shape.channels;
        const size_t out_floats = shape.out_height * shape.out_width * shape.channels;
        float *input = random_floats(images * in_floats), *output = malloc(images * out_floats * sizeof *output);
        const size_t lines = images * shape.out_height, half = lines / 2;
        iq_max_pool(&shape, input, output, 0, half);
        iq_max_pool(&shape, input, output, half, lines - half);
        for (size_t i = 0; i < images * out_floats; i++) {
            const size_t pixel = i % out_floats / shape.channels;
            const float want = defined_max(&shape, input + i / out_floats * in_floats, pixel / shape.out_width,
                                           pixel % shape.out_width, i % shape.channels);
            if (!CHECK_NEAR((double)want, (double)output[i], 0))
                break;
        }
        free(input);
        free(output);
    }
}

void a_nan_survives_max_pool(void)
{
    const iq_pool_shape shape = {.in_height = 3,
                                 .in_width = 3,
                                 .out_height = 1,
                                 .out_width = 1,
                                 .channels = 1,
                                 .kernel = 3,
                                 .stride = 1,
                                 .in_step = 1,
                                 .out_step = 1};
    for (size_t at = 0; at < 9; at++) {
        float input[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, output = 0;
        input[at] = NAN;
        iq_max_pool(&shape, input, &output, 0, 1);
        CHECK(isnan(output));
    }
}

void global_average_is_the_mean(void)
{
    const size_t pixels = 49, channels = 130, images = 3;
    float *input = random_floats(images * pixels * channels), *output = malloc(images * channels * sizeof *output);
    iq_global_average(input, channels, output, pixels, channels, 0, 2);
    iq_global_average(input, channels, output, pixels, channels, 2, 1);
    for (size_t i = 0; i < images * channels; i++) {
        double sum = 0;
        for (size_t p = 0; p < pixels; p++)
            sum += (double)input[(i / channels * pixels + p) * channels + i % channels];
        CHECK_NEAR(sum / (double)pixels, (double)output[i], 1e-7);
    }
    free(input);
    free(output);
}

void softmax_survives_large_scores(void)
{
    float values[] = {1000.0f, 1001.0f, -1000.0f, 999.0f};
    iq_softmax(values, 4);
    const double sum = exp(-1.0) + 1.0 + exp(-2.0);
    CHECK_NEAR(exp(-1.0) / sum, (double)values[0], 1e-7);
    CHECK_NEAR(1.0 / sum, (double)values[1], 1e-7);
    CHECK_NEAR(0.0, (double)values[2], 0);
    CHECK_NEAR(exp(-2.0) / sum, (double)values[3], 1e-7);
}

void softmax_of_a_nan_is_nan(void)
{
    float values[] = {1.0f, NAN, 2.0f};
    iq_softmax(values, 3);
    CHECK(isnan(values[0]) && isnan(values[1]) && isnan(values[2]));
}

void topk_orders_ties_by_class_and_nan_last(void)
{
    const float probs[] = {0.1f, NAN, 0.3f, 0.1f, 0.3f, 0.0f};
    const uint32_t want[] = {2, 4, 0, 3, 5, 1};
    imgq_prediction top[6];
    for (size_t k = 1; k <= 6; k++) {
        CHECK_EQ_SIZE(k, imgq_topk(probs, 6, top, k));
        for (size_t i = 0; i < k; i++) {
            CHECK_EQ_SIZE(want[i], top[i].class_id);
            CHECK_EQ_MEM(&probs[want[i]], &top[i].probability, sizeof top[i].probability);
        }
    }
}

void topk_writes_no_more_than_there_is(void)
{
    const float probs[] = {0.25f, 0.75f};
    imgq_prediction top[4];
    memset(top, 0x5A, sizeof top);
    const imgq_prediction untouched = top[3];
    CHECK_EQ_SIZE(2, imgq_topk(probs, 2, top, 4));
    CHECK_EQ_MEM(&untouched, &top[2], sizeof untouched);
    CHECK_EQ_MEM(&untouched, &top[3], sizeof untouched);
    CHECK_EQ_SIZE(0, imgq_topk(probs, 2, top, 0));
    CHECK_EQ_SIZE(0, imgq_topk(probs, 0, top, 4));
}
