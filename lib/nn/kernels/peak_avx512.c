/* 24 independent chains: two FMA units with four cycles of latency need eight, and the rest hides the loop. They are
 * spelled out because an array of them may end up in memory, at a quarter of the speed. */
#include "nn/kernels/peak.h"

#include <immintrin.h>

/* X-macro over the registers. */
#define REGISTERS(X)                                                                                                   \
    X(0)                                                                                                               \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20)     \
        X(21) X(22) X(23)
#define BEGIN(n) __m512 r##n = _mm512_set1_ps((float)(n + 1));
#define STEP(n) r##n = _mm512_fmadd_ps(r##n, scale, shift);
#define SUM(n) sum = _mm512_add_ps(sum, r##n);

static int avx512_fits(void)
{
    return __builtin_cpu_supports("avx512f");
}

static float avx512_run(size_t turns)
{
    const __m512 scale = _mm512_set1_ps(0.5f), shift = _mm512_set1_ps(1.0f);
    __m512 sum = _mm512_setzero_ps();
    REGISTERS(BEGIN)
    for (size_t i = 0; i < turns; i++) {
        REGISTERS(STEP)
    }
    REGISTERS(SUM)
    return _mm512_reduce_add_ps(sum);
}

const iq_peak_kernel iq_peak_avx512 = {
    .isa = "avx512",
    .fits = avx512_fits,
    .flops = (size_t)24 * 16 * 2,
    .run = avx512_run,
};
