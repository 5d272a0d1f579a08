#include "redis/conn_pool.h"

#include "support/check.h"
#include "support/failing_alloc.h"
#include "support/redis_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static imgq_env *env;
static redis_fixture *server;

static imgq_status open_pool(imgq_env *some, const iq_conn_options *options, size_t max, iq_conn_pool **out)
{
    iq_url url;
    imgq_error err;
    *out = NULL;
    imgq_status status = iq_url_parse(some, redis_fixture_url(server), &url, &err);
    if (status == IMGQ_OK)
        status = iq_conn_pool_open(some, &url, options, max, out, &err);
    iq_url_release(some, &url);
    return status;
}

enum { THREADS = 8, CALLS = 300 };

typedef struct caller {
    iq_conn_pool *pool;
    int number;
    atomic_int *failures;
} caller;

/* Each thread asks for what only it can have said. */
static void *call_often(void *user)
{
    const caller *it = user;
    iq_commands commands;
    iq_commands_init(&commands, env);
    for (int i = 0; i < CALLS; i++) {
        iq_reply *replies[2];
        const iq_call call = {.deadline = iq_deadline_after_ms(60000)};
        const int64_t said = it->number * 100000 + i;
        int64_t heard = -1;
        iq_commands_clear(&commands);
        iq_commands_add(&commands, "INCR");
        iq_commands_text(&commands, "calls");
        iq_commands_add(&commands, "ECHO");
        iq_commands_int(&commands, said);
        if (iq_conn_pool_call(it->pool, &commands, &call, replies, NULL) != IMGQ_OK ||
            !iq_reply_int(replies[1], &heard) || heard != said)
            atomic_fetch_add(it->failures, 1);
        iq_reply_free(replies[0]);
        iq_reply_free(replies[1]);
    }
    iq_commands_release(&commands);
    return NULL;
}

static void threads_share_fewer_connections_than_they_are(void)
{
    iq_conn_pool *pool;
    pthread_t threads[THREADS];
    caller callers[THREADS];
    atomic_int failures = 0;
    char want[64];
    CHECK_EQ_STR("(integer) 0", redis_fixture_ask(server, "DEL calls"));
    CHECK_EQ_INT(IMGQ_OK, open_pool(env, &(iq_conn_options){.client_name = "pooled"}, 3, &pool));
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (caller){pool, i, &failures};
        CHECK_EQ_INT(0, pthread_create(&threads[i], NULL, call_often, &callers[i]));
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ_INT(0, atomic_load(&failures));
    snprintf(want, sizeof want, "%d", THREADS * CALLS);
    CHECK_EQ_STR(want, redis_fixture_ask(server, "GET calls"));
    uint64_t commands, trips;
    iq_conn_pool_get_traffic(pool, &commands, &trips);
    const uint64_t connections = trips - THREADS * CALLS;
    CHECK(connections >= 1 && connections <= 3);
    CHECK_EQ_SIZE(2 * THREADS * CALLS + 2 * connections, commands);
    iq_conn_pool_close(pool);
}

static void one_caller_uses_one_connection(void)
{
    iq_conn_pool *pool;
    iq_conn *first, *again;
    imgq_error err;
    CHECK_EQ_INT(IMGQ_OK, open_pool(env, NULL, 4, &pool));
    CHECK_OK(iq_conn_pool_take(pool, iq_deadline_never(), &first, &err));
    iq_conn_pool_give(pool, first);
    CHECK_OK(iq_conn_pool_take(pool, iq_deadline_never(), &again, &err));
    CHECK(first == again);
    iq_conn_pool_give(pool, again);
    iq_conn_pool_close(pool);
}

static void a_full_pool_waits_until_the_deadline_or_the_interrupt(void)
{
    iq_conn_pool *pool;
    iq_conn *held, *more;
    imgq_error err;
    iq_interrupt interrupt;
    CHECK_OK(iq_interrupt_open(&interrupt, &err));
    CHECK_EQ_INT(IMGQ_OK, open_pool(env, &(iq_conn_options){.interrupt = &interrupt}, 1, &pool));
    CHECK_OK(iq_conn_pool_take(pool, iq_deadline_never(), &held, &err));
    CHECK_STATUS(IMGQ_E_TIMEOUT, iq_conn_pool_take(pool, iq_deadline_after_ms(20), &more, &err));
    CHECK_CONTAINS(": all connections are busy", err.message);
    iq_interrupt_set(&interrupt);
    CHECK_STATUS(IMGQ_E_CANCELLED, iq_conn_pool_take(pool, iq_deadline_never(), &more, &err));
    CHECK(more == NULL);
    iq_interrupt_clear(&interrupt);
    iq_conn_pool_give(pool, held);
    CHECK_OK(iq_conn_pool_take(pool, iq_deadline_never(), &held, &err));
    iq_conn_pool_give(pool, held);
    iq_conn_pool_close(pool);
    iq_interrupt_close(&interrupt);
    iq_url url = {0};
    CHECK_STATUS(IMGQ_E_INVALID, iq_conn_pool_open(env, &url, NULL, 0, &pool, &err));
    CHECK_STATUS(IMGQ_E_INVALID, iq_conn_pool_open(env, &url, NULL, 65, &pool, &err));
}

static void every_allocation_may_fail(void)
{
    for (size_t nth = 1;; nth++) {
        imgq_env *failing = failing_env(nth);
        if (failing == NULL)
            continue;
        iq_conn_pool *pool;
        iq_conn *conn = NULL;
        imgq_error err;
        const iq_conn_options options = {.username = "default", .password = "any", .client_name = "pooled"};
        imgq_status status = open_pool(failing, &options, 2, &pool);
        if (status == IMGQ_OK) {
            status = iq_conn_pool_take(pool, iq_deadline_never(), &conn, &err);
            if (status == IMGQ_OK)
                iq_conn_pool_give(pool, conn);
        }
        const int failed = failing_has_failed();
        iq_conn_pool_close(pool);
        imgq_env_destroy(failing);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        if (!CHECK_EQ_INT(failed ? IMGQ_E_NOMEM : IMGQ_OK, status) || !failed)
            break;
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_TEST(threads_share_fewer_connections_than_they_are),
        CHECK_TEST(one_caller_uses_one_connection),
        CHECK_TEST(a_full_pool_waits_until_the_deadline_or_the_interrupt),
        CHECK_TEST(every_allocation_may_fail),
    };
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    server = redis_fixture_start(NULL);
    const int code = check_main(argc, argv, "conn_pool", tests, sizeof tests / sizeof *tests);
    redis_fixture_stop(server);
    imgq_env_destroy(env);
    return code;
}
