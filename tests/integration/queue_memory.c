/* Memory that runs out at any place of a producer's life: a code each time, nothing lost, nothing leaked. */
#include "integration/queue_suite.h"

#include <imgq/admin.h>

#include "support/failing_alloc.h"

#include <stdio.h>
#include <string.h>

static imgq_queue *peer;
static char large[20001];

/* Memory is short once only, so the same call a second time has to succeed. */
#define AGAIN(call)                                                                                                    \
    do {                                                                                                               \
        imgq_status status_ = (call);                                                                                  \
        if (status_ == IMGQ_E_NOMEM)                                                                                   \
            status_ = (call);                                                                                          \
        check_status(IMGQ_OK, status_, &err, #call, __FILE__, __LINE__);                                               \
    } while (0)

static void live(imgq_queue *queue, int round)
{
    imgq_error err = {0};
    imgq_id ids[3] = {{{0}}}, own;
    imgq_result *result = NULL;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_job_status look = IMGQ_JOB_STATUS_INIT;
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    peer_job job;
    snprintf(own.text, sizeof own.text, "own-%d", round);
    options.id = &own;
    options.profile = "keras";
    options.top_count = 3;
    AGAIN(imgq_queue_submit(queue, "picture", 7, &options, &ids[0], &err));
    AGAIN(imgq_queue_submit(queue, large, 20000, NULL, &ids[1], &err));
    AGAIN(imgq_queue_submit(queue, "third", 5, NULL, &ids[2], &err));
    /* Done, but no memory for the answer: then it has ended already. */
    if (imgq_queue_cancel(queue, &ids[2], &err) == IMGQ_E_NOMEM) {
        const imgq_status again = imgq_queue_cancel(queue, &ids[2], &err);
        CHECK(again == IMGQ_OK || again == IMGQ_E_CONFLICT);
    }
    AGAIN(imgq_queue_get_stats(queue, &stats, &err));
    while (peer_take(peer, &job, 1) == 1)
        CHECK_EQ_INT(1, peer_answer(peer, &job));
    AGAIN(imgq_queue_look(queue, &ids[0], &look, NULL, &err));
    for (int i = 0; i < 3; i++) {
        AGAIN(imgq_queue_await(queue, &ids[i], 1, 20000, &result, &err));
        if (result != NULL)
            CHECK_EQ_STR(ids[i].text, imgq_result_id(result).text);
        imgq_result_destroy(result);
        result = NULL;
    }
    imgq_queue_forget(queue, &ids[2]);
}

/* @return false once nothing failed any more */
static bool scenario(size_t nth, int round)
{
    imgq_error err = {0};
    imgq_queue *queue = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_env *env = failing_env(nth);
    options.name = "memory";
    options.owner_token = "token";
    options.keep_payload = 1;
    if (env == NULL)
        return true;
    imgq_status status = imgq_queue_open(env, redis_fixture_url(suite_redis), &options, &queue, &err);
    if (status == IMGQ_E_NOMEM)
        CHECK(queue == NULL);
    else if (CHECK_EQ_INT(IMGQ_OK, status))
        live(queue, round);
    imgq_queue_close(queue);
    imgq_env_destroy(env);
    if (!CHECK_EQ_SIZE(0, failing_live_bytes()))
        fprintf(stderr, "# with allocation %zu refused\n", nth);
    return failing_has_failed();
}

static void memory_that_runs_out_anywhere_is_said_and_survived(void)
{
    size_t nth = 1;
    memset(large, 'l', sizeof large - 1);
    peer = suite_peer("memory");
    while (scenario(nth, (int)nth))
        nth++;
    CHECK(nth > 100);
    fprintf(stderr, "# %zu allocations refused one by one\n", nth - 1);
    peer_close(peer);
}

static const check_test tests[] = {CHECK_TEST(memory_that_runs_out_anywhere_is_said_and_survived)};
SUITE_MAIN("memory", NULL, tests)
