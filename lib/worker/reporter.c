/* Probabilities and failures to Redis: all answers of a queue go out in one call, and so do its failures. */
#include "worker/reporter.h"

#include "base/alloc.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/log.h"
#include "queue/job.h"

enum { TOP_MAX = 100 };

struct iq_reporter {
    imgq_env *env;
    iq_batcher *batcher;
    const imgq_model *model;
    const imgq_session *session;
    iq_tally *tally;
    size_t class_count;
    /* One of each for every slot. */
    imgq_job **jobs;
    imgq_answer *answers;
    imgq_status *each;
    iq_failure *failures;
    imgq_prediction *top; /* TOP_MAX each */
    const char **labels;  /* TOP_MAX each */
};

static imgq_status allocate(iq_reporter *reporter, size_t n, imgq_error *err)
{
    imgq_env *env = reporter->env;
    reporter->jobs = iq_alloc_array(env, n, sizeof *reporter->jobs);
    reporter->answers = iq_alloc_array(env, n, sizeof *reporter->answers);
    reporter->each = iq_alloc_array(env, n, sizeof *reporter->each);
    reporter->failures = iq_alloc_array(env, n, sizeof *reporter->failures);
    reporter->top = iq_alloc_array(env, n * TOP_MAX, sizeof *reporter->top);
    reporter->labels = iq_alloc_array(env, n * TOP_MAX, sizeof *reporter->labels);
    if (reporter->jobs == NULL || reporter->answers == NULL || reporter->each == NULL || reporter->failures == NULL ||
        reporter->top == NULL || reporter->labels == NULL)
        return iq_fail(err, IMGQ_E_NOMEM, 0, "no memory for the answers of a batch of %zu", n);
    return IMGQ_OK;
}

imgq_status iq_reporter_create(imgq_env *env, iq_batcher *batcher, size_t capacity, const imgq_model *model,
                               const imgq_session *session, iq_tally *tally, iq_reporter **out, imgq_error *err)
{
    iq_reporter *reporter = iq_alloc_array(env, 1, sizeof *reporter);
    if (reporter == NULL)
        return iq_fail_nomem(err, sizeof *reporter);
    reporter->env = iq_env_hold(env);
    reporter->batcher = batcher;
    reporter->model = model;
    reporter->session = session;
    reporter->tally = tally;
    reporter->class_count = model != NULL ? imgq_model_class_count(model) : 0;
    const imgq_status status = allocate(reporter, capacity, err);
    if (status != IMGQ_OK) {
        iq_reporter_destroy(reporter);
        return status;
    }
    *out = reporter;
    return IMGQ_OK;
}

void iq_reporter_destroy(iq_reporter *reporter)
{
    if (reporter == NULL)
        return;
    imgq_env *env = reporter->env;
    iq_free(env, reporter->jobs);
    iq_free(env, reporter->answers);
    iq_free(env, reporter->each);
    iq_free(env, reporter->failures);
    iq_free(env, reporter->top);
    iq_free(env, reporter->labels);
    iq_free(env, reporter);
    imgq_env_destroy(env);
}

/* What failed for want of memory, or by our own fault, may go well elsewhere; everything else is the input's fault. */
static int failure_kind(imgq_status status)
{
    const bool ours = status == IMGQ_E_NOMEM || status == IMGQ_E_INTERNAL || status == IMGQ_E_IO;
    return ours ? IMGQ_FAIL_TRANSIENT : IMGQ_FAIL_PERMANENT;
}

static void set_reporting(iq_reporter *reporter, bool reporting)
{
    atomic_store_explicit(&reporter->tally->reporting, reporting, memory_order_relaxed);
}

/* One call for each queue that the jobs come from. Jobs of one queue stand together more often than not, so a simple
 * pass that sends equal neighbours is enough. */
static void report_failures(iq_reporter *reporter, size_t count)
{
    for (size_t from = 0, to; from < count; from = to) {
        imgq_queue *queue = reporter->failures[from].job->queue;
        for (to = from + 1; to < count && reporter->failures[to].job->queue == queue;)
            to++;
        imgq_error err = {0};
        for (size_t i = from; i < to; i++)
            iq_log(reporter->env, IMGQ_LOG_INFO, "worker", "job %s failed: %s", reporter->failures[i].job->id.text,
                   reporter->failures[i].why->message);
        set_reporting(reporter, true);
        const imgq_status status = iq_jobs_fail(reporter->failures + from, to - from, NULL, &err);
        set_reporting(reporter, false);
        if (status != IMGQ_OK)
            iq_log(reporter->env, IMGQ_LOG_WARNING, "worker", "failures of %zu jobs were not accepted: %s", to - from,
                   err.message);
    }
    atomic_fetch_add_explicit(&reporter->tally->failed, count, memory_order_relaxed);
}

static void fill_answer(iq_reporter *reporter, size_t at, const iq_slot *slot, const imgq_job *job, const float *probs,
                        size_t batch_size, double compute_ms)
{
    imgq_answer *answer = &reporter->answers[at];
    *answer = IMGQ_ANSWER_INIT;
    answer->batch = (uint32_t)batch_size;
    answer->compute_ms = compute_ms;
    answer->decode_ms = slot->decode_ms;
    answer->exif_orientation = slot->exif_orientation;
    answer->exif_applied = slot->exif_applied;
    answer->model = "none";
    if (reporter->model == NULL)
        return;
    imgq_prediction *top = reporter->top + at * TOP_MAX;
    const char **labels = reporter->labels + at * TOP_MAX;
    const size_t wanted = job->options.top_count < TOP_MAX ? job->options.top_count : TOP_MAX;
    answer->top_count = imgq_topk(probs, reporter->class_count, top, wanted);
    for (size_t i = 0; i < answer->top_count; i++)
        labels[i] = imgq_model_label(reporter->model, top[i].class_id);
    answer->top = top;
    answer->labels = labels;
    answer->model = imgq_model_name(reporter->model);
    answer->model_hash = imgq_model_hash(reporter->model);
    answer->profile = slot->profile;
    answer->engine = imgq_session_engine(reporter->session);
    answer->precision = imgq_session_precision(reporter->session);
}

static void note_answers(iq_reporter *reporter, size_t from, size_t to, imgq_status status, const imgq_error *why)
{
    size_t accepted = 0;
    for (size_t i = from; i < to; i++)
        accepted += reporter->each[i] == IMGQ_OK;
    atomic_fetch_add_explicit(&reporter->tally->done, accepted, memory_order_relaxed);
    atomic_fetch_add_explicit(&reporter->tally->failed, to - from - accepted, memory_order_relaxed);
    if (status != IMGQ_OK)
        iq_log(reporter->env, IMGQ_LOG_WARNING, "worker", "%zu of %zu answers were not accepted: %s",
               to - from - accepted, to - from, why->message);
}

static void report_answers(iq_reporter *reporter, size_t count)
{
    for (size_t from = 0, to; from < count; from = to) {
        imgq_queue *queue = reporter->jobs[from]->queue;
        for (to = from + 1; to < count && reporter->jobs[to]->queue == queue;)
            to++;
        imgq_error err = {0};
        set_reporting(reporter, true);
        const imgq_status status =
            imgq_jobs_done(reporter->jobs + from, reporter->answers + from, to - from, reporter->each + from, &err);
        set_reporting(reporter, false);
        note_answers(reporter, from, to, status, &err);
    }
}

/* Claims the batch's jobs: those that have an answer, and the others. */
static size_t sort_out(iq_reporter *reporter, const iq_batch *batch, size_t *failed)
{
    size_t answered = 0;
    *failed = 0;
    for (size_t i = 0; i < batch->used; i++) {
        const iq_slot *slot = batch->slots[i];
        imgq_job *job = iq_batcher_claim(reporter->batcher, batch->slots[i]);
        if (job == NULL)
            continue;
        if (slot->error.status != IMGQ_OK) {
            reporter->failures[(*failed)++] = (iq_failure){job, failure_kind(slot->error.status), &slot->error};
            continue;
        }
        reporter->jobs[answered] = job;
        fill_answer(reporter, answered++, slot, job, batch->probs + i * reporter->class_count, batch->used,
                    batch->compute_ms);
    }
    return answered;
}

static void report(iq_reporter *reporter, const iq_batch *batch)
{
    size_t failed = 0;
    const size_t answered = sort_out(reporter, batch, &failed);
    if (failed > 0)
        report_failures(reporter, failed);
    if (answered == 0)
        return;
    report_answers(reporter, answered);
    iq_log(reporter->env, IMGQ_LOG_INFO, "worker", "batch of %zu %s in %.0f ms", batch->used,
           reporter->model != NULL ? "classified" : "answered without a model", batch->compute_ms);
}

void *iq_reporter_main(void *user)
{
    iq_reporter *reporter = user;
    for (iq_batch *batch; (batch = iq_batcher_outcome(reporter->batcher)) != NULL;) {
        report(reporter, batch);
        iq_batcher_finish(reporter->batcher, batch);
    }
    return NULL;
}
