/* Slots in lists behind one lock. A job belongs to its slot until somebody claims it (to report it) or reclaims it (to
 * give it back); both happen under the lock, so that each job is ended once. */
#include "worker/batcher.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/fail.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* One batch runs while another is reported; the third is of jobs that could not be run. */
enum { RUN_BATCHES = 2, BATCHES = RUN_BATCHES + 1 };

/* First in, first out. */
typedef struct slot_list {
    iq_slot *first, *last;
    size_t count;
} slot_list;

struct iq_batcher {
    imgq_env *env;
    iq_batcher_options options;
    iq_ring *work;          /* slots that wait for a decoder */
    pthread_mutex_t lock;   /* guards all below, and the slots' jobs, stages and links */
    pthread_cond_t changed; /* CLOCK_MONOTONIC */
    iq_slot *slots;         /* one batch ahead, and those that run or are reported */
    size_t decoding;        /* slots in that stage */
    size_t held;            /* not free */
    slot_list free, ready, bad;
    int64_t first_ready_ns, last_ready_ns; /* of those in the list; of all */
    iq_batch batches[BATCHES];
    iq_batch *free_batches, *running, *ran;
    iq_batch *refused; /* the reporter's, for bad jobs */
    bool stopped;
    bool reporting; /* the reporter has a batch in hand */
};

static void append(slot_list *list, iq_slot *slot)
{
    slot->next = NULL;
    if (list->last != NULL)
        list->last->next = slot;
    else
        list->first = slot;
    list->last = slot;
    list->count++;
}

static iq_slot *take_first(slot_list *list)
{
    iq_slot *slot = list->first;
    if (slot == NULL)
        return NULL;
    list->first = slot->next;
    if (list->first == NULL)
        list->last = NULL;
    list->count--;
    return slot;
}

static imgq_status batch_init(iq_batcher *batcher, iq_batch *batch, size_t output_count, imgq_error *err)
{
    const size_t capacity = batcher->options.capacity;
    batch->slots = iq_alloc_array(batcher->env, capacity, sizeof *batch->slots);
    if (output_count > 0)
        batch->probs = iq_alloc_array(batcher->env, capacity * output_count, sizeof *batch->probs);
    if (batch->slots == NULL || (output_count > 0 && batch->probs == NULL))
        return iq_fail(err, IMGQ_E_NOMEM, 0, "no memory for a batch of %zu", capacity);
    return IMGQ_OK;
}

static void init_lock(iq_batcher *batcher)
{
    pthread_condattr_t monotonic; /* none of these can fail on Linux */
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&batcher->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&batcher->lock, NULL);
}

imgq_status iq_batcher_create(imgq_env *env, const iq_batcher_options *options, iq_batcher **out, imgq_error *err)
{
    iq_batcher *batcher = iq_alloc_array(env, 1, sizeof *batcher);
    if (batcher == NULL)
        return iq_fail_nomem(err, sizeof *batcher);
    batcher->env = iq_env_hold(env);
    batcher->options = *options;
    init_lock(batcher);
    imgq_status status = iq_ring_create(env, options->capacity, &batcher->work, err);
    for (size_t i = 0; i < BATCHES && status == IMGQ_OK; i++)
        status = batch_init(batcher, &batcher->batches[i], i < RUN_BATCHES ? options->output_count : 0, err);
    const size_t slots = iq_batcher_slots(batcher);
    batcher->slots = iq_alloc_array(env, slots, sizeof *batcher->slots);
    if (status == IMGQ_OK && batcher->slots == NULL)
        status = iq_fail_nomem(err, slots * sizeof *batcher->slots);
    if (status != IMGQ_OK) {
        iq_batcher_destroy(batcher);
        return status;
    }
    for (size_t i = 0; i < slots; i++)
        append(&batcher->free, &batcher->slots[i]);
    batcher->batches[0].next = &batcher->batches[1];
    batcher->free_batches = &batcher->batches[0];
    batcher->refused = &batcher->batches[RUN_BATCHES];
    *out = batcher;
    return IMGQ_OK;
}

void iq_batcher_forget_input(iq_batcher *batcher, iq_slot *slot)
{
    iq_free(batcher->env, slot->prepared.made);
    iq_payload_release(batcher->env, &slot->payload);
    slot->prepared = (iq_prepared){0};
}

void iq_batcher_destroy(iq_batcher *batcher)
{
    if (batcher == NULL)
        return;
    imgq_env *env = batcher->env;
    for (size_t i = 0; i < BATCHES; i++) {
        iq_free(env, batcher->batches[i].slots);
        iq_free(env, batcher->batches[i].probs);
    }
    for (size_t i = 0; batcher->slots != NULL && i < iq_batcher_slots(batcher); i++)
        iq_batcher_forget_input(batcher, &batcher->slots[i]);
    iq_free(env, batcher->slots);
    iq_ring_destroy(batcher->work);
    pthread_cond_destroy(&batcher->changed);
    pthread_mutex_destroy(&batcher->lock);
    iq_free(env, batcher);
    imgq_env_destroy(env);
}

/* Wakes the taker, which polls. A full eventfd means that it has not looked yet: nothing is lost. */
static void tell_taker(const iq_batcher *batcher)
{
    const uint64_t one = 1;
    const ssize_t written = write(batcher->options.event_fd, &one, sizeof one);
    (void)written;
}

static void free_slot(iq_batcher *batcher, iq_slot *slot)
{
    iq_batcher_forget_input(batcher, slot);
    slot->stage = IQ_STAGE_FREE;
    append(&batcher->free, slot);
    batcher->held--;
}

/* ---- taker ---- */

size_t iq_batcher_slots(const iq_batcher *batcher)
{
    return BATCHES * batcher->options.capacity;
}

/* Under the lock: jobs that no batch has yet. */
static size_t ahead(const iq_batcher *batcher)
{
    return batcher->decoding + batcher->ready.count + batcher->bad.count;
}

size_t iq_batcher_room(iq_batcher *batcher)
{
    pthread_mutex_lock(&batcher->lock);
    size_t room = batcher->stopped ? 0 : batcher->options.capacity - ahead(batcher);
    if (room > batcher->free.count)
        room = batcher->free.count;
    pthread_mutex_unlock(&batcher->lock);
    return room;
}

size_t iq_batcher_held(iq_batcher *batcher)
{
    pthread_mutex_lock(&batcher->lock);
    const size_t held = batcher->held;
    pthread_mutex_unlock(&batcher->lock);
    return held;
}

/* Under the lock. */
static void make_ready(iq_batcher *batcher, iq_slot *slot)
{
    batcher->last_ready_ns = iq_clock_ns();
    if (batcher->ready.count == 0)
        batcher->first_ready_ns = batcher->last_ready_ns;
    slot->stage = IQ_STAGE_READY;
    append(&batcher->ready, slot);
}

void iq_batcher_add(iq_batcher *batcher, imgq_job *const *jobs, size_t count)
{
    pthread_mutex_lock(&batcher->lock);
    for (size_t i = 0; i < count; i++) {
        iq_slot *slot = take_first(&batcher->free);
        *slot = (iq_slot){.job = jobs[i], .stage = IQ_STAGE_DECODING};
        batcher->held++;
        if (!batcher->options.decodes) {
            make_ready(batcher, slot);
            continue;
        }
        batcher->decoding++;
        (void)iq_ring_push(batcher->work, slot); /* holds all that there is room for: it cannot be full */
    }
    pthread_cond_broadcast(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
}

void iq_batcher_stop(iq_batcher *batcher)
{
    pthread_mutex_lock(&batcher->lock);
    batcher->stopped = true;
    pthread_cond_broadcast(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
    iq_ring_close(batcher->work);
}

/* Under the lock. */
static size_t reclaim_list(iq_batcher *batcher, slot_list *list, imgq_job **jobs)
{
    size_t count = 0;
    for (iq_slot *slot; (slot = take_first(list)) != NULL;) {
        jobs[count++] = slot->job;
        slot->job = NULL;
        free_slot(batcher, slot);
    }
    return count;
}

/* Under the lock. Those that no decoder has begun: the ring is closed, so looking into it never waits. */
static size_t reclaim_work(iq_batcher *batcher, imgq_job **jobs)
{
    slot_list list = {0};
    for (iq_slot *slot; (slot = iq_ring_pop(batcher->work)) != NULL; batcher->decoding--)
        append(&list, slot);
    return reclaim_list(batcher, &list, jobs);
}

size_t iq_batcher_reclaim(iq_batcher *batcher, bool everything, imgq_job **jobs)
{
    pthread_mutex_lock(&batcher->lock);
    size_t count = reclaim_work(batcher, jobs);
    count += reclaim_list(batcher, &batcher->ready, jobs + count);
    count += reclaim_list(batcher, &batcher->bad, jobs + count);
    for (size_t i = 0; everything && i < iq_batcher_slots(batcher); i++) {
        iq_slot *slot = &batcher->slots[i];
        if (slot->stage != IQ_STAGE_CLOSED || slot->job == NULL)
            continue;
        jobs[count++] = slot->job;
        slot->job = NULL;
    }
    pthread_mutex_unlock(&batcher->lock);
    return count;
}

size_t iq_batcher_decoding(iq_batcher *batcher)
{
    pthread_mutex_lock(&batcher->lock);
    const size_t decoding = batcher->decoding;
    pthread_mutex_unlock(&batcher->lock);
    return decoding;
}

bool iq_batcher_reporting(iq_batcher *batcher)
{
    pthread_mutex_lock(&batcher->lock);
    const bool reporting = batcher->reporting;
    pthread_mutex_unlock(&batcher->lock);
    return reporting;
}

/* ---- decoders ---- */

iq_slot *iq_batcher_work(iq_batcher *batcher)
{
    return iq_ring_pop(batcher->work);
}

bool iq_batcher_is_stale(iq_batcher *batcher)
{
    pthread_mutex_lock(&batcher->lock);
    const bool stale = batcher->stopped;
    pthread_mutex_unlock(&batcher->lock);
    return stale;
}

void iq_batcher_decoded(iq_batcher *batcher, iq_slot *slot)
{
    pthread_mutex_lock(&batcher->lock);
    batcher->decoding--;
    if (slot->error.status == IMGQ_OK) {
        make_ready(batcher, slot);
    } else {
        slot->stage = IQ_STAGE_BAD;
        append(&batcher->bad, slot);
    }
    if (batcher->stopped)
        tell_taker(batcher); /* it can be given back now */
    pthread_cond_broadcast(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
}

/* ---- runner ---- */

/* Under the lock. Until when the runner, free since then, waits for more than is ready: 0 is not at all. Images that
 * are in no decoder's hands are never waited for. */
static int64_t wait_until(const iq_batcher *batcher, int64_t free_ns)
{
    const iq_batcher_options *o = &batcher->options;
    if (batcher->free_batches == NULL || batcher->ready.count == 0)
        return INT64_MAX;
    if (batcher->decoding == 0 || batcher->ready.count == o->capacity)
        return 0;
    if (ahead(batcher) == o->capacity)
        return (batcher->last_ready_ns > free_ns ? batcher->last_ready_ns : free_ns) + o->patience_ns;
    return (batcher->first_ready_ns > free_ns ? batcher->first_ready_ns : free_ns) + o->company_ns;
}

static void wait_for_change(iq_batcher *batcher, int64_t until_ns)
{
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    if (until_ns == INT64_MAX)
        (void)pthread_cond_wait(&batcher->changed, &batcher->lock);
    else
        (void)pthread_cond_timedwait(&batcher->changed, &batcher->lock, &until);
}

iq_batch *iq_batcher_next(iq_batcher *batcher)
{
    iq_batch *batch = NULL;
    const int64_t free_ns = iq_clock_ns();
    pthread_mutex_lock(&batcher->lock);
    for (int64_t until; !batcher->stopped && (until = wait_until(batcher, free_ns)) > iq_clock_ns();)
        wait_for_change(batcher, until);
    if (!batcher->stopped) {
        batch = batcher->running = batcher->free_batches;
        batcher->free_batches = batch->next;
        batch->used = 0;
        batch->compute_ms = 0;
        for (iq_slot *slot; (slot = take_first(&batcher->ready)) != NULL;) {
            slot->stage = IQ_STAGE_CLOSED;
            batch->slots[batch->used++] = slot;
        }
        tell_taker(batcher); /* there is room for a batch */
    }
    pthread_mutex_unlock(&batcher->lock);
    return batch;
}

void iq_batcher_drop_lost(iq_batcher *batcher, iq_batch *batch)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->used; i++) {
        iq_slot *slot = batch->slots[i];
        imgq_job *lost = NULL;
        pthread_mutex_lock(&batcher->lock);
        if (slot->job == NULL || imgq_job_standing(slot->job) != IMGQ_OK) {
            lost = slot->job;
            slot->job = NULL;
            free_slot(batcher, slot);
        } else {
            slot->payload = iq_job_detach_payload(slot->job);
            batch->slots[kept++] = slot;
        }
        pthread_mutex_unlock(&batcher->lock);
        imgq_job_release(lost); /* not ours any more: only forgotten */
    }
    batch->used = kept;
}

void iq_batcher_ran(iq_batcher *batcher, iq_batch *batch)
{
    pthread_mutex_lock(&batcher->lock);
    batch->next = NULL;
    if (batcher->ran == NULL)
        batcher->ran = batch;
    else
        batcher->ran->next = batch;
    batcher->running = NULL;
    pthread_cond_broadcast(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
}

/* ---- reporter ---- */

iq_batch *iq_batcher_outcome(iq_batcher *batcher)
{
    iq_batch *batch = NULL;
    pthread_mutex_lock(&batcher->lock);
    while (batcher->ran == NULL && batcher->bad.count == 0 && !(batcher->stopped && batcher->running == NULL))
        pthread_cond_wait(&batcher->changed, &batcher->lock);
    if (batcher->ran != NULL) {
        batch = batcher->ran;
        batcher->ran = batch->next;
    } else if (batcher->bad.count > 0) {
        batch = batcher->refused;
        batch->used = 0;
        for (iq_slot *slot; (slot = take_first(&batcher->bad)) != NULL;) {
            slot->stage = IQ_STAGE_CLOSED;
            batch->slots[batch->used++] = slot;
        }
        tell_taker(batcher); /* they have left room */
    }
    batcher->reporting = batch != NULL;
    pthread_mutex_unlock(&batcher->lock);
    return batch;
}

imgq_job *iq_batcher_claim(iq_batcher *batcher, iq_slot *slot)
{
    pthread_mutex_lock(&batcher->lock);
    imgq_job *job = slot->job;
    slot->job = NULL;
    pthread_mutex_unlock(&batcher->lock);
    return job;
}

void iq_batcher_finish(iq_batcher *batcher, iq_batch *batch)
{
    pthread_mutex_lock(&batcher->lock);
    for (size_t i = 0; i < batch->used; i++)
        free_slot(batcher, batch->slots[i]);
    batch->used = 0;
    batcher->reporting = false;
    if (batch != batcher->refused) {
        batch->next = batcher->free_batches;
        batcher->free_batches = batch;
    }
    pthread_cond_broadcast(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
    tell_taker(batcher);
}
