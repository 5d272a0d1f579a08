/* What a session's process holds of memory: its packed weights, its arena, and little else, whatever the file is. */
#include "support/check.h"
#include "support/rss.h"
#include "support/shared.h"

#include <imgq/session.h>

#include "base/buf.h"
#include "import/import.h"

#include <stdio.h>
#include <stdlib.h>

enum { INPUT = 224 * 224 * 3, CLASSES = 1000, BATCH = 32, SPARE_MIB = 40, RUNS = 3 };

static imgq_env *env;
static float *images, *probs;

static imgq_model *open_model(const char *path)
{
    imgq_error err = {0};
    iq_weights *set = NULL;
    imgq_model *model = NULL;
    if (CHECK_OK(iq_import_open(env, path, &set, &err)))
        CHECK_OK(iq_model_from_weights(env, set, NULL, &model, &err));
    iq_weights_destroy(set);
    return model;
}

static imgq_session *open_session(imgq_model *model, const char *engine, const char *precision, size_t threads,
                                  size_t batch)
{
    imgq_error err = {0};
    imgq_session *session = NULL;
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    options.engine = engine;
    options.precision = precision;
    options.threads = threads;
    options.max_batch = batch;
    CHECK_OK(imgq_session_create(model, &options, &session, &err));
    return session;
}

/* Files of at most a megapixel, and batches of all sizes. */
static void warm_up(imgq_session *session, size_t batch)
{
    imgq_error err = {0};
    imgq_prediction top[5];
    iq_buf file = {0};
    if (CHECK_OK(iq_buf_read_file(env, &file, shared_path("images/castle_image.jpg"), 1 << 24, &err)))
        for (int i = 0; i < RUNS; i++)
            CHECK_OK(imgq_session_classify(session, file.data, file.len, top, 5, &err));
    iq_buf_release(env, &file);
    for (size_t images_now = batch; images_now > 0; images_now /= 2)
        CHECK_OK(imgq_session_run(session, images, images_now, probs, images_now * CLASSES, &err));
}

static double packed_mib(const imgq_session *session)
{
    imgq_error err = {0};
    imgq_session_info info = IMGQ_SESSION_INFO_INIT;
    CHECK_OK(imgq_session_get_info(session, &info, &err));
    return (double)info.packed_bytes / (1 << 20);
}

static double arena_mib(const imgq_session *session)
{
    imgq_error err = {0};
    imgq_session_info info = IMGQ_SESSION_INFO_INIT;
    CHECK_OK(imgq_session_get_info(session, &info, &err));
    return (double)info.arena_bytes / (1 << 20);
}

/* @param before MiB that the test itself held */
static void check_memory(const char *what, double before, double packed, double arena)
{
    const double has = (double)rss_anon_kib(0) / 1024 - before;
    printf("%-50s RssAnon %.1f MiB: packed %.1f, arena %.1f, beside them %.1f\n", what, has, packed, arena,
           has - packed - arena);
    CHECK(packed > 40 && arena > 1); /* 25.6 million weights of two bytes at the least */
    CHECK(has <= packed + arena + SPARE_MIB);
}

static void check_session(const char *file, const char *path, const char *engine, const char *precision, size_t threads,
                          size_t batch)
{
    char what[80];
    const double before = (double)rss_anon_kib(0) / 1024;
    imgq_model *model = open_model(path);
    imgq_session *session = model != NULL ? open_session(model, engine, precision, threads, batch) : NULL;
    if (session != NULL) {
        warm_up(session, batch);
        snprintf(what, sizeof what, "%s, %s %s, %zu images, %zu threads", file, imgq_session_engine(session),
                 imgq_session_precision(session), batch, threads);
        check_memory(what, before, packed_mib(session), arena_mib(session));
    }
    imgq_session_destroy(session);
    imgq_model_close(model);
}

static bool begin(void)
{
    imgq_error err = {0};
    if (!shared_is_there() || !CHECK_OK(imgq_env_create(NULL, &env, &err)))
        return false;
    images = malloc((size_t)BATCH * INPUT * sizeof *images);
    probs = malloc((size_t)BATCH * CLASSES * sizeof *probs);
    for (size_t i = 0; i < (size_t)BATCH * INPUT; i++)
        images[i] = (float)(i % 251) - 125; /* written to: the test's own memory is there before it is counted */
    for (size_t i = 0; i < (size_t)BATCH * CLASSES; i++)
        probs[i] = 0;
    return true;
}

static void end(void)
{
    free(images);
    free(probs);
    imgq_env_destroy(env);
}

static void a_session_holds_its_packed_weights_its_arena_and_little_else(void)
{
    static const struct {
        const char *engine, *precision;
        size_t threads, batch;
    } points[] = {{"auto", "highest", 1, 1},    {"auto", "highest", 2, 1}, {"auto", "highest", 2, 8},
                  {"auto", "highest", 2, 32},   {"auto", "high", 2, 8},    {"auto", "medium", 2, 8},
                  {"openblas", "highest", 2, 8}};
    if (!begin())
        return;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        check_session("Keras", shared_path("models/resnet50_keras.h5"), points[i].engine, points[i].precision,
                      points[i].threads, points[i].batch);
        check_session("safetensors", weights_path("resnet50.safetensors"), points[i].engine, points[i].precision,
                      points[i].threads, points[i].batch);
    }
    end();
}

/* Sessions of one model share what they can: the second one costs its arena. */
static void a_second_session_costs_its_arena(void)
{
    if (!begin())
        return;
    const double before = (double)rss_anon_kib(0) / 1024;
    imgq_model *model = open_model(shared_path("models/resnet50_keras.h5"));
    imgq_session *one = model != NULL ? open_session(model, NULL, NULL, 1, 8) : NULL;
    imgq_session *two = model != NULL ? open_session(model, NULL, NULL, 2, 8) : NULL;
    if (one != NULL && two != NULL) {
        warm_up(one, 8);
        warm_up(two, 8);
        CHECK(packed_mib(one) == packed_mib(two));
        check_memory("two sessions", before, packed_mib(one), arena_mib(one) + arena_mib(two));
        imgq_session *plain = open_session(model, "openblas", NULL, 1, 8);
        warm_up(plain, 1);
        check_memory("two sessions and one of another engine", before, packed_mib(plain),
                     arena_mib(one) + arena_mib(two) + arena_mib(plain));
        imgq_session_destroy(plain);
    }
    imgq_session_destroy(two);
    imgq_session_destroy(one);
    imgq_model_close(model);
    end();
}

static const check_test tests[] = {
    CHECK_TEST(a_session_holds_its_packed_weights_its_arena_and_little_else),
    CHECK_TEST(a_second_session_costs_its_arena),
};

CHECK_MAIN("import_memory", tests)
