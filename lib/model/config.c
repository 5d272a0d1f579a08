/* Reads how publishers describe their weights. Unknown preprocessing is refused, never approximated. */
#include "model/config.h"

#include "base/buf.h"
#include "base/fail.h"
#include "base/json.h"
#include "model/labels.h"
#include "model/profile.h"
#include "model/told.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_MAX = 16 << 20, PATH_MAX_BYTES = 4096 };

static void recipe_defaults(imgq_recipe *recipe)
{
    memset(recipe, 0, sizeof *recipe);
    recipe->size = sizeof *recipe;
    recipe->divisor = 255.0f;
}

static imgq_status refuse(const char *path, const char *what, const char *value, imgq_error *err)
{
    return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "read preprocessing from %s: %s '%.40s' is not done here",
                   iq_shown_path(path), what, iq_is_printable(value) ? value : "?");
}

/* Three numbers. Where they are missing each publisher's code has defaults of its own: not told is not told. */
static imgq_status read_three(const iq_json *object, const char *key, const char *path, float *values, imgq_error *err)
{
    const iq_json *list = iq_json_get(object, key);
    bool ok = iq_json_is_array(list) && iq_json_count(list) == 3;
    for (size_t c = 0; ok && c < 3; c++) {
        ok = iq_json_is_number(iq_json_at(list, c));
        values[c] = (float)iq_json_number(iq_json_at(list, c), 0);
    }
    return ok ? IMGQ_OK
              : iq_fail(err, IMGQ_E_CORRUPT, 0, "read preprocessing from %s: its '%s' is not three numbers",
                        iq_shown_path(path), key);
}

/* A side in pixels; 0 where there is none, or no number that could be one. */
static uint32_t read_side(const iq_json *value)
{
    uint64_t side;
    return iq_json_uint(value, &side) && side <= UINT16_MAX ? (uint32_t)side : 0;
}

static imgq_status take_recipe(iq_weights *set, const char *path, imgq_recipe *recipe, imgq_error *err)
{
    imgq_status status = iq_recipe_check(recipe, path, err);
    if (status != IMGQ_OK)
        return status;
    iq_recipe_name(recipe);
    set->recipe = *recipe;
    set->has_recipe = 1;
    return IMGQ_OK;
}

static imgq_status take_labels(iq_weights *set, const iq_json *value, const char *path, imgq_error *err)
{
    iq_labels labels;
    imgq_status status = iq_labels_from_json(value, path, &set->arena, &labels, err);
    if (status == IMGQ_OK) {
        set->labels = labels.texts;
        set->labels_count = labels.count;
    }
    return status;
}

/* Resize as timm does at evaluation: the shorter side is input / crop_pct rounded down, then a centre crop. */
static imgq_status tell_timm(iq_weights *set, const iq_json *root, const char *path, imgq_error *err)
{
    const iq_json *cfg = iq_json_get(root, "pretrained_cfg");
    cfg = iq_json_is_object(cfg) ? cfg : root;
    imgq_recipe recipe;
    recipe_defaults(&recipe);
    const iq_json *size = iq_json_get(cfg, "input_size");
    const char *filter = iq_json_text(iq_json_get(cfg, "interpolation"));
    const char *mode = iq_json_text(iq_json_get(cfg, "crop_mode"));
    const double crop_pct = iq_json_number(iq_json_get(cfg, "crop_pct"), 0);
    recipe.crop_height = iq_json_count(size) == 3 ? read_side(iq_json_at(size, 1)) : 0;
    recipe.crop_width = iq_json_count(size) == 3 ? read_side(iq_json_at(size, 2)) : 0;
    if (recipe.crop_width == 0 || recipe.crop_height != recipe.crop_width || filter == NULL ||
        !(crop_pct > 0.05 && crop_pct <= 1))
        return iq_fail(err, IMGQ_E_CORRUPT, 0,
                       "read preprocessing from %s: its input_size, interpolation or crop_pct is missing or wrong",
                       iq_shown_path(path));
    if (mode != NULL && strcmp(mode, "center") != 0)
        return refuse(path, "crop_mode", mode, err);
    if (strcmp(filter, "bicubic") != 0 && strcmp(filter, "bilinear") != 0)
        return refuse(path, "interpolation", filter, err);
    recipe.filter = strcmp(filter, "bicubic") == 0 ? IMGQ_FILTER_BICUBIC : IMGQ_FILTER_BILINEAR;
    recipe.resize_short = (uint32_t)floor(recipe.crop_width / crop_pct);
    imgq_status status = read_three(cfg, "mean", path, recipe.mean, err);
    if (status == IMGQ_OK)
        status = read_three(cfg, "std", path, recipe.std, err);
    if (status == IMGQ_OK)
        status = take_recipe(set, path, &recipe, err);
    const iq_json *names = iq_json_get(root, "label_names");
    if (status == IMGQ_OK && iq_json_is_array(names))
        status = take_labels(set, names, path, err);
    return status;
}

/* Numbers that all of Hugging Face's image processors have. */
static imgq_status tell_numbers(const iq_json *root, const char *path, imgq_recipe *recipe, imgq_error *err)
{
    static const float zeros[3] = {0, 0, 0}, ones[3] = {1, 1, 1};
    recipe->filter = UINT32_MAX;
    uint64_t filter = 0;
    if (iq_json_uint(iq_json_get(root, "resample"), &filter) && filter <= IMGQ_FILTER_BICUBIC)
        recipe->filter = (uint32_t)filter;
    recipe->divisor = 1.0f;
    if (iq_json_bool(iq_json_get(root, "do_rescale"), true))
        recipe->divisor = (float)(1.0 / iq_json_number(iq_json_get(root, "rescale_factor"), 1.0 / 255));
    if (!iq_json_bool(iq_json_get(root, "do_normalize"), true)) {
        memcpy(recipe->mean, zeros, sizeof zeros);
        memcpy(recipe->std, ones, sizeof ones);
        return IMGQ_OK;
    }
    imgq_status status = read_three(root, "image_mean", path, recipe->mean, err);
    return status == IMGQ_OK ? read_three(root, "image_std", path, recipe->std, err) : status;
}

/* ConvNext's processor, which microsoft/resnet-50 names: below 384 pixels the shorter side becomes size / crop_pct and
 * the centre is cropped, from 384 on the image is squashed. */
static void size_as_convnext(const iq_json *root, const iq_json *size, imgq_recipe *recipe)
{
    const uint32_t side = read_side(iq_json_is_object(size) ? iq_json_get(size, "shortest_edge") : size);
    const double crop_pct = iq_json_number(iq_json_get(root, "crop_pct"), 224.0 / 256);
    recipe->crop_width = recipe->crop_height = side;
    if (side >= 384)
        recipe->resize_width = recipe->resize_height = side;
    else if (crop_pct > 0.05 && crop_pct <= 1)
        recipe->resize_short = (uint32_t)(side / crop_pct);
}

/* Squash to height x width. */
static void size_as_vit(const iq_json *size, imgq_recipe *recipe)
{
    const bool object = iq_json_is_object(size);
    recipe->crop_width = recipe->resize_width = read_side(object ? iq_json_get(size, "width") : size);
    recipe->crop_height = recipe->resize_height = read_side(object ? iq_json_get(size, "height") : size);
}

/* Shorter side, then centre crop, each with its own number. */
static void size_as_bit(const iq_json *root, const iq_json *size, imgq_recipe *recipe)
{
    const iq_json *crop = iq_json_get(root, "crop_size");
    const bool object = iq_json_is_object(crop);
    recipe->resize_short = read_side(iq_json_is_object(size) ? iq_json_get(size, "shortest_edge") : size);
    recipe->crop_width = read_side(object ? iq_json_get(crop, "width") : crop);
    recipe->crop_height = read_side(object ? iq_json_get(crop, "height") : crop);
}

static imgq_status tell_preprocessor(iq_weights *set, const iq_json *root, const char *path, imgq_error *err)
{
    const char *kind = iq_json_text(iq_json_get(root, "image_processor_type"));
    if (kind == NULL)
        kind = iq_json_text(iq_json_get(root, "feature_extractor_type"));
    if (kind == NULL)
        return IMGQ_OK;
    const iq_json *size = iq_json_get(root, "size");
    imgq_recipe recipe;
    recipe_defaults(&recipe);
    if (strncmp(kind, "ConvNext", 8) == 0)
        size_as_convnext(root, size, &recipe);
    else if (strncmp(kind, "ViT", 3) == 0)
        size_as_vit(size, &recipe);
    else if (strncmp(kind, "Bit", 3) == 0 || strncmp(kind, "CLIP", 4) == 0)
        size_as_bit(root, size, &recipe);
    else
        return refuse(path, "processor", kind, err);
    if (!iq_json_bool(iq_json_get(root, "do_resize"), true))
        return refuse(path, "do_resize", "false", err);
    imgq_status status = tell_numbers(root, path, &recipe, err);
    return status == IMGQ_OK ? take_recipe(set, path, &recipe, err) : status;
}

static imgq_status tell_hugging_face(iq_weights *set, const iq_json *root, const char *path, imgq_error *err)
{
    if (iq_json_bool(iq_json_get(root, "downsample_in_bottleneck"), false) && set->layout == IMGQ_LAYOUT_AUTO)
        set->layout = IMGQ_LAYOUT_V1;
    const iq_json *labels = iq_json_get(root, "id2label");
    return iq_json_is_object(labels) && set->labels == NULL ? take_labels(set, labels, path, err) : IMGQ_OK;
}

static imgq_status tell_config(iq_weights *set, const iq_json *root, const char *path, imgq_error *err)
{
    const char *type = iq_json_text(iq_json_get(root, "model_type"));
    if (type != NULL && strcmp(type, "resnet") == 0)
        return tell_hugging_face(set, root, path, err);
    const char *architecture = iq_json_text(iq_json_get(root, "architecture"));
    if (architecture != NULL && strncmp(architecture, "resnet", 6) == 0)
        return tell_timm(set, root, path, err);
    return IMGQ_OK;
}

typedef imgq_status (*tell_fn)(iq_weights *set, const iq_json *root, const char *path, imgq_error *err);

/* Opens a file beside the model; one that is not there tells nothing. */
static imgq_status read_beside(iq_weights *set, const char *name, tell_fn tell, imgq_error *err)
{
    char path[PATH_MAX_BYTES];
    const char *slash = strrchr(set->path, '/');
    const int folder = slash == NULL ? 0 : (int)(slash - set->path) + 1;
    if ((size_t)snprintf(path, sizeof path, "%.*s%s", folder, set->path, name) >= sizeof path)
        return IMGQ_OK;
    iq_buf file = {0};
    iq_json *root = NULL;
    imgq_status status = iq_buf_read_file(set->env, &file, path, CONFIG_MAX, err);
    if (status == IMGQ_E_NOTFOUND)
        return IMGQ_OK;
    if (status == IMGQ_OK)
        status = iq_json_parse((const char *)file.data, file.len, &root, err);
    if (status == IMGQ_E_FORMAT)
        status = iq_fail_prefix(err, IMGQ_E_CORRUPT, "read %s", iq_shown_path(path));
    if (status == IMGQ_OK)
        status = tell(set, root, path, err);
    iq_json_free(root);
    iq_buf_release(set->env, &file);
    return status;
}

imgq_status iq_told_by_config(iq_weights *set, imgq_error *err)
{
    imgq_status status = read_beside(set, "config.json", tell_config, err);
    if (status == IMGQ_OK && !set->has_recipe)
        status = read_beside(set, "preprocessor_config.json", tell_preprocessor, err);
    return status;
}
