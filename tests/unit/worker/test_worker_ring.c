/* The ring between taker and decoders. */
#include <pthread.h>
#include <stdatomic.h>

#include "support/check.h"
#include "support/failing_alloc.h"
#include "worker/ring.h"

enum { THREADS = 4, ITEMS = 20000, CAPACITY = 8 };

static void items_come_out_in_the_order_they_went_in(void)
{
    imgq_error err;
    imgq_env *env = failing_env(0);
    iq_ring *ring = NULL;
    int items[10];
    if (!CHECK_OK(iq_ring_create(env, 3, &ring, &err)))
        return;
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < 3; i++)
            CHECK(iq_ring_push(ring, &items[round * 3 + i]));
        CHECK(!iq_ring_push(ring, &items[9])); /* full */
        for (size_t i = 0; i < 3; i++)
            CHECK(iq_ring_pop(ring) == &items[round * 3 + i]);
    }
    iq_ring_destroy(ring);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

static void a_closed_ring_hands_out_what_it_has_and_then_nothing(void)
{
    imgq_error err;
    imgq_env *env = failing_env(0);
    iq_ring *ring = NULL;
    int item;
    if (!CHECK_OK(iq_ring_create(env, 3, &ring, &err)))
        return;
    CHECK(iq_ring_push(ring, &item));
    iq_ring_close(ring);
    CHECK(!iq_ring_push(ring, &item));
    CHECK(iq_ring_pop(ring) == &item);
    CHECK(iq_ring_pop(ring) == NULL);
    CHECK(iq_ring_pop(ring) == NULL);
    iq_ring_destroy(ring);
    iq_ring_destroy(NULL);
    imgq_env_destroy(env);
}

typedef struct crowd {
    iq_ring *ring;
    atomic_int seen[ITEMS];
    int numbers[ITEMS];
} crowd;

static void *pop_all(void *user)
{
    crowd *it = user;
    for (int *item; (item = iq_ring_pop(it->ring)) != NULL;)
        atomic_fetch_add(&it->seen[*item], 1);
    return NULL;
}

static void many_threads_get_each_item_once(void)
{
    static crowd it;
    imgq_error err;
    imgq_env *env = failing_env(0);
    pthread_t threads[THREADS];
    if (!CHECK_OK(iq_ring_create(env, CAPACITY, &it.ring, &err)))
        return;
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, pop_all, &it) == 0);
    for (int i = 0; i < ITEMS; i++) {
        it.numbers[i] = i;
        while (!iq_ring_push(it.ring, &it.numbers[i]))
            (void)sched_yield();
    }
    iq_ring_close(it.ring);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    int wrong = 0;
    for (size_t i = 0; i < ITEMS; i++)
        wrong += atomic_load(&it.seen[i]) != 1;
    CHECK_EQ_INT(0, wrong);
    iq_ring_destroy(it.ring);
    imgq_env_destroy(env);
}

static void creating_survives_every_failed_allocation(void)
{
    imgq_error err;
    for (size_t nth = 1;; nth++) {
        imgq_env *env = failing_env(nth);
        iq_ring *ring = NULL;
        if (env == NULL)
            continue;
        const imgq_status status = iq_ring_create(env, 8, &ring, &err);
        iq_ring_destroy(ring);
        imgq_env_destroy(env);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        if (status == IMGQ_OK)
            break;
        CHECK_EQ_INT(IMGQ_E_NOMEM, status);
    }
}

static const check_test tests[] = {
    CHECK_TEST(items_come_out_in_the_order_they_went_in),
    CHECK_TEST(a_closed_ring_hands_out_what_it_has_and_then_nothing),
    CHECK_TEST(many_threads_get_each_item_once),
    CHECK_TEST(creating_survives_every_failed_allocation),
};
CHECK_MAIN("worker ring", tests)
