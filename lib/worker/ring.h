/* A bounded queue between threads: first in, first out, and it ends when it is closed. */
#ifndef IQ_WORKER_RING_H
#define IQ_WORKER_RING_H

#include <stdbool.h>
#include <stddef.h>

#include <imgq/env.h>

/** Any thread may push and pop. */
typedef struct iq_ring iq_ring;

/** @param capacity at least 1 @param out owned, iq_ring_destroy() @return IMGQ_OK; IMGQ_E_NOMEM */
imgq_status iq_ring_create(imgq_env *env, size_t capacity, iq_ring **out, imgq_error *err);
/** Never blocks. @param item borrowed, not NULL @return false when full or closed */
bool iq_ring_push(iq_ring *ring, void *item);
/** Waits for an item. @return NULL when the ring is closed and empty */
void *iq_ring_pop(iq_ring *ring);
/** No more items; those inside are still handed out. */
void iq_ring_close(iq_ring *ring);
/** NULL is a no-op. Nobody may be inside. */
void iq_ring_destroy(iq_ring *ring);

#endif
