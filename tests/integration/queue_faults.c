/* A server that goes away, comes back, is full, slow, demoted or too careful. */
#include "integration/queue_suite.h"

#include <imgq/admin.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- kill -9 and restart ---- */

enum { THREADS = 4, JOBS_EACH = 25 };

typedef struct crowd {
    imgq_queue *queue;
    atomic_int ok, other, started;
} crowd;

/* A submission whose outcome is not known is repeated under the same id, as imgq/queue.h says. */
static imgq_status submit_until_known(imgq_queue *queue, imgq_id *id, imgq_error *err)
{
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    static const char payload[] = "one picture";
    imgq_status status = imgq_queue_submit(queue, payload, sizeof payload, &options, id, err);
    options.id = id;
    for (int tries = 0; imgq_status_is_retryable(status) && tries < 20; tries++)
        status = imgq_queue_submit(queue, payload, sizeof payload, &options, NULL, err);
    return status;
}

static void *submit_and_await(void *user)
{
    crowd *c = user;
    for (int i = 0; i < JOBS_EACH; i++) {
        imgq_error err;
        imgq_id id;
        imgq_result *result = NULL;
        atomic_fetch_add(&c->started, 1);
        imgq_status status = submit_until_known(c->queue, &id, &err);
        if (status == IMGQ_OK)
            status = imgq_queue_await(c->queue, &id, 1, 60000, &result, &err);
        const bool good = status == IMGQ_OK && imgq_result_status(result) == IMGQ_OK;
        if (!good)
            fprintf(stderr, "# %s\n", status == IMGQ_OK ? imgq_result_message(result) : err.message);
        atomic_fetch_add(good ? &c->ok : &c->other, 1);
        imgq_result_destroy(result);
    }
    return NULL;
}

static void every_job_is_answered_though_redis_is_killed_and_restarted(void)
{
    imgq_error err;
    pthread_t threads[THREADS];
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    crowd c = {.queue = suite_open_plain("restart")};
    peer_worker *worker = peer_start(redis_fixture_url(suite_redis), "restart");
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ_INT(0, pthread_create(&threads[i], NULL, submit_and_await, &c));
    for (int kills = 1; kills <= 3; kills++) {
        while (atomic_load(&c.started) < THREADS * JOBS_EACH * kills / 4)
            suite_sleep_ms(2);
        redis_fixture_kill(suite_redis);
        redis_fixture_restart(suite_redis);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ_INT(THREADS * JOBS_EACH, atomic_load(&c.ok));
    CHECK_EQ_INT(0, atomic_load(&c.other));
    CHECK_OK(imgq_queue_get_stats(c.queue, &stats, &err));
    CHECK_EQ_SIZE(THREADS * JOBS_EACH, stats.submitted); /* no repeat made a second job */
    CHECK_EQ_SIZE(THREADS * JOBS_EACH, stats.succeeded);
    (void)peer_stop(worker);
    imgq_queue_close(c.queue);
}

static void awaiting_survives_a_restart_and_gets_the_answer_given_after_it(void)
{
    imgq_queue *queue = suite_open_plain("after"), *peer = suite_peer("after");
    imgq_error err;
    imgq_result *result = NULL;
    peer_job job;
    const imgq_id id = suite_submit(queue, "x", NULL);
    redis_fixture_kill(suite_redis);
    CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_await(queue, &id, 1, 0, &result, &err));
    redis_fixture_restart(suite_redis);
    peer_take_one(peer, &job);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    suite_expect(queue, &id, IMGQ_OK, NULL);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_server_that_stays_away_is_unavailable_not_slow(void)
{
    imgq_error err;
    imgq_result *result = NULL;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.connect_ms = options.call_ms = 200;
    imgq_queue *queue = suite_open("away", &options);
    const imgq_id id = suite_submit(queue, "x", NULL);
    CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_await(queue, &id, 1, 20, &result, &err)); /* it is there */
    redis_fixture_kill(suite_redis);
    /* The first wait may still have begun before the loss was seen. */
    const imgq_status first = imgq_queue_await(queue, &id, 1, 300, &result, &err);
    CHECK(first == IMGQ_E_TIMEOUT || first == IMGQ_E_UNAVAILABLE);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, imgq_queue_await(queue, &id, 1, 300, &result, &err));
    CHECK_CONTAINS("connect to", err.message);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, imgq_queue_submit(queue, "y", 1, NULL, NULL, &err));
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, imgq_queue_get_stats(queue, &stats, &err));
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, imgq_queue_cancel(queue, &id, &err));
    /* Many pages do not wait one after the other. */
    static imgq_payload payloads[5000];
    static imgq_id ids[5000];
    static imgq_status each[5000];
    for (int i = 0; i < 5000; i++)
        payloads[i] = (imgq_payload){"x", 1};
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, imgq_queue_submit_many(queue, payloads, 5000, NULL, ids, each, &err));
    CHECK_EQ_INT(IMGQ_E_UNAVAILABLE, each[4999]);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, imgq_queue_cancel_many(queue, ids, 5000, each, &err));
    redis_fixture_restart(suite_redis);
    /* Each call here ends after 400 ms, and the back-off of the connection may be longer. */
    imgq_status status = IMGQ_E_UNAVAILABLE;
    for (int tries = 0; tries < 50 && status == IMGQ_E_UNAVAILABLE; tries++)
        status = imgq_queue_get_stats(queue, &stats, &err);
    CHECK_EQ_INT(IMGQ_OK, status);
    CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_await(queue, &id, 1, 3000, &result, &err));
    imgq_queue_close(queue);
}

/* ---- answers that do not come ---- */

typedef struct one_submit {
    imgq_queue *queue;
    imgq_id id;
    imgq_status status;
    imgq_error err;
} one_submit;

static void *submit_one(void *user)
{
    one_submit *s = user;
    s->status = imgq_queue_submit(s->queue, "picture", 7, NULL, &s->id, &s->err);
    return NULL;
}

static void a_submission_whose_answer_is_late_is_repeated_and_is_one_job(void)
{
    imgq_error err;
    pthread_t thread;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.call_ms = 300; /* longer silence: the connection is given up, the job is not */
    options.connect_ms = 20000;
    one_submit s = {.queue = suite_open("late", &options)};
    (void)suite_submit(s.queue, "connects", NULL);
    redis_fixture_pause(suite_redis);
    CHECK_EQ_INT(0, pthread_create(&thread, NULL, submit_one, &s));
    suite_sleep_ms(1000); /* the bytes are in the socket; the caller has given up once at least */
    redis_fixture_resume(suite_redis);
    pthread_join(thread, NULL);
    if (!CHECK_EQ_INT(IMGQ_OK, s.status))
        fprintf(stderr, "# %s\n", s.err.message);
    CHECK_OK(imgq_queue_get_stats(s.queue, &stats, &err));
    CHECK_EQ_SIZE(2, stats.waiting);
    CHECK_EQ_SIZE(2, stats.submitted);
    imgq_queue_close(s.queue);
}

static void an_unknown_outcome_is_settled_by_the_same_id(void)
{
    imgq_error err;
    imgq_id id = {{0}};
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_queue_options short_calls = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    short_calls.call_ms = short_calls.connect_ms = 200;
    imgq_queue *queue = suite_open("unknown", &short_calls), *peer = suite_peer("unknown");
    peer_job job;
    (void)suite_submit(queue, "connects", NULL);
    peer_take_one(peer, &job);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    redis_fixture_pause(suite_redis);
    const imgq_status status = imgq_queue_submit(queue, "picture", 7, NULL, &id, &err);
    CHECK(status == IMGQ_E_UNAVAILABLE || status == IMGQ_E_TIMEOUT);
    CHECK_EQ_SIZE(32, strlen(id.text)); /* the id is told all the same */
    redis_fixture_resume(suite_redis);
    options.id = &id;
    CHECK_OK(imgq_queue_submit(queue, "picture", 7, &options, NULL, &err));
    peer_take_one(peer, &job);
    CHECK_EQ_STR(id.text, job.id.text);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    suite_expect(queue, &id, IMGQ_OK, NULL);
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(2, stats.submitted);
    peer_close(peer);
    imgq_queue_close(queue);
}

/* ---- refusals ---- */

static void a_full_server_is_busy_and_drains(void)
{
    imgq_error err;
    imgq_queue *queue = suite_open_plain("oom"), *peer = suite_peer("oom");
    static char large[100001];
    peer_job job;
    imgq_id ids[3];
    memset(large, 'L', 100000);
    for (int i = 0; i < 3; i++)
        ids[i] = suite_submit(queue, large, NULL);
    suite_ask("OK", "CONFIG SET maxmemory 500000"); /* over it by far: still it drains, and can be opened */
    CHECK_STATUS(IMGQ_E_BUSY, imgq_queue_submit(queue, "x", 1, NULL, NULL, &err));
    CHECK_CONTAINS("has no memory left (maxmemory)", err.message);
    CHECK_EQ_INT(1000, err.retry_after_ms);
    CHECK_STATUS(IMGQ_E_BUSY, imgq_queue_submit(queue, large, 100000, NULL, NULL, &err));
    imgq_queue *late = suite_open_plain("oom");
    for (int i = 0; i < 3; i++) {
        peer_take_one(peer, &job);
        CHECK_EQ_INT(1, peer_answer(peer, &job));
        suite_expect(queue, &ids[i], IMGQ_OK, NULL);
    }
    suite_ask("OK", "CONFIG SET maxmemory 0");
    CHECK_OK(imgq_queue_submit(queue, large, 100000, NULL, NULL, &err));
    imgq_queue_close(late);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_server_without_its_replicas_is_busy(void)
{
    imgq_error err;
    imgq_queue *queue = suite_open_plain("replicas");
    suite_ask("OK", "CONFIG SET min-replicas-to-write 1");
    CHECK_STATUS(IMGQ_E_BUSY, imgq_queue_submit(queue, "x", 1, NULL, NULL, &err));
    CHECK_EQ_INT(1000, err.retry_after_ms);
    suite_ask("OK", "CONFIG SET min-replicas-to-write 0");
    CHECK_OK(imgq_queue_submit(queue, "x", 1, NULL, NULL, &err));
    imgq_queue_close(queue);
}

static void a_demoted_server_is_waited_for(void)
{
    pthread_t thread;
    one_submit s = {.queue = suite_open_plain("demoted")};
    (void)suite_submit(s.queue, "connects", NULL);
    suite_ask("OK", "REPLICAOF 127.0.0.1 1");
    CHECK_EQ_INT(0, pthread_create(&thread, NULL, submit_one, &s));
    suite_sleep_ms(500);
    suite_ask("OK", "REPLICAOF NO ONE");
    pthread_join(thread, NULL);
    if (!CHECK_EQ_INT(IMGQ_OK, s.status))
        fprintf(stderr, "# %s\n", s.err.message);
    imgq_queue_close(s.queue);
}

static void *run_a_slow_script(void *user)
{
    (void)user;
    /* Comments stand for blanks, which the plain line cannot quote. */
    (void)redis_fixture_ask(suite_redis, "EVAL for--[[]]i=1,1e9--[[]]do--[[]]redis.call([[PING]])--[[]]end 0");
    return NULL;
}

static void anothers_slow_script_is_waited_out(void)
{
    pthread_t slow, thread;
    one_submit s = {.queue = suite_open_plain("slow")};
    (void)suite_submit(s.queue, "connects", NULL);
    suite_ask("OK", "CONFIG SET busy-reply-threshold 50");
    CHECK_EQ_INT(0, pthread_create(&slow, NULL, run_a_slow_script, NULL));
    /* Busy is what everything but SCRIPT KILL is answered now. */
    for (int i = 0; i < 1000 && strncmp(redis_fixture_ask(suite_redis, "PING"), "-BUSY", 5) != 0; i++)
        suite_sleep_ms(5);
    CHECK_EQ_INT(0, pthread_create(&thread, NULL, submit_one, &s));
    suite_sleep_ms(300);
    suite_ask("OK", "SCRIPT KILL");
    pthread_join(slow, NULL);
    pthread_join(thread, NULL);
    if (!CHECK_EQ_INT(IMGQ_OK, s.status))
        fprintf(stderr, "# %s\n", s.err.message);
    imgq_queue_close(s.queue);
}

static const check_test tests[] = {
    CHECK_TEST(every_job_is_answered_though_redis_is_killed_and_restarted),
    CHECK_TEST(awaiting_survives_a_restart_and_gets_the_answer_given_after_it),
    CHECK_TEST(a_server_that_stays_away_is_unavailable_not_slow),
    CHECK_TEST(a_submission_whose_answer_is_late_is_repeated_and_is_one_job),
    CHECK_TEST(an_unknown_outcome_is_settled_by_the_same_id),
    CHECK_TEST(a_full_server_is_busy_and_drains),
    CHECK_TEST(a_server_without_its_replicas_is_busy),
    CHECK_TEST(a_demoted_server_is_waited_for),
    CHECK_TEST(anothers_slow_script_is_waited_out),
};
SUITE_MAIN("faults", "appendonly yes\nappendfsync always", tests)
