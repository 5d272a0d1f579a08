#include "redis/conn_pool.h"

#include "base/alloc.h"
#include "base/env.h"
#include "base/fail.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct iq_conn_pool {
    imgq_env *env; /* held */
    iq_url url;
    iq_conn_options options; /* strings owned */
    size_t max;
    int given_fd; /* an eventfd: one for each connection given back while somebody waited, so that waiters can also be
                     woken by the interrupt, which a condition variable could not be from a signal handler */
    pthread_mutex_t lock; /* guards all below; never held while connecting or calling */
    iq_conn *all[IQ_CONN_POOL_MAX];
    size_t count;
    iq_conn *idle[IQ_CONN_POOL_MAX]; /* the one used last on top */
    size_t idle_count;
    size_t waiting;
};

imgq_status iq_conn_pool_open(imgq_env *env, const iq_url *url, const iq_conn_options *options, size_t max,
                              iq_conn_pool **out, imgq_error *err)
{
    static const iq_conn_options defaults;
    *out = NULL;
    if (max == 0 || max > IQ_CONN_POOL_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "a pool of %zu connections, 1 to %d are possible", max,
                       (int)IQ_CONN_POOL_MAX);
    iq_conn_pool *pool = iq_alloc_array(env, 1, sizeof *pool);
    if (pool == NULL)
        return iq_fail_nomem(err, sizeof *pool);
    pool->env = iq_env_hold(env);
    pool->max = max;
    pool->options = options != NULL ? *options : defaults;
    pool->given_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    (void)pthread_mutex_init(&pool->lock, NULL);
    const char *const given[] = {pool->options.username, pool->options.password, pool->options.client_name};
    const char **const kept[] = {&pool->options.username, &pool->options.password, &pool->options.client_name};
    imgq_status status = iq_url_copy(env, url, &pool->url, err);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        *kept[i] = iq_strdup(env, given[i]);
        if (*kept[i] == NULL && given[i] != NULL && status == IMGQ_OK)
            status = iq_fail_nomem(err, sizeof *given[i]);
    }
    if (status == IMGQ_OK && pool->given_fd < 0)
        status = iq_fail(err, IMGQ_E_IO, errno, "open a pool of connections: no descriptor left");
    if (status != IMGQ_OK) {
        iq_conn_pool_close(pool);
        return status;
    }
    *out = pool;
    return IMGQ_OK;
}

void iq_conn_pool_close(iq_conn_pool *pool)
{
    if (pool == NULL)
        return;
    imgq_env *env = pool->env;
    for (size_t i = 0; i < pool->count; i++)
        iq_conn_close(pool->all[i]);
    iq_url_release(env, &pool->url);
    if (pool->options.password != NULL)
        explicit_bzero((char *)(uintptr_t)pool->options.password, strlen(pool->options.password));
    iq_free(env, pool->options.username);
    iq_free(env, pool->options.password);
    iq_free(env, pool->options.client_name);
    if (pool->given_fd >= 0)
        (void)close(pool->given_fd);
    (void)pthread_mutex_destroy(&pool->lock);
    iq_free(env, pool);
    imgq_env_destroy(env);
}

/* Nothing is connected here, so that this is short: it may stand under the lock. */
static imgq_status make(iq_conn_pool *pool, iq_conn **conn, imgq_error *err)
{
    const imgq_status status = iq_conn_open(pool->env, &pool->url, &pool->options, conn, err);
    if (status == IMGQ_OK)
        pool->all[pool->count++] = *conn;
    return status;
}

/* @return IMGQ_E_TIMEOUT: all are out, and the caller is counted as waiting */
static imgq_status try_take(iq_conn_pool *pool, bool was_waiting, iq_conn **conn, imgq_error *err)
{
    imgq_status status = IMGQ_OK;
    (void)pthread_mutex_lock(&pool->lock);
    if (pool->idle_count > 0)
        *conn = pool->idle[--pool->idle_count];
    else if (pool->count < pool->max)
        status = make(pool, conn, err);
    else
        status = IMGQ_E_TIMEOUT;
    if (status == IMGQ_E_TIMEOUT && !was_waiting)
        pool->waiting++;
    else if (status != IMGQ_E_TIMEOUT && was_waiting)
        pool->waiting--;
    (void)pthread_mutex_unlock(&pool->lock);
    return status;
}

static void stop_waiting(iq_conn_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    pool->waiting--;
    (void)pthread_mutex_unlock(&pool->lock);
}

imgq_status iq_conn_pool_take(iq_conn_pool *pool, iq_deadline deadline, iq_conn **conn, imgq_error *err)
{
    *conn = NULL;
    imgq_status status = try_take(pool, false, conn, err);
    while (status == IMGQ_E_TIMEOUT) {
        const imgq_status waited = iq_wait(pool->given_fd, POLLIN, pool->options.interrupt, deadline, NULL, err);
        if (waited != IMGQ_OK) {
            stop_waiting(pool);
            return waited == IMGQ_E_IO
                       ? waited
                       : iq_fail(err, waited, 0, "call to %s: %s", pool->url.where,
                                 waited == IMGQ_E_CANCELLED ? "interrupted" : "all connections are busy");
        }
        /* Another waiter may have read it first; then this one waits on. */
        uint64_t one;
        (void)!read(pool->given_fd, &one, sizeof one);
        status = try_take(pool, true, conn, err);
    }
    return status;
}

void iq_conn_pool_give(iq_conn_pool *pool, iq_conn *conn)
{
    (void)pthread_mutex_lock(&pool->lock);
    pool->idle[pool->idle_count++] = conn;
    const bool wanted = pool->waiting > 0;
    (void)pthread_mutex_unlock(&pool->lock);
    const uint64_t one = 1;
    if (wanted)
        (void)!write(pool->given_fd, &one, sizeof one);
}

imgq_status iq_conn_pool_call(iq_conn_pool *pool, const iq_commands *commands, const iq_call *call, iq_reply **replies,
                              imgq_error *err)
{
    iq_conn *conn;
    memset(replies, 0, commands->count * sizeof *replies);
    imgq_status status = iq_conn_pool_take(pool, call->deadline, &conn, err);
    if (status != IMGQ_OK)
        return status;
    status = iq_conn_call(conn, commands, call, replies, err);
    iq_conn_pool_give(pool, conn);
    return status;
}

void iq_conn_pool_get_traffic(iq_conn_pool *pool, uint64_t *commands, uint64_t *round_trips)
{
    *commands = *round_trips = 0;
    (void)pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < pool->count; i++) {
        uint64_t some_commands, some_trips;
        iq_conn_get_traffic(pool->all[i], &some_commands, &some_trips);
        *commands += some_commands;
        *round_trips += some_trips;
    }
    (void)pthread_mutex_unlock(&pool->lock);
}
