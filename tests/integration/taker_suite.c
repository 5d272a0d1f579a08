#include "integration/taker_suite.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

redis_fixture *taker_redis;
imgq_env *taker_env;

int taker_main(int argc, char **argv, const char *name, const check_test *tests, size_t count)
{
    if (imgq_env_create(NULL, &taker_env, NULL) != IMGQ_OK)
        return 1;
    taker_redis = redis_fixture_start(NULL);
    const int code = check_main(argc, argv, name, tests, count);
    redis_fixture_stop(taker_redis);
    imgq_env_destroy(taker_env);
    return code;
}

imgq_queue *taker_open_with(imgq_env *in, const char *name, const imgq_queue_options *given)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    imgq_queue_options options = given != NULL ? *given : IMGQ_QUEUE_OPTIONS_INIT;
    options.name = name;
    options.roles |= IMGQ_ROLE_PRODUCER | IMGQ_ROLE_WORKER | IMGQ_ROLE_OPERATOR;
    options.no_notify = 1;
    CHECK_OK(imgq_queue_open(in, redis_fixture_url(taker_redis), &options, &queue, &err));
    return queue;
}

imgq_queue *taker_open(const char *name)
{
    return taker_open_with(taker_env, name, NULL);
}

imgq_id taker_submit(imgq_queue *queue, const char *text)
{
    imgq_error err;
    imgq_id id = {{0}};
    CHECK_OK(imgq_queue_submit(queue, text, strlen(text), NULL, &id, &err));
    return id;
}

imgq_job *taker_take_one(imgq_queue *queue)
{
    imgq_error err;
    imgq_job *job = NULL;
    size_t count = 0;
    if (!CHECK_OK(imgq_queue_take(queue, 1, 0, LEASE_MS, 20000, &job, &count, &err)))
        return NULL;
    CHECK_EQ_SIZE(1, count);
    return job;
}

bool taker_finds_nothing(imgq_queue *queue)
{
    imgq_error err;
    imgq_job *job = NULL;
    size_t count = 0;
    return CHECK_STATUS(IMGQ_E_TIMEOUT, imgq_queue_take(queue, 1, 0, LEASE_MS, 0, &job, &count, &err));
}

int taker_state_of(imgq_queue *queue, const imgq_id *id, imgq_job_status *status)
{
    imgq_error err;
    *status = IMGQ_JOB_STATUS_INIT;
    CHECK_OK(imgq_queue_look(queue, id, status, NULL, &err));
    return status->state;
}

imgq_answer taker_answer(void)
{
    static const imgq_prediction top[] = {{7, 0.75f}, {3, 0.125f}};
    static const char *const labels[] = {"castle", "church"};
    imgq_answer answer = IMGQ_ANSWER_INIT;
    answer.top = top;
    answer.labels = labels;
    answer.top_count = 2;
    answer.model = "test";
    answer.batch = 1;
    return answer;
}

void taker_end_lease(const char *queue, const imgq_id *id)
{
    char line[256];
    snprintf(line, sizeof line, "ZADD iq:{%s.0}:a 1 %s", queue, id->text);
    CHECK_EQ_STR("(integer) 0", redis_fixture_ask(taker_redis, line));
}

double taker_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
