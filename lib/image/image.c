/* The image handle, and the door through which file bytes come in. */
#include "image/image.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/options.h"
#include "image/jpeg.h"
#include "image/orient.h"
#include "image/png.h"
#include "image/recipe.h"
#include "image/rows.h"
#include "image/sniff.h"

#include <inttypes.h>
#include <string.h>

imgq_status iq_image_check_size(const char *kind, uint32_t width, uint32_t height, size_t max_pixels, imgq_error *err)
{
    if (width == 0 || height == 0)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "%s of %" PRIu32 " x %" PRIu32 " pixels is empty", kind, width, height);
    if ((uint64_t)width * height > max_pixels)
        return iq_fail(err, IMGQ_E_LIMIT, 0, "%s of %" PRIu32 " x %" PRIu32 " pixels, the limit is %zu pixels", kind,
                       width, height, max_pixels);
    return IMGQ_OK;
}

imgq_status iq_image_new(imgq_env *env, uint32_t width, uint32_t height, imgq_image **out, imgq_error *err)
{
    size_t size;
    *out = NULL;
    if (iq_mul_size(&size, width, height) || iq_mul_size(&size, size, 3))
        return iq_fail(err, IMGQ_E_LIMIT, 0, "image of %" PRIu32 " x %" PRIu32 " pixels does not fit memory", width,
                       height);
    imgq_image *image = iq_alloc_array(env, 1, sizeof *image);
    if (image == NULL)
        return iq_fail_nomem(err, sizeof *image);
    image->env = iq_env_hold(env);
    image->width = width;
    image->height = height;
    image->pixels = iq_alloc_aligned(env, size, 64);
    if (image->pixels == NULL) {
        imgq_image_destroy(image);
        return iq_fail_nomem(err, size);
    }
    *out = image;
    return IMGQ_OK;
}

imgq_status imgq_image_create(imgq_env *env, uint32_t width, uint32_t height, const uint8_t *rgb, imgq_image **out,
                              imgq_error *err)
{
    if (out != NULL)
        *out = NULL;
    if (env == NULL || rgb == NULL || out == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "create an image: env, rgb and out are needed");
    if (width == 0 || height == 0)
        return iq_fail(err, IMGQ_E_INVALID, 0, "create an image of %" PRIu32 " x %" PRIu32 " pixels", width, height);
    imgq_status status = iq_image_check_size("image", width, height, iq_env_max_image_pixels(env), err);
    if (status == IMGQ_OK)
        status = iq_image_new(env, width, height, out, err);
    if (status == IMGQ_OK)
        memcpy((*out)->pixels, rgb, (size_t)width * height * 3);
    return status;
}

void imgq_image_destroy(imgq_image *image)
{
    if (image == NULL)
        return;
    imgq_env *env = image->env;
    iq_free(env, image->pixels);
    iq_free(env, image);
    imgq_env_destroy(env);
}

void imgq_image_get_size(const imgq_image *image, uint32_t *width, uint32_t *height)
{
    *width = image->width;
    *height = image->height;
}

const uint8_t *imgq_image_pixels(const imgq_image *image)
{
    return image->pixels;
}

uint32_t imgq_image_orientation(const imgq_image *image, uint32_t *applied)
{
    if (applied != NULL)
        *applied = image->applied;
    return image->orientation;
}

/* The caller's wishes, held to the env's limits. */
static imgq_status read_options(const imgq_env *env, const imgq_decode_options *given, imgq_decode_options *options,
                                iq_decode_rules *rules, imgq_error *err)
{
    const size_t limit = iq_env_max_image_pixels(env);
    imgq_status status = iq_options_copy(options, sizeof *options, given, err);
    if (status != IMGQ_OK)
        return status;
    for (size_t i = 0; i < sizeof options->reserved; i++)
        if (options->reserved[i] != 0)
            return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "decode an image: a reserved option is set");
    if (options->apply_orientation > 1 || options->use_background > 1 || options->fast > 1)
        return iq_fail(err, IMGQ_E_INVALID, 0,
                       "decode an image: apply_orientation, use_background and fast are 0 or 1");
    rules->max_pixels = options->max_pixels > 0 && options->max_pixels < limit ? options->max_pixels : limit;
    rules->max_progressive_pixels = iq_env_max_progressive_pixels(env);
    rules->background = options->use_background ? options->background : NULL;
    rules->fast = options->fast;
    return IMGQ_OK;
}

/* What every door to the decoders begins with. */
static imgq_status check_file(const imgq_env *env, const imgq_decode_options *options, size_t len,
                              imgq_decode_options *wishes, iq_decode_rules *rules, imgq_error *err)
{
    const imgq_status status = read_options(env, options, wishes, rules, err);
    if (status != IMGQ_OK)
        return status;
    if (len > iq_env_max_payload_bytes(env))
        return iq_fail(err, IMGQ_E_LIMIT, 0, "image file of %zu bytes, the limit is %zu bytes", len,
                       iq_env_max_payload_bytes(env));
    if (len == 0)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "neither JPEG nor PNG: the file is empty");
    return IMGQ_OK;
}

static imgq_status decode_rows(imgq_env *env, const void *bytes, size_t len, const iq_decode_rules *rules,
                               iq_rows *rows, imgq_error *err)
{
    const char *name = NULL;
    switch (iq_sniff(bytes, len, &name)) {
    case IQ_KIND_JPEG:
        return iq_jpeg_decode(env, bytes, len, rules, rows, err);
    case IQ_KIND_PNG:
        return iq_png_decode(env, bytes, len, rules, rows, err);
    case IQ_KIND_REFUSED:
        return iq_fail(err, IMGQ_E_FORMAT, 0, "%s is not read here; convert it to JPEG or PNG", name);
    case IQ_KIND_UNKNOWN:
        break;
    }
    return iq_fail(err, IMGQ_E_FORMAT, 0, "neither JPEG nor PNG: %zu byte%s that begin%s as no picture known here", len,
                   len == 1 ? "" : "s", len == 1 ? "s" : "");
}

imgq_status imgq_image_decode(imgq_env *env, const void *bytes, size_t len, const imgq_decode_options *options,
                              imgq_image **out, imgq_error *err)
{
    imgq_decode_options wishes;
    iq_decode_rules rules;
    if (out != NULL)
        *out = NULL;
    if (env == NULL || out == NULL || (bytes == NULL && len > 0))
        return iq_fail(err, IMGQ_E_INVALID, 0, "decode an image: env, bytes and out are needed");
    imgq_status status = check_file(env, options, len, &wishes, &rules, err);
    if (status != IMGQ_OK)
        return status;
    iq_rows rows = {.env = env};
    status = decode_rows(env, bytes, len, &rules, &rows, err);
    imgq_image *image = iq_rows_end(&rows);
    if (image != NULL)
        image->orientation = rows.orientation;
    if (status == IMGQ_OK && wishes.apply_orientation)
        status = iq_orient_apply(image, err);
    if (status == IMGQ_OK)
        *out = image;
    else
        imgq_image_destroy(image);
    return status;
}

/* Fields that the caller does not know yet are left out. */
static void tell(imgq_encoded_info *info, const iq_rows *rows)
{
    if (info == NULL)
        return;
    imgq_encoded_info all = {.size = info->size,
                             .width = rows->width,
                             .height = rows->height,
                             .orientation = rows->orientation,
                             .applied = rows->turn && rows->orientation > 1,
                             .eighths = rows->eighths};
    memcpy(info, &all, info->size < sizeof all ? info->size : sizeof all);
}

imgq_status imgq_encoded_resample(imgq_env *env, const void *bytes, size_t len, const imgq_decode_options *options,
                                  const imgq_recipe *recipe, uint8_t *rgb, size_t rgb_size, imgq_encoded_info *info,
                                  imgq_error *err)
{
    imgq_decode_options wishes;
    imgq_recipe checked;
    iq_decode_rules rules;
    if (env == NULL || (bytes == NULL && len > 0) || recipe == NULL || rgb == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "resample an image file: env, bytes, recipe and rgb are needed");
    if (info != NULL && info->size < sizeof info->size)
        return iq_fail(err, IMGQ_E_INVALID, 0, "resample an image file: info's size is not set");
    imgq_status status = iq_recipe_read(&checked, recipe, err);
    if (status == IMGQ_OK)
        status = iq_check_count(checked.crop_width, checked.crop_height, rgb_size, err);
    if (status == IMGQ_OK)
        status = check_file(env, options, len, &wishes, &rules, err);
    if (status != IMGQ_OK)
        return status;
    iq_rows rows = {.env = env, .recipe = &checked, .rgb = rgb, .turn = wishes.apply_orientation};
    status = decode_rows(env, bytes, len, &rules, &rows, err);
    (void)iq_rows_end(&rows);
    if (status == IMGQ_OK)
        tell(info, &rows);
    return status;
}

imgq_status imgq_encoded_preprocess(imgq_env *env, const void *bytes, size_t len, const imgq_decode_options *options,
                                    const imgq_recipe *recipe, float *nhwc, size_t count, imgq_encoded_info *info,
                                    imgq_error *err)
{
    if (nhwc == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "preprocess an image file: nhwc is needed");
    /* The bytes take the last quarter of the floats' own memory: each is read before a float is written over it. */
    uint8_t *rgb = (uint8_t *)nhwc + count * 3;
    imgq_status status = imgq_encoded_resample(env, bytes, len, options, recipe, rgb, count, info, err);
    if (status == IMGQ_OK)
        status = imgq_recipe_normalise(recipe, rgb, count, nhwc, count, err);
    return status;
}
