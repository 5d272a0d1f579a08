/* Submitting and awaiting against a real server. */
#include <stdlib.h>
#include <string.h>

#include <imgq/admin.h>
#include <imgq/queue.h>

#include "integration/queue_peer.h"
#include "support/check.h"
#include "support/redis_fixture.h"

static redis_fixture *redis;
static imgq_env *env;

static imgq_queue *open_queue(const char *name)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.name = name;
    CHECK_OK(imgq_queue_open(env, redis_fixture_url(redis), &options, &queue, &err));
    return queue;
}

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

/* The whole way for one payload. */
static void round_trip(imgq_queue *queue, imgq_queue *peer, size_t len)
{
    imgq_error err;
    imgq_id id;
    peer_job job;
    imgq_result *result = NULL;
    uint8_t *payload = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)(i * 31 + len);
    if (!CHECK_OK(imgq_queue_submit(queue, payload, len, NULL, &id, &err)))
        goto out;
    CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_await(queue, &id, 1, 0, &result, &err));
    peer_take_one(peer, &job);
    CHECK_EQ_STR(id.text, job.id.text);
    if (CHECK_EQ_SIZE(len, job.payload_len))
        CHECK_EQ_MEM(payload, job.payload, len);
    CHECK_EQ_INT(1, peer_answer(peer, &job));
    if (CHECK_OK(imgq_queue_await(queue, &id, 1, 10000, &result, &err)))
        check_answered(result, &id);
    imgq_result_destroy(result);
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_queue_await(queue, &id, 1, 0, &result, &err));
out:
    free(payload);
}

static void jobs_of_every_size_come_back_answered(void)
{
    imgq_queue *queue = open_queue("sizes"), *peer = peer_open(redis_fixture_url(redis), "sizes", NULL);
    const size_t sizes[] = {0, 1, 100, 8191, 8192, 8193, 79872, 8 << 20, 32 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        round_trip(queue, peer, sizes[i]);
    peer_close(peer);
    imgq_queue_close(queue);
}

static const check_test tests[] = {
    CHECK_TEST(jobs_of_every_size_come_back_answered),
};

int main(int argc, char **argv)
{
    imgq_error err;
    redis = redis_fixture_start(NULL);
    if (imgq_env_create(NULL, &env, &err) != IMGQ_OK)
        return EXIT_FAILURE;
    const int rc = check_main(argc, argv, "submitting and awaiting", tests, sizeof tests / sizeof *tests);
    imgq_env_destroy(env);
    redis_fixture_stop(redis);
    return rc;
}
