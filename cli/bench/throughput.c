/* Points in short samples, in turn: what a busy machine takes from one it takes from all. */
#include "cli/bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/exit.h"
#include "cli/common/signals.h"
#include "cli/common/ui.h"

enum { PEAK_MS = 25 };

imgq_status bench_run(bench *b, bench_point *p, size_t batch, imgq_error *err)
{
    return imgq_session_run(p->session, b->images, batch, b->probs, batch * b->classes, err);
}

static int out_of_memory(void)
{
    cli_error(BENCH_PROGRAM, "memory ran out for the samples");
    return CLI_EXIT_SOME;
}

static void add_layers(bench_point *p)
{
    const size_t layers = imgq_session_layer_count(p->session);
    for (size_t i = 0; p->layer_ns != NULL && i < layers; i++) {
        const double ms = (double)p->layer_ns[i] / 1e6;
        if (p->run_ms.count == 1 || ms < p->layer_least_ms[i])
            p->layer_least_ms[i] = ms;
        p->layer_sum_ms[i] += ms;
    }
}

/* Of the units that the session computes on: bf16 products where its precision is not "highest", its own
 * instruction set under a mask, the widest for OpenBLAS, which takes what it likes, and the compiler's vectors for
 * plain loops. */
static imgq_status measure_peak(bench *b, const bench_point *p, imgq_cpu_peak *peak, imgq_error *err)
{
    imgq_session_info info = IMGQ_SESSION_INFO_INIT;
    imgq_status status = imgq_session_get_info(p->session, &info, err);
    if (status != IMGQ_OK)
        return status;
    const char *engine = imgq_session_engine(p->session), *isa = NULL;
    if (strcmp(imgq_session_precision(p->session), "highest") != 0)
        isa = "avx512-bf16";
    else if (strcmp(engine, "native") == 0)
        isa = info.isa;
    else if (strcmp(engine, "scalar") == 0)
        isa = "plain";
    return imgq_cpu_measure(b->env, isa, p->threads, PEAK_MS, peak, err);
}

int bench_sample(bench *b, bench_point *p, double for_ms)
{
    imgq_error err = {0};
    imgq_cpu_peak peak = IMGQ_CPU_PEAK_INIT;
    size_t runs = 0;
    if (measure_peak(b, p, &peak, &err) != IMGQ_OK)
        return cli_error_status(BENCH_PROGRAM, &err);
    p->peak_isa = peak.isa;
    const double started = bench_now_ms();
    double ended = started;
    do {
        const double before = ended;
        if (p->layer_ns != NULL)
            memset(p->layer_ns, 0, imgq_session_layer_count(p->session) * sizeof *p->layer_ns);
        if (bench_run(b, p, p->batch, &err) != IMGQ_OK)
            return cli_error_status(BENCH_PROGRAM, &err);
        ended = bench_now_ms();
        runs++;
        if (!stats_add(&p->run_ms, ended - before))
            return out_of_memory();
        add_layers(p);
    } while (ended - started < for_ms && cli_signals_caught() == 0);
    const double rate = (double)(runs * p->batch) * 1e3 / (ended - started);
    if (!stats_add(&p->rates, rate) || !stats_add(&p->peak_best, peak.best_gflops) ||
        !stats_add(&p->peak_median, peak.median_gflops) ||
        !stats_add(&p->shares, rate * 2 * b->macs / 1e9 / peak.median_gflops))
        return out_of_memory();
    return CLI_EXIT_OK;
}

static int finish(const bench *b)
{
    if (!bench_report(b)) {
        cli_error(BENCH_PROGRAM, "the figures could not be written to stdout");
        return CLI_EXIT_SOME;
    }
    return CLI_EXIT_OK;
}

int bench_throughput(bench *b)
{
    const double for_ms = (double)b->settings->seconds_ms / (double)b->settings->rounds;
    for (int64_t round = 0; round < b->settings->rounds && cli_signals_caught() == 0; round++) {
        for (size_t i = 0; i < b->count && cli_signals_caught() == 0; i++) {
            const int code = bench_sample(b, &b->points[i], for_ms);
            if (code != CLI_EXIT_OK)
                return code;
        }
    }
    return finish(b);
}

static void print_step(size_t index, const bench_point *p, size_t first_run)
{
    double least = p->run_ms.values[first_run];
    for (size_t i = first_run; i < p->run_ms.count; i++)
        least = p->run_ms.values[i] < least ? p->run_ms.values[i] : least;
    printf("{\"point\":%zu,", index);
    bench_report_identity(p);
    printf(",\"images_per_s\":%.4f,\"best_images_per_s\":%.4f,\"peak_gflops\":%.2f,\"share_of_peak\":%.4f}\n",
           p->rates.values[p->rates.count - 1], (double)p->batch * 1e3 / least,
           p->peak_median.values[p->peak_median.count - 1], p->shares.values[p->shares.count - 1]);
}

int bench_steps(bench *b)
{
    char line[32];
    const double for_ms = (double)b->settings->seconds_ms / (double)b->settings->rounds;
    for (size_t i = 0; i < b->count; i++) {
        printf("{\"ready\":%zu,", i);
        bench_report_identity(&b->points[i]);
        printf("}\n");
    }
    printf("{\"ready\":null}\n");
    while (fflush(stdout) == 0 && cli_signals_caught() == 0 && fgets(line, sizeof line, stdin) != NULL) {
        char *end;
        errno = 0;
        const unsigned long index = strtoul(line, &end, 10);
        if (end == line || *end != '\n' || errno != 0 || index >= b->count) {
            cli_error(BENCH_PROGRAM, "a line of stdin names no point: 0 to %zu are there", b->count - 1);
            return CLI_EXIT_USAGE;
        }
        const size_t first_run = b->points[index].run_ms.count;
        const int code = bench_sample(b, &b->points[index], for_ms);
        if (code != CLI_EXIT_OK)
            return code;
        print_step(index, &b->points[index], first_run);
    }
    return finish(b);
}
