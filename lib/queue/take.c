/* Taking jobs: one TAKE by a nonce that survives lost replies, large payloads fetched behind it, and a wait between
 * that costs one command a second. */
#include "queue/job.h"

#include "base/alloc.h"
#include "base/crypto.h"
#include "base/fail.h"
#include "base/log.h"
#include "base/options.h"
#include "queue/scripts.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
    NS_PER_MS = 1000000,
    INLINE_RECORD_MAX = 8192, /* longer ones come as header and options */
    NAME_LIVES_MS = 10000,    /* a worker silent for longer is not alive */
    NAME_LOOK_EVERY_MS = 1000,
    NAMES_MAX = 1000,
    INFO_MAX = 2048,
    IMPORTS_MAX = 32, /* calls in one pipeline */
    IMPORT_BYTES = 512 * 1024,
    IMPORT_PRIORITY = 5,
    RETRY_MS = 200,
    DUE_JITTER_MS = 20,
    BLOCK_JITTER_MS = 100
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

/* A worker that ended a moment ago still looks alive, so a namesake is watched until it moves or its time is over. */
static imgq_status check_name(iq_taker *taker, imgq_error *err)
{
    imgq_queue *queue = taker->queue;
    int64_t first_seen = 0;
    for (;;) {
        iq_reply *workers = NULL;
        imgq_status status = ask_workers(queue, &workers, err);
        if (status != IMGQ_OK)
            return status;
        const int64_t seen = namesake_seen_ms(taker, workers);
        iq_reply_free(workers);
        if (seen == 0)
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

/* ---- one TAKE ---- */

/* What one look into the queue works on. */
typedef struct look {
    iq_taker *taker;
    imgq_queue *queue;
    size_t max;
    int64_t lease_ms;
    int64_t asked_ns; /* just before the TAKE was sent: leases end no earlier on the server */
    iq_take_report *report;
    imgq_job *jobs[IMGQ_TAKE_MAX]; /* delivered, not yet held */
    size_t count;
} look;

static iq_request one_attempt(imgq_queue *queue)
{
    return (iq_request){
        .line = IQ_LINE_COMMAND, .flags = IQ_CALL_ONCE | IQ_CALL_PATIENT, .deadline = iq_queue_deadline(queue)};
}

static void add_import(const imgq_queue *queue, iq_commands *commands, size_t window)
{
    iq_commands_add_script(commands, &iq_lua_import, 3);
    iq_commands_bytes(commands, queue->meta.text, queue->meta.len);
    iq_commands_bytes(commands, queue->slot.text, queue->slot.len);
    iq_commands_text(commands, queue->import_list);
    iq_commands_uint(commands, IQ_CALL_MAX_JOBS);
    iq_commands_uint(commands, IMPORT_BYTES);
    iq_commands_uint(commands, window);
    iq_commands_uint(commands, IMPORT_PRIORITY);
}

static void add_take(const look *it, iq_commands *commands, const char *info)
{
    const iq_taker *taker = it->taker;
    iq_queue_add_script(it->queue, commands, &iq_lua_take);
    iq_commands_bytes(commands, taker->identity, taker->identity_len);
    iq_commands_text(commands, info != NULL ? info : "");
    iq_commands_uint(commands, taker->nonce);
    iq_commands_uint(commands, it->max);
    iq_commands_uint(commands, IQ_TAKE_MAX_BYTES);
    iq_commands_int(commands, it->lease_ms);
}

/* Reference items become jobs: as many calls as items wait, since each may move only one large item. */
static imgq_status import_items(look *it, imgq_error *err)
{
    const iq_request request = one_attempt(it->queue);
    int64_t left = 1;
    for (int round = 0; round < 2 && left > 0; round++) {
        iq_commands commands;
        iq_reply *replies[IMPORTS_MAX] = {NULL};
        const size_t most = it->max < IMPORTS_MAX ? it->max : IMPORTS_MAX;
        const size_t count = (uint64_t)left < most ? (size_t)left : most;
        iq_commands_init(&commands, it->queue->env);
        for (size_t i = 0; i < count; i++)
            add_import(it->queue, &commands, 2 * it->max);
        imgq_status status = iq_queue_run(it->queue, &commands, &request, replies, err);
        left = 0;
        if (status == IMGQ_OK)
            status = iq_queue_reply_check(replies[count - 1], "import reference items", err);
        if (status == IMGQ_OK)
            (void)iq_reply_int(iq_reply_at(replies[count - 1], 2), &left);
        iq_queue_free_replies(replies, count);
        iq_commands_release(&commands);
        if (status != IMGQ_OK)
            return status;
    }
    return IMGQ_OK;
}

static imgq_job *new_job(look *it, const iq_reply *id, uint64_t fence)
{
    imgq_queue *queue = it->queue;
    imgq_job *job = iq_alloc_array(queue->env, 1, sizeof *job);
    if (job == NULL)
        return NULL;
    job->queue = queue;
    memcpy(job->id.text, id->text, id->len);
    job->head.fence = fence;
    job->head.max_fails = 1;
    job->lease_ms = (uint32_t)it->lease_ms;
    job->lease_end_ns = it->asked_ns + it->lease_ms * NS_PER_MS;
    const int64_t limit_ms =
        queue->options.exec_limit_ms > 0 ? queue->options.exec_limit_ms : IQ_EXEC_LIMIT_LEASES * it->lease_ms;
    job->renew_until_ns = it->asked_ns + limit_ms * NS_PER_MS;
    atomic_init(&job->standing, IMGQ_OK);
    return job;
}

/* Reads the whole record into the job, which then holds the reply it stands in. */
static imgq_status read_record(imgq_job *job, iq_reply *holder, const iq_reply *record, imgq_error *err)
{
    iq_record_view view;
    const imgq_status status = iq_record_decode(&view, record->text, record->len, err);
    if (status != IMGQ_OK)
        return status;
    job->head = view.head;
    iq_job_options_read(&job->options, view.tlv, view.head.ext_len);
    job->payload = view.body;
    job->payload_len = view.body_len;
    iq_reply_free(job->holder);
    job->holder = iq_reply_hold(holder);
    return IMGQ_OK;
}

/* Three elements a job. A record that cannot be read still makes a job: it must be failed, or it would come again. */
static imgq_status read_jobs(look *it, iq_reply *reply, imgq_error *err)
{
    const iq_reply *list = iq_reply_at(reply, 4);
    int64_t now = 0, fence = 0;
    (void)iq_reply_int(iq_reply_at(reply, 0), &now);
    for (size_t i = 0; i + 2 < list->count && it->count < IMGQ_TAKE_MAX; i += 3) {
        const iq_reply *id = iq_reply_at(list, i), *record = iq_reply_at(list, i + 2);
        if (id->len == 0 || id->len >= sizeof((imgq_id *)0)->text || !iq_reply_int(iq_reply_at(list, i + 1), &fence))
            return iq_fail(err, IMGQ_E_PROTOCOL, 0, "take: a reply of another form");
        imgq_job *job = new_job(it, id, (uint64_t)fence);
        if (job == NULL)
            return iq_fail_nomem(err, sizeof *job);
        it->jobs[it->count++] = job;
        job->taken_unix_ms = now;
        imgq_error why = {0};
        if (read_record(job, reply, record, &why) != IMGQ_OK)
            job->damage = why;
    }
    return IMGQ_OK;
}

static imgq_status read_take(look *it, iq_reply *reply, imgq_error *err)
{
    int64_t paused = 0, left = 0, due = 0;
    if (reply->count != 5 || !iq_reply_int(iq_reply_at(reply, 1), &paused) ||
        !iq_reply_int(iq_reply_at(reply, 2), &left) || !iq_reply_int(iq_reply_at(reply, 3), &due))
        return iq_fail(err, IMGQ_E_PROTOCOL, 0, "take: a reply of another form");
    it->report->paused = (paused & 1) != 0;
    it->report->left = left > 0 ? (uint64_t)left : 0;
    it->report->due_ms = due > 0 ? due : -1;
    return read_jobs(it, reply, err);
}

static bool is_cut(const imgq_job *job)
{
    return job->damage.status == IMGQ_OK && job->payload_len < job->head.payload_len;
}

/* The whole record must still be this delivery's: if not, the job was cancelled or deleted meanwhile. */
static bool read_fetched(imgq_job *job, iq_reply *reply)
{
    iq_record_view view;
    if (reply->type != IQ_REPLY_TEXT || iq_record_decode(&view, reply->text, reply->len, NULL) != IMGQ_OK)
        return false;
    return view.head.state == 'A' && view.head.fence == job->head.fence && view.body_len == job->head.payload_len &&
           read_record(job, reply, reply, NULL) == IMGQ_OK;
}

static imgq_status fetch_payloads(look *it, imgq_error *err)
{
    imgq_queue *queue = it->queue;
    imgq_job *cut[IMGQ_TAKE_MAX];
    iq_reply *replies[IMGQ_TAKE_MAX] = {NULL};
    size_t count = 0;
    iq_commands commands;
    iq_commands_init(&commands, queue->env);
    for (size_t i = 0; i < it->count; i++) {
        if (!is_cut(it->jobs[i]))
            continue;
        const iq_key key = iq_key_job(&queue->keys, it->jobs[i]->id.text);
        cut[count++] = it->jobs[i];
        iq_commands_add(&commands, "GET");
        iq_commands_copy(&commands, key.text, key.len);
    }
    const iq_request request = one_attempt(queue);
    imgq_status status = count > 0 ? iq_queue_run(queue, &commands, &request, replies, err) : IMGQ_OK;
    for (size_t i = 0; i < count && status == IMGQ_OK; i++) {
        status = iq_queue_reply_check(replies[i], "fetch a payload", err);
        if (status == IMGQ_OK && !read_fetched(cut[i], replies[i]))
            atomic_store_explicit(&cut[i]->standing, IMGQ_E_LOST, memory_order_relaxed);
    }
    iq_queue_free_replies(replies, count);
    iq_commands_release(&commands);
    return status;
}

/* A nonce below the server's last one: only a clone of this process can have used it. Stepping over it is safe, since
 * what it was given is under its own fences. */
static imgq_status step_over(iq_taker *taker, const iq_reply *reply, imgq_error *err)
{
    unsigned long long last = 0;
    (void)sscanf(reply->text, "IQOLD %llu", &last);
    taker->nonce = (last > taker->nonce ? last : taker->nonce) + 1;
    return iq_fail(err, IMGQ_E_UNAVAILABLE, 0, "take: another process uses the name of this worker");
}

/* The next TAKE uses the same nonce until this one's reply was read whole, so that no delivery is forgotten. */
static imgq_status take_by_nonce(look *it, imgq_error *err)
{
    iq_commands commands;
    iq_reply *reply = NULL;
    char *info = iq_taker_copy_info(it->taker);
    const iq_request request = one_attempt(it->queue);
    iq_commands_init(&commands, it->queue->env);
    add_take(it, &commands, info);
    it->asked_ns = iq_clock_ns();
    imgq_status status = iq_queue_run(it->queue, &commands, &request, &reply, err);
    if (status == IMGQ_OK && iq_reply_is_error(reply, "IQOLD"))
        status = step_over(it->taker, reply, err);
    else if (status == IMGQ_OK)
        status = iq_queue_reply_check(reply, "take", err);
    if (status == IMGQ_OK)
        status = read_take(it, reply, err);
    if (status == IMGQ_OK)
        status = fetch_payloads(it, err);
    iq_reply_free(reply);
    iq_commands_release(&commands);
    iq_free(it->queue->env, info);
    return status;
}

/* Damaged records and items are failed here: the caller could do nothing with them. */
static void fail_unreadable(imgq_queue *queue, imgq_job *const *jobs, size_t count)
{
    iq_failure failures[IMGQ_TAKE_MAX];
    for (size_t i = 0; i < count; i++) {
        const bool ours = jobs[i]->damage.status == IMGQ_E_NOMEM;
        failures[i] = (iq_failure){jobs[i], ours ? IMGQ_FAIL_TRANSIENT : IMGQ_FAIL_PERMANENT, &jobs[i]->damage};
        iq_log(queue->env, IMGQ_LOG_INFO, "queue", "job %s failed: %s", jobs[i]->id.text, jobs[i]->damage.message);
    }
    imgq_error err = {0};
    if (count > 0 && iq_jobs_fail(failures, count, NULL, &err) != IMGQ_OK)
        iq_log(queue->env, IMGQ_LOG_WARNING, "queue", "failures of %zu unreadable jobs were not accepted: %s", count,
               err.message);
}

static void parse_items(look *it)
{
    for (size_t i = 0; i < it->count; i++) {
        imgq_job *job = it->jobs[i];
        imgq_error why = {0};
        if (job->damage.status == IMGQ_OK && (job->head.flags & IQ_FLAG_COMPAT) != 0 &&
            atomic_load_explicit(&job->standing, memory_order_relaxed) == IMGQ_OK &&
            iq_job_parse_item(job, &why) != IMGQ_OK)
            job->damage = why;
    }
}

/* The jobs join those that are held; unreadable ones are failed, those lost before they were here are forgotten. */
static void accept_jobs(look *it)
{
    iq_taker *taker = it->taker;
    imgq_job *unreadable[IMGQ_TAKE_MAX];
    size_t bad = 0;
    parse_items(it);
    pthread_mutex_lock(&taker->lock);
    for (size_t i = 0; i < it->count; i++) {
        imgq_job *job = it->jobs[i];
        if (atomic_load_explicit(&job->standing, memory_order_relaxed) != IMGQ_OK) {
            iq_job_free(job);
            continue;
        }
        iq_taker_add(taker, job);
        job->handed_out = job->damage.status != IMGQ_OK;
        if (job->handed_out)
            unreadable[bad++] = job;
    }
    it->count = 0;
    if (it->max > 0) /* a look for no jobs leaves the nonce to the take whose reply may still be missing */
        taker->nonce++;
    taker->ticked_ns = iq_clock_ns();
    pthread_cond_broadcast(&taker->changed); /* the keeper has something to keep */
    pthread_mutex_unlock(&taker->lock);
    fail_unreadable(it->queue, unreadable, bad);
}

static size_t hand_out(iq_taker *taker, size_t max, imgq_job **jobs, size_t *more)
{
    size_t count = 0;
    *more = 0;
    pthread_mutex_lock(&taker->lock);
    for (imgq_job *job = taker->first; job != NULL; job = job->next) {
        if (job->handed_out)
            continue;
        if (count == max) {
            (*more)++;
            continue;
        }
        job->handed_out = true;
        jobs[count++] = job;
    }
    pthread_mutex_unlock(&taker->lock);
    return count;
}

static imgq_status begin_taking(iq_taker *taker, bool *renew_first, imgq_error *err)
{
    const iq_deadline deadline = iq_queue_deadline(taker->queue);
    const struct timespec until = {deadline.at_ns / 1000000000, deadline.at_ns % 1000000000};
    int waited = 0;
    pthread_mutex_lock(&taker->lock);
    while (taker->taking && waited == 0)
        waited = pthread_cond_timedwait(&taker->changed, &taker->lock, &until);
    const bool mine = !taker->taking;
    if (mine)
        taker->taking = true;
    *renew_first = taker->renew_first && taker->held > 0;
    pthread_mutex_unlock(&taker->lock);
    return mine ? IMGQ_OK : iq_fail(err, IMGQ_E_UNAVAILABLE, 0, "take: another thread's take has no answer yet");
}

static void end_taking(iq_taker *taker, imgq_status status)
{
    pthread_mutex_lock(&taker->lock);
    taker->taking = false;
    if (status != IMGQ_OK)
        taker->renew_first = true;
    pthread_cond_broadcast(&taker->changed);
    pthread_mutex_unlock(&taker->lock);
}

static imgq_status take_fresh(look *it, bool renew_first, imgq_error *err)
{
    imgq_status status = IMGQ_OK;
    if (renew_first) /* after a lost connection leases come before new work */
        status = iq_taker_touch(it->taker, IQ_LINE_COMMAND, iq_queue_deadline(it->queue), err);
    if (status == IMGQ_OK && it->queue->import_list != NULL && it->max > 0)
        status = import_items(it, err);
    if (status == IMGQ_OK)
        status = take_by_nonce(it, err);
    if (status == IMGQ_OK)
        accept_jobs(it);
    for (size_t i = 0; i < it->count; i++)
        iq_job_free(it->jobs[i]); /* the same nonce brings them again */
    return status;
}

imgq_status iq_queue_take_now(imgq_queue *queue, size_t max, int64_t lease_ms, imgq_job **jobs, size_t *count,
                              iq_take_report *report, imgq_error *err)
{
    iq_taker *taker = NULL;
    bool renew_first = false;
    size_t more = 0;
    *count = 0;
    *report = (iq_take_report){.due_ms = -1};
    imgq_status status = iq_queue_taker(queue, &taker, err);
    if (status == IMGQ_OK)
        status = begin_taking(taker, &renew_first, err);
    if (status != IMGQ_OK)
        return status;
    *count = hand_out(taker, max, jobs, &more);
    if (*count == 0) {
        look it = {.taker = taker, .queue = queue, .max = max, .lease_ms = lease_ms, .report = report};
        status = take_fresh(&it, renew_first, err);
        if (status == IMGQ_OK)
            *count = hand_out(taker, max, jobs, &more);
    }
    if (status == IMGQ_E_TIMEOUT) /* for a taker that word means an empty queue */
        status = iq_fail(err, IMGQ_E_UNAVAILABLE, 0, "take: no answer in time");
    end_taking(taker, status);
    report->left += more;
    return status;
}

/* ---- imgq_queue_take ---- */

static uint32_t random_below(uint32_t bound)
{
    uint32_t value = 0;
    iq_random(&value, sizeof value);
    return value % bound;
}

static imgq_status check_take(imgq_queue *queue, size_t max, int64_t max_delay_ms, int64_t *lease_ms, imgq_job **jobs,
                              size_t *count, imgq_error *err)
{
    if (queue == NULL || jobs == NULL || count == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "take without a queue or a place for jobs");
    *count = 0;
    if (max == 0 || max > IMGQ_TAKE_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "take %zu jobs, it must be 1 to %d", max, IMGQ_TAKE_MAX);
    if (*lease_ms == 0)
        *lease_ms = IQ_LEASE_DEFAULT_MS;
    if (*lease_ms < IQ_LEASE_MIN_MS || *lease_ms > IQ_LEASE_MAX_MS)
        return iq_fail(err, IMGQ_E_INVALID, 0, "take with a lease of %lld ms, it must be %d to %d",
                       (long long)*lease_ms, IQ_LEASE_MIN_MS, IQ_LEASE_MAX_MS);
    if (max_delay_ms < 0)
        return iq_fail(err, IMGQ_E_INVALID, 0, "take with a delay of %lld ms", (long long)max_delay_ms);
    return IMGQ_OK;
}

/* Polls the waker's descriptors and the handle's interrupt. */
static imgq_status wait_on_waker(imgq_queue *queue, iq_waker *waker, iq_deadline until, bool *token, imgq_error *err)
{
    for (;;) {
        const iq_wake wake = iq_waker_take(waker);
        if (iq_interrupt_is_set(&queue->interrupt))
            return iq_fail(err, IMGQ_E_CANCELLED, 0, "interrupted");
        *token = wake == IQ_WAKE_TOKEN;
        if (wake != IQ_WAKE_NONE || iq_deadline_passed(until))
            return IMGQ_OK;
        int fds[IQ_WAKER_FDS];
        struct pollfd polled[IQ_WAKER_FDS + 1] = {{.fd = queue->interrupt.fd, .events = POLLIN}};
        const size_t count = iq_waker_fds(waker, fds);
        for (size_t i = 0; i < count; i++)
            polled[i + 1] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        int timeout_ms = iq_deadline_poll_ms(until);
        const int waker_ms = iq_waker_timeout_ms(waker);
        if (waker_ms >= 0 && (timeout_ms < 0 || waker_ms < timeout_ms))
            timeout_ms = waker_ms;
        (void)poll(polled, (nfds_t)count + 1, timeout_ms);
    }
}

/* One thread of the handle waits for tokens; another that comes sleeps until its own next look. */
static imgq_status wait_for_token(imgq_queue *queue, uint32_t block_ms, iq_deadline until, bool *token, imgq_error *err)
{
    iq_taker *taker = queue->taker;
    pthread_mutex_lock(&taker->lock);
    const bool mine = !taker->waking;
    taker->waking = true;
    pthread_mutex_unlock(&taker->lock);
    if (!mine)
        return iq_queue_sleep(queue, until, err);
    imgq_status status = taker->waker == NULL ? iq_waker_open(queue, &taker->waker, err) : IMGQ_OK;
    if (status == IMGQ_OK) {
        iq_waker_arm(taker->waker, block_ms);
        status = wait_on_waker(queue, taker->waker, until, token, err);
    }
    pthread_mutex_lock(&taker->lock);
    taker->waking = false;
    pthread_mutex_unlock(&taker->lock);
    return status;
}

/* Waits where a look found nothing: for a token, for a delayed job, at most for the time of an idle visit. */
static imgq_status wait_after_empty(imgq_queue *queue, const iq_take_report *report, iq_deadline deadline, bool *token,
                                    imgq_error *err)
{
    const uint32_t idle_ms = IQ_IDLE_BLOCK_MS - BLOCK_JITTER_MS + random_below(2 * BLOCK_JITTER_MS + 1);
    int64_t wait_ms = idle_ms;
    if (report->due_ms >= 0 && report->due_ms < wait_ms)
        wait_ms = report->due_ms + random_below(DUE_JITTER_MS + 1);
    const int64_t left_ms = iq_deadline_left_ns(deadline) / NS_PER_MS + 1;
    if (left_ms < wait_ms)
        wait_ms = left_ms;
    return wait_for_token(queue, (uint32_t)wait_ms, iq_deadline_min(deadline, iq_deadline_after_ms(wait_ms + RETRY_MS)),
                          token, err);
}

/* Before the one TAKE: is there a job, and then some time for company. @return IMGQ_OK; *ready: take now */
static imgq_status gather(imgq_queue *queue, size_t max, int64_t max_delay_ms, int64_t lease_ms, iq_deadline deadline,
                          bool token, iq_take_report *report, bool *ready, imgq_error *err)
{
    imgq_job *none[1];
    size_t count = 0;
    *ready = true;
    if (!token) {
        const imgq_status status = iq_queue_take_now(queue, 0, lease_ms, none, &count, report, err);
        if (status != IMGQ_OK)
            return status;
        *ready = report->left > 0 || report->paused;
        if (!*ready || report->left >= max)
            return IMGQ_OK;
    }
    return iq_queue_sleep(queue, iq_deadline_min(deadline, iq_deadline_after_ms(max_delay_ms)), err);
}

/* Away for a moment is waited out; away for the whole time, or for as long as one call lasts, is told. */
static imgq_status wait_after_failure(imgq_queue *queue, imgq_status status, iq_deadline patience, imgq_error *err)
{
    const bool passes = status == IMGQ_E_UNAVAILABLE || status == IMGQ_E_TIMEOUT || status == IMGQ_E_BUSY;
    if (!passes || iq_deadline_passed(patience))
        return status;
    const iq_deadline pause = iq_deadline_after_ms(iq_queue_jitter(RETRY_MS));
    return iq_queue_sleep(queue, iq_deadline_min(patience, pause), err);
}

imgq_status imgq_queue_take(imgq_queue *queue, size_t max, int64_t max_delay_ms, int64_t lease_ms, int64_t timeout_ms,
                            imgq_job **jobs, size_t *count, imgq_error *err)
{
    imgq_status status = check_take(queue, max, max_delay_ms, &lease_ms, jobs, count, err);
    if (status != IMGQ_OK)
        return status;
    const iq_deadline deadline = iq_deadline_after_ms(timeout_ms);
    iq_deadline patience = iq_deadline_min(deadline, iq_queue_deadline(queue));
    bool token = false;
    for (;;) {
        iq_take_report report = {.due_ms = -1};
        bool ready = true;
        if (iq_interrupt_is_set(&queue->interrupt))
            return iq_fail(err, IMGQ_E_CANCELLED, 0, "interrupted");
        status = max_delay_ms > 0 ? gather(queue, max, max_delay_ms, lease_ms, deadline, token, &report, &ready, err)
                                  : IMGQ_OK;
        if (status == IMGQ_OK && ready)
            status = iq_queue_take_now(queue, max, lease_ms, jobs, count, &report, err);
        if (status == IMGQ_OK && *count > 0)
            return IMGQ_OK;
        token = false;
        if (status != IMGQ_OK) {
            status = wait_after_failure(queue, status, patience, err);
            if (status != IMGQ_OK)
                return status;
            continue;
        }
        patience = iq_deadline_min(deadline, iq_queue_deadline(queue));
        if (report.left > 0 && !report.paused)
            continue; /* those looked at had expired: the next ones may not */
        if (iq_deadline_passed(deadline) && report.paused)
            return iq_fail(err, IMGQ_E_BUSY, 0, "deliveries of queue %s are paused", imgq_queue_name(queue));
        if (iq_deadline_passed(deadline))
            return iq_fail(err, IMGQ_E_TIMEOUT, 0, "no job waits in queue %s", imgq_queue_name(queue));
        status = wait_after_empty(queue, &report, deadline, &token, err);
        if (status != IMGQ_OK)
            return status;
    }
}
