/* The threads: each makes one request after the other until none is left. */
#include "cli/stress/stress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <imgq/admin.h>

#include "cli/common/signals.h"

enum { REFERENCE_POLL_MS = 250, BUSY_RETRY_MS = 500 };

/* ---- time ---- */

double stress_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

/* @return false if a signal came first */
static bool sleep_until(double at_ms)
{
    enum { STEP_MS = 50 };
    for (double left; cli_signals_caught() == 0 && (left = at_ms - stress_now_ms()) > 0;) {
        const long ns = (long)((left < STEP_MS ? left : STEP_MS) * 1e6);
        const struct timespec step = {.tv_nsec = ns};
        (void)nanosleep(&step, NULL);
    }
    return cli_signals_caught() == 0;
}

/* ---- one request ---- */

/* A full queue is asked again as it wishes, within the request's time. */
static imgq_status submit(const stress *s, const cli_bytes *payload, double deadline_ms, imgq_id *id, imgq_error *err)
{
    for (;;) {
        const imgq_status status = imgq_queue_submit(s->queue, payload->data, payload->len, &s->options, id, err);
        if (status != IMGQ_E_BUSY)
            return status;
        const double again_ms = stress_now_ms() + (err->retry_after_ms > 0 ? err->retry_after_ms : BUSY_RETRY_MS);
        if (again_ms >= deadline_ms || !sleep_until(again_ms))
            return status;
    }
}

static imgq_status await_notified(const stress *s, const imgq_id *id, double deadline_ms, imgq_result **result,
                                  imgq_error *err)
{
    for (;;) {
        const double left = deadline_ms - stress_now_ms();
        const imgq_status status = imgq_queue_await(s->queue, id, 1, left > 0 ? (int64_t)left : 0, result, err);
        if (status == IMGQ_E_UNAVAILABLE && stress_now_ms() < deadline_ms && sleep_until(stress_now_ms() + 100))
            continue;
        return status;
    }
}

static imgq_status await_polling(const stress *s, const imgq_id *id, double deadline_ms, imgq_result **result,
                                 imgq_error *err)
{
    imgq_queue_forget(s->queue, id); /* or the handle would ask for it as well */
    for (;;) {
        imgq_job_status job = IMGQ_JOB_STATUS_INIT;
        const imgq_status status = imgq_queue_look(s->queue, id, &job, result, err);
        if (status != IMGQ_OK || *result != NULL)
            return status;
        if (stress_now_ms() + REFERENCE_POLL_MS > deadline_ms)
            return cli_fail(err, IMGQ_E_TIMEOUT, 0, "no answer in time");
        if (!sleep_until(stress_now_ms() + REFERENCE_POLL_MS))
            return cli_fail(err, IMGQ_E_CANCELLED, 0, "interrupted");
    }
}

static request_end note_failure(client *c, imgq_status status, const char *message)
{
    if (status == IMGQ_E_TIMEOUT)
        return REQUEST_TIMED_OUT;
    if (status <= 0 && status >= IMGQ_STATUS_LAST)
        c->by_status[-status]++;
    if (c->first_error[0] == '\0')
        snprintf(c->first_error, sizeof c->first_error, "%s", message);
    return REQUEST_FAILED;
}

static request_end request(client *c, uint64_t index, double deadline_ms)
{
    const stress *s = c->stress;
    const cli_bytes *payload = &s->payloads[index % s->payload_count];
    imgq_result *result = NULL;
    imgq_error err = {0};
    imgq_id id = {{0}};
    imgq_status status = submit(s, payload, deadline_ms, &id, &err);
    if (status == IMGQ_OK) {
        c->open_job = id;
        status = s->set->poll ? await_polling(s, &id, deadline_ms, &result, &err)
                              : await_notified(s, &id, deadline_ms, &result, &err);
    }
    if (status == IMGQ_E_CANCELLED && cli_signals_caught() != 0)
        return REQUEST_UNFINISHED;
    if (status == IMGQ_E_TIMEOUT && c->open_job.text[0] != '\0') {
        imgq_queue_forget(s->queue, &id);
        if (imgq_queue_cancel(s->queue, &id, NULL) != IMGQ_OK)
            c->not_cancelled++; /* it ended just now, too late to count, or Redis is away */
    }
    c->open_job.text[0] = '\0';
    if (status != IMGQ_OK)
        return note_failure(c, status, err.message);
    const imgq_status ended = imgq_result_status(result);
    /* A job that expired or was cancelled by another is a failure, not this request's own time-out. */
    const request_end how = ended == IMGQ_OK ? REQUEST_OK
                                             : note_failure(c, ended == IMGQ_E_TIMEOUT ? IMGQ_E_CANCELLED : ended,
                                                            imgq_result_message(result));
    imgq_result_destroy(result);
    return how;
}

/* ---- threads ---- */

static bool keep(client *c, double latency_ms)
{
    if (c->count == c->room) {
        const size_t room = c->room > 0 ? c->room * 2 : 256;
        double *more = realloc(c->latencies_ms, room * sizeof *more);
        if (more == NULL)
            return false;
        c->latencies_ms = more;
        c->room = room;
    }
    c->latencies_ms[c->count++] = latency_ms;
    return true;
}

/* When the request should begin; false: none is left. */
static bool next_request(stress *s, uint64_t *index, double *begin_ms)
{
    const stress_settings *set = s->set;
    pthread_mutex_lock(&s->schedule);
    *index = s->next++;
    if (set->rate > 0 && set->arrivals == STRESS_POISSON)
        s->next_ms -= log(stats_random_unit(&s->chance)) * 1000 / set->rate;
    else if (set->rate > 0)
        s->next_ms = (double)*index * 1000 / set->rate;
    *begin_ms = set->rate > 0 ? s->started_ms + s->next_ms : stress_now_ms();
    pthread_mutex_unlock(&s->schedule);
    if (*index >= (uint64_t)set->requests)
        return false;
    return set->duration_ms == 0 || *begin_ms < s->started_ms + (double)set->duration_ms;
}

static void *run_client(void *user)
{
    client *c = user;
    stress *s = c->stress;
    uint64_t index;
    double begin_ms;
    while (cli_signals_caught() == 0 && next_request(s, &index, &begin_ms) && sleep_until(begin_ms)) {
        const double late_ms = stress_now_ms() - begin_ms;
        c->late += late_ms > LATE_MS;
        c->latest_ms = late_ms > c->latest_ms ? late_ms : c->latest_ms;
        const request_end how = request(c, index, stress_now_ms() + (double)s->set->timeout_ms);
        c->by_end[how]++;
        if (how == REQUEST_UNFINISHED)
            break;
        if (how == REQUEST_OK && !keep(c, stress_now_ms() - begin_ms)) {
            c->by_end[REQUEST_OK]--;
            c->by_end[note_failure(c, IMGQ_E_NOMEM, "memory ran out for a latency")]++;
        }
        atomic_fetch_add(how == REQUEST_OK ? &s->ended : &s->failed, 1);
    }
    atomic_fetch_sub(&s->running, 1);
    return NULL;
}

size_t stress_start(stress *s)
{
    const size_t count = (size_t)s->set->concurrency;
    size_t started = 0;
    s->started_ms = stress_now_ms();
    for (; started < count; started++) {
        client *c = &s->clients[started];
        c->stress = s;
        atomic_fetch_add(&s->running, 1);
        if (pthread_create(&c->thread, NULL, run_client, c) != 0) {
            atomic_fetch_sub(&s->running, 1);
            cli_error(s->program, "start thread %zu of %zu: the system refuses, going on with fewer", started + 1,
                      count);
            break;
        }
    }
    return started;
}

void stress_join(stress *s, size_t count, cli_progress *bar)
{
    enum { LOOK_MS = 20 };
    const struct timespec step = {.tv_nsec = LOOK_MS * 1000000L};
    while (atomic_load(&s->running) > 0) {
        cli_progress_set(bar, atomic_load(&s->ended), atomic_load(&s->failed));
        (void)nanosleep(&step, NULL);
    }
    for (size_t i = 0; i < count; i++)
        (void)pthread_join(s->clients[i].thread, NULL);
    cli_progress_end(bar);
}
