/* Blocks in a list under a lock: passes are created seldom, and each asks once. */
#include "nn/packs.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/env.h"
#include "base/fail.h"
#include "nn/workspace.h"

#include <pthread.h>

enum { LINE_FLOATS = 16 };

/* What one call made. */
typedef struct block {
    struct block *next;
    float *data;
    size_t count;
    iq_pack packs[]; /* a flexible tail: one allocation */
} block;

struct iq_packs {
    imgq_env *env;        /* held */
    pthread_mutex_t lock; /* guards the list; held while packs are made, so that none is made twice */
    block *first;
    size_t bytes;
};

imgq_status iq_packs_create(imgq_env *env, iq_packs **out, imgq_error *err)
{
    *out = NULL;
    iq_packs *packs = iq_alloc_array(env, 1, sizeof *packs);
    if (packs == NULL)
        return iq_fail_nomem(err, sizeof *packs);
    packs->env = iq_env_hold(env);
    pthread_mutex_init(&packs->lock, NULL);
    *out = packs;
    return IMGQ_OK;
}

static const float *find(const iq_packs *packs, const iq_pack *wanted)
{
    for (const block *b = packs->first; b != NULL; b = b->next)
        for (size_t i = 0; i < b->count; i++)
            if (b->packs[i].conv.weights == wanted->conv.weights && b->packs[i].kernel == wanted->kernel &&
                b->packs[i].conv.set == wanted->conv.set)
                return b->packs[i].data;
    return NULL;
}

static size_t packed_floats(const iq_pack *pack)
{
    return iq_divide_up(pack->kernel->packed_floats(&pack->conv), LINE_FLOATS) * LINE_FLOATS;
}

/* A block with room for the packs that are not there. NULL without an error: all are there. */
static imgq_status begin_block(iq_packs *packs, const iq_pack *wanted, size_t count, block **out, imgq_error *err)
{
    size_t missing = 0, floats = 0, bytes;
    bool overflow = false;
    *out = NULL;
    for (size_t i = 0; i < count; i++)
        if (wanted[i].data == NULL) {
            overflow = overflow || iq_add_size(&floats, floats, packed_floats(&wanted[i]));
            missing++;
        }
    if (missing == 0)
        return IMGQ_OK;
    if (overflow || iq_mul_size(&bytes, floats, sizeof(float)))
        return iq_fail(err, IMGQ_E_LIMIT, 0, "the packed weights of %zu layers are more than memory can be", missing);
    block *b = iq_alloc(packs->env, sizeof *b + missing * sizeof *b->packs);
    if (b == NULL)
        return iq_fail_nomem(err, sizeof *b + missing * sizeof *b->packs);
    *b = (block){.data = iq_alloc_huge(packs->env, bytes)};
    if (b->data == NULL) {
        iq_free(packs->env, b);
        return iq_fail_nomem(err, bytes);
    }
    packs->bytes += bytes;
    *out = b;
    return IMGQ_OK;
}

imgq_status iq_packs_get(iq_packs *packs, iq_pack *wanted, size_t count, imgq_error *err)
{
    block *b = NULL;
    pthread_mutex_lock(&packs->lock);
    for (size_t i = 0; i < count; i++)
        wanted[i].data = find(packs, &wanted[i]);
    imgq_status status = begin_block(packs, wanted, count, &b, err);
    float *at = b != NULL ? b->data : NULL;
    for (size_t i = 0; b != NULL && i < count; i++) {
        if (wanted[i].data != NULL)
            continue;
        wanted[i].kernel->pack(&wanted[i].conv, at);
        wanted[i].data = at;
        at += packed_floats(&wanted[i]);
        b->packs[b->count++] = wanted[i];
    }
    if (b != NULL) {
        b->next = packs->first;
        packs->first = b;
    }
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
        iq_free(env, gone->data);
        iq_free(env, gone);
    }
    pthread_mutex_destroy(&packs->lock);
    iq_free(env, packs);
    imgq_env_destroy(env);
}
