/* imgq.* metadata first: a file that describes itself needs nobody beside it. */
#include "model/told.h"

#include "base/fail.h"
#include "base/json.h"
#include "model/config.h"
#include "model/labels.h"
#include "model/profile.h"

#include <string.h>

static imgq_status refuse_value(const iq_weights *set, const char *key, imgq_error *err)
{
    return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: metadata '%s' has a wrong value", iq_shown_path(set->path),
                   key);
}

static imgq_status tell_layout(iq_weights *set, const char *value, imgq_error *err)
{
    if (strcmp(value, "v1") == 0)
        set->layout = IMGQ_LAYOUT_V1;
    else if (strcmp(value, "v1.5") == 0)
        set->layout = IMGQ_LAYOUT_V1_5;
    else
        return refuse_value(set, "imgq.layout", err);
    return IMGQ_OK;
}

static imgq_status tell_bn_eps(iq_weights *set, const char *value, imgq_error *err)
{
    double eps;
    if (!iq_parse_double(value, &eps) || !(eps > 0 && eps <= 1))
        return refuse_value(set, "imgq.bn_eps", err);
    set->bn_eps = (float)eps;
    return IMGQ_OK;
}

static imgq_status tell_name(iq_weights *set, const char *value, imgq_error *err)
{
    if (*value == '\0' || strlen(value) > IQ_TENSOR_NAME_MAX || !iq_is_printable(value))
        return refuse_value(set, "imgq.name", err);
    set->name = value;
    return IMGQ_OK;
}

static imgq_status tell_profile(iq_weights *set, const char *value, imgq_error *err)
{
    if (*value == '\0' || strlen(value) >= sizeof set->recipe.profile || !iq_is_printable(value))
        return refuse_value(set, "imgq.profile", err);
    set->profile = value;
    return IMGQ_OK;
}

static imgq_status tell_recipe(iq_weights *set, const char *value, imgq_error *err)
{
    iq_json *root = NULL;
    imgq_status status = iq_json_parse(value, strlen(value), &root, err);
    if (status == IMGQ_E_FORMAT)
        status = refuse_value(set, "imgq.recipe", err);
    if (status == IMGQ_OK)
        status = iq_recipe_parse(root, set->path, &set->recipe, err);
    set->has_recipe = status == IMGQ_OK;
    iq_json_free(root);
    return status;
}

static imgq_status tell_labels(iq_weights *set, const char *value, imgq_error *err)
{
    iq_json *root = NULL;
    iq_labels labels = {0};
    imgq_status status = iq_json_parse(value, strlen(value), &root, err);
    if (status == IMGQ_E_FORMAT)
        status = refuse_value(set, "imgq.labels", err);
    if (status == IMGQ_OK)
        status = iq_labels_from_json(root, set->path, &set->arena, &labels, err);
    if (status == IMGQ_OK) {
        set->labels = labels.texts;
        set->labels_count = labels.count;
    }
    iq_json_free(root);
    return status;
}

typedef struct teller {
    const char *key;
    imgq_status (*tell)(iq_weights *set, const char *value, imgq_error *err);
} teller;

static const teller tellers[] = {
    {"imgq.layout", tell_layout},   {"imgq.bn_eps", tell_bn_eps}, {"imgq.name", tell_name},
    {"imgq.profile", tell_profile}, {"imgq.recipe", tell_recipe}, {"imgq.labels", tell_labels},
};

imgq_status iq_told_by_metadata(iq_weights *set, imgq_error *err)
{
    imgq_status status = IMGQ_OK;
    for (size_t i = 0; i < sizeof tellers / sizeof *tellers && status == IMGQ_OK; i++) {
        const char *value = iq_weights_meta(set, tellers[i].key);
        if (value != NULL)
            status = tellers[i].tell(set, value, err);
    }
    return status;
}

imgq_status iq_told_by_file(iq_weights *set, imgq_error *err)
{
    imgq_status status = iq_told_by_metadata(set, err);
    if (status != IMGQ_OK || set->has_recipe || set->profile != NULL)
        return status;
    return iq_told_by_config(set, err);
}
