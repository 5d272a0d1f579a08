/* Awaiting: by one and by many threads, by a host's loop, with and without notifications, through losses. */
#include "integration/queue_suite.h"

#include <imgq/admin.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void answer_one(imgq_queue *peer)
{
    peer_job job;
    peer_take_one(peer, &job);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
}

/* ---- threads ---- */

enum { THREADS = 8, JOBS_EACH = 60 };

typedef struct crowd {
    imgq_queue *queue;
    atomic_int ok, other;
} crowd;

static void *submit_and_await_own(void *user)
{
    crowd *c = user;
    for (int i = 0; i < JOBS_EACH; i++) {
        imgq_error err;
        imgq_id id;
        imgq_result *result = NULL;
        const bool good = imgq_queue_submit(c->queue, "x", 1, NULL, &id, &err) == IMGQ_OK &&
                          imgq_queue_await(c->queue, &id, 1, 30000, &result, &err) == IMGQ_OK &&
                          strcmp(imgq_result_id(result).text, id.text) == 0 && imgq_result_status(result) == IMGQ_OK;
        atomic_fetch_add(good ? &c->ok : &c->other, 1);
        imgq_result_destroy(result);
    }
    return NULL;
}

static void run_crowd(crowd *c, void *(*fn)(void *))
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ_INT(0, pthread_create(&threads[i], NULL, fn, c));
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void eight_threads_submit_and_await_on_one_handle(void)
{
    crowd c = {.queue = suite_open_plain("crowd")};
    peer_worker *worker = peer_start(redis_fixture_url(suite_redis), "crowd");
    run_crowd(&c, submit_and_await_own);
    CHECK_EQ_INT(THREADS * JOBS_EACH, atomic_load(&c.ok));
    CHECK_EQ_INT(0, atomic_load(&c.other));
    CHECK_EQ_SIZE(THREADS * JOBS_EACH, peer_stop(worker));
    imgq_queue_close(c.queue);
}

static void *await_any(void *user)
{
    crowd *c = user;
    for (;;) {
        imgq_error err;
        imgq_result *result = NULL;
        const imgq_status status = imgq_queue_await(c->queue, NULL, 0, 30000, &result, &err);
        if (status == IMGQ_E_NOTFOUND)
            return NULL;
        atomic_fetch_add(status == IMGQ_OK ? &c->ok : &c->other, 1);
        imgq_result_destroy(result);
        if (status != IMGQ_OK)
            return NULL;
    }
}

static void each_end_is_handed_out_once(void)
{
    crowd c = {.queue = suite_open_plain("any")};
    for (int i = 0; i < 400; i++)
        (void)suite_submit(c.queue, "x", NULL);
    peer_worker *worker = peer_start(redis_fixture_url(suite_redis), "any");
    run_crowd(&c, await_any);
    CHECK_EQ_INT(400, atomic_load(&c.ok));
    CHECK_EQ_INT(0, atomic_load(&c.other));
    CHECK_EQ_SIZE(400, peer_stop(worker));
    imgq_queue_close(c.queue);
}

static void *await_for_ever(void *user)
{
    crowd *c = user;
    imgq_error err;
    imgq_result *result = NULL;
    const imgq_status status = imgq_queue_await(c->queue, NULL, 0, -1, &result, &err);
    atomic_fetch_add(status == IMGQ_E_CANCELLED ? &c->ok : &c->other, 1);
    imgq_result_destroy(result);
    return NULL;
}

static void an_interrupt_wakes_every_thread_and_holds_until_resumed(void)
{
    imgq_error err;
    imgq_result *result = NULL;
    pthread_t threads[THREADS];
    crowd c = {.queue = suite_open_plain("interrupt")};
    const imgq_id id = suite_submit(c.queue, "x", NULL);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ_INT(0, pthread_create(&threads[i], NULL, await_for_ever, &c));
    suite_sleep_ms(20);
    imgq_queue_interrupt(c.queue);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ_INT(THREADS, atomic_load(&c.ok));
    CHECK_STATUS(IMGQ_E_CANCELLED, imgq_queue_await(c.queue, &id, 1, 20000, &result, &err));
    CHECK_STATUS(IMGQ_E_CANCELLED, imgq_queue_submit(c.queue, "y", 1, NULL, NULL, &err));
    imgq_queue_resume_calls(c.queue);
    imgq_queue *peer = suite_peer("interrupt");
    answer_one(peer);
    suite_expect(c.queue, &id, IMGQ_OK, NULL);
    peer_close(peer);
    imgq_queue_close(c.queue);
}

/* ---- which ends ---- */

static void awaiting_several_gives_the_first_that_ends(void)
{
    imgq_error err;
    imgq_result *result = NULL;
    imgq_queue *queue = suite_open_plain("several"), *peer = suite_peer("several");
    peer_job jobs[3];
    imgq_id ids[4];
    for (int i = 0; i < 3; i++)
        ids[i] = suite_submit(queue, "x", NULL);
    ids[3] = ids[0]; /* duplicates are allowed */
    if (!CHECK_EQ_SIZE(3, peer_take(peer, jobs, 3)))
        return;
    CHECK_EQ_INT(1, peer_answer(peer, &jobs[1]));
    if (CHECK_OK(imgq_queue_await(queue, ids, 4, 20000, &result, &err)))
        CHECK_EQ_STR(ids[1].text, imgq_result_id(result).text);
    imgq_result_destroy(result);
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_await(queue, ids, 4, 0, &result, &err));
    CHECK_CONTAINS(ids[1].text, err.message);
    CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_await(queue, ids, 1, 50, &result, &err));
    CHECK_EQ_STR("no answer within 50 ms", err.message);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_await(queue, ids, 0, 0, &result, &err));
    imgq_queue_forget(queue, &ids[0]);
    imgq_queue_forget(queue, &ids[1]);
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_await(queue, ids, 1, 0, &result, &err));
    CHECK_EQ_INT(1, peer_answer(peer, &jobs[0]));
    CHECK_EQ_INT(1, peer_answer(peer, &jobs[2]));
    if (CHECK_OK(imgq_queue_await(queue, NULL, 0, 20000, &result, &err)))
        CHECK_EQ_STR(ids[2].text, imgq_result_id(result).text);
    imgq_result_destroy(result);
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_await(queue, NULL, 0, 0, &result, &err));
    peer_close(peer);
    imgq_queue_close(queue);
}

static void another_handle_attaches_to_jobs_before_and_after_their_end(void)
{
    imgq_error err;
    imgq_queue *queue = suite_open_plain("attach"), *late = suite_open_plain("attach"), *peer = suite_peer("attach");
    const imgq_id done = suite_submit(queue, "done", NULL);
    answer_one(peer);
    const imgq_id waiting = suite_submit(queue, "waiting", NULL), stranger = suite_id("stranger");
    const imgq_id ids[3] = {done, stranger, waiting};
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_attach(late, ids, 3, &err));
    CHECK_EQ_STR("attach to job stranger: unknown or expired", err.message);
    suite_expect(late, &done, IMGQ_OK, NULL); /* the others are followed all the same */
    answer_one(peer);
    suite_expect(late, &waiting, IMGQ_OK, NULL);
    suite_expect(queue, &waiting, IMGQ_OK, NULL);
    suite_expect(queue, &done, IMGQ_OK, NULL);
    peer_close(peer);
    imgq_queue_close(late);
    imgq_queue_close(queue);
}

static void more_followers_than_a_job_tells_all_get_its_answer(void)
{
    enum { HANDLES = 12 };
    imgq_error err;
    imgq_queue *queue = suite_open_plain("followers"), *handles[HANDLES], *peer = suite_peer("followers");
    const imgq_id id = suite_submit(queue, "x", NULL);
    for (int i = 0; i < HANDLES; i++) {
        handles[i] = suite_open_plain("followers");
        CHECK_OK(imgq_queue_attach(handles[i], &id, 1, &err));
    }
    answer_one(peer);
    for (int i = 0; i < HANDLES; i++) {
        suite_expect(handles[i], &id, IMGQ_OK, NULL);
        imgq_queue_close(handles[i]);
    }
    peer_close(peer);
    imgq_queue_close(queue);
}

/* ---- large answers ---- */

static void answers_of_every_size_arrive(void)
{
    /* Inline in the event up to 4 KiB, by STATUS up to 8 KiB, then by fetching the record. */
    static const size_t fillers[] = {10, 4000, 5000, 9000, 900000};
    imgq_queue *queue = suite_open_plain("answers"), *peer = suite_peer("answers");
    for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++) {
        imgq_error err;
        imgq_result *result = NULL;
        peer_job job;
        size_t len = 0;
        char *json = malloc(fillers[i] + 100);
        const imgq_id id = suite_submit(queue, "x", NULL);
        memcpy(json, "{\"schema\":1,\"top\":[],\"filler\":\"", 31);
        memset(json + 31, 'f', fillers[i]);
        memcpy(json + 31 + fillers[i], "\"}", 3);
        peer_take_one(peer, &job);
        CHECK_EQ_INT(1, peer_done(peer, &job, json));
        if (CHECK_OK(imgq_queue_await(queue, &id, 1, 20000, &result, &err))) {
            CHECK_EQ_INT(IMGQ_OK, imgq_result_status(result));
            (void)imgq_result_json(result, &len);
            CHECK_EQ_SIZE(strlen(json), len);
        }
        imgq_result_destroy(result);
        free(json);
    }
    peer_close(peer);
    imgq_queue_close(queue);
}

/* ---- without notifications ---- */

static imgq_queue *open_as(const char *user, const char *name)
{
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.username = user;
    options.password = "secret";
    return suite_open(name, &options);
}

static void with_every_publication_dropped_each_await_still_ends(void)
{
    enum { JOBS = 300 };
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_error err;
    peer_job jobs[64];
    crowd c = {.queue = suite_open_plain("mute")};
    suite_ask("OK", "ACL SETUSER mute on >secret ~* resetchannels +@all");
    options.username = "mute";
    options.password = "secret";
    imgq_queue *peer = peer_open(redis_fixture_url(suite_redis), "mute", &options);
    for (int i = 0; i < JOBS; i++)
        (void)suite_submit(c.queue, "x", NULL);
    for (size_t got; (got = peer_take(peer, jobs, 64)) > 0;) {
        for (size_t i = 0; i < got; i++)
            CHECK_EQ_INT(1, peer_answer(peer, &jobs[i]));
    }
    run_crowd(&c, await_any);
    CHECK_EQ_INT(JOBS, atomic_load(&c.ok));
    CHECK_EQ_INT(0, atomic_load(&c.other));
    CHECK_OK(imgq_queue_get_stats(c.queue, &stats, &err));
    CHECK_EQ_SIZE(JOBS, stats.succeeded);
    peer_close(peer);
    imgq_queue_close(c.queue);
}

static void a_user_without_the_channel_polls_and_is_told_once(void)
{
    suite_ask("OK", "ACL SETUSER deaf on >secret ~* resetchannels +@all");
    const int before = suite_warnings;
    imgq_queue *queue = open_as("deaf", "deaf"), *peer = suite_peer("deaf");
    for (int i = 0; i < 3; i++) {
        const imgq_id id = suite_submit(queue, "x", NULL);
        answer_one(peer);
        suite_expect(queue, &id, IMGQ_OK, NULL);
    }
    CHECK_EQ_INT(1, suite_warnings - before);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_handle_that_wants_no_notifications_polls_for_many_at_once(void)
{
    enum { JOBS = 500 };
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    uint64_t before = 0, after = 0;
    options.no_notify = 1;
    crowd c = {.queue = suite_open("poll", &options)};
    static imgq_payload payloads[JOBS];
    for (int i = 0; i < JOBS; i++)
        payloads[i] = (imgq_payload){"x", 1};
    CHECK_OK(imgq_queue_submit_many(c.queue, payloads, JOBS, NULL, NULL, NULL, &err));
    imgq_queue_get_traffic(c.queue, &before, NULL);
    peer_worker *worker = peer_start(redis_fixture_url(suite_redis), "poll");
    run_crowd(&c, await_any);
    imgq_queue_get_traffic(c.queue, &after, NULL);
    CHECK_EQ_INT(JOBS, atomic_load(&c.ok));
    CHECK(after - before < JOBS); /* in pages, not one by one */
    (void)peer_stop(worker);
    imgq_queue_close(c.queue);
}

static long cpu_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (long)(used.tv_sec * 1000 + used.tv_nsec / 1000000);
}

/* A wait that spins answers as well; only its bill tells. A few milliseconds are honest, a spin has hundreds. */
static void check_waiting_is_idle(imgq_queue *queue, const char *how)
{
    imgq_error err;
    imgq_result *result = NULL;
    const imgq_id id = suite_submit(queue, "x", NULL);
    const long before = cpu_ms();
    CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_await(queue, &id, 1, 1000, &result, &err));
    if (!CHECK(cpu_ms() - before < 100))
        fprintf(stderr, "# %s\n", how);
    for (int i = 0; i < 10; i++) {
        struct pollfd fd = {.fd = imgq_queue_fd(queue), .events = (short)imgq_queue_events(queue)};
        const int timeout_ms = imgq_queue_timeout_ms(queue);
        (void)poll(&fd, 1, timeout_ms < 0 || timeout_ms > 100 ? 100 : timeout_ms);
        CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_process(queue, &result, &err));
    }
    CHECK(cpu_ms() - before < 100);
    imgq_queue_close(queue);
}

static void waiting_costs_no_processor_time(void)
{
    imgq_queue_options polling = IMGQ_QUEUE_OPTIONS_INIT;
    polling.no_notify = 1;
    suite_ask("OK", "ACL SETUSER deaf on >secret ~* resetchannels +@all");
    check_waiting_is_idle(suite_open_plain("idle"), "notified");
    check_waiting_is_idle(suite_open("idle", &polling), "polling");
    check_waiting_is_idle(open_as("deaf", "idle"), "refused");
}

static void waiting_for_a_server_that_is_away_costs_no_processor_time(void)
{
    imgq_error err;
    imgq_result *result = NULL;
    imgq_queue *queue = suite_open_plain("idle-away");
    const imgq_id id = suite_submit(queue, "x", NULL);
    redis_fixture_kill(suite_redis);
    const long before = cpu_ms();
    const imgq_status status = imgq_queue_await(queue, &id, 1, 1500, &result, &err);
    CHECK(status == IMGQ_E_TIMEOUT || status == IMGQ_E_UNAVAILABLE);
    CHECK(cpu_ms() - before < 150);
    redis_fixture_restart(suite_redis);
    imgq_queue_close(queue);
}

/* ---- a host's loop ---- */

/* Waits as a host would; fails the test if nothing ends within 30 s. */
static imgq_result *loop_once(imgq_queue *queue)
{
    for (int waited_ms = 0; waited_ms < 30000;) {
        imgq_error err;
        imgq_result *ready = NULL;
        if (imgq_queue_process(queue, &ready, &err) == IMGQ_OK)
            return ready;
        int timeout_ms = imgq_queue_timeout_ms(queue);
        struct pollfd fd = {.fd = imgq_queue_fd(queue), .events = (short)imgq_queue_events(queue)};
        if (timeout_ms < 0 || timeout_ms > 100)
            timeout_ms = 100; /* other things to do */
        waited_ms += poll(&fd, 1, timeout_ms) == 0 ? timeout_ms + 1 : 0;
    }
    CHECK(!"nothing ended within 30 s");
    return NULL;
}

static void a_hosts_loop_gets_every_end_without_awaiting(void)
{
    enum { JOBS = 100 };
    imgq_queue *queue = suite_open_plain("loop");
    peer_worker *worker = peer_start(redis_fixture_url(suite_redis), "loop");
    for (int i = 0; i < JOBS; i++)
        (void)suite_submit(queue, "x", NULL);
    for (int i = 0; i < JOBS; i++) {
        imgq_result *result = loop_once(queue);
        if (result == NULL)
            break;
        CHECK_EQ_INT(IMGQ_OK, imgq_result_status(result));
        imgq_result_destroy(result);
    }
    CHECK_EQ_SIZE(JOBS, peer_stop(worker));
    imgq_queue_close(queue);
}

static void a_hosts_loop_asks_where_publications_are_dropped(void)
{
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    suite_ask("OK", "ACL SETUSER mute on >secret ~* resetchannels +@all");
    options.username = "mute";
    options.password = "secret";
    imgq_queue *queue = suite_open_plain("loop-mute");
    imgq_queue *peer = peer_open(redis_fixture_url(suite_redis), "loop-mute", &options);
    const imgq_id id = suite_submit(queue, "x", NULL);
    answer_one(peer);
    imgq_result *result = loop_once(queue);
    if (result != NULL)
        CHECK_EQ_STR(id.text, imgq_result_id(result).text);
    imgq_result_destroy(result);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_hosts_loop_never_blocks_on_a_stopped_server(void)
{
    imgq_error err;
    imgq_result *ready = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    /* A call that waited for this server would wait for longer than the test may take. */
    options.call_ms = options.connect_ms = 3600000;
    imgq_queue *queue = suite_open("loop-stop", &options), *peer = suite_peer("loop-stop");
    const imgq_id id = suite_submit(queue, "x", NULL);
    redis_fixture_pause(suite_redis);
    for (int i = 0; i < 60; i++) { /* 3 s: past the time to ask for the state */
        CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_process(queue, &ready, &err));
        struct pollfd fd = {.fd = imgq_queue_fd(queue), .events = (short)imgq_queue_events(queue)};
        const int timeout_ms = imgq_queue_timeout_ms(queue);
        (void)poll(&fd, 1, timeout_ms >= 0 && timeout_ms < 50 ? timeout_ms : 50);
    }
    redis_fixture_resume(suite_redis);
    answer_one(peer);
    imgq_result *result = loop_once(queue);
    if (result != NULL)
        CHECK_EQ_STR(id.text, imgq_result_id(result).text);
    imgq_result_destroy(result);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_hosts_loop_survives_a_server_that_comes_back(void)
{
    imgq_queue *queue = suite_open_plain("loop-back");
    const imgq_id id = suite_submit(queue, "x", NULL);
    redis_fixture_kill(suite_redis); /* without persistence: the job is gone with it */
    for (int i = 0; i < 10; i++) {
        imgq_error err;
        imgq_result *ready = NULL;
        struct pollfd fd = {.fd = imgq_queue_fd(queue), .events = (short)imgq_queue_events(queue)};
        CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_process(queue, &ready, &err));
        (void)poll(&fd, 1, 20);
    }
    redis_fixture_restart(suite_redis);
    imgq_result *result = loop_once(queue);
    if (result != NULL) {
        CHECK_EQ_STR(id.text, imgq_result_id(result).text);
        CHECK_EQ_INT(IMGQ_E_LOST, imgq_result_status(result));
    }
    imgq_result_destroy(result);
    imgq_queue_close(queue);
}

static void the_first_submission_to_a_stopped_server_ends(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.call_ms = options.connect_ms = 200;
    imgq_queue *queue = suite_open("first-stop", &options);
    redis_fixture_pause(suite_redis);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, imgq_queue_submit(queue, "x", 1, NULL, NULL, &err));
    redis_fixture_resume(suite_redis);
    imgq_status status = IMGQ_E_UNAVAILABLE;
    for (int tries = 0; tries < 50 && status == IMGQ_E_UNAVAILABLE; tries++)
        status = imgq_queue_submit(queue, "x", 1, NULL, NULL, &err);
    CHECK_EQ_INT(IMGQ_OK, status);
    imgq_queue_close(queue);
}

/* ---- losses ---- */

static void an_answer_given_while_the_subscription_was_cut_arrives(void)
{
    imgq_queue *queue = suite_open_plain("cut"), *peer = suite_peer("cut");
    for (int i = 0; i < 10; i++) {
        const imgq_id id = suite_submit(queue, "x", NULL);
        suite_ask(NULL, "CLIENT KILL TYPE pubsub");
        answer_one(peer);
        suite_expect(queue, &id, IMGQ_OK, NULL);
    }
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_server_that_has_forgotten_its_scripts_is_told_them_again(void)
{
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.no_notify = 1;
    imgq_queue *queue = suite_open("noscript", &options), *peer = suite_peer("noscript");
    for (int i = 0; i < 3; i++) {
        suite_ask("OK", "SCRIPT FLUSH SYNC");
        const imgq_id id = suite_submit(queue, "x", NULL);
        answer_one(peer);
        suite_ask("OK", "SCRIPT FLUSH SYNC");
        suite_expect(queue, &id, IMGQ_OK, NULL);
    }
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_job_that_is_gone_from_redis_is_lost_not_waited_for(void)
{
    imgq_queue *queue = suite_open_plain("lost");
    const imgq_id id = suite_submit(queue, "x", NULL);
    suite_ask("(integer) 1", "UNLINK iq:{lost.0}:j%s", id.text);
    suite_expect(queue, &id, IMGQ_E_LOST, "the job or its result is gone from Redis");
    imgq_queue_close(queue);
}

static void what_a_failover_lost_is_submitted_again_from_the_kept_copy(void)
{
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.keep_payload = 1;
    imgq_queue *queue = suite_open("kept", &options), *peer = suite_peer("kept");
    static char large[50001];
    memset(large, 'L', 50000);
    const imgq_id small_id = suite_submit(queue, "small", NULL), large_id = suite_submit(queue, large, NULL);
    suite_ask("OK", "FLUSHALL");
    suite_ask("OK", "SCRIPT FLUSH SYNC");
    peer_worker *worker = peer_start(redis_fixture_url(suite_redis), "kept");
    suite_expect(queue, &large_id, IMGQ_OK, NULL);
    suite_expect(queue, &small_id, IMGQ_OK, NULL);
    CHECK_EQ_SIZE(2, peer_stop(worker));
    peer_close(peer);
    imgq_queue_close(queue);
}

static void an_answer_that_is_garbage_is_an_answer_that_says_so(void)
{
    imgq_queue *queue = suite_open_plain("garbage"), *peer = suite_peer("garbage");
    peer_job job;
    const imgq_id id = suite_submit(queue, "x", NULL);
    peer_take_one(peer, &job);
    CHECK_EQ_INT(1, peer_done(peer, &job, "no JSON at all"));
    imgq_error err;
    imgq_result *result = NULL;
    if (CHECK_OK(imgq_queue_await(queue, &id, 1, 20000, &result, &err))) {
        CHECK_EQ_INT(IMGQ_E_CORRUPT, imgq_result_status(result));
        CHECK_CONTAINS("is not readable", imgq_result_message(result));
        CHECK_EQ_STR("no JSON at all", imgq_result_json(result, NULL));
    }
    imgq_result_destroy(result);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_record_that_is_garbage_does_not_stop_the_waiting_for_others(void)
{
    imgq_error err;
    imgq_result *result = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.no_notify = 1;
    imgq_queue *queue = suite_open("damaged", &options), *peer = suite_peer("damaged");
    const imgq_id bad[3] = {suite_submit(queue, "1", NULL), suite_submit(queue, "2", NULL),
                            suite_submit(queue, "3", NULL)};
    suite_ask("OK", "SET iq:{damaged.0}:j%s garbage", bad[0].text);
    suite_ask("OK", "SET iq:{damaged.0}:j%s %0100d", bad[1].text, 7);
    suite_ask(NULL, "UNLINK iq:{damaged.0}:j%s", bad[2].text);
    suite_ask("(integer) 1", "RPUSH iq:{damaged.0}:j%s item", bad[2].text);
    const imgq_id good = suite_submit(queue, "4", NULL);
    answer_one(peer);
    suite_expect(queue, &good, IMGQ_OK, NULL);
    for (int i = 0; i < 3; i++) {
        if (CHECK_OK(imgq_queue_await(queue, &bad[i], 1, 20000, &result, &err)))
            CHECK(imgq_result_status(result) == IMGQ_E_LOST || imgq_result_status(result) == IMGQ_E_CORRUPT);
        imgq_result_destroy(result);
    }
    peer_close(peer);
    imgq_queue_close(queue);
}

static const check_test tests[] = {
    CHECK_TEST(eight_threads_submit_and_await_on_one_handle),
    CHECK_TEST(each_end_is_handed_out_once),
    CHECK_TEST(an_interrupt_wakes_every_thread_and_holds_until_resumed),
    CHECK_TEST(awaiting_several_gives_the_first_that_ends),
    CHECK_TEST(another_handle_attaches_to_jobs_before_and_after_their_end),
    CHECK_TEST(more_followers_than_a_job_tells_all_get_its_answer),
    CHECK_TEST(answers_of_every_size_arrive),
    CHECK_TEST(with_every_publication_dropped_each_await_still_ends),
    CHECK_TEST(a_user_without_the_channel_polls_and_is_told_once),
    CHECK_TEST(a_handle_that_wants_no_notifications_polls_for_many_at_once),
    CHECK_TEST(waiting_costs_no_processor_time),
    CHECK_TEST(waiting_for_a_server_that_is_away_costs_no_processor_time),
    CHECK_TEST(a_hosts_loop_gets_every_end_without_awaiting),
    CHECK_TEST(a_hosts_loop_asks_where_publications_are_dropped),
    CHECK_TEST(a_hosts_loop_never_blocks_on_a_stopped_server),
    CHECK_TEST(a_hosts_loop_survives_a_server_that_comes_back),
    CHECK_TEST(the_first_submission_to_a_stopped_server_ends),
    CHECK_TEST(an_answer_given_while_the_subscription_was_cut_arrives),
    CHECK_TEST(a_server_that_has_forgotten_its_scripts_is_told_them_again),
    CHECK_TEST(a_job_that_is_gone_from_redis_is_lost_not_waited_for),
    CHECK_TEST(what_a_failover_lost_is_submitted_again_from_the_kept_copy),
    CHECK_TEST(an_answer_that_is_garbage_is_an_answer_that_says_so),
    CHECK_TEST(a_record_that_is_garbage_does_not_stop_the_waiting_for_others),
};
SUITE_MAIN("awaiting", NULL, tests)
