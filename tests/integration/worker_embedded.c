/* imgq_worker inside a host's own process: its threads, its callbacks, its end. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <imgq/admin.h>
#include <imgq/queue.h>
#include <imgq/worker.h>

#include "queue/job.h"
#include "support/check.h"
#include "support/failing_alloc.h"
#include "support/faulty_proxy.h"
#include "support/redis_fixture.h"

enum { JOBS = 50 };

static redis_fixture *redis;
static imgq_env *env;

static imgq_status open_at(imgq_env *in, const char *url, const char *name, uint32_t roles, imgq_queue **out,
                           imgq_error *err)
{
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.name = name;
    options.roles = roles;
    options.keep_leases = 1;
    options.no_notify = 1;
    return imgq_queue_open(in, url, &options, out, err);
}

static imgq_status open_in(imgq_env *in, const char *name, uint32_t roles, imgq_queue **out, imgq_error *err)
{
    return open_at(in, redis_fixture_url(redis), name, roles, out, err);
}

static imgq_queue *open_queue(const char *name, uint32_t roles)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    CHECK_OK(open_in(env, name, roles, &queue, &err));
    return queue;
}

/* ---- a worker in a thread of the host ---- */

typedef struct host {
    imgq_worker *worker;
    pthread_t thread;
    imgq_status status;
    imgq_error err;
    atomic_int calls, calls_elsewhere;
    atomic_uint_least64_t done;
} host;

static void on_progress(void *user, uint64_t done, uint64_t failed)
{
    host *it = user;
    atomic_fetch_add(&it->calls, 1);
    atomic_fetch_add(&it->calls_elsewhere, !pthread_equal(pthread_self(), it->thread));
    atomic_store(&it->done, done + failed);
}

static void *run(void *user)
{
    host *it = user;
    it->thread = pthread_self();
    it->status = imgq_worker_run(it->worker, &it->err);
    return NULL;
}

static bool begin(host *it, imgq_queue *queue, pthread_t *thread)
{
    imgq_error err;
    const imgq_worker_queue served = {.queue = queue};
    imgq_worker_options options = IMGQ_WORKER_OPTIONS_INIT;
    options.progress = on_progress;
    options.progress_user = it;
    options.max_batch = 8;
    return CHECK_OK(imgq_worker_create(&served, 1, NULL, &options, &it->worker, &err)) &&
           CHECK(pthread_create(thread, NULL, run, it) == 0);
}

static void a_host_runs_a_worker_and_stops_it_from_another_thread(void)
{
    imgq_error err;
    imgq_queue *queue = open_queue("host", IMGQ_ROLE_WORKER), *producer = open_queue("host", IMGQ_ROLE_PRODUCER);
    host it = {0};
    pthread_t thread;
    imgq_id ids[JOBS];
    if (!begin(&it, queue, &thread))
        return;
    for (size_t i = 0; i < JOBS; i++)
        CHECK_OK(imgq_queue_submit(producer, "photo", 5, NULL, &ids[i], &err));
    for (size_t i = 0; i < JOBS; i++) {
        imgq_result *result = NULL;
        if (CHECK_OK(imgq_queue_await(producer, &ids[i], 1, 60000, &result, &err)))
            CHECK_EQ_INT(IMGQ_OK, imgq_result_status(result));
        imgq_result_destroy(result);
    }
    imgq_worker_stop(it.worker);
    pthread_join(thread, NULL);
    CHECK_EQ_INT(IMGQ_OK, it.status);
    CHECK(atomic_load(&it.calls) > 0);
    CHECK_EQ_INT(0, atomic_load(&it.calls_elsewhere));
    imgq_worker_destroy(it.worker);
    imgq_queue_close(queue);
    imgq_queue_close(producer);
}

/* What waits is taken by whole batches; only the last one may be smaller. */
static void under_load_batches_are_full(void)
{
    enum { LOAD = 203, BATCH = 8 };
    static imgq_id ids[LOAD];
    static imgq_payload payloads[LOAD];
    imgq_error err;
    imgq_queue *queue = open_queue("load", IMGQ_ROLE_WORKER), *producer = open_queue("load", IMGQ_ROLE_PRODUCER);
    host it = {0};
    pthread_t thread;
    double shares = 0; /* an image of a batch of n is an n-th of one: these add up to the number of batches */
    for (size_t i = 0; i < LOAD; i++)
        payloads[i] = (imgq_payload){"photo", 5};
    CHECK_OK(imgq_queue_submit_many(producer, payloads, LOAD, NULL, ids, NULL, &err));
    if (!begin(&it, queue, &thread))
        return;
    for (size_t i = 0; i < LOAD; i++) {
        imgq_result *result = NULL;
        imgq_result_info info = IMGQ_RESULT_INFO_INIT;
        if (!CHECK_OK(imgq_queue_await(producer, &ids[i], 1, 60000, &result, &err)) ||
            !CHECK_OK(imgq_result_get_info(result, &info, &err)))
            break;
        CHECK(info.batch >= 1 && info.batch <= BATCH);
        shares += 1.0 / info.batch;
        imgq_result_destroy(result);
    }
    printf("%d images in %.0f batches\n", LOAD, shares);
    CHECK(LOAD / shares >= 0.9 * BATCH);
    imgq_worker_stop(it.worker);
    pthread_join(thread, NULL);
    imgq_worker_destroy(it.worker);
    imgq_queue_close(queue);
    imgq_queue_close(producer);
}

/* Waits until the worker has taken so many. */
static void wait_until_held(imgq_queue *queue, size_t count)
{
    for (size_t held = 0; held < count;) {
        pthread_mutex_lock(&queue->taker->lock);
        held = queue->taker->held;
        pthread_mutex_unlock(&queue->taker->lock);
        usleep(100);
    }
}

/* The network goes away for a moment just when the answers are on their way, and the host is in a hurry: what the
 * reporter has in hand is told all the same, or it would come back as a crash at the end of its lease. */
static void a_second_stop_does_not_cut_off_answers_that_are_being_told(void)
{
    enum { BATCH = 8, DELAY_MS = 30 };
    imgq_error err;
    faulty_proxy *proxy = faulty_proxy_start(redis_fixture_socket(redis));
    imgq_queue *queue = NULL, *producer = open_queue("hurry", IMGQ_ROLE_PRODUCER | IMGQ_ROLE_OPERATOR);
    host it = {0};
    pthread_t thread;
    imgq_payload payloads[BATCH];
    imgq_id ids[BATCH];
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    for (size_t i = 0; i < BATCH; i++)
        payloads[i] = (imgq_payload){"photo", 5};
    CHECK_OK(imgq_queue_submit_many(producer, payloads, BATCH, NULL, ids, NULL, &err));
    if (!CHECK_OK(open_at(env, faulty_proxy_url(proxy), "hurry", IMGQ_ROLE_WORKER, &queue, &err)))
        return;
    faulty_proxy_set_delay_ms(proxy, DELAY_MS);
    if (!begin(&it, queue, &thread))
        return;
    wait_until_held(queue, BATCH);
    usleep(DELAY_MS * 1000 / 3); /* now the reporter has sent them, and none has arrived */
    faulty_proxy_refuse(proxy, true);
    faulty_proxy_break_all(proxy);
    imgq_worker_stop(it.worker);
    imgq_worker_stop(it.worker);
    faulty_proxy_refuse(proxy, false);
    faulty_proxy_set_delay_ms(proxy, 0);
    pthread_join(thread, NULL);
    CHECK_EQ_INT(IMGQ_OK, it.status);
    CHECK_OK(imgq_queue_get_stats(producer, &stats, &err));
    CHECK_EQ_SIZE(0, stats.active);
    CHECK_EQ_SIZE(BATCH, stats.succeeded + stats.waiting);
    imgq_worker_destroy(it.worker);
    imgq_queue_close(queue);
    imgq_queue_close(producer);
    faulty_proxy_stop(proxy);
}

static void a_worker_that_has_ended_is_not_run_again(void)
{
    imgq_error err;
    imgq_queue *queue = open_queue("once", IMGQ_ROLE_WORKER);
    const imgq_worker_queue served = {.queue = queue};
    imgq_worker *worker = NULL;
    imgq_worker_options options = IMGQ_WORKER_OPTIONS_INIT;
    options.drain = 1;
    if (!CHECK_OK(imgq_worker_create(&served, 1, NULL, &options, &worker, &err)))
        return;
    CHECK_OK(imgq_worker_run(worker, &err));
    CHECK_EQ_INT(IMGQ_E_INVALID, imgq_worker_run(worker, &err));
    CHECK_EQ_STR("run a worker that has ended", err.message);
    imgq_worker_destroy(worker);
    imgq_queue_close(queue);
}

static void a_stop_before_the_run_is_not_forgotten(void)
{
    imgq_error err;
    imgq_queue *queue = open_queue("before", IMGQ_ROLE_WORKER);
    const imgq_worker_queue served = {.queue = queue};
    imgq_worker *worker = NULL;
    CHECK_OK(imgq_worker_create(&served, 1, NULL, NULL, &worker, &err));
    imgq_worker_stop(worker);
    CHECK_OK(imgq_worker_run(worker, &err));
    imgq_worker_destroy(worker);
    imgq_worker_destroy(NULL);
    imgq_queue_close(queue);
}

/* ---- threads ---- */

/* A line of /proc/self/task/TID/status. */
static bool read_status(const char *tid, const char *field, char *value, size_t size)
{
    char path[300], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%s/status", tid);
    FILE *file = fopen(path, "r");
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = strncmp(line, field, strlen(field)) == 0;
        if (found)
            snprintf(value, size, "%.*s", (int)strcspn(line + strlen(field), "\n"), line + strlen(field));
    }
    if (file != NULL)
        fclose(file);
    return found;
}

/* Threads named "imgq-...", and how many of them would take a signal. */
static int count_helpers(int *open_to_signals)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    *open_to_signals = 0;
    for (struct dirent *task; tasks != NULL && (task = readdir(tasks)) != NULL;) {
        char name[64], blocked[64];
        if (task->d_name[0] == '.' || !read_status(task->d_name, "Name:\t", name, sizeof name) ||
            strncmp(name, "imgq-", 5) != 0 || !read_status(task->d_name, "SigBlk:\t", blocked, sizeof blocked))
            continue;
        count++;
        /* All that can be blocked: KILL (9), STOP (19) and the C library's own two (32, 33) cannot. */
        const unsigned long long mask = strtoull(blocked, NULL, 16), all = 0xfffffffe7ffbfeffULL;
        *open_to_signals += (mask & all) != all;
    }
    if (tasks != NULL)
        closedir(tasks);
    return count;
}

static void helpers_have_names_take_no_signals_and_are_gone_afterwards(void)
{
    int open_to_signals = 0;
    imgq_queue *queue = open_queue("threads", IMGQ_ROLE_WORKER);
    host it = {0};
    pthread_t thread;
    CHECK_EQ_INT(0, count_helpers(&open_to_signals));
    if (!begin(&it, queue, &thread))
        return;
    while (atomic_load(&it.calls) == 0)
        usleep(1000);
    CHECK_EQ_INT(3, count_helpers(&open_to_signals)); /* the runner, the reporter, and the handle's keeper */
    CHECK_EQ_INT(0, open_to_signals);
    imgq_worker_stop(it.worker);
    pthread_join(thread, NULL);
    CHECK_EQ_INT(1, count_helpers(&open_to_signals));
    imgq_worker_destroy(it.worker);
    imgq_queue_close(queue);
    CHECK_EQ_INT(0, count_helpers(&open_to_signals));
}

/* ---- refusals ---- */

static void refused(const imgq_worker_queue *queues, size_t count, const imgq_worker_options *options,
                    const char *message)
{
    imgq_error err = {0};
    imgq_worker *worker = NULL;
    CHECK_STATUS(IMGQ_E_INVALID, imgq_worker_create(queues, count, NULL, options, &worker, &err));
    CHECK_EQ_STR(message, err.message);
    CHECK(worker == NULL);
}

static void wrong_arguments_are_refused(void)
{
    imgq_worker_queue served = {.queue = open_queue("arguments", IMGQ_ROLE_WORKER)};
    const imgq_worker_queue producer = {.queue = open_queue("arguments", IMGQ_ROLE_PRODUCER)};
    imgq_worker_options options = IMGQ_WORKER_OPTIONS_INIT;
    refused(NULL, 0, NULL, "a worker without a queue");
    refused(&producer, 1, NULL, "a worker's queue must be opened with IMGQ_ROLE_WORKER and keep_leases");
    options.max_batch = 100000;
    refused(&served, 1, &options, "a batch of 100000 images, at most 1024 are run together");
    options.max_batch = 1;
    options.lease_ms = 5000;
    refused(&served, 1, &options, "a lease of 5000 ms, it must be 10000 to 300000");
    imgq_queue_close(served.queue);
    imgq_queue_close(producer.queue);
}

/* ---- memory ---- */

static imgq_status one_life(imgq_env *in)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    imgq_worker *worker = NULL;
    imgq_worker_options options = IMGQ_WORKER_OPTIONS_INIT;
    options.drain = 1;
    options.max_batch = 2;
    imgq_status status = open_in(in, "memory", IMGQ_ROLE_PRODUCER | IMGQ_ROLE_WORKER, &queue, &err);
    if (status == IMGQ_OK)
        status = imgq_queue_submit(queue, "photo", 5, NULL, NULL, &err);
    const imgq_worker_queue served = {.queue = queue};
    if (status == IMGQ_OK)
        status = imgq_worker_create(&served, 1, NULL, &options, &worker, &err);
    if (status == IMGQ_OK)
        status = imgq_worker_run(worker, &err);
    imgq_worker_destroy(worker);
    imgq_queue_close(queue);
    return status;
}

/* What fails while it runs is tried again, so that such a life ends well, too. */
static void a_life_survives_every_failed_allocation(void)
{
    size_t nth = 1, survived = 0;
    for (bool failed = true; failed && nth < 10000; nth++) {
        imgq_env *in = failing_env(nth);
        imgq_status status = in != NULL ? one_life(in) : IMGQ_E_NOMEM;
        failed = failing_has_failed() != 0;
        imgq_env_destroy(in);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        if (!CHECK(status == IMGQ_OK || (failed && status == IMGQ_E_NOMEM)))
            fprintf(stderr, "allocation %zu: status %d\n", nth, status);
        survived += failed && status == IMGQ_OK;
        redis_fixture_ask(redis, "FLUSHALL");
    }
    printf("%zu allocations, %zu failures were survived\n", nth - 2, survived);
    CHECK(nth > 20);
}

static const check_test tests[] = {
    CHECK_TEST(a_host_runs_a_worker_and_stops_it_from_another_thread),
    CHECK_TEST(under_load_batches_are_full),
    CHECK_TEST(a_second_stop_does_not_cut_off_answers_that_are_being_told),
    CHECK_TEST(a_worker_that_has_ended_is_not_run_again),
    CHECK_TEST(a_stop_before_the_run_is_not_forgotten),
    CHECK_TEST(helpers_have_names_take_no_signals_and_are_gone_afterwards),
    CHECK_TEST(wrong_arguments_are_refused),
    CHECK_TEST(a_life_survives_every_failed_allocation),
};

int main(int argc, char **argv)
{
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    redis = redis_fixture_start(NULL);
    const int code = check_main(argc, argv, "embedded worker", tests, sizeof tests / sizeof *tests);
    redis_fixture_stop(redis);
    imgq_env_destroy(env);
    return code;
}
