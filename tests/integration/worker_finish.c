/* How taken work ends: answered, failed, given back; and that a report outlives lost replies, restarts, full disks. */
#include "integration/taker_suite.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- ends ---- */

static void an_answer_reaches_whoever_awaits_it(void)
{
    imgq_error err;
    imgq_queue *queue = taker_open("answer");
    const imgq_id id = taker_submit(queue, "photo");
    imgq_job *job = taker_take_one(queue);
    const imgq_answer answer = taker_answer();
    imgq_result *result = NULL;
    imgq_result_info info = IMGQ_RESULT_INFO_INIT;
    size_t count = 0;
    CHECK_OK(imgq_job_done(job, &answer, &err));
    if (CHECK_OK(imgq_queue_await(queue, &id, 1, 20000, &result, &err))) {
        CHECK_EQ_INT(IMGQ_OK, imgq_result_status(result));
        CHECK_EQ_INT(7, imgq_result_top(result, &count)[0].class_id);
        CHECK_EQ_SIZE(2, count);
        CHECK_EQ_STR("church", imgq_result_label(result, 1));
        CHECK_OK(imgq_result_get_info(result, &info, &err));
        CHECK_EQ_STR(imgq_queue_worker_name(queue), info.worker);
        CHECK_EQ_INT(1, info.attempt);
    }
    imgq_result_destroy(result);
    imgq_queue_close(queue);
}

static void many_answers_go_out_in_one_round_trip(void)
{
    imgq_error err;
    imgq_queue *queue = taker_open("many");
    for (int i = 0; i < 40; i++)
        taker_submit(queue, "photo");
    imgq_job *jobs[IMGQ_TAKE_MAX];
    imgq_answer answers[IMGQ_TAKE_MAX];
    imgq_status each[IMGQ_TAKE_MAX];
    size_t count = 0;
    uint64_t before = 0, after = 0;
    CHECK_OK(imgq_queue_take(queue, IMGQ_TAKE_MAX, 0, LEASE_MS, 0, jobs, &count, &err));
    CHECK_EQ_SIZE(40, count);
    for (size_t i = 0; i < count; i++)
        answers[i] = taker_answer();
    imgq_queue_get_traffic(queue, NULL, &before);
    CHECK_OK(imgq_jobs_done(jobs, answers, count, each, &err));
    imgq_queue_get_traffic(queue, NULL, &after);
    CHECK(after - before <= 2); /* one, and one more the first time, when the script is not there yet */
    for (size_t i = 0; i < count; i++)
        CHECK_EQ_INT(IMGQ_OK, each[i]);
    CHECK(taker_finds_nothing(queue));
    imgq_queue_close(queue);
}

static void a_permanent_failure_is_dead_at_once_and_keeps_its_words(void)
{
    imgq_error err, why = {.status = IMGQ_E_CORRUPT, .message = "the file ends in the middle of a scan"};
    imgq_queue *queue = taker_open("permanent");
    const imgq_id id = taker_submit(queue, "photo");
    imgq_job_status status;
    imgq_result *result = NULL;
    CHECK_OK(imgq_job_fail(taker_take_one(queue), &why, IMGQ_FAIL_PERMANENT, &err));
    CHECK_EQ_INT(IMGQ_STATE_DEAD, taker_state_of(queue, &id, &status));
    CHECK_EQ_INT(1, status.fails);
    if (CHECK_OK(imgq_queue_await(queue, &id, 1, 20000, &result, &err))) {
        CHECK_EQ_INT(IMGQ_E_CORRUPT, imgq_result_status(result));
        CHECK_EQ_STR(why.message, imgq_result_message(result));
    }
    imgq_result_destroy(result);
    imgq_queue_close(queue);
}

static void transient_failures_come_again_until_they_are_too_many(void)
{
    imgq_error err, why = {.status = IMGQ_E_NOMEM, .message = "no memory just now"};
    imgq_queue *queue = taker_open("transient");
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_job_status status;
    imgq_id id;
    options.max_fails = 2;
    CHECK_OK(imgq_queue_submit(queue, "x", 1, &options, &id, &err));
    CHECK_OK(imgq_job_fail(taker_take_one(queue), &why, IMGQ_FAIL_TRANSIENT, &err));
    const int state = taker_state_of(queue, &id, &status);
    CHECK(state == IMGQ_STATE_DELAYED || state == IMGQ_STATE_WAITING); /* the jitter may be nothing at all */
    CHECK_EQ_INT(1, status.fails);
    imgq_job *job = taker_take_one(queue);
    imgq_job_info info = IMGQ_JOB_INFO_INIT;
    CHECK_OK(imgq_job_get_info(job, &info, &err));
    CHECK_EQ_INT(2, info.attempt);
    CHECK_EQ_INT(1, info.fails);
    CHECK_OK(imgq_job_fail(job, &why, IMGQ_FAIL_TRANSIENT, &err));
    CHECK_EQ_INT(IMGQ_STATE_DEAD, taker_state_of(queue, &id, &status));
    CHECK_EQ_STR(why.message, status.message);
    imgq_queue_close(queue);
}

static void giving_back_and_being_busy_are_not_counted(void)
{
    imgq_error err, why = {.status = IMGQ_E_BUSY, .message = "later"};
    imgq_queue *queue = taker_open("back");
    imgq_job_status status;
    const imgq_id id = taker_submit(queue, "photo");
    imgq_job_release(taker_take_one(queue));
    CHECK_EQ_INT(IMGQ_STATE_WAITING, taker_state_of(queue, &id, &status));
    CHECK_EQ_INT(0, status.fails);
    CHECK_OK(imgq_job_fail(taker_take_one(queue), &why, IMGQ_FAIL_BUSY, &err));
    CHECK_EQ_INT(IMGQ_STATE_DELAYED, taker_state_of(queue, &id, &status));
    CHECK_EQ_INT(0, status.fails);
    imgq_job_release(taker_take_one(queue)); /* after its second */
    imgq_queue_close(queue);
}

static void closing_gives_back_what_is_held(void)
{
    imgq_queue *queue = taker_open("closing"), *other = taker_open("closing");
    imgq_job_status status;
    const imgq_id id = taker_submit(other, "photo");
    (void)taker_take_one(queue);
    CHECK_EQ_INT(IMGQ_STATE_ACTIVE, taker_state_of(other, &id, &status));
    imgq_queue_close(queue);
    CHECK_EQ_INT(IMGQ_STATE_WAITING, taker_state_of(other, &id, &status));
    CHECK_EQ_INT(0, status.crashes);
    imgq_queue_close(other);
}

/* ---- lost replies ---- */

static void jobs_of_a_take_whose_reply_was_lost_are_taken_again(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.call_ms = 300;
    options.connect_ms = 300;
    imgq_queue *queue = taker_open_with(taker_env, "reply", &options), *other = taker_open("reply");
    imgq_job *jobs[2] = {NULL};
    imgq_job_info info = IMGQ_JOB_INFO_INIT;
    size_t count = 0;
    CHECK(taker_finds_nothing(queue)); /* a connection is there */
    char big[20000];
    memset(big, 'x', sizeof big);
    taker_submit(other, "photo");
    CHECK_OK(imgq_queue_submit(other, big, sizeof big, NULL, NULL, &err));
    redis_fixture_pause(taker_redis);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, imgq_queue_take(queue, 2, 0, LEASE_MS, 0, jobs, &count, &err));
    redis_fixture_resume(taker_redis);
    /* The server reads the request when it goes on: whether it was heard then or only now, nothing is counted. */
    CHECK_OK(imgq_queue_take(queue, 2, 0, LEASE_MS, 20000, jobs, &count, &err));
    CHECK_EQ_SIZE(2, count);
    for (size_t i = 0; i < count; i++) {
        CHECK_OK(imgq_job_get_info(jobs[i], &info, &err));
        CHECK_EQ_INT(1, info.attempt);
        CHECK_EQ_INT(0, info.crashes);
    }
    imgq_jobs_release(jobs, count);
    imgq_queue_close(queue);
    imgq_queue_close(other);
}

static void an_answer_outlives_a_restart_of_redis(void)
{
    imgq_error err;
    redis_fixture *other = redis_fixture_start("appendonly yes\nappendfsync always\n");
    imgq_queue *queue = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.name = "restart";
    options.roles = IMGQ_ROLE_PRODUCER | IMGQ_ROLE_WORKER;
    options.keep_leases = 1;
    CHECK_OK(imgq_queue_open(taker_env, redis_fixture_url(other), &options, &queue, &err));
    const imgq_id id = taker_submit(queue, "photo");
    const imgq_answer answer = taker_answer();
    imgq_result *result = NULL;
    imgq_job *job = taker_take_one(queue);
    redis_fixture_kill(other);
    redis_fixture_restart(other);
    CHECK_OK(imgq_job_done(job, &answer, &err));
    CHECK_OK(imgq_queue_await(queue, &id, 1, 20000, &result, &err));
    CHECK_EQ_INT(IMGQ_OK, result != NULL ? imgq_result_status(result) : IMGQ_E_LOST);
    imgq_result_destroy(result);
    imgq_queue_close(queue);
    redis_fixture_stop(other);
}

/* ---- a server that cannot write to its disk ---- */

typedef struct broken_disk {
    redis_fixture *server;
    char folder[128];
} broken_disk;

static void make_folder(const broken_disk *disk)
{
    char line[256];
    snprintf(line, sizeof line, "CONFIG SET dir %s", disk->folder);
    CHECK(mkdir(disk->folder, 0700) == 0);
    CHECK_EQ_STR("OK", redis_fixture_ask(disk->server, line));
}

static void save_there(redis_fixture *server, bool works)
{
    (void)redis_fixture_ask(server, "BGSAVE");
    for (int i = 0; i < 200; i++) {
        const bool written = strcmp(redis_fixture_ask(server, "SET probe 1"), "OK") == 0;
        if (written == works)
            return;
        usleep(50000);
    }
    CHECK(!"the server noticed");
}

static void *mend(void *user)
{
    broken_disk *disk = user;
    usleep(1500000);
    make_folder(disk);
    save_there(disk->server, true);
    return NULL;
}

static void a_full_disk_is_waited_out_with_the_answer_in_hand(void)
{
    imgq_error err;
    pthread_t mender;
    broken_disk disk = {.server = redis_fixture_start("save 3600 1\nenable-protected-configs yes")};
    snprintf(disk.folder, sizeof disk.folder, "%s/disk", redis_fixture_folder(disk.server));
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.roles = IMGQ_ROLE_PRODUCER | IMGQ_ROLE_WORKER;
    options.keep_leases = 1;
    imgq_queue *queue = NULL;
    make_folder(&disk);
    CHECK_OK(imgq_queue_open(taker_env, redis_fixture_url(disk.server), &options, &queue, &err));
    const imgq_id id = taker_submit(queue, "photo");
    imgq_job *job = taker_take_one(queue);
    CHECK(rmdir(disk.folder) == 0);
    save_there(disk.server, false);
    CHECK_STATUS(IMGQ_E_BUSY, imgq_queue_submit(queue, "late", 4, NULL, NULL, &err));
    CHECK_EQ_INT(1000, err.retry_after_ms);
    CHECK_EQ_INT(0, pthread_create(&mender, NULL, mend, &disk));
    const imgq_answer answer = taker_answer();
    CHECK_OK(imgq_job_done(job, &answer, &err));
    pthread_join(mender, NULL);
    imgq_result *result = NULL;
    CHECK_OK(imgq_queue_await(queue, &id, 1, 20000, &result, &err));
    imgq_result_destroy(result);
    CHECK_OK(imgq_queue_submit(queue, "late", 4, NULL, NULL, &err));
    imgq_queue_close(queue);
    redis_fixture_stop(disk.server);
}

static const check_test tests[] = {
    CHECK_TEST(an_answer_reaches_whoever_awaits_it),
    CHECK_TEST(many_answers_go_out_in_one_round_trip),
    CHECK_TEST(a_permanent_failure_is_dead_at_once_and_keeps_its_words),
    CHECK_TEST(transient_failures_come_again_until_they_are_too_many),
    CHECK_TEST(giving_back_and_being_busy_are_not_counted),
    CHECK_TEST(closing_gives_back_what_is_held),
    CHECK_TEST(jobs_of_a_take_whose_reply_was_lost_are_taken_again),
    CHECK_TEST(an_answer_outlives_a_restart_of_redis),
    CHECK_TEST(a_full_disk_is_waited_out_with_the_answer_in_hand),
};
TAKER_MAIN("ends of jobs", tests)
