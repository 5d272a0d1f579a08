/* What a take brings, and what it refuses: payloads, options, order, names, damaged records. */
#include "integration/taker_suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/failing_alloc.h"

/* ---- what a job brings along ---- */

static void payloads_of_every_size_arrive_whole(void)
{
    imgq_error err;
    imgq_queue *queue = taker_open("sizes");
    const size_t sizes[] = {0, 1, 100, 8100, 8192, 8193, 79872, 8 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        imgq_id id;
        size_t len = 0;
        uint8_t *payload = malloc(sizes[i] + 1);
        for (size_t k = 0; k < sizes[i]; k++)
            payload[k] = (uint8_t)(k * 31 + i);
        CHECK_OK(imgq_queue_submit(queue, payload, sizes[i], NULL, &id, &err));
        imgq_job *job = taker_take_one(queue);
        if (job != NULL) {
            const void *got = imgq_job_payload(job, &len);
            CHECK_EQ_STR(id.text, imgq_job_id(job).text);
            if (CHECK_EQ_SIZE(sizes[i], len) && len > 0)
                CHECK_EQ_MEM(payload, got, len);
            imgq_job_release(job);
        }
        free(payload);
        CHECK_OK(imgq_queue_cancel(queue, &id, &err));
    }
    imgq_queue_close(queue);
}

static void options_of_the_submitter_reach_the_worker(void)
{
    imgq_error err;
    imgq_queue *queue = taker_open("options");
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    options.media = IMGQ_MEDIA_U8;
    options.width = 224;
    options.height = 112;
    options.profile = "keras";
    options.model = "resnet50";
    options.priority_plus_1 = 9;
    options.top_count = 17;
    options.max_fails = 4;
    options.exif = IMGQ_EXIF_APPLY;
    options.use_background = 1;
    memcpy(options.background, "\1\2\3", 3);
    static const char tensor[224 * 112 * 3];
    CHECK_OK(imgq_queue_submit(queue, tensor, sizeof tensor, &options, NULL, &err));
    imgq_job *job = taker_take_one(queue);
    imgq_job_info info = IMGQ_JOB_INFO_INIT;
    if (job == NULL || !CHECK_OK(imgq_job_get_info(job, &info, &err)))
        return;
    CHECK_EQ_INT(IMGQ_MEDIA_U8, info.media);
    CHECK_EQ_INT(224, info.width);
    CHECK_EQ_INT(112, info.height);
    CHECK_EQ_STR("keras", info.profile);
    CHECK_EQ_STR("resnet50", info.model);
    CHECK_EQ_INT(8, info.priority);
    CHECK_EQ_INT(17, info.top_count);
    CHECK_EQ_INT(4, info.max_fails);
    CHECK_EQ_INT(1, info.attempt);
    CHECK_EQ_INT(0, info.fails);
    CHECK_EQ_INT(IMGQ_EXIF_APPLY, info.exif);
    CHECK_EQ_INT(1, info.use_background);
    CHECK_EQ_MEM("\1\2\3", info.background, 3);
    CHECK_EQ_INT(0, info.imported);
    CHECK(info.taken_unix_ms >= info.submitted_unix_ms);
    imgq_job_release(job);
    imgq_queue_close(queue);
}

static void one_take_brings_many_in_order_of_priority(void)
{
    imgq_error err;
    imgq_queue *queue = taker_open("order");
    for (uint32_t i = 0; i < 10; i++) {
        char text[8];
        imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
        options.priority_plus_1 = i + 1;
        snprintf(text, sizeof text, "%u", i);
        CHECK_OK(imgq_queue_submit(queue, text, strlen(text), &options, NULL, &err));
    }
    imgq_job *jobs[IMGQ_TAKE_MAX];
    size_t count = 0;
    if (CHECK_OK(imgq_queue_take(queue, IMGQ_TAKE_MAX, 0, LEASE_MS, 0, jobs, &count, &err)) &&
        CHECK_EQ_SIZE(10, count)) {
        for (size_t i = 0; i < count; i++) {
            size_t len = 0;
            CHECK_EQ_INT((int)('9' - i), *(const char *)imgq_job_payload(jobs[i], &len));
        }
    }
    imgq_jobs_release(jobs, count);
    imgq_queue_close(queue);
}

/* ---- refusals ---- */

static void wrong_arguments_are_refused(void)
{
    imgq_error err;
    imgq_queue *queue = taker_open("arguments");
    imgq_job *jobs[1];
    size_t count = 0;
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_take(queue, 0, 0, LEASE_MS, 0, jobs, &count, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_take(queue, IMGQ_TAKE_MAX + 1, 0, LEASE_MS, 0, jobs, &count, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_take(queue, 1, 0, 9999, 0, jobs, &count, &err));
    CHECK_EQ_STR("take with a lease of 9999 ms, it must be 10000 to 300000", err.message);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_take(queue, 1, 0, 300001, 0, jobs, &count, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_queue_take(queue, 1, -1, LEASE_MS, 0, jobs, &count, &err));
    imgq_queue_close(queue);
}

static void a_name_that_lives_elsewhere_is_refused_and_a_dead_one_is_free(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.worker_name = "twin";
    options.keep_leases = 1;
    imgq_job *job = NULL;
    size_t count = 0;
    imgq_queue *first = taker_open_with(taker_env, "names", &options),
               *second = taker_open_with(taker_env, "names", &options);
    CHECK(taker_finds_nothing(first)); /* from now on its thread shows that it lives */
    CHECK_STATUS(IMGQ_E_CONFLICT, imgq_queue_take(second, 1, 0, LEASE_MS, 0, &job, &count, &err));
    CHECK_EQ_STR("another live worker of queue names is named twin", err.message);
    imgq_queue_close(first);
    CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_take(second, 1, 0, LEASE_MS, 0, &job, &count, &err));
    imgq_queue_close(second);
}

static void a_namesake_seen_in_tomorrow_is_watched_only_so_long(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_job *job = NULL;
    size_t count = 0;
    options.worker_name = "ghost";
    imgq_queue *queue = taker_open_with(taker_env, "ghosts", &options);
    /* It ended while the server's clock stood in tomorrow, and the clock was corrected. */
    CHECK_EQ_STR("(integer) 1", redis_fixture_ask(taker_redis, "ZADD iq:{ghosts.0}:wr 99999999999999 ghost12345678"));
    (void)alarm(60); /* without a bound the call never ends */
    CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_take(queue, 1, 0, LEASE_MS, 0, &job, &count, &err));
    (void)alarm(0);
    imgq_queue_close(queue);
}

/* The stored record says another length than it has: whoever gets it says so, instead of waiting out its leases. */
static void a_record_of_another_length_than_it_says_is_dead_at_once(void)
{
    imgq_error err;
    imgq_queue *queue = taker_open("lengths");
    char big[9000];
    memset(big, 'x', sizeof big);
    const size_t sizes[] = {5, 5, sizeof big, sizeof big};
    const char *const said[] = {"tiny", "more", "tiny", "more"}; /* as big-endian numbers: far too many */
    imgq_id ids[4];
    for (size_t i = 0; i < 4; i++) {
        char line[256];
        CHECK_OK(imgq_queue_submit(queue, big, sizes[i], NULL, &ids[i], &err));
        if (said[i][0] == 't')
            snprintf(line, sizeof line, "SETRANGE iq:{lengths.0}:j%s 68 %s", ids[i].text, said[i]);
        else
            snprintf(line, sizeof line, "APPEND iq:{lengths.0}:j%s surplus", ids[i].text);
        CHECK_CONTAINS("(integer)", redis_fixture_ask(taker_redis, line));
    }
    const imgq_id whole = taker_submit(queue, "photo");
    for (int i = 0; i < 5; i++) {
        imgq_job *job = NULL;
        size_t count = 0;
        if (imgq_queue_take(queue, 1, 0, LEASE_MS, 0, &job, &count, &err) != IMGQ_OK)
            continue;
        CHECK_EQ_STR(whole.text, imgq_job_id(job).text);
        imgq_job_release(job);
        break;
    }
    for (size_t i = 0; i < 4; i++) {
        imgq_job_status status;
        CHECK_EQ_INT(IMGQ_STATE_DEAD, taker_state_of(queue, &ids[i], &status));
    }
    imgq_queue_close(queue);
}

static void a_record_that_is_garbage_is_no_ones_end(void)
{
    imgq_queue *queue = taker_open("garbage");
    CHECK_EQ_STR("OK", redis_fixture_ask(taker_redis, "SET iq:{garbage.0}:jbad not-a-record"));
    CHECK_EQ_STR("(integer) 1", redis_fixture_ask(taker_redis, "ZADD iq:{garbage.0}:w 0 bad"));
    CHECK_EQ_STR("(integer) 1", redis_fixture_ask(taker_redis, "ZADD iq:{garbage.0}:w 0 gone"));
    const imgq_id id = taker_submit(queue, "photo");
    imgq_job *job = taker_take_one(queue);
    CHECK_EQ_STR(id.text, job != NULL ? imgq_job_id(job).text : "");
    imgq_job_release(job);
    imgq_queue_close(queue);
}

/* ---- memory ---- */

static imgq_status whole_way(imgq_env *in)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_job *jobs[2];
    imgq_id ids[2];
    size_t count = 0;
    char big[9000];
    memset(big, 'x', sizeof big);
    const imgq_payload payloads[2] = {{"small", 5}, {big, sizeof big}};
    options.name = "memory";
    options.roles = IMGQ_ROLE_PRODUCER | IMGQ_ROLE_WORKER;
    options.no_notify = 1;
    imgq_status status = imgq_queue_open(in, redis_fixture_url(taker_redis), &options, &queue, &err);
    if (status == IMGQ_OK)
        status = imgq_queue_submit_many(queue, payloads, 2, NULL, ids, NULL, &err);
    if (status == IMGQ_OK)
        status = imgq_queue_take(queue, 2, 0, LEASE_MS, 0, jobs, &count, &err);
    if (status == IMGQ_OK) {
        const imgq_answer answers[2] = {taker_answer(), taker_answer()};
        status = imgq_jobs_done(jobs, answers, count, NULL, &err);
    }
    imgq_queue_close(queue);
    return status;
}

static void the_whole_way_survives_every_failed_allocation(void)
{
    size_t nth = 1;
    for (bool failed = true; failed && nth < 100000; nth++) {
        imgq_env *in = failing_env(nth);
        imgq_status status = IMGQ_E_NOMEM;
        if (in != NULL)
            status = whole_way(in);
        failed = failing_has_failed() != 0;
        imgq_env_destroy(in);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        CHECK(status == IMGQ_OK || failed);
        redis_fixture_ask(taker_redis, "FLUSHALL");
    }
    printf("%zu allocations on the whole way\n", nth - 2);
    CHECK(nth > 20);
}

static const check_test tests[] = {
    CHECK_TEST(payloads_of_every_size_arrive_whole),
    CHECK_TEST(options_of_the_submitter_reach_the_worker),
    CHECK_TEST(one_take_brings_many_in_order_of_priority),
    CHECK_TEST(wrong_arguments_are_refused),
    CHECK_TEST(a_name_that_lives_elsewhere_is_refused_and_a_dead_one_is_free),
    CHECK_TEST(a_namesake_seen_in_tomorrow_is_watched_only_so_long),
    CHECK_TEST(a_record_of_another_length_than_it_says_is_dead_at_once),
    CHECK_TEST(a_record_that_is_garbage_is_no_ones_end),
    CHECK_TEST(the_whole_way_survives_every_failed_allocation),
};
TAKER_MAIN("takers", tests)
