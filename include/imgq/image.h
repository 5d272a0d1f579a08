/* File bytes to RGB, and RGB to what a network reads: byte for byte as Pillow 9.4 does it. */
#ifndef IMGQ_IMAGE_H
#define IMGQ_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/env.h>

#ifdef __cplusplus
extern "C" {
#endif

/** RGB, 8 bit, rows packed. One thread at a time; getters may be shared. */
typedef struct imgq_image imgq_image;

typedef struct imgq_decode_options {
    size_t size;
    size_t max_pixels;         /* 0: the env's limit; never above it */
    uint32_t apply_orientation; /* 1: turn as EXIF says; 0: as stored, as the training pipelines do */
    uint32_t use_background;   /* 1: alpha is composited over background; 0: dropped, as Pillow's convert("RGB") */
    uint8_t background[3];     /* R G B */
    uint8_t fast;              /* 1: imgq_encoded_...() may decode a large JPEG at 1/2, 1/4 or 1/8 of its size, as long as
                                  that leaves 1.5 times the pixels of the resized picture either way: not exact */
    uint8_t reserved[4];
} imgq_decode_options;

enum { IMGQ_FILTER_NEAREST = 0, IMGQ_FILTER_BILINEAR = 2, IMGQ_FILTER_BICUBIC = 3 }; /* Pillow's numbers */

/** How pixels become the network's input; named profiles are the usual source (imgq_recipe_find()). */
typedef struct imgq_recipe {
    size_t size;
    char profile[32];       /* its name, zero-terminated */
    uint32_t resize_short;  /* > 0: the shorter side becomes this, aspect kept (long side truncated down) */
    uint32_t resize_width;  /* with resize_short 0: squash to width x height */
    uint32_t resize_height;
    uint32_t crop_width;    /* centre crop: left = round((w - crop) / 2), half to even, as torchvision */
    uint32_t crop_height;
    uint32_t filter;        /* IMGQ_FILTER_... */
    uint32_t bgr;           /* 1: channels are stored B G R */
    float divisor;          /* value = (byte / divisor - mean[c]) / std[c], c counted after the BGR swap */
    float mean[3];
    float std[3];
} imgq_recipe;

/** What imgq_encoded_...() met in the file. */
typedef struct imgq_encoded_info {
    size_t size;
    uint32_t width, height; /* as the file stores them */
    uint32_t orientation;   /* EXIF's, 1-8; 0: none */
    uint32_t applied;       /* 1: the picture was turned by it */
    uint32_t eighths;       /* 8: exact; 1, 2, 4: decoded at that many eighths of its size */
    uint32_t reserved;
} imgq_encoded_info;

#ifdef __cplusplus
#define IMGQ_ENCODED_INFO_INIT \
    ([] { imgq_encoded_info o = imgq_encoded_info(); o.size = sizeof o; return o; }())
#else
#define IMGQ_ENCODED_INFO_INIT ((imgq_encoded_info){.size = sizeof(imgq_encoded_info)})
#endif

#ifdef __cplusplus
#define IMGQ_DECODE_OPTIONS_INIT \
    ([] { imgq_decode_options o = imgq_decode_options(); o.size = sizeof o; return o; }())
#else
#define IMGQ_DECODE_OPTIONS_INIT ((imgq_decode_options){.size = sizeof(imgq_decode_options)})
#endif

/**
 * Decode a JPEG or PNG, told by its first bytes (docs/images.md: what is accepted, which bytes come out, limits).
 * Limits hold before memory is taken. All memory, libpng's and libjpeg's too, comes from the env, but for the few KiB
 * that libjpeg takes to begin with.
 * @param bytes, len  borrowed
 * @param options     NULL: defaults
 * @param out         owned, imgq_image_destroy(); NULL unless IMGQ_OK
 * @return IMGQ_OK; IMGQ_E_FORMAT (not an image, or a kind that is not read here: named); IMGQ_E_CORRUPT (damaged
 *         or truncated); IMGQ_E_LIMIT (pixels, bytes or progressive scans); IMGQ_E_NOMEM
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_image_decode(imgq_env *env, const void *bytes, size_t len,
                                                    const imgq_decode_options *options,
                                                    imgq_image **out, imgq_error *err);
/** An image of the caller's own pixels. @param rgb borrowed, width * height * 3 bytes, copied */
IMGQ_API IMGQ_CHECKED imgq_status imgq_image_create(imgq_env *env, uint32_t width, uint32_t height,
                                                    const uint8_t *rgb, imgq_image **out,
                                                    imgq_error *err);
IMGQ_API void imgq_image_get_size(const imgq_image *image, uint32_t *width, uint32_t *height);
/** Borrowed, height * width * 3 bytes, R G B. */
IMGQ_API const uint8_t *imgq_image_pixels(const imgq_image *image);
/** EXIF orientation that the file carries, 1-8; 0: none. *applied is 1 if the pixels were turned; may be NULL. */
IMGQ_API uint32_t imgq_image_orientation(const imgq_image *image, uint32_t *applied);
IMGQ_API void imgq_image_destroy(imgq_image *image);

/** "keras", "torchvision", "torchvision-v2", "timm": fills *out. @return IMGQ_OK; IMGQ_E_NOTFOUND (names the choices) */
IMGQ_API IMGQ_CHECKED imgq_status imgq_recipe_find(const char *profile, imgq_recipe *out,
                                                   imgq_error *err);
/** Name of the index-th profile built in, NULL past the last. */
IMGQ_API const char *imgq_recipe_profile(size_t index);

/** Resize with Pillow's fixed-point filters, byte for byte. @param rgb out, height * width * 3 bytes */
IMGQ_API IMGQ_CHECKED imgq_status imgq_image_resize(const imgq_image *image, uint32_t width,
                                                    uint32_t height, uint32_t filter, uint8_t *rgb,
                                                    size_t rgb_size, imgq_error *err);
/** Resize and crop by the recipe. @param rgb out, crop_height * crop_width * 3 bytes, R G B
 *  @return IMGQ_OK; IMGQ_E_INVALID (the recipe, or rgb_size); IMGQ_E_LIMIT (the long side would be over 2^24);
 *  IMGQ_E_NOMEM */
IMGQ_API IMGQ_CHECKED imgq_status imgq_image_resample(const imgq_image *image,
                                                      const imgq_recipe *recipe, uint8_t *rgb,
                                                      size_t rgb_size, imgq_error *err);
/** RGB bytes of the recipe's crop size to the network's input. @param nhwc out, crop_height * crop_width * 3 floats */
IMGQ_API IMGQ_CHECKED imgq_status imgq_recipe_normalise(const imgq_recipe *recipe,
                                                        const uint8_t *rgb, size_t rgb_size,
                                                        float *nhwc, size_t count, imgq_error *err);
/** imgq_image_resample(), then imgq_recipe_normalise(). @param count floats at nhwc, crop_height * crop_width * 3 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_image_preprocess(const imgq_image *image,
                                                        const imgq_recipe *recipe, float *nhwc,
                                                        size_t count, imgq_error *err);

/**
 * Decode, resize and crop in one go: the same bytes and the same errors as imgq_image_decode() and then
 * imgq_image_resample(), but the picture's rows go through the resizer as they are decoded, so there is never a whole
 * picture in memory (docs/images.md has the formula).
 * @param bytes, len  borrowed
 * @param options     NULL: defaults
 * @param rgb         out, crop_height * crop_width * 3 bytes, R G B; holds anything after a failure
 * @param info        out, may be NULL; info->size says how much of it the caller knows
 * @return as imgq_image_decode() and imgq_image_resample()
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_encoded_resample(imgq_env *env, const void *bytes, size_t len,
                                                        const imgq_decode_options *options,
                                                        const imgq_recipe *recipe, uint8_t *rgb,
                                                        size_t rgb_size, imgq_encoded_info *info,
                                                        imgq_error *err);
/** imgq_encoded_resample(), then imgq_recipe_normalise(). @param count floats at nhwc, crop_height * crop_width * 3 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_encoded_preprocess(imgq_env *env, const void *bytes, size_t len,
                                                          const imgq_decode_options *options,
                                                          const imgq_recipe *recipe, float *nhwc, size_t count,
                                                          imgq_encoded_info *info, imgq_error *err);

#ifdef __cplusplus
}
#endif

#endif
