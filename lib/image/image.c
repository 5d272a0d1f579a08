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
    if (options->apply_orientation > 1 || options->use_background > 1)
        return iq_fail(err, IMGQ_E_INVALID, 0, "decode an image: apply_orientation and use_background are 0 or 1");
    rules->max_pixels = options->max_pixels > 0 && options->max_pixels < limit ? options->max_pixels : limit;
    rules->background = options->use_background ? options->background : NULL;
    return IMGQ_OK;
}

imgq_status imgq_image_decode(imgq_env *env, const void *bytes, size_t len, const imgq_decode_options *options,
                              imgq_image **out, imgq_error *err)
{
    imgq_decode_options wishes;
    iq_decode_rules rules;
    imgq_image *image = NULL;
    if (out != NULL)
        *out = NULL;
    if (env == NULL || out == NULL || (bytes == NULL && len > 0))
        return iq_fail(err, IMGQ_E_INVALID, 0, "decode an image: env, bytes and out are needed");
    imgq_status status = read_options(env, options, &wishes, &rules, err);
    if (status != IMGQ_OK)
        return status;
    if (len > iq_env_max_payload_bytes(env))
        return iq_fail(err, IMGQ_E_LIMIT, 0, "image file of %zu bytes, the limit is %zu bytes", len,
                       iq_env_max_payload_bytes(env));

    if (len == 0)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "neither JPEG nor PNG: the file is empty");

    const char *name = NULL;
    switch (iq_sniff(bytes, len, &name)) {
    case IQ_KIND_JPEG:
        status = iq_jpeg_decode(env, bytes, len, &rules, &image, err);
        break;
    case IQ_KIND_PNG:
        status = iq_png_decode(env, bytes, len, &rules, &image, err);
        break;
    case IQ_KIND_REFUSED:
        return iq_fail(err, IMGQ_E_FORMAT, 0, "%s is not read here; convert it to JPEG or PNG", name);
    case IQ_KIND_UNKNOWN:
        return iq_fail(err, IMGQ_E_FORMAT, 0, "neither JPEG nor PNG: %zu byte%s that begin%s as no picture known here",
                       len, len == 1 ? "" : "s", len == 1 ? "s" : "");
    }
    if (status == IMGQ_OK && wishes.apply_orientation)
        status = iq_orient_apply(image, err);
    if (status == IMGQ_OK)
        *out = image;
    else
        imgq_image_destroy(image);
    return status;
}
