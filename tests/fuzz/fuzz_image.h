/* What both image targets do with a file. Included once by each: the replay program links one target only. */
#ifndef FUZZ_IMAGE_H
#define FUZZ_IMAGE_H

#include <stdint.h>
#include <stdlib.h>

#include <imgq/image.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static inline void fuzz_must(int holds)
{
    if (!holds)
        abort();
}

static inline int fuzz_image(const uint8_t *bytes, size_t len)
{
    static imgq_env *env;
    static float nhwc[16 * 16 * 3];
    if (env == NULL) {
        imgq_env_options options = IMGQ_ENV_OPTIONS_INIT;
        options.max_image_pixels = 1 << 16; /* small pictures find the same faults, sooner */
        fuzz_must(imgq_env_create(&options, &env, NULL) == IMGQ_OK);
    }
    imgq_decode_options wishes = IMGQ_DECODE_OPTIONS_INIT;
    wishes.apply_orientation = len & 1;
    wishes.use_background = (len >> 1) & 1;
    wishes.background[1] = 200;
    imgq_image *image;
    imgq_error err = {0};
    const imgq_status status = imgq_image_decode(env, bytes, len, &wishes, &image, &err);
    if (status != IMGQ_OK) {
        /* Always said why, and never anything but a fault of the file */
        fuzz_must(image == NULL && err.status == status && err.message[0] != '\0');
        fuzz_must(status == IMGQ_E_CORRUPT || status == IMGQ_E_FORMAT || status == IMGQ_E_LIMIT);
        return 0;
    }
    uint32_t width, height, sum = 0;
    imgq_image_get_size(image, &width, &height);
    fuzz_must(width > 0 && height > 0 && (size_t)width * height <= 1 << 16);
    for (size_t i = 0; i < (size_t)width * height * 3; i++)
        sum += imgq_image_pixels(image)[i];
    imgq_recipe recipe;
    const char *profile = imgq_recipe_profile((sum + len) % 4);
    fuzz_must(imgq_recipe_find(profile, &recipe, NULL) == IMGQ_OK);
    if (recipe.resize_short > 0)
        recipe.resize_short = 20;
    else
        recipe.resize_width = recipe.resize_height = 20;
    recipe.crop_width = recipe.crop_height = 16; /* as much code as 224, in a hundredth of the time */
    fuzz_must(imgq_image_preprocess(image, &recipe, nhwc, sizeof nhwc / sizeof *nhwc, NULL) == IMGQ_OK);
    imgq_image_destroy(image);
    return 0;
}

#endif
