/* The reference wire from both sides: its producers' items answered here, native jobs answered by its servers. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <imgq/admin.h>
#include <imgq/queue.h>
#include <imgq/reference.h>

#include "integration/worker_process.h"
#include "support/check.h"
#include "support/failing_alloc.h"
#include "support/redis_fixture.h"

enum { SIDE = 224, TENSOR = SIDE * SIDE * 3, LEASE_MS = 10000 };

#define NONE "--model", "none"
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static redis_fixture *redis;
static imgq_env *env;

static imgq_queue *open_import(const char *list, uint32_t roles)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.import_list = list;
    options.roles = roles;
    CHECK_OK(imgq_queue_open(env, redis_fixture_url(redis), &options, &queue, &err));
    return queue;
}

static imgq_reference *open_reference(const char *list)
{
    imgq_error err;
    imgq_reference *reference = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.name = list;
    CHECK_OK(imgq_reference_open(env, redis_fixture_url(redis), &options, &reference, &err));
    return reference;
}

static float *a_tensor(void)
{
    float *tensor = malloc(TENSOR * sizeof *tensor);
    for (size_t i = 0; i < TENSOR; i++)
        tensor[i] = (float)(i % 251) - 100.5f;
    return tensor;
}

static imgq_answer an_answer(void)
{
    static const imgq_prediction top[] = {{7, 0.75f}, {3, 0.125f}};
    static const char *const labels[] = {"castle", "ch\"urch"};
    imgq_answer answer = IMGQ_ANSWER_INIT;
    answer.top = top;
    answer.labels = labels;
    answer.top_count = 2;
    return answer;
}

/* Raw text to the list: no apostrophe in it. */
static void push_raw(const char *list, const char *item)
{
    const size_t size = strlen(list) + strlen(item) + 16;
    char *line = malloc(size);
    snprintf(line, size, "RPUSH %s '%s'", list, item);
    CHECK_CONTAINS("(integer)", redis_fixture_ask(redis, line));
    free(line);
}

static bool poll_until_answered(imgq_reference *reference, const imgq_id *id, imgq_result **result)
{
    imgq_error err;
    for (int i = 0; i < 6000; i++) {
        if (!CHECK_OK(imgq_reference_poll(reference, id, 1, result, &err)))
            return false;
        if (*result != NULL)
            return true;
        usleep(10000);
    }
    return CHECK(*result != NULL);
}

static void an_item_of_a_reference_producer_is_a_job_with_its_tensor(void)
{
    imgq_error err;
    imgq_reference *producer = open_reference("items");
    imgq_queue *queue = open_import("items", IMGQ_ROLE_WORKER);
    imgq_job *job = NULL;
    imgq_job_info info = IMGQ_JOB_INFO_INIT;
    imgq_result *result = NULL;
    imgq_id id;
    size_t count = 0, len = 0;
    uint64_t length = 1;
    float *tensor = a_tensor();
    CHECK_OK(imgq_reference_push(producer, tensor, TENSOR, &id, &err));
    CHECK_OK(imgq_reference_length(producer, &length, &err));
    CHECK_EQ_SIZE(1, length);
    if (!CHECK_OK(imgq_queue_take(queue, 1, 0, LEASE_MS, 20000, &job, &count, &err)))
        return;
    CHECK_OK(imgq_job_get_info(job, &info, &err));
    CHECK_EQ_INT(1, info.imported);
    CHECK_EQ_INT(IMGQ_MEDIA_F32, info.media);
    CHECK_EQ_INT(SIDE, info.width);
    CHECK_EQ_INT(SIDE, info.height);
    CHECK_EQ_INT(5, info.top_count);
    const void *payload = imgq_job_payload(job, &len);
    if (CHECK_EQ_SIZE(TENSOR * sizeof *tensor, len))
        CHECK_EQ_MEM(tensor, payload, len);
    const imgq_answer answer = an_answer();
    CHECK_OK(imgq_job_done(job, &answer, &err));
    char line[64];
    snprintf(line, sizeof line, "GET %s", id.text);
    CHECK_EQ_STR(
        "[{\"label\": \"castle\", \"probability\": 0.75}, {\"label\": \"ch\\\"urch\", \"probability\": 0.125}]",
        redis_fixture_ask(redis, line));
    snprintf(line, sizeof line, "TTL %s", id.text);
    CHECK_CONTAINS("(integer) 3", redis_fixture_ask(redis, line)); /* 3600, or a little less */
    if (poll_until_answered(producer, &id, &result)) {
        CHECK_EQ_INT(IMGQ_OK, imgq_result_status(result));
        CHECK_EQ_STR("castle", imgq_result_label(result, 0));
        CHECK_NEAR(0.125, imgq_result_top(result, &count)[1].probability, 0);
    }
    snprintf(line, sizeof line, "EXISTS %s", id.text);
    CHECK_EQ_STR("(integer) 0", redis_fixture_ask(redis, line));
    imgq_result_destroy(result);
    free(tensor);
    imgq_queue_close(queue);
    imgq_reference_close(producer);
}

static void a_waiting_taker_is_woken_by_an_item(void)
{
    imgq_error err;
    imgq_reference *producer = open_reference("wake");
    worker_process *worker =
        worker_start_ready(redis_fixture_url(redis), ARGS(NONE, "--queue", "wake-native", "--import", "wake"));
    float *tensor = a_tensor();
    imgq_result *result = NULL;
    imgq_id id;
    sleep(1);
    /* "none" answers with no prediction at all, which is no answer to the reference's producers: an empty list. */
    CHECK_OK(imgq_reference_push(producer, tensor, TENSOR, &id, &err));
    if (poll_until_answered(producer, &id, &result))
        CHECK_EQ_INT(IMGQ_E_CORRUPT, imgq_result_status(result));
    imgq_result_destroy(result);
    free(tensor);
    worker_signal(worker, SIGTERM);
    CHECK_EQ_INT(0, worker_wait(worker));
    worker_end(worker);
    imgq_reference_close(producer);
}

static void a_backlog_of_items_is_taken_in_batches(void)
{
    imgq_error err;
    imgq_reference *producer = open_reference("backlog");
    imgq_queue *queue = open_import("backlog", IMGQ_ROLE_WORKER);
    imgq_job *jobs[8];
    imgq_id ids[20];
    size_t count = 0, sum = 0;
    float *tensor = a_tensor();
    for (size_t i = 0; i < 20; i++)
        CHECK_OK(imgq_reference_push(producer, tensor, TENSOR, &ids[i], &err));
    while (sum < 20 && CHECK_OK(imgq_queue_take(queue, 8, 0, LEASE_MS, 20000, jobs, &count, &err))) {
        imgq_answer answers[8];
        sum += count;
        for (size_t i = 0; i < count; i++)
            answers[i] = an_answer();
        CHECK_OK(imgq_jobs_done(jobs, answers, count, NULL, &err));
        printf("%zu items in one take\n", count);
    }
    CHECK_EQ_SIZE(20, sum);
    CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_take(queue, 8, 0, LEASE_MS, 0, jobs, &count, &err));
    imgq_result *results[20];
    CHECK_OK(imgq_reference_poll(producer, ids, 20, results, &err));
    for (size_t i = 0; i < 20; i++) {
        CHECK(results[i] != NULL);
        imgq_result_destroy(results[i]);
    }
    free(tensor);
    imgq_queue_close(queue);
    imgq_reference_close(producer);
}

static void a_taker_that_dies_leaves_its_item_to_others(void)
{
    imgq_error err;
    imgq_reference *producer = open_reference("crash");
    imgq_queue *first = open_import("crash", IMGQ_ROLE_WORKER), *second = open_import("crash", IMGQ_ROLE_WORKER);
    imgq_job *job = NULL, *again = NULL;
    size_t count = 0;
    imgq_id id;
    char line[128];
    float *tensor = a_tensor();
    CHECK_OK(imgq_reference_push(producer, tensor, TENSOR, &id, &err));
    CHECK_OK(imgq_queue_take(first, 1, 0, LEASE_MS, 20000, &job, &count, &err));
    snprintf(line, sizeof line, "ZADD iq:{crash}:a 1 %s", imgq_job_id(job).text); /* as if its lease had ended */
    CHECK_EQ_STR("(integer) 0", redis_fixture_ask(redis, line));
    CHECK_OK(imgq_queue_take(second, 1, 0, LEASE_MS, 20000, &again, &count, &err));
    const imgq_answer answer = an_answer();
    CHECK_OK(imgq_job_done(again, &answer, &err));
    CHECK_STATUS(IMGQ_E_LOST, imgq_job_done(job, &answer, &err));
    imgq_result *result = NULL;
    CHECK(poll_until_answered(producer, &id, &result));
    imgq_result_destroy(result);
    free(tensor);
    imgq_queue_close(first);
    imgq_queue_close(second);
    imgq_reference_close(producer);
}

static void items_that_cannot_be_read_are_dead_and_kept_as_they_were(void)
{
    static const struct {
        const char *item, *message;
    } cases[] = {
        {"this-is-no-json", "reference item: no JSON"},
        {"[1,2]", "reference item: \"id\" must be a string of 1 to 128 bytes"},
        {"{\"image\":\"AAAA\"}", "reference item: \"id\" must be a string of 1 to 128 bytes"},
        {"{\"id\":17,\"image\":\"AAAA\"}", "reference item: \"id\" must be a string of 1 to 128 bytes"},
        {"{\"id\":\"iq:{x}:m\",\"image\":\"AAAA\"}", "reference item: \"id\" must not begin with \"iq:\""},
        {"{\"id\":\"u-1\"}", "reference item: \"image\" must be a string"},
        {"{\"id\":\"u-2\",\"image\":\"A*AA\"}", "reference item: \"image\": "},
        {"{\"id\":\"u-3\",\"image\":\"AAAA\"}",
         "reference item: \"image\" has 3 bytes, which is no float32 image of 1 x n x n x 3"},
        {"{\"id\":\"u-4\",\"image\":\"\"}",
         "reference item: \"image\" has 0 bytes, which is no float32 image of 1 x n x n x 3"},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    imgq_error err;
    imgq_queue *queue = open_import("bad", IMGQ_ROLE_WORKER | IMGQ_ROLE_OPERATOR);
    imgq_job *job = NULL;
    imgq_job_status dead[CASES + 1];
    size_t count = 0;
    for (size_t i = 0; i < CASES; i++)
        push_raw("bad", cases[i].item);
    CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_take(queue, 1, 0, LEASE_MS, 500, &job, &count, &err));
    for (size_t i = 0; i <= CASES; i++)
        dead[i] = IMGQ_JOB_STATUS_INIT;
    CHECK_OK(imgq_queue_dead(queue, 0, dead, CASES + 1, &count, &err));
    if (CHECK_EQ_SIZE(CASES, count)) {
        for (size_t i = 0; i < CASES; i++) {
            /* Jobs of one call die in one millisecond: found by what they say. */
            size_t at = 0;
            for (size_t k = 0; k < CASES; k++)
                at += strstr(dead[k].message, cases[i].message) != NULL;
            if (!CHECK(at >= 1))
                fprintf(stderr, "nobody died of: %s\n", cases[i].message);
        }
        char line[128];
        snprintf(line, sizeof line, "GETRANGE iq:{bad}:j%s -15 -1", dead[0].id.text);
        CHECK_EQ_INT(IMGQ_E_FORMAT, dead[0].error);
        CHECK_EQ_INT(1, dead[0].imported);
    }
    CHECK_CONTAINS("this-is-no-json", redis_fixture_ask(redis, "GETRANGE iq:{bad}:j_c1 -15 -1"));
    imgq_queue_close(queue);
}

static void an_answer_that_is_no_list_is_said(void)
{
    imgq_error err;
    imgq_reference *producer = open_reference("answers");
    const imgq_id ids[3] = {{"answer-1"}, {"answer-2"}, {"answer-3"}};
    imgq_result *results[3];
    CHECK_EQ_STR("OK", redis_fixture_ask(redis, "SET answer-1 {}"));
    CHECK_EQ_STR("OK", redis_fixture_ask(redis, "SET answer-2 '[{\"label\":\"x\",\"probability\":0.5}]'"));
    CHECK_OK(imgq_reference_poll(producer, ids, 3, results, &err));
    CHECK_EQ_INT(IMGQ_E_CORRUPT, imgq_result_status(results[0]));
    CHECK_EQ_STR("the reference server's answer is no list of predictions", imgq_result_message(results[0]));
    CHECK_EQ_INT(IMGQ_OK, imgq_result_status(results[1]));
    CHECK(results[2] == NULL);
    imgq_result_destroy(results[0]);
    imgq_result_destroy(results[1]);
    CHECK_EQ_STR("OK", redis_fixture_ask(redis, "SET answer-3 x"));
    CHECK_OK(imgq_reference_forget(producer, ids, 3, &err));
    CHECK_EQ_STR("(integer) 0", redis_fixture_ask(redis, "EXISTS answer-1 answer-2 answer-3"));
    imgq_reference_close(producer);
}

/* ---- the feeder, with a test in the part of the reference server ---- */

/* Takes the first item off the list and answers it under its uuid.
 * @param uuid out @return false: none was there */
static bool serve_one(const char *list, bool answer, char uuid[37])
{
    char line[128];
    snprintf(line, sizeof line, "LPOP %s", list);
    const char *item = redis_fixture_ask(redis, line);
    const char *id = strstr(item, "{\"id\": \"");
    if (id == NULL)
        return false;
    snprintf(uuid, 37, "%.36s", id + 8);
    CHECK_CONTAINS("\"image\": \"", item);
    CHECK(strlen(item) > TENSOR * sizeof(float) * 4 / 3);
    if (answer) {
        snprintf(line, sizeof line, "SET %s '[{\"label\":\"castle\",\"probability\":0.5}]'", uuid);
        CHECK_EQ_STR("OK", redis_fixture_ask(redis, line));
    }
    return true;
}

static void the_feeder_passes_jobs_on_and_pushes_lost_ones_again(void)
{
    static const uint8_t tensor[TENSOR];
    imgq_error err;
    imgq_queue *queue = NULL;
    imgq_id ids[4];
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_submit_options submit = IMGQ_SUBMIT_OPTIONS_INIT;
    options.name = "fed";
    options.roles = IMGQ_ROLE_PRODUCER | IMGQ_ROLE_OPERATOR;
    CHECK_OK(imgq_queue_open(env, redis_fixture_url(redis), &options, &queue, &err));
    submit.media = IMGQ_MEDIA_U8;
    submit.width = submit.height = SIDE;
    submit.profile = "keras";
    for (size_t i = 0; i < 4; i++)
        CHECK_OK(imgq_queue_submit(queue, tensor, sizeof tensor, &submit, &ids[i], &err));
    worker_process *feeder =
        worker_start_ready(redis_fixture_url(redis), ARGS("--forward-to", "fed_list", "--queue", "fed"));
    /* One item is lost, as the reference's own LRANGE and LTRIM lose them: it comes again after 20 s. */
    char uuid[37], lost_uuid[37] = "";
    for (size_t served = 0, lost = 0; served < 4;) {
        const bool lose = lost == 0;
        if (!serve_one("fed_list", !lose, lose ? lost_uuid : uuid)) {
            usleep(50000);
            continue;
        }
        if (lose)
            lost++;
        else
            served++;
    }
    uint32_t attempts = 0;
    for (size_t i = 0; i < 4; i++) {
        imgq_result *result = NULL;
        imgq_result_info info = IMGQ_RESULT_INFO_INIT;
        if (!CHECK_OK(imgq_queue_await(queue, &ids[i], 1, 60000, &result, &err)))
            continue;
        CHECK_EQ_INT(IMGQ_OK, imgq_result_status(result));
        CHECK_EQ_STR("castle", imgq_result_label(result, 0));
        size_t count = 0;
        CHECK_EQ_INT(IMGQ_CLASS_NONE, imgq_result_top(result, &count)[0].class_id); /* the reference tells none */
        CHECK_OK(imgq_result_get_info(result, &info, &err));
        attempts += info.attempt;
        imgq_result_destroy(result);
    }
    CHECK_EQ_INT(5, attempts);
    /* Its answer comes after all, when nobody waits for it any more: it does not stay for ever. */
    char line[128];
    snprintf(line, sizeof line, "SET %s late", lost_uuid);
    CHECK_EQ_STR("OK", redis_fixture_ask(redis, line));
    snprintf(line, sizeof line, "EXISTS %s", lost_uuid);
    for (int i = 0; i < 6000 && strcmp(redis_fixture_ask(redis, line), "(integer) 0") != 0; i++)
        usleep(10000);
    CHECK_EQ_STR("(integer) 0", redis_fixture_ask(redis, line));
    worker_signal(feeder, SIGTERM);
    CHECK_EQ_INT(0, worker_wait(feeder));
    CHECK_CONTAINS("the reference server gave no answer within 20000 ms", worker_log(feeder));
    worker_end(feeder);
    imgq_queue_close(queue);
}

static void the_feeder_keeps_at_most_64_items_in_the_list(void)
{
    static const uint8_t tensor[TENSOR];
    imgq_error err;
    imgq_queue *queue = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_submit_options submit = IMGQ_SUBMIT_OPTIONS_INIT;
    options.name = "window";
    options.roles = IMGQ_ROLE_PRODUCER | IMGQ_ROLE_OPERATOR;
    CHECK_OK(imgq_queue_open(env, redis_fixture_url(redis), &options, &queue, &err));
    submit.media = IMGQ_MEDIA_U8;
    submit.width = submit.height = SIDE;
    for (size_t i = 0; i < 100; i++)
        CHECK_OK(imgq_queue_submit(queue, tensor, sizeof tensor, &submit, NULL, &err));
    worker_process *feeder =
        worker_start_ready(redis_fixture_url(redis), ARGS("--forward-to", "window_list", "--queue", "window"));
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    for (int i = 0; i < 6000 && strcmp(redis_fixture_ask(redis, "LLEN window_list"), "(integer) 64") != 0; i++)
        usleep(10000);
    usleep(500000); /* time for one too many */
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(64, stats.active);
    CHECK_EQ_SIZE(36, stats.waiting);
    CHECK_EQ_STR("(integer) 64", redis_fixture_ask(redis, "LLEN window_list"));
    worker_signal(feeder, SIGTERM);
    usleep(200000);
    worker_signal(feeder, SIGTERM);
    CHECK_EQ_INT(128 + SIGTERM, worker_wait(feeder));
    worker_end(feeder);
    imgq_queue_close(queue);
}

/* ---- memory ---- */

static imgq_status whole_way(imgq_env *in, const float *tensor)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    imgq_reference *reference = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_result *result = NULL;
    imgq_job *job = NULL;
    imgq_id id;
    size_t count = 0;
    const imgq_answer answer = an_answer();
    options.name = "memory";
    imgq_status status = imgq_reference_open(in, redis_fixture_url(redis), &options, &reference, &err);
    options.name = NULL;
    options.import_list = "memory";
    options.roles = IMGQ_ROLE_WORKER;
    if (status == IMGQ_OK)
        status = imgq_queue_open(in, redis_fixture_url(redis), &options, &queue, &err);
    if (status == IMGQ_OK)
        status = imgq_reference_push(reference, tensor, TENSOR, &id, &err);
    if (status == IMGQ_OK)
        status = imgq_queue_take(queue, 1, 0, LEASE_MS, 0, &job, &count, &err);
    if (status == IMGQ_OK)
        status = imgq_job_done(job, &answer, &err);
    if (status == IMGQ_OK)
        status = imgq_reference_poll(reference, &id, 1, &result, &err);
    if (status == IMGQ_OK && result == NULL)
        status = IMGQ_E_INTERNAL;
    imgq_result_destroy(result);
    imgq_queue_close(queue);
    imgq_reference_close(reference);
    return status;
}

static void the_whole_way_survives_every_failed_allocation(void)
{
    size_t nth = 1;
    float *tensor = a_tensor();
    for (bool failed = true; failed && nth < 10000; nth++) {
        imgq_env *in = failing_env(nth);
        const imgq_status status = in != NULL ? whole_way(in, tensor) : IMGQ_E_NOMEM;
        failed = failing_has_failed() != 0;
        imgq_env_destroy(in);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        /* An item that could not be read for want of memory failed as transient: it waits for its next time. */
        if (!CHECK(status == IMGQ_OK || (failed && (status == IMGQ_E_NOMEM || status == IMGQ_E_TIMEOUT))))
            fprintf(stderr, "allocation %zu: status %d\n", nth, status);
        redis_fixture_ask(redis, "FLUSHALL");
    }
    printf("%zu allocations on the whole way\n", nth - 2);
    CHECK(nth > 20);
    free(tensor);
}

static const check_test tests[] = {
    CHECK_TEST(an_item_of_a_reference_producer_is_a_job_with_its_tensor),
    CHECK_TEST(a_waiting_taker_is_woken_by_an_item),
    CHECK_TEST(a_backlog_of_items_is_taken_in_batches),
    CHECK_TEST(a_taker_that_dies_leaves_its_item_to_others),
    CHECK_TEST(items_that_cannot_be_read_are_dead_and_kept_as_they_were),
    CHECK_TEST(an_answer_that_is_no_list_is_said),
    CHECK_TEST(the_whole_way_survives_every_failed_allocation),
    CHECK_TEST(the_feeder_passes_jobs_on_and_pushes_lost_ones_again),
    CHECK_TEST(the_feeder_keeps_at_most_64_items_in_the_list),
};

int main(int argc, char **argv)
{
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    redis = redis_fixture_start(NULL);
    const int code = check_main(argc, argv, "reference wire", tests, sizeof tests / sizeof *tests);
    redis_fixture_stop(redis);
    imgq_env_destroy(env);
    return code;
}
