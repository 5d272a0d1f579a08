/* What the threads saw, as figures. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/common/exit.h"
#include "cli/common/print.h"
#include "cli/stress/stress.h"

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nearest rank: the smallest latency that at least this share of the answered requests did not exceed. */
static double percentile(const figures *f, double share)
{
    const double rank = ceil(share * (double)f->count);
    const size_t index = rank < 1 ? 0 : (size_t)rank - 1;
    return f->sorted_ms[index < f->count ? index : f->count - 1];
}

/* Where nothing was answered there is no latency, and 0 would be a fine one. */
static void print_latencies(const figures *f, bool json)
{
    static const struct {
        const char *key, *name;
        double share;
    } rows[] = {
        {"p50", "p50", 0.5}, {"p90", "p90", 0.9}, {"p99", "p99", 0.99}, {"p99_9", "p99.9", 0.999}, {"max", "max", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (json)
            printf("%s\"%s\":", i > 0 ? "," : "", rows[i].key);
        else
            printf("%s%s ", i > 0 ? "  " : "", rows[i].name);
        if (f->count == 0)
            fputs(json ? "null" : "-", stdout);
        else
            printf("%.*f", json ? 3 : 1, percentile(f, rows[i].share));
    }
}

bool figures_sum(const stress *s, size_t clients, figures *f)
{
    for (size_t i = 0; i < clients; i++) {
        const client *c = &s->clients[i];
        f->ok += c->by_end[REQUEST_OK];
        f->failed += c->by_end[REQUEST_FAILED];
        f->timed_out += c->by_end[REQUEST_TIMED_OUT];
        f->unfinished += c->by_end[REQUEST_UNFINISHED];
        f->late += c->late;
        f->latest_ms = c->latest_ms > f->latest_ms ? c->latest_ms : f->latest_ms;
        f->count += c->count;
        for (int k = 0; k <= -IMGQ_STATUS_LAST; k++)
            f->by_status[k] += c->by_status[k];
        if (f->first_error == NULL && c->first_error[0] != '\0')
            f->first_error = c->first_error;
    }
    f->requests = f->ok + f->failed + f->timed_out + f->unfinished;
    f->sorted_ms = malloc((f->count > 0 ? f->count : 1) * sizeof *f->sorted_ms);
    if (f->sorted_ms == NULL)
        return false;
    size_t at = 0;
    for (size_t i = 0; i < clients; i++)
        for (size_t k = 0; k < s->clients[i].count; k++)
            f->sorted_ms[at++] = s->clients[i].latencies_ms[k];
    qsort(f->sorted_ms, f->count, sizeof *f->sorted_ms, by_size);
    return true;
}

static double each(const figures *f, uint64_t sum)
{
    return f->requests > 0 ? (double)sum / (double)f->requests : 0;
}

static void print_text(const stress *s, const figures *f)
{
    const stress_settings *set = s->set;
    printf("requests    %" PRIu64 ": %" PRIu64 " ok, %" PRIu64 " failed, %" PRIu64 " timed out", f->requests, f->ok,
           f->failed, f->timed_out);
    if (f->unfinished > 0)
        printf(", %" PRIu64 " interrupted", f->unfinished);
    printf("\nduration    %.3f s\nthroughput  %.1f answers/s\n", f->seconds, (double)f->ok / f->seconds);
    printf("latency ms  ");
    print_latencies(f, false);
    printf("\nRedis       %.2f commands, %.2f round trips a request (%s)\n", each(f, f->commands),
           each(f, f->round_trips), set->poll ? "polling each 250 ms" : "notified");
    if (set->rate > 0 && set->arrivals == STRESS_POISSON)
        printf("arrivals    by chance (Poisson), seed %" PRId64 "\n", set->seed);
    if (set->rate > 0 && f->late > 0)
        printf("rate        %.1f/s could not be kept: %" PRIu64 " requests began more than %d ms late, at worst %.0f "
               "ms\n",
               set->rate, f->late, LATE_MS, f->latest_ms);
    else if (set->rate > 0)
        printf("rate        %.1f/s kept: no request began more than %.1f ms late\n", set->rate, f->latest_ms);
    for (int k = 1; k <= -IMGQ_STATUS_LAST; k++)
        if (f->by_status[k] > 0)
            printf("failed      %" PRIu64 " x %s\n", f->by_status[k], imgq_status_name(-k));
}

/* Figures and names of our own only: nothing here needs escapes, and the C locale's point is the right one. */
static void print_json(const stress *s, const figures *f)
{
    const stress_settings *set = s->set;
    printf("{\"schema\":1,\"requests\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"timed_out\":%" PRIu64
           ",\"interrupted\":%" PRIu64 ",\"concurrency\":%" PRId64 ",\"poll\":%s",
           f->requests, f->ok, f->failed, f->timed_out, f->unfinished, set->concurrency, set->poll ? "true" : "false");
    printf(",\"duration_s\":%.6f,\"throughput_per_s\":%.3f", f->seconds, (double)f->ok / f->seconds);
    printf(",\"latency_ms\":{");
    print_latencies(f, true);
    printf("},\"commands_per_request\":%.4f,\"round_trips_per_request\":%.4f", each(f, f->commands),
           each(f, f->round_trips));
    if (set->rate > 0 && set->arrivals == STRESS_POISSON)
        printf(",\"arrivals\":\"poisson\",\"seed\":%" PRId64, set->seed);
    else if (set->rate > 0)
        printf(",\"arrivals\":\"even\"");
    if (set->rate > 0)
        printf(",\"rate_per_s\":%.3f,\"rate_kept\":%s,\"late\":%" PRIu64 ",\"latest_ms\":%.3f", set->rate,
               f->late > 0 ? "false" : "true", f->late, f->latest_ms);
    printf(",\"failures\":{");
    const char *comma = "";
    for (int k = 1; k <= -IMGQ_STATUS_LAST; k++) {
        if (f->by_status[k] > 0) {
            printf("%s\"%s\":%" PRIu64, comma, imgq_status_name(-k), f->by_status[k]);
            comma = ",";
        }
    }
    printf("}}\n");
}

void figures_print(const stress *s, const figures *f)
{
    if (s->set->format == CLI_JSON_FORMAT)
        print_json(s, f);
    else
        print_text(s, f);
}

int figures_exit_code(const figures *f)
{
    cli_outcome outcome = {.total = f->requests};
    outcome.by_code[CLI_EXIT_OK] = f->ok;
    outcome.by_code[CLI_EXIT_TIMEOUT] = f->timed_out;
    outcome.by_code[CLI_EXIT_SOME] = f->unfinished;
    for (int k = 1; k <= -IMGQ_STATUS_LAST; k++)
        outcome.by_code[cli_outcome_code_of(-k)] += f->by_status[k];
    return cli_outcome_exit(&outcome);
}
