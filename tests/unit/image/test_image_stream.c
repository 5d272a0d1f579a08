/* A file's rows through the resizer as they are decoded: the same bytes, the same errors and the same words as decoding
 * a whole picture and resizing that, in a fraction of its memory. */
#include "image_support.h"

#include "image/jpeg_outline.h"
#include "image/orient.h"
#include "image/rows.h"
#include "support/check.h"
#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/shared.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORPUS "tests/fuzz/corpus"

enum { MAX_CROP = 300, MAX_BYTES = MAX_CROP * MAX_CROP * 3 };

static test_random choices;

static uint32_t below(uint32_t n)
{
    return random_below(&choices, n);
}

/* Squashed, by its short side, cropped or not, up and down, every filter. */
static imgq_recipe random_recipe(void)
{
    static const uint32_t filters[] = {IMGQ_FILTER_NEAREST, IMGQ_FILTER_BILINEAR, IMGQ_FILTER_BICUBIC};
    imgq_recipe recipe;
    imgq_error err;
    (void)CHECK_OK(imgq_recipe_find("timm", &recipe, &err));
    recipe.resize_width = 1 + below(MAX_CROP);
    recipe.resize_height = 1 + below(MAX_CROP);
    recipe.resize_short = below(2) == 0 ? 0 : 1 + below(MAX_CROP);
    recipe.crop_width = 1 + below(recipe.resize_short > 0 ? recipe.resize_short : recipe.resize_width);
    recipe.crop_height = 1 + below(recipe.resize_short > 0 ? recipe.resize_short : recipe.resize_height);
    recipe.filter = filters[below(3)];
    return recipe;
}

static imgq_decode_options random_options(void)
{
    imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
    options.apply_orientation = below(2);
    options.use_background = below(2);
    for (size_t c = 0; c < 3; c++)
        options.background[c] = (uint8_t)below(256);
    return options;
}

/* Both ways; false after the first difference. */
static bool both_agree(imgq_env *env, const file_bytes *file, const imgq_decode_options *options,
                       const imgq_recipe *recipe, const char *what)
{
    static uint8_t whole[MAX_BYTES], streamed[MAX_BYTES];
    const size_t size = (size_t)recipe->crop_width * recipe->crop_height * 3;
    imgq_image *image = NULL;
    imgq_error whole_err = {0}, streamed_err = {0};
    imgq_encoded_info info = IMGQ_ENCODED_INFO_INIT;
    uint32_t applied = 0, orientation = 0;
    imgq_status want = imgq_image_decode(env, file->data, file->len, options, &image, &whole_err);
    if (want == IMGQ_OK) {
        orientation = imgq_image_orientation(image, &applied);
        want = imgq_image_resample(image, recipe, whole, size, &whole_err);
    }
    imgq_image_destroy(image);
    const imgq_status got =
        imgq_encoded_resample(env, file->data, file->len, options, recipe, streamed, size, &info, &streamed_err);
    bool ok = CHECK_EQ_INT(want, got);
    if (want == IMGQ_OK)
        ok = ok && CHECK_EQ_MEM(whole, streamed, size) && CHECK_EQ_INT(orientation, info.orientation) &&
             CHECK_EQ_INT(applied, info.applied) && CHECK_EQ_INT(8, info.eighths);
    else
        ok = ok && CHECK_EQ_STR(whole_err.message, streamed_err.message);
    if (!ok)
        fprintf(stderr, "    %s to %u x %u or short %u, crop %u x %u, filter %u, turned %u\n", what,
                recipe->resize_width, recipe->resize_height, recipe->resize_short, recipe->crop_width,
                recipe->crop_height, recipe->filter, options->apply_orientation);
    return ok;
}

/* Calls `each` for every file of a folder. @return files */
static size_t for_files(const char *folder, void (*each)(const file_bytes *file, const char *path))
{
    size_t count = 0;
    DIR *entries = opendir(folder);
    if (!CHECK(entries != NULL))
        return 0;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char path[4096];
        file_bytes file;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || !read_file(path, &file))
            continue;
        each(&file, path);
        free(file.data);
        count++;
    }
    (void)closedir(entries);
    return count;
}

static void compare_recipes(const file_bytes *file, const char *path)
{
    imgq_env *env = counting_env();
    imgq_error err;
    imgq_recipe recipe;
    bool ok = true;
    for (size_t i = 0; imgq_recipe_profile(i) != NULL; i++) {
        imgq_decode_options options = random_options();
        (void)CHECK_OK(imgq_recipe_find(imgq_recipe_profile(i), &recipe, &err));
        ok = ok && both_agree(env, file, &options, &recipe, path);
    }
    for (size_t round = 0; ok && round < 8; round++) {
        const imgq_decode_options options = random_options();
        recipe = random_recipe();
        ok = both_agree(env, file, &options, &recipe, path);
    }
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, counting_live());
}

static void every_kind_of_file_gives_the_bytes_of_the_whole_picture(void)
{
    choices = random_seeded(__func__);
    CHECK(for_files(source_path(CORPUS "/fuzz_jpeg"), compare_recipes) > 40);
    CHECK(for_files(source_path(CORPUS "/fuzz_png"), compare_recipes) > 40);
    if (shared_is_there()) {
        CHECK(for_files(shared_path("oracle/formats"), compare_recipes) >= 73);
        CHECK(for_files(shared_path("oracle/bad"), compare_recipes) >= 18);
    }
}

/* A JPEG with an orientation put in, or its own number replaced. */
static bool turned_file(const file_bytes *file, uint32_t orientation, file_bytes *out)
{
    static const uint8_t head[] = {0xff, 0xe1, 0, 34, 'E', 'x', 'i',  'f',  0, 0, 'M', 'M', 0, 42,
                                   0,    0,    0, 8,  0,   1,   0x01, 0x12, 0, 3, 0,   0,   0, 1};
    const uint8_t tail[] = {0, (uint8_t)orientation, 0, 0, 0, 0, 0, 0};
    out->len = file->len + sizeof head + sizeof tail;
    out->data = malloc(out->len);
    if (!CHECK(out->data != NULL))
        return false;
    memcpy(out->data, file->data, 2);
    memcpy(out->data + 2, head, sizeof head);
    memcpy(out->data + 2 + sizeof head, tail, sizeof tail);
    memcpy(out->data + 2 + sizeof head + sizeof tail, file->data + 2, file->len - 2);
    return true;
}

static void every_orientation_turns_as_it_turns_a_whole_picture(void)
{
    static const char *const names[] = {"sample-2x2.jpg", "progressive-1x1.jpg", "cmyk.jpg", "1x40.jpg", "40x1.jpg"};
    imgq_env *env = counting_env();
    bool ok = true;
    choices = random_seeded(__func__);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096];
        file_bytes file, turned;
        snprintf(path, sizeof path, "%s/fuzz_jpeg/%s", source_path(CORPUS), names[i]);
        if (!read_file(path, &file))
            continue;
        for (uint32_t orientation = 0; ok && orientation <= 9; orientation++) {
            if (!turned_file(&file, orientation, &turned))
                break;
            CHECK_EQ_INT(1, iq_jpeg_outline_read(turned.data, turned.len).exif != NULL);
            for (size_t round = 0; ok && round < 40; round++) {
                imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
                const imgq_recipe recipe = random_recipe();
                options.apply_orientation = round % 8 != 0;
                ok = both_agree(env, &turned, &options, &recipe, names[i]);
            }
            free(turned.data);
        }
        free(file.data);
    }
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, counting_live());
}

/* Rows as a decoder hands them on, some at a time. */
static imgq_status stream_pixels(imgq_env *env, const imgq_image *image, const imgq_recipe *recipe, uint8_t *rgb,
                                 imgq_error *err)
{
    const size_t bytes = (size_t)image->width * 3;
    iq_rows rows = {.env = env, .recipe = recipe, .rgb = rgb, .turn = 1, .orientation = image->orientation};
    const imgq_status status = iq_rows_begin(&rows, image->width, image->height, 8, image->width, image->height, err);
    for (uint32_t room; status == IMGQ_OK && (room = iq_rows_room(&rows)) > 0;) {
        const uint32_t count = 1 + below(room);
        for (uint32_t i = 0; i < count; i++)
            memcpy(iq_rows_place(&rows, i), image->pixels + (rows.came + i) * bytes, bytes);
        iq_rows_done(&rows, count);
    }
    CHECK(iq_rows_end(&rows) == NULL);
    return status;
}

static void pictures_all_height_or_width_stream_as_they_resize_whole(void)
{
    static const uint32_t sides[][2] = {{1, 1}, {1, 9001}, {9001, 1}, {2, 4000}, {4000, 3}, {7, 9}, {640, 2}};
    static uint8_t whole[MAX_BYTES], streamed[MAX_BYTES], noise[3 * 12000];
    imgq_env *env = counting_env();
    imgq_error err;
    bool ok = true;
    choices = random_seeded(__func__);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)below(256);
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        for (uint32_t round = 0; ok && round < 4 * 8; round++) {
            const imgq_recipe recipe = random_recipe();
            const size_t size = (size_t)recipe.crop_width * recipe.crop_height * 3;
            imgq_image *image = NULL;
            ok = CHECK_OK(imgq_image_create(env, sides[i][0], sides[i][1], noise, &image, &err));
            if (!ok)
                break;
            image->orientation = 1 + round % 8;
            ok = CHECK_OK(stream_pixels(env, image, &recipe, streamed, &err)) &&
                 CHECK_OK(iq_orient_apply(image, &err)) &&
                 CHECK_OK(imgq_image_resample(image, &recipe, whole, size, &err)) &&
                 CHECK_EQ_MEM(whole, streamed, size);
            if (!ok)
                fprintf(stderr, "    %u x %u, orientation %u\n", sides[i][0], sides[i][1], 1 + round % 8);
            imgq_image_destroy(image);
        }
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, counting_live());
}

static void damage_one(const file_bytes *file, const char *path)
{
    imgq_env_options small = IMGQ_ENV_OPTIONS_INIT;
    imgq_env *env = NULL;
    imgq_error err;
    bool ok = file->len > 8;
    small.max_image_pixels = 1 << 18; /* a size that the damage made takes no time */
    if (!CHECK_OK(imgq_env_create(&small, &env, &err)))
        return;
    for (size_t round = 0; ok && round < 12; round++) {
        file_bytes copy = {.data = malloc(file->len), .len = file->len};
        const imgq_decode_options options = random_options();
        imgq_recipe recipe = random_recipe();
        if (!CHECK(copy.data != NULL))
            break;
        memcpy(copy.data, file->data, file->len);
        recipe.resize_short = 0; /* what would be too long is refused before anything is decoded */
        if (recipe.crop_width > recipe.resize_width)
            recipe.crop_width = recipe.resize_width;
        if (recipe.crop_height > recipe.resize_height)
            recipe.crop_height = recipe.resize_height;
        if (round % 2 == 0)
            copy.len = 4 + below((uint32_t)file->len - 4);
        for (size_t i = below(4); round % 2 == 1 && i < 4; i++)
            copy.data[4 + below((uint32_t)file->len - 4)] = (uint8_t)below(256);
        ok = both_agree(env, &copy, &options, &recipe, path);
        free(copy.data);
    }
    imgq_env_destroy(env);
}

static void damage_is_met_with_the_same_words(void)
{
    choices = random_seeded(__func__);
    CHECK(for_files(source_path(CORPUS "/fuzz_jpeg"), damage_one) > 40);
    CHECK(for_files(source_path(CORPUS "/fuzz_png"), damage_one) > 40);
    if (shared_is_there())
        CHECK(for_files(shared_path("oracle/formats"), damage_one) >= 73);
}

static size_t taken(const char *path, const char *profile, uint32_t exif)
{
    static uint8_t rgb[224 * 224 * 3];
    imgq_env *env = counting_env();
    imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
    const size_t before = counting_live();
    file_bytes file;
    imgq_recipe recipe;
    imgq_error err;
    size_t peak = 0;
    options.apply_orientation = exif;
    if (read_file(path, &file) && CHECK_OK(imgq_recipe_find(profile, &recipe, &err)) &&
        CHECK_OK(imgq_encoded_resample(env, file.data, file.len, &options, &recipe, rgb, sizeof rgb, NULL, &err)))
        peak = counting_peak() - before;
    free(file.data);
    imgq_env_destroy(env);
    return peak;
}

/* The formula of docs/images.md. The rows kept: four that come, and a ring of the rows that one output row sums. */
static void no_whole_picture_is_ever_in_memory(void)
{
    static const struct {
        const char *file;
        size_t coefficients;
        uint32_t exif;
    } cases[] = {
        {"fuzz_jpeg/sample-2x2.jpg", 0, 0}, {"fuzz_jpeg/progressive-1x1.jpg", 64 * 64 * 6, 0},
        {"fuzz_png/rgba-16.png", 0, 0},     {"fuzz_png/rgba-16-interlaced.png", 29 * 23 * 4, 0},
        {"fuzz_jpeg/exif-6.jpg", 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", source_path(CORPUS), cases[i].file);
        const size_t peak = taken(path, "keras", cases[i].exif);
        if (!CHECK(peak > 0 && peak <= cases[i].coefficients + (128 << 10)))
            fprintf(stderr, "    %s took %zu bytes\n", path, peak);
    }
    /* 800 x 480, progressive 4:2:0: 1.15 MB of coefficients; a whole picture would be as much again. */
    if (shared_is_there()) {
        const size_t peak = taken(shared_path("images/castle_image.jpg"), "keras", 0);
        printf("castle: %zu bytes at most\n", peak);
        CHECK(peak > 0 && peak < 800 * 480 * 3 + (512 << 10));
    }
}

static imgq_status scenario(imgq_env *env, const file_bytes *file, const char *profile, imgq_error *err)
{
    static float nhwc[224 * 224 * 3];
    imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
    imgq_recipe recipe;
    options.apply_orientation = 1;
    options.use_background = 1;
    imgq_status status = imgq_recipe_find(profile, &recipe, err);
    if (status == IMGQ_OK)
        status = imgq_encoded_preprocess(env, file->data, file->len, &options, &recipe, nhwc,
                                         sizeof nhwc / sizeof *nhwc, NULL, err);
    return status;
}

static void every_allocation_may_fail(void)
{
    static const char *const files[][2] = {
        {"fuzz_jpeg/exif-6.jpg", "keras"},        {"fuzz_jpeg/progressive-4x2.jpg", "torchvision"},
        {"fuzz_jpeg/arithmetic.jpg", "timm"},     {"fuzz_jpeg/ycck.jpg", "torchvision-v2"},
        {"fuzz_jpeg/exif-3.jpg", "torchvision"},  {"fuzz_png/exif.png", "keras"},
        {"fuzz_png/palette-8-trns.png", "keras"}, {"fuzz_png/rgba-16-interlaced.png", "torchvision"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[4096];
        file_bytes file;
        snprintf(path, sizeof path, "%s/%s", source_path(CORPUS), files[i][0]);
        if (!read_file(path, &file))
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
        CHECK(nth > 12);
        free(file.data);
    }
}

/* Pixels that differ by more than a few levels on average would be another picture. */
static double mean_difference(const uint8_t *a, const uint8_t *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += abs(a[i] - b[i]);
    return sum / (double)count;
}

static void fast_decodes_large_jpegs_smaller_and_nothing_else(void)
{
    static const struct {
        const char *file;
        uint32_t side, exif, eighths;
    } cases[] = {
        {"fuzz_jpeg/sample-2x2.jpg", 3, 0, 1},
        {"fuzz_jpeg/sample-2x2.jpg", 4, 0, 2}, /* 53 x 37 */
        {"fuzz_jpeg/sample-2x2.jpg", 12, 0, 4},
        {"fuzz_jpeg/sample-2x2.jpg", 13, 0, 8},
        {"fuzz_jpeg/progressive-1x1.jpg", 6, 0, 2},
        {"fuzz_jpeg/gray.jpg", 4, 0, 2},
        {"fuzz_jpeg/cmyk.jpg", 4, 0, 2},
        {"fuzz_jpeg/exif-6.jpg", 4, 1, 2},
        {"fuzz_png/rgb-8.png", 2, 0, 8},
        {"fuzz_png/rgb-8-interlaced.png", 2, 0, 8},
    };
    imgq_env *env = counting_env();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static uint8_t exact[MAX_BYTES], fast[MAX_BYTES];
        char path[4096];
        file_bytes file;
        imgq_recipe recipe;
        imgq_error err;
        imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
        imgq_encoded_info info = IMGQ_ENCODED_INFO_INIT;
        const size_t size = (size_t)cases[i].side * cases[i].side * 3;
        (void)CHECK_OK(imgq_recipe_find("keras", &recipe, &err));
        recipe.resize_width = recipe.resize_height = recipe.crop_width = recipe.crop_height = cases[i].side;
        snprintf(path, sizeof path, "%s/%s", source_path(CORPUS), cases[i].file);
        if (!read_file(path, &file))
            continue;
        options.apply_orientation = cases[i].exif;
        (void)CHECK_OK(imgq_encoded_resample(env, file.data, file.len, &options, &recipe, exact, size, &info, &err));
        CHECK_EQ_INT(8, info.eighths);
        options.fast = 1;
        (void)CHECK_OK(imgq_encoded_resample(env, file.data, file.len, &options, &recipe, fast, size, &info, &err));
        if (!CHECK_EQ_INT(cases[i].eighths, info.eighths) || !CHECK(mean_difference(exact, fast, size) < 12) ||
            (info.eighths == 8 && !CHECK_EQ_MEM(exact, fast, size)))
            fprintf(stderr, "    %s to %u: differs by %.2f\n", path, cases[i].side, mean_difference(exact, fast, size));
        free(file.data);
    }
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, counting_live());
}

static void wrong_arguments_are_refused_and_older_callers_told_what_they_know(void)
{
    imgq_env *env = counting_env();
    imgq_recipe recipe;
    imgq_error err = {0};
    imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
    imgq_encoded_info info = {.size = 2};
    static uint8_t rgb[224 * 224 * 3];
    float nhwc[3];
    char path[4096];
    file_bytes file;
    (void)CHECK_OK(imgq_recipe_find("keras", &recipe, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_encoded_resample(NULL, "x", 1, NULL, &recipe, rgb, sizeof rgb, NULL, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_encoded_resample(env, NULL, 1, NULL, &recipe, rgb, sizeof rgb, NULL, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_encoded_resample(env, "x", 1, NULL, NULL, rgb, sizeof rgb, NULL, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_encoded_resample(env, "x", 1, NULL, &recipe, rgb, sizeof rgb - 1, NULL, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_encoded_resample(env, "x", 1, NULL, &recipe, rgb, sizeof rgb, &info, &err));
    CHECK_STATUS(IMGQ_E_FORMAT, imgq_encoded_resample(env, NULL, 0, NULL, &recipe, rgb, sizeof rgb, NULL, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_encoded_preprocess(env, "x", 1, NULL, &recipe, NULL, 3, NULL, &err));
    CHECK_STATUS(IMGQ_E_INVALID, imgq_encoded_preprocess(env, "x", 1, NULL, &recipe, nhwc, 3, NULL, &err));
    options.fast = 2;
    CHECK_STATUS(IMGQ_E_INVALID, imgq_encoded_resample(env, "x", 1, &options, &recipe, rgb, sizeof rgb, NULL, &err));

    snprintf(path, sizeof path, "%s/fuzz_jpeg/exif-6.jpg", source_path(CORPUS));
    memset(&info, 0x55, sizeof info);
    info.size = offsetof(imgq_encoded_info, orientation);
    if (read_file(path, &file) &&
        CHECK_OK(imgq_encoded_resample(env, file.data, file.len, NULL, &recipe, rgb, sizeof rgb, &info, &err))) {
        CHECK_EQ_SIZE(offsetof(imgq_encoded_info, orientation), info.size);
        CHECK(info.width > 0 && info.width < 100 && info.height > 0 && info.height < 100);
        CHECK_EQ_INT(0x55555555, info.orientation);
    }
    free(file.data);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, counting_live());
}

static const check_test tests[] = {
    CHECK_TEST(every_kind_of_file_gives_the_bytes_of_the_whole_picture),
    CHECK_TEST(every_orientation_turns_as_it_turns_a_whole_picture),
    CHECK_TEST(pictures_all_height_or_width_stream_as_they_resize_whole),
    CHECK_TEST(damage_is_met_with_the_same_words),
    CHECK_TEST(no_whole_picture_is_ever_in_memory),
    CHECK_TEST(every_allocation_may_fail),
    CHECK_TEST(fast_decodes_large_jpegs_smaller_and_nothing_else),
    CHECK_TEST(wrong_arguments_are_refused_and_older_callers_told_what_they_know),
};
CHECK_MAIN("image_stream", tests)
