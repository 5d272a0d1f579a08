/* The file format: what is read, and every way in which it can lie. */
#include "fake_set.h"
#include "model_tests.h"

#include "model/safetensors.h"
#include "model/told.h"

#include "support/check.h"
#include "support/failing_alloc.h"
#include "support/open_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static imgq_status parse_bytes(const uint8_t *bytes, size_t len, iq_weights **set, imgq_error *err)
{
    imgq_status status = iq_weights_create(test_env(), IQ_SOURCE_SAFETENSORS, "m", set, err);
    return status == IMGQ_OK ? iq_safetensors_parse(*set, bytes, len, err) : status;
}

void a_good_safetensors_file_is_read(void)
{
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                                 "\"b\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[16,22]},"
                                 "\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                                 "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[22,30]},"
                                 "\"c\":{\"dtype\":\"BF16\",\"shape\":[1,1,1,1],\"data_offsets\":[30,32]},"
                                 "\"nothing\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[32,32]}}  ";
    size_t len;
    uint8_t *bytes = fake_file(header, 32, &len);
    imgq_error err;
    iq_weights *set = NULL;
    if (CHECK_OK(parse_bytes(bytes, len, &set, &err))) {
        CHECK_EQ_SIZE(5, set->count);
        CHECK_EQ_STR("pt", iq_weights_meta(set, "format"));
        CHECK(iq_weights_meta(set, "other") == NULL);
        const iq_tensor_view *a = iq_weights_find(set, "a"), *n = iq_weights_find(set, "n");
        CHECK(a != NULL && a->dtype == IQ_DTYPE_F32 && a->rank == 2 && a->shape[0] == 2 && a->shape[1] == 2);
        CHECK(a != NULL && a->data == bytes + len - 32 && a->bytes == 16);
        CHECK(n != NULL && n->dtype == IQ_DTYPE_OTHER && n->rank == 0 && n->bytes == 8);
        CHECK(iq_weights_find(set, "d") == NULL);
    }
    iq_weights_destroy(set);
    free(bytes);
}

typedef struct bad_header {
    const char *header;
    size_t body_len;
    imgq_status status;
    const char *message;
} bad_header;

#define F32_4(name, begin, end) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[" begin "," end "]}"

static const bad_header bad_headers[] = {
    {"{" F32_4("a", "0", "4") "}", 3, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' ends at byte 4 of 3: the file is truncated"},
    {"{" F32_4("a", "0", "4") "}", 5, IMGQ_E_CORRUPT, "read model m: 1 bytes behind the last tensor belong to none"},
    {"{" F32_4("a", "0", "4") "," F32_4("b", "4", "8") "," F32_4("c", "4", "8") "}", 8, IMGQ_E_CORRUPT,
     "read model m: tensor 'c' overlaps another one"},
    {"{" F32_4("a", "0", "4") "," F32_4("b", "2", "6") "}", 6, IMGQ_E_CORRUPT,
     "read model m: tensor 'b' overlaps another one"},
    {"{" F32_4("a", "0", "4") "," F32_4("b", "8", "12") "}", 12, IMGQ_E_CORRUPT,
     "read model m: tensor 'b' has a hole before it"},
    {"{" F32_4("a", "4", "8") "}", 8, IMGQ_E_CORRUPT, "read model m: tensor 'a' has a hole before it"},
    {"{" F32_4("a", "0", "4") "," F32_4("a", "4", "8") "}", 8, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' is there twice"},
    {"{" F32_4("a", "4", "0") "}", 4, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' has no data_offsets of two rising numbers"},
    {"{" F32_4("a", "-4", "0") "}", 4, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' has no data_offsets of two rising numbers"},
    {"{" F32_4("a", "0.5", "4.5") "}", 8, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' has no data_offsets of two rising numbers"},
    {"{" F32_4("a", "0", "18446744073709551616") "}", 8, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' has no data_offsets of two rising numbers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 8, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' has no data_offsets of two rising numbers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 8, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' has no data_offsets of two rising numbers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' has 4 bytes, its type and shape ask for 8"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}", 4, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' has a shape that overflows"},
    {"{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' has another size than its type and shape ask for"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' has a shape that is not made of whole numbers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":4,\"data_offsets\":[0,4]}}", 4, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' has no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, IMGQ_E_CORRUPT,
     "read model m: tensor 'a' has too many dimensions"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, IMGQ_E_CORRUPT, "read model m: tensor 'a' has no dtype"},
    {"{\"a\":[]}", 0, IMGQ_E_CORRUPT, "read model m: tensor 'a' has no dtype"},
    {"{\"a\":{\"dtype\":\"Q4\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, IMGQ_E_UNSUPPORTED,
     "read model m: tensor 'a' has the unknown dtype 'Q4'"},
    {"{\"\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, IMGQ_E_CORRUPT,
     "read model m: tensor '' has a name that is empty or too long"},
    {"{\"a\\nb\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, IMGQ_E_CORRUPT,
     "read model m: its header has a name with control characters"},
    {"{\"__metadata__\":7}", 0, IMGQ_E_CORRUPT, "read model m: its header has a __metadata__ that is no object"},
    {"{\"__metadata__\":{\"a\":7}}", 0, IMGQ_E_CORRUPT, "read model m: its header has metadata that is no text"},
    {"{\"a\":", 0, IMGQ_E_CORRUPT, "read model m: its header: no JSON at byte 4"},
    {"{}{}", 0, IMGQ_E_CORRUPT, "read model m: its header: no JSON at byte 2: something follows the value"},
};

void a_broken_header_is_named(void)
{
    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
        size_t len;
        uint8_t *bytes = fake_file(bad_headers[i].header, bad_headers[i].body_len, &len);
        imgq_error err = {0};
        iq_weights *set = NULL;
        CHECK_STATUS(bad_headers[i].status, parse_bytes(bytes, len, &set, &err));
        CHECK_EQ_STR(bad_headers[i].message, err.message);
        iq_weights_destroy(set);
        free(bytes);
    }
}

typedef struct stranger {
    const char *bytes;
    size_t len;
    const char *message;
} stranger;

#define STRANGER(text, message)                                                                                        \
    {                                                                                                                  \
        text, sizeof(text) - 1, "read model m: this is " message                                                       \
    }

static const stranger strangers[] = {
    STRANGER("", "empty, not a safetensors file"),
    STRANGER("x", "not a safetensors file"),
    STRANGER("\0\0\0\0\0\0\0\0\0\0\0\0", "not a safetensors file"),
    STRANGER("version https://git-lfs.github.com/spec/v1\noid sha256:956f9a56\nsize 102464616\n",
             "a Git-LFS pointer, not the file it stands for (git lfs pull fetches it), not a safetensors file"),
    STRANGER("<!DOCTYPE html>\n<html lang=\"en\">",
             "an HTML page, not the file that its link promised, not a safetensors file"),
    STRANGER("\n  <HTML><head>", "an HTML page, not the file that its link promised, not a safetensors file"),
    STRANGER("\x89HDF\r\n\x1a\n\0\0\0\0", "an HDF5 file, as Keras writes them, not a safetensors file"),
    STRANGER("PK\x03\x04\x14\0\0\0",
             "a zip archive, as PyTorch (.pth) and Keras (.keras) write them, not a safetensors file"),
    STRANGER("\x80\x02\x8a\nl\xfc\x9c", "a Python pickle, as PyTorch (.pth) writes them, not a safetensors file"),
    STRANGER("{\"modelTopology\":{}}", "a JSON text, not a safetensors file"),
    STRANGER("\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image, not a safetensors file"),
    STRANGER("GGUF\3\0\0\0\0\0\0", "a GGUF file, not a safetensors file"),
};

void what_is_no_safetensors_file_is_named(void)
{
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        imgq_error err = {0};
        iq_weights *set = NULL;
        CHECK_STATUS(IMGQ_E_FORMAT, parse_bytes((const uint8_t *)strangers[i].bytes, strangers[i].len, &set, &err));
        CHECK_EQ_STR(strangers[i].message, err.message);
        iq_weights_destroy(set);
    }
    /* A header that promises more than the file has. */
    imgq_error err = {0};
    iq_weights *set = NULL;
    CHECK_STATUS(IMGQ_E_CORRUPT, parse_bytes((const uint8_t *)"\x40\1\0\0\0\0\0\0{\"a\":{", 14, &set, &err));
    CHECK_EQ_STR("read model m: its header of 320 bytes ends behind the file's 14: the file is truncated", err.message);
    iq_weights_destroy(set);
}

static void expect_open(imgq_status status, const char *path, const char *message)
{
    imgq_error err = {0};
    imgq_model *model = NULL;
    CHECK_STATUS(status, imgq_model_open(test_env(), path, NULL, &model, &err));
    CHECK(model == NULL);
    CHECK_CONTAINS(message, err.message);
}

void a_path_that_is_no_file_is_named(void)
{
    char pipe_path[300];
    snprintf(pipe_path, sizeof pipe_path, "%spipe", fake_folder());
    CHECK_EQ_INT(0, mkfifo(pipe_path, 0600));
    expect_open(IMGQ_E_NOTFOUND, "/nowhere/at-all.safetensors",
                "read model /nowhere/at-all.safetensors: No such file or directory");
    expect_open(IMGQ_E_NOTFOUND, "/dev/null/model", "read model /dev/null/model: Not a directory");
    expect_open(IMGQ_E_FORMAT, fake_folder(), ": this is a folder, not a model file");
    expect_open(IMGQ_E_FORMAT, pipe_path, ": this is a device or a pipe, not a model file");
    expect_open(IMGQ_E_FORMAT, fake_path("empty", "", 0), "/empty: this is empty, not a safetensors file");
    fake_clean();
}

/* A file of one tensor with this metadata, parsed and asked. */
static imgq_status told(const char *metadata, iq_weights **set, imgq_error *err)
{
    char header[2000];
    snprintf(header, sizeof header, "{\"__metadata__\":{%s}}", metadata);
    size_t len;
    uint8_t *bytes = fake_file(header, 0, &len);
    imgq_status status = parse_bytes(bytes, len, set, err);
    if (status == IMGQ_OK)
        status = iq_told_by_metadata(*set, err);
    free(bytes);
    return status;
}

void metadata_tells_what_the_writer_knew(void)
{
    imgq_error err;
    iq_weights *set = NULL;
    if (CHECK_OK(told("\"imgq.layout\":\"v1\",\"imgq.bn_eps\":\"0.00001001\",\"imgq.name\":\"castle net\","
                      "\"imgq.profile\":\"keras\",\"imgq.labels\":\"[\\\"one\\\",\\\"two\\\"]\","
                      "\"imgq.recipe\":\"{\\\"resize_short\\\":0,\\\"resize\\\":[224,224],\\\"crop\\\":[224,224],"
                      "\\\"filter\\\":\\\"bicubic\\\",\\\"bgr\\\":true,\\\"divisor\\\":1,"
                      "\\\"mean\\\":[103.939,116.779,123.68],\\\"std\\\":[1,1,1]}\"",
                      &set, &err))) {
        CHECK_EQ_SIZE(IMGQ_LAYOUT_V1, set->layout);
        CHECK_NEAR(1.001e-5, (double)set->bn_eps, 1e-11);
        CHECK_EQ_STR("castle net", set->name);
        CHECK_EQ_STR("keras", set->profile);
        CHECK_EQ_SIZE(2, set->labels_count);
        CHECK_EQ_STR("two", set->labels[1]);
        CHECK_EQ_SIZE(1, set->has_recipe);
        CHECK_EQ_STR("keras", set->recipe.profile);
    }
    iq_weights_destroy(set);
}

void wrong_metadata_is_named(void)
{
    static const char *const wrong[][2] = {
        {"\"imgq.layout\":\"v2\"", "read model m: metadata 'imgq.layout' has a wrong value"},
        {"\"imgq.bn_eps\":\"zero\"", "read model m: metadata 'imgq.bn_eps' has a wrong value"},
        {"\"imgq.bn_eps\":\"-1\"", "read model m: metadata 'imgq.bn_eps' has a wrong value"},
        {"\"imgq.bn_eps\":\"nan\"", "read model m: metadata 'imgq.bn_eps' has a wrong value"},
        {"\"imgq.name\":\"\"", "read model m: metadata 'imgq.name' has a wrong value"},
        {"\"imgq.name\":\"a\\tb\"", "read model m: metadata 'imgq.name' has a wrong value"},
        {"\"imgq.profile\":\"\"", "read model m: metadata 'imgq.profile' has a wrong value"},
        {"\"imgq.labels\":\"one, two\"", "read model m: metadata 'imgq.labels' has a wrong value"},
        {"\"imgq.labels\":\"[1]\"", "read labels from m: class 0 has no text"},
        {"\"imgq.recipe\":\"{\"", "read model m: metadata 'imgq.recipe' has a wrong value"},
        {"\"imgq.recipe\":\"{}\"", "read preprocessing from m: its 'resize_short' is missing or wrong"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        imgq_error err = {0};
        iq_weights *set = NULL;
        CHECK_STATUS(IMGQ_E_CORRUPT, told(wrong[i][0], &set, &err));
        CHECK_EQ_STR(wrong[i][1], err.message);
        iq_weights_destroy(set);
    }
}

void a_set_survives_every_failed_allocation(void)
{
    static const char header[] =
        "{\"__metadata__\":{\"imgq.name\":\"n\"}," F32_4("a", "0", "4") "," F32_4("b", "4", "8") "}";
    size_t len;
    uint8_t *bytes = fake_file(header, 8, &len);
    const char *path = fake_path("good.safetensors", bytes, len);
    imgq_status status = IMGQ_E_NOMEM;
    for (size_t nth = 1; status == IMGQ_E_NOMEM && nth < 100; nth++) {
        imgq_env *env = failing_env(nth);
        if (env == NULL)
            continue;
        const size_t files = open_files();
        iq_weights *set = NULL;
        status = iq_weights_open_safetensors(env, path, &set, NULL);
        CHECK_EQ_INT(failing_has_failed() ? IMGQ_E_NOMEM : IMGQ_OK, status);
        iq_weights_destroy(set);
        imgq_env_destroy(env);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        CHECK_EQ_SIZE(files, open_files());
    }
    CHECK_EQ_INT(IMGQ_OK, status);
    fake_clean();
    free(bytes);
}
