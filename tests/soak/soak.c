/* Does anything grow? Many images through a private Redis and a worker, and what worker and sender hold of memory
 * meanwhile. Not part of the suite: `./dev soak`, docs/testing.md.
 *
 *   soak queue [--jobs 100000]      good and bad images are decoded and resized here, then sent through the queue to a
 *                                   worker without a model
 *   soak network [--jobs 2000]      good images are sent to a worker with the model, which decodes and classifies
 *   both: [--seed N] [--window N] [--limit MIB]; network: [--model FILE] [--batch N] [--threads N]
 *
 * 20,000 and 400 more come first, to warm up. Ends with 1 if a process grew by more than the limit after them, a job
 * failed, or the worker with the model holds more than its packed weights, its arena and 40 MiB. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <imgq/image.h>
#include <imgq/queue.h>
#include <imgq/session.h>

#include "import/import.h"
#include "integration/worker_process.h"
#include "soak/materials.h"
#include "soak/slope.h"
#include "support/check.h"
#include "support/redis_fixture.h"
#include "support/shared.h"

enum { INPUT = 224 * 224 * 3, AWAIT_MS = 120000, RESULT_TTL_MS = 10000, SPARE_MIB = 40 };

/* Jobs before those that count: allocators and worker threads have met every size by then. */
enum { WARM_UP_QUEUE = 20000, WARM_UP_NETWORK = 400 };

typedef struct settings {
    bool network;
    size_t jobs, warm_up, window; /* jobs: with those of the warm-up */
    uint64_t seed;
    double limit_mib;
    const char *model, *batch, *threads;
} settings;

typedef struct soak {
    const settings *settings;
    imgq_env *env;
    imgq_queue *queue;
    materials *materials;
    imgq_recipe recipe;
    float *input;
    size_t sent, answered, decoded, refused, failed;
    slope here, there;
} soak;

static void die(const char *what, const imgq_error *err)
{
    fprintf(stderr, "soak: %s: %s\n", what, err->message);
    exit(1);
}

static void decode_here(soak *s, const uint8_t *bytes, size_t len)
{
    imgq_error err;
    const imgq_status status =
        imgq_encoded_preprocess(s->env, bytes, len, NULL, &s->recipe, s->input, INPUT, NULL, &err);
    if (status == IMGQ_OK)
        s->decoded++;
    else if (status == IMGQ_E_FORMAT || status == IMGQ_E_CORRUPT || status == IMGQ_E_LIMIT ||
             status == IMGQ_E_UNSUPPORTED)
        s->refused++;
    else
        die("decode", &err);
}

static void send_one(soak *s)
{
    imgq_error err;
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    size_t len = 0;
    const uint8_t *bytes = materials_next(s->materials, s->settings->network, &len);
    options.result_ttl_ms = RESULT_TTL_MS;
    if (!s->settings->network)
        decode_here(s, bytes, len);
    if (imgq_queue_submit(s->queue, bytes, len, &options, NULL, &err) != IMGQ_OK)
        die("submit", &err);
    s->sent++;
}

static void receive_one(soak *s)
{
    imgq_error err;
    imgq_result *result = NULL;
    if (imgq_queue_await(s->queue, NULL, 0, AWAIT_MS, &result, &err) != IMGQ_OK)
        die("await", &err);
    if (imgq_result_status(result) != IMGQ_OK) {
        if (s->failed++ == 0)
            fprintf(stderr, "soak: the first job that failed: %s\n", imgq_result_message(result));
    }
    imgq_result_destroy(result);
    s->answered++;
}

static void sample(soak *s)
{
    const settings *set = s->settings;
    const double done = (double)(s->answered - set->warm_up) / (double)(set->jobs - set->warm_up);
    slope_sample(&s->here, done);
    slope_sample(&s->there, done);
}

static void run(soak *s)
{
    const size_t jobs = s->settings->jobs, step = (jobs - s->settings->warm_up) / 300 + 1;
    while (s->answered < jobs) {
        while (s->sent < jobs && s->sent - s->answered < s->settings->window)
            send_one(s);
        receive_one(s);
        if (s->answered > s->settings->warm_up && s->answered % step == 0)
            sample(s);
    }
}

static bool report(const soak *s, double seconds)
{
    const settings *set = s->settings;
    printf("%zu jobs in %.0f s, %.0f a second; seed %" PRIu64 "\n", s->answered, seconds, (double)s->answered / seconds,
           set->seed);
    if (!set->network)
        printf("%zu images decoded, %zu refused, of %zu files and what damage made of them\n", s->decoded, s->refused,
               materials_count(s->materials));
    if (s->failed > 0)
        printf("%zu jobs FAILED\n", s->failed);
    const bool here = slope_report(&s->here, set->limit_mib);
    const bool there = slope_report(&s->there, set->limit_mib);
    return here && there && s->failed == 0;
}

/* What the library says of a session such as the worker's, in MiB. */
static double session_mib(const soak *s)
{
    imgq_error err;
    iq_weights *set = NULL;
    imgq_model *model = NULL;
    imgq_session *session = NULL;
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    imgq_session_info info = IMGQ_SESSION_INFO_INIT;
    options.max_batch = strtoull(s->settings->batch, NULL, 10);
    options.threads = strtoull(s->settings->threads, NULL, 10);
    if (iq_import_open(s->env, s->settings->model, &set, &err) != IMGQ_OK ||
        iq_model_from_weights(s->env, set, NULL, &model, &err) != IMGQ_OK ||
        imgq_session_create(model, &options, &session, &err) != IMGQ_OK ||
        imgq_session_get_info(session, &info, &err) != IMGQ_OK)
        die("open the model", &err);
    imgq_session_destroy(session);
    imgq_model_close(model);
    iq_weights_destroy(set);
    return (double)(info.packed_bytes + info.arena_bytes) / (1 << 20);
}

/* Images of a megapixel at most: a worker's memory is that of its session and little else. */
static bool report_worker(const soak *s)
{
    const double session = session_mib(s), beside = s->there.mib[s->there.count - 1] - session;
    printf("%-10s packed weights and arena %.1f MiB; beside them %.1f, the limit is %d: %s\n", s->there.who, session,
           beside, SPARE_MIB, beside <= SPARE_MIB ? "kept" : "BROKEN");
    return beside <= SPARE_MIB;
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static worker_process *start_worker(const settings *set, const char *url)
{
    const char *const without[] = {"--model", "none", "--queue", "soak", NULL};
    const char *const with[] = {"--model",  set->model,  "--queue",    "soak", "--batch",
                                set->batch, "--threads", set->threads, NULL};
    worker_process *worker = worker_start(url, set->network ? with : without, NULL);
    if (!worker_says(worker, "ready: ")) {
        fprintf(stderr, "soak: the worker is not ready: %s\n", worker_log(worker));
        exit(1);
    }
    return worker;
}

static settings wanted;

static void nothing_grows(void)
{
    const settings *set = &wanted;
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    soak s = {.settings = set,
              .materials = materials_read(set->seed, set->network),
              .recipe = {.size = sizeof s.recipe},
              .input = malloc(INPUT * sizeof(float)),
              .here = {.who = "sender"},
              .there = {.who = "worker"}};
    redis_fixture *redis = redis_fixture_start(NULL);
    worker_process *worker = start_worker(set, redis_fixture_url(redis));
    s.there.pid = worker_pid(worker);
    options.name = "soak";
    if (imgq_env_create(NULL, &s.env, &err) != IMGQ_OK || imgq_recipe_find("keras", &s.recipe, &err) != IMGQ_OK ||
        imgq_queue_open(s.env, redis_fixture_url(redis), &options, &s.queue, &err) != IMGQ_OK)
        die("open", &err);
    const double started = now();
    run(&s);
    CHECK(report(&s, now() - started));
    if (set->network)
        CHECK(report_worker(&s));
    imgq_queue_close(s.queue);
    imgq_env_destroy(s.env);
    worker_end(worker);
    redis_fixture_stop(redis);
    materials_free(s.materials);
    free(s.input);
}

static int usage(void)
{
    fputs("usage: soak queue|network [--jobs N] [--seed N] [--window N] [--limit MIB] [--model FILE] [--batch N] "
          "[--threads N]\n",
          stderr);
    return 2;
}

static bool option(settings *set, const char *name, const char *value)
{
    if (strcmp(name, "--jobs") == 0)
        set->jobs = strtoull(value, NULL, 10);
    else if (strcmp(name, "--seed") == 0)
        set->seed = strtoull(value, NULL, 10);
    else if (strcmp(name, "--window") == 0)
        set->window = strtoull(value, NULL, 10);
    else if (strcmp(name, "--limit") == 0)
        set->limit_mib = strtod(value, NULL);
    else if (strcmp(name, "--model") == 0)
        set->model = value;
    else if (strcmp(name, "--batch") == 0)
        set->batch = value;
    else if (strcmp(name, "--threads") == 0)
        set->threads = value;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    settings set = {.seed = (uint64_t)time(NULL), .window = 64, .limit_mib = 1, .batch = "8", .threads = "0"};
    if (argc < 2 || (strcmp(argv[1], "queue") != 0 && strcmp(argv[1], "network") != 0))
        return usage();
    set.network = strcmp(argv[1], "network") == 0;
    set.jobs = set.network ? 2000 : 100000;
    char model[1024];
    snprintf(model, sizeof model, "%s", shared_path("models/resnet50_keras.h5"));
    set.model = getenv("IMGQ_MODEL") != NULL ? getenv("IMGQ_MODEL") : model;
    for (int i = 2; i < argc; i += 2)
        if (i + 1 == argc || !option(&set, argv[i], argv[i + 1]))
            return usage();
    if (set.jobs < 100 || set.window == 0)
        return usage();
    set.warm_up = set.network ? WARM_UP_NETWORK : WARM_UP_QUEUE;
    set.jobs += set.warm_up;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("seed %" PRIu64 "\n", set.seed);
    wanted = set;
    const check_test tests[] = {CHECK_TEST(nothing_grows)};
    return check_main(1, argv, "soak", tests, 1);
}
