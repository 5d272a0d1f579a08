/* Decoding without anything from outside the tree: pictures that the project drew itself, limits, alpha, EXIF, memory.
 */
#include "image_support.h"

#include "base/buf.h"
#include "base/json.h"
#include "image/orient.h"
#include "support/check.h"
#include "support/failing_alloc.h"
#include "support/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pillow shows these two, painting what is missing; here a picture that lacks rows or colours is damage. */
static bool is_refused_here(const char *name)
{
    return strcmp(name, "fuzz_png/too-few-rows.png") == 0 || strcmp(name, "fuzz_png/no-palette.png") == 0;
}

static void check_drawn(imgq_env *env, const char *name, const iq_json *row)
{
    file_bytes file;
    imgq_image *image = NULL;
    imgq_error err;
    uint32_t width, height;
    if (read_drawn(name, &file) && CHECK_OK(imgq_image_decode(env, file.data, file.len, NULL, &image, &err))) {
        imgq_image_get_size(image, &width, &height);
        CHECK_NEAR(iq_json_number(iq_json_get(row, "width"), 0), width, 0);
        CHECK_NEAR(iq_json_number(iq_json_get(row, "height"), 0), height, 0);
        (void)check_sha256(iq_json_text(iq_json_get(row, "rgb_sha256")), imgq_image_pixels(image),
                           (size_t)width * height * 3, name);
    } else {
        fprintf(stderr, "    %s\n", name);
    }
    imgq_image_destroy(image);
    free(file.data);
}

static void pictures_drawn_here_decode_as_pillow_decodes_them(void)
{
    imgq_env *env = counting_env();
    iq_buf text = {0};
    iq_json *root = NULL;
    imgq_error err;
    size_t count = 0;
    if (CHECK_OK(iq_buf_read_file(env, &text, source_path("tests/unit/image/drawn.json"), 1 << 20, &err)))
        (void)CHECK_OK(iq_json_parse((const char *)text.data, text.len, &root, &err));
    for (const iq_json *row = iq_json_first(iq_json_get(root, "files")); row != NULL; row = iq_json_next(row)) {
        const char *name = iq_json_text(iq_json_get(row, "file"));
        count++;
        if (name == NULL || !is_refused_here(name))
            check_drawn(env, name != NULL ? name : "?", row);
    }
    CHECK(count >= 79);
    iq_json_free(root);
    iq_buf_release(env, &text);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, counting_live());
}

static void damage_is_named(void)
{
    static const struct {
        const char *file;
        imgq_status status;
        const char *message;
    } cases[] = {
        {"fuzz_jpeg/cut.jpg", IMGQ_E_CORRUPT, "JPEG is cut short: it ends after 621 bytes"},
        {"fuzz_jpeg/cut-in-header.jpg", IMGQ_E_CORRUPT, "JPEG is cut short: it ends after 150 bytes"},
        {"fuzz_jpeg/empty-side.jpg", IMGQ_E_CORRUPT, "JPEG is damaged: Empty JPEG image (DNL not supported)"},
        {"fuzz_jpeg/huge.jpg", IMGQ_E_LIMIT, "JPEG of 65500 x 65500 pixels, the limit is 100000000 pixels"},
        {"fuzz_jpeg/too-long.jpg", IMGQ_E_LIMIT,
         "JPEG is over a limit: Maximum supported image dimension is 65500 pixels"},
        {"fuzz_jpeg/lossless.jpg", IMGQ_E_FORMAT,
         "JPEG is not of a kind that is read here: Unsupported JPEG process: SOF type 0xc3"},
        {"fuzz_jpeg/12-bit.jpg", IMGQ_E_FORMAT,
         "JPEG is not of a kind that is read here: Unsupported JPEG data precision 12"},
        {"fuzz_jpeg/two-components.jpg", IMGQ_E_FORMAT, "JPEG of 2 components; 1, 3 and 4 are read here"},
        {"fuzz_png/cut.png", IMGQ_E_CORRUPT, "PNG is cut short: it ends after 929 bytes"},
        {"fuzz_png/cut-before-checksum.png", IMGQ_E_CORRUPT, "PNG is cut short: it ends after 1829 bytes"},
        {"fuzz_png/bad-head-checksum.png", IMGQ_E_CORRUPT, "PNG is damaged: IHDR: CRC error"},
        {"fuzz_png/bad-text-checksum.png", IMGQ_E_CORRUPT, "PNG is damaged: tEXt: CRC error"},
        {"fuzz_png/too-few-rows.png", IMGQ_E_CORRUPT, "PNG is damaged: Not enough image data"},
        {"fuzz_png/no-palette.png", IMGQ_E_CORRUPT, "PNG is damaged: IDAT: Missing PLTE before IDAT"},
        {"fuzz_png/huge.png", IMGQ_E_LIMIT, "PNG of 70000 x 70000 pixels, the limit is 100000000 pixels"},
    };
    imgq_env *env = counting_env();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file_bytes file;
        imgq_image *image = NULL;
        imgq_error err = {0};
        if (!read_drawn(cases[i].file, &file))
            continue;
        CHECK_STATUS(cases[i].status, imgq_image_decode(env, file.data, file.len, NULL, &image, &err));
        CHECK_EQ_STR(cases[i].message, err.message);
        CHECK(image == NULL);
        free(file.data);
    }
    imgq_env_destroy(env);
}

static void limits_of_env_and_options_hold_and_the_smaller_one_counts(void)
{
    static const struct {
        size_t env_pixels, option_pixels, env_bytes;
        imgq_status status;
        const char *message;
    } cases[] = {
        {0, 0, 0, IMGQ_OK, ""},
        {29 * 23, 0, 0, IMGQ_OK, ""},
        {29 * 23 - 1, 0, 0, IMGQ_E_LIMIT, "PNG of 29 x 23 pixels, the limit is 666 pixels"},
        {29 * 23 - 1, 100000, 0, IMGQ_E_LIMIT, "PNG of 29 x 23 pixels, the limit is 666 pixels"},
        {0, 100, 0, IMGQ_E_LIMIT, "PNG of 29 x 23 pixels, the limit is 100 pixels"},
        {0, 0, 1000, IMGQ_E_LIMIT, "image file of 1897 bytes, the limit is 1000 bytes"},
    };
    file_bytes file;
    if (!read_drawn("fuzz_png/exif.png", &file))
        return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        imgq_env_options limits = IMGQ_ENV_OPTIONS_INIT;
        imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
        imgq_env *env = NULL;
        imgq_image *image = NULL;
        imgq_error err = {0};
        limits.max_image_pixels = cases[i].env_pixels;
        limits.max_payload_bytes = cases[i].env_bytes;
        options.max_pixels = cases[i].option_pixels;
        if (!CHECK_OK(imgq_env_create(&limits, &env, &err)))
            continue;
        CHECK_STATUS(cases[i].status, imgq_image_decode(env, file.data, file.len, &options, &image, &err));
        CHECK_EQ_STR(cases[i].message, err.message);
        imgq_image_destroy(image);
        imgq_env_destroy(env);
    }
    free(file.data);
}

/* By construction: 3 bytes a pixel for the picture, 2 per pixel and component for all coefficients of a progressive
 * one, some rows for others. */
static void memory_follows_from_the_size_in_the_header(void)
{
    static const struct {
        const char *file;
        size_t max;
    } cases[] = {
        {"fuzz_jpeg/sample-2x2.jpg", 53 * 37 * 3 + (64 << 10)},
        {"fuzz_jpeg/progressive-1x1.jpg", 64 * 64 * (3 + 6) + (64 << 10)},
        {"fuzz_jpeg/cmyk-adobe.jpg", 53 * 37 * 3 + (64 << 10)},
        {"fuzz_png/rgba-16.png", 29 * 23 * 3 + (64 << 10)},
        {"fuzz_png/rgba-16-interlaced.png", 29 * 23 * 7 + (64 << 10)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        imgq_env *env = counting_env();
        file_bytes file;
        imgq_image *image = NULL;
        imgq_error err;
        const size_t before = counting_live();
        if (read_drawn(cases[i].file, &file) &&
            CHECK_OK(imgq_image_decode(env, file.data, file.len, NULL, &image, &err)) &&
            !CHECK(counting_peak() - before <= cases[i].max))
            fprintf(stderr, "    %s took %zu bytes\n", cases[i].file, counting_peak() - before);
        imgq_image_destroy(image);
        free(file.data);
        imgq_env_destroy(env);
        CHECK_EQ_SIZE(0, counting_live());
    }
}

/* Everything that a worker does with a picture, so that each allocation of it fails once. */
static imgq_status scenario(imgq_env *env, const file_bytes *file, const char *profile, imgq_error *err)
{
    static float nhwc[224 * 224 * 3];
    imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
    imgq_recipe recipe;
    imgq_image *image = NULL;
    options.apply_orientation = 1;
    options.use_background = 1;
    imgq_status status = imgq_recipe_find(profile, &recipe, err);
    if (status == IMGQ_OK)
        status = imgq_image_decode(env, file->data, file->len, &options, &image, err);
    CHECK((status == IMGQ_OK) == (image != NULL));
    if (status == IMGQ_OK)
        status = imgq_image_preprocess(image, &recipe, nhwc, sizeof nhwc / sizeof *nhwc, err);
    imgq_image_destroy(image);
    return status;
}

static void every_allocation_may_fail(void)
{
    static const char *const files[][2] = {
        {"fuzz_jpeg/exif-6.jpg", "keras"},        {"fuzz_jpeg/progressive-4x2.jpg", "torchvision"},
        {"fuzz_jpeg/arithmetic.jpg", "timm"},     {"fuzz_jpeg/ycck.jpg", "torchvision-v2"},
        {"fuzz_png/exif.png", "keras"},           {"fuzz_png/rgba-16-interlaced.png", "torchvision"},
        {"fuzz_png/palette-8-trns.png", "keras"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        file_bytes file;
        if (!read_drawn(files[i][0], &file))
            continue;
        size_t nth = 1;
        for (;; nth++) {
            imgq_env *env = failing_env(nth);
            imgq_error err = {0};
            if (env == NULL)
                continue;
            const size_t before = failing_live_bytes();
            const imgq_status status = scenario(env, &file, files[i][1], &err);
            const int failed = failing_has_failed();
            CHECK_EQ_SIZE(before, failing_live_bytes());
            imgq_env_destroy(env);
            if (!failed) {
                CHECK_EQ_INT(IMGQ_OK, status);
                break;
            }
            if (!CHECK_STATUS(IMGQ_E_NOMEM, status))
                fprintf(stderr, "    %s, allocation %zu\n", files[i][0], nth);
        }
        CHECK(nth > 8);
        free(file.data);
    }
}

static void wrong_arguments_are_refused(void)
{
    imgq_env *env = counting_env();
    imgq_image *image = NULL;
    imgq_error err = {0};
    imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
    CHECK_STATUS(IMGQ_E_INVALID, imgq_image_decode(NULL, "x", 1, NULL, &image, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_image_decode(env, NULL, 1, NULL, &image, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_image_decode(env, "x", 1, NULL, NULL, &err));
    CHECK_STATUS(IMGQ_E_FORMAT, imgq_image_decode(env, NULL, 0, NULL, &image, &err));
    options.apply_orientation = 2;
    CHECK_STATUS(IMGQ_E_INVALID, imgq_image_decode(env, "x", 1, &options, &image, &err));
    options.apply_orientation = 0;
    options.reserved[3] = 1;
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, imgq_image_decode(env, "x", 1, &options, &image, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_image_create(env, 0, 1, (const uint8_t *)"", &image, &err));
    CHECK_EQ_STR("create an image of 0 x 1 pixels", err.message);
    CHECK_STATUS(IMGQ_E_INVALID, imgq_image_create(env, 1, 1, NULL, &image, &err));
    CHECK_STATUS(IMGQ_E_LIMIT, imgq_image_create(env, 100000, 100000, (const uint8_t *)"", &image, &err));
    imgq_image_destroy(NULL);
    imgq_env_destroy(env);
}

static void an_image_of_own_pixels_outlives_them_and_its_env(void)
{
    uint8_t rgb[2 * 3 * 3];
    imgq_env *env = counting_env();
    imgq_image *image = NULL;
    imgq_error err;
    uint32_t width, height, applied = 7;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 13);
    if (!CHECK_OK(imgq_image_create(env, 2, 3, rgb, &image, &err)))
        return;
    memset(rgb, 0, sizeof rgb);
    imgq_env_destroy(env);
    imgq_image_get_size(image, &width, &height);
    CHECK_EQ_INT(2, width);
    CHECK_EQ_INT(3, height);
    for (size_t i = 0; i < sizeof rgb; i++)
        CHECK_EQ_SIZE(i * 13, imgq_image_pixels(image)[i]);
    CHECK_EQ_INT(0, imgq_image_orientation(image, &applied));
    CHECK_EQ_INT(0, applied);
    imgq_image_destroy(image);
    CHECK_EQ_SIZE(0, counting_live());
}

/* One exact block each time, so that a sanitizer sees one byte read past its end. */
static uint32_t parse_copy(const uint8_t *block, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, block, len);
    const uint32_t orientation = iq_orient_parse(copy, len);
    free(copy);
    return orientation;
}

static void exif_blocks_are_read_within_their_bounds(void)
{
    static const uint8_t block[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 2,       /* two entries */
                                    1,   15,  0, 3,  0, 0, 0, 1, 0, 9, 0, 0, /* another tag */
                                    1,   18,  0, 3,  0, 0, 0, 1, 0, 6, 0, 0};
    uint8_t changed[sizeof block];
    CHECK_EQ_INT(6, parse_copy(block, sizeof block));
    for (size_t len = 0; len < sizeof block; len++)
        CHECK_EQ_INT(0, parse_copy(block, len));
    for (size_t at = 0; at < sizeof block; at++)
        for (unsigned value = 0; value < 256; value++) {
            memcpy(changed, block, sizeof block);
            changed[at] = (uint8_t)value;
            CHECK(parse_copy(changed, sizeof changed) <= 8);
        }
    memcpy(changed, block, sizeof block);
    changed[31] = 9; /* no such orientation */
    CHECK_EQ_INT(0, parse_copy(changed, sizeof changed));
    memcpy(changed, block, sizeof block);
    memset(changed + 4, 0xff, 4); /* the entries lie past the end */
    CHECK_EQ_INT(0, parse_copy(changed, sizeof changed));
    memcpy(changed, block, sizeof block);
    memset(changed + 8, 0xff, 2); /* more entries than there are */
    CHECK_EQ_INT(6, parse_copy(changed, sizeof changed));
}

static const check_test tests[] = {
    CHECK_TEST(pictures_drawn_here_decode_as_pillow_decodes_them),
    CHECK_TEST(damage_is_named),
    CHECK_TEST(limits_of_env_and_options_hold_and_the_smaller_one_counts),
    CHECK_TEST(memory_follows_from_the_size_in_the_header),
    CHECK_TEST(every_allocation_may_fail),
    CHECK_TEST(wrong_arguments_are_refused),
    CHECK_TEST(an_image_of_own_pixels_outlives_them_and_its_env),
    CHECK_TEST(exif_blocks_are_read_within_their_bounds),
};
CHECK_MAIN("image_decode", tests)
