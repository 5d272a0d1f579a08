#include "base/pool.h"

#include "base/alloc.h"
#include "base/fail.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct iq_pool {
    imgq_env *env;
    size_t threads;     /* with the caller */
    pthread_t *helpers; /* threads - 1 */
    size_t started;
    pthread_mutex_t lock; /* guards round, busy, stop and the current job's fields */
    pthread_cond_t work, done;
    uint64_t round; /* counts jobs: a helper that wakes looks whether it is a new one */
    size_t busy;    /* helpers that have not finished this round */
    bool stop;
    size_t count;
    iq_pool_fn fn;
    void *user;
    atomic_size_t next_part; /* relaxed: the lock orders everything around a round */
    atomic_size_t next_helper;
};

static void run_parts(iq_pool *pool, size_t thread)
{
    for (;;) {
        size_t part = atomic_fetch_add_explicit(&pool->next_part, 1, memory_order_relaxed);
        if (part >= pool->count)
            return;
        pool->fn(pool->user, part, thread);
    }
}

static void *helper_main(void *user)
{
    iq_pool *pool = user;
    size_t thread = 1 + atomic_fetch_add(&pool->next_helper, 1);
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->stop && pool->round == seen)
            pthread_cond_wait(&pool->work, &pool->lock);
        if (pool->stop)
            break;
        seen = pool->round;
        pthread_mutex_unlock(&pool->lock);
        run_parts(pool, thread);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0)
            pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int iq_thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *user)
{
    sigset_t all, old;
    char short_name[16];
    sigfillset(&all);
    /* Set here, inherited there: no signal of the host may ever land in a thread of ours. */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = pthread_create(out, NULL, fn, user);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code == 0) {
        snprintf(short_name, sizeof short_name, "%.15s", name);
        pthread_setname_np(*out, short_name);
    }
    return code;
}

imgq_status iq_pool_create(imgq_env *env, size_t threads, const char *thread_name, iq_pool **out, imgq_error *err)
{
    *out = NULL;
    iq_pool *pool = iq_alloc_array(env, 1, sizeof *pool);
    if (pool == NULL)
        return iq_fail_nomem(err, sizeof *pool);
    pool->env = env;
    pool->threads = threads > 0 ? threads : 1;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->helpers = iq_alloc_array(env, pool->threads, sizeof *pool->helpers);
    if (pool->helpers == NULL) {
        iq_pool_destroy(pool);
        return iq_fail_nomem(err, threads * sizeof *pool->helpers);
    }
    while (pool->started + 1 < pool->threads) {
        int code = iq_thread_start(&pool->helpers[pool->started], thread_name, helper_main, pool);
        if (code != 0) {
            char text[128];
            iq_pool_destroy(pool);
            return iq_fail(err, IMGQ_E_NOMEM, code, "start thread %s: %s", thread_name,
                           iq_strerror(code, text, sizeof text));
        }
        pool->started++;
    }
    *out = pool;
    return IMGQ_OK;
}

size_t iq_pool_threads(const iq_pool *pool)
{
    return pool->threads;
}

void iq_pool_run(iq_pool *pool, size_t count, iq_pool_fn fn, void *user)
{
    if (pool->started == 0 || count <= 1) {
        for (size_t part = 0; part < count; part++)
            fn(user, part, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->fn = fn;
    pool->user = user;
    pool->count = count;
    atomic_store_explicit(&pool->next_part, 0, memory_order_relaxed);
    pool->busy = pool->started;
    pool->round++;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    run_parts(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->busy > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void iq_pool_destroy(iq_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->started; i++)
        pthread_join(pool->helpers[i], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->lock);
    iq_free(pool->env, pool->helpers);
    iq_free(pool->env, pool);
}

/* cgroup v2 writes "max 100000" or "150000 100000": microseconds of CPU in each period. 0: no quota. */
static size_t quota_cores(const char *path)
{
    char text[64] = "";
    unsigned long long quota, period;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    bool read = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    if (!read || sscanf(text, "%llu %llu", &quota, &period) != 2 || period == 0)
        return 0;
    return (size_t)((quota + period - 1) / period);
}

/* The process's own cgroup and each one above it may hold a quota. */
static size_t cgroup_cores(void)
{
    char line[1024], path[1200];
    size_t least = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        char *group = line + 3;
        group[strcspn(group, "\n")] = '\0';
        for (;;) {
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
            size_t cores = quota_cores(path);
            if (cores > 0 && (least == 0 || cores < least))
                least = cores;
            char *slash = strrchr(group, '/');
            if (slash == NULL || *group == '\0')
                break;
            *slash = '\0';
        }
    }
    fclose(file);
    return least;
}

size_t iq_granted_cores(void)
{
    cpu_set_t set;
    size_t cores = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        cores = (size_t)CPU_COUNT(&set);
    size_t quota = cgroup_cores();
    return quota > 0 && quota < cores ? quota : cores;
}
