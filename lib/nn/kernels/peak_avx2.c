/* 12 independent chains of the 16 registers: two FMA units with four cycles of latency need eight. */
#include "nn/kernels/peak.h"

#include <immintrin.h>

#define REGISTERS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define BEGIN(n) __m256 r##n = _mm256_set1_ps((float)(n + 1));
#define STEP(n) r##n = _mm256_fmadd_ps(r##n, scale, shift);
#define SUM(n) sum = _mm256_add_ps(sum, r##n);

static int avx2_fits(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static float avx2_run(size_t turns)
{
    const __m256 scale = _mm256_set1_ps(0.5f), shift = _mm256_set1_ps(1.0f);
    __m256 sum = _mm256_setzero_ps();
    float lanes[8], total = 0;
    REGISTERS(BEGIN)
    for (size_t i = 0; i < turns; i++) {
        REGISTERS(STEP)
    }
    REGISTERS(SUM)
    _mm256_storeu_ps(lanes, sum);
    for (size_t i = 0; i < 8; i++)
        total += lanes[i];
    return total;
}

const iq_peak_kernel iq_peak_avx2 = {
    .isa = "avx2",
    .fits = avx2_fits,
    .flops = (size_t)12 * 8 * 2,
    .run = avx2_run,
};
