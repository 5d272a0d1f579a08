/* Model files of Keras and TensorFlow.js, right and wrong, as make_models.py writes them. */
#include "support/check.h"
#include "support/failing_alloc.h"
#include "support/open_files.h"
#include "support/shared.h"

#include "import/import.h"
#include "import/keras_names.h"

#include "models.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const iq_weights *open_good(const char *name)
{
    static iq_weights *set;
    imgq_error err = {0};
    iq_weights_destroy(set);
    set = NULL;
    if (name != NULL)
        CHECK_OK(iq_import_open(models_env(), models_path(name), &set, &err));
    return set;
}

/* The message with the folder cut out: "open <>/x.h5: ..." */
static void check_refused(const char *name, imgq_status status, const char *want)
{
    iq_weights *set = NULL;
    imgq_error err = {0};
    char shown[512] = "";
    CHECK_STATUS(status, iq_import_open(models_env(), models_path(name), &set, &err));
    CHECK(set == NULL);
    iq_weights_destroy(set);
    for (const char *at = err.message, *hit; *at != '\0'; at = hit + strlen(models_folder())) {
        hit = strstr(at, models_folder());
        strncat(shown, at, hit != NULL ? (size_t)(hit - at) : sizeof shown - strlen(shown) - 1);
        if (hit == NULL)
            break;
        strncat(shown, "<>", sizeof shown - strlen(shown) - 1);
    }
    CHECK_EQ_STR(want, shown);
}

static void check_tensor(const iq_weights *set, const char *name, uint32_t dtype, const size_t *shape, uint32_t rank)
{
    const iq_tensor_view *tensor = set != NULL ? iq_weights_find(set, name) : NULL;
    if (!CHECK(tensor != NULL)) {
        fprintf(stderr, "no tensor %s\n", name);
        return;
    }
    CHECK_EQ_INT(dtype, tensor->dtype);
    CHECK_EQ_INT(rank, tensor->rank);
    size_t count = 1;
    for (uint32_t i = 0; i < rank; i++) {
        CHECK_EQ_SIZE(shape[i], tensor->shape[i]);
        count *= shape[i];
    }
    CHECK_EQ_SIZE(count * sizeof(float), tensor->bytes);
    for (size_t i = 0; i < count && i < 64; i++) {
        float value;
        memcpy(&value, tensor->data + i * sizeof value, sizeof value);
        CHECK_NEAR((double)i + 0.5, value, 0);
    }
}

/* What every spelling of the small model has to become. */
static void check_small(const iq_weights *set, const char *conv, const char *norm, const char *head)
{
    static const char *const kinds[] = {"gamma", "beta", "moving_mean", "moving_variance"};
    char name[64];
    if (set == NULL)
        return;
    CHECK_EQ_SIZE(8, set->count);
    snprintf(name, sizeof name, "%s/kernel", conv);
    check_tensor(set, name, IQ_DTYPE_F32, (const size_t[]){2, 2, 3, 4}, 4);
    snprintf(name, sizeof name, "%s/bias", conv);
    check_tensor(set, name, IQ_DTYPE_F32, (const size_t[]){4}, 1);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(name, sizeof name, "%s/%s", norm, kinds[i]);
        check_tensor(set, name, IQ_DTYPE_F32, (const size_t[]){4}, 1);
    }
    snprintf(name, sizeof name, "%s/kernel", head);
    check_tensor(set, name, IQ_DTYPE_F32, (const size_t[]){4, 5}, 2);
    snprintf(name, sizeof name, "%s/bias", head);
    check_tensor(set, name, IQ_DTYPE_F32, (const size_t[]){5}, 1);
}

static void weights_at_the_root_are_read(void)
{
    const iq_weights *set = open_good("flat.h5");
    check_small(set, "conv1_conv", "conv1_bn", "probs");
    CHECK_EQ_INT(IQ_SOURCE_KERAS_H5, set->source);
    CHECK_EQ_INT(IMGQ_LAYOUT_AUTO, set->layout);
    CHECK_NEAR(0, set->bn_eps, 0);
}

static void a_whole_model_is_read_with_its_epsilon_and_strides(void)
{
    const iq_weights *set = open_good("whole.h5"); /* chunked, compressed, texts of variable length */
    check_small(set, "conv1", "bn_conv1", "fc1000");
    CHECK_EQ_INT(IMGQ_LAYOUT_V1, set->layout);
    CHECK_NEAR(1e-3, set->bn_eps, 1e-10);
    CHECK_EQ_STR("m", set->name);
}

static void other_spellings_of_keras_are_read(void)
{
    check_small(open_good("keras1.h5"), "conv1", "bn_conv1", "fc1000");
    check_small(open_good("keras3.h5"), "conv1_conv", "conv1_bn", "probs");
    check_small(open_good("split.h5"), "conv1_conv", "conv1_bn", "probs");
    check_small(open_good("userblock.h5"), "conv1_conv", "conv1_bn", "probs");
}

static void a_nested_model_is_read(void)
{
    const iq_weights *set = open_good("nested.h5");
    check_small(set, "conv1_conv", "conv1_bn", "my_head");
    CHECK_EQ_INT(IMGQ_LAYOUT_V1_5, set->layout);
    CHECK_NEAR(1e-4, set->bn_eps, 1e-10);
}

static void other_floats_become_f32(void)
{
    check_small(open_good("f2.h5"), "conv1_conv", "conv1_bn", "probs");
    check_small(open_good("f8.h5"), "conv1_conv", "conv1_bn", "probs");
    check_small(open_good("f4be.h5"), "conv1_conv", "conv1_bn", "probs");
}

static void names_are_reduced_to_layer_and_variable(void)
{
    static const struct {
        const char *layer, *variable, *want;
    } cases[] = {
        {"conv1", "conv1/kernel:0", "conv1/kernel"},
        {"conv1", "conv1/conv1/kernel:0", "conv1/kernel"},
        {"conv1", "conv1_W:0", "conv1/kernel"},
        {"bn2a_branch2a", "bn2a_branch2a_running_std:0", "bn2a_branch2a/moving_variance"},
        {"conv1", "kernel", "conv1/kernel"},
        {"a/conv1", "bias", "conv1/bias"},
        {"conv1", "conv1_1/kernel:0", "conv1/kernel"},
        {"conv1_bn", "conv1_bn_12/gamma:0", "conv1_bn/gamma"},
        {"conv2_block1", "conv2_block1_1_conv/kernel:0", "conv2_block1_1_conv/kernel"},
        {"resnet50", "conv1_1/kernel:0", "conv1_1/kernel"},
        {NULL, "resnet50/conv1/kernel", "conv1/kernel"},
        {NULL, "conv1/kernel_1:12", "conv1/kernel_1"},
        {NULL, "kernel", NULL},
        {"conv1", "", NULL},
        {"conv1", "conv1/:0", NULL},
        {"", "kernel", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[IQ_TENSOR_NAME_MAX + 1];
        imgq_error err = {0};
        imgq_status status = iq_keras_name(cases[i].layer, cases[i].variable, out, &err);
        CHECK_EQ_INT(cases[i].want != NULL ? IMGQ_OK : IMGQ_E_CORRUPT, status);
        if (status == IMGQ_OK)
            CHECK_EQ_STR(cases[i].want, out);
    }
}

static void damaged_keras_files_are_refused(void)
{
    check_refused("no_such.h5", IMGQ_E_NOTFOUND, "open <>/no_such.h5: No such file or directory");
    check_refused("truncated.h5", IMGQ_E_CORRUPT, models_text("truncated"));
    check_refused("garbage.h5", IMGQ_E_CORRUPT, "open the file in <>/garbage.h5: bad byte number in an address");
    check_refused("no_keras.h5", IMGQ_E_FORMAT,
                  "<>/no_keras.h5 is an HDF5 file without Keras weights: it has no layer_names");
    check_refused("no_weights.h5", IMGQ_E_FORMAT, "<>/no_weights.h5 holds no weights: none of its 2 layers has any");
    check_refused("weights3.h5", IMGQ_E_UNSUPPORTED,
                  "<>/weights3.h5 is a Keras 3 weights file, which has no layer names; save the model as .h5 instead");
    check_refused("missing_layer.h5", IMGQ_E_CORRUPT,
                  "layer conv1_bn is missing in <>/missing_layer.h5: layer_names names it");
    check_refused(
        "missing_tensor.h5", IMGQ_E_CORRUPT,
        "tensor conv1_conv/bias is missing in <>/missing_tensor.h5: conv1_conv names it and does not hold it");
    check_refused("missing_names.h5", IMGQ_E_CORRUPT, "probs of <>/missing_names.h5 has no attribute weight_names");
    check_refused("integers.h5", IMGQ_E_UNSUPPORTED,
                  "tensor conv1_conv/kernel in <>/integers.h5 is not of floating-point numbers");
    check_refused("huge.h5", IMGQ_E_LIMIT, "tensor probs/kernel in <>/huge.h5 brings the weights over 1024 MiB");
}

static void files_that_lead_elsewhere_are_refused(void)
{
    check_refused("external_link.h5", IMGQ_E_CORRUPT,
                  "tensor conv1_conv/bias is missing in <>/external_link.h5: conv1_conv names it and does not hold it");
    check_refused("external_bytes.h5", IMGQ_E_UNSUPPORTED,
                  "tensor conv1_conv/bias of <>/external_bytes.h5 keeps its bytes in another file");
    check_refused("tfjs_parent", IMGQ_E_CORRUPT,
                  "<>/tfjs_parent/model.json names the shard \"../flat.h5\", which leaves its folder");
    check_refused("tfjs_hidden_parent", IMGQ_E_CORRUPT,
                  "<>/tfjs_hidden_parent/model.json names the shard \"a/../../flat.h5\", which leaves its folder");
    check_refused("tfjs_root", IMGQ_E_CORRUPT,
                  "<>/tfjs_root/model.json names the shard \"/etc/hostname\", which leaves its folder");
}

static void configurations_of_other_networks_are_refused(void)
{
    check_refused("config_lambda.h5", IMGQ_E_UNSUPPORTED,
                  "model_config of <>/config_lambda.h5: layer prepare is a Lambda, which ResNet-50 has not");
    check_refused("config_sigmoid.h5", IMGQ_E_UNSUPPORTED,
                  "model_config of <>/config_sigmoid.h5: layer fc1000 ends in sigmoid, only softmax is run here");
    check_refused("config_two_eps.h5", IMGQ_E_UNSUPPORTED,
                  "model_config of <>/config_two_eps.h5: layer bn2 has epsilon 1e-05, the ones before it 0.001");
    check_refused("config_huge_eps.h5", IMGQ_E_UNSUPPORTED,
                  "model_config of <>/config_huge_eps.h5: layer bn_conv1 has epsilon 1e+300, which is not above 0 and "
                  "at most 1");
    check_refused("config_no_eps.h5", IMGQ_E_UNSUPPORTED,
                  "model_config of <>/config_no_eps.h5: layer bn_conv1 has epsilon -0.001, which is not above 0 and at "
                  "most 1");
    check_refused("config_strides.h5", IMGQ_E_UNSUPPORTED,
                  "model_config of <>/config_strides.h5: layer res3a_branch2b has stride 2, which is neither v1 nor "
                  "v1.5");
    check_refused("config_side.h5", IMGQ_E_UNSUPPORTED,
                  "model_config of <>/config_side.h5: layer input_1 takes 299 x 299 pixels, only 224 x 224 are run "
                  "here");
    check_refused("config_no_layers.h5", IMGQ_E_CORRUPT,
                  "model_config of <>/config_no_layers.h5: the model's configuration has no layers");
    check_refused("config_broken.h5", IMGQ_E_FORMAT, "model_config of <>/config_broken.h5: no JSON at byte 14");
    check_refused("tfjs_lambda", IMGQ_E_UNSUPPORTED,
                  "modelTopology of <>/tfjs_lambda/model.json: layer prepare is a Lambda, which ResNet-50 has not");
}

static void what_is_no_model_is_named(void)
{
    imgq_error err = {0};
    iq_weights *set = NULL;
    CHECK_STATUS(IMGQ_E_FORMAT, iq_import_open(models_env(), models_path("pointer.h5"), &set, &err));
    CHECK_CONTAINS("Git", err.message);
    CHECK_CONTAINS("LFS", err.message);
    CHECK_STATUS(IMGQ_E_FORMAT, iq_import_open(models_env(), models_path("page.h5"), &set, &err));
    CHECK_CONTAINS("HTML", err.message);
    CHECK_STATUS(IMGQ_E_FORMAT, iq_import_open(models_env(), models_path("empty.h5"), &set, &err));
    CHECK_CONTAINS("empty", err.message);
    CHECK_STATUS(IMGQ_E_FORMAT, iq_import_open(models_env(), models_path("tfjs_page"), &set, &err));
    CHECK_CONTAINS("HTML", err.message);
    CHECK_STATUS(IMGQ_E_FORMAT, iq_import_open(models_env(), models_path("tfjs_pointer"), &set, &err));
    CHECK_CONTAINS("shard2of", err.message);
    CHECK_CONTAINS("LFS", err.message);
    check_refused("nothing", IMGQ_E_FORMAT,
                  "the folder <>/nothing holds no model: neither model.json nor model.safetensors");
}

static void a_tfjs_folder_and_its_json_are_the_same_model(void)
{
    const iq_weights *set = open_good("tfjs");
    check_small(set, "conv1", "bn_conv1", "fc1000");
    CHECK_EQ_INT(IQ_SOURCE_TFJS, set->source);
    CHECK_EQ_INT(IMGQ_LAYOUT_V1, set->layout);
    CHECK_NEAR(1e-3, set->bn_eps, 1e-10);
    check_small(open_good("tfjs/model.json"), "conv1", "bn_conv1", "fc1000");
    check_small(open_good("tfjs_one_shard"), "conv1", "bn_conv1", "fc1000");
}

/* A mapped file stays open with the set: a host has some 1,000 files at once, for all that it does. */
static void many_shards_do_not_stay_open(void)
{
    const size_t before = (open_good(NULL), open_files());
    const iq_weights *set = open_good("tfjs_many_shards"); /* 300 of one page each */
    const iq_tensor_view *tensor = set != NULL ? iq_weights_find(set, "conv1/kernel") : NULL;
    if (!CHECK(tensor != NULL))
        return;
    CHECK(open_files() < before + 200);
    CHECK_EQ_SIZE((size_t)300 * 4096, tensor->bytes);
    for (size_t i = 0; i < 300; i++)
        CHECK_EQ_MEM(&(float){(float)(i * 1024) + 0.5f}, tensor->data + i * 4096, sizeof(float));
}

static void quantised_weights_are_widened(void)
{
    static const float kernel[] = {-1.5f, -1.25f, -0.5f, 62.25f}, bias[] = {1, 2.5f, 32768.5f};
    static const uint8_t half[] = {0x00, 0x3e, 0x00, 0xc0};
    const iq_weights *set = open_good("tfjs_quantised");
    if (set == NULL)
        return;
    const iq_tensor_view *tensor = iq_weights_find(set, "conv1/kernel");
    CHECK_EQ_INT(IQ_DTYPE_F32, tensor->dtype);
    CHECK_EQ_MEM(kernel, tensor->data, sizeof kernel);
    CHECK_EQ_MEM(bias, iq_weights_find(set, "conv1/bias")->data, sizeof bias);
    tensor = iq_weights_find(set, "bn_conv1/gamma");
    CHECK_EQ_INT(IQ_DTYPE_F16, tensor->dtype);
    CHECK_EQ_MEM(half, tensor->data, sizeof half);
    CHECK_EQ_MEM(&(float){7.25f}, iq_weights_find(set, "bn_conv1/beta")->data, sizeof(float));
}

static void damaged_tfjs_folders_are_refused(void)
{
    check_refused("tfjs_missing", IMGQ_E_CORRUPT,
                  "open shard <>/tfjs_missing/group1-shard2of10.bin: No such file or directory");
    check_refused("tfjs_short", IMGQ_E_CORRUPT,
                  "the shards of <>/tfjs_short/model.json hold 368 bytes, its weights ask for 372");
    check_refused("tfjs_long", IMGQ_E_CORRUPT,
                  "shard <>/tfjs_long/group1-shard2of10.bin holds 1040 bytes, its weights ask for 332 more");
    check_refused("tfjs_number", IMGQ_E_CORRUPT, "<>/tfjs_number/model.json names a shard that is not text");
    check_refused("tfjs_lines", IMGQ_E_CORRUPT,
                  "<>/tfjs_lines/model.json names the shard \"/a?b?[31m\", which leaves its folder");
    check_refused("tfjs_graph", IMGQ_E_UNSUPPORTED,
                  "<>/tfjs_graph/model.json is a TensorFlow.js graph-model, only a layers-model is read here");
    check_refused("tfjs_no_manifest", IMGQ_E_FORMAT,
                  "<>/tfjs_no_manifest/model.json is JSON, but no TensorFlow.js model: it has no weightsManifest");
    check_refused("tfjs_empty", IMGQ_E_FORMAT, "<>/tfjs_empty/model.json holds no weights");
    check_refused("tfjs_integers", IMGQ_E_UNSUPPORTED,
                  "tensor conv1/kernel in <>/tfjs_integers/model.json is of int32, only float32 is read here");
    check_refused("tfjs_odd", IMGQ_E_UNSUPPORTED,
                  "tensor conv1/kernel in <>/tfjs_odd/model.json is quantised to uint4");
    check_refused("tfjs_no_scale", IMGQ_E_CORRUPT,
                  "tensor conv1/kernel in <>/tfjs_no_scale/model.json is quantised without min and scale");
    check_refused("tfjs_shape", IMGQ_E_CORRUPT,
                  "tensor conv1/kernel in <>/tfjs_shape/model.json has a dimension that is no whole number");
    check_refused("tfjs_huge", IMGQ_E_LIMIT,
                  "tensor conv1/kernel in <>/tfjs_huge/model.json brings the weights over 1024 MiB");
}

static void a_name_given_twice_is_refused(void)
{
    imgq_error err = {0};
    iq_weights *set = NULL;
    CHECK_STATUS(IMGQ_E_CORRUPT, iq_import_open(models_env(), models_path("twice.h5"), &set, &err));
    CHECK_CONTAINS("conv1_conv/kernel", err.message);
}

static void the_source_hash_is_of_the_files_bytes(void)
{
    imgq_error err = {0};
    char hash[65];
    const iq_weights *set = open_good("flat.h5");
    CHECK_OK(iq_import_source_hash(models_env(), set, hash, &err));
    CHECK_EQ_STR(models_text("flat_sha256"), hash);
    set = open_good("tfjs");
    CHECK_OK(iq_import_source_hash(models_env(), set, hash, &err));
    CHECK_EQ_STR(models_text("tfjs_sha256"), hash);
}

static void every_failed_allocation_is_survived(void)
{
    static const char *const names[] = {"whole.h5", "flat.h5", "tfjs", "tfjs_quantised"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        imgq_status status = IMGQ_E_NOMEM;
        for (size_t nth = 1; status != IMGQ_OK && nth < 2000; nth++) {
            imgq_error err = {0};
            iq_weights *set = NULL;
            imgq_env *env = failing_env(nth);
            if (env == NULL)
                continue;
            const size_t files = open_files();
            status = iq_import_open(env, models_path(names[i]), &set, &err);
            if (status != IMGQ_OK && !CHECK_EQ_INT(IMGQ_E_NOMEM, status))
                fprintf(stderr, "%s, allocation %zu: %s\n", names[i], nth, err.message);
            CHECK((set != NULL) == (status == IMGQ_OK));
            iq_weights_destroy(set);
            imgq_env_destroy(env);
            CHECK_EQ_SIZE(0, failing_live_bytes());
            CHECK_EQ_SIZE(files, open_files());
        }
        CHECK_EQ_INT(IMGQ_OK, status);
    }
}

static const check_test tests[] = {
    CHECK_TEST(weights_at_the_root_are_read),
    CHECK_TEST(a_whole_model_is_read_with_its_epsilon_and_strides),
    CHECK_TEST(other_spellings_of_keras_are_read),
    CHECK_TEST(a_nested_model_is_read),
    CHECK_TEST(other_floats_become_f32),
    CHECK_TEST(names_are_reduced_to_layer_and_variable),
    CHECK_TEST(damaged_keras_files_are_refused),
    CHECK_TEST(files_that_lead_elsewhere_are_refused),
    CHECK_TEST(configurations_of_other_networks_are_refused),
    CHECK_TEST(what_is_no_model_is_named),
    CHECK_TEST(a_tfjs_folder_and_its_json_are_the_same_model),
    CHECK_TEST(many_shards_do_not_stay_open),
    CHECK_TEST(quantised_weights_are_widened),
    CHECK_TEST(damaged_tfjs_folders_are_refused),
    CHECK_TEST(a_name_given_twice_is_refused),
    CHECK_TEST(the_source_hash_is_of_the_files_bytes),
    CHECK_TEST(every_failed_allocation_is_survived),
};

int main(int argc, char **argv)
{
    if (!models_make())
        return 1;
    int rc = check_main(argc, argv, "import", tests, sizeof tests / sizeof *tests);
    (void)open_good(NULL);
    models_remove();
    return rc;
}
