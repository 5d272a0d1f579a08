/* From a set of tensors to a network that is ready to run. */
#include "model/model.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/log.h"
#include "base/options.h"
#include "model/fold.h"
#include "model/hash.h"
#include "model/labels.h"
#include "model/names.h"
#include "model/profile.h"
#include "model/told.h"
#include "model/weights.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

struct imgq_model {
    imgq_env *env; /* held */
    atomic_size_t holders;
    iq_arena arena; /* name and labels */
    const char *name;
    char hash[65];
    uint32_t layout, classes;
    float bn_eps;
    imgq_recipe recipe;
    const char *const *labels; /* classes of them */
    iq_weights *set;           /* held: what named points into, and where sessions' weights come from */
    iq_named named;
    double *scales[IQ_RESNET50_LAYERS]; /* of the channels, by batch norm; the head has none */
    float *biases[IQ_RESNET50_LAYERS];  /* folded */
    iq_layer ops[IQ_RESNET50_OPS];
    size_t sources[IQ_RESNET50_OPS]; /* the layer of the three above that an op is */
    iq_net net;
    iq_packs *packs; /* of the weights, as sessions ask for them */
};

static iq_fold fold_of(const imgq_model *model)
{
    return (iq_fold){
        .path = model->set->path, .hwio = iq_family_is_keras(model->named.family), .bn_eps = model->bn_eps};
}

static iq_fold_shape shape_of(const imgq_model *model, size_t layer)
{
    if (layer == IQ_RESNET50_HEAD)
        return (iq_fold_shape){.taps = 1, .in = IQ_RESNET50_FEATURES, .out = model->classes};
    const iq_resnet50_conv conv = iq_resnet50_conv_at(layer);
    return (iq_fold_shape){.taps = (size_t)conv.kernel * conv.kernel, .in = conv.in_channels, .out = conv.out_channels};
}

/* What batch norm comes to: all that is folded before a session asks. */
static imgq_status fold_norms(imgq_model *model, imgq_error *err)
{
    const iq_fold fold = fold_of(model);
    imgq_status status = IMGQ_OK;
    for (size_t i = 0; i < IQ_RESNET50_LAYERS && status == IMGQ_OK; i++) {
        const iq_named_layer *layer = &model->named.layers[i];
        const size_t channels = shape_of(model, i).out;
        model->biases[i] = iq_arena_alloc(&model->arena, channels * sizeof *model->biases[i]);
        if (model->biases[i] == NULL)
            return iq_fail_nomem(err, channels * sizeof *model->biases[i]);
        if (i == IQ_RESNET50_HEAD)
            return iq_fold_bias(&fold, layer->roles[IQ_ROLE_BIAS], channels, model->biases[i], err);
        model->scales[i] = iq_arena_alloc(&model->arena, channels * sizeof *model->scales[i]);
        if (model->scales[i] == NULL)
            return iq_fail_nomem(err, channels * sizeof *model->scales[i]);
        status = iq_fold_norm(&fold, layer, channels, model->scales[i], model->biases[i], err);
    }
    return status;
}

/* One pass over all bytes of the file: the hash, and whether its numbers are numbers. */
static imgq_status read_all(imgq_model *model, imgq_error *err)
{
    const iq_fold fold = fold_of(model);
    float *largest = iq_alloc_array(model->env, model->set->count, sizeof *largest);
    if (largest == NULL)
        return iq_fail_nomem(err, model->set->count * sizeof *largest);
    imgq_status status = iq_weights_hash(model->set, model->hash, largest, err);
    for (size_t i = 0; i < IQ_RESNET50_LAYERS && status == IMGQ_OK; i++) {
        const iq_tensor_view *kernel = model->named.layers[i].roles[IQ_ROLE_KERNEL];
        const iq_fold_shape shape = shape_of(model, i);
        status = iq_fold_check(&fold, kernel, &shape, model->scales[i], largest[kernel - model->set->tensors], err);
    }
    iq_free(model->env, largest);
    return status;
}

static imgq_status read_weights(void *user, size_t op, float *out, imgq_error *err)
{
    const imgq_model *model = user;
    const size_t layer = model->sources[op];
    const iq_fold fold = fold_of(model);
    const iq_fold_shape shape = shape_of(model, layer);
    imgq_status status = iq_weights_check_files(model->set, err);
    if (status == IMGQ_OK)
        iq_fold_weights(&fold, model->named.layers[layer].roles[IQ_ROLE_KERNEL], &shape, model->scales[layer], out);
    return status;
}

static void make_net(imgq_model *model)
{
    iq_resnet50_build(model->layout, model->classes, (const float *const *)model->biases, model->ops, model->sources);
    model->net = (iq_net){.layers = model->ops,
                          .count = IQ_RESNET50_OPS,
                          .in_channels = 3,
                          .read_weights = read_weights,
                          .read_user = model};
}

/* The last part of the path, without its ending. */
static const char *name_of_path(iq_arena *arena, const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    size_t start = len;
    while (start > 0 && path[start - 1] != '/')
        start--;
    for (size_t dot = len; dot > start + 1; dot--)
        if (path[dot - 1] == '.') {
            len = dot - 1;
            break;
        }
    return iq_arena_strndup(arena, path + start, len - start);
}

static imgq_status choose_name(imgq_model *model, const iq_weights *set, const char *wanted, imgq_error *err)
{
    if (wanted != NULL && (*wanted == '\0' || strlen(wanted) > IQ_TENSOR_NAME_MAX || !iq_is_printable(wanted)))
        return iq_fail(err, IMGQ_E_INVALID, 0, "a model's name has 1 to %d printable characters", IQ_TENSOR_NAME_MAX);
    const char *name = wanted != NULL ? wanted : set->name;
    model->name =
        name != NULL ? iq_arena_strndup(&model->arena, name, strlen(name)) : name_of_path(&model->arena, set->path);
    return model->name == NULL ? iq_fail_nomem(err, strlen(set->path)) : IMGQ_OK;
}

static imgq_status choose_layout(imgq_model *model, const iq_weights *set, iq_family family,
                                 const imgq_model_options *options, imgq_error *err)
{
    model->layout = options->layout != IMGQ_LAYOUT_AUTO ? options->layout : set->layout;
    if (model->layout == IMGQ_LAYOUT_AUTO)
        model->layout = iq_family_is_keras(family) ? IMGQ_LAYOUT_V1 : IMGQ_LAYOUT_V1_5;
    if (model->layout != IMGQ_LAYOUT_V1 && model->layout != IMGQ_LAYOUT_V1_5)
        return iq_fail(err, IMGQ_E_INVALID, 0, "layout %u is none of v1 (1) and v1.5 (2)", model->layout);
    if (options->bn_eps != 0 && !(options->bn_eps > 0 && options->bn_eps <= 1))
        return iq_fail(err, IMGQ_E_INVALID, 0, "a batch norm epsilon of %g is not above 0 and at most 1",
                       (double)options->bn_eps);
    model->bn_eps = options->bn_eps != 0 ? options->bn_eps : set->bn_eps;
    if (model->bn_eps == 0)
        model->bn_eps = model->layout == IMGQ_LAYOUT_V1 ? 1.001e-5f : 1e-5f;
    return IMGQ_OK;
}

static imgq_status copy_labels(imgq_model *model, const char *const *labels, imgq_error *err)
{
    const char **copy = iq_arena_alloc(&model->arena, model->classes * sizeof *copy);
    if (copy == NULL)
        return iq_fail_nomem(err, model->classes * sizeof *copy);
    for (uint32_t i = 0; i < model->classes; i++) {
        copy[i] = iq_arena_strndup(&model->arena, labels[i], strlen(labels[i]));
        if (copy[i] == NULL)
            return iq_fail_nomem(err, strlen(labels[i]) + 1);
    }
    model->labels = copy;
    return IMGQ_OK;
}

static imgq_status choose_labels(imgq_model *model, const iq_weights *set, const char *path, imgq_error *err)
{
    iq_labels read = {0};
    if (path != NULL) {
        imgq_status status = iq_labels_read(path, &model->arena, &read, err);
        if (status != IMGQ_OK)
            return status;
        if (read.count != model->classes)
            return iq_fail(err, IMGQ_E_INVALID, 0, "read labels from %s: %zu labels, the model has %u classes",
                           iq_shown_path(path), read.count, model->classes);
        model->labels = read.texts;
        return IMGQ_OK;
    }
    if (set->labels != NULL) {
        if (set->labels_count != model->classes)
            return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: it brings %zu labels for %u classes",
                           iq_shown_path(set->path), set->labels_count, model->classes);
        return copy_labels(model, set->labels, err);
    }
    if (model->classes != IQ_IMAGENET_CLASSES)
        return iq_fail(err, IMGQ_E_INVALID, 0,
                       "read model %s: %u classes without labels, and ImageNet's are %d: name a labels file",
                       iq_shown_path(set->path), model->classes, IQ_IMAGENET_CLASSES);
    model->labels = iq_imagenet_labels;
    return IMGQ_OK;
}

/* Cheap checks before expensive ones: a wrong file is refused before its bytes are touched. */
static imgq_status build(imgq_model *model, const iq_weights *set, const imgq_model_options *options, imgq_error *err)
{
    imgq_status status = iq_names_resolve(set, &model->named, err);
    if (status != IMGQ_OK)
        return status;
    const iq_family family = model->named.family;
    model->classes = model->named.classes;
    status = choose_layout(model, set, family, options, err);
    if (status == IMGQ_OK)
        status = iq_profile_choose(set, family, options->profile, &model->recipe, err);
    if (status == IMGQ_OK)
        status = choose_name(model, set, options->name, err);
    if (status == IMGQ_OK)
        status = choose_labels(model, set, options->labels_path, err);
    if (status == IMGQ_OK)
        status = iq_weights_check_files(set, err);
    if (status == IMGQ_OK)
        status = fold_norms(model, err);
    if (status == IMGQ_OK)
        status = read_all(model, err);
    if (status == IMGQ_OK)
        make_net(model);
    return status;
}

imgq_status iq_model_from_weights(imgq_env *env, iq_weights *weights, const imgq_model_options *options,
                                  imgq_model **out, imgq_error *err)
{
    *out = NULL;
    imgq_model_options chosen;
    imgq_status status = iq_options_copy(&chosen, sizeof chosen, options, err);
    if (status != IMGQ_OK)
        return status;
    imgq_model *model = iq_alloc_array(env, 1, sizeof *model);
    if (model == NULL)
        return iq_fail_nomem(err, sizeof *model);
    model->env = iq_env_hold(env);
    model->arena.env = env;
    model->set = iq_weights_hold(weights);
    atomic_init(&model->holders, 1);
    status = iq_packs_create(env, &model->net, &model->packs, err);
    if (status == IMGQ_OK)
        status = build(model, weights, &chosen, err);
    if (status != IMGQ_OK) {
        imgq_model_close(model);
        return status;
    }
    iq_log(env, IMGQ_LOG_DEBUG, "model", "%s: %s, %u classes, profile %s, weights %.12s", model->name,
           model->layout == IMGQ_LAYOUT_V1 ? "v1" : "v1.5", model->classes, model->recipe.profile, model->hash);
    *out = model;
    return IMGQ_OK;
}

imgq_status imgq_model_open(imgq_env *env, const char *path, const imgq_model_options *options, imgq_model **out,
                            imgq_error *err)
{
    *out = NULL;
    iq_weights *set = NULL;
    imgq_status status = iq_weights_open_safetensors(env, path, &set, err);
    if (status == IMGQ_OK)
        status = iq_model_from_weights(env, set, options, out, err);
    iq_weights_destroy(set);
    return status;
}

uint32_t imgq_model_class_count(const imgq_model *model)
{
    return model->classes;
}

const char *imgq_model_label(const imgq_model *model, uint32_t class_id)
{
    return class_id < model->classes ? model->labels[class_id] : NULL;
}

const imgq_recipe *imgq_model_recipe(const imgq_model *model)
{
    return &model->recipe;
}

const char *imgq_model_name(const imgq_model *model)
{
    return model->name;
}

const char *imgq_model_hash(const imgq_model *model)
{
    return model->hash;
}

uint32_t imgq_model_layout(const imgq_model *model)
{
    return model->layout;
}

float iq_model_bn_eps(const imgq_model *model)
{
    return model->bn_eps;
}

imgq_model *iq_model_hold(imgq_model *model)
{
    atomic_fetch_add_explicit(&model->holders, 1, memory_order_relaxed);
    return model;
}

imgq_env *iq_model_env(const imgq_model *model)
{
    return model->env;
}

const iq_net *iq_model_net(const imgq_model *model)
{
    return &model->net;
}

iq_packs *iq_model_packs(const imgq_model *model)
{
    return model->packs;
}

void iq_model_rest(const imgq_model *model)
{
    iq_weights_rest(model->set);
}

void imgq_model_close(imgq_model *model)
{
    /* The last holder must see all that the others did before they let go. */
    if (model == NULL || atomic_fetch_sub_explicit(&model->holders, 1, memory_order_acq_rel) > 1)
        return;
    imgq_env *env = model->env;
    iq_packs_destroy(model->packs);
    iq_weights_destroy(model->set);
    iq_arena_release(&model->arena);
    iq_free(env, model);
    imgq_env_destroy(env);
}
