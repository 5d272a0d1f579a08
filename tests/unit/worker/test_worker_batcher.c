/* Who owns a job when, and what runs together. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "queue/job.h"
#include "support/check.h"
#include "support/failing_alloc.h"
#include "worker/batcher.h"

enum { CAPACITY = 4, OUTPUT = 6, ROUNDS = 500 };

static imgq_env *env;
static iq_batcher *batcher;
static int event_fd;
static imgq_job fakes[16];
static imgq_job *jobs[16];

/* Waits that a test is about never end, or end at once; those that it is not about cannot be met. */
static const int64_t NO_WAIT = 0, FOR_EVER = INT64_C(3600000000000);

static bool begin_with(bool decodes, int64_t company_ns, int64_t patience_ns)
{
    imgq_error err;
    env = failing_env(0);
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (size_t i = 0; i < 16; i++) {
        jobs[i] = &fakes[i];
        fakes[i] = (imgq_job){.payload = (const uint8_t *)"payload", .payload_len = 7};
        atomic_store(&fakes[i].standing, IMGQ_OK);
    }
    const iq_batcher_options options = {.capacity = CAPACITY,
                                        .output_count = OUTPUT,
                                        .decodes = decodes,
                                        .event_fd = event_fd,
                                        .company_ns = company_ns,
                                        .patience_ns = patience_ns};
    return CHECK_OK(iq_batcher_create(env, &options, &batcher, &err));
}

static bool begin(bool decodes)
{
    return begin_with(decodes, NO_WAIT, NO_WAIT);
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

/* As a decoder would leave it: something made of the payload. */
static void decode_one(imgq_status status)
{
    iq_slot *slot = iq_batcher_work(batcher);
    slot->prepared.made = iq_alloc(env, 3);
    slot->error.status = status;
    iq_batcher_decoded(batcher, slot);
}

static void decode(size_t count)
{
    for (size_t i = 0; i < count; i++)
        decode_one(IMGQ_OK);
}

static void report(iq_batch *batch)
{
    CHECK(iq_batcher_outcome(batcher) == batch);
    for (size_t i = 0; i < batch->used; i++)
        (void)iq_batcher_claim(batcher, batch->slots[i]);
    iq_batcher_finish(batcher, batch);
}

static void run_and_report(iq_batch *batch)
{
    iq_batcher_ran(batcher, batch);
    report(batch);
}

/* ---- what runs together ---- */

static void what_comes_while_a_batch_runs_is_the_next_one(void)
{
    if (!begin(true))
        return;
    iq_batcher_add(batcher, jobs, 1);
    decode(1);
    iq_batch *first = iq_batcher_next(batcher);
    CHECK_EQ_SIZE(1, first->used);
    CHECK(was_told()); /* there is room for a batch */
    CHECK_EQ_SIZE(CAPACITY, iq_batcher_room(batcher));
    iq_batcher_add(batcher, jobs + 1, 1); /* the runner is busy: these gather */
    iq_batcher_add(batcher, jobs + 2, 2);
    decode(3);
    CHECK_EQ_SIZE(CAPACITY - 3, iq_batcher_room(batcher));
    CHECK_EQ_SIZE(4, iq_batcher_held(batcher));
    CHECK(!was_told());
    run_and_report(first);
    CHECK(was_told());
    iq_batch *second = iq_batcher_next(batcher);
    CHECK_EQ_SIZE(3, second->used);
    CHECK(second->slots[2]->job == &fakes[3]);
    run_and_report(second);
    CHECK_EQ_SIZE(0, iq_batcher_held(batcher));
    end();
}

static void without_decoding_jobs_are_ready_as_they_come(void)
{
    if (!begin(false))
        return;
    iq_batcher_add(batcher, jobs, 4);
    CHECK_EQ_SIZE(0, iq_batcher_room(batcher));
    iq_batch *batch = iq_batcher_next(batcher);
    CHECK_EQ_SIZE(4, batch->used);
    CHECK(batch->slots[0]->prepared.values == NULL);
    run_and_report(batch);
    end();
}

/* Both waits would last an hour. */
static void an_image_alone_waits_for_nobody(void)
{
    if (!begin_with(true, FOR_EVER, FOR_EVER))
        return;
    iq_batcher_add(batcher, jobs, 1);
    decode(1);
    iq_batch *batch = iq_batcher_next(batcher);
    CHECK_EQ_SIZE(1, batch->used);
    run_and_report(batch);
    end();
}

static void a_ready_image_leaves_without_a_slow_one(void)
{
    if (!begin_with(true, 1000000, FOR_EVER))
        return;
    iq_batcher_add(batcher, jobs, 2);
    iq_slot *slow = iq_batcher_work(batcher);
    decode(1);
    iq_batch *batch = iq_batcher_next(batcher); /* waiting for the slow one would last for ever */
    CHECK_EQ_SIZE(1, batch->used);
    CHECK(batch->slots[0]->job == &fakes[1]);
    iq_batcher_decoded(batcher, slow);
    run_and_report(batch);
    batch = iq_batcher_next(batcher);
    CHECK_EQ_SIZE(1, batch->used);
    CHECK(batch->slots[0] == slow && slow->job == &fakes[0]);
    run_and_report(batch);
    end();
}

static void *decode_rest(void *unused)
{
    (void)unused;
    decode(CAPACITY - 1);
    return NULL;
}

static void with_a_whole_batch_at_hand_the_runner_waits_for_it(void)
{
    pthread_t thread;
    if (!begin_with(true, NO_WAIT, FOR_EVER))
        return;
    iq_batcher_add(batcher, jobs, CAPACITY);
    decode(1);
    pthread_create(&thread, NULL, decode_rest, NULL);
    iq_batch *batch = iq_batcher_next(batcher);
    pthread_join(thread, NULL);
    CHECK_EQ_SIZE(CAPACITY, batch->used);
    run_and_report(batch);
    end();
}

static void but_not_for_a_decoder_that_makes_no_progress(void)
{
    if (!begin_with(true, FOR_EVER, 1000000))
        return;
    iq_batcher_add(batcher, jobs, CAPACITY);
    iq_slot *stuck = iq_batcher_work(batcher);
    decode(CAPACITY - 1);
    iq_batch *batch = iq_batcher_next(batcher);
    CHECK_EQ_SIZE(CAPACITY - 1, batch->used);
    iq_batcher_decoded(batcher, stuck);
    run_and_report(batch);
    run_and_report(iq_batcher_next(batcher));
    end();
}

/* ---- reports ---- */

static void a_batch_runs_while_another_is_reported(void)
{
    if (!begin(true))
        return;
    iq_batcher_add(batcher, jobs, 1);
    decode(1);
    iq_batch *first = iq_batcher_next(batcher);
    iq_batcher_ran(batcher, first);
    CHECK(iq_batcher_outcome(batcher) == first); /* Redis takes its time */
    iq_batcher_add(batcher, jobs + 1, 1);
    decode(1);
    iq_batch *second = iq_batcher_next(batcher);
    CHECK(second != first && second->probs != first->probs);
    CHECK_EQ_SIZE(2, iq_batcher_held(batcher));
    CHECK(iq_batcher_claim(batcher, first->slots[0]) == &fakes[0]);
    iq_batcher_finish(batcher, first);
    run_and_report(second);
    end();
}

static void bad_inputs_are_told_at_once_and_run_in_no_batch(void)
{
    if (!begin_with(true, FOR_EVER, FOR_EVER))
        return;
    iq_batcher_add(batcher, jobs, 3);
    decode_one(IMGQ_E_CORRUPT);
    iq_batch *refused = iq_batcher_outcome(batcher);
    CHECK_EQ_SIZE(1, refused->used);
    CHECK_EQ_INT(IMGQ_E_CORRUPT, refused->slots[0]->error.status);
    CHECK(iq_batcher_claim(batcher, refused->slots[0]) == &fakes[0]);
    iq_batcher_finish(batcher, refused);
    CHECK(was_told());
    decode(2);
    iq_batch *batch = iq_batcher_next(batcher);
    CHECK_EQ_SIZE(2, batch->used);
    run_and_report(batch);
    end();
}

static void a_payload_goes_with_its_input_not_with_its_job(void)
{
    if (!begin(true))
        return;
    fakes[0].tensor = iq_alloc(env, 5);
    iq_batcher_add(batcher, jobs, 1);
    decode(1);
    iq_batch *batch = iq_batcher_next(batcher);
    iq_batcher_drop_lost(batcher, batch);
    CHECK(fakes[0].tensor == NULL && batch->slots[0]->payload.tensor != NULL);
    const size_t before = failing_live_bytes();
    iq_batcher_forget_input(batcher, batch->slots[0]);
    CHECK(failing_live_bytes() + 5 + 3 <= before);
    CHECK(batch->slots[0]->prepared.made == NULL);
    run_and_report(batch);
    end();
}

/* ---- ends ---- */

static void a_stop_leaves_the_batch_that_runs_and_gives_back_the_rest(void)
{
    imgq_job *back[3 * CAPACITY];
    if (!begin(true))
        return;
    iq_batcher_add(batcher, jobs, 2);
    decode(2);
    iq_batch *batch = iq_batcher_next(batcher);
    iq_batcher_add(batcher, jobs + 2, 4);
    decode_one(IMGQ_OK);
    decode_one(IMGQ_E_CORRUPT);
    iq_batcher_stop(batcher);
    CHECK_EQ_SIZE(0, iq_batcher_room(batcher));
    for (size_t i = 0; i < 2; i++) { /* the decoders are told not to bother */
        iq_slot *slot = iq_batcher_work(batcher);
        CHECK(iq_batcher_is_stale(batcher));
        iq_batcher_decoded(batcher, slot);
    }
    CHECK(iq_batcher_work(batcher) == NULL);
    CHECK_EQ_SIZE(3 * CAPACITY, iq_batcher_slots(batcher));
    CHECK_EQ_SIZE(4, iq_batcher_reclaim(batcher, false, back));
    CHECK_EQ_SIZE(2, iq_batcher_held(batcher));
    iq_batcher_ran(batcher, batch);
    CHECK(iq_batcher_outcome(batcher) == batch);
    CHECK(iq_batcher_claim(batcher, batch->slots[0]) == &fakes[0]);
    CHECK(iq_batcher_claim(batcher, batch->slots[1]) == &fakes[1]);
    iq_batcher_finish(batcher, batch);
    CHECK(iq_batcher_next(batcher) == NULL);
    CHECK(iq_batcher_outcome(batcher) == NULL);
    CHECK_EQ_SIZE(0, iq_batcher_held(batcher));
    end();
}

static void reclaiming_everything_takes_what_nobody_has_reported(void)
{
    imgq_job *back[3 * CAPACITY];
    if (!begin(true))
        return;
    iq_batcher_add(batcher, jobs, 3);
    decode(3);
    iq_batch *batch = iq_batcher_next(batcher);
    iq_batcher_ran(batcher, batch);
    CHECK(iq_batcher_outcome(batcher) == batch);
    CHECK(iq_batcher_claim(batcher, batch->slots[1]) == &fakes[1]); /* being reported */
    iq_batcher_stop(batcher);
    CHECK_EQ_SIZE(2, iq_batcher_reclaim(batcher, true, back));
    CHECK(back[0] != &fakes[1] && back[1] != &fakes[1] && back[0] != back[1]);
    CHECK(iq_batcher_claim(batcher, batch->slots[0]) == NULL);
    CHECK(iq_batcher_reporting(batcher)); /* Redis has not been told of that one yet */
    iq_batcher_finish(batcher, batch);
    CHECK(!iq_batcher_reporting(batcher));
    CHECK(iq_batcher_outcome(batcher) == NULL && !iq_batcher_reporting(batcher));
    end();
}

/* A large image takes seconds: who is told to hurry gives back the others meanwhile. */
static void reclaiming_waits_for_no_decoder(void)
{
    imgq_job *back[3 * CAPACITY];
    if (!begin(true))
        return;
    iq_batcher_add(batcher, jobs, 4);
    decode(1);
    iq_slot *slow = iq_batcher_work(batcher);
    iq_batcher_stop(batcher);
    CHECK_EQ_SIZE(3, iq_batcher_reclaim(batcher, true, back)); /* one was ready, two had not been begun */
    CHECK_EQ_SIZE(1, iq_batcher_decoding(batcher));
    CHECK_EQ_SIZE(1, iq_batcher_held(batcher));
    CHECK(slow->job == &fakes[1]); /* and its payload is the decoder's */
    (void)was_told();
    iq_batcher_decoded(batcher, slow);
    CHECK(was_told());
    CHECK_EQ_SIZE(1, iq_batcher_reclaim(batcher, false, back));
    CHECK(back[0] == &fakes[1]);
    CHECK_EQ_SIZE(0, iq_batcher_decoding(batcher));
    CHECK_EQ_SIZE(0, iq_batcher_held(batcher));
    CHECK(iq_batcher_work(batcher) == NULL);
    end();
}

static void a_lost_job_is_seen_before_it_is_run(void)
{
    imgq_job *back[3 * CAPACITY];
    if (!begin(false))
        return;
    iq_batcher_add(batcher, jobs, 3);
    iq_batch *batch = iq_batcher_next(batcher);
    iq_batcher_stop(batcher);
    CHECK_EQ_SIZE(3, iq_batcher_reclaim(batcher, true, back)); /* given back between the two calls */
    iq_batcher_drop_lost(batcher, batch);
    CHECK_EQ_SIZE(0, batch->used);
    CHECK_EQ_SIZE(0, iq_batcher_held(batcher));
    iq_batcher_ran(batcher, batch);
    CHECK(iq_batcher_outcome(batcher) == batch);
    iq_batcher_finish(batcher, batch);
    end();
}

/* ---- all at once ---- */

static atomic_int ended[16];

static void *decode_all(void *unused)
{
    (void)unused;
    for (iq_slot *slot; (slot = iq_batcher_work(batcher)) != NULL;) {
        if (!iq_batcher_is_stale(batcher) && slot->job - fakes == 5)
            slot->error.status = IMGQ_E_CORRUPT;
        iq_batcher_decoded(batcher, slot);
    }
    return NULL;
}

static void *run_all(void *unused)
{
    (void)unused;
    for (iq_batch *batch; (batch = iq_batcher_next(batcher)) != NULL;) {
        iq_batcher_drop_lost(batcher, batch);
        for (size_t i = 0; i < batch->used; i++) {
            batch->probs[i * OUTPUT] = 1;
            iq_batcher_forget_input(batcher, batch->slots[i]);
        }
        iq_batcher_ran(batcher, batch);
    }
    return NULL;
}

static void *report_all(void *unused)
{
    (void)unused;
    for (iq_batch *batch; (batch = iq_batcher_outcome(batcher)) != NULL;) {
        for (size_t i = 0; i < batch->used; i++) {
            const imgq_job *job = iq_batcher_claim(batcher, batch->slots[i]);
            if (job != NULL)
                atomic_fetch_add(&ended[job - fakes], 1);
        }
        iq_batcher_finish(batcher, batch);
    }
    return NULL;
}

static void reclaim(bool everything)
{
    imgq_job *back[3 * CAPACITY];
    for (size_t i = iq_batcher_reclaim(batcher, everything, back); i-- > 0;)
        atomic_fetch_add(&ended[back[i] - fakes], 1);
}

/* One life of a worker that is told to stop somewhere in the middle: each job ends exactly once. */
static bool one_life(unsigned seed)
{
    pthread_t decoders[2], runner, reporter;
    size_t added = 0;
    bool right = true;
    const size_t last = 1 + seed % 16;
    if (!begin_with(true, 20000, 50000))
        return false;
    for (size_t i = 0; i < 16; i++)
        atomic_store(&ended[i], 0);
    pthread_create(&decoders[0], NULL, decode_all, NULL);
    pthread_create(&decoders[1], NULL, decode_all, NULL);
    pthread_create(&runner, NULL, run_all, NULL);
    pthread_create(&reporter, NULL, report_all, NULL);
    while (added < last) {
        const size_t room = iq_batcher_room(batcher), wanted = 1 + added % 3;
        const size_t count = room < wanted ? room : wanted;
        const size_t fits = added + count > last ? last - added : count;
        iq_batcher_add(batcher, jobs + added, fits);
        added += fits;
    }
    iq_batcher_stop(batcher);
    reclaim(seed % 2 == 0);
    pthread_join(decoders[0], NULL);
    pthread_join(decoders[1], NULL);
    reclaim(seed % 2 == 0); /* what they had in hand */
    pthread_join(runner, NULL);
    pthread_join(reporter, NULL);
    right &= iq_batcher_held(batcher) == 0;
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
        const iq_batcher_options options = {.capacity = 8, .output_count = OUTPUT, .decodes = true, .event_fd = -1};
        const imgq_status status = iq_batcher_create(in, &options, &one, &err);
        iq_batcher_destroy(one);
        imgq_env_destroy(in);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        if (status == IMGQ_OK)
            break;
        CHECK_EQ_INT(IMGQ_E_NOMEM, status);
    }
}

static const check_test tests[] = {
    CHECK_TEST(what_comes_while_a_batch_runs_is_the_next_one),
    CHECK_TEST(without_decoding_jobs_are_ready_as_they_come),
    CHECK_TEST(an_image_alone_waits_for_nobody),
    CHECK_TEST(a_ready_image_leaves_without_a_slow_one),
    CHECK_TEST(with_a_whole_batch_at_hand_the_runner_waits_for_it),
    CHECK_TEST(but_not_for_a_decoder_that_makes_no_progress),
    CHECK_TEST(a_batch_runs_while_another_is_reported),
    CHECK_TEST(bad_inputs_are_told_at_once_and_run_in_no_batch),
    CHECK_TEST(a_payload_goes_with_its_input_not_with_its_job),
    CHECK_TEST(a_stop_leaves_the_batch_that_runs_and_gives_back_the_rest),
    CHECK_TEST(reclaiming_everything_takes_what_nobody_has_reported),
    CHECK_TEST(reclaiming_waits_for_no_decoder),
    CHECK_TEST(a_lost_job_is_seen_before_it_is_run),
    CHECK_TEST(whenever_the_stop_comes_each_job_ends_once),
    CHECK_TEST(creating_survives_every_failed_allocation),
};
CHECK_MAIN("worker batcher", tests)
