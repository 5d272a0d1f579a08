/* The real weights in every layout that they are published in give the float64 oracle's answers. */
#include "support/check.h"
#include "support/shared.h"

#include <imgq/session.h>

#include "base/buf.h"
#include "base/json.h"
#include "import/import.h"
#include "import/writer.h"

#include "models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT = 224 * 224 * 3, CLASSES = 1000, BATCH = 17 };

typedef struct opened {
    iq_weights *set;
    imgq_model *model;
    imgq_session *session;
} opened;

static bool open_model(opened *o, const char *path, float bn_eps)
{
    imgq_error err = {0};
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    imgq_session_options session = IMGQ_SESSION_OPTIONS_INIT;
    options.bn_eps = bn_eps;
    *o = (opened){0};
    return CHECK_OK(iq_import_open(models_env(), path, &o->set, &err)) &&
           CHECK_OK(iq_model_from_weights(models_env(), o->set, &options, &o->model, &err)) &&
           CHECK_OK(imgq_session_create(o->model, &session, &o->session, &err));
}

static void close_model(opened *o)
{
    imgq_session_destroy(o->session);
    imgq_model_close(o->model);
    iq_weights_destroy(o->set);
}

static bool read_photo(const imgq_model *model, const char *file, float *input)
{
    imgq_error err = {0};
    iq_buf bytes = {0};
    imgq_image *image = NULL;
    char path[1024];
    snprintf(path, sizeof path, "images/%s%s", file[0] == 'n' && file[1] >= '0' && file[1] <= '9' ? "imagenet/" : "",
             file);
    bool ok = CHECK_OK(iq_buf_read_file(models_env(), &bytes, shared_path(path), 1 << 24, &err)) &&
              CHECK_OK(imgq_image_decode(models_env(), bytes.data, bytes.len, NULL, &image, &err)) &&
              CHECK_OK(imgq_image_preprocess(image, imgq_model_recipe(model), input, INPUT, &err));
    imgq_image_destroy(image);
    iq_buf_release(models_env(), &bytes);
    return ok;
}

static double check_top(const iq_json *entry, const imgq_model *model, const float *probs)
{
    imgq_prediction top[5];
    double worst = 0;
    size_t i = 0;
    CHECK_EQ_SIZE(5, imgq_topk(probs, CLASSES, top, 5));
    for (const iq_json *want = iq_json_first(iq_json_get(entry, "top5")); want != NULL;
         want = iq_json_next(want), i++) {
        double probability = iq_json_number(iq_json_get(want, "probability"), -1);
        double off = (double)top[i].probability - probability;
        CHECK_EQ_INT((int64_t)iq_json_number(iq_json_get(want, "index"), -1), top[i].class_id);
        CHECK_EQ_STR(iq_json_text(iq_json_get(want, "label")), imgq_model_label(model, top[i].class_id));
        CHECK_NEAR(probability, top[i].probability, 1e-5);
        worst = off > worst ? off : -off > worst ? -off : worst;
    }
    CHECK_EQ_SIZE(5, i);
    return worst;
}

/* All pictures of keras.json, in batches. */
static void check_keras(opened *o, const char *what)
{
    imgq_error err = {0};
    iq_buf text = {0};
    iq_json *root = NULL;
    float *input = malloc((size_t)BATCH * INPUT * sizeof *input),
          *probs = malloc((size_t)BATCH * CLASSES * sizeof *probs);
    const iq_json *batch[BATCH];
    double worst = 0;
    size_t count = 0, held = 0;
    if (CHECK_OK(iq_buf_read_file(models_env(), &text, shared_path("oracle/keras.json"), 1 << 24, &err)))
        CHECK_OK(iq_json_parse((const char *)text.data, text.len, &root, &err));
    for (const iq_json *entry = iq_json_first(iq_json_get(root, "files")); entry != NULL;) {
        if (!read_photo(o->model, iq_json_text(iq_json_get(entry, "file")), input + held * INPUT))
            break;
        batch[held++] = entry;
        entry = iq_json_next(entry);
        if (held < BATCH && entry != NULL)
            continue;
        if (!CHECK_OK(imgq_session_run(o->session, input, held, probs, held * CLASSES, &err)))
            break;
        for (size_t i = 0; i < held; i++) {
            double off = check_top(batch[i], o->model, probs + i * CLASSES);
            worst = off > worst ? off : worst;
        }
        count += held;
        held = 0;
    }
    CHECK_EQ_SIZE(102, count);
    printf("       %s: %zu pictures, worst probability off by %.2g\n", what, count, worst);
    iq_json_free(root);
    iq_buf_release(models_env(), &text);
    free(input);
    free(probs);
}

static void the_published_layout_gives_the_oracles_answers(void)
{
    opened o;
    if (open_model(&o, shared_path("models/resnet50_keras.h5"), 0)) {
        CHECK_EQ_INT(IMGQ_LAYOUT_V1, imgq_model_layout(o.model));
        CHECK_NEAR(1.001e-5F, iq_model_bn_eps(o.model), 0);
        check_keras(&o, "resnet50_keras.h5");
    }
    close_model(&o);
}

static void the_old_layout_gives_the_oracles_answers(void)
{
    opened o;
    if (open_model(&o, models_path("resnet50_keras_old.h5"), 0))
        check_keras(&o, "resnet50_keras_old.h5");
    close_model(&o);
}

/* A layers model whose own configuration says 1e-3, as the npm package's does. */
static void a_tfjs_folder_answers_with_its_own_epsilon_or_the_one_asked_for(void)
{
    static const struct {
        const char *label;
        double probability;
    } own[] = {{"castle", 0.4481}, {"church", 0.3747}, {"monastery", 0.1515}, {"palace", 0.0051}, {"vault", 0.0037}};
    imgq_error err = {0};
    imgq_prediction top[5];
    float *input = malloc(INPUT * sizeof *input), probs[CLASSES];
    opened o;
    if (open_model(&o, models_path("tfjs_real"), 0) && read_photo(o.model, "castle_image.jpg", input) &&
        CHECK_OK(imgq_session_run(o.session, input, 1, probs, CLASSES, &err))) {
        CHECK_NEAR(1e-3F, iq_model_bn_eps(o.model), 0);
        CHECK_EQ_SIZE(5, imgq_topk(probs, CLASSES, top, 5));
        for (size_t i = 0; i < 5; i++) {
            CHECK_EQ_STR(own[i].label, imgq_model_label(o.model, top[i].class_id));
            CHECK_NEAR(own[i].probability, top[i].probability, 6e-5);
        }
    }
    close_model(&o);
    if (open_model(&o, models_path("tfjs_real/model.json"), 1.001e-5F))
        check_keras(&o, "TensorFlow.js with Keras's epsilon");
    close_model(&o);
    free(input);
}

static void an_imported_model_is_the_same_to_the_bit(void)
{
    imgq_error err = {0};
    float *input = malloc(INPUT * sizeof *input), before[CLASSES], after[CLASSES];
    char path[1024];
    opened keras, written = {0};
    snprintf(path, sizeof path, "%s", models_path("imported.safetensors"));
    if (open_model(&keras, shared_path("models/resnet50_keras.h5"), 0) &&
        CHECK_OK(iq_import_write(models_env(), keras.set, keras.model, path, NULL, &err)) &&
        open_model(&written, path, 0)) {
        CHECK_EQ_SIZE(keras.set->count, written.set->count);
        for (size_t i = 0; i < keras.set->count; i++) {
            const iq_tensor_view *old = &keras.set->tensors[i], *now = iq_weights_find(written.set, old->name);
            if (CHECK(now != NULL) && CHECK_EQ_SIZE(old->bytes, now->bytes))
                CHECK_EQ_MEM(old->data, now->data, old->bytes);
        }
        CHECK_EQ_STR(imgq_model_hash(keras.model), imgq_model_hash(written.model));
        if (read_photo(keras.model, "jemma.png", input) &&
            CHECK_OK(imgq_session_logits(keras.session, input, 1, before, CLASSES, &err)) &&
            CHECK_OK(imgq_session_logits(written.session, input, 1, after, CLASSES, &err)))
            CHECK_EQ_MEM(before, after, sizeof before);
    }
    close_model(&keras);
    close_model(&written);
    free(input);
}

static const check_test tests[] = {
    CHECK_TEST(the_published_layout_gives_the_oracles_answers),
    CHECK_TEST(the_old_layout_gives_the_oracles_answers),
    CHECK_TEST(a_tfjs_folder_answers_with_its_own_epsilon_or_the_one_asked_for),
    CHECK_TEST(an_imported_model_is_the_same_to_the_bit),
};

int main(int argc, char **argv)
{
    if (!shared_is_there())
        return 77;
    if (!models_make_real())
        return 1;
    int rc = check_main(argc, argv, "import_oracle", tests, sizeof tests / sizeof *tests);
    models_remove();
    return rc;
}
