#include "model_tests.h"

#include "fake_set.h"

#include <imgq/session.h>

#include "support/check.h"
#include "support/failing_alloc.h"

#include <stdlib.h>
#include <string.h>

static imgq_env *the_env;

imgq_env *test_env(void)
{
    return the_env;
}

void options_rule_over_the_file(void)
{
    imgq_error err = {0};
    imgq_model *model = NULL;
    iq_weights *set = fake_set(test_env(), FAKE_TORCH, 1000, NULL);
    if (CHECK_OK(iq_model_from_weights(test_env(), set, NULL, &model, &err))) {
        CHECK_EQ_STR("fake", imgq_model_name(model));
        CHECK_EQ_SIZE(IMGQ_LAYOUT_V1_5, imgq_model_layout(model));
        CHECK_EQ_STR("torchvision", imgq_model_recipe(model)->profile);
        CHECK_NEAR(1e-5, (double)iq_model_bn_eps(model), 1e-11);
        CHECK_EQ_STR("church", imgq_model_label(model, 497));
        CHECK_EQ_SIZE(64, strlen(imgq_model_hash(model)));
        imgq_model_close(model);
    }
    set->name = "told";
    set->layout = IMGQ_LAYOUT_V1;
    set->bn_eps = 1e-3f;
    if (CHECK_OK(iq_model_from_weights(test_env(), set, NULL, &model, &err))) {
        CHECK_EQ_STR("told", imgq_model_name(model));
        CHECK_EQ_SIZE(IMGQ_LAYOUT_V1, imgq_model_layout(model));
        CHECK_NEAR(1e-3, (double)iq_model_bn_eps(model), 1e-9);
        imgq_model_close(model);
    }
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    options.name = "mine";
    options.layout = IMGQ_LAYOUT_V1_5;
    options.bn_eps = 2e-5f;
    options.profile = "keras";
    if (CHECK_OK(iq_model_from_weights(test_env(), set, &options, &model, &err))) {
        CHECK_EQ_STR("mine", imgq_model_name(model));
        CHECK_EQ_SIZE(IMGQ_LAYOUT_V1_5, imgq_model_layout(model));
        CHECK_NEAR(2e-5, (double)iq_model_bn_eps(model), 1e-11);
        CHECK_EQ_STR("keras", imgq_model_recipe(model)->profile);
        imgq_model_close(model);
    }
    iq_weights_destroy(set);
    set = fake_set(test_env(), FAKE_KERAS, 1000, NULL);
    if (CHECK_OK(iq_model_from_weights(test_env(), set, NULL, &model, &err))) {
        CHECK_EQ_SIZE(IMGQ_LAYOUT_V1, imgq_model_layout(model));
        CHECK_NEAR(1.001e-5, (double)iq_model_bn_eps(model), 1e-11);
        imgq_model_close(model);
    }
    iq_weights_destroy(set);
}

static void expect_wrong(iq_weights *set, const imgq_model_options *options, imgq_status status, const char *message)
{
    imgq_error err = {0};
    imgq_model *model = NULL;
    CHECK_STATUS(status, iq_model_from_weights(test_env(), set, options, &model, &err));
    CHECK_EQ_STR(message, err.message);
}

void wrong_options_are_named(void)
{
    iq_weights *set = fake_set(test_env(), FAKE_TORCH, 1000, NULL);
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    options.layout = 7;
    expect_wrong(set, &options, IMGQ_E_INVALID, "layout 7 is none of v1 (1) and v1.5 (2)");
    options.layout = IMGQ_LAYOUT_AUTO;
    options.bn_eps = -1e-5f;
    expect_wrong(set, &options, IMGQ_E_INVALID, "a batch norm epsilon of -1e-05 is not above 0 and at most 1");
    options.bn_eps = 0;
    options.name = "two\nlines";
    expect_wrong(set, &options, IMGQ_E_INVALID, "a model's name has 1 to 255 printable characters");
    options.name = NULL;
    options.profile = "";
    expect_wrong(set, &options, IMGQ_E_INVALID,
                 "read model folder/fake.safetensors: no profile \"\"; there are keras, torchvision, torchvision-v2, "
                 "timm");
    iq_weights_destroy(set);
}

static imgq_status load_once(imgq_env *env)
{
    imgq_model *model = NULL;
    imgq_session *session = NULL;
    iq_weights *set = fake_set(env, FAKE_TORCH, 1000, NULL);
    if (set == NULL)
        return IMGQ_E_NOMEM;
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    options.threads = 2;
    options.max_batch = 1;
    imgq_status status = iq_model_from_weights(env, set, NULL, &model, NULL);
    CHECK((model != NULL) == (status == IMGQ_OK));
    if (status == IMGQ_OK)
        status = imgq_session_create(model, &options, &session, NULL);
    CHECK((session != NULL) == (status == IMGQ_OK));
    imgq_session_destroy(session);
    imgq_model_close(model);
    iq_weights_destroy(set);
    return status;
}

void a_model_survives_every_failed_allocation(void)
{
    imgq_status status = IMGQ_E_NOMEM;
    size_t nth = 0;
    while (status == IMGQ_E_NOMEM && ++nth < 200) {
        imgq_env *env = failing_env(nth);
        if (env == NULL)
            continue;
        status = load_once(env);
        CHECK_EQ_INT(failing_has_failed() ? IMGQ_E_NOMEM : IMGQ_OK, status);
        imgq_env_destroy(env);
        CHECK_EQ_SIZE(0, failing_live_bytes());
    }
    CHECK_EQ_INT(IMGQ_OK, status);
    CHECK(nth > 15);
}

void a_session_outlives_its_model_and_env(void)
{
    imgq_env *env = failing_env(0);
    imgq_error err = {0};
    imgq_model *model = NULL;
    imgq_session *session = NULL;
    iq_weights *set = fake_set(env, FAKE_TORCH, 4, NULL);
    const char *labels[] = {"a", "b", "c", "d"};
    static const float image[224 * 224 * 3];
    float probs[4] = {0};
    set->labels = labels;
    set->labels_count = 4;
    CHECK_OK(iq_model_from_weights(env, set, NULL, &model, &err));
    iq_weights_destroy(set);
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    options.max_batch = 1;
    CHECK_OK(imgq_session_create(model, &options, &session, &err));
    imgq_env_destroy(env);
    imgq_model_close(model);
    CHECK_OK(imgq_session_run(session, image, 1, probs, 4, &err));
    for (int c = 0; c < 4; c++)
        CHECK_NEAR(0.25, (double)probs[c], 0);
    imgq_session_destroy(session);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

static void expect_session(imgq_model *model, const imgq_session_options *options, imgq_status status,
                           const char *message)
{
    imgq_error err = {0};
    imgq_session *session = NULL;
    CHECK_STATUS(status, imgq_session_create(model, options, &session, &err));
    CHECK(session == NULL);
    CHECK_CONTAINS(message, err.message);
}

static void expect_layers(const imgq_session *session)
{
    imgq_error err = {0};
    uint64_t macs = 0;
    for (size_t i = 0; i < imgq_session_layer_count(session); i++) {
        imgq_layer_info layer = IMGQ_LAYER_INFO_INIT;
        CHECK_OK(imgq_session_layer(session, i, 2, &layer, &err));
        CHECK_EQ_SIZE(sizeof layer, layer.size);
        CHECK(layer.op != NULL && layer.algorithm != NULL);
        macs += layer.macs;
    }
    CHECK_EQ_SIZE(UINT64_C(4089184256), macs); /* v1.5, a thousand classes */
    imgq_layer_info layer = IMGQ_LAYER_INFO_INIT;
    CHECK_OK(imgq_session_layer(session, 0, 1, &layer, &err));
    CHECK_EQ_STR("conv", layer.op);
    CHECK_EQ_INT(7, layer.kernel);
    CHECK_EQ_INT(2, layer.stride);
    CHECK_EQ_INT(112, layer.out_height);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_session_layer(session, 56, 1, &layer, &err));
    CHECK_EQ_STR("layer 56 of a batch of 1: there are 56, and batches of 1 to 2", err.message);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_session_layer(session, 0, 3, &layer, &err));
    layer.size = 0;
    CHECK_STATUS(IMGQ_E_INVALID, imgq_session_layer(session, 0, 1, &layer, &err));
}

void a_session_tells_its_layers_and_their_time(void)
{
    imgq_error err = {0};
    imgq_model *model = NULL;
    imgq_session *session = NULL;
    static const float images[2 * 224 * 224 * 3];
    static float probs[2000];
    uint64_t layer_ns[56] = {0}, sum = 0;
    imgq_session_info info = IMGQ_SESSION_INFO_INIT;
    iq_weights *set = fake_set(test_env(), FAKE_TORCH, 1000, NULL);
    if (!CHECK_OK(iq_model_from_weights(test_env(), set, NULL, &model, &err)))
        return;
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    options.max_batch = 2;
    options.threads = 2;
    CHECK_OK(imgq_session_create(model, &options, &session, &err));
    CHECK_OK(imgq_session_get_info(session, &info, &err));
    CHECK_EQ_SIZE(2, info.threads);
    CHECK(info.arena_bytes > 1000000);
    CHECK_EQ_SIZE(56, imgq_session_layer_count(session));
    expect_layers(session);
    imgq_session_profile(session, layer_ns);
    CHECK_OK(imgq_session_run(session, images, 2, probs, 2000, &err));
    for (size_t i = 0; i < 56; i++)
        sum += layer_ns[i];
    CHECK(sum > 0);
    imgq_session_profile(session, NULL);
    imgq_session_destroy(session);
    imgq_model_close(model);
    iq_weights_destroy(set);
}

void a_session_checks_its_arguments(void)
{
    imgq_error err = {0};
    imgq_model *model = NULL;
    imgq_session *session = NULL;
    imgq_prediction top[5];
    static const float images[2 * 224 * 224 * 3];
    static float probs[2000];
    iq_weights *set = fake_set(test_env(), FAKE_TORCH, 1000, NULL);
    if (!CHECK_OK(iq_model_from_weights(test_env(), set, NULL, &model, &err)))
        return;
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    options.engine = "gpu";
    expect_session(model, &options, IMGQ_E_UNSUPPORTED, "engine 'gpu' is not built in: choose from auto, ");
    options.engine = NULL;
    options.precision = "int8";
    expect_session(model, &options, IMGQ_E_UNSUPPORTED, "precision 'int8' is not built in: choose from highest");
    options.precision = "highest";
    options.max_batch = 5000;
    expect_session(model, &options, IMGQ_E_INVALID, "a batch of 5000 on 0 threads, the limits are 4096 and 128");
    options.max_batch = 2;
    options.threads = 1;
    CHECK_OK(imgq_session_create(model, &options, &session, &err));
    CHECK_EQ_STR("highest", imgq_session_precision(session));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_session_run(session, images, 0, probs, 1000, &err));
    CHECK_EQ_STR("a batch of 0 images, the session takes 1 to 2", err.message);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_session_run(session, images, 3, probs, 3000, &err));
    CHECK_EQ_STR("a batch of 3 images, the session takes 1 to 2", err.message);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_session_logits(session, images, 2, probs, 1999, &err));
    CHECK_EQ_STR("room for 1999 values, 2 images of 1000 classes need 2000", err.message);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_session_classify(session, "x", 1, top, 1001, &err));
    CHECK_EQ_STR("the best 1001 of 1000 classes", err.message);
    CHECK_STATUS(IMGQ_E_FORMAT, imgq_session_classify(session, "no image", 8, top, 5, &err));
    imgq_session_destroy(session);
    imgq_session_destroy(NULL);
    imgq_model_close(model);
    imgq_model_close(NULL);
    iq_weights_destroy(set);
}

static const check_test tests[] = {
    CHECK_TEST(a_good_safetensors_file_is_read),
    CHECK_TEST(a_broken_header_is_named),
    CHECK_TEST(what_is_no_safetensors_file_is_named),
    CHECK_TEST(a_path_that_is_no_file_is_named),
    CHECK_TEST(metadata_tells_what_the_writer_knew),
    CHECK_TEST(wrong_metadata_is_named),
    CHECK_TEST(a_set_survives_every_failed_allocation),
    CHECK_TEST(every_family_is_told_by_its_names),
    CHECK_TEST(missing_foreign_and_misshaped_tensors_are_named),
    CHECK_TEST(a_file_of_something_else_is_refused),
    CHECK_TEST(the_stride_sits_where_the_layout_says),
    CHECK_TEST(both_orders_of_a_kernel_fold_alike),
    CHECK_TEST(folding_is_the_definition),
    CHECK_TEST(every_half_and_bfloat_widens_exactly),
    CHECK_TEST(numbers_that_are_none_are_named),
    CHECK_TEST(the_hash_knows_content_not_order),
    CHECK_TEST(the_hash_is_the_documented_one),
    CHECK_TEST(labels_come_from_text_and_json),
    CHECK_TEST(wrong_labels_are_named),
    CHECK_TEST(labels_must_fit_the_head),
    CHECK_TEST(imagenets_labels_are_keras_own),
    CHECK_TEST(a_profile_is_told_never_guessed),
    CHECK_TEST(a_recipe_survives_its_writing),
    CHECK_TEST(recipes_have_telling_names),
    CHECK_TEST(timms_config_tells_the_preprocessing),
    CHECK_TEST(hugging_faces_configs_tell_preprocessing_and_labels),
    CHECK_TEST(preprocessing_that_is_not_done_here_is_refused),
    CHECK_TEST(options_rule_over_the_file),
    CHECK_TEST(wrong_options_are_named),
    CHECK_TEST(a_model_survives_every_failed_allocation),
    CHECK_TEST(a_session_outlives_its_model_and_env),
    CHECK_TEST(a_session_checks_its_arguments),
    CHECK_TEST(a_session_tells_its_layers_and_their_time),
};

int main(int argc, char **argv)
{
    if (imgq_env_create(NULL, &the_env, NULL) != IMGQ_OK)
        return 1;
    const int code = check_main(argc, argv, "model", tests, sizeof tests / sizeof *tests);
    imgq_env_destroy(the_env);
    return code;
}
