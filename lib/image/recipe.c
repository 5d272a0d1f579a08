/* The built-in profiles, and the arithmetic that turns bytes into the network's numbers. */
#include "image/recipe.h"

#include "base/checked.h"
#include "base/fail.h"
#include "base/options.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* The channel order of mean and std is that of the stored value: B G R for keras, R G B for the others. */
static const imgq_recipe profiles[] = {
    {.size = sizeof(imgq_recipe),
     .profile = "keras",
     .resize_width = 224,
     .resize_height = 224,
     .crop_width = 224,
     .crop_height = 224,
     .filter = IMGQ_FILTER_BICUBIC,
     .bgr = 1,
     .divisor = 1.0f,
     .mean = {103.939f, 116.779f, 123.68f},
     .std = {1.0f, 1.0f, 1.0f}},
    {.size = sizeof(imgq_recipe),
     .profile = "torchvision",
     .resize_short = 256,
     .crop_width = 224,
     .crop_height = 224,
     .filter = IMGQ_FILTER_BILINEAR,
     .divisor = 255.0f,
     .mean = {0.485f, 0.456f, 0.406f},
     .std = {0.229f, 0.224f, 0.225f}},
    {.size = sizeof(imgq_recipe),
     .profile = "torchvision-v2",
     .resize_short = 232,
     .crop_width = 224,
     .crop_height = 224,
     .filter = IMGQ_FILTER_BILINEAR,
     .divisor = 255.0f,
     .mean = {0.485f, 0.456f, 0.406f},
     .std = {0.229f, 0.224f, 0.225f}},
    {.size = sizeof(imgq_recipe),
     .profile = "timm",
     .resize_short = 235, /* floor(224 / 0.95): crop_pct 0.95 */
     .crop_width = 224,
     .crop_height = 224,
     .filter = IMGQ_FILTER_BICUBIC,
     .divisor = 255.0f,
     .mean = {0.485f, 0.456f, 0.406f},
     .std = {0.229f, 0.224f, 0.225f}},
};

enum { PROFILE_COUNT = sizeof profiles / sizeof *profiles, MAX_SIDE = 65535 };

const char *imgq_recipe_profile(size_t index)
{
    return index < PROFILE_COUNT ? profiles[index].profile : NULL;
}

imgq_status imgq_recipe_find(const char *profile, imgq_recipe *out, imgq_error *err)
{
    char choices[128] = "";
    if (profile == NULL || out == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "find a profile: profile and out are needed");
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        if (strcmp(profile, profiles[i].profile) == 0) {
            *out = profiles[i];
            return IMGQ_OK;
        }
        strncat(choices, i > 0 ? ", " : "", sizeof choices - strlen(choices) - 1);
        strncat(choices, profiles[i].profile, sizeof choices - strlen(choices) - 1);
    }
    return iq_fail(err, IMGQ_E_NOTFOUND, 0, "no profile \"%.40s\"; there are %s", profile, choices);
}

static imgq_status check_sizes(const imgq_recipe *recipe, imgq_error *err)
{
    const uint32_t s = recipe->resize_short;
    const uint32_t width = s > 0 ? s : recipe->resize_width, height = s > 0 ? s : recipe->resize_height;
    if (width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE)
        return iq_fail(err, IMGQ_E_INVALID, 0, "recipe resizes to %" PRIu32 " x %" PRIu32 " pixels, 1 to %d a side",
                       width, height, MAX_SIDE);
    if (recipe->crop_width == 0 || recipe->crop_height == 0 || recipe->crop_width > width ||
        recipe->crop_height > height)
        return iq_fail(err, IMGQ_E_INVALID, 0,
                       "recipe crops %" PRIu32 " x %" PRIu32 " pixels out of %" PRIu32 " x %" PRIu32,
                       recipe->crop_width, recipe->crop_height, width, height);
    return IMGQ_OK;
}

static bool is_divisor(float value)
{
    return isfinite(value) && value != 0.0f;
}

imgq_status iq_recipe_read(imgq_recipe *out, const imgq_recipe *given, imgq_error *err)
{
    imgq_status status = iq_options_copy(out, sizeof *out, given, err);
    if (status == IMGQ_OK)
        status = check_sizes(out, err);
    if (status != IMGQ_OK)
        return status;
    if (out->filter != IMGQ_FILTER_NEAREST && out->filter != IMGQ_FILTER_BILINEAR && out->filter != IMGQ_FILTER_BICUBIC)
        return iq_fail(err, IMGQ_E_INVALID, 0, "recipe with filter %" PRIu32 "; nearest is 0, bilinear 2, bicubic 3",
                       out->filter);
    if (out->bgr > 1)
        return iq_fail(err, IMGQ_E_INVALID, 0, "recipe with bgr %" PRIu32 "; 0 or 1", out->bgr);
    for (size_t c = 0; c < 3; c++)
        if (!is_divisor(out->divisor) || !is_divisor(out->std[c]) || !isfinite(out->mean[c]))
            return iq_fail(err, IMGQ_E_INVALID, 0, "recipe divides by %g and %g, subtracts %g", (double)out->divisor,
                           (double)out->std[c], (double)out->mean[c]);
    return IMGQ_OK;
}

imgq_status imgq_recipe_normalise(const imgq_recipe *recipe, const uint8_t *rgb, size_t rgb_size, float *nhwc,
                                  size_t count, imgq_error *err)
{
    imgq_recipe r;
    float value_of[3][256];
    size_t wanted;
    if (recipe == NULL || rgb == NULL || nhwc == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "normalise pixels: recipe, rgb and nhwc are needed");
    imgq_status status = iq_recipe_read(&r, recipe, err);
    if (status != IMGQ_OK)
        return status;
    if (iq_mul_size(&wanted, r.crop_width, r.crop_height) || iq_mul_size(&wanted, wanted, 3) || rgb_size != wanted ||
        count != wanted)
        return iq_fail(err, IMGQ_E_INVALID, 0, "%zu bytes to %zu floats for %" PRIu32 " x %" PRIu32 " pixels of three",
                       rgb_size, count, r.crop_width, r.crop_height);
    /* 768 values are all there can be; each is rounded as float32 arithmetic on the whole picture would round it. */
    for (size_t c = 0; c < 3; c++)
        for (size_t byte = 0; byte < 256; byte++)
            value_of[c][byte] = ((float)byte / r.divisor - r.mean[c]) / r.std[c];
    /* Forward, three bytes read before three floats are written: imgq_image_preprocess() has rgb at nhwc's end. */
    for (size_t i = 0; i < wanted; i += 3) {
        const uint8_t red = rgb[i], green = rgb[i + 1], blue = rgb[i + 2];
        nhwc[i + 0] = value_of[0][r.bgr ? blue : red];
        nhwc[i + 1] = value_of[1][green];
        nhwc[i + 2] = value_of[2][r.bgr ? red : blue];
    }
    return IMGQ_OK;
}
