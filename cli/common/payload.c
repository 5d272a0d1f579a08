/* Preparing images on the sender's side. */
#include "cli/common/payload.h"

#include <stdlib.h>
#include <string.h>

#include "cli/common/workers.h"

enum { FILE_MAX_BYTES = 32 << 20 }; /* as the env's limit on payloads */

static imgq_status make_tensor(imgq_env *env, const cli_payload_how *how, const cli_bytes *file, cli_bytes *out,
                               imgq_error *err)
{
    const imgq_recipe *recipe = &how->recipe;
    const size_t count = (size_t)recipe->crop_width * recipe->crop_height * 3;
    const bool floats = how->kind == CLI_PAYLOAD_F32;
    imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
    options.apply_orientation = how->exif_apply;
    options.use_background = how->background.is_set;
    memcpy(options.background, how->background.rgb, sizeof options.background);
    imgq_status status;
    out->len = floats ? count * sizeof(float) : count;
    out->data = malloc(out->len);
    if (out->data == NULL)
        status = cli_fail(err, IMGQ_E_NOMEM, 0, "memory ran out for a tensor of %zu bytes", out->len);
    else if (floats)
        status = imgq_encoded_preprocess(env, file->data, file->len, &options, recipe, (float *)(void *)out->data,
                                         count, NULL, err);
    else
        status = imgq_encoded_resample(env, file->data, file->len, &options, recipe, out->data, count, NULL, err);
    if (status != IMGQ_OK) {
        free(out->data);
        *out = (cli_bytes){0};
    }
    return status;
}

imgq_status cli_payload_make(imgq_env *env, const cli_payload_how *how, const char *path, cli_bytes *out,
                             imgq_error *err)
{
    cli_bytes file = {0};
    *out = (cli_bytes){0};
    imgq_status status = cli_file_read(path, FILE_MAX_BYTES, &file, err);
    if (status != IMGQ_OK)
        return status;
    if (how->kind == CLI_PAYLOAD_ENCODED) {
        *out = file;
        return IMGQ_OK;
    }
    status = make_tensor(env, how, &file, out, err);
    free(file.data);
    return status;
}

imgq_status cli_payload_find_recipe(cli_payload_how *how, const char *profile, imgq_queue *queue, imgq_error *err)
{
    char told[32];
    if (profile == NULL) {
        const imgq_status status = cli_workers_profile(queue, told, sizeof told, err);
        if (status != IMGQ_OK)
            return status;
        profile = told;
    }
    how->recipe = (imgq_recipe){.size = sizeof how->recipe};
    return imgq_recipe_find(profile, &how->recipe, err);
}

void cli_payload_describe(const cli_payload_how *how, imgq_submit_options *options)
{
    static const uint32_t media[] = {IMGQ_MEDIA_ENCODED, IMGQ_MEDIA_U8, IMGQ_MEDIA_F32};
    options->media = media[how->kind];
    if (how->kind == CLI_PAYLOAD_ENCODED)
        return;
    options->profile = how->recipe.profile;
    options->width = how->recipe.crop_width;
    options->height = how->recipe.crop_height;
}
