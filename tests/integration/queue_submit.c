/* Submitting, and what becomes of a job, against a real server. */
#include "integration/queue_suite.h"

#include <imgq/admin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_answered(imgq_result *result, const imgq_id *id)
{
    imgq_error err;
    size_t count = 0;
    imgq_result_info info = IMGQ_RESULT_INFO_INIT;
    const imgq_prediction *top = imgq_result_top(result, &count);
    CHECK_EQ_STR(id->text, imgq_result_id(result).text);
    CHECK_EQ_INT(IMGQ_OK, imgq_result_status(result));
    CHECK_EQ_STR("", imgq_result_message(result));
    CHECK_EQ_SIZE(1, count);
    CHECK_EQ_INT(7, top[0].class_id);
    CHECK_NEAR(0.75, top[0].probability, 0);
    CHECK_EQ_STR("label-7", imgq_result_label(result, 0));
    CHECK_OK(imgq_result_get_info(result, &info, &err));
    CHECK_EQ_STR("peer", info.worker);
}

static uint8_t *make_payload(size_t len)
{
    uint8_t *payload = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)(i * 31 + len);
    return payload;
}

/* The whole way for one payload. */
static void round_trip(imgq_queue *queue, imgq_queue *peer, size_t len)
{
    imgq_error err;
    imgq_id id;
    peer_job job;
    imgq_result *result = NULL;
    uint8_t *payload = make_payload(len);
    if (!CHECK_OK(imgq_queue_submit(queue, payload, len, NULL, &id, &err)))
        goto out;
    CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_await(queue, &id, 1, 0, &result, &err));
    peer_take_one(peer, &job);
    CHECK_EQ_STR(id.text, job.id.text);
    if (CHECK_EQ_SIZE(len, job.payload_len))
        CHECK_EQ_MEM(payload, job.payload, len);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    if (CHECK_OK(imgq_queue_await(queue, &id, 1, 20000, &result, &err)))
        check_answered(result, &id);
    imgq_result_destroy(result);
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_await(queue, &id, 1, 0, &result, &err));
out:
    free(payload);
}

static void jobs_of_every_size_come_back_answered(void)
{
    imgq_queue *queue = suite_open_plain("sizes"), *peer = suite_peer("sizes");
    const size_t sizes[] = {0, 1, 100, 8191, 8192, 8193, 79872, 8 << 20, 32 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        round_trip(queue, peer, sizes[i]);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_payload_over_the_limit_is_refused_before_anything_is_sent(void)
{
    imgq_error err;
    imgq_id id;
    uint64_t before = 0, after = 0;
    imgq_queue *queue = suite_open_plain("limit");
    uint8_t *payload = make_payload(33 << 20);
    (void)suite_submit(queue, "first", NULL);
    imgq_queue_get_traffic(queue, &before, NULL);
    CHECK_STATUS(IMGQ_E_LIMIT, imgq_queue_submit(queue, payload, 33 << 20, NULL, &id, &err));
    CHECK_EQ_STR("payload of 34603008 bytes, the limit is 33554432", err.message);
    imgq_queue_get_traffic(queue, &after, NULL);
    CHECK_EQ_SIZE(before, after);
    free(payload);
    imgq_queue_close(queue);
}

static void many_jobs_travel_in_few_round_trips(void)
{
    enum { JOBS = 300 };
    imgq_error err;
    imgq_payload payloads[JOBS];
    imgq_id ids[JOBS];
    imgq_status each[JOBS];
    uint64_t before = 0, after = 0;
    char text[JOBS][8];
    imgq_queue *queue = suite_open_plain("many"), *peer = suite_peer("many");
    for (int i = 0; i < JOBS; i++) {
        snprintf(text[i], sizeof text[i], "%d", i);
        payloads[i] = (imgq_payload){text[i], strlen(text[i])};
        each[i] = IMGQ_E_INTERNAL;
    }
    (void)suite_submit(queue, "connects", NULL);
    imgq_queue_get_traffic(queue, NULL, &before);
    CHECK_OK(imgq_queue_submit_many(queue, payloads, JOBS, NULL, ids, each, &err));
    imgq_queue_get_traffic(queue, NULL, &after);
    CHECK_EQ_SIZE(3, after - before); /* 128 + 128 + 44 */
    peer_job jobs[64];
    size_t answered = 0;
    for (size_t got; (got = peer_take(peer, jobs, 64)) > 0;) {
        for (size_t i = 0; i < got; i++)
            answered += peer_answer(peer, &jobs[i]) == 1;
    }
    CHECK_EQ_SIZE(JOBS + 1, answered);
    for (int i = 0; i < JOBS; i++) {
        CHECK_EQ_INT(IMGQ_OK, each[i]);
        suite_expect(queue, &ids[i], IMGQ_OK, NULL);
    }
    peer_close(peer);
    imgq_queue_close(queue);
}

static void large_jobs_of_one_call_are_split_at_eight_mebibytes(void)
{
    enum { JOBS = 5, SIZE = 3 << 20 };
    imgq_error err;
    imgq_payload payloads[JOBS];
    imgq_id ids[JOBS];
    uint64_t before = 0, after = 0;
    imgq_queue *queue = suite_open_plain("split"), *peer = suite_peer("split");
    uint8_t *payload = make_payload(SIZE + JOBS);
    for (int i = 0; i < JOBS; i++)
        payloads[i] = (imgq_payload){payload + i, SIZE};
    (void)suite_submit(queue, "connects", NULL);
    imgq_queue_get_traffic(queue, NULL, &before);
    CHECK_OK(imgq_queue_submit_many(queue, payloads, JOBS, NULL, ids, NULL, &err));
    imgq_queue_get_traffic(queue, NULL, &after);
    CHECK_EQ_SIZE(3, after - before); /* 2 + 2 + 1 */
    peer_job job;
    peer_take_one(peer, &job);
    (void)peer_answer(peer, &job);
    for (int i = 0; i < JOBS; i++) {
        peer_take_one(peer, &job);
        CHECK_EQ_STR(ids[i].text, job.id.text);
        CHECK(job.payload_len == SIZE && memcmp(payload + i, job.payload, SIZE) == 0);
        CHECK_EQ_INT(1, peer_answer(peer, &job));
    }
    free(payload);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void one_bad_job_of_many_does_not_stop_the_others(void)
{
    imgq_error err;
    imgq_id ids[3] = {suite_id("good-1"), suite_id("bad id"), suite_id("good-2")};
    imgq_status each[3];
    const imgq_payload payloads[3] = {{"a", 1}, {"b", 1}, {"c", 1}};
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_queue *queue = suite_open_plain("one-bad");
    options.id = ids;
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_submit_many(queue, payloads, 3, &options, NULL, each, &err));
    CHECK_CONTAINS("id \"bad id\"", err.message);
    CHECK_EQ_INT(IMGQ_OK, each[0]);
    CHECK_EQ_INT(IMGQ_E_INVALID, each[1]);
    CHECK_EQ_INT(IMGQ_OK, each[2]);
    imgq_queue_close(queue);
}

static void ids_that_are_not_a_users_are_refused(void)
{
    imgq_error err;
    static const char *const bad[] = {"", "_mine", "_0123456789abcdef0123456789abcde", "a/b", "\xc3\xbc"};
    imgq_queue *queue = suite_open_plain("ids");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const imgq_id id = suite_id(bad[i]);
        imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
        options.id = &id;
        CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_submit(queue, "x", 1, &options, NULL, &err));
    }
    imgq_queue_close(queue);
}

static void options_out_of_range_are_refused(void)
{
    imgq_error err;
    imgq_queue *queue = suite_open_plain("options");
    imgq_submit_options bad[13];
    for (size_t i = 0; i < 13; i++)
        bad[i] = IMGQ_SUBMIT_OPTIONS_INIT;
    bad[0].priority_plus_1 = 11;
    bad[1].top_count = 101;
    bad[2].media = 3;
    bad[3].media = IMGQ_MEDIA_U8;
    bad[4].media = IMGQ_MEDIA_U8, bad[4].width = 2, bad[4].height = 2; /* 12 bytes, not 1 */
    bad[5].exif = 3;
    bad[6].delay_ms = -1;
    bad[7].deadline_ms = INT64_C(31622400001);
    bad[8].max_fails = 1001;
    bad[9].profile = "a\nb";
    bad[10].model = "a very long name a very long name a very long name a very long name a very long name "
                    "a very long name a very long name a very long name";
    bad[11].result_ttl_ms = INT64_C(4294967296);
    bad[12].size = 4;
    for (size_t i = 0; i < 13; i++)
        CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_submit(queue, "x", 1, &bad[i], NULL, &err));
    imgq_queue_close(queue);
}

static void the_same_id_with_the_same_content_is_one_job(void)
{
    imgq_error err;
    imgq_id out;
    const imgq_id id = suite_id("order:1");
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_queue *queue = suite_open_plain("same"), *other = suite_open_plain("same"), *peer = suite_peer("same");
    peer_job job;
    options.id = &id;
    options.top_count = 3;
    for (int i = 0; i < 3; i++) {
        CHECK_OK(imgq_queue_submit(queue, "picture", 7, &options, &out, &err));
        CHECK_EQ_STR("order:1", out.text);
    }
    CHECK_OK(imgq_queue_submit(other, "picture", 7, &options, NULL, &err));
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(1, stats.waiting);
    peer_take_one(peer, &job);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    suite_expect(queue, &id, IMGQ_OK, NULL);
    suite_expect(other, &id, IMGQ_OK, NULL); /* who came second hears of it too */
    /* After its end it is answered at once, without a second run. */
    CHECK_OK(imgq_queue_submit(queue, "picture", 7, &options, NULL, &err));
    suite_expect(queue, &id, IMGQ_OK, NULL);
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(0, stats.waiting);
    CHECK_EQ_SIZE(1, stats.delivered);
    peer_close(peer);
    imgq_queue_close(other);
    imgq_queue_close(queue);
}

static void the_same_id_with_another_content_is_a_conflict(void)
{
    imgq_error err;
    const imgq_id id = suite_id("order:2");
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_queue *queue = suite_open_plain("conflict"), *peer = suite_peer("conflict");
    peer_job job;
    uint8_t *large = make_payload(20000);
    options.id = &id;
    CHECK_OK(imgq_queue_submit(queue, "picture", 7, &options, NULL, &err));
    CHECK_STATUS(IMGQ_E_CONFLICT, imgq_queue_submit(queue, "Picture", 7, &options, NULL, &err));
    CHECK_EQ_STR("submit job order:2: the id is taken by another content or owner", err.message);
    CHECK_STATUS(IMGQ_E_CONFLICT, imgq_queue_submit(queue, large, 20000, &options, NULL, &err)); /* staged */
    options.top_count = 7; /* another question about the same picture */
    CHECK_STATUS(IMGQ_E_CONFLICT, imgq_queue_submit(queue, "picture", 7, &options, NULL, &err));
    options.top_count = 0;
    options.priority_plus_1 = 10; /* how fast is not what */
    CHECK_OK(imgq_queue_submit(queue, "picture", 7, &options, NULL, &err));
    peer_take_one(peer, &job);
    CHECK_EQ_SIZE(7, job.payload_len);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    suite_expect(queue, &id, IMGQ_OK, NULL); /* the refusals have not stopped the waiting */
    free(large);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void jobs_of_another_owner_answer_nobody_else(void)
{
    imgq_error err;
    const imgq_id id = suite_id("mine");
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_queue_options alice = IMGQ_QUEUE_OPTIONS_INIT, bob = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_queue_options operator_options = IMGQ_QUEUE_OPTIONS_INIT;
    alice.owner_token = "alice's secret";
    bob.owner_token = "bob's secret";
    operator_options.roles = IMGQ_ROLE_OPERATOR;
    imgq_queue *a = suite_open("owners", &alice), *b = suite_open("owners", &bob), *nobody = suite_open_plain("owners");
    imgq_queue *boss = suite_open("owners", &operator_options);
    imgq_job_status status = IMGQ_JOB_STATUS_INIT;
    options.id = &id;
    CHECK_OK(imgq_queue_submit(a, "x", 1, &options, NULL, &err));
    CHECK_STATUS(IMGQ_E_CONFLICT, imgq_queue_submit(b, "x", 1, &options, NULL, &err));
    CHECK_STATUS(IMGQ_E_DENIED, imgq_queue_attach(b, &id, 1, &err));
    CHECK_EQ_STR("attach to job mine: it belongs to another owner", err.message);
    CHECK_STATUS(IMGQ_E_DENIED, imgq_queue_cancel(b, &id, &err));
    CHECK_STATUS(IMGQ_E_DENIED, imgq_queue_cancel(nobody, &id, &err));
    CHECK_STATUS(IMGQ_E_DENIED, imgq_queue_look(b, &id, &status, NULL, &err));
    CHECK_OK(imgq_queue_look(boss, &id, &status, NULL, &err));
    CHECK_EQ_INT('W', status.state);
    CHECK_OK(imgq_queue_cancel(a, &id, &err));
    suite_expect(a, &id, IMGQ_E_CANCELLED, "cancelled");
    imgq_queue_close(boss);
    imgq_queue_close(nobody);
    imgq_queue_close(b);
    imgq_queue_close(a);
}

static void priorities_come_first_and_equal_ones_in_order(void)
{
    imgq_queue *queue = suite_open_plain("priorities"), *peer = suite_peer("priorities");
    static const uint32_t priorities[] = {1, 0, 10, 6, 10, 1}; /* plus 1; 0: 5 */
    static const size_t order[] = {2, 4, 1, 3, 0, 5};          /* 9 9 5 5 0 0 */
    imgq_id ids[6];
    peer_job jobs[6];
    for (size_t i = 0; i < 6; i++) {
        imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
        options.priority_plus_1 = priorities[i];
        ids[i] = suite_submit(queue, "x", &options);
    }
    if (CHECK_EQ_SIZE(6, peer_take(peer, jobs, 6))) {
        for (size_t i = 0; i < 6; i++) {
            CHECK_EQ_STR(ids[order[i]].text, jobs[i].id.text);
            CHECK_EQ_INT(1, peer_answer(peer, &jobs[i]));
        }
    }
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_delayed_job_waits_for_its_time_by_the_servers_clock(void)
{
    imgq_error err;
    imgq_queue *queue = suite_open_plain("delay"), *peer = suite_peer("delay");
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_job_status status = IMGQ_JOB_STATUS_INIT;
    peer_job job;
    options.delay_ms = 600;
    const imgq_id id = suite_submit(queue, "x", &options);
    CHECK_OK(imgq_queue_look(queue, &id, &status, NULL, &err));
    CHECK_EQ_INT('D', status.state);
    const int64_t submitted = status.submitted_unix_ms;
    CHECK_EQ_SIZE(0, peer_take(peer, &job, 1));
    peer_take_one(peer, &job);
    CHECK_OK(imgq_queue_look(queue, &id, &status, NULL, &err));
    CHECK_EQ_INT('A', status.state);
    CHECK(status.changed_unix_ms - submitted >= 600);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    suite_expect(queue, &id, IMGQ_OK, NULL);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_job_past_its_deadline_ends_so_even_without_a_worker(void)
{
    imgq_queue *queue = suite_open_plain("deadline"), *peer = suite_peer("deadline");
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    peer_job job;
    options.deadline_ms = 300;
    const imgq_id alone = suite_submit(queue, "x", &options);
    suite_expect(queue, &alone, IMGQ_E_TIMEOUT, "deadline passed");
    CHECK_EQ_SIZE(0, peer_take(peer, &job, 1));
    const imgq_id id = suite_submit(queue, "y", &options);
    suite_sleep_ms(350);
    CHECK_EQ_SIZE(0, peer_take(peer, &job, 1));
    suite_expect(queue, &id, IMGQ_E_TIMEOUT, "deadline passed");
    peer_close(peer);
    imgq_queue_close(queue);
}

static void cancelling_ends_a_job_wherever_it_is(void)
{
    imgq_error err;
    imgq_queue *queue = suite_open_plain("cancel"), *peer = suite_peer("cancel");
    imgq_submit_options delayed = IMGQ_SUBMIT_OPTIONS_INIT;
    peer_job job;
    delayed.delay_ms = 60000;
    const imgq_id active = suite_submit(queue, "a", NULL);
    peer_take_one(peer, &job);
    const imgq_id ids[3] = {suite_submit(queue, "w", NULL), suite_submit(queue, "d", &delayed), active};
    const imgq_id nobody = suite_id("nobody");
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(imgq_queue_cancel(queue, &ids[i], &err));
        suite_expect(queue, &ids[i], IMGQ_E_CANCELLED, "cancelled");
        CHECK_STATUS(IMGQ_E_CONFLICT, imgq_queue_cancel(queue, &ids[i], &err));
        CHECK_CONTAINS("it has ended already", err.message);
    }
    CHECK_EQ_INT(4, peer_answer(peer, &job)); /* too late: told that it was cancelled */
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_cancel(queue, &nobody, &err));
    CHECK_EQ_STR("cancel job nobody: unknown or expired", err.message);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void an_id_that_cannot_be_is_unknown_and_stops_no_other(void)
{
    imgq_error err;
    imgq_status each[4];
    imgq_job_status status = IMGQ_JOB_STATUS_INIT;
    imgq_queue *queue = suite_open_plain("malformed");
    imgq_id endless;
    memset(endless.text, 'e', sizeof endless.text); /* no zero in it */
    const imgq_id ids[4] = {suite_id("two words"), suite_submit(queue, "x", NULL), suite_id(""), endless};
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_attach(queue, ids, 4, &err));
    CHECK_EQ_STR("attach to job two words: unknown or expired", err.message);
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_look(queue, &ids[0], &status, NULL, &err));
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_requeue(queue, &ids[3], &err));
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_cancel_many(queue, ids, 4, each, &err));
    CHECK_EQ_INT(IMGQ_E_NOTFOUND, each[0]);
    CHECK_EQ_INT(IMGQ_OK, each[1]);
    CHECK_EQ_INT(IMGQ_E_NOTFOUND, each[2]);
    CHECK_EQ_INT(IMGQ_E_NOTFOUND, each[3]);
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    options.id = &endless;
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_submit(queue, "x", 1, &options, NULL, &err));
    imgq_result *result = NULL;
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_await(queue, &endless, 1, 0, &result, &err));
    imgq_queue_forget(queue, &endless);
    imgq_queue_close(queue);
}

static void many_are_cancelled_in_pages(void)
{
    enum { JOBS = 200 };
    imgq_error err;
    imgq_id ids[JOBS];
    imgq_status each[JOBS];
    imgq_queue *queue = suite_open_plain("cancel-many");
    for (int i = 0; i < JOBS; i++)
        ids[i] = i == 150 ? suite_id("stranger") : suite_submit(queue, "x", NULL);
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_cancel_many(queue, ids, JOBS, each, &err));
    CHECK_EQ_STR("cancel job stranger: unknown or expired", err.message);
    for (int i = 0; i < JOBS; i++)
        CHECK_EQ_INT(i == 150 ? IMGQ_E_NOTFOUND : IMGQ_OK, each[i]);
    imgq_queue_close(queue);
}

static void a_dead_job_says_why(void)
{
    imgq_queue *queue = suite_open_plain("dead"), *peer = suite_peer("dead");
    peer_job job;
    const imgq_id id = suite_submit(queue, "x", NULL);
    peer_take_one(peer, &job);
    CHECK_EQ_INT(2, peer_fail(peer, &job, 'P', 12, "not an image: GIF"));
    suite_expect(queue, &id, IMGQ_E_FORMAT, "not an image: GIF");
    /* Who asks later learns the same. */
    imgq_queue *late = suite_open_plain("dead");
    imgq_error err;
    CHECK_OK(imgq_queue_attach(late, &id, 1, &err));
    suite_expect(late, &id, IMGQ_E_FORMAT, "not an image: GIF");
    imgq_queue_close(late);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void a_full_queue_says_when_to_come_back(void)
{
    imgq_error err;
    imgq_queue *queue = suite_open_plain("full"), *peer = suite_peer("full");
    uint8_t *large = make_payload(100000);
    peer_job job;
    CHECK_OK(imgq_queue_configure(queue, "max_jobs", "2", &err));
    const imgq_id id = suite_submit(queue, "1", NULL);
    (void)suite_submit(queue, "2", NULL);
    CHECK_STATUS(IMGQ_E_BUSY, imgq_queue_submit(queue, "3", 1, NULL, NULL, &err));
    CHECK_CONTAINS("queue full is full", err.message);
    CHECK(err.retry_after_ms >= 40 && err.retry_after_ms <= 6000);
    uint64_t before = 0, after = 0;
    imgq_queue_get_traffic(queue, &before, NULL);
    CHECK_STATUS(IMGQ_E_BUSY, imgq_queue_submit(queue, large, 100000, NULL, NULL, &err));
    imgq_queue_get_traffic(queue, &after, NULL);
    CHECK_EQ_SIZE(1, after - before); /* asked for room, sent no payload */
    peer_take_one(peer, &job);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    suite_expect(queue, &id, IMGQ_OK, NULL);
    CHECK_OK(imgq_queue_submit(queue, large, 100000, NULL, NULL, &err));
    CHECK_OK(imgq_queue_configure(queue, "max_jobs", "", &err));
    CHECK_OK(imgq_queue_configure(queue, "max_bytes", "100050", &err));
    CHECK_STATUS(IMGQ_E_BUSY, imgq_queue_submit(queue, large, 100, NULL, NULL, &err));
    free(large);
    peer_close(peer);
    imgq_queue_close(queue);
}

static void paused_submits_are_busy_until_resumed(void)
{
    imgq_error err;
    imgq_queue *queue = suite_open_plain("paused");
    const imgq_id id = suite_id("before");
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    options.id = &id;
    CHECK_OK(imgq_queue_submit(queue, "x", 1, &options, NULL, &err));
    CHECK_OK(imgq_queue_pause(queue, IMGQ_PAUSE_SUBMITS, &err));
    CHECK_STATUS(IMGQ_E_BUSY, imgq_queue_submit(queue, "y", 1, NULL, NULL, &err));
    CHECK_CONTAINS("paused", err.message);
    CHECK(err.retry_after_ms > 0);
    CHECK_OK(imgq_queue_submit(queue, "x", 1, &options, NULL, &err)); /* a repeat of an accepted one is none */
    CHECK_OK(imgq_queue_resume(queue, &err));
    CHECK_OK(imgq_queue_submit(queue, "y", 1, NULL, NULL, &err));
    imgq_queue_close(queue);
}

static void a_session_bound_job_outlives_its_handle_only_so_long(void)
{
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_queue *queue = suite_open_plain("session"), *peer = suite_peer("session");
    peer_job job;
    options.session_bound = 1;
    (void)suite_submit(queue, "1", &options);
    CHECK_EQ_SIZE(1, peer_take(peer, &job, 1)); /* it lives */
    (void)peer_answer(peer, &job);
    const imgq_id id = suite_submit(queue, "2", &options);
    peer_end_session(peer, queue); /* as 60 s without a sign of life would */
    CHECK_EQ_SIZE(0, peer_take(peer, &job, 1));
    suite_expect(queue, &id, IMGQ_E_CANCELLED, NULL);
    peer_close(peer);
    imgq_queue_close(queue);
}

/* The handle slept for a minute, say: its next questions say that it lives, before anybody takes the job. */
static void a_session_that_ended_in_a_pause_is_begun_again(void)
{
    imgq_error err;
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_queue *queue = suite_open_plain("pause"), *peer = suite_peer("pause");
    imgq_result *result = NULL;
    peer_job job;
    options.session_bound = 1;
    const imgq_id id = suite_submit(queue, "1", &options);
    peer_end_session(peer, queue);
    for (int tries = 0; tries < 20; tries++) { /* the questions come every two seconds */
        CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_await(queue, &id, 1, 500, &result, &err));
        if (strcmp(redis_fixture_ask(suite_redis, "EVAL return(#redis.call('KEYS','*{pause.0}:s:*')) 0"),
                   "(integer) 1") == 0)
            break;
    }
    CHECK_EQ_SIZE(1, peer_take(peer, &job, 1));
    (void)peer_answer(peer, &job);
    suite_expect(queue, &id, IMGQ_OK, NULL);
    peer_close(peer);
    imgq_queue_close(queue);
}

static const check_test tests[] = {
    CHECK_TEST(jobs_of_every_size_come_back_answered),
    CHECK_TEST(a_payload_over_the_limit_is_refused_before_anything_is_sent),
    CHECK_TEST(many_jobs_travel_in_few_round_trips),
    CHECK_TEST(large_jobs_of_one_call_are_split_at_eight_mebibytes),
    CHECK_TEST(one_bad_job_of_many_does_not_stop_the_others),
    CHECK_TEST(ids_that_are_not_a_users_are_refused),
    CHECK_TEST(options_out_of_range_are_refused),
    CHECK_TEST(the_same_id_with_the_same_content_is_one_job),
    CHECK_TEST(the_same_id_with_another_content_is_a_conflict),
    CHECK_TEST(jobs_of_another_owner_answer_nobody_else),
    CHECK_TEST(priorities_come_first_and_equal_ones_in_order),
    CHECK_TEST(a_delayed_job_waits_for_its_time_by_the_servers_clock),
    CHECK_TEST(a_job_past_its_deadline_ends_so_even_without_a_worker),
    CHECK_TEST(cancelling_ends_a_job_wherever_it_is),
    CHECK_TEST(an_id_that_cannot_be_is_unknown_and_stops_no_other),
    CHECK_TEST(many_are_cancelled_in_pages),
    CHECK_TEST(a_dead_job_says_why),
    CHECK_TEST(a_full_queue_says_when_to_come_back),
    CHECK_TEST(paused_submits_are_busy_until_resumed),
    CHECK_TEST(a_session_bound_job_outlives_its_handle_only_so_long),
    CHECK_TEST(a_session_that_ended_in_a_pause_is_begun_again),
};
SUITE_MAIN("submitting", NULL, tests)
