#include "base_tests.h"

#include "base/pool.h"

#include "support/check.h"
#include "support/failing_alloc.h"

#include <sched.h>
#include <stdatomic.h>

enum { PARTS = 1000 };

typedef struct tally {
    atomic_int runs[PARTS];
    atomic_size_t highest_thread;
} tally;

static void count_part(void *user, size_t part, size_t thread)
{
    tally *t = user;
    atomic_fetch_add(&t->runs[part], 1);
    size_t seen = atomic_load(&t->highest_thread);
    while (thread > seen && !atomic_compare_exchange_weak(&t->highest_thread, &seen, thread)) {
    }
}

static void run_pool(size_t threads)
{
    imgq_env *env = failing_env(0);
    imgq_error err;
    iq_pool *pool = NULL;
    static tally t;
    if (!CHECK_OK(iq_pool_create(env, threads, "test", &pool, &err)))
        return;
    for (int i = 0; i < PARTS; i++)
        atomic_store(&t.runs[i], 0);
    atomic_store(&t.highest_thread, 0);
    for (int round = 0; round < 200; round++)
        iq_pool_run(pool, PARTS, count_part, &t);
    iq_pool_run(pool, 0, count_part, &t);
    for (int i = 0; i < PARTS; i++)
        CHECK_EQ_INT(200, atomic_load(&t.runs[i]));
    CHECK(atomic_load(&t.highest_thread) < threads);
    iq_pool_destroy(pool);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

void a_pool_runs_each_part_once(void)
{
    run_pool(4);
}

void a_pool_of_one_needs_no_thread(void)
{
    run_pool(1);
}

void granted_cores_follow_affinity(void)
{
    cpu_set_t all, one;
    sched_getaffinity(0, sizeof all, &all);
    CHECK(iq_granted_cores() >= 1 && iq_granted_cores() <= (size_t)CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &one);
            break;
        }
    sched_setaffinity(0, sizeof one, &one);
    CHECK_EQ_SIZE(1, iq_granted_cores());
    sched_setaffinity(0, sizeof all, &all);
}
