/* Pooling straight on NHWC: channels lie side by side, so the compiler makes vectors of the inner loops. */
#include "nn/ops/pool.h"

#include <math.h>

enum { AVERAGE_CHANNELS = 64, WINDOW_MAX = IQ_POOL_KERNEL_MAX * IQ_POOL_KERNEL_MAX };

/* A NaN wins for good: it must not vanish on its way to the answer. */
static void take_larger(float *restrict best, const float *restrict values, size_t count)
{
    for (size_t c = 0; c < count; c++)
        best[c] = (values[c] > best[c]) | (values[c] != values[c]) ? values[c] : best[c];
}

static void largest_of(const float *const *pixels, size_t count, size_t channels, float *out)
{
    for (size_t c = 0; c < channels; c++)
        out[c] = -INFINITY;
    for (size_t p = 0; p < count; p++)
        take_larger(out, pixels[p], channels);
}

static void max_of_window(const iq_pool_shape *shape, const float *image, size_t out_y, size_t out_x, float *best)
{
    const float *pixels[WINDOW_MAX];
    size_t count = 0;
    for (size_t ky = 0; ky < shape->kernel; ky++) {
        for (size_t kx = 0; kx < shape->kernel; kx++) {
            const size_t y = out_y * shape->stride + ky, x = out_x * shape->stride + kx;
            if (y < shape->pad || x < shape->pad || y - shape->pad >= shape->in_height ||
                x - shape->pad >= shape->in_width)
                continue;
            pixels[count++] = image + ((y - shape->pad) * shape->in_width + x - shape->pad) * shape->in_step;
        }
    }
    (shape->set != NULL ? shape->set->largest : largest_of)(pixels, count, shape->channels, best);
}

void iq_max_pool(const iq_pool_shape *shape, const float *input, float *output, size_t line, size_t lines)
{
    for (size_t l = line; l < line + lines; l++) {
        const float *image = input + l / shape->out_height * shape->in_height * shape->in_width * shape->in_step;
        float *out = output + l * shape->out_width * shape->out_step;
        for (size_t x = 0; x < shape->out_width; x++)
            max_of_window(shape, image, l % shape->out_height, x, out + x * shape->out_step);
    }
}

static void average_channels(const float *image, float *out, size_t pixels, size_t step, size_t channels)
{
    double sum[AVERAGE_CHANNELS] = {0};
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++)
            sum[c] += (double)image[p * step + c];
    for (size_t c = 0; c < channels; c++)
        out[c] = (float)(sum[c] / (double)pixels);
}

void iq_global_average(const float *input, size_t step, float *output, size_t pixels, size_t channels, size_t image,
                       size_t images)
{
    for (size_t i = image; i < image + images; i++)
        for (size_t c = 0; c < channels; c += AVERAGE_CHANNELS)
            average_channels(input + i * pixels * step + c, output + i * channels + c, pixels, step,
                             channels - c < AVERAGE_CHANNELS ? channels - c : AVERAGE_CHANNELS);
}
