/* A queue and its workers, in numbers. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/common/json.h"
#include "cli/common/table.h"
#include "cli/common/workers.h"
#include "cli/ctl/ctl.h"

enum { WORKERS_MAX = 1000 };

const char *ctl_time(int64_t unix_ms, char *out, size_t out_size)
{
    const time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    if (unix_ms == 0 || gmtime_r(&seconds, &parts) == NULL || strftime(out, out_size, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        snprintf(out, out_size, "-");
    return out;
}

static const char *paused_as(uint32_t paused)
{
    static const char *const names[] = {"no", "deliveries", "submits", "deliveries and submits"};
    return names[paused & (IMGQ_PAUSE_DELIVERIES | IMGQ_PAUSE_SUBMITS)];
}

static void print_json(const ctl *c, const imgq_queue_stats *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"waiting", s->waiting},         {"delayed", s->delayed},
                  {"active", s->active},           {"dead", s->dead},
                  {"submitted", s->submitted},     {"delivered", s->delivered},
                  {"succeeded", s->succeeded},     {"failed", s->failed},
                  {"cancelled", s->cancelled},     {"expired", s->expired},
                  {"buried", s->buried},           {"stale_results", s->stale_results},
                  {"lost_leases", s->lost_leases}, {"lost_records", s->lost_records},
                  {"live_bytes", s->live_bytes},   {"max_jobs", s->max_jobs},
                  {"max_bytes", s->max_bytes},     {"workers", s->workers}};
    printf("{\"schema\":1");
    cli_json_member(stdout, c->env, "queue", imgq_queue_name(c->queue));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        printf(",\"%s\":%" PRIu64, counts[i].name, counts[i].value);
    printf(",\"oldest_wait_ms\":%" PRId64 ",\"worker_seen_unix_ms\":%" PRId64 ",\"server_unix_ms\":%" PRId64,
           s->oldest_wait_ms, s->worker_seen_unix_ms, s->server_unix_ms);
    printf(",\"deliveries_paused\":%s,\"submits_paused\":%s}\n",
           (s->paused & IMGQ_PAUSE_DELIVERIES) != 0 ? "true" : "false",
           (s->paused & IMGQ_PAUSE_SUBMITS) != 0 ? "true" : "false");
}

static void print_text(const ctl *c, const imgq_queue_stats *s)
{
    char text[32];
    printf("queue          %s\n", imgq_queue_name(c->queue));
    printf("waiting        %" PRIu64, s->waiting);
    if (s->waiting > 0)
        printf(" (the first for %s)", cli_format_duration(text, sizeof text, s->oldest_wait_ms));
    printf("\ndelayed        %" PRIu64 "\nactive         %" PRIu64 "\ndead           %" PRIu64 "\n", s->delayed,
           s->active, s->dead);
    printf("workers        %" PRIu64 " live", s->workers);
    if (s->worker_seen_unix_ms > 0)
        printf(" (last seen %s ago)",
               cli_format_duration(text, sizeof text, s->server_unix_ms - s->worker_seen_unix_ms));
    printf("\npaused         %s\n", paused_as(s->paused));
    printf("room           %" PRIu64 " of %" PRIu64 " jobs, %.1f of %.1f MiB\n", s->waiting + s->delayed + s->active,
           s->max_jobs, (double)s->live_bytes / 1048576, (double)s->max_bytes / 1048576);
    printf("submitted      %" PRIu64 "\ndelivered      %" PRIu64 "\nsucceeded      %" PRIu64 "\nfailed         %" PRIu64
           "\ncancelled      %" PRIu64 "\nexpired        %" PRIu64 "\nburied         %" PRIu64 "\n",
           s->submitted, s->delivered, s->succeeded, s->failed, s->cancelled, s->expired, s->buried);
    printf("stale results  %" PRIu64 "\nlost leases    %" PRIu64 "\nlost records   %" PRIu64 "\n", s->stale_results,
           s->lost_leases, s->lost_records);
}

int ctl_stats(ctl *c)
{
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_error err;
    if (imgq_queue_get_stats(c->queue, &stats, &err) != IMGQ_OK)
        return cli_error_status(c->program, &err);
    if (c->json)
        print_json(c, &stats);
    else
        print_text(c, &stats);
    return CLI_EXIT_OK;
}

/* ---- workers ---- */

static bool print_workers(const imgq_worker_status *workers, size_t count, int64_t now_unix_ms)
{
    static const cli_column columns[] = {{.title = "WORKER"},
                                         {.title = "SEEN", .right = true},
                                         {.title = "MODEL"},
                                         {.title = "PROFILE"},
                                         {.title = "ENGINE"}};
    const size_t column_count = sizeof columns / sizeof *columns;
    cli_table *table = cli_table_create(columns, column_count);
    bool ok = table != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        char seen[40], model[128], profile[32], engine[32], ago[24];
        const int64_t silence_ms = now_unix_ms - workers[i].seen_unix_ms;
        snprintf(seen, sizeof seen, "%s ago%s", cli_format_duration(ago, sizeof ago, silence_ms < 0 ? 0 : silence_ms),
                 silence_ms > CLI_WORKER_LIVE_MS ? ", gone" : "");
        const char *texts[] = {workers[i].name, seen, cli_workers_info(workers[i].info, "model", model, sizeof model),
                               cli_workers_info(workers[i].info, "profile", profile, sizeof profile),
                               cli_workers_info(workers[i].info, "engine", engine, sizeof engine)};
        ok = cli_table_add(table, texts);
    }
    ok = ok && cli_table_print(table);
    cli_table_destroy(table);
    return ok;
}

int ctl_workers(ctl *c)
{
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_error err;
    size_t count = 0;
    int code = CLI_EXIT_OK;
    imgq_worker_status *workers = calloc(WORKERS_MAX, sizeof *workers);
    if (workers == NULL) {
        cli_error(c->program, "memory ran out");
        return CLI_EXIT_SOME;
    }
    workers[0].size = sizeof *workers;
    if (imgq_queue_get_stats(c->queue, &stats, &err) != IMGQ_OK ||
        imgq_queue_workers(c->queue, workers, WORKERS_MAX, &count, &err) != IMGQ_OK) {
        code = cli_error_status(c->program, &err);
    } else if (c->json) {
        for (size_t i = 0; i < count; i++) {
            printf("{\"schema\":1");
            cli_json_member(stdout, c->env, "name", workers[i].name);
            printf(",\"seen_unix_ms\":%" PRId64 ",\"live\":%s,\"info\":", workers[i].seen_unix_ms,
                   stats.server_unix_ms - workers[i].seen_unix_ms <= CLI_WORKER_LIVE_MS ? "true" : "false");
            cli_json_raw(stdout, c->env, workers[i].info);
            printf("}\n");
        }
    } else if (count > 0 && !print_workers(workers, count, stats.server_unix_ms)) {
        cli_error(c->program, "the table of workers could not be printed");
        code = CLI_EXIT_SOME;
    }
    free(workers);
    return code;
}
