/* A list under a lock: passes are created seldom, and each layer is asked for once. */
#include "nn/packs.h"

#include "base/alloc.h"
#include "base/env.h"
#include "nn/workspace.h"

#include <pthread.h>

typedef struct pack {
    struct pack *next;
    const float *weights;
    const iq_conv_kernel *kernel;
    const iq_kernel_set *set;
    float *data;
} pack;

struct iq_packs {
    imgq_env *env;        /* held */
    pthread_mutex_t lock; /* guards the list; held while a pack is made, so that none is made twice */
    pack *first;
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

static imgq_status make(iq_packs *packs, const iq_conv_kernel *kernel, const iq_conv *conv, pack **out, imgq_error *err)
{
    const size_t bytes = kernel->packed_floats(conv) * sizeof(float);
    pack *made = iq_alloc_array(packs->env, 1, sizeof *made);
    if (made == NULL)
        return iq_fail_nomem(err, sizeof *made);
    *made = (pack){.weights = conv->weights, .kernel = kernel, .set = conv->set};
    made->data = iq_alloc_huge(packs->env, bytes);
    if (made->data == NULL) {
        iq_free(packs->env, made);
        return iq_fail_nomem(err, bytes);
    }
    kernel->pack(conv, made->data);
    made->next = packs->first;
    packs->first = made;
    packs->bytes += bytes;
    *out = made;
    return IMGQ_OK;
}

imgq_status iq_packs_get(iq_packs *packs, const iq_conv_kernel *kernel, const iq_conv *conv, const float **out,
                         imgq_error *err)
{
    *out = NULL;
    if (kernel->packed_floats == NULL)
        return IMGQ_OK;
    imgq_status status = IMGQ_OK;
    pthread_mutex_lock(&packs->lock);
    pack *found = packs->first;
    while (found != NULL && (found->weights != conv->weights || found->kernel != kernel || found->set != conv->set))
        found = found->next;
    if (found == NULL)
        status = make(packs, kernel, conv, &found, err);
    pthread_mutex_unlock(&packs->lock);
    if (status == IMGQ_OK)
        *out = found->data;
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
        pack *gone = packs->first;
        packs->first = gone->next;
        iq_free(env, gone->data);
        iq_free(env, gone);
    }
    pthread_mutex_destroy(&packs->lock);
    iq_free(env, packs);
    imgq_env_destroy(env);
}
