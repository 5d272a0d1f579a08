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
    {"empty.jpg", IMGQ_E_FORMAT, "0 bytes that do not begin as a JPEG or PNG does"},
    {"gif.gif", IMGQ_E_FORMAT, "GIF is not read here; convert it to JPEG or PNG"},
    {"jpeg-header-only.jpg", IMGQ_E_CORRUPT, "JPEG is cut short: it ends after 20 bytes"},
    {"jpeg-lies-0x0.jpg", IMGQ_E_CORRUPT, "JPEG is damaged: Empty JPEG image (DNL not supported)"},
    {"jpeg-lies-65500x65500.jpg", IMGQ_E_LIMIT, "JPEG of 65500 x 65500 pixels, the limit is 100000000 pixels"},
    {"jpeg-scan-bomb.jpg", IMGQ_E_LIMIT, "JPEG of 3009 scans over 3000 x 3000 pixels, the limit is 222 scans"},
    {"jpeg-truncated-half.jpg", IMGQ_E_CORRUPT, "JPEG is cut short: it ends after 11796 bytes"},
    {"jpeg-truncated-tables.jpg", IMGQ_E_CORRUPT, "JPEG is cut short: it ends after 300 bytes"},
    {"one-byte.png", IMGQ_E_FORMAT, "1 bytes that do not begin as a JPEG or PNG does"},
    {"png-bad-crc.png", IMGQ_E_CORRUPT, "PNG is damaged: IDAT: invalid literal/lengths set"},
    {"png-bomb-0x5.png", IMGQ_E_CORRUPT, "PNG of 0 x 5 pixels is empty"},
    {"png-bomb-100000x100000.png", IMGQ_E_LIMIT, "PNG of 100000 x 100000 pixels, the limit is 100000000 pixels"},
    {"png-bomb-2147483647x2147483647.png", IMGQ_E_LIMIT,
     "PNG of 2147483647 x 2147483647 pixels, the limit is 100000000 pixels"},
    {"png-bomb-65500x65500.png", IMGQ_E_LIMIT, "PNG of 65500 x 65500 pixels, the limit is 100000000 pixels"},
    {"png-no-idat.png", IMGQ_E_CORRUPT, "PNG is damaged: IEND: out of place"},
    {"png-truncated-half.png", IMGQ_E_CORRUPT, "PNG is cut short: it ends after 77499 bytes"},
    {"text.jpg", IMGQ_E_FORMAT, "17 bytes that do not begin as a JPEG or PNG does"},
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

static const check_test tests[] = {
    CHECK_TEST(every_bad_file_is_a_typed_error_within_three_mebibytes),
};
CHECK_MAIN("image_refused", tests)
