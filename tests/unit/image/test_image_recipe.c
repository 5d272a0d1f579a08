/* Profiles, resizing, cropping and the network's numbers; bit-exactness with Pillow is pillow_compare.py's part. */
#include "image_support.h"

#include "support/check.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static test_random choices = {1};

static uint32_t below(uint32_t limit)
{
    return random_below(&choices, limit);
}

static imgq_image *noise(imgq_env *env, uint32_t width, uint32_t height)
{
    imgq_image *image = NULL;
    imgq_error err;
    uint8_t *rgb = malloc((size_t)width * height * 3);
    for (size_t i = 0; i < (size_t)width * height * 3; i++)
        rgb[i] = (uint8_t)below(256);
    (void)CHECK_OK(imgq_image_create(env, width, height, rgb, &image, &err));
    free(rgb);
    return image;
}

static void profiles_are_found_by_name_and_the_choices_named_otherwise(void)
{
    static const char *const names[] = {"keras", "torchvision", "torchvision-v2", "timm", NULL};
    imgq_recipe recipe;
    imgq_error err = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK_EQ_STR(names[i], imgq_recipe_profile(i));
        if (names[i] != NULL && CHECK_OK(imgq_recipe_find(names[i], &recipe, &err))) {
            CHECK_EQ_STR(names[i], recipe.profile);
            CHECK_EQ_SIZE(sizeof recipe, recipe.size);
        }
    }
    CHECK(imgq_recipe_profile(1000) == NULL);
    CHECK_STATUS(IMGQ_E_NOTFOUND, imgq_recipe_find("caffe", &recipe, &err));
    CHECK_EQ_STR("no profile \"caffe\"; there are keras, torchvision, torchvision-v2, timm", err.message);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_recipe_find(NULL, &recipe, &err));
}

static void recipes_that_make_no_sense_are_refused(void)
{
    static uint8_t rgb[224 * 224 * 3];
    imgq_env *env = counting_env();
    imgq_image *image = noise(env, 3, 3);
    imgq_error err = {0};
    for (int i = 0; i < 12; i++) {
        imgq_recipe recipe;
        (void)CHECK_OK(imgq_recipe_find("torchvision", &recipe, &err));
        imgq_status want = IMGQ_E_INVALID;
        switch (i) {
        case 0:
            recipe.crop_width = 257;
            break;
        case 1:
            recipe.crop_height = 0;
            break;
        case 2:
            recipe.resize_short = 0; /* and no width or height */
            break;
        case 3:
            recipe.resize_short = 65536;
            break;
        case 4:
            recipe.filter = 1;
            break;
        case 5:
            recipe.bgr = 2;
            break;
        case 6:
            recipe.divisor = 0;
            break;
        case 7:
            recipe.std[2] = 0;
            break;
        case 8:
            recipe.mean[1] = NAN;
            break;
        case 9:
            recipe.size = 0;
            break;
        case 10:
            recipe.std[0] = INFINITY;
            break;
        default:
            want = IMGQ_OK;
        }
        if (!CHECK_STATUS(want, imgq_image_resample(image, &recipe, rgb, sizeof rgb, &err)))
            fprintf(stderr, "    case %d\n", i);
    }
    imgq_image_destroy(image);
    imgq_env_destroy(env);
}

static void buffers_of_the_wrong_size_are_refused(void)
{
    static uint8_t rgb[224 * 224 * 3];
    static float nhwc[224 * 224 * 3];
    imgq_env *env = counting_env();
    imgq_image *image = noise(env, 5, 4);
    imgq_recipe recipe;
    imgq_error err = {0};
    (void)CHECK_OK(imgq_recipe_find("keras", &recipe, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_image_resize(image, 10, 10, IMGQ_FILTER_BICUBIC, rgb, 299, &err));
    CHECK_EQ_STR("299 values for 10 x 10 pixels of three", err.message);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_image_resize(image, 0, 10, IMGQ_FILTER_BICUBIC, rgb, 0, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_image_resize(image, 10, 10, 1, rgb, 300, &err));
    CHECK_EQ_STR("resize with filter 1; nearest is 0, bilinear 2, bicubic 3", err.message);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_image_resample(image, &recipe, rgb, sizeof rgb - 1, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_image_preprocess(image, &recipe, nhwc, 5, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_image_preprocess(image, &recipe, NULL, sizeof rgb, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_recipe_normalise(&recipe, rgb, sizeof rgb, nhwc, sizeof rgb - 3, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_recipe_normalise(&recipe, rgb, 3, nhwc, sizeof rgb, &err));
    imgq_image_destroy(image);
    imgq_env_destroy(env);
}

static void a_crop_equals_that_part_of_the_whole_resize(void)
{
    imgq_env *env = counting_env();
    imgq_error err;
    choices = random_seeded(__func__);
    for (int round = 0; round < 300; round++) {
        imgq_image *image = noise(env, 1 + below(90), 1 + below(90));
        imgq_recipe recipe;
        (void)CHECK_OK(imgq_recipe_find("keras", &recipe, &err));
        recipe.resize_width = 1 + below(120);
        recipe.resize_height = 1 + below(120);
        recipe.crop_width = 1 + below(recipe.resize_width);
        recipe.crop_height = 1 + below(recipe.resize_height);
        recipe.filter = (const uint32_t[]){IMGQ_FILTER_NEAREST, IMGQ_FILTER_BILINEAR, IMGQ_FILTER_BICUBIC}[round % 3];
        const size_t whole_size = (size_t)recipe.resize_width * recipe.resize_height * 3;
        const size_t part_size = (size_t)recipe.crop_width * recipe.crop_height * 3;
        uint8_t *whole = malloc(whole_size), *part = malloc(part_size);
        (void)CHECK_OK(imgq_image_resize(image, recipe.resize_width, recipe.resize_height, recipe.filter, whole,
                                         whole_size, &err));
        (void)CHECK_OK(imgq_image_resample(image, &recipe, part, part_size, &err));
        /* Python's round(): half to even */
        const size_t left = (size_t)nearbyint((recipe.resize_width - recipe.crop_width) / 2.0);
        const size_t top = (size_t)nearbyint((recipe.resize_height - recipe.crop_height) / 2.0);
        for (size_t y = 0; y < recipe.crop_height; y++)
            if (!CHECK_EQ_MEM(whole + ((top + y) * recipe.resize_width + left) * 3, part + y * recipe.crop_width * 3,
                              recipe.crop_width * (size_t)3))
                break;
        free(whole);
        free(part);
        imgq_image_destroy(image);
    }
    imgq_env_destroy(env);
}

static void numbers_are_float32_arithmetic_in_the_channel_order_of_the_profile(void)
{
    static const uint8_t rgb[] = {0, 128, 255, 17, 99, 200};
    float nhwc[6];
    imgq_recipe recipe;
    imgq_error err;
    (void)CHECK_OK(imgq_recipe_find("keras", &recipe, &err));
    recipe.resize_width = recipe.crop_width = 2;
    recipe.resize_height = recipe.crop_height = 1;
    if (!CHECK_OK(imgq_recipe_normalise(&recipe, rgb, 6, nhwc, 6, &err)))
        return;
    const float bgr[] = {255.0f - 103.939f, 128.0f - 116.779f, 0.0f - 123.68f,
                         200.0f - 103.939f, 99.0f - 116.779f,  17.0f - 123.68f};
    CHECK_EQ_MEM(bgr, nhwc, sizeof nhwc);
    (void)CHECK_OK(imgq_recipe_find("timm", &recipe, &err));
    recipe.resize_short = recipe.crop_height = 1;
    recipe.crop_width = 1;
    if (!CHECK_OK(imgq_recipe_normalise(&recipe, rgb + 3, 3, nhwc, 3, &err)))
        return;
    CHECK_NEAR((17 / 255.0 - 0.485) / 0.229, nhwc[0], 1e-6);
    CHECK_NEAR((99 / 255.0 - 0.456) / 0.224, nhwc[1], 1e-6);
    CHECK_NEAR((200 / 255.0 - 0.406) / 0.225, nhwc[2], 1e-6);
}

static void a_picture_all_length_is_refused_by_a_short_side_profile_alone(void)
{
    static uint8_t rgb[224 * 224 * 3];
    imgq_env *env = counting_env();
    imgq_image *image = noise(env, 100000, 1);
    imgq_recipe recipe;
    imgq_error err = {0};
    (void)CHECK_OK(imgq_recipe_find("torchvision", &recipe, &err));
    CHECK_STATUS(IMGQ_E_LIMIT, imgq_image_resample(image, &recipe, rgb, sizeof rgb, &err));
    CHECK_EQ_STR("image of 100000 x 1 pixels, its long side would become 25600000, the limit is 16777216", err.message);
    (void)CHECK_OK(imgq_recipe_find("keras", &recipe, &err));
    counting_restart();
    const size_t before = counting_live();
    CHECK_OK(imgq_image_resample(image, &recipe, rgb, sizeof rgb, &err));
    CHECK(counting_peak() - before < 4 << 20);
    imgq_image_destroy(image);
    imgq_env_destroy(env);
}

static const check_test tests[] = {
    CHECK_TEST(profiles_are_found_by_name_and_the_choices_named_otherwise),
    CHECK_TEST(recipes_that_make_no_sense_are_refused),
    CHECK_TEST(buffers_of_the_wrong_size_are_refused),
    CHECK_TEST(a_crop_equals_that_part_of_the_whole_resize),
    CHECK_TEST(numbers_are_float32_arithmetic_in_the_channel_order_of_the_profile),
    CHECK_TEST(a_picture_all_length_is_refused_by_a_short_side_profile_alone),
};
CHECK_MAIN("image_recipe", tests)
