/* A set of tensors: a growing table, an arena for texts, and a list of who owns the bytes. */
#include "model/weights.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/env.h"
#include "base/fail.h"
#include "model/told.h"

#include <string.h>

struct iq_weights_meta {
    struct iq_weights_meta *next;
    const char *key, *value;
};

struct iq_weights_owner {
    struct iq_weights_owner *next;
    void (*release)(imgq_env *env, void *user, size_t len);
    void *user;
    size_t len;
};

enum { SHOWN_PATH_MAX = 100 };

const char *iq_shown_path(const char *path)
{
    const size_t len = strlen(path);
    return len > SHOWN_PATH_MAX ? path + len - SHOWN_PATH_MAX : path;
}

bool iq_is_printable(const char *text)
{
    while ((unsigned char)*text >= ' ' && *text != 0x7F)
        text++;
    return *text == '\0';
}

imgq_status iq_weights_create(imgq_env *env, uint32_t source, const char *path, iq_weights **out, imgq_error *err)
{
    *out = NULL;
    iq_weights *set = iq_alloc_array(env, 1, sizeof *set);
    if (set == NULL)
        return iq_fail_nomem(err, sizeof *set);
    set->env = iq_env_hold(env);
    atomic_init(&set->holders, 1);
    set->arena.env = env;
    set->source = source;
    set->path = iq_arena_strndup(&set->arena, path, strlen(path));
    if (set->path == NULL) {
        iq_weights_destroy(set);
        return iq_fail_nomem(err, strlen(path) + 1);
    }
    *out = set;
    return IMGQ_OK;
}

static imgq_status refuse_tensor(const iq_weights *set, const char *name, const char *why, imgq_error *err)
{
    return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: tensor '%.80s' %s", iq_shown_path(set->path), name, why);
}

static size_t dtype_size(uint32_t dtype)
{
    return dtype == IQ_DTYPE_F32 ? 4 : 2;
}

static imgq_status check_tensor(const iq_weights *set, const char *name, uint32_t dtype, const size_t *shape,
                                uint32_t rank, size_t bytes, imgq_error *err)
{
    if (!iq_is_printable(name))
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: tensor %zu has a name with control characters",
                       iq_shown_path(set->path), set->count);
    if (*name == '\0' || strlen(name) > IQ_TENSOR_NAME_MAX)
        return refuse_tensor(set, name, "has a name that is empty or too long", err);
    if (rank > IQ_TENSOR_RANK_MAX)
        return refuse_tensor(set, name, "has too many dimensions", err);
    size_t wanted = dtype_size(dtype);
    for (uint32_t d = 0; d < rank; d++)
        if (iq_mul_size(&wanted, wanted, shape[d]))
            return refuse_tensor(set, name, "has a shape that overflows", err);
    if (dtype != IQ_DTYPE_OTHER && wanted != bytes)
        return iq_fail(err, IMGQ_E_CORRUPT, 0,
                       "read model %s: tensor '%.80s' has %zu bytes, its type and shape ask for %zu",
                       iq_shown_path(set->path), name, bytes, wanted);
    if (iq_weights_find(set, name) != NULL)
        return refuse_tensor(set, name, "is there twice", err);
    if (set->count >= IQ_WEIGHTS_MAX)
        return iq_fail(err, IMGQ_E_LIMIT, 0, "read model %s: more than %d tensors", iq_shown_path(set->path),
                       IQ_WEIGHTS_MAX);
    return IMGQ_OK;
}

imgq_status iq_weights_add(iq_weights *set, const char *name, uint32_t dtype, const size_t *shape, uint32_t rank,
                           const void *data, size_t bytes, imgq_error *err)
{
    imgq_status status = check_tensor(set, name, dtype, shape, rank, bytes, err);
    if (status != IMGQ_OK)
        return status;
    if (set->count == set->cap) {
        const size_t cap = set->cap == 0 ? 64 : 2 * set->cap;
        iq_tensor_view *tensors = iq_realloc(set->env, set->tensors, cap * sizeof *tensors);
        if (tensors == NULL)
            return iq_fail_nomem(err, cap * sizeof *tensors);
        set->tensors = tensors;
        set->cap = cap;
    }
    iq_tensor_view view = {.dtype = dtype, .rank = rank, .data = data, .bytes = bytes};
    view.name = iq_arena_strndup(&set->arena, name, strlen(name));
    if (view.name == NULL)
        return iq_fail_nomem(err, strlen(name) + 1);
    for (uint32_t d = 0; d < rank; d++)
        view.shape[d] = shape[d];
    set->tensors[set->count++] = view;
    return IMGQ_OK;
}

imgq_status iq_weights_own(iq_weights *set, void (*release)(imgq_env *env, void *user, size_t len), void *user,
                           size_t len, imgq_error *err)
{
    struct iq_weights_owner *owner = iq_arena_alloc(&set->arena, sizeof *owner);
    if (owner == NULL) {
        release(set->env, user, len);
        return iq_fail_nomem(err, sizeof *owner);
    }
    *owner = (struct iq_weights_owner){.next = set->owners, .release = release, .user = user, .len = len};
    set->owners = owner;
    return IMGQ_OK;
}

static void release_block(imgq_env *env, void *user, size_t len)
{
    (void)len;
    iq_free(env, user);
}

void *iq_weights_alloc(iq_weights *set, size_t bytes)
{
    void *block = iq_alloc_aligned(set->env, bytes, 64);
    if (block == NULL || iq_weights_own(set, release_block, block, bytes, NULL) != IMGQ_OK)
        return NULL;
    return block;
}

char *iq_weights_text(iq_weights *set, const char *text, size_t len)
{
    return iq_arena_strndup(&set->arena, text, len);
}

imgq_status iq_weights_set_meta(iq_weights *set, const char *key, const char *value, imgq_error *err)
{
    struct iq_weights_meta *meta = iq_arena_alloc(&set->arena, sizeof *meta);
    if (meta == NULL)
        return iq_fail_nomem(err, sizeof *meta);
    meta->key = iq_arena_strndup(&set->arena, key, strlen(key));
    meta->value = iq_arena_strndup(&set->arena, value, strlen(value));
    if (meta->key == NULL || meta->value == NULL)
        return iq_fail_nomem(err, strlen(key) + strlen(value) + 2);
    meta->next = set->metas;
    set->metas = meta;
    return IMGQ_OK;
}

const char *iq_weights_meta(const iq_weights *set, const char *key)
{
    for (const struct iq_weights_meta *meta = set->metas; meta != NULL; meta = meta->next)
        if (strcmp(meta->key, key) == 0)
            return meta->value;
    return NULL;
}

const iq_tensor_view *iq_weights_find(const iq_weights *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->tensors[i].name, name) == 0)
            return &set->tensors[i];
    return NULL;
}

iq_weights *iq_weights_hold(iq_weights *set)
{
    atomic_fetch_add_explicit(&set->holders, 1, memory_order_relaxed);
    return set;
}

void iq_weights_destroy(iq_weights *set)
{
    /* The last holder must see all that the others did before they let go. */
    if (set == NULL || atomic_fetch_sub_explicit(&set->holders, 1, memory_order_acq_rel) > 1)
        return;
    imgq_env *env = set->env;
    for (struct iq_weights_owner *owner = set->owners; owner != NULL; owner = owner->next)
        owner->release(env, owner->user, owner->len);
    iq_arena_release(&set->arena);
    iq_free(env, set->tensors);
    iq_free(env, set);
    imgq_env_destroy(env);
}
