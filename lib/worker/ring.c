/* A bounded queue between threads: a circle of pointers behind one lock. */
#include "worker/ring.h"

#include "base/alloc.h"
#include "base/env.h"
#include "base/fail.h"

#include <pthread.h>

struct iq_ring {
    imgq_env *env;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t filled;
    void **items;
    size_t capacity, first, count;
    bool closed;
};

imgq_status iq_ring_create(imgq_env *env, size_t capacity, iq_ring **out, imgq_error *err)
{
    iq_ring *ring = iq_alloc_array(env, 1, sizeof *ring);
    if (ring == NULL)
        return iq_fail_nomem(err, sizeof *ring);
    ring->items = iq_alloc_array(env, capacity, sizeof *ring->items);
    if (ring->items == NULL) {
        iq_free(env, ring);
        return iq_fail_nomem(err, capacity * sizeof *ring->items);
    }
    ring->capacity = capacity;
    ring->env = iq_env_hold(env);
    (void)pthread_mutex_init(&ring->lock, NULL); /* cannot fail with default attributes on Linux */
    (void)pthread_cond_init(&ring->filled, NULL);
    *out = ring;
    return IMGQ_OK;
}

bool iq_ring_push(iq_ring *ring, void *item)
{
    pthread_mutex_lock(&ring->lock);
    const bool fits = !ring->closed && ring->count < ring->capacity;
    if (fits) {
        ring->items[(ring->first + ring->count++) % ring->capacity] = item;
        pthread_cond_signal(&ring->filled);
    }
    pthread_mutex_unlock(&ring->lock);
    return fits;
}

void *iq_ring_pop(iq_ring *ring)
{
    void *item = NULL;
    pthread_mutex_lock(&ring->lock);
    while (ring->count == 0 && !ring->closed)
        pthread_cond_wait(&ring->filled, &ring->lock);
    if (ring->count > 0) {
        item = ring->items[ring->first];
        ring->first = (ring->first + 1) % ring->capacity;
        ring->count--;
    }
    pthread_mutex_unlock(&ring->lock);
    return item;
}

void iq_ring_close(iq_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    ring->closed = true;
    pthread_cond_broadcast(&ring->filled);
    pthread_mutex_unlock(&ring->lock);
}

void iq_ring_destroy(iq_ring *ring)
{
    if (ring == NULL)
        return;
    imgq_env *env = ring->env;
    pthread_cond_destroy(&ring->filled);
    pthread_mutex_destroy(&ring->lock);
    iq_free(env, ring->items);
    iq_free(env, ring);
    imgq_env_destroy(env);
}
