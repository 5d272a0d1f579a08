/* One job, several jobs, all jobs of a kind. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/json.h"
#include "cli/common/print.h"
#include "cli/common/signals.h"
#include "cli/common/table.h"
#include "cli/ctl/ctl.h"

enum { DEAD_PAGE = 256 };

/* @return false, with the record filled, if it cannot be an id */
static bool to_id(const char *text, imgq_id *id, imgq_error *err)
{
    *err = (imgq_error){.status = IMGQ_E_INVALID};
    if (strlen(text) >= sizeof id->text) {
        snprintf(err->message, sizeof err->message, "not an id: more than 64 characters");
        return false;
    }
    snprintf(id->text, sizeof id->text, "%s", text);
    return true;
}

/* ---- show ---- */

static void job_as_json(const ctl *c, const imgq_job_status *job, const imgq_result *result)
{
    size_t len = 0;
    printf("{\"schema\":1");
    cli_json_member(stdout, c->env, "id", job->id.text);
    cli_json_member(stdout, c->env, "state", imgq_state_name(job->state));
    printf(",\"priority\":%u,\"progress\":%u,\"imported\":%s,\"attempt\":%u,\"fails\":%u,\"crashes\":%u"
           ",\"max_fails\":%u,\"max_crashes\":%u,\"payload_bytes\":%u",
           job->priority, job->progress, job->imported ? "true" : "false", job->attempt, job->fails, job->crashes,
           job->max_fails, job->max_crashes, job->payload_bytes);
    printf(",\"submitted_unix_ms\":%" PRId64 ",\"changed_unix_ms\":%" PRId64 ",\"deadline_unix_ms\":%" PRId64,
           job->submitted_unix_ms, job->changed_unix_ms, job->deadline_unix_ms);
    printf(",\"error\":");
    if (job->error == IMGQ_OK) {
        printf("null");
    } else {
        printf("{\"code\":\"%s\"", imgq_status_name(job->error));
        cli_json_member(stdout, c->env, "message", job->message);
        printf("}");
    }
    const char *json = result != NULL ? imgq_result_json(result, &len) : NULL;
    printf(",\"result\":");
    if (json != NULL && len > 0)
        cli_json_raw(stdout, c->env, json);
    else
        printf("null");
    printf("}\n");
}

static void job_as_text(const imgq_job_status *job, const imgq_result *result)
{
    char submitted[32], changed[32], deadline[32];
    size_t count = 0;
    printf("id         %s%s\n", job->id.text, job->imported ? " (imported)" : "");
    printf("state      %s\n", imgq_state_name(job->state));
    printf("priority   %u\n", job->priority);
    printf("submitted  %s UTC\nchanged    %s UTC\n", ctl_time(job->submitted_unix_ms, submitted, sizeof submitted),
           ctl_time(job->changed_unix_ms, changed, sizeof changed));
    if (job->deadline_unix_ms > 0)
        printf("deadline   %s UTC\n", ctl_time(job->deadline_unix_ms, deadline, sizeof deadline));
    printf("deliveries %u (%u of %u failed, %u of %u lost)\n", job->attempt, job->fails, job->max_fails, job->crashes,
           job->max_crashes);
    printf("payload    %u bytes\n", job->payload_bytes);
    if (job->error != IMGQ_OK || job->message[0] != '\0') {
        printf("error      %s: ", imgq_status_name(job->error));
        cli_write_escaped(stdout, job->message);
        putchar('\n');
    }
    const imgq_prediction *top = result != NULL ? imgq_result_top(result, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        const char *label = imgq_result_label(result, i);
        printf("answer     %zu. ", i + 1);
        cli_write_escaped(stdout, label != NULL ? label : "?");
        printf(": %.4f\n", (double)top[i].probability);
    }
}

static imgq_status show_one(ctl *c, const char *text, imgq_error *err)
{
    imgq_id id;
    imgq_job_status job = IMGQ_JOB_STATUS_INIT;
    imgq_result *result = NULL;
    if (!to_id(text, &id, err))
        return err->status;
    const imgq_status status = imgq_queue_look(c->queue, &id, &job, &result, err);
    if (status != IMGQ_OK)
        return status;
    if (c->json)
        job_as_json(c, &job, result);
    else
        job_as_text(&job, result);
    imgq_result_destroy(result);
    return IMGQ_OK;
}

/* ---- something with each id of the arguments ---- */

/* @param done what has become of an id that went well; NULL: the call has printed it */
static int with_each(ctl *c, imgq_status (*act)(ctl *, const char *, imgq_error *), const char *done)
{
    cli_outcome outcome = {0};
    if (c->args->rest_count == 0)
        return cli_args_wrong(c->args->program, "%s needs an id", c->args->program->commands[c->args->command].name);
    for (size_t i = 0; i < c->args->rest_count && cli_signals_caught() == 0; i++) {
        const char *text = c->args->rest[i];
        imgq_error err = {0};
        const imgq_status status = act(c, text, &err);
        cli_outcome_add(&outcome, cli_outcome_code_of(status));
        if (status != IMGQ_OK) {
            cli_error_about(c->program, text, err.message);
        } else if (done != NULL && c->json) {
            printf("{\"schema\":1");
            cli_json_member(stdout, c->env, "id", text);
            printf(",\"status\":\"%s\"}\n", done);
        } else if (done != NULL) {
            printf("%s %s\n", text, done);
        }
    }
    return cli_outcome_exit(&outcome);
}

static imgq_status cancel_one(ctl *c, const char *text, imgq_error *err)
{
    imgq_id id;
    return to_id(text, &id, err) ? imgq_queue_cancel(c->queue, &id, err) : err->status;
}

static imgq_status requeue_one(ctl *c, const char *text, imgq_error *err)
{
    imgq_id id;
    return to_id(text, &id, err) ? imgq_queue_requeue(c->queue, &id, err) : err->status;
}

int ctl_show(ctl *c)
{
    return with_each(c, show_one, NULL);
}

int ctl_cancel(ctl *c)
{
    return with_each(c, cancel_one, "cancelled");
}

/* ---- dead letters ---- */

/* The next page behind `skip`. @return CLI_EXIT_..., said */
static int dead_page(ctl *c, size_t skip, size_t max, imgq_job_status *jobs, size_t *count)
{
    imgq_error err;
    jobs[0].size = sizeof *jobs;
    if (imgq_queue_dead(c->queue, skip, jobs, max, count, &err) != IMGQ_OK)
        return cli_error_status(c->program, &err);
    return CLI_EXIT_OK;
}

static bool dead_row(cli_table *table, const imgq_job_status *job)
{
    char died[32], failed[48];
    ctl_time(job->changed_unix_ms, died, sizeof died);
    snprintf(failed, sizeof failed, "%u failed, %u lost", job->fails, job->crashes);
    const char *texts[] = {job->id.text, died, failed, imgq_status_name(job->error), job->message};
    return cli_table_add(table, texts);
}

static int dead_list(ctl *c, imgq_job_status *jobs, cli_table *table)
{
    size_t left = (size_t)c->set->max, skip = (size_t)c->set->skip, count = 0, listed = 0;
    do {
        const size_t page = left < DEAD_PAGE ? left : DEAD_PAGE;
        const int code = dead_page(c, skip, page, jobs, &count);
        if (code != CLI_EXIT_OK)
            return code;
        for (size_t i = 0; i < count; i++) {
            if (c->json)
                job_as_json(c, &jobs[i], NULL);
            else if (!dead_row(table, &jobs[i]))
                return CLI_EXIT_SOME;
        }
        skip += count;
        left -= count;
        listed += count;
    } while (count > 0 && left > 0 && cli_signals_caught() == 0);
    return c->json || listed == 0 || cli_table_print(table) ? CLI_EXIT_OK : CLI_EXIT_SOME;
}

int ctl_dead_list(ctl *c)
{
    static const cli_column columns[] = {{.title = "ID"},
                                         {.title = "DIED (UTC)"},
                                         {.title = "DELIVERIES"},
                                         {.title = "CODE"},
                                         {.title = "MESSAGE", .last = true}};
    imgq_job_status *jobs = calloc(DEAD_PAGE, sizeof *jobs);
    cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    int code = CLI_EXIT_SOME;
    if (jobs != NULL && table != NULL)
        code = dead_list(c, jobs, table);
    else
        cli_error(c->program, "memory ran out");
    cli_table_destroy(table);
    free(jobs);
    return code;
}

/* From the oldest on. What cannot be requeued (it died again, or went meanwhile) is passed over. */
static int requeue_all(ctl *c)
{
    imgq_job_status *jobs = calloc(DEAD_PAGE, sizeof *jobs);
    uint64_t requeued = 0;
    size_t skip = 0, count = 0;
    int code = CLI_EXIT_OK;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_error err;
    if (jobs == NULL)
        return CLI_EXIT_SOME;
    if (imgq_queue_get_stats(c->queue, &stats, &err) != IMGQ_OK)
        code = cli_error_status(c->program, &err);
    /* As many as are dead now: those that die again meanwhile are not begun anew for ever. */
    for (uint64_t left = stats.dead; code == CLI_EXIT_OK && left > 0 && cli_signals_caught() == 0;) {
        code = dead_page(c, skip, left < DEAD_PAGE ? (size_t)left : DEAD_PAGE, jobs, &count);
        if (code != CLI_EXIT_OK || count == 0)
            break;
        for (size_t i = 0; i < count && code == CLI_EXIT_OK; i++) {
            const imgq_status status = imgq_queue_requeue(c->queue, &jobs[i].id, &err);
            requeued += status == IMGQ_OK;
            skip += status == IMGQ_E_DENIED;
            if (status != IMGQ_OK && status != IMGQ_E_CONFLICT && status != IMGQ_E_NOTFOUND && status != IMGQ_E_DENIED)
                code = cli_error_status(c->program, &err);
        }
        left -= count;
    }
    if (c->json)
        printf("{\"schema\":1,\"requeued\":%" PRIu64 "}\n", requeued);
    else
        printf("%" PRIu64 " requeued\n", requeued);
    free(jobs);
    return code;
}

int ctl_dead_requeue(ctl *c)
{
    if (c->set->all && c->args->rest_count > 0)
        return cli_args_wrong(c->args->program, "dead requeue takes ids or --all, not both");
    return c->set->all ? requeue_all(c) : with_each(c, requeue_one, "requeued");
}

/* ---- purge, pause, resume, set ---- */

int ctl_purge(ctl *c, int what)
{
    static const char *const names[] = {"waiting", "delayed", "dead"};
    const ctl_settings *set = c->set;
    imgq_error err;
    uint64_t purged = 0;
    if (set->confirm == NULL || strcmp(set->confirm, imgq_queue_name(c->queue)) != 0)
        return cli_args_wrong(c->args->program,
                              "this removes %s jobs of queue %s for good: --confirm=%s says that "
                              "it is meant",
                              names[what], imgq_queue_name(c->queue), imgq_queue_name(c->queue));
    const int priority = cli_args_origin(c->args, "priority") == CLI_FROM_DEFAULT ? -1 : (int)set->priority;
    const imgq_status status = imgq_queue_purge(c->queue, what, priority, set->older_than_ms, &purged, &err);
    if (c->json)
        printf("{\"schema\":1,\"what\":\"%s\",\"purged\":%" PRIu64 "}\n", names[what], purged);
    else
        printf("%" PRIu64 " %s jobs purged\n", purged, names[what]);
    return status == IMGQ_OK ? CLI_EXIT_OK : cli_error_status(c->program, &err);
}

static int done(const ctl *c, imgq_status status, const imgq_error *err, const char *what)
{
    if (status != IMGQ_OK)
        return cli_error_status(c->program, err);
    if (c->json) {
        printf("{\"schema\":1");
        cli_json_member(stdout, c->env, "queue", imgq_queue_name(c->queue));
        cli_json_member(stdout, c->env, "status", what);
        printf("}\n");
    } else {
        printf("queue %s: %s\n", imgq_queue_name(c->queue), what);
    }
    return CLI_EXIT_OK;
}

int ctl_pause(ctl *c)
{
    const ctl_settings *set = c->set;
    const bool both = set->submits == set->deliveries; /* none said is both */
    const uint32_t what = (both || set->deliveries ? (uint32_t)IMGQ_PAUSE_DELIVERIES : 0) |
                          (both || set->submits ? (uint32_t)IMGQ_PAUSE_SUBMITS : 0);
    imgq_error err;
    return done(c, imgq_queue_pause(c->queue, what, &err), &err,
                both              ? "deliveries and submits are paused"
                : set->deliveries ? "deliveries are paused"
                                  : "submits are paused");
}

int ctl_resume(ctl *c)
{
    imgq_error err;
    return done(c, imgq_queue_resume(c->queue, &err), &err, "nothing is paused");
}

int ctl_set(ctl *c)
{
    imgq_error err;
    char what[256];
    if (c->args->rest_count != 2)
        return cli_args_wrong(c->args->program, "set needs a setting and its value");
    snprintf(what, sizeof what, "%s is %s", c->args->rest[0], c->args->rest[1]);
    const imgq_status status = imgq_queue_configure(c->queue, c->args->rest[0], c->args->rest[1], &err);
    return done(c, status, &err, what);
}
