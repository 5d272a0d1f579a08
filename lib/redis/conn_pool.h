/* Several connections with the same options, so that threads can call at once. */
#ifndef IQ_REDIS_CONN_POOL_H
#define IQ_REDIS_CONN_POOL_H

#include "redis/conn.h"

enum { IQ_CONN_POOL_MAX = 64 };

/** Any thread. */
typedef struct iq_conn_pool iq_conn_pool;

/** Connects nothing yet.
 *  @param options  copied, as iq_conn_open(); on_connect is called by whichever thread connects
 *  @param max      1..IQ_CONN_POOL_MAX connections at a time
 *  @param out      owned, iq_conn_pool_close() @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_IO; IMGQ_E_INVALID (max) */
IQ_SHARED imgq_status iq_conn_pool_open(imgq_env *env, const iq_url *url, const iq_conn_options *options, size_t max,
                                        iq_conn_pool **out, imgq_error *err);
/** All connections given back before. NULL is a no-op. */
IQ_SHARED void iq_conn_pool_close(iq_conn_pool *pool);

/** A connection for the caller alone, the one used last if possible; waits while max are out.
 *  @param conn out, borrowed until iq_conn_pool_give()
 *  @return IMGQ_OK; IMGQ_E_TIMEOUT; IMGQ_E_CANCELLED; IMGQ_E_NOMEM; IMGQ_E_IO */
IQ_SHARED imgq_status iq_conn_pool_take(iq_conn_pool *pool, iq_deadline deadline, iq_conn **conn, imgq_error *err);
IQ_SHARED void iq_conn_pool_give(iq_conn_pool *pool, iq_conn *conn);

/** take, iq_conn_call(), give. */
IQ_SHARED imgq_status iq_conn_pool_call(iq_conn_pool *pool, const iq_commands *commands, const iq_call *call,
                                        iq_reply **replies, imgq_error *err);
/** Sums over all connections, also those that are closed again. */
IQ_SHARED void iq_conn_pool_get_traffic(iq_conn_pool *pool, uint64_t *commands, uint64_t *round_trips);

#endif
