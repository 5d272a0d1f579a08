/* For processors without a loop of their own: vectors of four in C, which every 64-bit machine has registers for. */
#include "nn/kernels/peak.h"

typedef float four __attribute__((vector_size(16)));

#define REGISTERS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define BEGIN(n) four r##n = {n + 1.0f, n + 1.0f, n + 1.0f, n + 1.0f};
#define STEP(n) r##n = r##n * scale + shift;
#define SUM(n) sum += r##n;

static int plain_fits(void)
{
    return 1;
}

static float plain_run(size_t turns)
{
    const four scale = {0.5f, 0.5f, 0.5f, 0.5f}, shift = {1.0f, 1.0f, 1.0f, 1.0f};
    four sum = {0};
    REGISTERS(BEGIN)
    for (size_t i = 0; i < turns; i++) {
        REGISTERS(STEP)
    }
    REGISTERS(SUM)
    return sum[0] + sum[1] + sum[2] + sum[3];
}

const iq_peak_kernel iq_peak_plain = {
    .isa = "plain",
    .fits = plain_fits,
    .flops = (size_t)12 * 4 * 2,
    .run = plain_run,
};
