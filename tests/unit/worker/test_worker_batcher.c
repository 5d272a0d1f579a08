/* The two batches: who owns a job when. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "queue/job.h"
#include "support/check.h"
#include "support/failing_alloc.h"
#include "worker/batcher.h"

enum { CAPACITY = 4, INPUT = 6, ROUNDS = 500 };

static imgq_env *env;
static iq_batcher *batcher;
static int event_fd;
static imgq_job fakes[16];
static imgq_job *jobs[16];

static bool begin(size_t input_count)
{
    imgq_error err;
    env = failing_env(0);
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (size_t i = 0; i < 16; i++) {
        jobs[i] = &fakes[i];
        atomic_store(&fakes[i].standing, IMGQ_OK);
    }
    return CHECK_OK(iq_batcher_create(env, CAPACITY, input_count, event_fd, &batcher, &err));
}

static void end(void)
{
    iq_batcher_destroy(batcher);
    close(event_fd);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

/* True if the taker was told something since the last call. */
static bool was_told(void)
{
    uint64_t count = 0;
    return read(event_fd, &count, sizeof count) == sizeof count;
}

static void decode(size_t count)
{
    for (size_t i = 0; i < count; i++)
        iq_batcher_decoded(batcher, iq_batcher_work(batcher));
}

static void finish(iq_batch *batch)
{
    for (size_t i = 0; i < batch->used; i++)
        (void)iq_batcher_claim(batcher, &batch->slots[i]);
    iq_batcher_finish(batcher, batch);
}

static void the_open_batch_takes_latecomers_until_the_runner_is_free(void)
{
    if (!begin(INPUT))
        return;
    iq_batcher_add(batcher, jobs, 1);
    decode(1);
    iq_batch *first = iq_batcher_next(batcher);
    CHECK_EQ_SIZE(1, first->used);
    CHECK(was_told()); /* the other batch has room */
    CHECK_EQ_SIZE(CAPACITY, iq_batcher_room(batcher));
    iq_batcher_add(batcher, jobs + 1, 1); /* the runner is busy: these gather */
    iq_batcher_add(batcher, jobs + 2, 2);
    decode(3);
    CHECK_EQ_SIZE(CAPACITY - 3, iq_batcher_room(batcher));
    CHECK_EQ_SIZE(4, iq_batcher_held(batcher));
    CHECK(!was_told());
    finish(first);
    CHECK(was_told());
    iq_batch *second = iq_batcher_next(batcher);
    CHECK(second != first);
    CHECK_EQ_SIZE(3, second->used);
    CHECK(second->slots[2].job == &fakes[3]);
    finish(second);
    CHECK_EQ_SIZE(0, iq_batcher_held(batcher));
    end();
}

static void without_decoding_jobs_are_ready_as_they_come(void)
{
    if (!begin(0))
        return;
    iq_batcher_add(batcher, jobs, 4);
    CHECK_EQ_SIZE(0, iq_batcher_room(batcher));
    iq_batch *batch = iq_batcher_next(batcher);
    CHECK_EQ_SIZE(4, batch->used);
    CHECK(batch->slots[0].input == NULL);
    finish(batch);
    end();
}

static void each_slot_has_its_own_part_of_the_tensor(void)
{
    if (!begin(INPUT))
        return;
    iq_batcher_add(batcher, jobs, 4);
    for (size_t i = 0; i < 4; i++) {
        iq_slot *slot = iq_batcher_work(batcher);
        CHECK(slot->input == slot->batch->input + i * INPUT);
        iq_batcher_decoded(batcher, slot);
    }
    finish(iq_batcher_next(batcher));
    end();
}

static void a_stop_leaves_the_closed_batch_and_gives_back_the_open_one(void)
{
    imgq_job *back[2 * CAPACITY];
    if (!begin(INPUT))
        return;
    iq_batcher_add(batcher, jobs, 2);
    decode(2);
    iq_batch *batch = iq_batcher_next(batcher);
    iq_batcher_add(batcher, jobs + 2, 2);
    iq_batcher_stop(batcher);
    CHECK_EQ_SIZE(0, iq_batcher_room(batcher));
    for (size_t i = 0; i < 2; i++) { /* the decoders are told not to bother */
        iq_slot *slot = iq_batcher_work(batcher);
        CHECK(iq_batcher_is_stale(batcher, slot));
        iq_batcher_decoded(batcher, slot);
    }
    CHECK(iq_batcher_work(batcher) == NULL);
    CHECK_EQ_SIZE(2, iq_batcher_reclaim(batcher, false, back));
    CHECK(back[0] == &fakes[2] && back[1] == &fakes[3]);
    CHECK_EQ_SIZE(2, iq_batcher_held(batcher));
    CHECK(iq_batcher_claim(batcher, &batch->slots[0]) == &fakes[0]);
    CHECK(iq_batcher_claim(batcher, &batch->slots[1]) == &fakes[1]);
    iq_batcher_finish(batcher, batch);
    CHECK(iq_batcher_next(batcher) == NULL);
    end();
}

static void reclaiming_everything_takes_what_nobody_has_reported(void)
{
    imgq_job *back[2 * CAPACITY];
    if (!begin(INPUT))
        return;
    iq_batcher_add(batcher, jobs, 3);
    decode(3);
    iq_batch *batch = iq_batcher_next(batcher);
    CHECK(iq_batcher_claim(batcher, &batch->slots[1]) == &fakes[1]); /* being reported */
    iq_batcher_stop(batcher);
    CHECK_EQ_SIZE(2, iq_batcher_reclaim(batcher, true, back));
    CHECK(back[0] == &fakes[0] && back[1] == &fakes[2]);
    CHECK(iq_batcher_claim(batcher, &batch->slots[0]) == NULL);
    CHECK_EQ_INT(IMGQ_E_CANCELLED, iq_batcher_standing(batcher, &batch->slots[2]));
    iq_batcher_finish(batcher, batch);
    end();
}

static void a_lost_job_is_seen_before_it_is_run(void)
{
    if (!begin(0))
        return;
    iq_batcher_add(batcher, jobs, 2);
    iq_batch *batch = iq_batcher_next(batcher);
    atomic_store(&fakes[1].standing, IMGQ_E_LOST);
    CHECK_EQ_INT(IMGQ_OK, iq_batcher_standing(batcher, &batch->slots[0]));
    CHECK_EQ_INT(IMGQ_E_LOST, iq_batcher_standing(batcher, &batch->slots[1]));
    finish(batch);
    end();
}

/* ---- all at once ---- */

static atomic_int ended[16];

static void *decode_all(void *unused)
{
    (void)unused;
    for (iq_slot *slot; (slot = iq_batcher_work(batcher)) != NULL;) {
        if (!iq_batcher_is_stale(batcher, slot))
            slot->input[0] = 1;
        iq_batcher_decoded(batcher, slot);
    }
    return NULL;
}

static void *run_all(void *unused)
{
    (void)unused;
    for (iq_batch *batch; (batch = iq_batcher_next(batcher)) != NULL;) {
        for (size_t i = 0; i < batch->used; i++) {
            const imgq_job *job = iq_batcher_claim(batcher, &batch->slots[i]);
            if (job != NULL)
                atomic_fetch_add(&ended[job - fakes], 1);
        }
        iq_batcher_finish(batcher, batch);
    }
    return NULL;
}

/* One life of a worker that is told to stop somewhere in the middle: each job ends exactly once. */
static bool one_life(unsigned seed)
{
    pthread_t decoders[2], runner;
    imgq_job *back[2 * CAPACITY];
    size_t added = 0;
    const size_t last = 1 + seed % 16;
    if (!begin(INPUT))
        return false;
    for (size_t i = 0; i < 16; i++)
        atomic_store(&ended[i], 0);
    pthread_create(&decoders[0], NULL, decode_all, NULL);
    pthread_create(&decoders[1], NULL, decode_all, NULL);
    pthread_create(&runner, NULL, run_all, NULL);
    while (added < last) {
        const size_t room = iq_batcher_room(batcher), wanted = 1 + added % 3;
        const size_t count = room < wanted ? room : wanted;
        const size_t fits = added + count > last ? last - added : count;
        iq_batcher_add(batcher, jobs + added, fits);
        added += fits;
    }
    iq_batcher_stop(batcher);
    for (size_t i = iq_batcher_reclaim(batcher, seed % 2 == 0, back); i-- > 0;)
        atomic_fetch_add(&ended[back[i] - fakes], 1);
    pthread_join(decoders[0], NULL);
    pthread_join(decoders[1], NULL);
    pthread_join(runner, NULL);
    bool right = true;
    for (size_t i = 0; i < 16; i++)
        right &= atomic_load(&ended[i]) == (i < last ? 1 : 0);
    end();
    return right;
}

static void whenever_the_stop_comes_each_job_ends_once(void)
{
    for (unsigned seed = 0; seed < ROUNDS; seed++) {
        if (!CHECK(one_life(seed))) {
            fprintf(stderr, "seed %u\n", seed);
            return;
        }
    }
}

static void creating_survives_every_failed_allocation(void)
{
    imgq_error err;
    for (size_t nth = 1;; nth++) {
        imgq_env *in = failing_env(nth);
        iq_batcher *one = NULL;
        if (in == NULL)
            continue;
        const imgq_status status = iq_batcher_create(in, 8, INPUT, -1, &one, &err);
        iq_batcher_destroy(one);
        imgq_env_destroy(in);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        if (status == IMGQ_OK)
            break;
        CHECK_EQ_INT(IMGQ_E_NOMEM, status);
    }
}

static const check_test tests[] = {
    CHECK_TEST(the_open_batch_takes_latecomers_until_the_runner_is_free),
    CHECK_TEST(without_decoding_jobs_are_ready_as_they_come),
    CHECK_TEST(each_slot_has_its_own_part_of_the_tensor),
    CHECK_TEST(a_stop_leaves_the_closed_batch_and_gives_back_the_open_one),
    CHECK_TEST(reclaiming_everything_takes_what_nobody_has_reported),
    CHECK_TEST(a_lost_job_is_seen_before_it_is_run),
    CHECK_TEST(whenever_the_stop_comes_each_job_ends_once),
    CHECK_TEST(creating_survives_every_failed_allocation),
};
CHECK_MAIN("worker batcher", tests)
