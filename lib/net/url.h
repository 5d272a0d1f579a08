/* The address of a server, as a person types it. */
#ifndef IQ_NET_URL_H
#define IQ_NET_URL_H

#include <stdbool.h>
#include <stdint.h>

#include <imgq/env.h>

#include "base/shared.h"

enum { IQ_URL_PORT = 6379, IQ_URL_MAX_BYTES = 8192 };

/** Zeroed is empty. Strings are owned by the struct, decoded, zero-terminated, without a zero inside. */
typedef struct iq_url {
    char *host;  /* of TCP, without brackets; NULL with a Unix socket */
    char *path;  /* of a Unix socket; NULL with TCP */
    char *user;  /* NULL: none */
    char *pass;  /* NULL: none */
    char *where; /* for messages: "cache:6379", "[::1]:6379", "/run/redis.sock"; never a password */
    char *shown; /* the whole URL for messages, "***" in place of a password */
    uint32_t db;
    uint16_t port;
} iq_url;

/**
 * Read redis://[[user]:pass@]host[:port][/db] (valkey:// means the same) or unix://[[user]:pass@]/path[?db=N]. %XX is
 * decoded in user, password, host and path; an IPv6 address stands in brackets. Port 6379 and database 0 where none is
 * said; an empty host is 127.0.0.1.
 * @param out  owned, iq_url_release(); empty unless IMGQ_OK
 * @return IMGQ_OK; IMGQ_E_INVALID (says what is wrong, password masked); IMGQ_E_UNSUPPORTED (a scheme that is known and
 * not built in: rediss, redis+sentinel, redis+cluster); IMGQ_E_NOMEM
 */
IQ_SHARED imgq_status iq_url_parse(imgq_env *env, const char *text, iq_url *out, imgq_error *err);
/** Owned copy, iq_url_release(). @return IMGQ_OK; IMGQ_E_NOMEM */
IQ_SHARED imgq_status iq_url_copy(imgq_env *env, const iq_url *url, iq_url *out, imgq_error *err);
/** Zeroes the password in memory, frees, empties. */
IQ_SHARED void iq_url_release(imgq_env *env, iq_url *url);

#endif
