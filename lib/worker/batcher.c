/* Two batches behind one lock. A job belongs to its slot until somebody claims it (to report it) or reclaims it (to
 * give it back); both happen under the lock, so that each job is ended once. */
#include "worker/batcher.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/env.h"
#include "base/fail.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { BATCHES = 2, INPUT_ALIGNMENT = 64 };

struct iq_batcher {
    imgq_env *env;
    iq_ring *work; /* slots that wait for a decoder */
    size_t capacity, input_count;
    int event_fd;
    pthread_mutex_t lock; /* guards all below, the batches' counters and the slots' jobs */
    pthread_cond_t changed;
    iq_batch batches[BATCHES];
    iq_batch *open, *closed; /* closed: NULL while the runner has none */
    bool stopped, discard_closed;
};

static imgq_status batch_init(iq_batcher *batcher, iq_batch *batch, imgq_error *err)
{
    const size_t capacity = batcher->capacity, input_count = batcher->input_count;
    batch->slots = iq_alloc_array(batcher->env, capacity, sizeof *batch->slots);
    if (batch->slots == NULL)
        return iq_fail_nomem(err, capacity * sizeof *batch->slots);
    if (input_count > 0) {
        size_t bytes = 0;
        if (iq_mul_size(&bytes, capacity, input_count) || iq_mul_size(&bytes, bytes, sizeof(float)))
            return iq_fail(err, IMGQ_E_LIMIT, 0, "a batch of %zu images overflows", capacity);
        batch->input = iq_alloc_aligned(batcher->env, bytes, INPUT_ALIGNMENT);
        if (batch->input == NULL)
            return iq_fail_nomem(err, bytes);
    }
    for (size_t i = 0; i < capacity; i++) {
        batch->slots[i].batch = batch;
        batch->slots[i].input = input_count > 0 ? batch->input + i * input_count : NULL;
    }
    return IMGQ_OK;
}

imgq_status iq_batcher_create(imgq_env *env, size_t capacity, size_t input_count, int event_fd, iq_batcher **out,
                              imgq_error *err)
{
    iq_batcher *batcher = iq_alloc_array(env, 1, sizeof *batcher);
    if (batcher == NULL)
        return iq_fail_nomem(err, sizeof *batcher);
    batcher->env = iq_env_hold(env);
    batcher->capacity = capacity;
    batcher->input_count = input_count;
    batcher->event_fd = event_fd;
    (void)pthread_mutex_init(&batcher->lock, NULL); /* cannot fail with default attributes on Linux */
    (void)pthread_cond_init(&batcher->changed, NULL);
    imgq_status status = iq_ring_create(env, BATCHES * capacity, &batcher->work, err);
    for (size_t i = 0; i < BATCHES && status == IMGQ_OK; i++)
        status = batch_init(batcher, &batcher->batches[i], err);
    if (status != IMGQ_OK) {
        iq_batcher_destroy(batcher);
        return status;
    }
    batcher->open = &batcher->batches[0];
    *out = batcher;
    return IMGQ_OK;
}

void iq_batcher_destroy(iq_batcher *batcher)
{
    if (batcher == NULL)
        return;
    imgq_env *env = batcher->env;
    for (size_t i = 0; i < BATCHES; i++) {
        iq_free(env, batcher->batches[i].slots);
        iq_free(env, batcher->batches[i].input);
    }
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
    const ssize_t written = write(batcher->event_fd, &one, sizeof one);
    (void)written;
}

size_t iq_batcher_room(iq_batcher *batcher)
{
    pthread_mutex_lock(&batcher->lock);
    const size_t room = batcher->stopped ? 0 : batcher->capacity - batcher->open->used;
    pthread_mutex_unlock(&batcher->lock);
    return room;
}

size_t iq_batcher_held(iq_batcher *batcher)
{
    pthread_mutex_lock(&batcher->lock);
    const size_t held = batcher->open->used + (batcher->closed != NULL ? batcher->closed->used : 0);
    pthread_mutex_unlock(&batcher->lock);
    return held;
}

void iq_batcher_add(iq_batcher *batcher, imgq_job *const *jobs, size_t count)
{
    const bool decode = batcher->input_count > 0;
    pthread_mutex_lock(&batcher->lock);
    iq_batch *batch = batcher->open;
    for (size_t i = 0; i < count; i++) {
        iq_slot *slot = &batch->slots[batch->used++];
        slot->job = jobs[i];
        slot->error = (imgq_error){0};
        slot->profile[0] = '\0';
        slot->exif_orientation = slot->exif_applied = 0;
        slot->decode_ms = 0;
        /* The ring holds as many as there are slots: it cannot be full. */
        if (decode && iq_ring_push(batcher->work, slot))
            batch->pending++;
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

static size_t reclaim_batch(iq_batcher *batcher, iq_batch *batch, imgq_job **jobs)
{
    size_t count = 0;
    while (batch->pending > 0)
        pthread_cond_wait(&batcher->changed, &batcher->lock);
    for (size_t i = 0; i < batch->used; i++) {
        if (batch->slots[i].job != NULL)
            jobs[count++] = batch->slots[i].job;
        batch->slots[i].job = NULL;
    }
    return count;
}

size_t iq_batcher_reclaim(iq_batcher *batcher, bool everything, imgq_job **jobs)
{
    pthread_mutex_lock(&batcher->lock);
    size_t count = reclaim_batch(batcher, batcher->open, jobs);
    batcher->open->used = 0;
    if (everything && batcher->closed != NULL) {
        batcher->discard_closed = true;
        count += reclaim_batch(batcher, batcher->closed, jobs + count);
    }
    pthread_mutex_unlock(&batcher->lock);
    return count;
}

iq_slot *iq_batcher_work(iq_batcher *batcher)
{
    return iq_ring_pop(batcher->work);
}

bool iq_batcher_is_stale(iq_batcher *batcher, const iq_slot *slot)
{
    pthread_mutex_lock(&batcher->lock);
    const bool stale = (batcher->stopped && slot->batch == batcher->open) || batcher->discard_closed;
    pthread_mutex_unlock(&batcher->lock);
    return stale;
}

void iq_batcher_decoded(iq_batcher *batcher, iq_slot *slot)
{
    pthread_mutex_lock(&batcher->lock);
    slot->batch->pending--;
    pthread_cond_broadcast(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
}

iq_batch *iq_batcher_next(iq_batcher *batcher)
{
    pthread_mutex_lock(&batcher->lock);
    while (!batcher->stopped && batcher->open->used == 0)
        pthread_cond_wait(&batcher->changed, &batcher->lock);
    iq_batch *batch = NULL;
    if (!batcher->stopped) {
        batch = batcher->closed = batcher->open;
        batcher->open = batch == &batcher->batches[0] ? &batcher->batches[1] : &batcher->batches[0];
        tell_taker(batcher); /* the other batch has room */
        while (batch->pending > 0)
            pthread_cond_wait(&batcher->changed, &batcher->lock);
    }
    pthread_mutex_unlock(&batcher->lock);
    return batch;
}

imgq_status iq_batcher_standing(iq_batcher *batcher, const iq_slot *slot)
{
    pthread_mutex_lock(&batcher->lock);
    const imgq_status status = slot->job == NULL ? IMGQ_E_CANCELLED : imgq_job_standing(slot->job);
    pthread_mutex_unlock(&batcher->lock);
    return status;
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
    batch->used = 0;
    batcher->closed = NULL;
    pthread_cond_broadcast(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
    tell_taker(batcher);
}
