/* Threads that share one job's parts. */
#ifndef IQ_BASE_POOL_H
#define IQ_BASE_POOL_H

#include <pthread.h>
#include <stddef.h>

#include <imgq/env.h>

#include "base/shared.h"

typedef struct iq_pool iq_pool;
/** part in 0..count-1; thread in 0..threads-1, 0 is the caller. */
typedef void (*iq_pool_fn)(void *user, size_t part, size_t thread);

/** threads >= 1; the caller of iq_pool_run() is one of them, the others are started here with all signals blocked. */
IQ_SHARED imgq_status iq_pool_create(imgq_env *env, size_t threads, const char *thread_name,
                                     iq_pool **out, imgq_error *err);
IQ_SHARED size_t iq_pool_threads(const iq_pool *pool);
/** Calls fn for each part, parts handed out one by one; returns when all are done, whichever threads did them: one that
 *  its core is taken from delays only the part it has. Threads look for the next job for some microseconds before they
 *  sleep. One caller at a time. */
IQ_SHARED void iq_pool_run(iq_pool *pool, size_t count, iq_pool_fn fn, void *user);
IQ_SHARED void iq_pool_destroy(iq_pool *pool);
/** Cores that affinity and the cgroup's CPU quota grant this process, at least 1. */
IQ_SHARED size_t iq_granted_cores(void);

/** Cores that the quotas of a cgroup (v2) and of those above it grant, rounded up; 0: none has a quota.
 *  @param membership as /proc/self/cgroup @param root where the hierarchy is mounted */
size_t iq_cgroup_cores(const char *membership, const char *root);

/** pthread_create with all signals blocked in the new thread, and a name (15 characters kept). 0, or an errno. */
IQ_SHARED int iq_thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *user);

#endif
