/* As peak_avx512.c, with products of bf16 pairs: each counts as four operations a lane. Some processors issue them at
 * twice the rate of fp32's, some at a quarter. */
#include "nn/kernels/peak.h"

#include <immintrin.h>

#include "nn/cpu.h"

/* X-macro over the registers. */
#define REGISTERS(X)                                                                                                   \
    X(0)                                                                                                               \
    X(1)                                                                                                               \
    X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21)    \
        X(22) X(23)
#define BEGIN(n) __m512 r##n = _mm512_set1_ps((float)(n + 1));
#define STEP(n) r##n = _mm512_dpbf16_ps(r##n, one, two);
#define SUM(n) sum = _mm512_add_ps(sum, r##n);

static int avx512_bf16_fits(void)
{
    return iq_cpu_isa() >= IQ_ISA_AVX512_BF16;
}

static float avx512_bf16_run(size_t turns)
{
    const __m512bh one = (__m512bh)_mm512_set1_epi32(0x3F803F80), two = (__m512bh)_mm512_set1_epi32(0x40004000);
    __m512 sum = _mm512_setzero_ps();
    REGISTERS(BEGIN)
    for (size_t i = 0; i < turns; i++) {
        REGISTERS(STEP)
    }
    REGISTERS(SUM)
    /* Less what they began with: 4 for each lane and turn. */
    const float begun = 16 * (24 * 25 / 2);
    return (_mm512_reduce_add_ps(sum) - begun) / (float)turns;
}

const iq_peak_kernel iq_peak_avx512_bf16 = {
    .isa = "avx512-bf16",
    .fits = avx512_bf16_fits,
    .flops = (size_t)24 * 16 * 4,
    .run = avx512_bf16_run,
};
