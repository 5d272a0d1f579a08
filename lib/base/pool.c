#include "base/pool.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fail.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What is left of a job is one number, so that taking a part and finding out whether the job is still the same is one
 * step: the round in the upper half, the next part in the lower. While a job is being written down the round is odd
 * and there are no parts. */
enum { ROUND_SHIFT = 32, PARTS_MAX = INT32_MAX };
static const uint64_t no_parts = UINT32_MAX;

/* How long a thread looks for work, or for the end, before it sleeps: layers follow each other within microseconds,
 * batches do not. A core that someone else needs is not kept for longer. */
static const int64_t spin_ns = 30000;

struct iq_pool {
    imgq_env *env;
    size_t threads;     /* with the caller */
    pthread_t *helpers; /* threads - 1 */
    size_t started;
    _Atomic uint64_t ticket; /* see above */
    /* The job of an even round: written while it is odd, by release stores, so that who reads a later job's fields
     * cannot take an earlier job's part. */
    _Atomic(iq_pool_fn) fn;
    _Atomic(void *) user;
    atomic_size_t count;
    atomic_size_t done; /* parts of this job */
    atomic_size_t next_helper;
    pthread_mutex_t lock; /* for sleeping alone: guards the two conditions */
    pthread_cond_t work, end;
    atomic_size_t asleep; /* helpers in work */
    atomic_bool waiting;  /* the caller is in end */
    atomic_bool stop;
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Takes and runs parts until there are none. A thread that comes late, whatever it was kept by, holds up nobody: parts
 * are what is waited for, not threads. */
static void run_parts(iq_pool *pool, size_t thread)
{
    uint64_t ticket = atomic_load(&pool->ticket);
    for (;;) {
        iq_pool_fn fn = atomic_load_explicit(&pool->fn, memory_order_acquire);
        void *user = atomic_load_explicit(&pool->user, memory_order_acquire);
        const size_t count = atomic_load_explicit(&pool->count, memory_order_acquire);
        const size_t part = (size_t)(ticket & UINT32_MAX);
        if (part >= count)
            return;
        if (!atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket + 1))
            continue;
        fn(user, part, thread);
        if (atomic_fetch_add(&pool->done, 1) + 1 == count && atomic_load(&pool->waiting)) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->end);
            pthread_mutex_unlock(&pool->lock);
        }
        ticket = atomic_load(&pool->ticket);
    }
}

static bool has_parts(iq_pool *pool)
{
    const uint64_t ticket = atomic_load(&pool->ticket);
    return (ticket & UINT32_MAX) < atomic_load_explicit(&pool->count, memory_order_acquire);
}

static bool all_done(iq_pool *pool)
{
    return atomic_load(&pool->done) == atomic_load_explicit(&pool->count, memory_order_relaxed);
}

/* @return whether it came true before the time was over */
static bool spin_until(iq_pool *pool, bool (*is_true)(iq_pool *pool))
{
    enum { PAUSES = 32 };
    const int64_t until = iq_clock_ns() + spin_ns;
    do {
        for (int i = 0; i < PAUSES; i++) {
            if (is_true(pool))
                return true;
            pause_cpu();
        }
    } while (iq_clock_ns() < until);
    return is_true(pool);
}

static bool has_parts_or_stops(iq_pool *pool)
{
    return has_parts(pool) || atomic_load(&pool->stop);
}

static void *helper_main(void *user)
{
    iq_pool *pool = user;
    const size_t thread = 1 + atomic_fetch_add(&pool->next_helper, 1);
    while (!atomic_load(&pool->stop)) {
        run_parts(pool, thread);
        if (spin_until(pool, has_parts_or_stops))
            continue;
        pthread_mutex_lock(&pool->lock);
        /* Counted before the last look: whoever brings work afterwards sees that someone sleeps. */
        atomic_fetch_add(&pool->asleep, 1);
        while (!has_parts_or_stops(pool))
            pthread_cond_wait(&pool->work, &pool->lock);
        atomic_fetch_sub(&pool->asleep, 1);
        pthread_mutex_unlock(&pool->lock);
    }
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
    pthread_cond_init(&pool->end, NULL);
    atomic_init(&pool->ticket, no_parts);
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

static void begin(iq_pool *pool, size_t count, iq_pool_fn fn, void *user)
{
    const uint64_t round = (atomic_load(&pool->ticket) >> ROUND_SHIFT) + 1;
    atomic_store(&pool->ticket, round << ROUND_SHIFT | no_parts);
    atomic_store_explicit(&pool->fn, fn, memory_order_release);
    atomic_store_explicit(&pool->user, user, memory_order_release);
    atomic_store_explicit(&pool->count, count, memory_order_release);
    atomic_store_explicit(&pool->done, 0, memory_order_release);
    atomic_store(&pool->ticket, (round + 1) << ROUND_SHIFT);
    if (atomic_load(&pool->asleep) > 0) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->work);
        pthread_mutex_unlock(&pool->lock);
    }
}

static void wait_for_end(iq_pool *pool)
{
    if (spin_until(pool, all_done))
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->waiting, true);
    while (!all_done(pool))
        pthread_cond_wait(&pool->end, &pool->lock);
    atomic_store(&pool->waiting, false);
    pthread_mutex_unlock(&pool->lock);
}

void iq_pool_run(iq_pool *pool, size_t count, iq_pool_fn fn, void *user)
{
    if (pool->started == 0 || count <= 1 || count > PARTS_MAX) {
        for (size_t part = 0; part < count; part++)
            fn(user, part, 0);
        return;
    }
    begin(pool, count, fn, user);
    run_parts(pool, 0);
    wait_for_end(pool);
}

void iq_pool_destroy(iq_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->started; i++)
        pthread_join(pool->helpers[i], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->end);
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

size_t iq_cgroup_cores(const char *membership, const char *root)
{
    char line[1024], path[1200];
    size_t least = 0;
    FILE *file = fopen(membership, "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        char *group = line + 3;
        group[strcspn(group, "\n")] = '\0';
        for (;;) {
            snprintf(path, sizeof path, "%s%s/cpu.max", root, group);
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
    size_t quota = iq_cgroup_cores("/proc/self/cgroup", "/sys/fs/cgroup");
    return quota > 0 && quota < cores ? quota : cores;
}
