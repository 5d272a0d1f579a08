/* imgq-worker as its users see it: signals, crashes, outages, options. Without weights: it answers without inference,
 * or feeds a reference server that never answers, which is how a test makes it hold a batch for as long as it likes. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <imgq/admin.h>
#include <imgq/queue.h>

#include "integration/worker_process.h"
#include "support/check.h"
#include "support/redis_fixture.h"
#include "support/shared.h"

enum { SIDE = 224, TENSOR = SIDE * SIDE * 3, HELD = 16, LEASE_S = 10, JOBS_MAX = 512 };

#define NONE "--model", "none"
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static redis_fixture *redis;
static imgq_env *env;

static imgq_queue *open_at(const char *url, const char *name)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.name = name;
    options.roles = IMGQ_ROLE_PRODUCER | IMGQ_ROLE_OPERATOR;
    CHECK_OK(imgq_queue_open(env, url, &options, &queue, &err));
    return queue;
}

static imgq_queue *open_queue(const char *name)
{
    return open_at(redis_fixture_url(redis), name);
}

/* Where the product promises a bound by the clock, a busy machine gets three times as much. */
static double grace(double seconds)
{
    return getenv("CI") != NULL ? 3 * seconds : seconds;
}

static int64_t server_ms(void)
{
    long long seconds = 0, micros = 0;
    const char *reply = redis_fixture_ask(redis, "TIME");
    CHECK(sscanf(reply, "*2\r\n$%*d\r\n%lld\r\n$%*d\r\n%lld", &seconds, &micros) == 2);
    return seconds * 1000 + micros / 1000;
}

static imgq_queue_stats stats_of(imgq_queue *queue)
{
    imgq_error err;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    return stats;
}

/* Waits until the queue has so many active jobs. */
static bool wait_active(imgq_queue *queue, uint64_t count)
{
    for (int i = 0; i < 6000; i++) {
        if (stats_of(queue).active == count)
            return true;
        usleep(10000);
    }
    return CHECK_EQ_SIZE(count, stats_of(queue).active);
}

static void submit_text(imgq_queue *queue, imgq_id *ids, size_t count)
{
    imgq_error err;
    for (size_t i = 0; i < count; i++)
        CHECK_OK(imgq_queue_submit(queue, "photo", 5, NULL, &ids[i], &err));
}

/* Jobs that a feeder can prepare, and any other worker takes as well. */
static void submit_tensors(imgq_queue *queue, imgq_id *ids, size_t count)
{
    static const uint8_t tensor[TENSOR];
    imgq_error err;
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    options.media = IMGQ_MEDIA_U8;
    options.width = options.height = SIDE;
    options.profile = "keras";
    for (size_t i = 0; i < count; i++)
        CHECK_OK(imgq_queue_submit(queue, tensor, sizeof tensor, &options, &ids[i], &err));
}

typedef struct answer {
    imgq_status status;
    uint32_t attempt, batch;
    int64_t taken_ms; /* server's clock */
    char worker[128];
} answer;

/* Awaits one of the ids. */
static bool await_one(imgq_queue *queue, const imgq_id *id, answer *out)
{
    imgq_error err;
    imgq_result *result = NULL;
    imgq_result_info info = IMGQ_RESULT_INFO_INIT;
    imgq_job_status status = IMGQ_JOB_STATUS_INIT;
    *out = (answer){.status = IMGQ_E_TIMEOUT};
    if (!CHECK_OK(imgq_queue_await(queue, id, 1, 120000, &result, &err)))
        return false;
    out->status = imgq_result_status(result);
    if (CHECK_OK(imgq_result_get_info(result, &info, &err)) &&
        CHECK_OK(imgq_queue_look(queue, id, &status, NULL, &err))) {
        out->attempt = info.attempt;
        out->batch = info.batch;
        out->taken_ms = status.submitted_unix_ms + (int64_t)info.queue_ms;
        snprintf(out->worker, sizeof out->worker, "%s", info.worker);
    }
    imgq_result_destroy(result);
    return true;
}

static void all_are_answered(imgq_queue *queue, const imgq_id *ids, size_t count, answer *answers)
{
    for (size_t i = 0; i < count; i++) {
        answer one;
        if (await_one(queue, &ids[i], &one))
            CHECK_EQ_INT(IMGQ_OK, one.status);
        if (answers != NULL)
            answers[i] = one;
    }
}

/* A worker that holds `count` jobs of the queue until it is killed. */
static worker_process *start_holder(imgq_queue *queue, const char *name, uint64_t count)
{
    worker_process *holder = worker_start_ready(
        redis_fixture_url(redis), ARGS("--forward-to", "nobody_reads_this", "--queue", name, "--lease", "10"));
    wait_active(queue, count);
    return holder;
}

/* ---- crashes ---- */

static void jobs_of_a_killed_worker_are_finished_by_another_within_the_lease(void)
{
    imgq_queue *queue = open_queue("kill");
    imgq_id ids[HELD];
    answer answers[HELD];
    int64_t latest_ms = 0;
    submit_tensors(queue, ids, HELD);
    worker_process *holder = start_holder(queue, "kill", HELD);
    worker_process *other =
        worker_start_ready(redis_fixture_url(redis), ARGS(NONE, "--queue", "kill", "--lease", "10"));
    const int64_t killed_ms = server_ms();
    worker_signal(holder, SIGKILL);
    CHECK_EQ_INT(128 + SIGKILL, worker_wait(holder));
    all_are_answered(queue, ids, HELD, answers);
    for (size_t i = 0; i < HELD; i++) {
        CHECK_EQ_INT(2, answers[i].attempt);
        latest_ms = answers[i].taken_ms > latest_ms ? answers[i].taken_ms : latest_ms;
    }
    printf("all taken again %.2f s after the kill\n", (double)(latest_ms - killed_ms) / 1000);
    CHECK((double)(latest_ms - killed_ms) <= 1000 * grace(LEASE_S + 2.5));
    const imgq_queue_stats stats = stats_of(queue);
    CHECK_EQ_SIZE(HELD, stats.succeeded);
    CHECK_EQ_SIZE(HELD, stats.lost_leases);
    CHECK_EQ_SIZE(0, stats.dead);
    worker_end(holder);
    worker_end(other);
    imgq_queue_close(queue);
}

static void a_lone_worker_that_was_killed_and_restarted_finishes_its_jobs(void)
{
    imgq_queue *queue = open_queue("lone");
    imgq_id ids[HELD];
    answer answers[HELD];
    int64_t latest_ms = 0;
    submit_tensors(queue, ids, HELD);
    worker_process *holder = start_holder(queue, "lone", HELD);
    const int64_t killed_ms = server_ms();
    worker_signal(holder, SIGKILL);
    (void)worker_wait(holder);
    sleep(6); /* longer than five seconds without a tick look like an outage: leases get ten seconds of grace */
    worker_process *again =
        worker_start_ready(redis_fixture_url(redis), ARGS(NONE, "--queue", "lone", "--lease", "10"));
    all_are_answered(queue, ids, HELD, answers);
    for (size_t i = 0; i < HELD; i++)
        latest_ms = answers[i].taken_ms > latest_ms ? answers[i].taken_ms : latest_ms;
    printf("all taken again %.2f s after the kill\n", (double)(latest_ms - killed_ms) / 1000);
    CHECK((double)(latest_ms - killed_ms) <= 1000 * grace(LEASE_S + 12.5));
    CHECK_EQ_SIZE(HELD, stats_of(queue).succeeded);
    worker_end(holder);
    worker_end(again);
    imgq_queue_close(queue);
}

static void a_stopped_idle_worker_delays_nobody(void)
{
    imgq_queue *queue = open_queue("stop");
    worker_process *stopped = worker_start_ready(redis_fixture_url(redis), ARGS(NONE, "--queue", "stop"));
    worker_process *other = worker_start_ready(redis_fixture_url(redis), ARGS(NONE, "--queue", "stop"));
    sleep(1); /* both are waiting for tokens */
    worker_signal(stopped, SIGSTOP);
    for (int i = 0; i < 5; i++) {
        imgq_id id;
        answer one;
        imgq_job_status status = IMGQ_JOB_STATUS_INIT;
        imgq_error err;
        submit_text(queue, &id, 1);
        if (!await_one(queue, &id, &one) || !CHECK_OK(imgq_queue_look(queue, &id, &status, NULL, &err)))
            continue;
        const double waited = (double)(one.taken_ms - status.submitted_unix_ms) / 1000;
        printf("taken after %.3f s\n", waited);
        CHECK(waited <= grace(2.5));
    }
    worker_signal(stopped, SIGCONT);
    worker_end(stopped);
    worker_end(other);
    imgq_queue_close(queue);
}

static void a_worker_that_slept_through_its_lease_changes_nothing(void)
{
    imgq_queue *queue = open_queue("sleeper");
    imgq_id ids[HELD];
    submit_tensors(queue, ids, HELD);
    worker_process *sleeper = start_holder(queue, "sleeper", HELD);
    worker_process *other =
        worker_start_ready(redis_fixture_url(redis), ARGS(NONE, "--queue", "sleeper", "--lease", "10"));
    worker_signal(sleeper, SIGSTOP);
    all_are_answered(queue, ids, HELD, NULL);
    worker_signal(sleeper, SIGCONT);
    worker_signal(sleeper, SIGTERM); /* it learns that nothing is left to wait for */
    CHECK_EQ_INT(0, worker_wait(sleeper));
    const imgq_queue_stats stats = stats_of(queue);
    CHECK_EQ_SIZE(HELD, stats.succeeded);
    CHECK_EQ_SIZE(0, stats.waiting + stats.active + stats.delayed + stats.dead);
    worker_end(sleeper);
    worker_end(other);
    imgq_queue_close(queue);
}

/* ---- outages ---- */

typedef struct load {
    imgq_queue *queue;
    imgq_id ids[JOBS_MAX];
    size_t accepted;
} load;

/* Submits under outages as a producer should: the same id again until it is accepted. */
static void *produce(void *user)
{
    load *it = user;
    for (size_t i = 0; i < JOBS_MAX; i++) {
        imgq_error err;
        imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
        imgq_id id;
        snprintf(id.text, sizeof id.text, "load-%zu", i);
        options.id = &id;
        imgq_status status = IMGQ_E_UNAVAILABLE;
        for (int n = 0; n < 600 && status != IMGQ_OK; n++) {
            status = imgq_queue_submit(it->queue, "photo", 5, &options, NULL, &err);
            if (status != IMGQ_OK)
                usleep(100000);
        }
        if (CHECK_EQ_INT(IMGQ_OK, status))
            it->ids[it->accepted++] = id;
        usleep(5000);
    }
    return NULL;
}

static void every_accepted_job_is_answered_through_a_crash_of_redis(void)
{
    redis_fixture *other = redis_fixture_start("appendonly yes\nappendfsync always\n");
    const char *url = redis_fixture_url(other);
    load it = {.queue = open_at(url, "outage")};
    pthread_t producer;
    worker_process *one = worker_start_ready(url, ARGS(NONE, "--queue", "outage"));
    worker_process *two = worker_start_ready(url, ARGS(NONE, "--queue", "outage"));
    if (!CHECK(pthread_create(&producer, NULL, produce, &it) == 0))
        return;
    for (int i = 0; i < 2; i++) {
        usleep(700000);
        redis_fixture_kill(other);
        usleep(1500000);
        redis_fixture_restart(other);
    }
    pthread_join(producer, NULL);
    CHECK_EQ_SIZE(JOBS_MAX, it.accepted);
    all_are_answered(it.queue, it.ids, it.accepted, NULL);
    CHECK_EQ_SIZE(it.accepted, stats_of(it.queue).succeeded);
    CHECK(worker_says(one, "Redis is back after"));
    worker_end(one);
    worker_end(two);
    imgq_queue_close(it.queue);
    redis_fixture_stop(other);
}

static void an_outage_longer_than_the_lease_costs_no_lease(void)
{
    redis_fixture *other = redis_fixture_start(NULL);
    imgq_queue *queue = open_at(redis_fixture_url(other), "pause");
    imgq_id ids[HELD];
    submit_tensors(queue, ids, HELD);
    worker_process *holder = worker_start_ready(
        redis_fixture_url(other), ARGS("--forward-to", "nobody_reads_this", "--queue", "pause", "--lease", "10"));
    wait_active(queue, HELD);
    redis_fixture_pause(other);
    sleep(13);
    redis_fixture_resume(other);
    /* The first tick sees the gap and gives ten seconds of grace; until then the worker has renewed its leases. */
    sleep(12);
    imgq_queue_stats stats = stats_of(queue);
    CHECK_EQ_SIZE(0, stats.lost_leases);
    CHECK_EQ_SIZE(HELD,
                  stats.active + stats.delayed + stats.waiting); /* delayed: the reference did not answer in time */
    worker_end(holder);
    imgq_queue_close(queue);
    redis_fixture_stop(other);
}

/* ---- the quiet life ---- */

static long long commands_of_clients(void)
{
    static const char *const names[] = {"cmdstat_evalsha:calls", "cmdstat_eval:calls", "cmdstat_blpop:calls",
                                        "cmdstat_blmove:calls", "cmdstat_rpush:calls"};
    long long sum = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const long long calls = redis_fixture_info(redis, "commandstats", names[i]);
        sum += calls > 0 ? calls : 0;
    }
    return sum;
}

/* @return commands a second of a worker with these options that has nothing to do */
static double idle_rate(const char *const *args)
{
    worker_process *worker = worker_start_ready(redis_fixture_url(redis), args);
    sleep(1);
    const long long before = commands_of_clients();
    const int64_t start_ms = server_ms();
    sleep(12);
    const long long after = commands_of_clients();
    const double rate = (double)(after - before) * 1000 / (double)(server_ms() - start_ms);
    worker_signal(worker, SIGTERM);
    CHECK_EQ_INT(0, worker_wait(worker));
    worker_end(worker);
    return rate;
}

static void an_idle_worker_asks_at_most_once_a_second(void)
{
    const double one = idle_rate(ARGS(NONE, "--queue", "idle"));
    printf("%.2f commands/s with one queue\n", one);
    CHECK(one <= 1.0);
    const double two = idle_rate(ARGS(NONE, "--queue", "idle,idle2"));
    printf("%.2f commands/s with two queues\n", two);
    CHECK(two <= 1.0);
    const double import = idle_rate(ARGS(NONE, "--queue", "idle", "--import", "idle_list"));
    printf("%.2f commands/s with a queue and an imported list\n", import);
    CHECK(import <= 1.6);
}

/* ---- several queues ---- */

static void queues_share_a_worker_by_their_weights(void)
{
    enum { JOBS = 256 };
    static imgq_id ids[2][JOBS];
    static answer answers[2][JOBS];
    imgq_queue *a = open_queue("share-a"), *b = open_queue("share-b");
    submit_text(a, ids[0], JOBS);
    submit_text(b, ids[1], JOBS);
    worker_process *worker = worker_start_ready(redis_fixture_url(redis),
                                                ARGS(NONE, "--queue", "share-a=3,share-b", "--batch", "8", "--drain"));
    CHECK_EQ_INT(0, worker_wait(worker));
    all_are_answered(a, ids[0], JOBS, answers[0]);
    all_are_answered(b, ids[1], JOBS, answers[1]);
    int64_t last_of_a_ms = 0;
    size_t of_b = 0;
    for (size_t i = 0; i < JOBS; i++)
        last_of_a_ms = answers[0][i].taken_ms > last_of_a_ms ? answers[0][i].taken_ms : last_of_a_ms;
    for (size_t i = 0; i < JOBS; i++)
        of_b += answers[1][i].taken_ms <= last_of_a_ms;
    /* A third as many; the clock's milliseconds hold several looks, so that the border is blurred. */
    printf("%zu jobs of b (weight 1) until all %d of a (weight 3) were taken\n", of_b, JOBS);
    CHECK(of_b >= JOBS / 6 && of_b <= JOBS * 5 / 8);
    worker_end(worker);
    imgq_queue_close(a);
    imgq_queue_close(b);
}

static void the_first_image_of_an_idle_worker_waits_for_company(void)
{
    imgq_queue *queue = open_queue("company");
    imgq_id ids[5];
    worker_process *worker =
        worker_start_ready(redis_fixture_url(redis), ARGS(NONE, "--queue", "company", "--max-delay", "2000"));
    sleep(1); /* it is waiting for tokens */
    for (size_t i = 0; i < 5; i++) {
        submit_text(queue, &ids[i], 1);
        usleep(20000);
    }
    for (size_t i = 0; i < 5; i++) {
        answer one;
        if (await_one(queue, &ids[i], &one))
            CHECK_EQ_INT(5, one.batch);
    }
    worker_end(worker);
    imgq_queue_close(queue);
}

/* ---- a server that grants little ---- */

static void a_worker_needs_no_more_than_its_acl(void)
{
    char line[4096], config[256], path[256];
    redis_fixture *strict = redis_fixture_start(NULL);
    FILE *acl = fopen(source_path("lib/queue/acl/worker.acl"), "r");
    if (!CHECK(acl != NULL) || !CHECK(fgets(line, sizeof line, acl) != NULL))
        return;
    fclose(acl);
    line[strcspn(line, "\n")] = '\0';
    /* "user NAME rules..." becomes ACL SETUSER NAME rules with a password of the test's. */
    char command[8192];
    snprintf(command, sizeof command, "ACL SETUSER %s >secret", line + strlen("user "));
    CHECK_EQ_STR("OK", redis_fixture_ask(strict, command));
    snprintf(path, sizeof path, "%s", redis_fixture_socket(strict));
    snprintf(config, sizeof config, "IMGQ_REDIS_URL=unix://imgq-worker:secret@%s", path);
    imgq_queue *queue = open_at(redis_fixture_url(strict), "acl");
    imgq_id ids[8];
    submit_text(queue, ids, 8);
    worker_process *worker = worker_start(
        NULL, ARGS(NONE, "--queue", "acl", "--import", "image_queue", "--log-level", "debug"), ARGS(config));
    CHECK(worker_says(worker, "ready: "));
    all_are_answered(queue, ids, 8, NULL);
    CHECK_CONTAINS("(integer)", redis_fixture_ask(strict, "RPUSH image_queue no-json"));
    CHECK(worker_says(worker, "reference item: no JSON"));
    worker_signal(worker, SIGTERM);
    CHECK_EQ_INT(0, worker_wait(worker));
    CHECK(strstr(worker_log(worker), "NOPERM") == NULL);
    worker_end(worker);
    imgq_queue_close(queue);
    redis_fixture_stop(strict);
}

static void a_full_server_drains_to_empty(void)
{
    const char *const *args = ARGS(NONE, "--queue", "full", "--drain", "--import", "image_queue");
    redis_fixture *full = redis_fixture_start("maxmemory 24mb\nmaxmemory-policy noeviction\n");
    imgq_queue *queue = open_at(redis_fixture_url(full), "full");
    static uint8_t payload[64 * 1024];
    imgq_error err;
    size_t accepted = 0;
    imgq_status status = IMGQ_OK;
    /* A first worker makes the imported queue: a full server does not let anybody begin one. */
    worker_process *worker = worker_start(redis_fixture_url(full), args, NULL);
    CHECK_EQ_INT(0, worker_wait(worker));
    worker_end(worker);
    for (; accepted < 1000 && status == IMGQ_OK; accepted += status == IMGQ_OK)
        status = imgq_queue_submit(queue, payload, sizeof payload, NULL, NULL, &err);
    printf("closed after %zu jobs: %s\n", accepted, err.message);
    CHECK_EQ_INT(IMGQ_E_BUSY, status);
    CHECK(accepted > 10);
    CHECK_CONTAINS("(integer) 1", redis_fixture_ask(full, "LPUSH image_queue no-json"));
    /* Others' data take the rest of the memory. */
    const char *reply = "";
    for (size_t i = 0; i < 1000 && strstr(reply, "OOM") == NULL; i++) {
        char line[64];
        snprintf(line, sizeof line, "SETRANGE junk-%zu 500000 x", i);
        reply = redis_fixture_ask(full, line);
    }
    CHECK_CONTAINS("OOM", reply);
    worker = worker_start(redis_fixture_url(full), args, NULL);
    CHECK_EQ_INT(0, worker_wait(worker));
    const imgq_queue_stats stats = stats_of(queue);
    CHECK_EQ_SIZE(accepted, stats.succeeded);
    CHECK_EQ_SIZE(0, stats.waiting + stats.active + stats.delayed + stats.dead);
    CHECK_EQ_STR("(integer) 0", redis_fixture_ask(full, "LLEN image_queue"));
    worker_end(worker);
    imgq_queue_close(queue);
    redis_fixture_stop(full);
}

/* ---- ends ---- */

static void a_draining_worker_ends_though_its_empty_queue_is_paused(void)
{
    imgq_error err;
    imgq_queue *queue = open_queue("paused-drain");
    imgq_id id;
    CHECK_OK(imgq_queue_pause(queue, IMGQ_PAUSE_DELIVERIES, &err));
    worker_process *worker =
        worker_start(redis_fixture_url(redis), ARGS(NONE, "--queue", "paused-drain", "--drain"), NULL);
    CHECK_EQ_INT(0, worker_wait(worker));
    worker_end(worker);
    /* What is held back waits, though: it is drained once deliveries go on. */
    submit_text(queue, &id, 1);
    worker = worker_start_ready(redis_fixture_url(redis), ARGS(NONE, "--queue", "paused-drain", "--drain"));
    sleep(3);
    CHECK_EQ_SIZE(1, stats_of(queue).waiting);
    CHECK_OK(imgq_queue_resume(queue, &err));
    CHECK_EQ_INT(0, worker_wait(worker));
    CHECK_EQ_SIZE(1, stats_of(queue).succeeded);
    worker_end(worker);
    imgq_queue_close(queue);
}

static void a_draining_worker_ends_when_nothing_waits(void)
{
    imgq_error err;
    imgq_queue *queue = open_queue("drain");
    imgq_id ids[100], delayed;
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    submit_text(queue, ids, 100);
    options.delay_ms = 3600000;
    CHECK_OK(imgq_queue_submit(queue, "later", 5, &options, &delayed, &err));
    worker_process *worker = worker_start(redis_fixture_url(redis), ARGS(NONE, "--queue", "drain", "--drain"), NULL);
    CHECK_EQ_INT(0, worker_wait(worker));
    CHECK_CONTAINS("drained: nothing waits", worker_log(worker));
    const imgq_queue_stats stats = stats_of(queue);
    CHECK_EQ_SIZE(100, stats.succeeded);
    CHECK_EQ_SIZE(1, stats.delayed);
    CHECK_EQ_SIZE(0, stats.waiting + stats.active);
    worker_end(worker);
    imgq_queue_close(queue);
}

static void sigterm_ends_an_idle_worker_with_0(void)
{
    static const int signals[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        worker_process *worker = worker_start_ready(redis_fixture_url(redis), ARGS(NONE, "--queue", "term"));
        worker_signal(worker, signals[i]);
        CHECK_EQ_INT(0, worker_wait(worker));
        worker_end(worker);
    }
}

static void a_second_signal_gives_everything_back_within_a_second(void)
{
    imgq_queue *queue = open_queue("hurry");
    imgq_id ids[HELD];
    submit_tensors(queue, ids, HELD);
    worker_process *holder = start_holder(queue, "hurry", HELD);
    worker_signal(holder, SIGTERM);
    usleep(300000);
    CHECK_EQ_SIZE(HELD, stats_of(queue).active); /* one signal waits for the answers that are due */
    const int64_t asked_ms = server_ms();
    worker_signal(holder, SIGTERM);
    CHECK_EQ_INT(128 + SIGTERM, worker_wait(holder));
    CHECK((double)(server_ms() - asked_ms) <= 1000 * grace(1.5));
    const imgq_queue_stats stats = stats_of(queue);
    CHECK_EQ_SIZE(HELD, stats.waiting);
    CHECK_EQ_SIZE(0, stats.lost_leases);
    worker_end(holder);
    imgq_queue_close(queue);
}

/* ---- systemd ---- */

/* The next message to the socket that begins so. */
static bool is_told(int fd, const char *beginning)
{
    char message[512];
    for (ssize_t len; (len = recv(fd, message, sizeof message - 1, 0)) >= 0;) {
        message[len] = '\0';
        if (strncmp(message, beginning, strlen(beginning)) == 0)
            return true;
    }
    fprintf(stderr, "not told: %s\n", beginning);
    return false;
}

static void systemd_is_told_of_readiness_progress_and_the_end(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 30};
    char variable[256];
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", redis_fixture_folder(redis));
    snprintf(variable, sizeof variable, "NOTIFY_SOCKET=%s", address.sun_path);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (!CHECK(bind(fd, (const struct sockaddr *)&address, sizeof address) == 0))
        return;
    worker_process *worker = worker_start(redis_fixture_url(redis), ARGS(NONE, "--queue", "systemd"),
                                          ARGS(variable, "WATCHDOG_USEC=4000000"));
    CHECK(is_told(fd, "READY=1\nSTATUS="));
    CHECK(is_told(fd, "WATCHDOG=1"));
    CHECK(is_told(fd, "STATUS=0 jobs answered, 0 failed"));
    CHECK(is_told(fd, "WATCHDOG=1")); /* an idle worker's visits are progress */
    worker_signal(worker, SIGTERM);
    CHECK(is_told(fd, "STOPPING=1"));
    CHECK_EQ_INT(0, worker_wait(worker));
    worker_end(worker);
    close(fd);
}

static void log_lines_carry_a_priority_in_the_journal_only(void)
{
    worker_process *worker =
        worker_start(redis_fixture_url(redis), ARGS(NONE, "--queue", "journal", "--drain", "--name", "worker-1"),
                     ARGS("JOURNAL_STREAM=1:1"));
    CHECK_EQ_INT(0, worker_wait(worker));
    CHECK(worker_log(worker)[0] == '[');
    CHECK_CONTAINS("] [worker-1] [imgq-worker] INFO: ready: serving", worker_log(worker));
    worker_end(worker);
    worker =
        worker_start(redis_fixture_url(redis),
                     ARGS(NONE, "--queue", "journal", "--drain", "--name", "worker-2", "--log-format", "json"), NULL);
    CHECK_EQ_INT(0, worker_wait(worker));
    CHECK(worker_log(worker)[0] == '{');
    CHECK_CONTAINS("\"worker-2\"", worker_log(worker));
    worker_end(worker);
    /* What ends it is a line of the log like the others. */
    worker = worker_start(redis_fixture_url(redis),
                          ARGS("--model", "/nope", "--queue", "journal", "--name", "worker-3", "--log-format", "json"),
                          NULL);
    CHECK_EQ_INT(7, worker_wait(worker));
    CHECK(worker_log(worker)[0] == '{');
    CHECK_CONTAINS("\"level\":\"ERROR\",\"action\":\"open /nope: No such file or directory\"}", worker_log(worker));
    worker_end(worker);
    worker = worker_start("unix:///nope", ARGS(NONE, "--name", "worker-4"), NULL);
    CHECK_EQ_INT(6, worker_wait(worker));
    CHECK_CONTAINS("] [worker-4] [imgq-worker] ERROR: connect to /nope: No such file or directory", worker_log(worker));
    worker_end(worker);
}

/* ---- refusals ---- */

static void refused(int code, const char *message, const char *url, const char *const *args,
                    const char *const *environment)
{
    worker_process *worker = worker_start(url, args, environment);
    CHECK_EQ_INT(code, worker_wait(worker));
    CHECK_CONTAINS(message, worker_log(worker));
    worker_end(worker);
}

static void wrong_command_lines_end_with_2(void)
{
    const char *url = redis_fixture_url(redis);
    refused(2, "--model is needed", url, ARGS("--queue", "x"), NULL);
    refused(2, "--leese", url, ARGS(NONE, "--leese", "30"), NULL);
    refused(2, "lease", url, ARGS(NONE, "--lease", "5"), NULL);
    refused(2, "batch", url, ARGS(NONE, "--batch", "0"), NULL);
    refused(2, "--queue a=0: it must be NAME or NAME=WEIGHT", url, ARGS(NONE, "--queue", "a=0"), NULL);
    refused(2, "--queue names twice-2 twice", url, ARGS(NONE, "--queue", "twice-2,twice-2=3"), NULL);
    refused(2, "--queue a,,b: it must be", url, ARGS(NONE, "--queue", "a,,b"), NULL);
    refused(2, "--import and --forward-to image_queue: it would serve itself for ever", url,
            ARGS("--forward-to", "image_queue", "--import", "image_queue"), NULL);
    refused(2, "photo.jpg: no arguments are taken", url, ARGS(NONE, "photo.jpg"), NULL);
    refused(2, "--password-file", "redis://:secret@127.0.0.1:6379", ARGS(NONE), NULL);
}

static void no_redis_at_the_start_ends_with_6(void)
{
    refused(6, "/nowhere/redis.sock", "unix:///nowhere/redis.sock", ARGS(NONE), NULL);
}

static void with_wait_redis_it_waits(void)
{
    redis_fixture *late = redis_fixture_start(NULL);
    redis_fixture_kill(late);
    worker_process *worker = worker_start(redis_fixture_url(late), ARGS(NONE, "--wait-redis"), NULL);
    CHECK(worker_says(worker, "waiting for Redis"));
    redis_fixture_restart(late);
    CHECK(worker_says(worker, "ready: "));
    worker_signal(worker, SIGTERM);
    CHECK_EQ_INT(0, worker_wait(worker));
    worker_end(worker);
    redis_fixture_stop(late);
}

static void what_cannot_be_right_ends_with_7(void)
{
    redis_fixture *strict = redis_fixture_start("requirepass secret\n");
    redis_fixture *evicting = redis_fixture_start("maxmemory 50mb\nmaxmemory-policy allkeys-lru\n");
    refused(7, "/nowhere/model.safetensors", redis_fixture_url(redis),
            ARGS("--model", "/nowhere/model.safetensors", "--profile", "keras"), NULL);
    refused(7, "password", redis_fixture_url(strict), ARGS(NONE, "--drain"), ARGS("IMGQ_REDIS_PASSWORD=wrong"));
    refused(0, "drained", redis_fixture_url(strict), ARGS(NONE, "--drain"), ARGS("IMGQ_REDIS_PASSWORD=secret"));
    refused(7, "allkeys-lru", redis_fixture_url(evicting), ARGS(NONE), NULL);
    redis_fixture_stop(strict);
    redis_fixture_stop(evicting);
}

static void a_live_workers_name_is_refused(void)
{
    worker_process *first =
        worker_start_ready(redis_fixture_url(redis), ARGS(NONE, "--queue", "twins", "--name", "twin"));
    refused(7, "another live worker of queue twins is named twin", redis_fixture_url(redis),
            ARGS(NONE, "--queue", "twins", "--name", "twin"), NULL);
    worker_end(first);
}

static const check_test tests[] = {
    CHECK_TEST(jobs_of_a_killed_worker_are_finished_by_another_within_the_lease),
    CHECK_TEST(a_lone_worker_that_was_killed_and_restarted_finishes_its_jobs),
    CHECK_TEST(a_stopped_idle_worker_delays_nobody),
    CHECK_TEST(a_worker_that_slept_through_its_lease_changes_nothing),
    CHECK_TEST(every_accepted_job_is_answered_through_a_crash_of_redis),
    CHECK_TEST(an_outage_longer_than_the_lease_costs_no_lease),
    CHECK_TEST(an_idle_worker_asks_at_most_once_a_second),
    CHECK_TEST(queues_share_a_worker_by_their_weights),
    CHECK_TEST(the_first_image_of_an_idle_worker_waits_for_company),
    CHECK_TEST(a_worker_needs_no_more_than_its_acl),
    CHECK_TEST(a_full_server_drains_to_empty),
    CHECK_TEST(a_draining_worker_ends_though_its_empty_queue_is_paused),
    CHECK_TEST(a_draining_worker_ends_when_nothing_waits),
    CHECK_TEST(sigterm_ends_an_idle_worker_with_0),
    CHECK_TEST(a_second_signal_gives_everything_back_within_a_second),
    CHECK_TEST(systemd_is_told_of_readiness_progress_and_the_end),
    CHECK_TEST(log_lines_carry_a_priority_in_the_journal_only),
    CHECK_TEST(wrong_command_lines_end_with_2),
    CHECK_TEST(no_redis_at_the_start_ends_with_6),
    CHECK_TEST(with_wait_redis_it_waits),
    CHECK_TEST(what_cannot_be_right_ends_with_7),
    CHECK_TEST(a_live_workers_name_is_refused),
};

int main(int argc, char **argv)
{
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    redis = redis_fixture_start(NULL);
    const int code = check_main(argc, argv, "worker", tests, sizeof tests / sizeof *tests);
    redis_fixture_stop(redis);
    imgq_env_destroy(env);
    return code;
}
