/* JPEGs in several scans: how many there may be, of how many pixels, and how they are counted. */
#include "image_support.h"

#include "image/jpeg.h"
#include "image/jpeg_outline.h"
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

/* The drawn progressive JPEG with its last scan repeated until it has so many. */
static file_bytes with_scans(size_t scans)
{
    file_bytes file, out = {0};
    if (!read_drawn("fuzz_jpeg/progressive-2x2.jpg", &file))
        return out;
    size_t last = file.len - 4;
    while (last > 0 && !(file.data[last] == 0xff && file.data[last + 1] == 0xda))
        last--;
    const size_t scan = file.len - 2 - last, have = iq_jpeg_outline_read(file.data, file.len).scans;
    CHECK(scans >= have);
    out.data = malloc(file.len + (scans - have) * scan);
    memcpy(out.data, file.data, last);
    out.len = last;
    for (size_t i = have; i <= scans; i++, out.len += scan)
        memcpy(out.data + out.len, file.data + last, scan);
    memcpy(out.data + out.len, "\xff\xd9", 2);
    out.len += 2;
    free(file.data);
    CHECK_EQ_SIZE(scans, iq_jpeg_outline_read(out.data, out.len).scans);
    return out;
}

static void scans_times_pixels_are_limited_before_memory_is_taken(void)
{
    static const struct {
        size_t scans, max_pixels; /* the picture has 53 x 37 */
        imgq_status status;
        const char *message;
    } cases[] = {
        {20, 53 * 37, IMGQ_OK, ""},
        {21, 53 * 37, IMGQ_E_LIMIT, "JPEG of 21 scans over 53 x 37 pixels, the limit is 20 scans"},
        {40, 53 * 37 * 2, IMGQ_OK, ""},
        {41, 53 * 37 * 2, IMGQ_E_LIMIT, "JPEG of 41 scans over 53 x 37 pixels, the limit is 40 scans"},
        {IQ_JPEG_MAX_SCANS, 0, IMGQ_OK, ""},
        {IQ_JPEG_MAX_SCANS + 1, 0, IMGQ_E_LIMIT, "JPEG of 1001 scans over 53 x 37 pixels, the limit is 1000 scans"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        imgq_env *env = counting_env();
        file_bytes file = with_scans(cases[i].scans);
        imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
        imgq_image *image = NULL;
        imgq_error err = {0};
        const size_t before = counting_live();
        options.max_pixels = cases[i].max_pixels;
        CHECK_STATUS(cases[i].status, imgq_image_decode(env, file.data, file.len, &options, &image, &err));
        CHECK_EQ_STR(cases[i].message, err.message);
        /* Until it knows size and scans, libjpeg has taken some KiB. */
        if (cases[i].status != IMGQ_OK)
            CHECK(counting_peak() - before < 64 << 10);
        imgq_image_destroy(image);
        free(file.data);
        imgq_env_destroy(env);
    }
}

/* libjpeg reads on behind a first "file" of tables alone, where the outline has seen the end. */
static void scans_behind_an_early_end_marker_are_counted_while_decoding(void)
{
    for (size_t scans = 20; scans <= 21; scans++) {
        imgq_env *env = counting_env();
        file_bytes file = with_scans(scans);
        imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
        imgq_image *image = NULL;
        imgq_error err = {0};
        file.data = realloc(file.data, file.len + 4);
        memmove(file.data + 4, file.data, file.len);
        memcpy(file.data, "\xff\xd8\xff\xd9", 4);
        file.len += 4;
        options.max_pixels = 53 * 37;
        CHECK_EQ_SIZE(0, iq_jpeg_outline_read(file.data, file.len).scans);
        CHECK_STATUS(scans == 20 ? IMGQ_OK : IMGQ_E_LIMIT,
                     imgq_image_decode(env, file.data, file.len, &options, &image, &err));
        CHECK_EQ_STR(scans == 20 ? "" : "JPEG of more than 20 scans", err.message);
        imgq_image_destroy(image);
        free(file.data);
        imgq_env_destroy(env);
        CHECK_EQ_SIZE(0, counting_live());
    }
}

/* All scans are held until the last one, so their limit goes by the pixels that such a picture may have. */
static void scans_follow_from_the_limit_of_pixels_in_several_scans(void)
{
    for (size_t scans = 20; scans <= 21; scans++) {
        imgq_env_options limits = IMGQ_ENV_OPTIONS_INIT;
        imgq_env *env = NULL;
        file_bytes file = with_scans(scans);
        imgq_image *image = NULL;
        imgq_error err = {0};
        limits.max_progressive_pixels = 53 * 37;
        if (CHECK_OK(imgq_env_create(&limits, &env, &err)))
            CHECK_STATUS(scans == 20 ? IMGQ_OK : IMGQ_E_LIMIT,
                         imgq_image_decode(env, file.data, file.len, NULL, &image, &err));
        CHECK_EQ_STR(scans == 20 ? "" : "JPEG of 21 scans over 53 x 37 pixels, the limit is 20 scans", err.message);
        imgq_image_destroy(image);
        imgq_env_destroy(env);
        free(file.data);
    }
}

/* A drawn JPEG of one scan, which here gets one of its first component before it, and is then repeated. What libjpeg
 * makes of the first one's pixels does not matter. */
static file_bytes with_sequential_scans(size_t scans)
{
    static const uint8_t first[] = {0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0};
    file_bytes file, out = {0};
    if (!read_drawn("fuzz_jpeg/sample-2x2.jpg", &file))
        return out;
    size_t at = 2;
    while (at + 2 < file.len && !(file.data[at] == 0xff && file.data[at + 1] == 0xda))
        at++;
    const size_t head = 14, scan = file.len - 2 - at;
    out.data = malloc(file.len + sizeof first + scans * scan);
    memcpy(out.data, file.data, at);
    memcpy(out.data + at, first, sizeof first);
    memcpy(out.data + at + sizeof first, file.data + at + head, scan - head);
    out.len = at + sizeof first + scan - head;
    for (size_t i = 1; i < scans; i++, out.len += scan)
        memcpy(out.data + out.len, file.data + at, scan);
    memcpy(out.data + out.len, "\xff\xd9", 2);
    out.len += 2;
    free(file.data);
    CHECK_EQ_SIZE(scans, iq_jpeg_outline_read(out.data, out.len).scans);
    return out;
}

/* Each scan may hold all components whole, so twenty would be as much work as sixty or eighty of a progressive JPEG. */
static void sequential_jpegs_have_no_more_scans_than_components(void)
{
    for (size_t scans = 3; scans <= 4; scans++) {
        imgq_env *env = counting_env();
        file_bytes file = with_sequential_scans(scans);
        imgq_image *image = NULL;
        imgq_error err = {0};
        CHECK_STATUS(scans == 3 ? IMGQ_OK : IMGQ_E_LIMIT,
                     imgq_image_decode(env, file.data, file.len, NULL, &image, &err));
        CHECK_EQ_STR(scans == 3 ? "" : "JPEG of 4 scans over 53 x 37 pixels, the limit is 3 scans", err.message);
        imgq_image_destroy(image);
        free(file.data);
        imgq_env_destroy(env);
        CHECK_EQ_SIZE(0, counting_live());
    }
}

static void progressive_pixels_have_a_limit_of_their_own(void)
{
    static const struct {
        const char *file;
        size_t limit; /* 0: the default */
        imgq_status status;
        const char *message;
    } cases[] = {
        {"fuzz_jpeg/progressive-2x2.jpg", 0, IMGQ_OK, ""},
        {"fuzz_jpeg/progressive-2x2.jpg", 53 * 37, IMGQ_OK, ""},
        {"fuzz_jpeg/progressive-2x2.jpg", 53 * 37 - 1, IMGQ_E_LIMIT,
         "JPEG in several scans of 53 x 37 pixels, the limit is 1960 pixels"},
        {"fuzz_jpeg/sample-2x2.jpg", 1, IMGQ_OK, ""}, /* one scan: some rows at a time */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file_bytes file;
        imgq_env_options limits = IMGQ_ENV_OPTIONS_INIT;
        imgq_env *env = NULL;
        imgq_image *image = NULL;
        imgq_error err = {0};
        limits.max_progressive_pixels = cases[i].limit;
        if (!read_drawn(cases[i].file, &file) || !CHECK_OK(imgq_env_create(&limits, &env, &err)))
            continue;
        CHECK_STATUS(cases[i].status, imgq_image_decode(env, file.data, file.len, NULL, &image, &err));
        CHECK_EQ_STR(cases[i].message, err.message);
        imgq_image_destroy(image);
        imgq_env_destroy(env);
        free(file.data);
    }
}

static void the_outline_counts_scans_up_to_the_end_marker(void)
{
    static const struct {
        const char *bytes;
        size_t len, scans;
        bool exif;
    } cases[] = {
        {"", 0, 0, false},
        {"\xff", 1, 0, false},
        {"\xff\xda", 2, 1, false},
        {"\xff\xd8\xff\xda\0\2abc\xff\0\xff\xd0\xff\xda\0\2\xff\xd9\xff\xda\0\2", 24, 2, false},
        {"\xff\xd8\xff\xff\xff\xda\0\2", 8, 1, false},                  /* fill bytes */
        {"\xff\xd8\xff\xe0\0\6\xff\xda\0\2\xff\xda\0\2", 14, 1, false}, /* inside a segment */
        {"\xff\xd8\xff\xe1\0\x0a"
         "Exif\0\0MM\xff\xda\0\2",
         18, 1, true}, /* */
        {"\xff\xd8\xff\xe1\0\x0b"
         "Exif\0\0MM",
         14, 0, false},                        /* longer than the file */
        {"\xff\xd8\xff\xe1\0\1", 6, 0, false}, /* shorter than its own length */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t *copy = malloc(cases[i].len + 1);
        memcpy(copy, cases[i].bytes, cases[i].len);
        copy = realloc(copy, cases[i].len > 0 ? cases[i].len : 1);
        const iq_jpeg_outline outline = iq_jpeg_outline_read(copy, cases[i].len);
        CHECK_EQ_SIZE(cases[i].scans, outline.scans);
        CHECK_EQ_INT(cases[i].exif, outline.exif != NULL);
        free(copy);
    }
}

static const check_test tests[] = {
    CHECK_TEST(scans_times_pixels_are_limited_before_memory_is_taken),
    CHECK_TEST(scans_follow_from_the_limit_of_pixels_in_several_scans),
    CHECK_TEST(sequential_jpegs_have_no_more_scans_than_components),
    CHECK_TEST(scans_behind_an_early_end_marker_are_counted_while_decoding),
    CHECK_TEST(progressive_pixels_have_a_limit_of_their_own),
    CHECK_TEST(the_outline_counts_scans_up_to_the_end_marker),
};

CHECK_MAIN("image_scans", tests)
