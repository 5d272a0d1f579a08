/* One TAKE: jobs under a nonce that survives lost replies, and large payloads fetched behind it. */
#include "queue/job.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/log.h"
#include "queue/scripts.h"

#include <stdio.h>
#include <string.h>

enum {
    NS_PER_MS = 1000000,
    IMPORTS_MAX = 32, /* calls in one pipeline */
    IMPORT_BYTES = 512 * 1024,
    IMPORT_PRIORITY = 5
};

/* What one look into the queue works on. */
typedef struct look {
    iq_taker *taker;
    imgq_queue *queue;
    size_t max;
    int64_t lease_ms;
    int64_t asked_ns; /* just before the TAKE was sent: leases end no earlier on the server */
    iq_take_report *report;
    uint64_t in_list;              /* reference items that were not imported */
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
        it->in_list = left > 0 ? (uint64_t)left : 0;
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

static void note_length(imgq_job *job, size_t len)
{
    (void)iq_fail(&job->damage, IMGQ_E_CORRUPT, 0, "record with a payload of %zu bytes that should have %u", len,
                  (unsigned)job->head.payload_len);
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
        else if (job->payload_len > job->head.payload_len)
            note_length(job, job->payload_len);
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
    if (it->report->paused) /* nothing is imported then, but it waits */
        it->report->left += it->in_list;
    it->report->due_ms = due > 0 ? due : -1;
    return read_jobs(it, reply, err);
}

static bool is_cut(const imgq_job *job)
{
    return job->damage.status == IMGQ_OK && job->payload_len < job->head.payload_len;
}

/* The whole record must still be this delivery's: if not, the job was cancelled or deleted meanwhile. */
static void read_fetched(imgq_job *job, iq_reply *reply)
{
    iq_record_view view;
    const bool ours = reply->type == IQ_REPLY_TEXT &&
                      iq_record_decode(&view, reply->text, reply->len, NULL) == IMGQ_OK && view.head.state == 'A' &&
                      view.head.fence == job->head.fence;
    if (!ours || read_record(job, reply, reply, NULL) != IMGQ_OK)
        atomic_store_explicit(&job->standing, IMGQ_E_LOST, memory_order_relaxed);
    else if (job->payload_len != job->head.payload_len)
        note_length(job, job->payload_len);
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
        if (status == IMGQ_OK)
            read_fetched(cut[i], replies[i]);
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

/* Under the lock. Something kept the keeper from its work: this process slept, or Redis was away twice within the time
 * of one grace. A take would tick, and reap what a touch still saves. */
static bool is_behind(const iq_taker *taker)
{
    const int64_t now_ns = iq_clock_ns(), late_ns = 2 * (int64_t)IQ_KEEP_EVERY_MS * NS_PER_MS;
    if (taker->queue->options.keep_leases == 0)
        return false;
    for (const imgq_job *job = taker->first; job != NULL; job = job->next) {
        const int64_t renewed_ns = job->lease_end_ns - (int64_t)job->lease_ms * NS_PER_MS;
        if (renewed_ns + late_ns < now_ns && now_ns < job->renew_until_ns && imgq_job_standing(job) == IMGQ_OK)
            return true;
    }
    return false;
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
    *renew_first = (taker->renew_first && taker->held > 0) || is_behind(taker);
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
