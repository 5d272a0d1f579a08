/* What is not an image, not one that is read here, damaged or over a limit: status, message and cost of each. */
#include "image_support.h"

#include "support/check.h"
#include "support/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct refusal {
    const char *file;
    imgq_status status;
    const char *message;
} refusal;

static const refusal bad_files[] = {
    {"empty.jpg", IMGQ_E_FORMAT, "neither JPEG nor PNG: the file is empty"},
    {"gif.gif", IMGQ_E_FORMAT, "GIF is not read here; convert it to JPEG or PNG"},
    {"jpeg-header-only.jpg", IMGQ_E_CORRUPT, "JPEG is cut short: it ends after 20 bytes"},
    {"jpeg-lies-0x0.jpg", IMGQ_E_CORRUPT, "JPEG is damaged: Empty JPEG image (DNL not supported)"},
    {"jpeg-lies-65500x65500.jpg", IMGQ_E_LIMIT, "JPEG of 65500 x 65500 pixels, the limit is 100000000 pixels"},
    {"jpeg-scan-bomb.jpg", IMGQ_E_LIMIT, "JPEG of 3009 scans over 3000 x 3000 pixels, the limit is 71 scans"},
    {"jpeg-truncated-half.jpg", IMGQ_E_CORRUPT, "JPEG is cut short: it ends after 11796 bytes"},
    {"jpeg-truncated-tables.jpg", IMGQ_E_CORRUPT, "JPEG is cut short: it ends after 300 bytes"},
    {"one-byte.png", IMGQ_E_FORMAT, "neither JPEG nor PNG: 1 byte that begins as no picture known here"},
    {"png-bad-crc.png", IMGQ_E_CORRUPT, "PNG is damaged: IDAT: invalid literal/lengths set"},
    {"png-bomb-0x5.png", IMGQ_E_CORRUPT, "PNG of 0 x 5 pixels is empty"},
    {"png-bomb-100000x100000.png", IMGQ_E_LIMIT, "PNG of 100000 x 100000 pixels, the limit is 100000000 pixels"},
    {"png-bomb-2147483647x2147483647.png", IMGQ_E_LIMIT,
     "PNG of 2147483647 x 2147483647 pixels, the limit is 100000000 pixels"},
    {"png-bomb-65500x65500.png", IMGQ_E_LIMIT, "PNG of 65500 x 65500 pixels, the limit is 100000000 pixels"},
    {"png-no-idat.png", IMGQ_E_CORRUPT, "PNG is damaged: IEND: out of place"},
    {"png-truncated-half.png", IMGQ_E_CORRUPT, "PNG is cut short: it ends after 77499 bytes"},
    {"text.jpg", IMGQ_E_FORMAT, "neither JPEG nor PNG: 17 bytes that begin as no picture known here"},
    {"webp.webp", IMGQ_E_FORMAT, "WebP is not read here; convert it to JPEG or PNG"},
};

static void check_refused(imgq_env *env, const void *bytes, size_t len, imgq_status status, const char *message)
{
    imgq_image *image = (imgq_image *)&len; /* must come back NULL */
    imgq_error err = {0};
    CHECK_STATUS(status, imgq_image_decode(env, bytes, len, NULL, &image, &err));
    CHECK_EQ_INT(status, err.status);
    CHECK_EQ_STR(message, err.message);
    CHECK(image == NULL);
}

static void every_bad_file_is_a_typed_error_within_three_mebibytes(void)
{
    imgq_env *env = counting_env();
    const size_t before = counting_live();
    for (size_t i = 0; shared_is_there() && i < sizeof bad_files / sizeof *bad_files; i++) {
        char name[128];
        file_bytes file;
        snprintf(name, sizeof name, "oracle/bad/%s", bad_files[i].file);
        if (!read_file(shared_path(name), &file))
            continue;
        counting_restart();
        check_refused(env, file.data, file.len, bad_files[i].status, bad_files[i].message);
        if (!CHECK(counting_peak() - before < (size_t)3 << 20))
            fprintf(stderr, "    %s took %zu bytes\n", name, counting_peak() - before);
        CHECK_EQ_SIZE(before, counting_live());
        free(file.data);
    }
    imgq_env_destroy(env);
}

static void known_kinds_are_refused_by_name(void)
{
#define BYTES(text) text, sizeof text - 1
    static const struct {
        const char *bytes;
        size_t len;
        const char *name;
    } cases[] = {
        {BYTES("GIF87a\1\0\1\0"), "GIF"},
        {BYTES("GIF89a"), "GIF"},
        {BYTES("RIFF\x1a\0\0\0WEBPVP8L"), "WebP"},
        {BYTES("\0\0\0\x18"
               "ftypheic\0\0\0\0mif1heic"),
         "HEIC"},
        {BYTES("\0\0\0\x1c"
               "ftypmif1\0\0\0\0mif1heicmiaf"),
         "HEIC"},
        {BYTES("\0\0\0\x1c"
               "ftypmif1\0\0\0\0mif1avifmiaf"),
         "AVIF"},
        {BYTES("\0\0\0\x1c"
               "ftypavif\0\0\0\0avifmif1miaf"),
         "AVIF"},
        {BYTES("\0\0\0\x14"
               "ftypmif1\0\0\0\0mif1"),
         "HEIF"},
        {BYTES("\0\0\0\x14"
               "ftypisom\0\0\2\0mp41"),
         "MP4 or QuickTime"},
        {BYTES("\xff\xff\xff\xff"
               "ftypavif"),
         "AVIF"}, /* a box longer than the file */
        {BYTES("II*\0\x08\0\0\0"), "TIFF"},
        {BYTES("MM\0*\0\0\0\x08"), "TIFF"},
        {BYTES("II+\0\x08\0\0\0"), "TIFF"},
        {BYTES("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"), "BMP"},
        {BYTES("\xff\x0a\xfa\x1f"), "JPEG XL"},
        {BYTES("\0\0\0\x0cJXL \x0d\x0a\x87\x0a"), "JPEG XL"},
        {BYTES("\0\0\0\x0cjP  \x0d\x0a\x87\x0a"), "JPEG 2000"},
        {BYTES("\xff\x4f\xff\x51"), "JPEG 2000"},
        {BYTES("8BPS\0\1"), "Photoshop's PSD"},
        {BYTES("\0\0\1\0\1\0"), "ICO"},
        {BYTES("%PDF-1.7"), "PDF"},
        {BYTES("<svg xmlns="), "SVG"},
        {BYTES("<!DOCTYPE html>"), "HTML"},
        {BYTES("BM, said the text"), NULL},
        {BYTES("RIFF\x1a\0\0\0WAVE"), NULL},
        {BYTES("\x89PNG\n\x1a\n"), NULL}, /* a PNG that was transferred as text */
        {BYTES("\xff\xd8"), NULL},
    };
    imgq_env *env = counting_env();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t len = cases[i].len; len > 0; len--) {
            char message[128];
            uint8_t *copy = malloc(len);
            memcpy(copy, cases[i].bytes, len);
            if (len == cases[i].len && cases[i].name != NULL) {
                snprintf(message, sizeof message, "%s is not read here; convert it to JPEG or PNG", cases[i].name);
                check_refused(env, copy, len, IMGQ_E_FORMAT, message);
            } else {
                imgq_image *image = NULL; /* a shorter one may be another kind, but never a picture */
                imgq_error err;
                CHECK_STATUS(IMGQ_E_FORMAT, imgq_image_decode(env, copy, len, NULL, &image, &err));
            }
            free(copy);
        }
    imgq_env_destroy(env);
#undef BYTES
}

static const check_test tests[] = {
    CHECK_TEST(every_bad_file_is_a_typed_error_within_three_mebibytes),
    CHECK_TEST(known_kinds_are_refused_by_name),
};
CHECK_MAIN("image_refused", tests)
