/* The feeder: one thread, at most 64 items in the reference's list, one look for all their answers each 100 ms. */
#include "worker/feeder.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/log.h"
#include "queue/job.h"

#include <string.h>

enum {
    WINDOW = 64,
    POLL_MS = 100,
    GIVE_BACK_MS = 800,
    ANSWER_TOP_MAX = 100,
    ABANDONED_MAX = 512,
    SWEEP_EVERY_MS = 5000,
    LATE_FOR_MS = 300000, /* an item that was slow, not lost, is answered within this */
    NS_PER_MS = 1000000
};

/* An item in the reference's hands. */
typedef struct pushed {
    imgq_job *job; /* owned */
    imgq_id uuid;
    int64_t pushed_ns;
    double decode_ms;
} pushed;

/* A uuid that nobody waits for: its answer may still come, and a reference server's keys have no end of their own. */
typedef struct abandoned {
    imgq_id uuid;
    int64_t until_ns;
} abandoned;

typedef struct feeder {
    const iq_shift *shift;
    imgq_reference *reference;
    const iq_decoder *decoder;
    int64_t wait_ns, poll_ns;
    float *input;
    size_t input_count, count;
    bool reference_away; /* said once, until it answers again */
    pushed items[WINDOW];
    int64_t sweep_ns;
    size_t abandoned_count;
    abandoned abandoned[ABANDONED_MAX]; /* oldest first */
} feeder;

static void note_reference(feeder *f, imgq_status status, const imgq_error *why)
{
    if (status == IMGQ_OK && f->reference_away)
        iq_log(f->shift->env, IMGQ_LOG_INFO, "worker", "the reference's Redis is back");
    if (status != IMGQ_OK && !f->reference_away)
        iq_log(f->shift->env, IMGQ_LOG_WARNING, "worker", "the reference's Redis: %s; trying again until it answers",
               why->message);
    f->reference_away = status != IMGQ_OK;
}

static void forget_item(feeder *f, size_t index)
{
    f->items[index] = f->items[--f->count];
}

static void fail_job(feeder *f, imgq_job *job, const imgq_error *why, int kind)
{
    imgq_error err = {0};
    iq_log(f->shift->env, IMGQ_LOG_INFO, "worker", "job %s failed: %s", job->id.text, why->message);
    if (imgq_job_fail(job, why, kind, &err) != IMGQ_OK)
        iq_log(f->shift->env, IMGQ_LOG_WARNING, "worker", "a failure was not accepted: %s", err.message);
    atomic_fetch_add_explicit(&f->shift->tally->failed, 1, memory_order_relaxed);
}

static void abandon(feeder *f, const imgq_id *uuid)
{
    if (f->abandoned_count == ABANDONED_MAX)
        memmove(f->abandoned, f->abandoned + 1, --f->abandoned_count * sizeof *f->abandoned);
    f->abandoned[f->abandoned_count++] = (abandoned){*uuid, iq_clock_ns() + (int64_t)LATE_FOR_MS * NS_PER_MS};
}

/* A refused push is nobody's failure: the job goes back for a second (the reference's Redis is full or away). */
static void push_job(feeder *f, imgq_job *job)
{
    imgq_error why = {0};
    iq_slot slot = {.job = job};
    imgq_status status = iq_decoder_prepare(f->decoder, &slot, &why);
    if (status == IMGQ_OK)
        status = iq_decoder_fill(&slot.prepared, f->input, &why);
    iq_free(f->shift->env, slot.prepared.made);
    if (status != IMGQ_OK) {
        const bool ours = status == IMGQ_E_NOMEM || status == IMGQ_E_INTERNAL;
        fail_job(f, job, &why, ours ? IMGQ_FAIL_TRANSIENT : IMGQ_FAIL_PERMANENT);
        return;
    }
    pushed *item = &f->items[f->count];
    status = imgq_reference_push(f->reference, f->input, f->input_count, &item->uuid, &why);
    note_reference(f, status, &why);
    if (status != IMGQ_OK) {
        if (item->uuid.text[0] != '\0') /* it may be in the list for all that */
            abandon(f, &item->uuid);
        fail_job(f, job, &why, IMGQ_FAIL_BUSY);
        return;
    }
    item->job = job;
    item->pushed_ns = iq_clock_ns();
    item->decode_ms = slot.decode_ms;
    f->count++;
}

static void answer_job(feeder *f, const pushed *item, const imgq_result *result)
{
    if (imgq_result_status(result) != IMGQ_OK) {
        imgq_error why = {.status = imgq_result_status(result)};
        (void)strncpy(why.message, imgq_result_message(result), sizeof why.message - 1);
        fail_job(f, item->job, &why, IMGQ_FAIL_TRANSIENT);
        return;
    }
    const char *labels[ANSWER_TOP_MAX];
    imgq_answer answer = IMGQ_ANSWER_INIT;
    answer.top = imgq_result_top(result, &answer.top_count);
    if (answer.top_count > ANSWER_TOP_MAX)
        answer.top_count = ANSWER_TOP_MAX;
    if (answer.top_count > item->job->options.top_count)
        answer.top_count = item->job->options.top_count;
    for (size_t i = 0; i < answer.top_count; i++)
        labels[i] = imgq_result_label(result, i);
    answer.labels = labels;
    answer.model = "reference";
    answer.profile = f->decoder->recipe->profile;
    answer.batch = 1;
    answer.decode_ms = item->decode_ms;
    answer.compute_ms = (double)(iq_clock_ns() - item->pushed_ns) / 1e6;
    imgq_error err = {0};
    const imgq_status status = imgq_job_done(item->job, &answer, &err);
    if (status != IMGQ_OK)
        iq_log(f->shift->env, IMGQ_LOG_WARNING, "worker", "an answer was not accepted: %s", err.message);
    atomic_fetch_add_explicit(status == IMGQ_OK ? &f->shift->tally->done : &f->shift->tally->failed, 1,
                              memory_order_relaxed);
}

static void collect_answers(feeder *f)
{
    imgq_id ids[WINDOW];
    imgq_result *results[WINDOW];
    imgq_error err = {0};
    for (size_t i = 0; i < f->count; i++)
        ids[i] = f->items[i].uuid;
    const imgq_status status = imgq_reference_poll(f->reference, ids, f->count, results, &err);
    note_reference(f, status, &err);
    if (status != IMGQ_OK)
        return;
    size_t answered = 0;
    for (size_t i = f->count; i-- > 0;) { /* downwards: forgetting moves the last one into the gap */
        if (results[i] == NULL)
            continue;
        answer_job(f, &f->items[i], results[i]);
        imgq_result_destroy(results[i]);
        forget_item(f, i);
        answered++;
    }
    if (answered > 0)
        iq_log(f->shift->env, IMGQ_LOG_INFO, "worker", "%zu answers of the reference passed on", answered);
}

/* Deletes the late answers of abandoned items, those that are there. */
static void sweep_late_answers(feeder *f)
{
    imgq_id uuids[ABANDONED_MAX];
    imgq_error err = {0};
    size_t over = 0;
    const int64_t now_ns = iq_clock_ns();
    for (size_t i = 0; i < f->abandoned_count; i++) {
        uuids[i] = f->abandoned[i].uuid;
        over += f->abandoned[i].until_ns <= now_ns;
    }
    f->sweep_ns = now_ns + (int64_t)SWEEP_EVERY_MS * NS_PER_MS;
    if (f->abandoned_count == 0 || imgq_reference_forget(f->reference, uuids, f->abandoned_count, &err) != IMGQ_OK)
        return;
    f->abandoned_count -= over;
    memmove(f->abandoned, f->abandoned + over, f->abandoned_count * sizeof *f->abandoned);
}

static void give_up_late_ones(feeder *f)
{
    const int64_t now_ns = iq_clock_ns();
    for (size_t i = f->count; i-- > 0;) {
        const pushed item = f->items[i];
        if (imgq_job_standing(item.job) != IMGQ_OK) {
            imgq_job_release(item.job);
        } else if (now_ns - item.pushed_ns > f->wait_ns) {
            imgq_error why = {0};
            (void)iq_fail(&why, IMGQ_E_TIMEOUT, 0, "the reference server gave no answer within %lld ms",
                          (long long)(f->wait_ns / NS_PER_MS));
            fail_job(f, item.job, &why, IMGQ_FAIL_TRANSIENT);
        } else {
            continue;
        }
        abandon(f, &item.uuid);
        forget_item(f, i);
    }
}

/* How many more may be pushed: at most WINDOW in the list, whoever pushed them, and WINDOW awaited by us. */
static size_t room(feeder *f)
{
    uint64_t length = 0;
    imgq_error err = {0};
    const imgq_status status = imgq_reference_length(f->reference, &length, &err);
    note_reference(f, status, &err);
    if (status != IMGQ_OK || length >= WINDOW)
        return 0;
    const size_t in_list = WINDOW - (size_t)length, in_hand = WINDOW - f->count;
    return in_list < in_hand ? in_list : in_hand;
}

static void give_everything_back(feeder *f)
{
    imgq_job *jobs[WINDOW];
    for (size_t i = 0; i < f->count; i++) {
        jobs[i] = f->items[i].job;
        abandon(f, &f->items[i].uuid);
    }
    iq_jobs_release_before(jobs, f->count, iq_deadline_after_ms(GIVE_BACK_MS));
    f->count = 0;
}

/* Answers are looked for ten times a second, and what is late is given up. */
static void look_for_answers(feeder *f)
{
    const int64_t now_ns = iq_clock_ns();
    if (f->count == 0 || now_ns < f->poll_ns)
        return;
    const size_t before = f->count;
    f->poll_ns = now_ns + (int64_t)POLL_MS * NS_PER_MS;
    collect_answers(f);
    give_up_late_ones(f);
    if (f->count < before)
        iq_shift_progress(f->shift);
}

/* An idle feeder asks its own queue first: the reference's list matters only to one that has something to push. */
static imgq_status take_some(feeder *f, size_t *taken, bool *had_room, imgq_error *err)
{
    imgq_job *jobs[WINDOW];
    iq_visit visit = IQ_VISIT_NONE;
    const bool rested = f->count == 0;
    const size_t max = rested ? 1 : room(f);
    *taken = 0;
    *had_room = max > 0;
    if (max == 0)
        return IMGQ_OK;
    const imgq_status status = iq_sources_take(f->shift->sources, max, jobs, taken, &visit, err);
    if (status != IMGQ_OK)
        return status;
    const size_t fits = rested && *taken > 0 ? room(f) : max;
    for (size_t i = 0; i < *taken; i++) {
        imgq_error full = {0};
        if (i < fits) {
            push_job(f, jobs[i]);
        } else {
            (void)iq_fail(&full, IMGQ_E_BUSY, 0, "the reference's list is full");
            fail_job(f, jobs[i], &full, IMGQ_FAIL_BUSY);
        }
    }
    if (*taken > 0)
        iq_sources_look_again(f->shift->sources);
    if (*taken > 0 || visit == IQ_VISIT_REFUSED || (visit == IQ_VISIT_EMPTY && rested))
        iq_shift_progress(f->shift);
    return IMGQ_OK;
}

static imgq_status feed(feeder *f, imgq_error *err)
{
    const iq_shift *shift = f->shift;
    bool looked_at_rest = false;
    for (int stops; (stops = iq_shift_stops(shift)) < 2;) {
        look_for_answers(f);
        if (f->abandoned_count > 0 && iq_clock_ns() >= f->sweep_ns)
            sweep_late_answers(f);
        const bool rested = f->count == 0;
        if (stops > 0 && rested)
            break;
        size_t taken = 0;
        bool had_room = false;
        const imgq_status status = stops == 0 ? take_some(f, &taken, &had_room, err) : IMGQ_OK;
        if (status != IMGQ_OK)
            return status;
        if (taken > 0) {
            looked_at_rest = false;
            continue;
        }
        /* Drained: nothing was in hand, and then every queue said that nothing waits. */
        if (shift->drain && rested) {
            if (looked_at_rest && iq_sources_are_empty(shift->sources))
                break;
            if (!looked_at_rest) {
                looked_at_rest = true;
                iq_sources_look_again(shift->sources);
                continue;
            }
        }
        iq_sources_listen(shift->sources, had_room);
        iq_shift_wait(shift, had_room, rested ? f->abandoned_count > 0 ? SWEEP_EVERY_MS : -1 : POLL_MS);
    }
    return IMGQ_OK;
}

imgq_status iq_feeder_loop(const iq_shift *shift, imgq_reference *reference, const iq_decoder *decoder,
                           uint32_t wait_ms, imgq_error *err)
{
    feeder *f = iq_alloc_array(shift->env, 1, sizeof *f);
    if (f == NULL)
        return iq_fail_nomem(err, sizeof *f);
    f->shift = shift;
    f->reference = reference;
    f->decoder = decoder;
    f->wait_ns = (int64_t)wait_ms * NS_PER_MS;
    f->input_count = iq_recipe_input_count(decoder->recipe);
    f->input = iq_alloc_array(shift->env, f->input_count, sizeof *f->input);
    imgq_status status = f->input != NULL ? feed(f, err) : iq_fail_nomem(err, f->input_count * sizeof *f->input);
    iq_sources_listen(shift->sources, false);
    give_everything_back(f);
    iq_shift_given_back(shift);
    sweep_late_answers(f);
    iq_free(shift->env, f->input);
    iq_free(shift->env, f);
    return status;
}
