/* What this processor can do at best, measured: the yardstick beside a forward pass. */
#ifndef IMGQ_CPU_H
#define IMGQ_CPU_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/env.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct imgq_cpu_peak {
    size_t size;
    const char *isa; /* "avx512", "avx2", "plain" (what the compiler makes of C vectors), "avx512-bf16", "amx-bf16";
                      * static */
    size_t threads;
    double best_gflops, median_gflops; /* 1e9 operations a second on all threads, a multiply-add counting as two */
} imgq_cpu_peak;

#ifdef __cplusplus
#define IMGQ_CPU_PEAK_INIT                                                                                             \
    ([] {                                                                                                              \
        imgq_cpu_peak o = imgq_cpu_peak();                                                                             \
        o.size = sizeof o;                                                                                             \
        return o;                                                                                                      \
    }())
#else
#define IMGQ_CPU_PEAK_INIT ((imgq_cpu_peak){.size = sizeof(imgq_cpu_peak)})
#endif

/**
 * Run multiply-adds on registers alone, as fast as the processor issues them, in short samples.
 * @param isa     "avx512", "avx2", "plain" of fp32; "avx512-bf16", "amx-bf16" (which asks for the tile units) of bf16
 *                products summed in fp32; NULL: the widest of fp32 that processor and operating system grant
 * @param threads 1..128; the caller is one of them
 * @param for_ms  at least three samples are taken, then more until so many milliseconds are over
 * @param out     out; out->size says how much of it the caller knows
 * @return IMGQ_OK; IMGQ_E_UNSUPPORTED (isa: names the choices); IMGQ_E_INVALID (threads, for_ms, size); IMGQ_E_NOMEM
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_cpu_measure(imgq_env *env, const char *isa, size_t threads, int64_t for_ms,
                                                   imgq_cpu_peak *out, imgq_error *err);

#ifdef __cplusplus
}
#endif

#endif
