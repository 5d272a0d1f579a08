/* Pictures that the project drew itself, and what Keras's ImageNet weights answer to them in float64: proof of real
 * answers for a clone that has no shared folder. Weights: IMGQ_MODEL, the shared folder, or the cache of ./dev demo. */
#include "support/check.h"
#include "support/shared.h"

#include <imgq/session.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/json.h"
#include "import/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RGB = 224 * 224 * 3, CLASSES = 1000 };

static imgq_env *env;

static const char *cached_path(void)
{
    static char path[1024];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache != NULL && *cache != '\0')
        snprintf(path, sizeof path, "%s/imgq/resnet50-keras.safetensors", cache);
    else
        snprintf(path, sizeof path, "%s/.cache/imgq/resnet50-keras.safetensors", home != NULL ? home : "");
    return path;
}

static const char *find_weights(void)
{
    const char *path = getenv("IMGQ_MODEL");
    if (path != NULL && *path != '\0')
        return path;
    path = shared_path("models/resnet50_keras.h5");
    if (access(path, R_OK) == 0)
        return path;
    path = cached_path();
    return access(path, R_OK) == 0 ? path : NULL;
}

/* IMGQ_MODEL may be any model: only one with Keras's ImageNet labels and layout is asked for Keras's answers. */
static imgq_model *open_model(void)
{
    imgq_error err = {0};
    iq_weights *set = NULL;
    imgq_model *model = NULL;
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    const char *path = find_weights();
    if (path == NULL) {
        check_skip("no ImageNet weights: set IMGQ_MODEL, or run ./dev demo once, which puts them into the cache");
        return NULL;
    }
    options.bn_eps = 1.001e-5F; /* the TensorFlow.js copy says another */
    if (CHECK_OK(iq_import_open(env, path, &set, &err)))
        CHECK_OK(iq_model_from_weights(env, set, &options, &model, &err));
    iq_weights_destroy(set);
    if (model != NULL && (imgq_model_class_count(model) != CLASSES || imgq_model_layout(model) != IMGQ_LAYOUT_V1)) {
        check_skip("IMGQ_MODEL is not Keras's ImageNet model");
        imgq_model_close(model);
        return NULL;
    }
    return model;
}

static imgq_image *decode(const char *name)
{
    imgq_error err = {0};
    iq_buf bytes = {0};
    imgq_image *image = NULL;
    char path[256];
    snprintf(path, sizeof path, "tests/golden/%s", name);
    if (CHECK_OK(iq_buf_read_file(env, &bytes, source_path(path), 1 << 20, &err)))
        CHECK_OK(imgq_image_decode(env, bytes.data, bytes.len, NULL, &image, &err));
    iq_buf_release(env, &bytes);
    return image;
}

static iq_json *read_golden(void)
{
    imgq_error err = {0};
    iq_buf text = {0};
    iq_json *root = NULL;
    if (CHECK_OK(iq_buf_read_file(env, &text, source_path("tests/golden/golden.json"), 1 << 20, &err)))
        CHECK_OK(iq_json_parse((const char *)text.data, text.len, &root, &err));
    iq_buf_release(env, &text);
    return root;
}

static void the_pictures_have_pillows_pixels(void)
{
    imgq_error err = {0};
    imgq_recipe recipe = {.size = sizeof recipe};
    iq_json *root = read_golden();
    uint8_t *rgb = malloc(RGB), digest[32];
    char hex[65];
    size_t count = 0;
    CHECK_OK(imgq_recipe_find("keras", &recipe, &err));
    for (const iq_json *entry = iq_json_first(iq_json_get(root, "files")); entry;
         entry = iq_json_next(entry), count++) {
        imgq_image *image = decode(iq_json_text(iq_json_get(entry, "file")));
        if (image != NULL && CHECK_OK(imgq_image_resample(image, &recipe, rgb, RGB, &err)) &&
            CHECK_OK(iq_sha256_of(rgb, RGB, digest, &err))) {
            iq_hex(hex, digest, sizeof digest);
            CHECK_EQ_STR(iq_json_text(iq_json_get(entry, "rgb_224_sha256")), hex);
        }
        imgq_image_destroy(image);
    }
    CHECK_EQ_SIZE(6, count);
    iq_json_free(root);
    free(rgb);
}

static double check_logits(const iq_json *entry, imgq_session *session, const imgq_model *model)
{
    imgq_error err = {0};
    imgq_prediction top[5];
    float *input = malloc(RGB * sizeof *input), logits[CLASSES];
    imgq_image *image = decode(iq_json_text(iq_json_get(entry, "file")));
    double worst = 0;
    size_t i = 0;
    if (image != NULL && CHECK_OK(imgq_image_preprocess(image, imgq_model_recipe(model), input, RGB, &err)) &&
        CHECK_OK(imgq_session_logits(session, input, 1, logits, CLASSES, &err))) {
        for (const iq_json *want = iq_json_first(iq_json_get(entry, "logits")); want; want = iq_json_next(want), i++) {
            double off = (double)logits[i] - iq_json_number(want, -1e9);
            worst = off > worst ? off : -off > worst ? -off : worst;
        }
        CHECK_EQ_SIZE(CLASSES, i);
        CHECK_EQ_SIZE(5, imgq_topk(logits, CLASSES, top, 5));
        for (i = 0; i < 5; i++)
            CHECK_EQ_INT((int64_t)iq_json_number(iq_json_at(iq_json_get(entry, "top"), i), -1), top[i].class_id);
    }
    imgq_image_destroy(image);
    free(input);
    return worst;
}

static void every_engine_gives_the_logits_of_float64(void)
{
    static const char *const engines[] = {"scalar", "openblas", "native"};
    imgq_error err = {0};
    iq_json *root = read_golden();
    imgq_model *model = open_model();
    for (size_t i = 0; model != NULL && i < sizeof engines / sizeof *engines; i++) {
        imgq_session *session = NULL;
        imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
        options.engine = engines[i];
        options.max_batch = 1;
        imgq_status status = imgq_session_create(model, &options, &session, &err);
        if (status == IMGQ_E_UNSUPPORTED) /* without OpenBLAS, or a processor without AVX2 */
            continue;
        CHECK_OK(status);
        double worst = 0;
        for (const iq_json *entry = iq_json_first(iq_json_get(root, "files")); session && entry;
             entry = iq_json_next(entry)) {
            double off = check_logits(entry, session, model);
            worst = off > worst ? off : worst;
        }
        printf("       %s: worst logit off by %.2g\n", engines[i], worst);
        CHECK_NEAR(0, worst, 1e-4);
        imgq_session_destroy(session);
    }
    imgq_model_close(model);
    iq_json_free(root);
}

static const check_test tests[] = {
    CHECK_TEST(the_pictures_have_pillows_pixels),
    CHECK_TEST(every_engine_gives_the_logits_of_float64),
};

int main(int argc, char **argv)
{
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    int rc = check_main(argc, argv, "golden", tests, sizeof tests / sizeof *tests);
    imgq_env_destroy(env);
    return rc;
}
