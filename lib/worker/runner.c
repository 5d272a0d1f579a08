/* A closed batch to answers. Bad inputs are told first, then the good ones run together, then all answers of a queue go
 * out in one call. */
#include "worker/runner.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/log.h"
#include "queue/job.h"

#include <string.h>

enum { TOP_MAX = 100 };

struct iq_runner {
    imgq_env *env;
    iq_batcher *batcher;
    const imgq_model *model;
    imgq_session *session;
    iq_tally *tally;
    size_t capacity, input_count, class_count;
    /* One of each for every slot. */
    float *probs;
    iq_slot **slots; /* those that run, in the tensor's order */
    imgq_job **jobs;
    imgq_answer *answers;
    imgq_status *each;
    iq_failure *failures;
    imgq_prediction *top; /* TOP_MAX each */
    const char **labels;  /* TOP_MAX each */
};

static imgq_status allocate(iq_runner *runner, imgq_error *err)
{
    imgq_env *env = runner->env;
    const size_t n = runner->capacity;
    const size_t classes = runner->class_count > 0 ? runner->class_count : 1;
    runner->probs = iq_alloc_array(env, n * classes, sizeof *runner->probs);
    runner->slots = iq_alloc_array(env, n, sizeof *runner->slots);
    runner->jobs = iq_alloc_array(env, n, sizeof *runner->jobs);
    runner->answers = iq_alloc_array(env, n, sizeof *runner->answers);
    runner->each = iq_alloc_array(env, n, sizeof *runner->each);
    runner->failures = iq_alloc_array(env, n, sizeof *runner->failures);
    runner->top = iq_alloc_array(env, n * TOP_MAX, sizeof *runner->top);
    runner->labels = iq_alloc_array(env, n * TOP_MAX, sizeof *runner->labels);
    if (runner->probs == NULL || runner->slots == NULL || runner->jobs == NULL || runner->answers == NULL ||
        runner->each == NULL || runner->failures == NULL || runner->top == NULL || runner->labels == NULL)
        return iq_fail(err, IMGQ_E_NOMEM, 0, "no memory for the answers of a batch of %zu", n);
    return IMGQ_OK;
}

imgq_status iq_runner_create(imgq_env *env, iq_batcher *batcher, size_t capacity, size_t input_count,
                             const imgq_model *model, imgq_session *session, iq_tally *tally, iq_runner **out,
                             imgq_error *err)
{
    iq_runner *runner = iq_alloc_array(env, 1, sizeof *runner);
    if (runner == NULL)
        return iq_fail_nomem(err, sizeof *runner);
    runner->env = iq_env_hold(env);
    runner->batcher = batcher;
    runner->model = model;
    runner->session = session;
    runner->tally = tally;
    runner->capacity = capacity;
    runner->input_count = input_count;
    runner->class_count = model != NULL ? imgq_model_class_count(model) : 0;
    const imgq_status status = allocate(runner, err);
    if (status != IMGQ_OK) {
        iq_runner_destroy(runner);
        return status;
    }
    *out = runner;
    return IMGQ_OK;
}

void iq_runner_destroy(iq_runner *runner)
{
    if (runner == NULL)
        return;
    imgq_env *env = runner->env;
    iq_free(env, runner->probs);
    iq_free(env, runner->slots);
    iq_free(env, runner->jobs);
    iq_free(env, runner->answers);
    iq_free(env, runner->each);
    iq_free(env, runner->failures);
    iq_free(env, runner->top);
    iq_free(env, runner->labels);
    iq_free(env, runner);
    imgq_env_destroy(env);
}

/* What failed for want of memory, or by our own fault, may go well elsewhere; everything else is the input's fault. */
static int failure_kind(imgq_status status)
{
    const bool ours = status == IMGQ_E_NOMEM || status == IMGQ_E_INTERNAL || status == IMGQ_E_IO;
    return ours ? IMGQ_FAIL_TRANSIENT : IMGQ_FAIL_PERMANENT;
}

static void set_reporting(iq_runner *runner, bool reporting)
{
    atomic_store_explicit(&runner->tally->reporting, reporting, memory_order_relaxed);
}

/* One call for each queue that the jobs come from. Jobs of one queue stand together more often than not, so a simple
 * pass that sends equal neighbours is enough. */
static void report_failures(iq_runner *runner, size_t count)
{
    for (size_t from = 0, to; from < count; from = to) {
        imgq_queue *queue = runner->failures[from].job->queue;
        for (to = from + 1; to < count && runner->failures[to].job->queue == queue;)
            to++;
        imgq_error err = {0};
        for (size_t i = from; i < to; i++)
            iq_log(runner->env, IMGQ_LOG_INFO, "worker", "job %s failed: %s", runner->failures[i].job->id.text,
                   runner->failures[i].why->message);
        set_reporting(runner, true);
        const imgq_status status = iq_jobs_fail(runner->failures + from, to - from, NULL, &err);
        set_reporting(runner, false);
        if (status != IMGQ_OK)
            iq_log(runner->env, IMGQ_LOG_WARNING, "worker", "failures of %zu jobs were not accepted: %s", to - from,
                   err.message);
    }
    atomic_fetch_add_explicit(&runner->tally->failed, count, memory_order_relaxed);
}

/* Sorts the batch: bad inputs are reported, lost jobs dropped, the others' inputs moved together.
 * @return how many run */
static size_t sort_out(iq_runner *runner, iq_batch *batch)
{
    size_t live = 0, failed = 0;
    for (size_t i = 0; i < batch->used; i++) {
        iq_slot *slot = &batch->slots[i];
        if (slot->error.status != IMGQ_OK) {
            imgq_job *job = iq_batcher_claim(runner->batcher, slot);
            if (job != NULL)
                runner->failures[failed++] = (iq_failure){job, failure_kind(slot->error.status), &slot->error};
        } else if (iq_batcher_standing(runner->batcher, slot) != IMGQ_OK) {
            imgq_job_release(iq_batcher_claim(runner->batcher, slot)); /* not ours any more: only forgotten */
        } else {
            float *place = batch->input != NULL ? batch->input + live * runner->input_count : NULL;
            if (place != slot->input)
                memcpy(place, slot->input, runner->input_count * sizeof *place);
            runner->slots[live++] = slot;
        }
    }
    if (failed > 0)
        report_failures(runner, failed);
    return live;
}

static void fail_all(iq_runner *runner, size_t live, const imgq_error *why)
{
    size_t failed = 0;
    for (size_t i = 0; i < live; i++) {
        imgq_job *job = iq_batcher_claim(runner->batcher, runner->slots[i]);
        if (job != NULL)
            runner->failures[failed++] = (iq_failure){job, IMGQ_FAIL_TRANSIENT, why};
    }
    if (failed > 0)
        report_failures(runner, failed);
}

static void fill_answer(iq_runner *runner, size_t at, const iq_slot *slot, const imgq_job *job, const float *probs,
                        size_t batch_size, double compute_ms)
{
    imgq_answer *answer = &runner->answers[at];
    *answer = IMGQ_ANSWER_INIT;
    answer->batch = (uint32_t)batch_size;
    answer->compute_ms = compute_ms;
    answer->decode_ms = slot->decode_ms;
    answer->exif_orientation = slot->exif_orientation;
    answer->exif_applied = slot->exif_applied;
    answer->model = "none";
    if (runner->model == NULL)
        return;
    imgq_prediction *top = runner->top + at * TOP_MAX;
    const char **labels = runner->labels + at * TOP_MAX;
    const size_t wanted = job->options.top_count < TOP_MAX ? job->options.top_count : TOP_MAX;
    answer->top_count = imgq_topk(probs, runner->class_count, top, wanted);
    for (size_t i = 0; i < answer->top_count; i++)
        labels[i] = imgq_model_label(runner->model, top[i].class_id);
    answer->top = top;
    answer->labels = labels;
    answer->model = imgq_model_name(runner->model);
    answer->model_hash = imgq_model_hash(runner->model);
    answer->profile = slot->profile;
    answer->engine = imgq_session_engine(runner->session);
    answer->precision = imgq_session_precision(runner->session);
}

static void note_answers(iq_runner *runner, size_t from, size_t to, imgq_status status, const imgq_error *why)
{
    size_t accepted = 0;
    for (size_t i = from; i < to; i++)
        accepted += runner->each[i] == IMGQ_OK;
    atomic_fetch_add_explicit(&runner->tally->done, accepted, memory_order_relaxed);
    atomic_fetch_add_explicit(&runner->tally->failed, to - from - accepted, memory_order_relaxed);
    if (status != IMGQ_OK)
        iq_log(runner->env, IMGQ_LOG_WARNING, "worker", "%zu of %zu answers were not accepted: %s",
               to - from - accepted, to - from, why->message);
}

static void report_answers(iq_runner *runner, size_t count)
{
    for (size_t from = 0, to; from < count; from = to) {
        imgq_queue *queue = runner->jobs[from]->queue;
        for (to = from + 1; to < count && runner->jobs[to]->queue == queue;)
            to++;
        imgq_error err = {0};
        set_reporting(runner, true);
        const imgq_status status =
            imgq_jobs_done(runner->jobs + from, runner->answers + from, to - from, runner->each + from, &err);
        set_reporting(runner, false);
        note_answers(runner, from, to, status, &err);
    }
}

static void run_batch(iq_runner *runner, iq_batch *batch)
{
    const size_t live = sort_out(runner, batch);
    if (live == 0)
        return;
    const int64_t start_ns = iq_clock_ns();
    if (runner->model != NULL) {
        imgq_error err = {0};
        const imgq_status status =
            imgq_session_run(runner->session, batch->input, live, runner->probs, live * runner->class_count, &err);
        if (status != IMGQ_OK) {
            fail_all(runner, live, &err);
            return;
        }
    }
    const double compute_ms = (double)(iq_clock_ns() - start_ns) / 1e6;
    size_t claimed = 0;
    for (size_t i = 0; i < live; i++) {
        imgq_job *job = iq_batcher_claim(runner->batcher, runner->slots[i]);
        if (job == NULL)
            continue;
        runner->jobs[claimed] = job;
        fill_answer(runner, claimed++, runner->slots[i], job, runner->probs + i * runner->class_count, live,
                    compute_ms);
    }
    if (claimed == 0)
        return;
    report_answers(runner, claimed);
    iq_log(runner->env, IMGQ_LOG_INFO, "worker", "batch of %zu %s in %.0f ms", live,
           runner->model != NULL ? "classified" : "answered without a model", compute_ms);
}

void *iq_runner_main(void *user)
{
    iq_runner *runner = user;
    for (iq_batch *batch; (batch = iq_batcher_next(runner->batcher)) != NULL;) {
        run_batch(runner, batch);
        iq_batcher_finish(runner->batcher, batch);
    }
    return NULL;
}
