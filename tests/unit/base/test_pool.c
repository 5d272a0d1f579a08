#include "base_tests.h"

#include "base/pool.h"

#include "support/check.h"
#include "support/failing_alloc.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

typedef struct short_job {
    size_t round, parts;
    atomic_size_t *sum;
} short_job;

static void add_round(void *user, size_t part, size_t thread)
{
    (void)thread;
    const short_job *job = user;
    CHECK(part < job->parts);
    atomic_fetch_add(job->sum, job->round * 8 + part);
}

/* Threads that come late find another job than the one they were called for: none of its parts may be done twice, and
 * none with the earlier job's memory. */
void short_jobs_after_each_other_do_not_meet(void)
{
    imgq_env *env = failing_env(0);
    imgq_error err;
    iq_pool *pool = NULL;
    atomic_size_t sum = 0;
    size_t want = 0;
    if (!CHECK_OK(iq_pool_create(env, 5, "test", &pool, &err)))
        return;
    for (size_t round = 0; round < 20000; round++) {
        short_job job = {.round = round, .parts = round % 7, .sum = &sum};
        iq_pool_run(pool, job.parts, add_round, &job);
        for (size_t part = 0; part < job.parts; part++)
            want += round * 8 + part;
        job.parts = 0; /* who still reads it is caught */
    }
    CHECK_EQ_SIZE(want, atomic_load(&sum));
    iq_pool_destroy(pool);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
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

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    if (!CHECK(file != NULL))
        return;
    fputs(text, file);
    fclose(file);
}

void granted_cores_follow_every_quota_above(void)
{
    static const struct {
        const char *outer, *inner;
        size_t cores;
    } cases[] = {
        {"max 100000\n", "max 100000\n", 0},       {"400000 100000\n", "max 100000\n", 4},
        {"400000 100000\n", "150000 100000\n", 2}, {"50000 100000\n", "800000 100000\n", 1},
        {"nonsense\n", "300000 100000\n", 3},      {"100000 0\n", "\n", 0},
    };
    char root[128], outer[160], inner[192], membership[192];
    const char *temporary = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/imgq-cgroup-XXXXXX", temporary != NULL ? temporary : "/tmp");
    if (!CHECK(mkdtemp(root) != NULL))
        return;
    snprintf(outer, sizeof outer, "%s/slice", root);
    snprintf(inner, sizeof inner, "%s/unit", outer);
    snprintf(membership, sizeof membership, "%s/membership", root);
    mkdir(outer, 0700);
    mkdir(inner, 0700);
    write_file(root, "membership", "1:cpu:/elsewhere\n0::/slice/unit\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(outer, "cpu.max", cases[i].outer);
        write_file(inner, "cpu.max", cases[i].inner);
        CHECK_EQ_SIZE(cases[i].cores, iq_cgroup_cores(membership, root));
    }
    static const char *const made[] = {"slice/unit/cpu.max", "slice/unit", "slice/cpu.max", "slice", "membership", ""};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", root, made[i]);
        CHECK_EQ_INT(0, remove(path));
    }
    CHECK_EQ_SIZE(0, iq_cgroup_cores(membership, root));
}

enum { HANGING_PARTS = 64 };

/* A part waits until all others are done: who has it is as good as off its core. */
static void wait_in_the_first_part(void *user, size_t part, size_t thread)
{
    atomic_size_t *done = user;
    (void)thread;
    while (part == 0 && atomic_load(done) < HANGING_PARTS - 1)
        sched_yield();
    atomic_fetch_add(done, 1);
}

void a_part_that_hangs_leaves_the_others_to_all(void)
{
    imgq_env *env = failing_env(0);
    imgq_error err;
    iq_pool *pool = NULL;
    if (!CHECK_OK(iq_pool_create(env, 3, "test", &pool, &err)))
        return;
    for (int round = 0; round < 50; round++) {
        atomic_size_t done = 0;
        iq_pool_run(pool, HANGING_PARTS, wait_in_the_first_part, &done);
        CHECK_EQ_SIZE(HANGING_PARTS, atomic_load(&done));
    }
    iq_pool_destroy(pool);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}
