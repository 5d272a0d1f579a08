/* Decoded and resized bytes against what Pillow gave for the same files. */
#include "image_support.h"

#include "base/buf.h"
#include "base/json.h"
#include "support/check.h"
#include "support/shared.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SIDE = 224 };

/* Two rows of formats.json do not describe their files: the script that drew them stored the 16-bit samples with their
 * bytes swapped, and hashed what it had meant to store. For these files Pillow itself is asked: these are its own
 * hashes, of convert("RGB") and of bicubic, bilinear and nearest. It keeps the high byte, as we do. */
static const struct {
    const char *file, *rgb, *bicubic, *bilinear, *nearest;
} by_pillow[] = {
    {"formats/png-rgba-16bit.png", "fd0085af7a29cfdf838dfa41bfcbc05df4912a1e5eae9b692dffbdc8d9526e3f",
     "367909040a98be09206fb98271be05e38d2f39191da53cc0a90ceb0b92eb33de",
     "22cc9a14f06258ba4b122e1aeb1c22605b8a0c4a54c5da07cbd0e2af35a6d587",
     "6aa42789aba57475b064c37b59437a8884369bf8ce6f8f3d21c2400eeab73de9"},
    {"formats/png-gray-alpha-16bit.png", "9218f0c6b7e560a13301d9d448505930f8e073ff0dc1933fd399cf8babc93929",
     "3c35bf9920621e1bb31c6454eeb6c4d1994e14208832ae712ac19cda864b4bb6",
     "cbbe24110d0dc4a65fa31a9b28b88def389a41d71e1bebc326a1b9ec5a249fa0",
     "8f34952f0857f30c85fb0145cdd7ee2a9469707660484419fa721f8f737e36e3"},
};

static iq_json *read_json(imgq_env *env, const char *path)
{
    iq_buf text = {0};
    iq_json *root = NULL;
    imgq_error err;
    if (CHECK_OK(iq_buf_read_file(env, &text, path, (size_t)1 << 20, &err)))
        (void)CHECK_OK(iq_json_parse((const char *)text.data, text.len, &root, &err));
    iq_buf_release(env, &text);
    return root;
}

static const char *wanted(const iq_json *row, const char *key)
{
    const char *file = iq_json_text(iq_json_get(row, "file"));
    for (size_t i = 0; i < sizeof by_pillow / sizeof *by_pillow; i++)
        if (file != NULL && strcmp(file, by_pillow[i].file) == 0)
            return strcmp(key, "rgb_sha256") == 0            ? by_pillow[i].rgb
                   : strcmp(key, "bicubic_224_sha256") == 0  ? by_pillow[i].bicubic
                   : strcmp(key, "bilinear_224_sha256") == 0 ? by_pillow[i].bilinear
                                                             : by_pillow[i].nearest;
    return iq_json_text(iq_json_get(row, key));
}

static imgq_image *decode(imgq_env *env, const char *path)
{
    file_bytes file;
    imgq_image *image = NULL;
    imgq_error err;
    if (read_file(path, &file) && !CHECK_OK(imgq_image_decode(env, file.data, file.len, NULL, &image, &err)))
        fprintf(stderr, "    %s\n", path);
    free(file.data);
    return image;
}

/* Every hash that the row has, each counted. */
static void check_row(const imgq_image *image, const iq_json *row, const char *path, size_t *hashes)
{
    static const struct {
        const char *key;
        uint32_t filter;
    } resizes[] = {{"bicubic_224_sha256", IMGQ_FILTER_BICUBIC},
                   {"bilinear_224_sha256", IMGQ_FILTER_BILINEAR},
                   {"nearest_224_sha256", IMGQ_FILTER_NEAREST}};
    static uint8_t rgb[SIDE * SIDE * 3];
    uint32_t width, height;
    imgq_recipe recipe;
    imgq_error err;
    imgq_image_get_size(image, &width, &height);
    const char *want = wanted(row, "rgb_sha256");
    if (want != NULL)
        *hashes += check_sha256(want, imgq_image_pixels(image), (size_t)width * height * 3, path);
    for (size_t i = 0; i < sizeof resizes / sizeof *resizes; i++) {
        want = wanted(row, resizes[i].key);
        if (want != NULL && CHECK_OK(imgq_image_resize(image, SIDE, SIDE, resizes[i].filter, rgb, sizeof rgb, &err)))
            *hashes += check_sha256(want, rgb, sizeof rgb, path);
    }
    want = iq_json_text(iq_json_get(row, "crop_224_sha256"));
    if (want != NULL && CHECK_OK(imgq_recipe_find("torchvision", &recipe, &err)) &&
        CHECK_OK(imgq_image_resample(image, &recipe, rgb, sizeof rgb, &err)))
        *hashes += check_sha256(want, rgb, sizeof rgb, path);
    want = iq_json_text(iq_json_get(row, "bicubic_224_sha256"));
    if (want != NULL && CHECK_OK(imgq_recipe_find("keras", &recipe, &err)) &&
        CHECK_OK(imgq_image_resample(image, &recipe, rgb, sizeof rgb, &err)))
        (void)check_sha256(wanted(row, "bicubic_224_sha256"), rgb, sizeof rgb, path);
}

/* The path of a photo that an oracle names without its folder. */
static bool find_photo(const char *name, char *path, size_t path_size)
{
    const char *top = shared_path("images");
    struct stat st;
    snprintf(path, path_size, "%s/%s", top, name);
    if (stat(path, &st) == 0)
        return true;
    bool found = false;
    DIR *folder = opendir(top);
    for (struct dirent *entry; folder != NULL && !found && (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.') {
            snprintf(path, path_size, "%s/%s/%s", top, entry->d_name, name);
            found = stat(path, &st) == 0;
        }
    if (folder != NULL)
        (void)closedir(folder);
    return found;
}

static void check_oracle(const char *oracle, bool photos, size_t min_files, size_t hashes_each)
{
    size_t files = 0, hashes = 0;
    imgq_env *env = counting_env();
    iq_json *root = shared_is_there() ? read_json(env, shared_path(oracle)) : NULL;
    for (const iq_json *row = iq_json_first(iq_json_get(root, "files")); row != NULL; row = iq_json_next(row)) {
        const char *name = iq_json_text(iq_json_get(row, "file"));
        char path[4096];
        if (!CHECK(name != NULL))
            break;
        if (!photos)
            snprintf(path, sizeof path, "%s/%s", shared_path("oracle"), name);
        else if (!CHECK(find_photo(name, path, sizeof path)))
            continue;
        imgq_image *image = decode(env, path);
        if (image != NULL)
            check_row(image, row, path, &hashes);
        imgq_image_destroy(image);
        files++;
    }
    if (root != NULL) {
        CHECK(files >= min_files);
        CHECK_EQ_SIZE(files * hashes_each, hashes);
        printf("       %s: %zu files, %zu equal hashes\n", oracle, files, hashes);
    }
    iq_json_free(root);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, counting_live());
}

static void every_jpeg_and_png_variant_decodes_and_resizes_as_pillow_does(void)
{
    check_oracle("oracle/formats.json", false, 73, 4);
}

static void photos_decode_and_resize_as_the_keras_pipeline_does(void)
{
    check_oracle("oracle/keras.json", true, 102, 2);
}

static void photos_are_cropped_as_torchvision_crops_them(void)
{
    check_oracle("oracle/v15.json", true, 12, 1);
}

static void exif_orientations_turn_the_picture_and_are_ignored_unless_asked_for(void)
{
    imgq_env *env = counting_env();
    imgq_error err;
    for (uint32_t orientation = 1; shared_is_there() && orientation <= 8; orientation++) {
        char name[64];
        file_bytes file;
        imgq_image *image = NULL;
        uint32_t width, height, applied;
        imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
        snprintf(name, sizeof name, "oracle/formats/jpeg-exif-orientation-%u.jpg", orientation);
        if (!read_file(shared_path(name), &file))
            continue;
        for (options.apply_orientation = 0; options.apply_orientation < 2; options.apply_orientation++) {
            if (!CHECK_OK(imgq_image_decode(env, file.data, file.len, &options, &image, &err)))
                continue;
            CHECK_EQ_INT(orientation, imgq_image_orientation(image, &applied));
            CHECK_EQ_INT(options.apply_orientation && orientation > 1, applied);
            imgq_image_get_size(image, &width, &height);
            CHECK_EQ_INT(options.apply_orientation && orientation > 4 ? 191 : 317, width);
            imgq_image_destroy(image);
        }
        free(file.data);
    }
    imgq_env_destroy(env);
}

static const check_test tests[] = {
    CHECK_TEST(every_jpeg_and_png_variant_decodes_and_resizes_as_pillow_does),
    CHECK_TEST(photos_decode_and_resize_as_the_keras_pipeline_does),
    CHECK_TEST(photos_are_cropped_as_torchvision_crops_them),
    CHECK_TEST(exif_orientations_turn_the_picture_and_are_ignored_unless_asked_for),
};
CHECK_MAIN("image_oracle", tests)
