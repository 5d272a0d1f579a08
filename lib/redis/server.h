/* What a server says about itself, and whether it can carry a queue. */
#ifndef IQ_REDIS_SERVER_H
#define IQ_REDIS_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "redis/conn.h"

enum { IQ_SERVER_MIN_MAJOR = 7 };

typedef struct iq_server_info {
    uint32_t major, minor, patch; /* redis_version: what a Valkey is compatible with */
    bool is_valkey;
    bool is_cluster; /* redis_mode:cluster */
    bool is_replica; /* role:slave */
    bool loading;
    char version[32];          /* as the server spells it */
    char maxmemory_policy[32]; /* "noeviction"; "" if the server does not say */
    uint64_t maxmemory;        /* bytes; 0: no limit */
    uint64_t used_memory;
    uint64_t connected_clients;
} iq_server_info;

/** Read the text of INFO replies; unknown lines are skipped, missing ones leave zeros. */
IQ_SHARED void iq_server_parse_info(const char *text, size_t len, iq_server_info *info);
/** Ask INFO server, memory, replication, clients, persistence in one round trip.
 *  @return IMGQ_OK; IMGQ_E_DENIED (no right to INFO); IMGQ_E_PROTOCOL (no Redis); as iq_conn_call() */
IQ_SHARED imgq_status iq_server_ask(iq_conn *conn, iq_deadline deadline, iq_server_info *out, imgq_error *err);
/** "Redis 6.2.7 at cache:6379 is too old: 7.0 is needed", "Redis at cache:6379 evicts keys (maxmemory-policy
 * allkeys-lru): ...".
 *  @return IMGQ_OK; IMGQ_E_UNSUPPORTED */
IQ_SHARED imgq_status iq_server_require(const iq_server_info *info, const char *where, bool allow_eviction,
                                        imgq_error *err);

#endif
