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

enum { ALIGNMENT = 64, ALIGNMENT_FLOATS = ALIGNMENT / sizeof(float) };

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
    float *block;              /* all folded weights and biases */
    iq_layer ops[IQ_RESNET50_OPS];
    iq_net net;
    iq_packs *packs; /* of the weights, as sessions ask for them */
};

static size_t aligned_floats(size_t floats)
{
    return (floats + ALIGNMENT_FLOATS - 1) / ALIGNMENT_FLOATS * ALIGNMENT_FLOATS;
}

static size_t conv_floats(const iq_resnet50_conv *conv)
{
    return (size_t)conv->kernel * conv->kernel * conv->in_channels * conv->out_channels;
}

/* Floats of weights and biases together, each on its own cache lines. */
static size_t block_floats(uint32_t classes)
{
    size_t total = aligned_floats((size_t)IQ_RESNET50_FEATURES * classes) + aligned_floats(classes);
    for (size_t i = 0; i < IQ_RESNET50_CONVS; i++) {
        const iq_resnet50_conv conv = iq_resnet50_conv_at(i);
        total += aligned_floats(conv_floats(&conv)) + aligned_floats(conv.out_channels);
    }
    return total;
}

static float *cut(float **at, size_t floats)
{
    float *piece = *at;
    *at += aligned_floats(floats);
    return piece;
}

static imgq_status fold_all(imgq_model *model, const iq_named *named, const iq_fold *fold, imgq_error *err)
{
    iq_resnet50_weights folded[IQ_RESNET50_LAYERS];
    float *at = model->block;
    imgq_status status = IMGQ_OK;
    for (size_t i = 0; i < IQ_RESNET50_CONVS && status == IMGQ_OK; i++) {
        const iq_resnet50_conv conv = iq_resnet50_conv_at(i);
        float *weights = cut(&at, conv_floats(&conv)), *bias = cut(&at, conv.out_channels);
        folded[i] = (iq_resnet50_weights){weights, bias};
        status = iq_fold_conv(fold, &named->layers[i], &conv, weights, bias, err);
    }
    if (status != IMGQ_OK)
        return status;
    float *weights = cut(&at, (size_t)IQ_RESNET50_FEATURES * model->classes), *bias = cut(&at, model->classes);
    folded[IQ_RESNET50_HEAD] = (iq_resnet50_weights){weights, bias};
    status = iq_fold_head(fold, &named->layers[IQ_RESNET50_HEAD], model->classes, weights, bias, err);
    if (status != IMGQ_OK)
        return status;
    iq_resnet50_build(model->layout, model->classes, folded, model->ops);
    model->net = (iq_net){.layers = model->ops, .count = IQ_RESNET50_OPS, .in_channels = 3};
    return IMGQ_OK;
}

static imgq_status pack(imgq_model *model, const iq_weights *set, const iq_named *named, imgq_error *err)
{
    const size_t head = (size_t)IQ_RESNET50_FEATURES * model->classes;
    const size_t scratch_floats = head > IQ_FOLD_SCRATCH_FLOATS ? head : IQ_FOLD_SCRATCH_FLOATS;
    const size_t bytes = block_floats(model->classes) * sizeof(float);
    iq_fold fold = {.path = set->path, .hwio = iq_family_is_keras(named->family), .bn_eps = model->bn_eps};
    model->block = iq_alloc_aligned(model->env, bytes, ALIGNMENT);
    if (model->block == NULL)
        return iq_fail_nomem(err, bytes);
    fold.scratch = iq_alloc_aligned(model->env, scratch_floats * sizeof(float), ALIGNMENT);
    if (fold.scratch == NULL)
        return iq_fail_nomem(err, scratch_floats * sizeof(float));
    imgq_status status = fold_all(model, named, &fold, err);
    iq_free(model->env, fold.scratch);
    return status;
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
    iq_named named;
    imgq_status status = iq_names_resolve(set, &named, err);
    if (status != IMGQ_OK)
        return status;
    model->classes = named.classes;
    status = choose_layout(model, set, named.family, options, err);
    if (status == IMGQ_OK)
        status = iq_profile_choose(set, named.family, options->profile, &model->recipe, err);
    if (status == IMGQ_OK)
        status = choose_name(model, set, options->name, err);
    if (status == IMGQ_OK)
        status = choose_labels(model, set, options->labels_path, err);
    if (status == IMGQ_OK)
        status = pack(model, set, &named, err);
    return status == IMGQ_OK ? iq_weights_hash(set, model->hash, err) : status;
}

imgq_status iq_model_from_weights(imgq_env *env, const iq_weights *weights, const imgq_model_options *options,
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
    atomic_init(&model->holders, 1);
    status = iq_packs_create(env, &model->packs, err);
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

void imgq_model_close(imgq_model *model)
{
    /* The last holder must see all that the others did before they let go. */
    if (model == NULL || atomic_fetch_sub_explicit(&model->holders, 1, memory_order_acq_rel) > 1)
        return;
    imgq_env *env = model->env;
    iq_packs_destroy(model->packs);
    iq_free(env, model->block);
    iq_arena_release(&model->arena);
    iq_free(env, model);
    imgq_env_destroy(env);
}
