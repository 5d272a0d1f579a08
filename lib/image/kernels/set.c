/* Which kernels this processor runs. The compiler's probe asks CPUID and, for the registers, the operating system. */
#include "image/kernels/resample.h"

static const iq_resample_kernels plain = {"plain", NULL, IQ_TAP_PAIRS, iq_rows_plain};

#if defined(__x86_64__)

static const iq_resample_kernels avx2 = {"avx2", iq_columns_avx2, IQ_TAP_PAIRS, iq_rows_avx2};
static const iq_resample_kernels avx512 = {"avx512", iq_columns_avx512, IQ_TAP_BYTES, iq_rows_avx2};

static int has_avx512(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

const iq_resample_kernels *iq_resample_kernels_at(size_t i)
{
    if (i == 0)
        return &plain;
    if (i == 1)
        return __builtin_cpu_supports("avx2") ? &avx2 : NULL;
    return i == 2 && has_avx512() ? &avx512 : NULL;
}

#else

const iq_resample_kernels *iq_resample_kernels_at(size_t i)
{
    return i == 0 ? &plain : NULL;
}

#endif

const iq_resample_kernels *iq_resample_kernels_best(void)
{
    const iq_resample_kernels *best = &plain;
    for (size_t i = 1; iq_resample_kernels_at(i) != NULL; i++)
        best = iq_resample_kernels_at(i);
    return best;
}
