/* One payload to one input. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "queue/job.h"
#include "support/check.h"
#include "support/failing_alloc.h"
#include "support/shared.h"
#include "worker/decoder.h"

enum { SIDE = 224, COUNT = SIDE * SIDE * 3 };

static imgq_env *env;
static imgq_recipe recipe;
static iq_decoder decoder;
static imgq_job job;
static iq_slot slot;
static float input[COUNT];

static void begin(const char *profile, uint32_t media, const void *payload, size_t len)
{
    imgq_error err;
    env = failing_env(0);
    recipe = (imgq_recipe){.size = sizeof recipe};
    CHECK_OK(imgq_recipe_find(profile, &recipe, &err));
    decoder = (iq_decoder){.env = env, .recipe = &recipe, .model_name = "net", .model_hash = "0123456789abcdef"};
    job = (imgq_job){.payload = payload, .payload_len = len};
    job.options = (iq_job_options){.media = media, .width = SIDE, .height = SIDE, .top_count = 5};
    slot = (iq_slot){.job = &job};
}

static imgq_status run(imgq_error *err)
{
    iq_free(env, slot.prepared.made);
    slot.prepared = (iq_prepared){0};
    const imgq_status status = iq_decoder_prepare(&decoder, &slot, err);
    return status == IMGQ_OK ? iq_decoder_fill(&slot.prepared, input, err) : status;
}

static void end(void)
{
    iq_free(env, slot.prepared.made);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

static void bytes_are_normalised_by_the_models_recipe(void)
{
    imgq_error err;
    static uint8_t rgb[COUNT];
    static float want[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        rgb[i] = (uint8_t)(i * 7);
    begin("torchvision", IMGQ_MEDIA_U8, rgb, sizeof rgb);
    (void)strcpy(job.options.profile, "torchvision");
    CHECK_OK(run(&err));
    CHECK_OK(imgq_recipe_normalise(&recipe, rgb, sizeof rgb, want, COUNT, &err));
    CHECK_EQ_MEM(want, input, sizeof want);
    CHECK_EQ_STR("torchvision", slot.profile);
    end();
}

static void floats_are_copied_as_they_are(void)
{
    imgq_error err;
    static float tensor[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        tensor[i] = (float)i / 3 - 100;
    begin("keras", IMGQ_MEDIA_F32, tensor, sizeof tensor);
    (void)strcpy(job.options.profile, "keras");
    CHECK_OK(run(&err));
    CHECK_EQ_MEM(tensor, input, sizeof tensor);
    tensor[17] = INFINITY;
    CHECK_STATUS(IMGQ_E_FORMAT, run(&err));
    CHECK_EQ_STR("tensor whose value 17 is no finite number", err.message);
    end();
}

static void a_tensor_of_another_profile_shape_or_size_is_refused(void)
{
    imgq_error err;
    static uint8_t rgb[COUNT];
    begin("keras", IMGQ_MEDIA_U8, rgb, sizeof rgb);
    (void)strcpy(job.options.profile, "timm");
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, run(&err));
    CHECK_EQ_STR("profile_mismatch: the tensor was prepared with profile timm, this worker's model wants keras",
                 err.message);
    job.options.profile[0] = '\0'; /* an imported one does not say */
    CHECK_OK(run(&err));
    job.options.width = 100;
    CHECK_STATUS(IMGQ_E_FORMAT, run(&err));
    CHECK_EQ_STR("tensor of 100 x 224, the model reads 224 x 224", err.message);
    job.options.width = SIDE;
    job.payload_len--;
    CHECK_STATUS(IMGQ_E_FORMAT, run(&err));
    CHECK_EQ_STR("tensor of 150527 bytes, 224 x 224 x 3 are 150528", err.message);
    end();
}

static void a_file_may_ask_for_another_profile_of_the_same_size(void)
{
    imgq_error err;
    imgq_image *image = NULL;
    static float want[COUNT];
    imgq_recipe other = {.size = sizeof other};
    iq_buf file = {0};
    begin("keras", IMGQ_MEDIA_ENCODED, NULL, 0);
    if (!CHECK_OK(iq_buf_read_file(env, &file, source_path("tests/golden/ladybird.jpg"), 1 << 20, &err)))
        return;
    job.payload = file.data;
    job.payload_len = file.len;
    (void)strcpy(job.options.profile, "torchvision");
    CHECK_OK(run(&err));
    CHECK_EQ_STR("torchvision", slot.profile);
    CHECK_OK(imgq_recipe_find("torchvision", &other, &err));
    CHECK_OK(imgq_image_decode(env, file.data, file.len, NULL, &image, &err));
    CHECK_OK(imgq_image_preprocess(image, &other, want, COUNT, &err));
    CHECK_EQ_MEM(want, input, sizeof want);
    CHECK(slot.decode_ms > 0);
    (void)strcpy(job.options.profile, "none-such");
    CHECK_STATUS(IMGQ_E_NOTFOUND, run(&err));
    imgq_image_destroy(image);
    iq_buf_release(env, &file);
    end();
}

static void a_wish_for_a_model_is_its_name_or_the_beginning_of_its_hash(void)
{
    imgq_error err;
    static uint8_t rgb[COUNT];
    static const char *const right[] = {"", "net", "01234567", "0123456789ABCDEF"};
    static const char *const wrong[] = {"other", "0123456", "0123456789abcdef0", "f0123456"};
    begin("keras", IMGQ_MEDIA_U8, rgb, sizeof rgb);
    for (size_t i = 0; i < 4; i++) {
        (void)strcpy(job.options.model, right[i]);
        CHECK_OK(run(&err));
        (void)strcpy(job.options.model, wrong[i]);
        CHECK_STATUS(IMGQ_E_UNSUPPORTED, run(&err));
        CHECK_CONTAINS("model_mismatch: the job wants model ", err.message);
    }
    end();
}

static void what_is_no_image_is_told_in_the_decoders_words(void)
{
    imgq_error err, words;
    imgq_image *image = NULL;
    begin("keras", IMGQ_MEDIA_ENCODED, "GIF89a, or so", 13);
    CHECK_STATUS(IMGQ_E_FORMAT, run(&err));
    CHECK(imgq_image_decode(env, "GIF89a, or so", 13, NULL, &image, &words) == IMGQ_E_FORMAT);
    CHECK_EQ_STR(words.message, err.message);
    job.options.media = 9;
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, run(&err));
    end();
}

static const check_test tests[] = {
    CHECK_TEST(bytes_are_normalised_by_the_models_recipe),
    CHECK_TEST(floats_are_copied_as_they_are),
    CHECK_TEST(a_tensor_of_another_profile_shape_or_size_is_refused),
    CHECK_TEST(a_file_may_ask_for_another_profile_of_the_same_size),
    CHECK_TEST(a_wish_for_a_model_is_its_name_or_the_beginning_of_its_hash),
    CHECK_TEST(what_is_no_image_is_told_in_the_decoders_words),
};
CHECK_MAIN("worker decoder", tests)
