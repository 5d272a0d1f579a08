/* Blocks in a list under a lock: passes are created seldom, and each asks once. A block's packs are made by the threads
 * of the pass that asks, one layer at a time each, the largest first. */
#include "nn/packs.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/env.h"
#include "base/fail.h"
#include "nn/cpu.h"
#include "nn/workspace.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    LINE_FLOATS = 16,
    MAKERS_MAX = 8 /* each holds the plain weights of one layer meanwhile; there are few layers to share */
};

/* What one call made. */
typedef struct block {
    struct block *next;
    float *data;
    size_t count;
    iq_pack packs[]; /* a flexible tail: one allocation */
} block;

struct iq_packs {
    imgq_env *env; /* held */
    const iq_net *net;
    pthread_mutex_t lock; /* guards the list; held while packs are made, so that none is made twice */
    block *first;
    size_t bytes;
};

/* The packs of one call in the making. */
typedef struct making {
    const iq_net *net;
    block *made;    /* its packs' data is where they go */
    float *scratch; /* scratch_floats for each maker; NULL: no layer needs any */
    size_t scratch_floats;
    atomic_size_t next; /* pack */
    atomic_bool failed;
    imgq_status status[MAKERS_MAX];
    imgq_error errors[MAKERS_MAX];
} making;

imgq_status iq_packs_create(imgq_env *env, const iq_net *net, iq_packs **out, imgq_error *err)
{
    *out = NULL;
    iq_packs *packs = iq_alloc_array(env, 1, sizeof *packs);
    if (packs == NULL)
        return iq_fail_nomem(err, sizeof *packs);
    packs->env = iq_env_hold(env);
    packs->net = net;
    pthread_mutex_init(&packs->lock, NULL);
    *out = packs;
    return IMGQ_OK;
}

static bool is_plain(const iq_pack *pack)
{
    return pack->kernel->packed_floats == NULL;
}

/* Plain weights are the same for all kernels. */
static bool is_same(const iq_pack *a, const iq_pack *b)
{
    if (a->layer != b->layer || is_plain(a) != is_plain(b))
        return false;
    return is_plain(a) || (a->kernel == b->kernel && a->conv.set == b->conv.set && a->conv.bf16 == b->conv.bf16);
}

static const float *find(const iq_packs *packs, const iq_pack *wanted)
{
    const float *own = packs->net->layers[wanted->layer].weights;
    if (is_plain(wanted) && own != NULL)
        return own;
    for (const block *b = packs->first; b != NULL; b = b->next)
        for (size_t i = 0; i < b->count; i++)
            if (is_same(&b->packs[i], wanted))
                return b->packs[i].data;
    return NULL;
}

static size_t plain_floats(const iq_packs *packs, const iq_pack *pack)
{
    return iq_layer_weight_floats(&packs->net->layers[pack->layer]);
}

static size_t made_floats(const iq_packs *packs, const iq_pack *pack)
{
    const size_t floats = is_plain(pack) ? plain_floats(packs, pack) : pack->kernel->packed_floats(&pack->conv);
    return iq_divide_up(floats, LINE_FLOATS) * LINE_FLOATS;
}

/* A block with room for the packs that are not there, and those packs in it, without data. NULL without an error: all
 * are there. */
static imgq_status begin_block(iq_packs *packs, const iq_pack *wanted, size_t count, block **out, size_t *bytes,
                               imgq_error *err)
{
    size_t missing = 0, floats = 0;
    bool overflow = false;
    *out = NULL;
    for (size_t i = 0; i < count; i++)
        if (wanted[i].data == NULL) {
            overflow = overflow || iq_add_size(&floats, floats, made_floats(packs, &wanted[i]));
            missing++;
        }
    if (missing == 0)
        return IMGQ_OK;
    if (overflow || iq_mul_size(bytes, floats, sizeof(float)))
        return iq_fail(err, IMGQ_E_LIMIT, 0, "the packed weights of %zu layers are more than memory can be", missing);
    block *b = iq_alloc(packs->env, sizeof *b + missing * sizeof *b->packs);
    if (b == NULL)
        return iq_fail_nomem(err, sizeof *b + missing * sizeof *b->packs);
    *b = (block){.data = iq_alloc_huge(packs->env, *bytes)};
    if (b->data == NULL) {
        iq_free(packs->env, b);
        return iq_fail_nomem(err, *bytes);
    }
    for (size_t i = 0; i < count; i++)
        if (wanted[i].data == NULL)
            b->packs[b->count++] = wanted[i];
    *out = b;
    return IMGQ_OK;
}

static void free_block(iq_packs *packs, block *b)
{
    iq_free(packs->env, b->data);
    iq_free(packs->env, b);
}

static int by_size(const void *a, const void *b)
{
    const iq_pack *x = a, *y = b;
    const size_t x_floats = iq_conv_depth(&x->conv) * x->conv.out_channels;
    const size_t y_floats = iq_conv_depth(&y->conv) * y->conv.out_channels;
    if (x_floats != y_floats)
        return x_floats > y_floats ? -1 : 1;
    return (x->layer > y->layer) - (x->layer < y->layer);
}

static imgq_status make_one(making *m, iq_pack *pack, float *scratch, imgq_error *err)
{
    float *out = (float *)(uintptr_t)pack->data;
    const float *own = m->net->layers[pack->layer].weights;
    float *plain = is_plain(pack) ? out : scratch;
    imgq_status status = own != NULL ? IMGQ_OK : m->net->read_weights(m->net->read_user, pack->layer, plain, err);
    if (status != IMGQ_OK || is_plain(pack))
        return status;
    pack->conv.weights = own != NULL ? own : plain;
    pack->kernel->pack(&pack->conv, out);
    pack->conv.weights = NULL; /* the scratch will hold other layers */
    return IMGQ_OK;
}

static void make_some(void *user, size_t maker, size_t thread)
{
    (void)thread;
    making *m = user;
    size_t i;
    /* As in the runs: the host may round as it likes. */
    const uint64_t saved = iq_fp_enter();
    while (!atomic_load(&m->failed) && (i = atomic_fetch_add(&m->next, 1)) < m->made->count) {
        m->status[maker] = make_one(m, &m->made->packs[i], m->scratch + maker * m->scratch_floats, &m->errors[maker]);
        if (m->status[maker] != IMGQ_OK)
            atomic_store(&m->failed, true);
    }
    iq_fp_leave(saved);
}

/* All packs of the block; the pool's threads are the makers. */
static imgq_status make_all(iq_packs *packs, iq_pool *pool, block *b, imgq_error *err)
{
    making *m = iq_alloc_array(packs->env, 1, sizeof *m);
    if (m == NULL)
        return iq_fail_nomem(err, sizeof *m);
    size_t makers = iq_pool_threads(pool) < MAKERS_MAX ? iq_pool_threads(pool) : MAKERS_MAX;
    makers = makers < b->count ? makers : b->count;
    *m = (making){.net = packs->net, .made = b};
    float *at = b->data;
    qsort(b->packs, b->count, sizeof *b->packs, by_size);
    for (size_t i = 0; i < b->count; i++) {
        const iq_pack *pack = &b->packs[i];
        const size_t plain = iq_divide_up(plain_floats(packs, pack), LINE_FLOATS) * LINE_FLOATS;
        if (packs->net->layers[pack->layer].weights == NULL && !is_plain(pack) && plain > m->scratch_floats)
            m->scratch_floats = plain;
        b->packs[i].data = at;
        at += made_floats(packs, pack);
    }
    const size_t bytes = makers * m->scratch_floats * sizeof *m->scratch;
    imgq_status status = IMGQ_OK;
    if (bytes > 0 && (m->scratch = iq_alloc_huge(packs->env, bytes)) == NULL)
        status = iq_fail_nomem(err, bytes);
    if (status == IMGQ_OK)
        iq_pool_run(pool, makers, make_some, m);
    for (size_t i = 0; i < makers && status == IMGQ_OK; i++) {
        status = m->status[i];
        if (status != IMGQ_OK && err != NULL)
            *err = m->errors[i];
    }
    iq_free(packs->env, m->scratch);
    iq_free(packs->env, m);
    return status;
}

static imgq_status add_missing(iq_packs *packs, iq_pool *pool, const iq_pack *wanted, size_t count, imgq_error *err)
{
    block *b = NULL;
    size_t bytes = 0;
    imgq_status status = begin_block(packs, wanted, count, &b, &bytes, err);
    if (status != IMGQ_OK || b == NULL)
        return status;
    status = make_all(packs, pool, b, err);
    if (status != IMGQ_OK) {
        free_block(packs, b);
        return status;
    }
    packs->bytes += bytes;
    b->next = packs->first;
    packs->first = b;
    return IMGQ_OK;
}

imgq_status iq_packs_get(iq_packs *packs, iq_pool *pool, iq_pack *wanted, size_t count, imgq_error *err)
{
    pthread_mutex_lock(&packs->lock);
    for (size_t i = 0; i < count; i++)
        wanted[i].data = find(packs, &wanted[i]);
    imgq_status status = add_missing(packs, pool, wanted, count, err);
    for (size_t i = 0; i < count && status == IMGQ_OK; i++)
        wanted[i].data = find(packs, &wanted[i]);
    pthread_mutex_unlock(&packs->lock);
    return status;
}

size_t iq_packs_bytes(iq_packs *packs)
{
    pthread_mutex_lock(&packs->lock);
    const size_t bytes = packs->bytes;
    pthread_mutex_unlock(&packs->lock);
    return bytes;
}

void iq_packs_destroy(iq_packs *packs)
{
    if (packs == NULL)
        return;
    imgq_env *env = packs->env;
    while (packs->first != NULL) {
        block *gone = packs->first;
        packs->first = gone->next;
        free_block(packs, gone);
    }
    pthread_mutex_destroy(&packs->lock);
    iq_free(env, packs);
    imgq_env_destroy(env);
}
