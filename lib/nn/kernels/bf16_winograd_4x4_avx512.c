/* Winograd's transforms for tiles of 4 x 4 pixels of bf16. */
#include "nn/kernels/avx512_bf16.h"

#include "nn/kernels/vec_avx512_bf16.h"

#include "nn/kernels/winograd_body.h"

#include "nn/kernels/bf16_winograd_body.h"

void iq_bf16_winograd_in_4x4_avx512(const uint16_t *const *pixels, size_t channels, uint16_t *out, size_t point_step)
{
    bf16_winograd_in(pixels, channels, out, point_step, 4);
}

void iq_bf16_winograd_out_4x4_avx512(const float *points, size_t point_step, size_t channels, const float *bias,
                                     bool relu, uint16_t *out, size_t line_step, size_t pixel_step, size_t height,
                                     size_t width)
{
    bf16_winograd_out(points, point_step, channels, bias, relu, out, line_step, pixel_step, height, width, 4);
}
