/* The transform of weights for one instruction set: plain loops over 16 channels, which the compiler makes vectors of.
 * Before it: #define ISA. The file must be compiled without contraction: a fused multiply-add rounds less. */
#include "nn/kernels/winograd_weights.h"

enum { CHANNELS = 16 };

static const double to_2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
static const double to_4[6][3] = {{1. / 4, 0, 0},
                                  {-1. / 6, -1. / 6, -1. / 6},
                                  {-1. / 6, 1. / 6, -1. / 6},
                                  {1. / 24, 1. / 12, 1. / 6},
                                  {1. / 24, -1. / 12, 1. / 6},
                                  {0, 0, 1}};

/* One input channel and CHANNELS output channels. @param tap floats from tap to tap @param point from point to point */
static inline __attribute__((always_inline)) void transform(const double (*g)[3], size_t side, const float *weights,
                                                            size_t tap, float *points, size_t point)
{
    double half[6][3][CHANNELS];
    for (size_t x = 0; x < 3; x++) {
        double w[3][CHANNELS];
        for (size_t y = 0; y < 3; y++)
            for (size_t c = 0; c < CHANNELS; c++)
                w[y][c] = (double)weights[(3 * y + x) * tap + c];
        for (size_t y = 0; y < side; y++)
            for (size_t c = 0; c < CHANNELS; c++)
                half[y][x][c] = g[y][0] * w[0][c] + g[y][1] * w[1][c] + g[y][2] * w[2][c];
    }
    for (size_t y = 0; y < side; y++)
        for (size_t x = 0; x < side; x++)
            for (size_t c = 0; c < CHANNELS; c++)
                points[(y * side + x) * point + c] =
                    (float)(g[x][0] * half[y][0][c] + g[x][1] * half[y][1][c] + g[x][2] * half[y][2][c]);
}

/* Panel by panel: what is written are as many straight lines as there are points. */
static inline __attribute__((always_inline)) void transform_all(const double (*g)[3], size_t side, const float *weights,
                                                                size_t in, size_t out, size_t cols, float *points)
{
    for (size_t panel = 0; panel < out; panel += cols)
        for (size_t i = 0; i < in; i++)
            for (size_t c = 0; c < cols; c += CHANNELS)
                transform(g, side, weights + i * out + panel + c, in * out, points + panel * in + i * cols + c,
                          in * out);
}

#define NAME_OF(tile, isa) IQ_WINOGRAD_WEIGHTS_OF(tile, isa)

NAME_OF(2x2, ISA)
{
    transform_all(to_2, 4, weights, in, out, cols, points);
}

NAME_OF(4x4, ISA)
{
    transform_all(to_4, 6, weights, in, out, cols, points);
}
