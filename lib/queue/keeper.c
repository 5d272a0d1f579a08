/* Renewing leases: a thread of the handle that touches what is held every two seconds on a connection of its own, so
 * that neither a long forward pass nor a large payload lets a lease end. */
#include "queue/job.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/log.h"
#include "base/pool.h"
#include "queue/scripts.h"

#include <string.h>

enum { NS_PER_MS = 1000000, NO_PROGRESS = 255, RETRY_MS = 300 };

/* What a touch is about: copies, since the jobs may end meanwhile. */
typedef struct touched {
    size_t count;
    uint32_t lease_ms;
    imgq_id ids[IQ_CALL_MAX_JOBS];
    uint64_t fences[IQ_CALL_MAX_JOBS];
} touched;

/* The next page of jobs with one lease length, in the list's order, past `skip`. A job over its exec limit is no longer
 * renewed: if its worker hangs, others get it when the lease ends. */
static size_t collect(iq_taker *taker, size_t skip, touched *page)
{
    size_t seen = 0;
    const int64_t now_ns = iq_clock_ns();
    page->count = 0;
    pthread_mutex_lock(&taker->lock);
    for (imgq_job *job = taker->first; job != NULL && page->count < IQ_CALL_MAX_JOBS; job = job->next) {
        if (seen++ < skip)
            continue;
        if (now_ns >= job->renew_until_ns || imgq_job_standing(job) != IMGQ_OK)
            continue;
        if (page->count > 0 && job->lease_ms != page->lease_ms) {
            seen--;
            break;
        }
        page->lease_ms = job->lease_ms;
        page->ids[page->count] = job->id;
        page->fences[page->count++] = job->head.fence;
    }
    pthread_mutex_unlock(&taker->lock);
    return seen;
}

enum { TOUCH_RENEWED = 1, TOUCH_LOST = 0, TOUCH_CANCELLED = 2, TOUCH_EXPIRED = 3 };

static imgq_status standing_of(int64_t code)
{
    switch (code) {
    case TOUCH_RENEWED:
        return IMGQ_OK;
    case TOUCH_CANCELLED:
        return IMGQ_E_CANCELLED;
    case TOUCH_EXPIRED:
        return IMGQ_E_TIMEOUT;
    default:
        return IMGQ_E_LOST;
    }
}

static imgq_job *find_held(const iq_taker *taker, const char *id, uint64_t fence)
{
    for (imgq_job *job = taker->first; job != NULL; job = job->next) {
        if (job->head.fence == fence && strcmp(job->id.text, id) == 0)
            return job;
    }
    return NULL;
}

static void learn(iq_taker *taker, const touched *page, const iq_reply *reply, int64_t asked_ns)
{
    pthread_mutex_lock(&taker->lock);
    for (size_t i = 0; i < page->count; i++) {
        int64_t code = TOUCH_LOST;
        imgq_job *job = find_held(taker, page->ids[i].text, page->fences[i]);
        if (job == NULL || !iq_reply_int(iq_reply_at(reply, i), &code))
            continue;
        if (code == TOUCH_RENEWED)
            job->lease_end_ns = asked_ns + (int64_t)page->lease_ms * NS_PER_MS;
        else
            atomic_store_explicit(&job->standing, standing_of(code), memory_order_release);
    }
    taker->ticked_ns = iq_clock_ns();
    pthread_mutex_unlock(&taker->lock);
}

static imgq_status touch_page(iq_taker *taker, const touched *page, const char *info, const iq_request *request,
                              imgq_error *err)
{
    imgq_queue *queue = taker->queue;
    iq_commands commands;
    iq_reply *reply = NULL;
    iq_commands_init(&commands, queue->env);
    iq_queue_add_script(queue, &commands, &iq_lua_touch);
    iq_commands_bytes(&commands, taker->identity, taker->identity_len);
    iq_commands_text(&commands, info != NULL ? info : "");
    iq_commands_uint(&commands, page->count > 0 ? page->lease_ms : IQ_LEASE_DEFAULT_MS);
    for (size_t i = 0; i < page->count; i++) {
        iq_commands_text(&commands, page->ids[i].text);
        iq_commands_uint(&commands, page->fences[i]);
        iq_commands_uint(&commands, NO_PROGRESS);
    }
    const int64_t asked_ns = iq_clock_ns();
    const imgq_status status = iq_queue_call(queue, &commands, request, "renew leases", &reply, err);
    if (status == IMGQ_OK)
        learn(taker, page, reply, asked_ns);
    iq_reply_free(reply);
    iq_commands_release(&commands);
    return status;
}

imgq_status iq_taker_touch(iq_taker *taker, iq_line line, iq_deadline deadline, imgq_error *err)
{
    const iq_request request = {.line = line, .flags = IQ_CALL_ONCE, .deadline = deadline};
    imgq_status status = IMGQ_OK;
    char *info = iq_taker_copy_info(taker);
    touched *page = iq_alloc_array(taker->queue->env, 1, sizeof *page);
    if (page == NULL)
        status = iq_fail_nomem(err, sizeof *page);
    size_t seen = 0;
    for (bool more = true; status == IMGQ_OK && more;) {
        const size_t before = seen;
        seen = collect(taker, seen, page);
        if (page->count == 0 && before > 0)
            break; /* the rest needs none */
        status = touch_page(taker, page, info, &request, err);
        more = page->count > 0 && seen > before;
    }
    pthread_mutex_lock(&taker->lock);
    taker->renew_first = status != IMGQ_OK;
    pthread_mutex_unlock(&taker->lock);
    iq_free(taker->queue->env, page);
    iq_free(taker->queue->env, info);
    return status;
}

imgq_status imgq_job_renew(imgq_job *job, uint32_t lease_ms, imgq_error *err)
{
    if (job == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "renew without a job");
    if (lease_ms < IQ_LEASE_MIN_MS || lease_ms > IQ_LEASE_MAX_MS)
        return iq_fail(err, IMGQ_E_INVALID, 0, "renew with a lease of %u ms, it must be %d to %d", (unsigned)lease_ms,
                       IQ_LEASE_MIN_MS, IQ_LEASE_MAX_MS);
    iq_taker *taker = job->queue->taker;
    const iq_request request = {.line = IQ_LINE_COMMAND, .deadline = iq_queue_deadline(job->queue)};
    touched *page = iq_alloc_array(job->queue->env, 1, sizeof *page);
    if (page == NULL)
        return iq_fail_nomem(err, sizeof *page);
    pthread_mutex_lock(&taker->lock);
    job->lease_ms = lease_ms;
    pthread_mutex_unlock(&taker->lock);
    page->count = 1;
    page->lease_ms = lease_ms;
    page->ids[0] = job->id;
    page->fences[0] = job->head.fence;
    imgq_status status = touch_page(taker, page, NULL, &request, err);
    iq_free(job->queue->env, page);
    if (status == IMGQ_E_TIMEOUT) /* that word means the job's own deadline here */
        status = iq_fail(err, IMGQ_E_UNAVAILABLE, 0, "renew job %s: no answer in time", job->id.text);
    if (status != IMGQ_OK)
        return status;
    status = imgq_job_standing(job);
    return status == IMGQ_OK ? IMGQ_OK : iq_fail(err, status, 0, "job %s is not ours any more", job->id.text);
}

/* ---- the thread ---- */

/* When the lease that was renewed longest ago was renewed; INT64_MAX: none is to be renewed. */
static int64_t oldest_renewal_ns(const iq_taker *taker, int64_t now_ns)
{
    int64_t oldest_ns = INT64_MAX;
    for (const imgq_job *job = taker->first; job != NULL; job = job->next) {
        const int64_t renewed_ns = job->lease_end_ns - (int64_t)job->lease_ms * NS_PER_MS;
        if (now_ns < job->renew_until_ns && imgq_job_standing(job) == IMGQ_OK && renewed_ns < oldest_ns)
            oldest_ns = renewed_ns;
    }
    return oldest_ns;
}

/* When the next touch is due; INT64_MAX: not before something changes. A taker that looks into its queue by itself
 * needs no tick of ours, and one that never took owes none. */
static int64_t due_ns(const iq_taker *taker, int64_t now_ns, int64_t not_before_ns)
{
    int64_t at_ns = oldest_renewal_ns(taker, now_ns);
    if (at_ns != INT64_MAX)
        at_ns += (int64_t)IQ_KEEP_EVERY_MS * NS_PER_MS;
    else if (taker->ticked_ns != 0)
        at_ns = taker->ticked_ns + (int64_t)IQ_TICK_EVERY_MS * NS_PER_MS;
    return at_ns > not_before_ns ? at_ns : not_before_ns;
}

/* Sleeps until a touch is due. @return false: the thread is to end */
static bool wait_until_due(iq_taker *taker, int64_t not_before_ns)
{
    pthread_mutex_lock(&taker->lock);
    while (!taker->keeper_stop) {
        const int64_t now_ns = iq_clock_ns();
        const int64_t at_ns = due_ns(taker, now_ns, not_before_ns);
        if (at_ns <= now_ns)
            break;
        const struct timespec until = {at_ns / 1000000000, at_ns % 1000000000};
        if (at_ns == INT64_MAX)
            pthread_cond_wait(&taker->changed, &taker->lock);
        else
            (void)pthread_cond_timedwait(&taker->changed, &taker->lock, &until);
    }
    const bool go_on = !taker->keeper_stop;
    pthread_mutex_unlock(&taker->lock);
    return go_on;
}

static void *keep(void *user)
{
    iq_taker *taker = user;
    bool failing = false;
    for (int64_t not_before_ns = 0; wait_until_due(taker, not_before_ns);) {
        imgq_error why = {0};
        const imgq_status status = iq_taker_touch(taker, IQ_LINE_KEEPER, iq_queue_deadline(taker->queue), &why);
        if (status != IMGQ_OK && !failing)
            iq_log(taker->queue->env, IMGQ_LOG_DEBUG, "queue", "leases of queue %s are not renewed: %s",
                   imgq_queue_name(taker->queue), why.message);
        failing = status != IMGQ_OK;
        not_before_ns = iq_clock_ns() + (int64_t)RETRY_MS * NS_PER_MS;
    }
    return NULL;
}

imgq_status iq_keeper_start(iq_taker *taker, imgq_error *err)
{
    const int failed = iq_thread_start(&taker->keeper, "imgq-keeper", keep, taker);
    if (failed != 0)
        return iq_fail(err, IMGQ_E_NOMEM, failed, "cannot start the thread that renews leases");
    pthread_mutex_lock(&taker->lock);
    taker->keeper_runs = true;
    pthread_mutex_unlock(&taker->lock);
    return IMGQ_OK;
}

void iq_keeper_stop(iq_taker *taker)
{
    pthread_mutex_lock(&taker->lock);
    taker->keeper_stop = true;
    const bool runs = taker->keeper_runs;
    pthread_cond_broadcast(&taker->changed);
    pthread_mutex_unlock(&taker->lock);
    if (runs)
        (void)pthread_join(taker->keeper, NULL);
    taker->keeper_runs = false;
}
