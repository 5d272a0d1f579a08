/* Spells the name that each family gives to each tensor, and finds them all in a set. What the set holds beyond them
 * is refused: it would be a network that is not this one. */
#include "model/names.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/fail.h"
#include "model/told.h"

#include <stdio.h>
#include <string.h>

enum { CLASSES_MAX = 1 << 20 };

static const char *const torch_norm[IQ_ROLES] = {NULL, NULL, "weight", "bias", "running_mean", "running_var"};
static const char *const keras_roles[IQ_ROLES] = {"kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"};

static bool is_norm(uint32_t role)
{
    return role >= IQ_ROLE_GAMMA;
}

static void torch_name(const iq_resnet50_conv *conv, uint32_t role, char *out, size_t size)
{
    const char *last = is_norm(role) ? torch_norm[role] : role == IQ_ROLE_KERNEL ? "weight" : "bias";
    if (conv->stage == 0)
        snprintf(out, size, "%s1.%s", is_norm(role) ? "bn" : "conv", last);
    else if (conv->branch == 0)
        snprintf(out, size, "layer%u.%u.downsample.%d.%s", conv->stage, conv->block, is_norm(role), last);
    else
        snprintf(out, size, "layer%u.%u.%s%u.%s", conv->stage, conv->block, is_norm(role) ? "bn" : "conv", conv->branch,
                 last);
}

static void hugging_face_name(const iq_resnet50_conv *conv, uint32_t role, char *out, size_t size)
{
    const char *last = is_norm(role) ? torch_norm[role] : role == IQ_ROLE_KERNEL ? "weight" : "bias";
    const char *part = is_norm(role) ? "normalization" : "convolution";
    if (conv->stage == 0)
        snprintf(out, size, "resnet.embedder.embedder.%s.%s", part, last);
    else if (conv->branch == 0)
        snprintf(out, size, "resnet.encoder.stages.%u.layers.%u.shortcut.%s.%s", conv->stage - 1, conv->block, part,
                 last);
    else
        snprintf(out, size, "resnet.encoder.stages.%u.layers.%u.layer.%u.%s.%s", conv->stage - 1, conv->block,
                 conv->branch - 1, part, last);
}

static void keras_name(const iq_resnet50_conv *conv, uint32_t role, char *out, size_t size)
{
    const char *part = is_norm(role) ? "bn" : "conv";
    if (conv->stage == 0)
        snprintf(out, size, "conv1_%s/%s", part, keras_roles[role]);
    else
        snprintf(out, size, "conv%u_block%u_%u_%s/%s", conv->stage + 1, conv->block + 1, conv->branch, part,
                 keras_roles[role]);
}

static void keras_old_name(const iq_resnet50_conv *conv, uint32_t role, char *out, size_t size)
{
    static const char *const branches[] = {"1", "2a", "2b", "2c"};
    if (conv->stage == 0)
        snprintf(out, size, "%s/%s", is_norm(role) ? "bn_conv1" : "conv1", keras_roles[role]);
    else
        snprintf(out, size, "%s%u%c_branch%s/%s", is_norm(role) ? "bn" : "res", conv->stage + 1,
                 (char)('a' + conv->block), branches[conv->branch], keras_roles[role]);
}

typedef struct family_names {
    void (*spell)(const iq_resnet50_conv *conv, uint32_t role, char *out, size_t size);
    const char *head_kernel, *head_bias; /* NULL: the one kernel of rank 2, whatever its layer is called */
} family_names;

static const family_names families[] = {
    [IQ_FAMILY_TORCH] = {torch_name, "fc.weight", "fc.bias"},
    [IQ_FAMILY_HUGGING_FACE] = {hugging_face_name, "classifier.1.weight", "classifier.1.bias"},
    [IQ_FAMILY_KERAS] = {keras_name, NULL, NULL},
    [IQ_FAMILY_KERAS_OLD] = {keras_old_name, NULL, NULL},
};

/* A set under examination: which of its tensors have found their place. */
typedef struct search {
    const iq_weights *set;
    iq_named *named;
    bool *used; /* one per tensor */
} search;

static imgq_status refuse_name(const search *s, const char *name, const char *why, imgq_error *err)
{
    return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: tensor '%.80s' %s", iq_shown_path(s->set->path), name, why);
}

static const iq_tensor_view *take(search *s, const char *name)
{
    const iq_tensor_view *view = iq_weights_find(s->set, name);
    if (view != NULL)
        s->used[view - s->set->tensors] = true;
    return view;
}

/* "64x3x7x7"; a scalar is "()". */
static void spell_shape(const size_t *shape, uint32_t rank, char *out, size_t size)
{
    snprintf(out, size, "()");
    size_t len = 0;
    for (uint32_t d = 0; d < rank && len < size; d++)
        len += (size_t)snprintf(out + len, size - len, d == 0 ? "%zu" : "x%zu", shape[d]);
}

static imgq_status check_view(const search *s, const iq_tensor_view *view, const size_t *shape, uint32_t rank,
                              imgq_error *err)
{
    if (view->rank != rank || memcmp(view->shape, shape, rank * sizeof *shape) != 0) {
        char has[64], wants[64];
        spell_shape(view->shape, view->rank, has, sizeof has);
        spell_shape(shape, rank, wants, sizeof wants);
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: tensor '%.80s' has shape %s, a ResNet-50 has %s",
                       iq_shown_path(s->set->path), view->name, has, wants);
    }
    if (view->dtype == IQ_DTYPE_OTHER)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0,
                       "read model %s: tensor '%.80s' is of a type that is not read: F32, F16 and BF16 are",
                       iq_shown_path(s->set->path), view->name);
    return IMGQ_OK;
}

static imgq_status find_conv(search *s, size_t index, imgq_error *err)
{
    const iq_resnet50_conv conv = iq_resnet50_conv_at(index);
    const size_t in = conv.in_channels, out = conv.out_channels, k = conv.kernel;
    const size_t oihw[] = {out, in, k, k}, hwio[] = {k, k, in, out};
    const size_t *kernel_shape = iq_family_is_keras(s->named->family) ? hwio : oihw;
    for (uint32_t role = 0; role < IQ_ROLES; role++) {
        char name[IQ_TENSOR_NAME_MAX + 1];
        families[s->named->family].spell(&conv, role, name, sizeof name);
        const iq_tensor_view *view = take(s, name);
        s->named->layers[index].roles[role] = view;
        if (view == NULL && role != IQ_ROLE_BIAS)
            return refuse_name(s, name, "is missing", err);
        imgq_status status = IMGQ_OK;
        if (view != NULL)
            status =
                role == IQ_ROLE_KERNEL ? check_view(s, view, kernel_shape, 4, err) : check_view(s, view, &out, 1, err);
        if (status != IMGQ_OK)
            return status;
    }
    return IMGQ_OK;
}

/* The kernel of rank 2 in a Keras file; fails if there is none or a second one. */
static imgq_status find_keras_head(const search *s, const iq_tensor_view **out, imgq_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < s->set->count; i++) {
        const iq_tensor_view *view = &s->set->tensors[i];
        const size_t len = strlen(view->name);
        if (view->rank != 2 || len < 8 || strcmp(view->name + len - 7, "/kernel") != 0)
            continue;
        if (*out != NULL)
            return iq_fail(err, IMGQ_E_CORRUPT, 0,
                           "read model %s: two dense layers, '%.60s' and '%.60s': a ResNet-50 has one",
                           iq_shown_path(s->set->path), (*out)->name, view->name);
        *out = view;
    }
    return IMGQ_OK;
}

static imgq_status find_head(search *s, imgq_error *err)
{
    const family_names *family = &families[s->named->family];
    const bool keras = family->head_kernel == NULL;
    iq_named_layer *head = &s->named->layers[IQ_RESNET50_HEAD];
    char bias_name[IQ_TENSOR_NAME_MAX + 1];
    const iq_tensor_view *kernel = NULL;
    imgq_status status = IMGQ_OK;
    if (keras)
        status = find_keras_head(s, &kernel, err);
    else
        kernel = iq_weights_find(s->set, family->head_kernel);
    if (status != IMGQ_OK)
        return status;
    if (kernel == NULL)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: no head (%s): these weights cannot classify",
                       iq_shown_path(s->set->path), keras ? "a kernel of two dimensions" : family->head_kernel);
    const size_t classes = kernel->rank == 2 ? kernel->shape[keras ? 1 : 0] : 0;
    if (classes == 0 || classes > CLASSES_MAX)
        return refuse_name(s, kernel->name, "has no usable number of classes", err);
    const size_t torch_shape[] = {classes, IQ_RESNET50_FEATURES}, keras_shape[] = {IQ_RESNET50_FEATURES, classes};
    status = check_view(s, kernel, keras ? keras_shape : torch_shape, 2, err);
    if (status != IMGQ_OK)
        return status;
    if (keras)
        snprintf(bias_name, sizeof bias_name, "%.*s/bias", (int)(strlen(kernel->name) - 7), kernel->name);
    else
        snprintf(bias_name, sizeof bias_name, "%s", family->head_bias);
    head->roles[IQ_ROLE_KERNEL] = take(s, kernel->name);
    head->roles[IQ_ROLE_BIAS] = take(s, bias_name);
    if (head->roles[IQ_ROLE_BIAS] == NULL)
        return refuse_name(s, bias_name, "is missing", err);
    s->named->classes = (uint32_t)classes;
    return check_view(s, head->roles[IQ_ROLE_BIAS], &classes, 1, err);
}

/* PyTorch counts the batches it has trained on; nothing here depends on it. */
static bool is_ignored(const char *name)
{
    static const char suffix[] = ".num_batches_tracked";
    const size_t len = strlen(name);
    return len > sizeof suffix - 1 && strcmp(name + len - (sizeof suffix - 1), suffix) == 0;
}

/* By the first tensors of the network; two convs are asked for, so that a file that lost one still has a family. */
static bool tell_family(const iq_weights *set, iq_family *out)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        for (size_t index = 0; index < 2; index++) {
            for (uint32_t role = IQ_ROLE_KERNEL; role <= IQ_ROLE_GAMMA; role += IQ_ROLE_GAMMA - IQ_ROLE_KERNEL) {
                const iq_resnet50_conv conv = iq_resnet50_conv_at(index);
                char name[IQ_TENSOR_NAME_MAX + 1];
                families[i].spell(&conv, role, name, sizeof name);
                *out = (iq_family)i;
                if (iq_weights_find(set, name) != NULL)
                    return true;
            }
        }
    }
    return false;
}

imgq_status iq_names_resolve(const iq_weights *set, iq_named *out, imgq_error *err)
{
    memset(out, 0, sizeof *out);
    if (!tell_family(set, &out->family))
        return iq_fail(err, IMGQ_E_FORMAT, 0, "read model %s: no ResNet-50: %zu tensors, the first is '%.60s'",
                       iq_shown_path(set->path), set->count, set->count > 0 ? set->tensors[0].name : "");
    search s = {.set = set, .named = out, .used = iq_alloc_array(set->env, set->count, sizeof(bool))};
    if (s.used == NULL)
        return iq_fail_nomem(err, set->count);
    imgq_status status = IMGQ_OK;
    for (size_t i = 0; i < IQ_RESNET50_CONVS && status == IMGQ_OK; i++)
        status = find_conv(&s, i, err);
    if (status == IMGQ_OK)
        status = find_head(&s, err);
    for (size_t i = 0; i < set->count && status == IMGQ_OK; i++)
        if (!s.used[i] && !is_ignored(set->tensors[i].name))
            status = refuse_name(&s, set->tensors[i].name, "is not part of a ResNet-50", err);
    iq_free(set->env, s.used);
    return status;
}
