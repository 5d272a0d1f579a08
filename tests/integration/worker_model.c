/* imgq-worker with the real weights: the reference's answers through a real Redis, whatever the payload's form; bad
 * images beside good ones; and the reference's own programs on either side, unmodified. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <imgq/admin.h>
#include <imgq/image.h>
#include <imgq/queue.h>

#include "base/buf.h"
#include "base/json.h"
#include "integration/worker_process.h"
#include "support/check.h"
#include "support/redis_fixture.h"
#include "support/shared.h"

enum { TOP = 5, IMAGES_MAX = 128, AWAIT_MS = 600000 };

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define CASTLE "images/castle_image.jpg"

static redis_fixture *redis;
static imgq_env *env;
static const char *castle_lines = "1. church: 0.4136\n2. castle: 0.3930\n3. monastery: 0.1733\n4. palace: 0.0041\n"
                                  "5. vault: 0.0034\n";

static imgq_queue *open_queue(const char *name)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.name = name;
    options.roles = IMGQ_ROLE_PRODUCER | IMGQ_ROLE_OPERATOR;
    CHECK_OK(imgq_queue_open(env, redis_fixture_url(redis), &options, &queue, &err));
    return queue;
}

static worker_process *start_keras(const char *queue)
{
    return worker_start_ready(redis_fixture_url(redis),
                              ARGS("--model", shared_path("models/resnet50_keras.h5"), "--queue", queue));
}

static iq_buf read_file(const char *path)
{
    imgq_error err;
    iq_buf file = {0};
    CHECK_OK(iq_buf_read_file(env, &file, path, 64 << 20, &err));
    return file;
}

/* The payload that a sender of this media makes of an image file; owned by the caller. */
static iq_buf payload_of(const char *path, uint32_t media, imgq_submit_options *options)
{
    imgq_error err;
    imgq_image *image = NULL;
    imgq_recipe recipe = {.size = sizeof recipe};
    iq_buf file = read_file(path), payload = {0};
    *options = IMGQ_SUBMIT_OPTIONS_INIT;
    options->media = media;
    if (media == IMGQ_MEDIA_ENCODED)
        return file;
    options->profile = "keras";
    CHECK_OK(imgq_recipe_find("keras", &recipe, &err));
    options->width = recipe.crop_width;
    options->height = recipe.crop_height;
    const size_t count = (size_t)recipe.crop_width * recipe.crop_height * 3;
    const size_t size = media == IMGQ_MEDIA_U8 ? count : count * sizeof(float);
    if (CHECK(iq_buf_reserve(env, &payload, size)) &&
        CHECK_OK(imgq_image_decode(env, file.data, file.len, NULL, &image, &err))) {
        if (media == IMGQ_MEDIA_U8)
            CHECK_OK(imgq_image_resample(image, &recipe, payload.data, size, &err));
        else
            CHECK_OK(imgq_image_preprocess(image, &recipe, (float *)(void *)payload.data, count, &err));
        payload.len = size;
    }
    imgq_image_destroy(image);
    iq_buf_release(env, &file);
    return payload;
}

static imgq_id submit(imgq_queue *queue, const char *path, uint32_t media)
{
    imgq_error err;
    imgq_id id = {{0}};
    imgq_submit_options options;
    iq_buf payload = payload_of(path, media, &options);
    CHECK_OK(imgq_queue_submit(queue, payload.data, payload.len, &options, &id, &err));
    iq_buf_release(env, &payload);
    return id;
}

static imgq_result *await_one(imgq_queue *queue, const imgq_id *id)
{
    imgq_error err;
    imgq_result *result = NULL;
    CHECK_OK(imgq_queue_await(queue, id, 1, AWAIT_MS, &result, &err));
    return result;
}

static void check_castle(const imgq_result *result)
{
    char lines[512];
    size_t count = 0, len = 0;
    const imgq_prediction *top = imgq_result_top(result, &count);
    CHECK_EQ_INT(IMGQ_OK, imgq_result_status(result));
    CHECK_EQ_SIZE(TOP, count);
    for (size_t i = 0; i < count && len < sizeof lines; i++)
        len += (size_t)snprintf(lines + len, sizeof lines - len, "%zu. %s: %.4f\n", i + 1, imgq_result_label(result, i),
                                (double)top[i].probability);
    CHECK_EQ_STR(castle_lines, count > 0 ? lines : "");
}

/* ---- right answers ---- */

static void check_oracle(const iq_json *file, const imgq_result *result)
{
    size_t count = 0;
    const char *name = iq_json_text(iq_json_get(file, "file"));
    const iq_json *want = iq_json_get(file, "top5");
    const imgq_prediction *top = imgq_result_top(result, &count);
    bool ok = CHECK_EQ_INT(IMGQ_OK, imgq_result_status(result)) && CHECK_EQ_SIZE(TOP, count);
    for (size_t i = 0; ok && i < TOP; i++) {
        const iq_json *one = iq_json_at(want, i);
        uint64_t index = UINT64_MAX;
        ok &= CHECK(iq_json_uint(iq_json_get(one, "index"), &index)) && CHECK_EQ_SIZE(index, top[i].class_id);
        ok &= CHECK_EQ_STR(iq_json_text(iq_json_get(one, "label")), imgq_result_label(result, i));
        ok &= CHECK_NEAR(iq_json_number(iq_json_get(one, "probability"), -1), top[i].probability, 1e-5);
    }
    if (!ok)
        fprintf(stderr, "  that was %s\n", name);
}

static void sweep(imgq_queue *queue, const iq_json *files, uint32_t media)
{
    static imgq_id ids[IMAGES_MAX];
    size_t count = 0;
    for (const iq_json *file = iq_json_first(files); file != NULL && count < IMAGES_MAX; file = iq_json_next(file)) {
        char path[512];
        const char *name = iq_json_text(iq_json_get(file, "file"));
        snprintf(path, sizeof path, "images/%s", name);
        ids[count++] = submit(queue, shared_path(path), media);
    }
    CHECK(count > 100);
    size_t at = 0;
    for (const iq_json *file = iq_json_first(files); file != NULL && at < count; file = iq_json_next(file)) {
        imgq_result *result = await_one(queue, &ids[at++]);
        if (result != NULL)
            check_oracle(file, result);
        imgq_result_destroy(result);
    }
}

static void all_images_get_the_oracles_answers_for_every_form_of_payload(void)
{
    imgq_error err;
    iq_json *oracle = NULL;
    if (!shared_is_there())
        return;
    iq_buf text = read_file(shared_path("oracle/keras.json"));
    if (!CHECK_OK(iq_json_parse((const char *)text.data, text.len, &oracle, &err)))
        return;
    imgq_queue *queue = open_queue("oracle");
    worker_process *worker = start_keras("oracle");
    sweep(queue, iq_json_get(oracle, "files"), IMGQ_MEDIA_ENCODED);
    sweep(queue, iq_json_get(oracle, "files"), IMGQ_MEDIA_U8);
    sweep(queue, iq_json_get(oracle, "files"), IMGQ_MEDIA_F32);
    CHECK_CONTAINS("batch of 32 classified in ", worker_log(worker));
    worker_end(worker);
    iq_json_free(oracle);
    iq_buf_release(env, &text);
    imgq_queue_close(queue);
}

static void a_result_says_where_it_came_from(void)
{
    if (!shared_is_there())
        return;
    imgq_error err;
    imgq_queue *queue = open_queue("provenance");
    worker_process *worker =
        worker_start_ready(redis_fixture_url(redis), ARGS("--model", shared_path("models/resnet50_keras.h5"), "--queue",
                                                          "provenance", "--name", "worker-1", "--threads", "1"));
    imgq_submit_options options = IMGQ_SUBMIT_OPTIONS_INIT;
    imgq_result_info info = IMGQ_RESULT_INFO_INIT;
    imgq_id id;
    size_t count = 0;
    iq_buf file = read_file(shared_path(CASTLE));
    options.top_count = 17;
    options.model = "resnet50_keras";
    CHECK_OK(imgq_queue_submit(queue, file.data, file.len, &options, &id, &err));
    imgq_result *result = await_one(queue, &id);
    if (result != NULL && CHECK_OK(imgq_result_get_info(result, &info, &err))) {
        (void)imgq_result_top(result, &count);
        CHECK_EQ_SIZE(17, count);
        CHECK_EQ_STR("resnet50_keras", info.model);
        CHECK_EQ_SIZE(64, strlen(info.model_hash));
        CHECK_EQ_STR("keras", info.profile);
        CHECK(info.engine[0] != '\0');
        CHECK_EQ_STR("worker-1", info.worker);
        CHECK_EQ_INT(1, info.attempt);
        CHECK_EQ_INT(1, info.batch);
        CHECK(info.compute_ms > 0);
        CHECK(info.decode_ms > 0);
        CHECK_EQ_INT(0, info.exif_applied);
    }
    imgq_result_destroy(result);
    iq_buf_release(env, &file);
    worker_end(worker);
    imgq_queue_close(queue);
}

/* ---- bad ones ---- */

static const char *const bad_files[] = {
    "empty.jpg",       "gif.gif",         "jpeg-header-only.jpg",       "jpeg-lies-0x0.jpg", "jpeg-truncated-half.jpg",
    "png-bad-crc.png", "png-no-idat.png", "png-bomb-100000x100000.png", "text.jpg",          "webp.webp"};
enum { BAD = sizeof bad_files / sizeof *bad_files };

/* What the decoder itself says. */
static imgq_error decoders_words(const char *path)
{
    imgq_error err = {0};
    imgq_image *image = NULL;
    iq_buf file = read_file(path);
    CHECK(imgq_image_decode(env, file.data, file.len, NULL, &image, &err) != IMGQ_OK);
    iq_buf_release(env, &file);
    return err;
}

static void bad_images_fail_with_the_decoders_words_and_spare_their_neighbours(void)
{
    if (!shared_is_there())
        return;
    imgq_queue *queue = open_queue("bad");
    imgq_id bad[BAD], good[BAD];
    for (size_t i = 0; i < BAD; i++) { /* before the worker is there, so that they run together */
        char path[128];
        snprintf(path, sizeof path, "oracle/bad/%s", bad_files[i]);
        good[i] = submit(queue, shared_path(CASTLE), IMGQ_MEDIA_ENCODED);
        bad[i] = submit(queue, shared_path(path), IMGQ_MEDIA_ENCODED);
    }
    worker_process *worker = start_keras("bad");
    for (size_t i = 0; i < BAD; i++) {
        char path[128];
        snprintf(path, sizeof path, "oracle/bad/%s", bad_files[i]);
        const imgq_error words = decoders_words(shared_path(path));
        imgq_result *of_bad = await_one(queue, &bad[i]), *of_good = await_one(queue, &good[i]);
        if (of_bad != NULL) {
            CHECK_EQ_INT(words.status, imgq_result_status(of_bad));
            CHECK_EQ_STR(words.message, imgq_result_message(of_bad));
        }
        if (of_good != NULL)
            check_castle(of_good);
        imgq_result_destroy(of_bad);
        imgq_result_destroy(of_good);
    }
    worker_end(worker);
    imgq_queue_close(queue);
}

static void fails(imgq_queue *queue, const iq_buf *payload, const imgq_submit_options *options, imgq_status status,
                  const char *message)
{
    imgq_error err;
    imgq_id id;
    if (!CHECK_OK(imgq_queue_submit(queue, payload->data, payload->len, options, &id, &err)))
        return;
    imgq_result *result = await_one(queue, &id);
    if (result != NULL) {
        CHECK_EQ_INT(status, imgq_result_status(result));
        CHECK_CONTAINS(message, imgq_result_message(result));
    }
    imgq_result_destroy(result);
}

static void jobs_that_want_something_else_are_refused(void)
{
    if (!shared_is_there())
        return;
    imgq_queue *queue = open_queue("else");
    worker_process *worker = start_keras("else");
    imgq_submit_options options;
    iq_buf payload = payload_of(shared_path(CASTLE), IMGQ_MEDIA_F32, &options);
    options.profile = "torchvision";
    fails(queue, &payload, &options, IMGQ_E_UNSUPPORTED,
          "profile_mismatch: the tensor was prepared with profile torchvision, this worker's model wants keras");
    options.profile = "keras";
    options.model = "vgg16";
    fails(queue, &payload, &options, IMGQ_E_UNSUPPORTED,
          "model_mismatch: the job wants model vgg16, this worker has resnet50_keras");
    options.model = NULL;
    const float nan = __builtin_nanf("");
    memcpy(payload.data + 12, &nan, sizeof nan);
    fails(queue, &payload, &options, IMGQ_E_FORMAT, "tensor whose value 3 is no finite number");
    options.width = options.height = 112;
    payload.len /= 4;
    fails(queue, &payload, &options, IMGQ_E_FORMAT, "tensor of 112 x 112, the model reads 224 x 224");
    iq_buf_release(env, &payload);
    payload = payload_of(shared_path(CASTLE), IMGQ_MEDIA_ENCODED, &options);
    options.profile = "unheard-of";
    fails(queue, &payload, &options, IMGQ_E_NOTFOUND, "unheard-of");
    iq_buf_release(env, &payload);
    worker_end(worker);
    imgq_queue_close(queue);
}

/* ---- the forward pass and the signals ---- */

static void sigterm_finishes_the_batch_in_hand_and_gives_back_the_rest(void)
{
    if (!shared_is_there())
        return;
    imgq_error err;
    enum { JOBS = 24, BATCH = 4 };
    imgq_queue *queue = open_queue("term");
    for (size_t i = 0; i < JOBS; i++)
        submit(queue, shared_path(CASTLE), IMGQ_MEDIA_U8);
    worker_process *worker =
        worker_start_ready(redis_fixture_url(redis), ARGS("--model", shared_path("models/resnet50_keras.h5"), "--queue",
                                                          "term", "--batch", "4", "--threads", "1"));
    CHECK(worker_says(worker, "batch of "));
    worker_signal(worker, SIGTERM);
    CHECK_EQ_INT(0, worker_wait(worker));
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(0, stats.active);
    CHECK_EQ_SIZE(JOBS, stats.waiting + stats.succeeded);
    CHECK_EQ_SIZE(0, stats.lost_leases);
    CHECK(stats.succeeded >= BATCH && stats.waiting > 0);
    worker_end(worker);
    imgq_queue_close(queue);
}

static void a_second_signal_does_not_wait_for_the_forward_pass(void)
{
    if (!shared_is_there())
        return;
    imgq_error err;
    enum { JOBS = 64 };
    imgq_queue *queue = open_queue("hurry");
    for (size_t i = 0; i < JOBS; i++)
        submit(queue, shared_path(CASTLE), IMGQ_MEDIA_U8);
    worker_process *worker =
        worker_start_ready(redis_fixture_url(redis), ARGS("--model", shared_path("models/resnet50_keras.h5"), "--queue",
                                                          "hurry", "--batch", "64", "--threads", "1"));
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    for (int i = 0; i < 6000 && stats.active < JOBS; i++) {
        CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
        usleep(5000);
    }
    CHECK_EQ_SIZE(JOBS, stats.active);
    usleep(200000); /* a batch of 64 runs for seconds */
    worker_signal(worker, SIGTERM);
    usleep(50000);
    worker_signal(worker, SIGTERM);
    CHECK_EQ_INT(128 + SIGTERM, worker_wait(worker));
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(0, stats.active);
    CHECK_EQ_SIZE(JOBS, stats.waiting);
    worker_end(worker);
    imgq_queue_close(queue);
}

/* ---- the reference's own programs ---- */

/* Does Python have these modules? Said if not. */
static bool python_has(const char *modules)
{
    char command[256];
    snprintf(command, sizeof command, "/usr/bin/python3 -c 'import %s' 2>/dev/null", modules);
    if (system(command) == 0)
        return true;
    check_skip("python3 lacks one of the modules that the reference needs");
    return false;
}

static void the_references_web_server_half_gets_its_own_answer(void)
{
    if (!shared_is_there() || !python_has("redis, numpy, PIL"))
        return;
    char command[1024], output[1024] = "";
    worker_process *worker = worker_start_ready(
        redis_fixture_url(redis), ARGS("--model", shared_path("models/resnet50_keras.h5"), "--import", "image_queue"));
    snprintf(command, sizeof command, "/usr/bin/python3 %s classify --redis %s %s",
             shared_path("peers/reference_wire.py"), redis_fixture_tcp_url(redis), shared_path(CASTLE));
    FILE *pipe = popen(command, "r");
    if (CHECK(pipe != NULL)) {
        const size_t len = fread(output, 1, sizeof output - 1, pipe);
        output[len] = '\0';
        CHECK_EQ_INT(0, pclose(pipe));
    }
    CHECK_CONTAINS(castle_lines, output);
    worker_end(worker);
}

static pid_t start_reference_server(void)
{
    char script[1024], url[256];
    snprintf(script, sizeof script, "%s", shared_path("peers/reference_wire.py"));
    snprintf(url, sizeof url, "%s", redis_fixture_tcp_url(redis));
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl("/usr/bin/python3", "python3", script, "serve", "--redis", url, "--threads", "1", (char *)NULL);
        _exit(127);
    }
    CHECK(pid > 0);
    return pid;
}

static void end_reference_server(pid_t pid)
{
    if (pid > 0 && kill(pid, SIGKILL) == 0)
        (void)waitpid(pid, NULL, 0);
}

static void two_racing_reference_servers_answer_native_jobs(void)
{
    if (!shared_is_there() || !python_has("redis, numpy, torch, h5py"))
        return;
    enum { JOBS = 40 };
    imgq_error err;
    imgq_queue *queue = open_queue("fed");
    imgq_id ids[JOBS];
    const pid_t servers[2] = {start_reference_server(), start_reference_server()};
    imgq_submit_options options;
    iq_buf castle = payload_of(shared_path(CASTLE), IMGQ_MEDIA_ENCODED, &options);
    options.max_fails = 20; /* two servers with LRANGE and LTRIM lose whole batches */
    for (size_t i = 0; i < JOBS; i++)
        CHECK_OK(imgq_queue_submit(queue, castle.data, castle.len, &options, &ids[i], &err));
    worker_process *feeder =
        worker_start_ready(redis_fixture_url(redis), ARGS("--forward-to", "image_queue", "--queue", "fed"));
    uint32_t most = 0;
    for (size_t i = 0; i < JOBS; i++) {
        imgq_result *result = await_one(queue, &ids[i]);
        imgq_result_info info = IMGQ_RESULT_INFO_INIT;
        if (result == NULL)
            continue;
        check_castle(result);
        CHECK_OK(imgq_result_get_info(result, &info, &err));
        most = info.attempt > most ? info.attempt : most;
        imgq_result_destroy(result);
    }
    printf("the unluckiest job was pushed %u times\n", most);
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(JOBS, stats.succeeded);
    CHECK_EQ_SIZE(0, stats.dead);
    end_reference_server(servers[0]);
    end_reference_server(servers[1]);
    worker_end(feeder);
    iq_buf_release(env, &castle);
    imgq_queue_close(queue);
}

static const check_test tests[] = {
    CHECK_TEST(all_images_get_the_oracles_answers_for_every_form_of_payload),
    CHECK_TEST(a_result_says_where_it_came_from),
    CHECK_TEST(bad_images_fail_with_the_decoders_words_and_spare_their_neighbours),
    CHECK_TEST(jobs_that_want_something_else_are_refused),
    CHECK_TEST(sigterm_finishes_the_batch_in_hand_and_gives_back_the_rest),
    CHECK_TEST(a_second_signal_does_not_wait_for_the_forward_pass),
    CHECK_TEST(the_references_web_server_half_gets_its_own_answer),
    CHECK_TEST(two_racing_reference_servers_answer_native_jobs),
};

int main(int argc, char **argv)
{
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    redis = redis_fixture_start(NULL);
    const int code = check_main(argc, argv, "worker with weights", tests, sizeof tests / sizeof *tests);
    redis_fixture_stop(redis);
    imgq_env_destroy(env);
    return code;
}
