/* Measures the peak: short samples of register-only loops on all threads, the widest instruction set first. */
#include <imgq/cpu.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/options.h"
#include "base/pool.h"
#include "nn/cpu.h"
#include "nn/kernels/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A part is some tenths of a millisecond; many parts a sample, so that a thread that wakes late costs its share only.
 */
enum { PART_FLOPS = 40000000, PARTS_PER_THREAD = 32, SAMPLES_MIN = 3, SAMPLES_MAX = 1000, MAX_THREADS = 128 };

static const iq_peak_kernel *const kernels[] = {
#if defined(__x86_64__)
    &iq_peak_avx512, &iq_peak_avx2,
#endif
    &iq_peak_plain,
#if defined(__x86_64__)
    &iq_peak_avx512_bf16, &iq_peak_amx, /* behind one that is always there: only for those who ask */
#endif
};

enum { KERNELS = sizeof kernels / sizeof *kernels };

typedef struct measuring {
    const iq_peak_kernel *kernel;
    float sink[MAX_THREADS]; /* read by nobody */
} measuring;

static void peak_part(void *user, size_t part, size_t thread)
{
    (void)part;
    measuring *m = user;
    const uint64_t saved = iq_fp_enter();
    m->sink[thread] = m->kernel->run(PART_FLOPS / m->kernel->flops);
    iq_fp_leave(saved);
}

static imgq_status choose(const char *isa, const iq_peak_kernel **out, imgq_error *err)
{
    char choices[128] = "";
    for (size_t i = 0; i < KERNELS; i++) {
        if (!kernels[i]->fits())
            continue;
        *out = kernels[i];
        if (isa == NULL || strcmp(isa, kernels[i]->isa) == 0)
            return IMGQ_OK;
        const size_t len = strlen(choices);
        snprintf(choices + len, sizeof choices - len, "%s%s", len > 0 ? ", " : "", kernels[i]->isa);
    }
    return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "instruction set '%.40s' is not to be had here: choose from %s", isa,
                   choices);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Samples until the time is over. @return how many */
static size_t take_samples(iq_pool *pool, measuring *m, size_t threads, int64_t for_ms, double *gflops)
{
    const iq_deadline deadline = iq_deadline_after_ms(for_ms);
    const size_t parts = threads * PARTS_PER_THREAD;
    size_t count = 0;
    iq_pool_run(pool, parts, peak_part, m); /* wakes the threads and the wide units */
    while (count < SAMPLES_MIN || (count < SAMPLES_MAX && !iq_deadline_passed(deadline))) {
        const int64_t started = iq_clock_ns();
        iq_pool_run(pool, parts, peak_part, m);
        const int64_t took = iq_clock_ns() - started;
        gflops[count++] = (double)parts * (double)(PART_FLOPS / m->kernel->flops * m->kernel->flops) / (double)took;
    }
    return count;
}

imgq_status imgq_cpu_measure(imgq_env *env, const char *isa, size_t threads, int64_t for_ms, imgq_cpu_peak *out,
                             imgq_error *err)
{
    imgq_cpu_peak peak = {.threads = threads};
    const iq_peak_kernel *kernel = NULL;
    iq_pool *pool = NULL;
    if (threads == 0 || threads > MAX_THREADS || for_ms < 0)
        return iq_fail(err, IMGQ_E_INVALID, 0, "the peak of %zu threads within %lld ms: 1 to %d threads", threads,
                       (long long)for_ms, MAX_THREADS);
    imgq_status status = choose(isa, &kernel, err);
    if (status != IMGQ_OK)
        return status;
    measuring *m = iq_alloc_array(env, 1, sizeof *m);
    double *gflops = iq_alloc_array(env, SAMPLES_MAX, sizeof *gflops);
    if (m == NULL || gflops == NULL)
        status = iq_fail_nomem(err, SAMPLES_MAX * sizeof *gflops);
    if (status == IMGQ_OK)
        status = iq_pool_create(env, threads, "imgq-peak", &pool, err);
    if (status == IMGQ_OK) {
        m->kernel = kernel;
        const size_t count = take_samples(pool, m, threads, for_ms, gflops);
        qsort(gflops, count, sizeof *gflops, by_size);
        peak.isa = kernel->isa;
        peak.best_gflops = gflops[count - 1];
        peak.median_gflops = gflops[count / 2];
        status = iq_options_give(out, &peak, sizeof peak, err);
    }
    iq_pool_destroy(pool);
    iq_free(env, gflops);
    iq_free(env, m);
    return status;
}
