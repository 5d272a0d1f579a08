/* Winograd's transforms for tiles of 2 x 2 pixels. */
#include "nn/kernels/plain.h"

#include "nn/kernels/vec_plain.h"

#include "nn/kernels/winograd_body.h"

void iq_winograd_in_2x2_plain(const float *const *pixels, size_t channels, float *out, size_t point_step)
{
    winograd_in(pixels, channels, out, point_step, 2);
}

void iq_winograd_out_2x2_plain(const float *points, size_t point_step, size_t channels, const float *bias, bool relu,
                               float *out, size_t line_step, size_t pixel_step, size_t height, size_t width)
{
    winograd_out(points, point_step, channels, bias, relu, out, line_step, pixel_step, height, width, 2);
}
