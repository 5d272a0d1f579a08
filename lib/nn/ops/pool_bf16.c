/* Pooling of bf16 values, of one term or two. */
#include "nn/ops/pool.h"

#include "nn/bf16.h"

enum { AVERAGE_CHANNELS = 64, WINDOW_MAX = IQ_POOL_KERNEL_MAX * IQ_POOL_KERNEL_MAX };

/* The larger float is the one of the larger first term, or of the larger second one beside equal first ones. */
static void larger_of_two(const iq_pool_shape *shape, const uint16_t *const *pixels, size_t count, uint16_t *best)
{
    for (size_t c = 0; c < shape->channels; c++) {
        float largest = 0;
        for (size_t p = 0; p < count; p++) {
            const float value = iq_bf16_float(pixels[p][c]) + iq_bf16_float(pixels[p][shape->in_step + c]);
            if (p == 0 || value > largest || value != value) {
                largest = value;
                best[c] = pixels[p][c];
                best[shape->out_step + c] = pixels[p][shape->in_step + c];
            }
        }
    }
}

static void max_of_window(const iq_pool_shape *shape, const uint16_t *image, size_t out_y, size_t out_x, uint16_t *best)
{
    const size_t step = shape->in_step * (shape->two ? 2 : 1);
    const uint16_t *pixels[WINDOW_MAX];
    size_t count = 0;
    for (size_t ky = 0; ky < shape->kernel; ky++) {
        for (size_t kx = 0; kx < shape->kernel; kx++) {
            /* What lies before the first is very large. */
            const size_t y = out_y * shape->stride + ky - shape->pad, x = out_x * shape->stride + kx - shape->pad;
            if (y < shape->in_height && x < shape->in_width)
                pixels[count++] = image + (y * shape->in_width + x) * step;
        }
    }
    if (shape->two)
        larger_of_two(shape, pixels, count, best);
    else
        shape->bf16->largest(pixels, count, shape->channels, best);
}

void iq_bf16_max_pool(const iq_pool_shape *shape, const uint16_t *input, uint16_t *output, size_t line, size_t lines)
{
    const size_t in_step = shape->in_step * (shape->two ? 2 : 1), out_step = shape->out_step * (shape->two ? 2 : 1);
    for (size_t l = line; l < line + lines; l++) {
        const uint16_t *image = input + l / shape->out_height * shape->in_height * shape->in_width * in_step;
        uint16_t *out = output + l * shape->out_width * out_step;
        for (size_t x = 0; x < shape->out_width; x++)
            max_of_window(shape, image, l % shape->out_height, x, out + x * out_step);
    }
}

static void average_channels(const uint16_t *image, float *out, size_t pixels, size_t step, size_t channels)
{
    double sum[AVERAGE_CHANNELS] = {0};
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++)
            sum[c] += (double)iq_bf16_float(image[p * step + c]);
    for (size_t c = 0; c < channels; c++)
        out[c] += (float)(sum[c] / (double)pixels);
}

void iq_bf16_global_average(const uint16_t *input, size_t step, bool two, float *output, size_t pixels, size_t channels,
                            size_t image, size_t images)
{
    const size_t terms = two ? 2 : 1;
    for (size_t i = image; i < image + images; i++) {
        for (size_t c = 0; c < channels; c++)
            output[i * channels + c] = 0;
        for (size_t term = 0; term < terms; term++)
            for (size_t c = 0; c < channels; c += AVERAGE_CHANNELS)
                average_channels(input + i * pixels * step * terms + term * step + c, output + i * channels + c, pixels,
                                 step * terms, channels - c < AVERAGE_CHANNELS ? channels - c : AVERAGE_CHANNELS);
    }
}
