/* Preprocessing is never guessed: a network fed the wrong pixels answers, and answers wrong. */
#include "model/profile.h"

#include "base/crypto.h"
#include "base/fail.h"
#include "model/told.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIDE_MAX = 4096, CROP_MAX = 1024, CROP_MIN = 32 };

static const float imagenet_mean[3] = {0.485f, 0.456f, 0.406f};
static const float imagenet_std[3] = {0.229f, 0.224f, 0.225f};

static const char *filter_name(uint32_t filter)
{
    return filter == IMGQ_FILTER_NEAREST ? "nearest" : filter == IMGQ_FILTER_BILINEAR ? "bilinear" : "bicubic";
}

/* "keras, torchvision, torchvision-v2, timm" */
static void list_choices(char *out, size_t size)
{
    size_t len = 0;
    *out = '\0';
    for (size_t i = 0; imgq_recipe_profile(i) != NULL && len < size; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%s", i == 0 ? "" : ", ", imgq_recipe_profile(i));
}

static bool same_numbers(const imgq_recipe *a, const imgq_recipe *b)
{
    const bool squash_same =
        a->resize_short != 0 || (a->resize_width == b->resize_width && a->resize_height == b->resize_height);
    bool same = a->resize_short == b->resize_short && squash_same && a->crop_width == b->crop_width &&
                a->crop_height == b->crop_height && a->filter == b->filter && (a->bgr != 0) == (b->bgr != 0) &&
                fabsf(a->divisor - b->divisor) <= 1e-4f * fabsf(b->divisor);
    for (int c = 0; c < 3; c++)
        same = same && fabsf(a->mean[c] - b->mean[c]) <= 1e-6f * fmaxf(1.0f, fabsf(b->mean[c])) &&
               fabsf(a->std[c] - b->std[c]) <= 1e-6f * fmaxf(1.0f, fabsf(b->std[c]));
    return same;
}

/* Six digits of the numbers that the name does not show; empty when they are ImageNet's. */
static void digest_of(const imgq_recipe *recipe, char out[8])
{
    imgq_recipe usual = *recipe;
    usual.bgr = 0;
    usual.divisor = 255.0f;
    memcpy(usual.mean, imagenet_mean, sizeof usual.mean);
    memcpy(usual.std, imagenet_std, sizeof usual.std);
    *out = '\0';
    if (same_numbers(recipe, &usual))
        return;
    char text[256], hex[65];
    uint8_t digest[32] = {0};
    const int len = snprintf(text, sizeof text, "%u %a %a %a %a %a %a %a", recipe->bgr, (double)recipe->divisor,
                             (double)recipe->mean[0], (double)recipe->mean[1], (double)recipe->mean[2],
                             (double)recipe->std[0], (double)recipe->std[1], (double)recipe->std[2]);
    (void)iq_sha256_of(text, (size_t)len, digest, NULL); /* without memory the name is only less telling */
    iq_hex(hex, digest, sizeof digest);
    snprintf(out, 8, "-%.6s", hex);
}

void iq_recipe_name(imgq_recipe *recipe)
{
    for (size_t i = 0; imgq_recipe_profile(i) != NULL; i++) {
        imgq_recipe known = {.size = sizeof known};
        if (imgq_recipe_find(imgq_recipe_profile(i), &known, NULL) == IMGQ_OK && same_numbers(recipe, &known)) {
            memcpy(recipe->profile, known.profile, sizeof recipe->profile);
            return;
        }
    }
    char digest[8];
    digest_of(recipe, digest);
    if (recipe->resize_short > 0)
        snprintf(recipe->profile, sizeof recipe->profile, "%s-%u-crop-%u%s", filter_name(recipe->filter),
                 recipe->resize_short % 10000, recipe->crop_width % 10000, digest);
    else
        snprintf(recipe->profile, sizeof recipe->profile, "%s-squash-%u%s", filter_name(recipe->filter),
                 recipe->crop_width % 10000, digest);
}

static bool side_is_fine(uint32_t side, uint32_t crop)
{
    return side >= crop && side <= SIDE_MAX;
}

imgq_status iq_recipe_check(const imgq_recipe *recipe, const char *from, imgq_error *err)
{
    const char *why = NULL;
    if (recipe->crop_width < CROP_MIN || recipe->crop_height < CROP_MIN || recipe->crop_width > CROP_MAX ||
        recipe->crop_height > CROP_MAX)
        why = "its crop is not of 32 to 1024 pixels";
    else if (recipe->resize_short > 0 ? !side_is_fine(recipe->resize_short, recipe->crop_width) ||
                                            !side_is_fine(recipe->resize_short, recipe->crop_height)
                                      : !side_is_fine(recipe->resize_width, recipe->crop_width) ||
                                            !side_is_fine(recipe->resize_height, recipe->crop_height))
        why = "it crops more than it resizes to";
    else if (recipe->filter != IMGQ_FILTER_NEAREST && recipe->filter != IMGQ_FILTER_BILINEAR &&
             recipe->filter != IMGQ_FILTER_BICUBIC)
        why = "its filter is none of nearest, bilinear, bicubic";
    else if (!isfinite(recipe->divisor) || recipe->divisor <= 0)
        why = "its divisor is not above 0";
    for (int c = 0; c < 3 && why == NULL; c++)
        if (!isfinite(recipe->mean[c]) || !isfinite(recipe->std[c]) || recipe->std[c] <= 0)
            why = "its mean and std are not numbers with std above 0";
    if (why == NULL)
        return IMGQ_OK;
    return iq_fail(err, IMGQ_E_CORRUPT, 0, "read preprocessing from %s: %s", iq_shown_path(from), why);
}

static bool write_three(imgq_env *env, iq_buf *buf, const char *key, const float *values)
{
    bool ok = iq_buf_append_format(env, buf, ",\"%s\":[", key);
    for (int c = 0; c < 3; c++)
        ok = ok && (c == 0 || iq_buf_append_text(env, buf, ",")) && iq_json_write_float(env, buf, values[c]);
    return ok && iq_buf_append_text(env, buf, "]");
}

bool iq_recipe_write(imgq_env *env, iq_buf *buf, const imgq_recipe *recipe)
{
    return iq_buf_append_format(env, buf, "{\"resize_short\":%u,\"resize\":[%u,%u],\"crop\":[%u,%u],\"filter\":\"%s\"",
                                recipe->resize_short, recipe->resize_width, recipe->resize_height, recipe->crop_width,
                                recipe->crop_height, filter_name(recipe->filter)) &&
           iq_buf_append_format(env, buf, ",\"bgr\":%s,\"divisor\":", recipe->bgr ? "true" : "false") &&
           iq_json_write_float(env, buf, recipe->divisor) && write_three(env, buf, "mean", recipe->mean) &&
           write_three(env, buf, "std", recipe->std) && iq_buf_append_text(env, buf, "}");
}

static bool read_side(const iq_json *value, uint32_t *out)
{
    uint64_t number;
    if (!iq_json_uint(value, &number) || number > SIDE_MAX)
        return false;
    *out = (uint32_t)number;
    return true;
}

static bool read_two(const iq_json *list, uint32_t *a, uint32_t *b)
{
    return iq_json_count(list) == 2 && read_side(iq_json_at(list, 0), a) && read_side(iq_json_at(list, 1), b);
}

static bool read_three(const iq_json *list, float *values)
{
    bool ok = iq_json_is_array(list) && iq_json_count(list) == 3;
    for (size_t c = 0; ok && c < 3; c++) {
        ok = iq_json_is_number(iq_json_at(list, c));
        values[c] = (float)iq_json_number(iq_json_at(list, c), 0);
    }
    return ok;
}

imgq_status iq_recipe_parse(const iq_json *object, const char *from, imgq_recipe *out, imgq_error *err)
{
    memset(out, 0, sizeof *out);
    out->size = sizeof *out;
    const char *filter = iq_json_text(iq_json_get(object, "filter")), *field = NULL;
    out->bgr = iq_json_bool(iq_json_get(object, "bgr"), false);
    out->divisor = (float)iq_json_number(iq_json_get(object, "divisor"), 0);
    out->filter = UINT32_MAX;
    for (uint32_t f = IMGQ_FILTER_NEAREST; f <= IMGQ_FILTER_BICUBIC && filter != NULL; f++)
        if (f != 1 && strcmp(filter, filter_name(f)) == 0)
            out->filter = f;
    if (!read_side(iq_json_get(object, "resize_short"), &out->resize_short))
        field = "resize_short";
    else if (!read_two(iq_json_get(object, "resize"), &out->resize_width, &out->resize_height))
        field = "resize";
    else if (!read_two(iq_json_get(object, "crop"), &out->crop_width, &out->crop_height))
        field = "crop";
    else if (!read_three(iq_json_get(object, "mean"), out->mean))
        field = "mean";
    else if (!read_three(iq_json_get(object, "std"), out->std))
        field = "std";
    if (field != NULL)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "read preprocessing from %s: its '%s' is missing or wrong",
                       iq_shown_path(from), field);
    imgq_status status = iq_recipe_check(out, from, err);
    if (status == IMGQ_OK)
        iq_recipe_name(out);
    return status;
}

static imgq_status cannot_tell(const iq_weights *set, imgq_error *err)
{
    char choices[96];
    list_choices(choices, sizeof choices);
    return iq_fail(err, IMGQ_E_INVALID, 0, "read model %s: its preprocessing cannot be told: name a profile, one of %s",
                   iq_shown_path(set->path), choices);
}

imgq_status iq_profile_choose(const iq_weights *set, iq_family family, const char *wanted, imgq_recipe *out,
                              imgq_error *err)
{
    memset(out, 0, sizeof *out);
    out->size = sizeof *out;
    const char *profile = wanted;
    if (set->has_recipe && (wanted == NULL || strcmp(wanted, set->recipe.profile) == 0)) {
        *out = set->recipe;
        return IMGQ_OK;
    }
    if (profile == NULL)
        profile = set->profile;
    if (profile == NULL && iq_family_is_keras(family))
        profile = "keras";
    /* torchvision's own files and timm's have the same names; timm's come with a config.json that has been read. */
    if (profile == NULL && family == IQ_FAMILY_TORCH)
        profile = "torchvision";
    if (profile == NULL)
        return cannot_tell(set, err);
    imgq_status status = imgq_recipe_find(profile, out, err);
    if (status == IMGQ_E_NOTFOUND)
        status = iq_fail_prefix(err, IMGQ_E_INVALID, "read model %s", iq_shown_path(set->path));
    return status;
}
