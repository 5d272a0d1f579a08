/* Preprocessing: who tells it, and what happens when nobody does. */
#include "fake_set.h"
#include "model_tests.h"

#include "model/config.h"
#include "model/profile.h"

#include "support/check.h"

#include <stdio.h>
#include <string.h>

static void expect_profile(fake_names names, const char *told, const char *wanted, const char *profile)
{
    imgq_error err = {0};
    imgq_recipe recipe;
    static const iq_family families[] = {IQ_FAMILY_TORCH, IQ_FAMILY_HUGGING_FACE, IQ_FAMILY_KERAS, IQ_FAMILY_KERAS_OLD};
    const iq_weights set = {.path = "m", .profile = told};
    if (CHECK_OK(iq_profile_choose(&set, families[names], wanted, &recipe, &err)))
        CHECK_EQ_STR(profile, recipe.profile);
}

void a_profile_is_told_never_guessed(void)
{
    expect_profile(FAKE_KERAS, NULL, NULL, "keras");
    expect_profile(FAKE_KERAS_OLD, NULL, NULL, "keras");
    expect_profile(FAKE_TORCH, NULL, NULL, "torchvision");
    expect_profile(FAKE_TORCH, "timm", NULL, "timm");
    expect_profile(FAKE_TORCH, "timm", "keras", "keras");
    expect_profile(FAKE_HUGGING_FACE, NULL, "torchvision-v2", "torchvision-v2");
    imgq_error err = {0};
    imgq_recipe recipe;
    const iq_weights silent = {.path = "m"}, odd = {.path = "m", .profile = "caffe"};
    CHECK_STATUS(IMGQ_E_INVALID, iq_profile_choose(&silent, IQ_FAMILY_HUGGING_FACE, NULL, &recipe, &err));
    CHECK_EQ_STR("read model m: its preprocessing cannot be told: name a profile, one of keras, torchvision, "
                 "torchvision-v2, timm",
                 err.message);
    CHECK_STATUS(IMGQ_E_INVALID, iq_profile_choose(&silent, IQ_FAMILY_KERAS, "imagenet", &recipe, &err));
    CHECK_EQ_STR("read model m: no profile \"imagenet\"; there are keras, torchvision, torchvision-v2, timm",
                 err.message);
    CHECK_STATUS(IMGQ_E_INVALID, iq_profile_choose(&odd, IQ_FAMILY_TORCH, NULL, &recipe, &err));
    CHECK_CONTAINS("no profile \"caffe\"", err.message);
}

void a_recipe_survives_its_writing(void)
{
    imgq_error err = {0};
    for (size_t i = 0; imgq_recipe_profile(i) != NULL; i++) {
        imgq_recipe recipe, back;
        iq_buf text = {0};
        iq_json *root = NULL;
        CHECK_OK(imgq_recipe_find(imgq_recipe_profile(i), &recipe, &err));
        CHECK(iq_recipe_write(test_env(), &text, &recipe));
        CHECK_OK(iq_json_parse((const char *)text.data, text.len, &root, &err));
        CHECK_OK(iq_recipe_parse(root, "m", &back, &err));
        CHECK_EQ_MEM(&recipe, &back, sizeof recipe);
        iq_json_free(root);
        iq_buf_release(test_env(), &text);
    }
}

void recipes_have_telling_names(void)
{
    imgq_error err = {0};
    imgq_recipe recipe;
    CHECK_OK(imgq_recipe_find("torchvision", &recipe, &err));
    recipe.filter = IMGQ_FILTER_BICUBIC;
    iq_recipe_name(&recipe);
    CHECK_EQ_STR("bicubic-256-crop-224", recipe.profile);
    recipe.mean[1] = 0.5f;
    iq_recipe_name(&recipe);
    CHECK_EQ_SIZE(strlen("bicubic-256-crop-224-abcdef"), strlen(recipe.profile));
    char first[sizeof recipe.profile];
    memcpy(first, recipe.profile, sizeof first);
    recipe.mean[1] = 0.51f;
    iq_recipe_name(&recipe);
    CHECK(strcmp(first, recipe.profile) != 0);
    CHECK_OK(imgq_recipe_find("torchvision", &recipe, &err));
    recipe.resize_short = 0;
    recipe.resize_width = recipe.resize_height = 224;
    iq_recipe_name(&recipe);
    CHECK_EQ_STR("bilinear-squash-224", recipe.profile);
    recipe.crop_width = 300;
    CHECK_STATUS(IMGQ_E_CORRUPT, iq_recipe_check(&recipe, "m", &err));
    CHECK_EQ_STR("read preprocessing from m: it crops more than it resizes to", err.message);
}

/* A set whose path lies in the test's folder, asked about what stands beside it. */
static imgq_status ask(const char *config, const char *preprocessor, iq_weights **set, imgq_error *err)
{
    char path[300];
    fake_clean();
    snprintf(path, sizeof path, "%smodel.safetensors", fake_folder());
    if (config != NULL)
        fake_path("config.json", config, strlen(config));
    if (preprocessor != NULL)
        fake_path("preprocessor_config.json", preprocessor, strlen(preprocessor));
    imgq_status status = iq_weights_create(test_env(), IQ_SOURCE_SAFETENSORS, path, set, err);
    if (status == IMGQ_OK)
        status = iq_told_by_config(*set, err);
    fake_clean();
    return status;
}

/* @param profile NULL: nothing is told */
static void expect_config(const char *config, const char *preprocessor, const char *profile, uint32_t layout,
                          const char *first_label)
{
    imgq_error err = {0};
    iq_weights *set = NULL;
    if (CHECK_OK(ask(config, preprocessor, &set, &err))) {
        CHECK_EQ_SIZE(profile != NULL, set->has_recipe);
        CHECK_EQ_STR(profile == NULL ? "" : profile, set->recipe.profile);
        CHECK_EQ_SIZE(layout, set->layout);
        CHECK_EQ_STR(first_label, set->labels == NULL ? NULL : set->labels[0]);
    }
    iq_weights_destroy(set);
}

static void expect_refused_config(const char *config, const char *preprocessor, imgq_status status, const char *message)
{
    imgq_error err = {0};
    iq_weights *set = NULL;
    CHECK_STATUS(status, ask(config, preprocessor, &set, &err));
    CHECK_CONTAINS(message, err.message);
    iq_weights_destroy(set);
}

#define TIMM(cfg) "{\"architecture\":\"resnet50\",\"num_classes\":1000,\"pretrained_cfg\":{" cfg "}}"
#define IMAGENET "\"mean\":[0.485,0.456,0.406],\"std\":[0.229,0.224,0.225]"

void timms_config_tells_the_preprocessing(void)
{
    expect_config(TIMM("\"input_size\":[3,224,224],\"interpolation\":\"bicubic\",\"crop_pct\":0.95,"
                       "\"crop_mode\":\"center\"," IMAGENET),
                  NULL, "timm", IMGQ_LAYOUT_AUTO, NULL);
    expect_config(TIMM("\"input_size\":[3,224,224],\"interpolation\":\"bilinear\",\"crop_pct\":0.875," IMAGENET), NULL,
                  "torchvision", IMGQ_LAYOUT_AUTO, NULL);
    expect_config(TIMM("\"input_size\":[3,288,288],\"interpolation\":\"bicubic\",\"crop_pct\":1.0," IMAGENET), NULL,
                  "bicubic-288-crop-288", IMGQ_LAYOUT_AUTO, NULL);
    expect_config("{\"architecture\":\"resnet50\",\"input_size\":[3,224,224],\"interpolation\":\"bicubic\","
                  "\"crop_pct\":0.95,\"label_names\":[\"left\",\"right\"]," IMAGENET "}",
                  NULL, "timm", IMGQ_LAYOUT_AUTO, "left");
}

#define CONVNEXT(more)                                                                                                 \
    "{\"crop_pct\":0.875,\"do_normalize\":true,\"do_resize\":true,"                                                    \
    "\"image_mean\":[0.485,0.456,0.406],\"image_std\":[0.229,0.224,0.225],\"resample\":3," more "}"
#define HF_CONFIG "{\"model_type\":\"resnet\",\"id2label\":{\"0\":\"tench, Tinca tinca\",\"1\":\"goldfish\"}}"

void hugging_faces_configs_tell_preprocessing_and_labels(void)
{
    expect_config(HF_CONFIG, CONVNEXT("\"feature_extractor_type\":\"ConvNextFeatureExtractor\",\"size\":224"),
                  "bicubic-256-crop-224", IMGQ_LAYOUT_AUTO, "tench, Tinca tinca");
    expect_config(HF_CONFIG,
                  CONVNEXT("\"image_processor_type\":\"ConvNextImageProcessor\",\"size\":{\"shortest_edge\":384}"),
                  "bicubic-squash-384", IMGQ_LAYOUT_AUTO, "tench, Tinca tinca");
    expect_config(HF_CONFIG,
                  CONVNEXT("\"image_processor_type\":\"ViTImageProcessor\",\"size\":{\"height\":224,\"width\":224}"),
                  "bicubic-squash-224", IMGQ_LAYOUT_AUTO, "tench, Tinca tinca");
    expect_config(HF_CONFIG,
                  CONVNEXT("\"image_processor_type\":\"BitImageProcessor\",\"size\":{\"shortest_edge\":235},"
                           "\"crop_size\":{\"height\":224,\"width\":224}"),
                  "timm", IMGQ_LAYOUT_AUTO, "tench, Tinca tinca");
    expect_config("{\"model_type\":\"resnet\",\"downsample_in_bottleneck\":true}", NULL, NULL, IMGQ_LAYOUT_V1, NULL);
    /* Somebody else's files tell nothing. */
    expect_config("{\"model_type\":\"bert\",\"id2label\":{\"0\":\"a\"}}", "{\"tokenizer\":1}", NULL, IMGQ_LAYOUT_AUTO,
                  NULL);
    expect_config("{\"architecture\":\"vit_base\"}", NULL, NULL, IMGQ_LAYOUT_AUTO, NULL);
    expect_config(NULL, NULL, NULL, IMGQ_LAYOUT_AUTO, NULL);
}

void preprocessing_that_is_not_done_here_is_refused(void)
{
    expect_refused_config(TIMM("\"input_size\":[3,224,224],\"interpolation\":\"bicubic\",\"crop_pct\":0.95,"
                               "\"crop_mode\":\"border\""),
                          NULL, IMGQ_E_UNSUPPORTED, "config.json: crop_mode 'border' is not done here");
    expect_refused_config(TIMM("\"input_size\":[3,224,224],\"interpolation\":\"lanczos\",\"crop_pct\":0.95"), NULL,
                          IMGQ_E_UNSUPPORTED, "config.json: interpolation 'lanczos' is not done here");
    expect_refused_config(TIMM("\"input_size\":[3,224,224],\"interpolation\":\"bicubic\""), NULL, IMGQ_E_CORRUPT,
                          "config.json: its input_size, interpolation or crop_pct is missing or wrong");
    expect_refused_config(TIMM("\"input_size\":[3,9,9],\"interpolation\":\"bicubic\",\"crop_pct\":1," IMAGENET), NULL,
                          IMGQ_E_CORRUPT, "config.json: its crop is not of 32 to 1024 pixels");
    expect_refused_config(TIMM("\"input_size\":[3,224,224],\"interpolation\":\"bicubic\",\"crop_pct\":1,"
                               "\"mean\":[1,2]"),
                          NULL, IMGQ_E_CORRUPT, "config.json: its 'mean' is not three numbers");
    expect_refused_config(TIMM("\"input_size\":[3,224,224],\"interpolation\":\"bicubic\",\"crop_pct\":1"), NULL,
                          IMGQ_E_CORRUPT, "config.json: its 'mean' is not three numbers");
    expect_refused_config(HF_CONFIG, "{\"image_processor_type\":\"ViTImageProcessor\",\"size\":224,\"resample\":3}",
                          IMGQ_E_CORRUPT, "its 'image_mean' is not three numbers");
    expect_refused_config("{\"model_type\":", NULL, IMGQ_E_CORRUPT, "config.json: no JSON at byte 13");
    expect_refused_config("{\"model_type\":\"resnet\",\"id2label\":{\"7\":\"a\"}}", NULL, IMGQ_E_CORRUPT,
                          "config.json: '7' is no class of 0 to 0");
    expect_refused_config(HF_CONFIG, CONVNEXT("\"image_processor_type\":\"FuyuImageProcessor\""), IMGQ_E_UNSUPPORTED,
                          "preprocessor_config.json: processor 'FuyuImageProcessor' is not done here");
    expect_refused_config(HF_CONFIG,
                          "{\"image_processor_type\":\"ViTImageProcessor\",\"size\":224,\"resample\":1,"
                          "\"do_normalize\":false}",
                          IMGQ_E_CORRUPT, "its filter is none of nearest, bilinear, bicubic");
}
