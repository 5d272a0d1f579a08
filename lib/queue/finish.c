/* How taken work ends: answered, failed, or given back. Reports are repeated until the lease has ended, so that an
 * answer outlives a restart of Redis. */
#include "queue/job.h"

#include "base/alloc.h"
#include "base/crypto.h"
#include "base/fail.h"
#include "base/log.h"
#include "queue/result.h"
#include "queue/scripts.h"

#include <stdio.h>
#include <string.h>

enum { NS_PER_MS = 1000000, CHUNK = 64, TEXT_MAX = 512, BUSY_DELAY_MS = 1000, DELAY_MAX_MS = 86400000 };

/* ---- common ---- */

static void count_refusal(imgq_status status, imgq_status *first, const imgq_error *why, imgq_error *err)
{
    if (status == IMGQ_OK || *first != IMGQ_OK)
        return;
    *first = status;
    if (err != NULL)
        *err = *why;
}

static void set_each(imgq_status *each, size_t count, imgq_status status)
{
    for (size_t i = 0; each != NULL && i < count; i++)
        each[i] = status;
}

/* Out of the taker's list, then gone. */
static void end_jobs(imgq_job *const *jobs, size_t count)
{
    if (count == 0)
        return;
    iq_taker *taker = jobs[0]->queue->taker;
    pthread_mutex_lock(&taker->lock);
    for (size_t i = 0; i < count; i++)
        iq_taker_remove(taker, jobs[i]);
    pthread_mutex_unlock(&taker->lock);
    for (size_t i = 0; i < count; i++)
        iq_job_free(jobs[i]);
}

/* How long a report is repeated: until the lease has ended, and longer by the grace that a server which was away gives
 * to every lease. One that is late already has the time of one call: nobody may have noticed. */
static iq_deadline report_deadline(imgq_job *const *jobs, size_t count)
{
    iq_taker *taker = jobs[0]->queue->taker;
    int64_t end_ns = 0;
    pthread_mutex_lock(&taker->lock);
    for (size_t i = 0; i < count; i++) {
        if (jobs[i]->lease_end_ns > end_ns)
            end_ns = jobs[i]->lease_end_ns;
    }
    pthread_mutex_unlock(&taker->lock);
    const int64_t graced_ns = end_ns + (int64_t)IQ_GRACE_MS * NS_PER_MS;
    const iq_deadline one_call = iq_queue_deadline(jobs[0]->queue);
    return graced_ns > one_call.at_ns ? (iq_deadline){graced_ns} : one_call;
}

static imgq_status standing_failure(const imgq_job *job, imgq_error *err)
{
    const imgq_status status = imgq_job_standing(job);
    switch (status) {
    case IMGQ_OK:
        return IMGQ_OK;
    case IMGQ_E_CANCELLED:
        return iq_fail(err, status, 0, "job %s was cancelled", job->id.text);
    case IMGQ_E_TIMEOUT:
        return iq_fail(err, status, 0, "job %s is past its deadline", job->id.text);
    default:
        return iq_fail(err, IMGQ_E_LOST, 0, "job %s is not ours any more: its lease was lost", job->id.text);
    }
}

enum { CODE_CANCELLED = 4, CODE_STALE = 0, CODE_GONE = -1 }; /* what done and fail answer beside success */

static imgq_status code_failure(const imgq_job *job, const iq_reply *reply, imgq_error *err)
{
    int64_t code = CODE_STALE;
    if (!iq_reply_int(reply, &code))
        return iq_fail(err, IMGQ_E_PROTOCOL, 0, "report of job %s: a reply of another form", job->id.text);
    if (code == CODE_CANCELLED)
        return iq_fail(err, IMGQ_E_CANCELLED, 0, "job %s was cancelled", job->id.text);
    if (code == CODE_STALE || code == CODE_GONE)
        return iq_fail(err, IMGQ_E_LOST, 0, "job %s is not ours any more: its lease was lost", job->id.text);
    return IMGQ_OK;
}

/* Sends one script call about jobs 0..count-1. @param why out, count of them: how it went for each */
static void report(imgq_job *const *jobs, size_t count, const iq_commands *commands, const iq_request *request,
                   const char *what, imgq_error *why)
{
    iq_taker *taker = jobs[0]->queue->taker;
    iq_reply *reply = NULL;
    imgq_error all = {0};
    all.status = iq_queue_call(jobs[0]->queue, commands, request, what, &reply, &all);
    if (all.status == IMGQ_E_TIMEOUT)
        (void)iq_fail(&all, IMGQ_E_UNAVAILABLE, 0, "%s: Redis stayed away until the lease ended", what);
    for (size_t i = 0; i < count; i++) {
        why[i] = all;
        if (all.status == IMGQ_OK)
            why[i].status = code_failure(jobs[i], iq_reply_at(reply, i), &why[i]);
    }
    iq_reply_free(reply);
    if (all.status == IMGQ_OK)
        return;
    pthread_mutex_lock(&taker->lock);
    taker->renew_first = true;
    pthread_mutex_unlock(&taker->lock);
}

static void add_fence(iq_commands *commands, const imgq_job *job)
{
    iq_commands_text(commands, job->id.text);
    iq_commands_uint(commands, job->head.fence);
}

static void add_identity(iq_commands *commands, const iq_taker *taker)
{
    iq_commands_bytes(commands, taker->identity, taker->identity_len);
}

/* ---- failing and giving back ---- */

/* base x factor^fails, capped, full jitter: those that failed together do not come back together. */
static uint32_t backoff_ms(const imgq_job *job)
{
    const iq_job_options *o = &job->options;
    double ms = o->backoff_base_ms;
    for (unsigned i = 0; i < job->head.fails && ms < o->backoff_cap_ms; i++)
        ms = ms * o->backoff_factor_percent / 100.0;
    if (ms > o->backoff_cap_ms)
        ms = o->backoff_cap_ms;
    if (ms > DELAY_MAX_MS)
        ms = DELAY_MAX_MS;
    uint32_t random = 0;
    iq_random(&random, sizeof random);
    return random % ((uint32_t)ms + 1);
}

static void add_failure(iq_commands *commands, const iq_failure *failure)
{
    const imgq_error *why = failure->why;
    static const char letters[] = {[IMGQ_FAIL_TRANSIENT] = 'T', [IMGQ_FAIL_PERMANENT] = 'P', [IMGQ_FAIL_BUSY] = 'B'};
    const uint32_t delay_ms = failure->kind == IMGQ_FAIL_TRANSIENT ? backoff_ms(failure->job)
                              : failure->kind == IMGQ_FAIL_BUSY    ? BUSY_DELAY_MS
                                                                   : 0;
    const size_t len = strlen(why->message);
    add_fence(commands, failure->job);
    iq_commands_bytes(commands, &letters[failure->kind], 1);
    iq_commands_uint(commands, delay_ms);
    iq_commands_int(commands, why->status < 0 ? -why->status : 0);
    iq_commands_bytes(commands, why->message, len < TEXT_MAX ? len : TEXT_MAX);
}

static imgq_status fail_chunk(const iq_failure *failures, size_t count, imgq_status *each, imgq_error *err)
{
    imgq_queue *queue = failures[0].job->queue;
    imgq_job *all[CHUNK], *ours[CHUNK];
    size_t at[CHUNK], asked = 0;
    imgq_status first = IMGQ_OK;
    imgq_error told[CHUNK];
    iq_commands commands;
    iq_commands_init(&commands, queue->env);
    iq_queue_add_script(queue, &commands, &iq_lua_fail);
    add_identity(&commands, queue->taker);
    for (size_t i = 0; i < count; i++) {
        imgq_error why = {0};
        all[i] = failures[i].job;
        const imgq_status status = standing_failure(failures[i].job, &why);
        if (each != NULL)
            each[i] = status;
        count_refusal(status, &first, &why, err);
        if (status != IMGQ_OK)
            continue;
        add_failure(&commands, &failures[i]);
        at[asked] = i;
        ours[asked++] = failures[i].job;
    }
    if (asked > 0) {
        const iq_request request = {
            .line = IQ_LINE_COMMAND, .flags = IQ_CALL_REPEAT_BUSY, .deadline = report_deadline(ours, asked)};
        report(ours, asked, &commands, &request, "report a failure", told);
    }
    for (size_t i = 0; i < asked; i++) {
        count_refusal(told[i].status, &first, &told[i], err);
        if (each != NULL)
            each[at[i]] = told[i].status;
    }
    iq_commands_release(&commands);
    end_jobs(all, count);
    return first;
}

imgq_status iq_jobs_fail(const iq_failure *failures, size_t count, imgq_status *each, imgq_error *err)
{
    imgq_status first = IMGQ_OK;
    for (size_t from = 0; from < count; from += CHUNK) {
        imgq_error why = {0};
        const size_t n = count - from < CHUNK ? count - from : CHUNK;
        count_refusal(fail_chunk(failures + from, n, each != NULL ? each + from : NULL, &why), &first, &why, err);
    }
    return first;
}

imgq_status imgq_job_fail(imgq_job *job, const imgq_error *why, int kind, imgq_error *err)
{
    static const imgq_error unsaid = {.status = IMGQ_E_INTERNAL, .message = "the worker did not say why"};
    if (job == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "fail without a job");
    if (kind != IMGQ_FAIL_TRANSIENT && kind != IMGQ_FAIL_PERMANENT && kind != IMGQ_FAIL_BUSY)
        return iq_fail(err, IMGQ_E_INVALID, 0, "fail job %s in a way %d that is none", job->id.text, kind);
    const iq_failure failure = {job, kind, why != NULL ? why : &unsaid};
    return iq_jobs_fail(&failure, 1, NULL, err);
}

static void release_chunk(imgq_job *const *jobs, size_t count, iq_deadline deadline)
{
    imgq_queue *queue = jobs[0]->queue;
    imgq_job *ours[CHUNK];
    imgq_error told[CHUNK];
    size_t asked = 0;
    iq_commands commands;
    iq_commands_init(&commands, queue->env);
    iq_queue_add_script(queue, &commands, &iq_lua_fail);
    add_identity(&commands, queue->taker);
    for (size_t i = 0; i < count; i++) {
        if (imgq_job_standing(jobs[i]) != IMGQ_OK)
            continue;
        add_fence(&commands, jobs[i]);
        iq_commands_text(&commands, "R");
        iq_commands_uint(&commands, 0);
        iq_commands_uint(&commands, 0);
        iq_commands_text(&commands, "");
        ours[asked++] = jobs[i];
    }
    if (asked > 0) {
        const iq_request request = {.line = IQ_LINE_COMMAND, .deadline = deadline};
        report(ours, asked, &commands, &request, "give back", told);
        const imgq_status status = told[0].status;
        if (status != IMGQ_OK && status != IMGQ_E_LOST && status != IMGQ_E_CANCELLED)
            iq_log(queue->env, IMGQ_LOG_WARNING, "queue", "%zu jobs could not be given back, their leases will end: %s",
                   asked, told[0].message);
    }
    iq_commands_release(&commands);
    end_jobs(jobs, count);
}

void iq_jobs_release_before(imgq_job *const *jobs, size_t count, iq_deadline deadline)
{
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && to - from < CHUNK && jobs[to]->queue == jobs[from]->queue;)
            to++;
        release_chunk(jobs + from, to - from, deadline);
    }
}

void imgq_jobs_release(imgq_job *const *jobs, size_t count)
{
    if (jobs != NULL && count > 0)
        iq_jobs_release_before(jobs, count, iq_queue_deadline(jobs[0]->queue));
}

void imgq_job_release(imgq_job *job)
{
    if (job != NULL)
        imgq_jobs_release(&job, 1);
}

/* ---- answering ---- */

/* One call of done: jobs, and the text of each answer. */
typedef struct answers {
    imgq_queue *queue;
    iq_deadline deadline;
    size_t count, asked;
    imgq_job *jobs[CHUNK]; /* all of the chunk */
    iq_buf native[CHUNK];  /* result of each; empty: its job is not reported as done */
    iq_buf legacy[CHUNK];  /* the same as reference producers read it; empty unless imported */
    imgq_status status[CHUNK];
    imgq_error why[CHUNK];
} answers;

static void write_answer(answers *it, size_t i, const imgq_answer *answer)
{
    imgq_env *env = it->queue->env;
    const imgq_job *job = it->jobs[i];
    const double waited_ms = (double)job->taken_unix_ms - (double)job->head.submitted_ms;
    const iq_result_origin origin = {
        .worker = it->queue->worker_name, .attempt = job->head.deliveries, .queue_ms = waited_ms > 0 ? waited_ms : 0};
    it->status[i] = standing_failure(job, &it->why[i]);
    if (it->status[i] == IMGQ_OK)
        it->status[i] = iq_result_write(env, &it->native[i], answer, &origin, &it->why[i]);
    if (it->status[i] == IMGQ_OK && job->legacy_id != NULL)
        it->status[i] = iq_reference_answer_write(env, &it->legacy[i], answer, &it->why[i]);
}

/* Reference producers find their answer under the uuid. It must be there before the job is done: a crash in between
 * runs the job once more, which writes the same bytes. */
static void answer_reference(answers *it)
{
    imgq_queue *queue = it->queue;
    iq_commands commands;
    iq_reply *replies[CHUNK] = {NULL};
    size_t at[CHUNK], count = 0;
    iq_commands_init(&commands, queue->env);
    for (size_t i = 0; i < it->count; i++) {
        if (it->status[i] != IMGQ_OK || it->jobs[i]->legacy_id == NULL)
            continue;
        iq_commands_add_script(&commands, &iq_lua_reference, 1);
        iq_commands_text(&commands, it->jobs[i]->legacy_id);
        iq_commands_bytes(&commands, it->legacy[i].data, it->legacy[i].len);
        iq_commands_int(&commands, (int64_t)IQ_LEGACY_RESULT_S * 1000);
        at[count++] = i;
    }
    imgq_error why = {0};
    const iq_request request = {.line = IQ_LINE_COMMAND, .flags = IQ_CALL_REPEAT_BUSY, .deadline = it->deadline};
    const imgq_status sent = count > 0 ? iq_queue_run(queue, &commands, &request, replies, &why) : IMGQ_OK;
    for (size_t k = 0; k < count; k++) {
        const size_t i = at[k];
        it->status[i] = sent;
        it->why[i] = why;
        if (sent == IMGQ_OK)
            it->status[i] = iq_queue_reply_check(replies[k], "answer a reference producer", &it->why[i]);
    }
    iq_queue_free_replies(replies, count);
    iq_commands_release(&commands);
}

static void send_answers(answers *it)
{
    imgq_queue *queue = it->queue;
    imgq_job *ours[CHUNK];
    imgq_error told[CHUNK];
    size_t at[CHUNK], count = 0;
    iq_commands commands;
    iq_commands_init(&commands, queue->env);
    iq_queue_add_script(queue, &commands, &iq_lua_done);
    add_identity(&commands, queue->taker);
    iq_commands_uint(&commands, queue->options.result_ttl_ms);
    iq_commands_text(&commands, "");
    for (size_t i = 0; i < it->count; i++) {
        if (it->status[i] != IMGQ_OK)
            continue;
        add_fence(&commands, it->jobs[i]);
        iq_commands_bytes(&commands, it->native[i].data, it->native[i].len);
        at[count] = i;
        ours[count++] = it->jobs[i];
    }
    if (count > 0) {
        const iq_request request = {.line = IQ_LINE_COMMAND, .flags = IQ_CALL_REPEAT_BUSY, .deadline = it->deadline};
        report(ours, count, &commands, &request, "report answers", told);
    }
    for (size_t k = 0; k < count; k++) {
        it->status[at[k]] = told[k].status;
        it->why[at[k]] = told[k];
    }
    iq_commands_release(&commands);
}

/* An answer that cannot be told is a failure of ours: another worker may do better. Those jobs end there; the others
 * end here, whatever became of their report. */
static void end_answered(answers *it)
{
    iq_failure failures[CHUNK];
    imgq_job *others[CHUNK];
    size_t failed = 0, ended = 0;
    for (size_t i = 0; i < it->count; i++) {
        const imgq_status status = it->status[i];
        if (status == IMGQ_E_INVALID || status == IMGQ_E_LIMIT || status == IMGQ_E_NOMEM || status == IMGQ_E_DENIED)
            failures[failed++] = (iq_failure){it->jobs[i], IMGQ_FAIL_TRANSIENT, &it->why[i]};
        else
            others[ended++] = it->jobs[i];
    }
    end_jobs(others, ended);
    if (failed > 0)
        (void)iq_jobs_fail(failures, failed, NULL, NULL); /* the caller is told why they were not answered */
}

static imgq_status done_chunk(imgq_job *const *jobs, const imgq_answer *given, size_t count, imgq_status *each,
                              imgq_error *err)
{
    imgq_queue *queue = jobs[0]->queue;
    imgq_status first = IMGQ_OK;
    answers *it = iq_alloc_array(queue->env, 1, sizeof *it);
    if (it == NULL) {
        iq_jobs_release_before(jobs, count, iq_queue_deadline(queue));
        set_each(each, count, IMGQ_E_NOMEM);
        return iq_fail_nomem(err, sizeof *it);
    }
    it->queue = queue;
    it->count = count;
    it->deadline = report_deadline(jobs, count);
    for (size_t i = 0; i < count; i++) {
        it->jobs[i] = jobs[i];
        write_answer(it, i, &given[i]);
    }
    answer_reference(it);
    send_answers(it);
    end_answered(it);
    for (size_t i = 0; i < count; i++) {
        if (each != NULL)
            each[i] = it->status[i];
        count_refusal(it->status[i], &first, &it->why[i], err);
        iq_buf_release(queue->env, &it->native[i]);
        iq_buf_release(queue->env, &it->legacy[i]);
    }
    iq_free(queue->env, it);
    return first;
}

imgq_status imgq_jobs_done(imgq_job *const *jobs, const imgq_answer *given, size_t count, imgq_status *each,
                           imgq_error *err)
{
    imgq_status first = IMGQ_OK;
    if (jobs == NULL || given == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "done without jobs or answers");
    for (size_t i = 1; i < count; i++) {
        if (jobs[i]->queue != jobs[0]->queue)
            return iq_fail(err, IMGQ_E_INVALID, 0, "done for jobs of several queues in one call");
    }
    for (size_t from = 0; from < count; from += CHUNK) {
        imgq_error why = {0};
        const size_t n = count - from < CHUNK ? count - from : CHUNK;
        count_refusal(done_chunk(jobs + from, given + from, n, each != NULL ? each + from : NULL, &why), &first, &why,
                      err);
    }
    return first;
}

imgq_status imgq_job_done(imgq_job *job, const imgq_answer *answer, imgq_error *err)
{
    if (job == NULL || answer == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "done without a job or an answer");
    return imgq_jobs_done(&job, answer, 1, NULL, err);
}
