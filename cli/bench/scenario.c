/* Load as MLPerf's load generator makes it: one query after the other, queries by chance, all at once. Only its words
 * and definitions are taken: runs are short, inputs are noise, nobody reviewed them, and so they are no MLPerf results.
 */
#include "cli/bench/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/common/exit.h"
#include "cli/common/signals.h"
#include "cli/common/ui.h"

enum { SEARCH_STEPS = 6 };

/* A run of the server scenario, as the world of stats_serve() sees it. */
typedef struct serving {
    bench *b;
    bench_point *p;
    double started_ms;
    imgq_error err;
    imgq_status status;
    stats_list arrivals, latencies; /* seconds */
    size_t batches;
    size_t trials;
    bool text;
    const char *comma;
} serving;

static double now_of(void *user)
{
    const serving *s = user;
    return (bench_now_ms() - s->started_ms) / 1e3;
}

static void sleep_until(void *user, double at)
{
    const serving *s = user;
    const double ms = s->started_ms + at * 1e3;
    const struct timespec when = {.tv_sec = (time_t)(ms / 1e3),
                                  .tv_nsec = (long)((ms - (double)(time_t)(ms / 1e3) * 1e3) * 1e6)};
    while (cli_signals_caught() == 0 && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) != 0)
        ;
}

static bool run_batch(void *user, size_t batch)
{
    serving *s = user;
    s->status = bench_run(s->b, s->p, batch, &s->err);
    s->batches++;
    return s->status == IMGQ_OK && cli_signals_caught() == 0;
}

static double latency_ms(const serving *s, double share)
{
    return 1e3 * stats_percentile(&s->latencies, share);
}

static void print_latencies(const stats_list *seconds, bool text)
{
    static const struct {
        const char *name, *key;
        double share;
    } rows[] = {{"p50", "p50", 0.5}, {"p90", "p90", 0.9}, {"p99", "p99", 0.99}, {"max", "max", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const double ms = 1e3 * stats_percentile(seconds, rows[i].share);
        if (text)
            printf(" %s %.1f", rows[i].name, ms);
        else
            printf("%s\"%s\":%.3f", i > 0 ? "," : "", rows[i].key, ms);
    }
}

/* One try at a rate. @return true: 99 of 100 queries were answered within the bound */
static bool try_rate(void *user, double rate)
{
    serving *s = user;
    const bench_settings *set = s->b->settings;
    const stats_world world = {.user = s, .now = now_of, .sleep_until = sleep_until, .run = run_batch};
    if (s->status != IMGQ_OK || cli_signals_caught() != 0)
        return false;
    s->batches = 0;
    s->trials++;
    bool ok = stats_arrivals((uint64_t)set->seed, rate, (double)set->seconds_ms / 1e3, &s->arrivals);
    s->started_ms = bench_now_ms();
    ok = stats_serve(&world, &s->arrivals, s->p->batch, &s->latencies) && ok;
    const double took = now_of(s);
    const double p99 = latency_ms(s, 0.99);
    const bool holds = ok && s->latencies.count > 0 && p99 <= (double)set->bound_ms;
    const double mean_batch = s->batches > 0 ? (double)s->latencies.count / (double)s->batches : 0;
    if (s->text) {
        printf("  target %.2f queries/s: %zu queries in %.2f s, %.2f a batch; latency ms", rate, s->latencies.count,
               took, mean_batch);
        print_latencies(&s->latencies, true);
        printf(": %s\n", holds ? "valid" : s->latencies.count > 0 ? "over the bound" : "no query came");
        fflush(stdout);
    } else {
        printf("%s{\"target_qps\":%.4f,\"queries\":%zu,\"seconds\":%.4f,\"mean_batch\":%.3f,\"latency_ms\":{", s->comma,
               rate, s->latencies.count, took, mean_batch);
        print_latencies(&s->latencies, false);
        printf("},\"valid\":%s}", holds ? "true" : "false");
        s->comma = ",";
    }
    return holds;
}

/* Batches of the point's size for the time. @return images/s, 0 when a run failed */
static double offline_rate(bench *b, bench_point *p, size_t *images, double *seconds, imgq_error *err)
{
    const double started = bench_now_ms();
    double now = started;
    for (*images = 0; now - started < (double)b->settings->seconds_ms && cli_signals_caught() == 0;
         now = bench_now_ms()) {
        if (bench_run(b, p, p->batch, err) != IMGQ_OK)
            return 0;
        *images += p->batch;
    }
    *seconds = (now - started) / 1e3;
    return *seconds > 0 ? (double)*images / *seconds : 0;
}

static int run_offline(bench *b, bench_point *p, bool text)
{
    imgq_error err = {0};
    size_t images = 0;
    double seconds = 0;
    const double rate = offline_rate(b, p, &images, &seconds, &err);
    if (err.status != IMGQ_OK)
        return cli_error_status(BENCH_PROGRAM, &err);
    if (text)
        printf("  %.2f samples/s: %zu samples in %.2f s\n", rate, images, seconds);
    else
        printf(",\"samples\":%zu,\"seconds\":%.4f,\"samples_per_s\":%.4f", images, seconds, rate);
    return CLI_EXIT_OK;
}

static int run_single(bench *b, bench_point *p, bool text)
{
    imgq_error err = {0};
    stats_list latencies = {0};
    int code = CLI_EXIT_OK;
    const double started = bench_now_ms();
    double before = started;
    while (code == CLI_EXIT_OK && before - started < (double)b->settings->seconds_ms && cli_signals_caught() == 0) {
        if (bench_run(b, p, 1, &err) != IMGQ_OK)
            code = cli_error_status(BENCH_PROGRAM, &err);
        const double now = bench_now_ms();
        if (!stats_add(&latencies, (now - before) / 1e3))
            code = CLI_EXIT_SOME;
        before = now;
    }
    if (text)
        printf("  90th percentile latency %.2f ms: %zu queries in %.2f s; latency ms",
               1e3 * stats_percentile(&latencies, 0.9), latencies.count, (before - started) / 1e3);
    else
        printf(",\"queries\":%zu,\"seconds\":%.4f,\"latency_ms\":{", latencies.count, (before - started) / 1e3);
    print_latencies(&latencies, text);
    printf("%s", text ? "\n" : "}");
    stats_free(&latencies);
    return code;
}

static int run_server(bench *b, bench_point *p, bool text)
{
    const bench_settings *set = b->settings;
    serving s = {.b = b, .p = p, .text = text, .comma = ""};
    double high = set->rate, seconds = 0, highest;
    size_t images = 0;
    if (high <= 0)
        high = offline_rate(b, p, &images, &seconds, &s.err);
    s.status = s.err.status;
    if (!text)
        printf(",\"bound_ms\":%" PRId64 ",\"seed\":%" PRId64 ",\"trials\":[", set->bound_ms, set->seed);
    if (set->rate > 0)
        highest = try_rate(&s, high) ? high : 0;
    else
        highest = high > 0 ? stats_highest_rate(try_rate, &s, high, SEARCH_STEPS) : 0;
    if (text && highest > 0)
        printf("  latency-bounded throughput %.2f queries/s (99th percentile within %" PRId64 " ms)\n", highest,
               set->bound_ms);
    else if (text)
        printf("  no rate that was tried kept the 99th percentile within %" PRId64 " ms\n", set->bound_ms);
    else
        printf("],\"latency_bounded_qps\":%.4f", highest);
    stats_free(&s.arrivals);
    stats_free(&s.latencies);
    return s.status == IMGQ_OK ? CLI_EXIT_OK : cli_error_status(BENCH_PROGRAM, &s.err);
}

int bench_scenario(bench *b)
{
    static const char *const names[] = {
        [BENCH_SINGLE] = "single-stream", [BENCH_SERVER] = "server", [BENCH_OFFLINE] = "offline"};
    const bool text = b->settings->format == BENCH_TEXT;
    const char *name = names[b->settings->scenario];
    int code = CLI_EXIT_OK;
    bench_report_head(b);
    if (text)
        printf("scenario %s, seed %" PRId64 " (not an MLPerf result)\n", name, b->settings->seed);
    else
        printf(",\"scenario\":\"%s\",\"mlperf_result\":false,\"points\":[", name);
    for (size_t i = 0; i < b->count && code == CLI_EXIT_OK && cli_signals_caught() == 0; i++) {
        bench_point *p = &b->points[i];
        if (text) {
            printf("%s %s, %zu thread%s, batches of at most %zu\n", imgq_session_engine(p->session),
                   imgq_session_precision(p->session), p->threads, p->threads == 1 ? "" : "s",
                   b->settings->scenario == BENCH_SINGLE ? 1 : p->batch);
        } else {
            printf("%s\n{", i > 0 ? "," : "");
            bench_report_identity(p);
        }
        code = b->settings->scenario == BENCH_SINGLE   ? run_single(b, p, text)
               : b->settings->scenario == BENCH_SERVER ? run_server(b, p, text)
                                                       : run_offline(b, p, text);
        if (!text)
            printf("}");
    }
    if (!text)
        printf("\n]}\n");
    return fflush(stdout) == 0 ? code : CLI_EXIT_SOME;
}
