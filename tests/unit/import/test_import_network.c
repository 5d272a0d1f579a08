/* From a Keras file to a network and to a safetensors file, with whole networks of zeros; and every way to fail. */
#include "support/check.h"
#include "support/failing_alloc.h"

#include <imgq/session.h>

#include "import/import.h"
#include "import/writer.h"

#include "models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens name and makes a network of it. @param set, model out, owned; NULL unless IMGQ_OK */
static imgq_status open_network(imgq_env *env, const char *path, const imgq_model_options *options, iq_weights **set,
                                imgq_model **model, imgq_error *err)
{
    *model = NULL;
    imgq_status status = iq_import_open(env, path, set, err);
    if (status == IMGQ_OK)
        status = iq_model_from_weights(env, *set, options, model, err);
    if (status != IMGQ_OK) {
        iq_weights_destroy(*set);
        *set = NULL;
    }
    return status;
}

static void four_labels(const char *path)
{
    FILE *file = fopen(path, "w");
    if (CHECK(file != NULL)) {
        fputs("naught\none\ntwo\n\"three\"\n", file);
        fclose(file);
    }
}

static void check_refused(const char *name, imgq_status status, const char *part, const char *other_part)
{
    imgq_error err = {0};
    iq_weights *set = NULL;
    imgq_model *model = NULL;
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    four_labels(models_path("labels.txt"));
    options.labels_path = models_path("labels.txt");
    CHECK_STATUS(status, open_network(models_env(), models_path(name), &options, &set, &model, &err));
    CHECK(model == NULL);
    CHECK_CONTAINS(part, err.message);
    CHECK_CONTAINS(other_part, err.message);
    imgq_model_close(model);
    iq_weights_destroy(set);
}

static void wrong_networks_are_refused_by_the_tensors_name(void)
{
    check_refused("network_nan.h5", IMGQ_E_CORRUPT, "conv3_block2_1_bn/gamma", "NaN");
    check_refused("network_shape.h5", IMGQ_E_CORRUPT, "conv3_block2_2_conv/kernel", "128");
    check_refused("network_missing.h5", IMGQ_E_CORRUPT, "conv4_block6_3_bn/gamma", "missing");
    check_refused("network_extra.h5", IMGQ_E_CORRUPT, "conv6_conv/kernel", "network_extra.h5");
}

/* With all weights 0 the logits are the head's biases, 0 1 2 3, whatever the picture. */
static void check_answers_of(imgq_model *model, const char *engine)
{
    imgq_error err = {0};
    imgq_session *session = NULL;
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    options.max_batch = 1;
    options.threads = 1;
    options.engine = engine;
    float *input = calloc((size_t)224 * 224 * 3, sizeof *input), probs[4] = {0};
    const double sum = 1 + exp(1) + exp(2) + exp(3);
    if (CHECK_OK(imgq_session_create(model, &options, &session, &err)) && CHECK(input != NULL) &&
        CHECK_OK(imgq_session_run(session, input, 1, probs, 4, &err)))
        for (size_t i = 0; i < 4; i++)
            CHECK_NEAR(exp((double)i) / sum, probs[i], 1e-6);
    imgq_session_destroy(session);
    free(input);
}

static void check_answers(imgq_model *model)
{
    check_answers_of(model, NULL);
}

static imgq_status session_of(imgq_model *model, const char *engine, imgq_error *err)
{
    imgq_session *session = NULL;
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    options.max_batch = 1;
    options.threads = 2;
    options.engine = engine;
    imgq_status status = imgq_session_create(model, &options, &session, err);
    CHECK((session != NULL) == (status == IMGQ_OK));
    imgq_session_destroy(session);
    return status;
}

/* What a session has packed stays with the model; what nobody has asked for yet is still in the file. */
static void weights_come_from_the_file_until_it_is_written_to(void)
{
    imgq_error err = {0};
    iq_weights *set = NULL;
    imgq_model *model = NULL, *other = NULL;
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    char path[1024], gone[1024];
    four_labels(models_path("labels.txt"));
    options.labels_path = models_path("labels.txt");
    snprintf(path, sizeof path, "%s", models_path("written_to.safetensors"));
    snprintf(gone, sizeof gone, "%s", models_path("gone.safetensors"));
    if (!CHECK_OK(open_network(models_env(), models_path("network.h5"), &options, &set, &model, &err)) ||
        !CHECK_OK(iq_import_write(models_env(), set, model, path, NULL, &err)))
        return;
    imgq_model_close(model);
    iq_weights_destroy(set);
    if (!CHECK_OK(open_network(models_env(), path, NULL, &set, &model, &err)))
        return;
    iq_weights_destroy(set);
    CHECK_OK(session_of(model, "auto", &err));
    CHECK_EQ_INT(0, rename(path, gone)); /* another file may take its name */
    CHECK_OK(session_of(model, "scalar", &err));
    imgq_model_close(model);

    if (!CHECK_OK(open_network(models_env(), gone, NULL, &set, &model, &err)))
        return;
    CHECK_OK(session_of(model, "scalar", &err));
    CHECK_EQ_INT(0, truncate(gone, 4096));
    CHECK_STATUS(IMGQ_E_CORRUPT, iq_import_write(models_env(), set, model, path, NULL, &err));
    CHECK_CONTAINS("gone.safetensors: it was written to after it was opened", err.message);
    CHECK(access(path, F_OK) != 0);
    CHECK_STATUS(IMGQ_E_CORRUPT, iq_model_from_weights(models_env(), set, NULL, &other, &err));
    CHECK_CONTAINS("gone.safetensors: it was written to after it was opened", err.message);
    iq_weights_destroy(set);
    CHECK_STATUS(IMGQ_E_CORRUPT, session_of(model, "auto", &err));
    CHECK_CONTAINS("gone.safetensors: it was written to after it was opened", err.message);
    CHECK_OK(session_of(model, "scalar", &err));
    check_answers_of(model, "scalar");
    imgq_model_close(model);
}

static void what_is_written_opens_as_the_same_model(void)
{
    imgq_error err = {0};
    iq_weights *set = NULL, *again = NULL;
    imgq_model *model = NULL, *copy = NULL;
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    char path[1024];
    four_labels(models_path("labels.txt"));
    options.labels_path = models_path("labels.txt");
    options.bn_eps = 1e-3F;
    options.name = "zeros";
    snprintf(path, sizeof path, "%s", models_path("written.safetensors"));
    const iq_write_options write = {.source_sha256 = "0123", .note = "a \"note\""};
    if (CHECK_OK(open_network(models_env(), models_path("network.h5"), &options, &set, &model, &err)) &&
        CHECK_OK(iq_import_write(models_env(), set, model, path, &write, &err)) &&
        CHECK_OK(open_network(models_env(), path, NULL, &again, &copy, &err))) {
        CHECK_EQ_INT(IQ_SOURCE_SAFETENSORS, again->source);
        CHECK_EQ_SIZE(set->count, again->count);
        for (size_t i = 0; i < set->count; i++) {
            const iq_tensor_view *old = &set->tensors[i], *now = iq_weights_find(again, old->name);
            if (CHECK(now != NULL) && CHECK_EQ_SIZE(old->bytes, now->bytes))
                CHECK_EQ_MEM(old->data, now->data, old->bytes);
        }
        CHECK_EQ_STR("a \"note\"", iq_weights_meta(again, "imgq.note"));
        CHECK_EQ_STR("0123", iq_weights_meta(again, "imgq.source_sha256"));
        CHECK_EQ_STR("network.h5", iq_weights_meta(again, "imgq.source"));
        CHECK_EQ_STR("zeros", imgq_model_name(copy));
        CHECK_EQ_STR(imgq_model_hash(model), imgq_model_hash(copy));
        CHECK_EQ_INT(imgq_model_layout(model), imgq_model_layout(copy));
        CHECK_NEAR(1e-3F, iq_model_bn_eps(copy), 0);
        CHECK_EQ_STR("\"three\"", imgq_model_label(copy, 3));
        CHECK_EQ_MEM(imgq_model_recipe(model), imgq_model_recipe(copy), sizeof(imgq_recipe));
        check_answers(model);
        check_answers(copy);
    }
    imgq_model_close(model);
    imgq_model_close(copy);
    iq_weights_destroy(set);
    iq_weights_destroy(again);
}

static size_t folder_entries(void)
{
    size_t count = 0;
    char command[1200];
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", models_folder());
    FILE *pipe = popen(command, "r");
    if (CHECK(pipe != NULL)) {
        CHECK_EQ_INT(1, fscanf(pipe, "%zu", &count));
        pclose(pipe);
    }
    return count;
}

static void a_file_that_is_there_is_replaced_only_if_asked(void)
{
    imgq_error err = {0};
    iq_weights *set = NULL;
    imgq_model *model = NULL;
    struct stat st;
    char path[1024];
    four_labels(models_path("labels.txt"));
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    options.labels_path = models_path("labels.txt");
    snprintf(path, sizeof path, "%s", models_path("there.safetensors"));
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs("precious", file) > 0 && fclose(file) == 0);
    if (CHECK_OK(open_network(models_env(), models_path("network.h5"), &options, &set, &model, &err))) {
        const size_t before = folder_entries();
        CHECK_STATUS(IMGQ_E_CONFLICT, iq_import_write(models_env(), set, model, path, NULL, &err));
        CHECK_CONTAINS("is there already", err.message);
        CHECK(stat(path, &st) == 0 && st.st_size == 8);
        CHECK_EQ_SIZE(before, folder_entries()); /* nothing half written is left */
        CHECK_OK(iq_import_write(models_env(), set, model, path, &(iq_write_options){.replace = true}, &err));
        CHECK(stat(path, &st) == 0 && st.st_size > 90 << 20);
        CHECK_EQ_SIZE(before, folder_entries());
        CHECK_STATUS(IMGQ_E_IO,
                     iq_import_write(models_env(), set, model, models_path("none/x.safetensors"), NULL, &err));
        CHECK_CONTAINS("No such file or directory", err.message);
        CHECK_STATUS(IMGQ_E_IO, iq_import_write(models_env(), set, model, "/dev/full/x", NULL, &err));
    }
    imgq_model_close(model);
    iq_weights_destroy(set);
}

static void a_writer_out_of_memory_leaves_nothing(void)
{
    imgq_error err = {0};
    iq_weights *set = NULL;
    imgq_model *model = NULL;
    four_labels(models_path("labels.txt"));
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    options.labels_path = models_path("labels.txt");
    if (!CHECK_OK(open_network(models_env(), models_path("network.h5"), &options, &set, &model, &err)))
        return;
    const size_t before = folder_entries();
    imgq_status status = IMGQ_E_NOMEM;
    size_t nth = 1;
    /* A folder that is not there: the header is built, and the hundred megabytes are not written each time. */
    for (; status == IMGQ_E_NOMEM && nth < 500; nth++) {
        imgq_env *env = failing_env(nth);
        if (env == NULL)
            continue;
        status = iq_import_write(env, set, model, models_path("none/x.safetensors"), NULL, &err);
        imgq_env_destroy(env);
        CHECK_EQ_SIZE(0, failing_live_bytes());
    }
    CHECK_EQ_INT(IMGQ_E_IO, status);
    CHECK(nth > 3);
    CHECK_EQ_SIZE(before, folder_entries());
    imgq_model_close(model);
    iq_weights_destroy(set);
}

static const check_test tests[] = {
    CHECK_TEST(wrong_networks_are_refused_by_the_tensors_name),
    CHECK_TEST(weights_come_from_the_file_until_it_is_written_to),
    CHECK_TEST(what_is_written_opens_as_the_same_model),
    CHECK_TEST(a_file_that_is_there_is_replaced_only_if_asked),
    CHECK_TEST(a_writer_out_of_memory_leaves_nothing),
};

int main(int argc, char **argv)
{
    if (!models_make())
        return 1;
    int rc = check_main(argc, argv, "import_network", tests, sizeof tests / sizeof *tests);
    models_remove();
    return rc;
}
