/* What imgq-ctl is made of. */
#include "integration/queue_suite.h"

#include <imgq/admin.h>

#include <stdio.h>
#include <string.h>

static void states_have_names(void)
{
    CHECK_EQ_STR("waiting", imgq_state_name('W'));
    CHECK_EQ_STR("expired", imgq_state_name('E'));
    CHECK_EQ_STR("unknown", imgq_state_name('Q'));
}

static void stats_count_what_happened(void)
{
    imgq_error err;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_submit_options delayed = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_queue *queue = suite_open_plain("stats"), *peer = suite_peer("stats");
    peer_job jobs[4];
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_INT(0, stats.worker_seen_unix_ms);
    CHECK_EQ_SIZE(0, stats.workers);
    delayed.delay_ms = 60000;
    (void)suite_submit(queue, "delayed", &delayed);
    for (int i = 0; i < 5; i++)
        (void)suite_submit(queue, "12345", NULL);
    if (!CHECK_EQ_SIZE(4, peer_take(peer, jobs, 4)))
        return;
    CHECK_EQ_INT(1, peer_answer(peer, &jobs[0]));
    CHECK_EQ_INT(2, peer_fail(peer, &jobs[1], 'P', 12, "bad"));
    CHECK_OK(imgq_queue_cancel(queue, &jobs[2].id, &err));
    suite_sleep_ms(20);
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(1, stats.waiting);
    CHECK_EQ_SIZE(1, stats.delayed);
    CHECK_EQ_SIZE(1, stats.active);
    CHECK_EQ_SIZE(1, stats.dead);
    CHECK_EQ_SIZE(6, stats.submitted);
    CHECK_EQ_SIZE(4, stats.delivered);
    CHECK_EQ_SIZE(1, stats.succeeded);
    CHECK_EQ_SIZE(1, stats.failed);
    CHECK_EQ_SIZE(1, stats.cancelled);
    CHECK_EQ_SIZE(1, stats.buried);
    CHECK_EQ_SIZE(17, stats.live_bytes);
    CHECK_EQ_SIZE(1, stats.workers);
    CHECK(stats.worker_seen_unix_ms > 0 && stats.worker_seen_unix_ms <= stats.server_unix_ms);
    CHECK(stats.oldest_wait_ms >= 20);
    CHECK_EQ_INT(4, peer_answer(peer, &jobs[2]));
    CHECK_EQ_INT(1, peer_answer(peer, &jobs[3]));
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_look_tells_all_of_one_job(void)
{
    imgq_error err;
    const imgq_id id = suite_id("look-at-me"), nobody = suite_id("nobody");
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_job_status status = IMGQ_JOB_STATUS_INIT;
    imgq_result *result = NULL;
    imgq_queue *queue = suite_open_plain("look"), *peer = suite_peer("look");
    peer_job job;
    options.id = &id;
    options.priority_plus_1 = 8;
    options.max_fails = 5;
    options.deadline_ms = 600000;
    CHECK_OK(imgq_queue_submit(queue, "12345678", 8, &options, NULL, &err));
    CHECK_OK(imgq_queue_look(queue, &id, &status, &result, &err));
    CHECK_EQ_STR("look-at-me", status.id.text);
    CHECK_EQ_INT('W', status.state);
    CHECK_EQ_INT(7, status.priority);
    CHECK_EQ_INT(5, status.max_fails);
    CHECK_EQ_INT(3, status.max_crashes);
    CHECK_EQ_INT(8, status.payload_bytes);
    CHECK_EQ_INT(0, status.attempt);
    CHECK_EQ_INT(status.submitted_unix_ms + 600000, status.deadline_unix_ms);
    CHECK(result == NULL);
    peer_take_one(peer, &job);
    CHECK_EQ_INT(1, peer_fail(peer, &job, 'T', 3, "disk on fire"));
    CHECK_OK(imgq_queue_look(queue, &id, &status, &result, &err));
    CHECK_EQ_INT(1, status.fails);
    CHECK_EQ_INT(1, status.attempt);
    CHECK_EQ_INT(IMGQ_E_IO, status.error);
    CHECK_EQ_STR("disk on fire", status.message);
    CHECK(result == NULL);
    peer_take_one(peer, &job);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    CHECK_OK(imgq_queue_look(queue, &id, &status, &result, &err));
    CHECK_EQ_INT('S', status.state);
    if (CHECK(result != NULL))
        CHECK_EQ_STR("label-7", imgq_result_label(result, 0));
    imgq_result_destroy(result);
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_look(queue, &nobody, &status, NULL, &err));
    CHECK_EQ_STR("look at job nobody: unknown or expired", err.message);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void bury(imgq_queue *queue, imgq_queue *peer, const char *name)
{
    imgq_error err;
    const imgq_id id = suite_id(name);
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    peer_job job;
    options.id = &id;
    CHECK_OK(imgq_queue_submit(queue, name, strlen(name), &options, NULL, &err));
    peer_take_one(peer, &job);
    CHECK_EQ_INT(2, peer_fail(peer, &job, 'P', 13, name));
}

static void dead_letters_are_listed_requeued_and_purged(void)
{
    imgq_error err;
    imgq_job_status page[3] = {IMGQ_JOB_STATUS_INIT};
    size_t count = 0;
    uint64_t purged = 9;
    imgq_queue *queue = suite_open_plain("dead-letters"), *peer = suite_peer("dead-letters");
    peer_job job;
    bury(queue, peer, "first");
    suite_sleep_ms(3); /* the order is by the millisecond of death */
    bury(queue, peer, "second");
    suite_sleep_ms(3);
    bury(queue, peer, "third");
    suite_sleep_ms(3);
    bury(queue, peer, "fourth");
    CHECK_OK(imgq_queue_dead(queue, 1, page, 2, &count, &err));
    if (CHECK_EQ_SIZE(2, count)) {
        CHECK_EQ_STR("second", page[0].id.text);
        CHECK_EQ_STR("second", page[0].message);
        CHECK_EQ_INT('F', page[0].state);
        CHECK_EQ_INT(IMGQ_E_CORRUPT, page[0].error);
        CHECK_EQ_STR("third", page[1].id.text);
        CHECK_EQ_SIZE(sizeof page[1], page[1].size);
    }
    CHECK_OK(imgq_queue_dead(queue, 4, page, 3, &count, &err));
    CHECK_EQ_SIZE(0, count);
    const imgq_id second = suite_id("second"), nobody = suite_id("nobody");
    CHECK_OK(imgq_queue_requeue(queue, &second, &err));
    CHECK_STATUS(IMGQ_E_CONFLICT, imgq_queue_requeue(queue, &second, &err));
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_requeue(queue, &nobody, &err));
    peer_take_one(peer, &job);
    CHECK_EQ_STR("second", job.id.text);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    CHECK_OK(imgq_queue_purge(queue, IMGQ_PURGE_DEAD, -1, 3600000, &purged, &err));
    CHECK_EQ_SIZE(0, purged); /* none died an hour ago */
    CHECK_OK(imgq_queue_purge(queue, IMGQ_PURGE_DEAD, -1, 0, &purged, &err));
    CHECK_EQ_SIZE(3, purged);
    CHECK_OK(imgq_queue_dead(queue, 0, page, 3, &count, &err));
    CHECK_EQ_SIZE(0, count);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void those_who_only_look_see_every_owners_jobs(void)
{
    imgq_error err;
    imgq_queue_options owner = IMGQ_QUEUE_OPTIONS_INIT, reader = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_job_status page[2] = {IMGQ_JOB_STATUS_INIT};
    size_t count = 0;
    owner.owner_token = "alice";
    reader.roles = IMGQ_ROLE_READER;
    imgq_queue *alice = suite_open("looked-at", &owner), *looks = suite_open("looked-at", &reader);
    imgq_queue *other = suite_open_plain("looked-at"), *peer = suite_peer("looked-at");
    bury(alice, peer, "hers");
    const imgq_id id = suite_id("hers");
    CHECK_OK(imgq_queue_look(looks, &id, &page[0], NULL, &err));
    CHECK_OK(imgq_queue_dead(looks, 0, page, 2, &count, &err));
    CHECK_EQ_SIZE(1, count);
    CHECK_STATUS(IMGQ_E_DENIED, imgq_queue_look(other, &id, &page[0], NULL, &err));
    peer_close(peer);
    imgq_queue_close(other);
    imgq_queue_close(looks);
    imgq_queue_close(alice);
}

static void other_owners_dead_letters_hide_none_of_ones_own(void)
{
    enum { OTHERS = 300 };
    imgq_error err;
    imgq_queue_options owner = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_job_status page[2] = {IMGQ_JOB_STATUS_INIT};
    size_t count = 0;
    owner.owner_token = "bob";
    imgq_queue *bob = suite_open("hidden", &owner);
    owner.owner_token = "alice";
    imgq_queue *alice = suite_open("hidden", &owner), *peer = suite_peer("hidden");
    for (int i = 0; i < OTHERS + 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "dead-%03d", i);
        bury(i == 10 || i >= OTHERS + 1 ? alice : bob, peer, name);
        /* In this order, however fast they died. */
        suite_ask(NULL, "ZADD iq:{hidden.0}:x 9%012d %s", i, name);
    }
    CHECK_OK(imgq_queue_dead(alice, 0, page, 2, &count, &err));
    if (CHECK_EQ_SIZE(2, count)) {
        CHECK_EQ_STR("dead-010", page[0].id.text);
        CHECK_EQ_STR("dead-301", page[1].id.text);
    }
    CHECK_OK(imgq_queue_dead(alice, 2, page, 2, &count, &err)); /* as many as were listed are passed over */
    if (CHECK_EQ_SIZE(1, count))
        CHECK_EQ_STR("dead-302", page[0].id.text);
    peer_close(peer);
    imgq_queue_close(alice);
    imgq_queue_close(bob);
}

static void what_waits_is_purged_by_priority_and_in_pages(void)
{
    enum { JOBS = 700 };
    imgq_error err;
    uint64_t purged = 0;
    static imgq_payload payloads[JOBS];
    imgq_submit_options urgent = IMGQ_SUBMIT_OPTIONS_INIT, delayed = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_queue *queue = suite_open_plain("purge");
    for (int i = 0; i < JOBS; i++)
        payloads[i] = (imgq_payload){"x", 1};
    urgent.priority_plus_1 = 10;
    delayed.delay_ms = 60000;
    CHECK_OK(imgq_queue_submit_many(queue, payloads, JOBS, NULL, NULL, NULL, &err));
    CHECK_OK(imgq_queue_submit_many(queue, payloads, 10, &urgent, NULL, NULL, &err));
    CHECK_OK(imgq_queue_submit_many(queue, payloads, 3, &delayed, NULL, NULL, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_purge(queue, IMGQ_PURGE_WAITING, 9, INT64_C(31622400001), &purged, &err));
    CHECK_EQ_STR("purge what is older than 31622400001 ms: 0 to 366 days", err.message);
    CHECK_OK(imgq_queue_purge(queue, IMGQ_PURGE_WAITING, 9, 0, &purged, &err));
    CHECK_EQ_SIZE(10, purged);
    CHECK_OK(imgq_queue_purge(queue, IMGQ_PURGE_WAITING, -1, 0, &purged, &err));
    CHECK_EQ_SIZE(JOBS, purged);
    CHECK_OK(imgq_queue_purge(queue, IMGQ_PURGE_DELAYED, -1, 0, &purged, &err));
    CHECK_EQ_SIZE(3, purged);
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(0, stats.waiting + stats.delayed + stats.live_bytes);
    CHECK_EQ_SIZE(JOBS + 13, stats.cancelled);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_purge(queue, 3, -1, 0, &purged, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_purge(queue, IMGQ_PURGE_DEAD, 5, 0, &purged, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_purge(queue, IMGQ_PURGE_DEAD, -1, -1, &purged, &err));
    imgq_queue_close(queue);
}

static void a_paused_queue_delivers_nothing_until_resumed(void)
{
    imgq_error err;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_queue *queue = suite_open_plain("pause"), *peer = suite_peer("pause");
    peer_job job;
    (void)suite_submit(queue, "x", NULL);
    CHECK_OK(imgq_queue_pause(queue, IMGQ_PAUSE_DELIVERIES, &err));
    CHECK_EQ_SIZE(0, peer_take(peer, &job, 1));
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_INT(IMGQ_PAUSE_DELIVERIES, stats.paused);
    (void)suite_submit(queue, "y", NULL); /* accepted all the same */
    CHECK_OK(imgq_queue_resume(queue, &err));
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_INT(0, stats.paused);
    peer_take_one(peer, &job);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_pause(queue, 0, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_pause(queue, 4, &err));
    peer_close(peer);
    imgq_queue_close(queue);
}

static void settings_are_checked_and_kept(void)
{
    static const struct {
        const char *name, *value;
    } bad[] = {{"nonsense", "1"},
               {"max_jobs", "0"},
               {"max_jobs", "-1"},
               {"max_jobs", "1000000001"},
               {"max_jobs", "many"},
               {"weights", "1,2,3"},
               {"weights", "1,2,3,4,5,6,7,8,9,1001"},
               {"weights", "1,2,3,4,5,6,7,8,9,x"}};
    imgq_error err;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_queue *queue = suite_open_plain("settings");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_configure(queue, bad[i].name, bad[i].value, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_configure(queue, "nonsense", "1", &err));
    CHECK_CONTAINS("max_jobs, max_bytes", err.message);
    CHECK_OK(imgq_queue_configure(queue, "max_jobs", "1234", &err));
    CHECK_OK(imgq_queue_configure(queue, "max_bytes", "5678", &err));
    CHECK_OK(imgq_queue_configure(queue, "weights", "0,1,2,3,4,5,6,7,8,1000", &err));
    CHECK_OK(imgq_queue_configure(queue, "result_ttl_ms", "1000", &err));
    CHECK_OK(imgq_queue_configure(queue, "idem_ttl_ms", "1000", &err));
    CHECK_OK(imgq_queue_configure(queue, "dead_ttl_ms", "1000", &err));
    CHECK_OK(imgq_queue_configure(queue, "dead_cap", "10", &err));
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(1234, stats.max_jobs);
    CHECK_EQ_SIZE(5678, stats.max_bytes);
    CHECK_OK(imgq_queue_configure(queue, "max_jobs", "", &err));
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(100000, stats.max_jobs);
    imgq_queue_close(queue);
}

static void workers_are_listed_latest_first(void)
{
    imgq_error err;
    imgq_worker_status workers[3] = {IMGQ_WORKER_STATUS_INIT};
    size_t count = 9;
    peer_job job;
    imgq_queue *queue = suite_open_plain("workers");
    CHECK_OK(imgq_queue_workers(queue, workers, 3, &count, &err));
    CHECK_EQ_SIZE(0, count);
    imgq_queue *one = suite_peer("workers"), *two = suite_peer("workers");
    CHECK_EQ_SIZE(0, peer_take(one, &job, 1));
    suite_sleep_ms(3);
    CHECK_EQ_SIZE(0, peer_take(two, &job, 1));
    CHECK_OK(imgq_queue_workers(queue, workers, 3, &count, &err));
    if (CHECK_EQ_SIZE(2, count)) {
        CHECK_EQ_STR("peer", workers[0].name);
        CHECK_EQ_STR("{\"peer\":true}", workers[0].info);
        CHECK(workers[0].seen_unix_ms > workers[1].seen_unix_ms);
        CHECK_EQ_SIZE(sizeof workers[1], workers[1].size);
    }
    CHECK_OK(imgq_queue_workers(queue, workers, 1, &count, &err));
    CHECK_EQ_SIZE(1, count);
    peer_close(two);
    peer_close(one);
    imgq_queue_close(queue);
}

static const check_test tests[] = {
    CHECK_TEST(states_have_names),
    CHECK_TEST(stats_count_what_happened),
    CHECK_TEST(a_look_tells_all_of_one_job),
    CHECK_TEST(dead_letters_are_listed_requeued_and_purged),
    CHECK_TEST(those_who_only_look_see_every_owners_jobs),
    CHECK_TEST(other_owners_dead_letters_hide_none_of_ones_own),
    CHECK_TEST(what_waits_is_purged_by_priority_and_in_pages),
    CHECK_TEST(a_paused_queue_delivers_nothing_until_resumed),
    CHECK_TEST(settings_are_checked_and_kept),
    CHECK_TEST(workers_are_listed_latest_first),
};
SUITE_MAIN("steering", NULL, tests)
