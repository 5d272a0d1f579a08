/* Transformed weights: by their definition, and the same bits from every instruction set. */
#include "nn_tests.h"

#include "nn/kernels/winograd_weights.h"

#include "support/check.h"

#include <stdlib.h>
#include <string.h>

/* G g G' of one pair of channels, rounded as the contract says. @param g one row for each of side points */
static void define(const double (*g)[3], size_t side, double w[3][3], float *points, size_t point)
{
    for (size_t y = 0; y < side; y++) {
        double half[3];
        for (size_t x = 0; x < 3; x++) {
            volatile double a = g[y][0] * w[0][x], b = g[y][1] * w[1][x], c = g[y][2] * w[2][x];
            half[x] = a + b + c;
        }
        for (size_t x = 0; x < side; x++) {
            volatile double a = g[x][0] * half[0], b = g[x][1] * half[1], c = g[x][2] * half[2];
            points[(y * side + x) * point] = (float)(a + b + c);
        }
    }
}

static void define_all(size_t tile, const float *weights, size_t in, size_t out, size_t cols, float *points)
{
    static const double to_2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
    static const double to_4[6][3] = {{1. / 4, 0, 0},
                                      {-1. / 6, -1. / 6, -1. / 6},
                                      {-1. / 6, 1. / 6, -1. / 6},
                                      {1. / 24, 1. / 12, 1. / 6},
                                      {1. / 24, -1. / 12, 1. / 6},
                                      {0, 0, 1}};
    const double(*g)[3] = to_2;
    if (tile == 4)
        g = to_4;
    for (size_t i = 0; i < in; i++)
        for (size_t o = 0; o < out; o++) {
            double w[3][3];
            for (size_t tap = 0; tap < 9; tap++)
                w[tap / 3][tap % 3] = (double)weights[(tap * in + i) * out + o];
            define(g, tile + 2, w, points + (o / cols * in + i) * cols + o % cols, in * out);
        }
}

void every_instruction_set_transforms_weights_alike(void)
{
    static const struct {
        size_t in, out, cols;
    } shapes[] = {{1, 16, 16}, {3, 32, 16}, {7, 96, 32}, {64, 64, 32}, {5, 64, 64}, {33, 128, 128}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t tile = 2; tile <= 4; tile += 2) {
            const size_t in = shapes[s].in, out = shapes[s].out, floats = (tile + 2) * (tile + 2) * in * out;
            float *weights = random_floats(9 * in * out), *want = calloc(floats, sizeof *want);
            define_all(tile, weights, in, out, shapes[s].cols, want);
            for (int isa = IQ_ISA_SCALAR; isa <= (int)iq_cpu_isa() && isa <= IQ_ISA_AVX512; isa++) {
                float *got = calloc(floats, sizeof *got); /* exactly: a sanitizer sees one that is written too many */
                iq_winograd_weights((iq_isa)isa, tile)(weights, in, out, shapes[s].cols, got);
                CHECK_EQ_MEM(want, got, floats * sizeof *got);
                free(got);
            }
            free(want);
            free(weights);
        }
}
