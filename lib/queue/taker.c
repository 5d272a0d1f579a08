/* Who takes: the handle's name among the workers, and the jobs that it holds. */
#include "queue/job.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/log.h"
#include "base/options.h"
#include "queue/scripts.h"

#include <string.h>

enum {
    NAME_LIVES_MS = 10000, /* a worker silent for longer is not alive */
    NAME_LOOK_EVERY_MS = 1000,
    NAMES_MAX = 1000,
    INFO_MAX = 2048
};

/* ---- the handle's taker ---- */

static imgq_status ask_workers(imgq_queue *queue, iq_reply **reply, imgq_error *err)
{
    iq_commands commands;
    const iq_request request = {.line = IQ_LINE_COMMAND, .deadline = iq_queue_deadline(queue)};
    iq_commands_init(&commands, queue->env);
    iq_queue_add_script(queue, &commands, &iq_lua_workers);
    iq_commands_uint(&commands, NAMES_MAX);
    const imgq_status status = iq_queue_call(queue, &commands, &request, "look for workers of this name", reply, err);
    iq_commands_release(&commands);
    return status;
}

/* When another process of our name was seen last; 0: never, or too long ago to be alive. */
static int64_t namesake_seen_ms(const iq_taker *taker, const iq_reply *workers)
{
    const size_t name_len = taker->identity_len - IQ_WORKER_ID_SIZE;
    int64_t now = 0, seen = 0, latest = 0;
    if (!iq_reply_int(iq_reply_at(workers, 0), &now))
        return 0;
    for (size_t i = 1; i + 2 < workers->count; i += 3) {
        const iq_reply *worker = iq_reply_at(workers, i);
        if (worker->len != taker->identity_len || memcmp(worker->text, taker->identity, name_len) != 0 ||
            memcmp(worker->text, taker->identity, worker->len) == 0)
            continue;
        if (iq_reply_int(iq_reply_at(workers, i + 1), &seen) && now - seen < NAME_LIVES_MS && seen > latest)
            latest = seen;
    }
    return latest;
}

/* A worker that ended a moment ago still looks alive, so a namesake is watched until it moves or its time is over; by
 * our clock too, because the server's may have stood in tomorrow when it was seen. */
static imgq_status check_name(iq_taker *taker, imgq_error *err)
{
    imgq_queue *queue = taker->queue;
    const iq_deadline patience = iq_deadline_after_ms(NAME_LIVES_MS);
    int64_t first_seen = 0;
    for (;;) {
        iq_reply *workers = NULL;
        imgq_status status = ask_workers(queue, &workers, err);
        if (status != IMGQ_OK)
            return status;
        const int64_t seen = namesake_seen_ms(taker, workers);
        iq_reply_free(workers);
        if (seen == 0 || (seen == first_seen && iq_deadline_passed(patience)))
            return IMGQ_OK;
        if (first_seen != 0 && seen != first_seen)
            return iq_fail(err, IMGQ_E_CONFLICT, 0, "another live worker of queue %s is named %s",
                           imgq_queue_name(queue), queue->worker_name);
        if (first_seen == 0)
            iq_log(queue->env, IMGQ_LOG_INFO, "queue",
                   "a worker named %s was here a moment ago: waiting to see if it lives", queue->worker_name);
        first_seen = seen;
        status = iq_queue_sleep(queue, iq_deadline_after_ms(NAME_LOOK_EVERY_MS), err);
        if (status != IMGQ_OK)
            return status;
    }
}

static void taker_free(iq_taker *taker)
{
    imgq_env *env = taker->queue->env;
    pthread_cond_destroy(&taker->changed);
    pthread_mutex_destroy(&taker->lock);
    iq_free(env, taker->info);
    iq_free(env, taker);
}

static void taker_close(imgq_queue *queue)
{
    iq_taker *taker = queue->taker;
    iq_keeper_stop(taker);
    iq_waker_close(taker->waker);
    while (taker->first != NULL) {
        imgq_job *jobs[IQ_CALL_MAX_JOBS];
        size_t count = 0;
        for (imgq_job *job = taker->first; job != NULL && count < IQ_CALL_MAX_JOBS; job = job->next)
            jobs[count++] = job;
        iq_jobs_release_before(jobs, count, iq_queue_deadline(queue));
    }
    taker_free(taker);
    queue->taker = NULL;
}

static imgq_status taker_create(imgq_queue *queue, iq_taker **out, imgq_error *err)
{
    const size_t name_len = strlen(queue->worker_name);
    if (name_len > IQ_WORKER_NAME_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "a worker's name of %zu bytes, at most %d", name_len,
                       IQ_WORKER_NAME_MAX);
    iq_taker *taker = iq_alloc_array(queue->env, 1, sizeof *taker);
    if (taker == NULL)
        return iq_fail_nomem(err, sizeof *taker);
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes); /* these cannot fail on Linux */
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&taker->changed, &attributes);
    (void)pthread_mutex_init(&taker->lock, NULL);
    pthread_condattr_destroy(&attributes);
    taker->queue = queue;
    taker->nonce = 1;
    memcpy(taker->identity, queue->worker_name, name_len);
    memcpy(taker->identity + name_len, queue->worker_id, IQ_WORKER_ID_SIZE);
    taker->identity_len = name_len + IQ_WORKER_ID_SIZE;
    *out = taker;
    return IMGQ_OK;
}

imgq_status iq_queue_taker(imgq_queue *queue, iq_taker **out, imgq_error *err)
{
    pthread_mutex_lock(&queue->lock);
    iq_taker *taker = queue->taker;
    pthread_mutex_unlock(&queue->lock);
    if (taker != NULL) {
        *out = taker;
        return IMGQ_OK;
    }
    if ((queue->options.roles & IMGQ_ROLE_WORKER) == 0)
        return iq_fail(err, IMGQ_E_INVALID, 0, "queue %s was not opened with IMGQ_ROLE_WORKER", imgq_queue_name(queue));
    imgq_status status = taker_create(queue, &taker, err);
    if (status != IMGQ_OK)
        return status;
    status = check_name(taker, err);
    if (status != IMGQ_OK) {
        taker_free(taker);
        return status;
    }
    pthread_mutex_lock(&queue->lock);
    iq_taker *other = queue->taker; /* another thread was faster */
    if (other == NULL) {
        queue->taker = taker;
        queue->taker_close = taker_close;
    }
    pthread_mutex_unlock(&queue->lock);
    if (other != NULL) {
        taker_free(taker);
        *out = other;
        return IMGQ_OK;
    }
    if (queue->options.keep_leases != 0)
        status = iq_keeper_start(taker, err);
    *out = taker;
    return status;
}

imgq_status imgq_queue_set_worker_info(imgq_queue *queue, const char *json, imgq_error *err)
{
    iq_taker *taker = NULL;
    if (json == NULL || strlen(json) > INFO_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "a worker's info line must be at most %d bytes", INFO_MAX);
    imgq_status status = iq_queue_taker(queue, &taker, err);
    if (status != IMGQ_OK)
        return status;
    char *copy = iq_strdup(queue->env, json);
    if (copy == NULL)
        return iq_fail_nomem(err, strlen(json));
    pthread_mutex_lock(&taker->lock);
    const char *old = taker->info;
    taker->info = copy;
    pthread_mutex_unlock(&taker->lock);
    iq_free(queue->env, old);
    return IMGQ_OK;
}

char *iq_taker_copy_info(iq_taker *taker)
{
    pthread_mutex_lock(&taker->lock);
    char *copy = iq_strdup(taker->queue->env, taker->info);
    pthread_mutex_unlock(&taker->lock);
    return copy;
}

/* ---- jobs ---- */

void iq_taker_add(iq_taker *taker, imgq_job *job)
{
    job->previous = taker->last;
    job->next = NULL;
    if (taker->last != NULL)
        taker->last->next = job;
    else
        taker->first = job;
    taker->last = job;
    taker->held++;
}

void iq_taker_remove(iq_taker *taker, imgq_job *job)
{
    if (job->previous != NULL)
        job->previous->next = job->next;
    else
        taker->first = job->next;
    if (job->next != NULL)
        job->next->previous = job->previous;
    else
        taker->last = job->previous;
    job->next = job->previous = NULL;
    taker->held--;
}

iq_payload iq_job_detach_payload(imgq_job *job)
{
    const iq_payload payload = {job->holder, job->tensor};
    job->holder = NULL;
    job->tensor = NULL;
    job->payload = NULL;
    job->payload_len = 0;
    return payload;
}

void iq_payload_release(imgq_env *env, iq_payload *payload)
{
    iq_reply_free(payload->holder);
    iq_free(env, payload->tensor);
    *payload = (iq_payload){0};
}

void iq_job_free(imgq_job *job)
{
    imgq_env *env = job->queue->env;
    iq_reply_free(job->holder);
    iq_free(env, job->tensor);
    iq_free(env, job->legacy_id);
    iq_free(env, job);
}

const void *imgq_job_payload(const imgq_job *job, size_t *len)
{
    *len = job->payload_len;
    return job->payload;
}

imgq_id imgq_job_id(const imgq_job *job)
{
    return job->id;
}

imgq_status imgq_job_get_info(const imgq_job *job, imgq_job_info *info, imgq_error *err)
{
    const iq_record *head = &job->head;
    const iq_job_options *options = &job->options;
    imgq_job_info own = IMGQ_JOB_INFO_INIT;
    own.media = options->media;
    own.width = options->width;
    own.height = options->height;
    own.priority = head->priority;
    own.top_count = options->top_count;
    own.attempt = head->deliveries;
    own.fails = head->fails;
    own.crashes = head->crashes;
    own.max_fails = head->max_fails;
    own.exif = options->exif;
    own.use_background = options->use_background;
    memcpy(own.background, options->background, sizeof own.background);
    own.imported = (head->flags & IQ_FLAG_COMPAT) != 0;
    own.submitted_unix_ms = (int64_t)head->submitted_ms;
    own.taken_unix_ms = job->taken_unix_ms;
    own.deadline_unix_ms = (int64_t)head->deadline_ms;
    own.profile = options->profile;
    own.model = options->model;
    return iq_options_give(info, &own, sizeof own, err);
}

imgq_status imgq_job_standing(const imgq_job *job)
{
    return atomic_load_explicit(&job->standing, memory_order_acquire);
}
