/* Leases of taken jobs: renewed, lost, limited; and answers that come too late. */
#include "integration/taker_suite.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "queue/job.h"

/* ---- leases ---- */

static void late_done_from_a_lost_lease_is_refused(void)
{
    imgq_error err;
    imgq_queue *late = taker_open("late"), *other = taker_open("late");
    const imgq_id id = taker_submit(other, "photo");
    const imgq_answer answer = taker_answer();
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_job *job = taker_take_one(late);
    taker_end_lease("late", &id);
    imgq_job *again = taker_take_one(other);
    if (again == NULL || !CHECK_EQ_STR(id.text, imgq_job_id(again).text))
        return;
    CHECK_STATUS(IMGQ_E_LOST, imgq_job_renew(job, LEASE_MS, &err));
    CHECK_EQ_INT(IMGQ_E_LOST, imgq_job_standing(job));
    CHECK_STATUS(IMGQ_E_LOST, imgq_job_done(job, &answer, &err));
    CHECK_OK(imgq_job_done(again, &answer, &err));
    CHECK_OK(imgq_queue_get_stats(other, &stats, &err));
    CHECK_EQ_SIZE(1, stats.succeeded);
    CHECK_EQ_SIZE(1, stats.lost_leases);
    imgq_queue_close(late);
    imgq_queue_close(other);
}

static void a_second_answer_under_a_stale_fence_is_counted_and_changes_nothing(void)
{
    imgq_error err;
    imgq_queue *late = taker_open("stale"), *other = taker_open("stale");
    const imgq_id id = taker_submit(other, "photo");
    const imgq_answer answer = taker_answer();
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_job *job = taker_take_one(late);
    taker_end_lease("stale", &id);
    CHECK_OK(imgq_job_done(taker_take_one(other), &answer, &err));
    CHECK_STATUS(IMGQ_E_LOST, imgq_job_done(job, &answer, &err)); /* it did not know yet */
    CHECK_OK(imgq_queue_get_stats(other, &stats, &err));
    CHECK_EQ_SIZE(1, stats.succeeded);
    CHECK_EQ_SIZE(1, stats.stale_results);
    imgq_queue_close(late);
    imgq_queue_close(other);
}

static void an_answer_that_is_very_late_counts_if_nobody_else_took_the_job(void)
{
    imgq_error err;
    imgq_queue *queue = taker_open("overdue");
    taker_submit(queue, "photo");
    const imgq_answer answer = taker_answer();
    imgq_job *job = taker_take_one(queue);
    job->lease_end_ns = 1; /* long ago, as this side sees it */
    CHECK_OK(imgq_job_done(job, &answer, &err));
    imgq_queue_close(queue);
}

static void a_cancelled_job_is_noticed_when_it_is_renewed_and_when_it_is_done(void)
{
    imgq_error err;
    imgq_queue *queue = taker_open("cancel");
    const imgq_answer answer = taker_answer();
    imgq_id id = taker_submit(queue, "photo");
    imgq_job *job = taker_take_one(queue);
    CHECK_OK(imgq_job_renew(job, 20000, &err));
    CHECK_OK(imgq_queue_cancel(queue, &id, &err));
    CHECK_STATUS(IMGQ_E_CANCELLED, imgq_job_renew(job, LEASE_MS, &err));
    imgq_job_release(job);
    id = taker_submit(queue, "photo");
    job = taker_take_one(queue);
    CHECK_OK(imgq_queue_cancel(queue, &id, &err));
    CHECK_STATUS(IMGQ_E_CANCELLED, imgq_job_done(job, &answer, &err));
    CHECK(taker_finds_nothing(queue));
    imgq_queue_close(queue);
}

static void a_handle_that_keeps_leases_keeps_them_and_learns_of_losses(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.keep_leases = 1;
    imgq_queue *queue = taker_open_with(taker_env, "keep", &options), *other = taker_open("keep");
    const imgq_answer answer = taker_answer();
    const imgq_id kept = taker_submit(other, "kept"), lost = taker_submit(other, "lost");
    imgq_job_status status;
    imgq_job *first = taker_take_one(queue), *second = taker_take_one(queue);
    CHECK_OK(imgq_queue_cancel(other, &lost, &err));
    const double start = taker_seconds();
    while (taker_seconds() - start < 1.3 * LEASE_MS / 1000.0) {
        CHECK(taker_finds_nothing(other)); /* its ticks would reap a lease that was not renewed */
        usleep(300000);
    }
    CHECK_EQ_INT(IMGQ_STATE_ACTIVE, taker_state_of(other, &kept, &status));
    CHECK_EQ_INT(0, status.crashes);
    CHECK_EQ_INT(IMGQ_OK, imgq_job_standing(first));
    CHECK_EQ_INT(IMGQ_E_CANCELLED, imgq_job_standing(second));
    CHECK_OK(imgq_job_done(first, &answer, &err));
    imgq_job_release(second);
    imgq_queue_close(queue);
    imgq_queue_close(other);
}

/* A thread that slept, or a second outage within the time of one grace: the leases have ended, but nobody has noticed.
 * The holder's own take must not be who does. */
static void a_taker_behind_with_its_leases_renews_them_before_it_takes(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.keep_leases = 1;
    imgq_queue *queue = taker_open_with(taker_env, "behind", &options);
    const imgq_id id = taker_submit(queue, "held");
    imgq_job *job = taker_take_one(queue);
    (void)taker_submit(queue, "next");
    usleep(300000); /* the next call ticks */
    pthread_mutex_lock(&queue->taker->lock);
    job->lease_end_ns -= 9 * INT64_C(1000000000); /* as if renewed nine taker_seconds ago */
    pthread_mutex_unlock(&queue->taker->lock);
    taker_end_lease("behind", &id);
    imgq_job *next = taker_take_one(queue);
    CHECK(strcmp(imgq_job_id(next).text, id.text) != 0);
    imgq_job_status status;
    CHECK_EQ_INT(IMGQ_STATE_ACTIVE, taker_state_of(queue, &id, &status));
    CHECK_EQ_SIZE(0, status.crashes);
    const imgq_answer answer = taker_answer();
    CHECK_OK(imgq_job_done(job, &answer, &err));
    imgq_job_release(next);
    imgq_queue_close(queue);
}

static int64_t last_tick_ms(const char *queue)
{
    char line[64];
    snprintf(line, sizeof line, "HGET iq:{%s.0}:m tk", queue);
    return strtoll(redis_fixture_ask(taker_redis, line), NULL, 10);
}

/* A report is no tick: were it counted as one, the queue would have none for nearly six taker_seconds, which looks like
 * an outage and delays everybody's leases. */
static void a_taker_that_has_reported_still_ticks_in_time(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.keep_leases = 1;
    imgq_queue *queue = taker_open_with(taker_env, "ticks", &options);
    int64_t gap_ms = INT64_MAX;
    for (int tries = 0; tries < 3 && gap_ms > 5000; tries++) { /* a machine that is busy may be late once */
        (void)taker_submit(queue, "photo");
        imgq_job *job = taker_take_one(queue);
        const int64_t taken_ms = last_tick_ms("ticks");
        const imgq_answer answer = taker_answer();
        usleep(1800000); /* the first renewal would be due after two taker_seconds */
        CHECK_OK(imgq_job_done(job, &answer, &err));
        int64_t next_ms = taken_ms;
        for (int waited = 0; waited < 400 && next_ms == taken_ms; waited++) {
            usleep(50000);
            next_ms = last_tick_ms("ticks");
        }
        gap_ms = next_ms - taken_ms;
    }
    printf("%lld ms between two ticks\n", (long long)gap_ms);
    CHECK(gap_ms <= 5000);
    imgq_queue_close(queue);
}

static void renewing_ends_at_the_exec_limit(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.keep_leases = 1;
    options.exec_limit_ms = 1000;
    imgq_queue *queue = taker_open_with(taker_env, "limit", &options), *other = taker_open("limit");
    taker_submit(other, "photo");
    imgq_job *job = taker_take_one(queue), *again = NULL;
    size_t count = 0;
    /* It hangs; after the limit its lease is left to end, and somebody else gets the job. */
    CHECK_OK(imgq_queue_take(other, 1, 0, LEASE_MS, 60000, &again, &count, &err));
    CHECK_EQ_SIZE(1, count);
    imgq_job_release(again);
    imgq_job_release(job);
    imgq_queue_close(queue);
    imgq_queue_close(other);
}

static const check_test tests[] = {
    CHECK_TEST(late_done_from_a_lost_lease_is_refused),
    CHECK_TEST(a_second_answer_under_a_stale_fence_is_counted_and_changes_nothing),
    CHECK_TEST(an_answer_that_is_very_late_counts_if_nobody_else_took_the_job),
    CHECK_TEST(a_cancelled_job_is_noticed_when_it_is_renewed_and_when_it_is_done),
    CHECK_TEST(a_handle_that_keeps_leases_keeps_them_and_learns_of_losses),
    CHECK_TEST(a_taker_behind_with_its_leases_renews_them_before_it_takes),
    CHECK_TEST(a_taker_that_has_reported_still_ticks_in_time),
    CHECK_TEST(renewing_ends_at_the_exec_limit),
};
TAKER_MAIN("leases", tests)
