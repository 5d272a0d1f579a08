/* What both image targets do with a file. Included once by each: the replay program links one target only. */
#ifndef FUZZ_IMAGE_H
#define FUZZ_IMAGE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <imgq/image.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static inline void fuzz_must(int holds)
{
    if (!holds)
        abort();
}

enum { FUZZ_SIDE = 16, FUZZ_BYTES = FUZZ_SIDE * FUZZ_SIDE * 3 };

/* A profile, its sizes cut down: as much code as 224, in a hundredth of the time. */
static inline imgq_recipe fuzz_recipe(size_t len)
{
    imgq_recipe recipe;
    fuzz_must(imgq_recipe_find(imgq_recipe_profile((len >> 2) % 4), &recipe, NULL) == IMGQ_OK);
    if (recipe.resize_short > 0)
        recipe.resize_short = 20;
    else
        recipe.resize_width = recipe.resize_height = 20;
    recipe.crop_width = recipe.crop_height = FUZZ_SIDE;
    return recipe;
}

/* Row by row, as workers do it; exact, then at a fraction of the size, which must do with any bytes, too. */
static inline imgq_status fuzz_stream(imgq_env *env, const uint8_t *bytes, size_t len, imgq_decode_options wishes,
                                      const imgq_recipe *recipe, uint8_t *rgb)
{
    static uint8_t fast[FUZZ_BYTES];
    imgq_encoded_info info = IMGQ_ENCODED_INFO_INIT;
    imgq_error err = {0};
    const imgq_status status = imgq_encoded_resample(env, bytes, len, &wishes, recipe, rgb, FUZZ_BYTES, &info, &err);
    /* Always said why, and never anything but a fault of the file */
    fuzz_must(status == IMGQ_OK || (err.status == status && err.message[0] != '\0'));
    fuzz_must(status != IMGQ_OK || (info.eighths == 8 && (size_t)info.width * info.height <= 1 << 16));
    wishes.fast = 1;
    const imgq_status fast_status =
        imgq_encoded_resample(env, bytes, len, &wishes, recipe, fast, FUZZ_BYTES, &info, NULL);
    fuzz_must(status == IMGQ_OK || status == IMGQ_E_CORRUPT || fast_status == status);
    return status;
}

static inline int fuzz_image(const uint8_t *bytes, size_t len)
{
    static imgq_env *env;
    static uint8_t streamed[FUZZ_BYTES], whole[FUZZ_BYTES];
    static float nhwc[FUZZ_BYTES];
    if (env == NULL) {
        imgq_env_options options = IMGQ_ENV_OPTIONS_INIT;
        options.max_image_pixels = 1 << 16; /* small pictures find the same faults, sooner */
        fuzz_must(imgq_env_create(&options, &env, NULL) == IMGQ_OK);
    }
    imgq_decode_options wishes = IMGQ_DECODE_OPTIONS_INIT;
    wishes.apply_orientation = len & 1;
    wishes.use_background = (len >> 1) & 1;
    wishes.background[1] = 200;
    const imgq_recipe recipe = fuzz_recipe(len);
    imgq_image *image;
    imgq_error err = {0};
    const imgq_status stream_status = fuzz_stream(env, bytes, len, wishes, &recipe, streamed);
    const imgq_status status = imgq_image_decode(env, bytes, len, &wishes, &image, &err);
    if (status != IMGQ_OK) {
        fuzz_must(image == NULL && err.status == status && err.message[0] != '\0');
        fuzz_must(status == IMGQ_E_CORRUPT || status == IMGQ_E_FORMAT || status == IMGQ_E_LIMIT);
        fuzz_must(stream_status == status || stream_status == IMGQ_E_LIMIT); /* too long is seen before it is damaged */
        return 0;
    }
    uint32_t width, height;
    imgq_image_get_size(image, &width, &height);
    fuzz_must(width > 0 && height > 0 && (size_t)width * height <= 1 << 16);
    fuzz_must(imgq_image_resample(image, &recipe, whole, sizeof whole, NULL) == stream_status);
    fuzz_must(stream_status != IMGQ_OK || memcmp(whole, streamed, sizeof whole) == 0);
    if (stream_status == IMGQ_OK)
        fuzz_must(imgq_image_preprocess(image, &recipe, nhwc, FUZZ_BYTES, NULL) == IMGQ_OK);
    imgq_image_destroy(image);
    return 0;
}

#endif
