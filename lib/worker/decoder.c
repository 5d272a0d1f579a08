/* One job's payload to one network input: files are decoded and resized, tensors are checked; then both are
 * normalised or copied to where the network reads them. */
#include "worker/decoder.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/fail.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { CHANNELS = 3, HASH_PREFIX_MIN = 8 };

size_t iq_recipe_input_count(const imgq_recipe *recipe)
{
    return (size_t)recipe->crop_width * recipe->crop_height * CHANNELS;
}

/* The sender may ask for one model, by name or by the first digits of its hash. */
static imgq_status check_model(const iq_decoder *decoder, const char *wanted, imgq_error *err)
{
    if (wanted[0] == '\0' || decoder->model_name == NULL || strcmp(wanted, decoder->model_name) == 0)
        return IMGQ_OK;
    const size_t len = strlen(wanted);
    if (len >= HASH_PREFIX_MIN && decoder->model_hash != NULL && strncasecmp(wanted, decoder->model_hash, len) == 0)
        return IMGQ_OK;
    return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "model_mismatch: the job wants model %.100s, this worker has %.64s",
                   wanted, decoder->model_name);
}

static imgq_status decode_file(const iq_decoder *decoder, const imgq_job_info *info, const void *bytes, size_t len,
                               iq_slot *slot, imgq_error *err)
{
    const size_t size = iq_recipe_input_count(&slot->prepared.recipe);
    imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
    options.apply_orientation =
        info->exif == IMGQ_EXIF_APPLY || (info->exif == IMGQ_EXIF_WORKER && decoder->exif_apply != 0);
    options.fast = decoder->fast != 0;
    options.use_background = info->use_background;
    memcpy(options.background, info->background, sizeof options.background);
    imgq_encoded_info met = IMGQ_ENCODED_INFO_INIT;
    slot->prepared.made = iq_alloc(decoder->env, size);
    if (slot->prepared.made == NULL)
        return iq_fail_nomem(err, size);
    slot->prepared.values = slot->prepared.made;
    const imgq_status status = imgq_encoded_resample(decoder->env, bytes, len, &options, &slot->prepared.recipe,
                                                     slot->prepared.made, size, &met, err);
    slot->exif_orientation = met.orientation;
    slot->exif_applied = met.applied;
    return status;
}

static imgq_status check_shape(const imgq_recipe *recipe, const imgq_job_info *info, size_t len, imgq_error *err)
{
    const size_t sample = info->media == IMGQ_MEDIA_F32 ? sizeof(float) : 1;
    if (info->width != recipe->crop_width || info->height != recipe->crop_height)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "tensor of %u x %u, the model reads %u x %u", info->width, info->height,
                       recipe->crop_width, recipe->crop_height);
    const size_t want = iq_recipe_input_count(recipe) * sample;
    if (len != want)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "tensor of %zu bytes, %u x %u x 3 are %zu", len, info->width,
                       info->height, want);
    return IMGQ_OK;
}

static float float_at(const uint8_t *bytes, size_t index)
{
    const uint32_t bits = iq_load_le32(bytes + index * sizeof bits);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static imgq_status check_floats(const uint8_t *bytes, size_t count, imgq_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(float_at(bytes, i)))
            return iq_fail(err, IMGQ_E_FORMAT, 0, "tensor whose value %zu is no finite number", i);
    return IMGQ_OK;
}

/* A tensor is already prepared, so it must have been prepared as this model wants it; a file can still be prepared as
 * its sender wants, as long as the network's input has that size. */
static imgq_status choose_recipe(const iq_decoder *decoder, const imgq_job_info *info, imgq_recipe *recipe,
                                 imgq_error *err)
{
    *recipe = *decoder->recipe;
    if (info->profile[0] == '\0' || strcmp(info->profile, recipe->profile) == 0)
        return IMGQ_OK;
    if (info->media != IMGQ_MEDIA_ENCODED)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0,
                       "profile_mismatch: the tensor was prepared with profile %.64s, this worker's model wants %s",
                       info->profile, recipe->profile);
    imgq_recipe wanted = {.size = sizeof wanted};
    const imgq_status status = imgq_recipe_find(info->profile, &wanted, err);
    if (status != IMGQ_OK)
        return status;
    if (wanted.crop_width != recipe->crop_width || wanted.crop_height != recipe->crop_height)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0,
                       "profile_mismatch: profile %.64s makes %u x %u, the model reads %u x %u", info->profile,
                       wanted.crop_width, wanted.crop_height, recipe->crop_width, recipe->crop_height);
    *recipe = wanted;
    return IMGQ_OK;
}

imgq_status iq_decoder_prepare(const iq_decoder *decoder, iq_slot *slot, imgq_error *err)
{
    const int64_t start_ns = iq_clock_ns();
    imgq_job_info info = IMGQ_JOB_INFO_INIT;
    iq_prepared *prepared = &slot->prepared;
    size_t len = 0;
    const void *payload = imgq_job_payload(slot->job, &len);
    imgq_status status = imgq_job_get_info(slot->job, &info, err);
    if (status == IMGQ_OK)
        status = check_model(decoder, info.model, err);
    if (status == IMGQ_OK)
        status = choose_recipe(decoder, &info, &prepared->recipe, err);
    if (status != IMGQ_OK)
        return status;
    prepared->is_float = info.media == IMGQ_MEDIA_F32;
    prepared->values = payload;
    if (info.media == IMGQ_MEDIA_ENCODED)
        status = decode_file(decoder, &info, payload, len, slot, err);
    else if (info.media == IMGQ_MEDIA_U8 || info.media == IMGQ_MEDIA_F32)
        status = check_shape(&prepared->recipe, &info, len, err);
    else
        status = iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "payload of media %u is not read here", info.media);
    if (status == IMGQ_OK && prepared->is_float)
        status = check_floats(payload, iq_recipe_input_count(&prepared->recipe), err);
    (void)snprintf(slot->profile, sizeof slot->profile, "%s", prepared->recipe.profile);
    slot->decode_ms = (double)(iq_clock_ns() - start_ns) / 1e6;
    return status;
}

imgq_status iq_decoder_fill(const iq_prepared *prepared, float *input, imgq_error *err)
{
    const size_t count = iq_recipe_input_count(&prepared->recipe);
    if (!prepared->is_float)
        return imgq_recipe_normalise(&prepared->recipe, prepared->values, count, input, count, err);
    for (size_t i = 0; i < count; i++)
        input[i] = float_at(prepared->values, i);
    return IMGQ_OK;
}
