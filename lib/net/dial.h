/* From an address to a connected socket: non-blocking, close-on-exec, keepalive after 15 s, no Nagle. */
#ifndef IQ_NET_DIAL_H
#define IQ_NET_DIAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <imgq/env.h>

#include "base/clock.h"
#include "base/shared.h"
#include "net/url.h"
#include "net/wait.h"

/* A dead path is noticed after IDLE + COUNT x INTERVAL seconds without traffic. */
enum { IQ_KEEPALIVE_IDLE_S = 15, IQ_KEEPALIVE_INTERVAL_S = 5, IQ_KEEPALIVE_COUNT = 3, IQ_DIAL_MAX_ADDRESSES = 16 };

typedef struct iq_dial_address {
    struct sockaddr_storage addr;
    socklen_t len;
} iq_dial_address;

/** A connection being made, address by address. Zeroed with fd -1 is none. One thread at a time. */
typedef struct iq_dial {
    iq_dial_address addresses[IQ_DIAL_MAX_ADDRESSES];
    size_t count, next;
    int fd;                    /* the attempt under way, poll it for POLLOUT; -1: none */
    int last_errno;            /* why the last address failed */
    iq_deadline look_again_at; /* iq_dial_finish() then gives the next address its turn */
} iq_dial;

/**
 * Look the host up and begin with its first address. A name asks the resolver, which has no deadline; numeric hosts and
 * Unix sockets never block.
 * @return IMGQ_OK (under way or connected: iq_dial_finish() says which); IMGQ_E_UNAVAILABLE (unknown host, refused by
 * all); IMGQ_E_INVALID (path too long for a socket)
 */
IQ_SHARED imgq_status iq_dial_begin(iq_dial *dial, const iq_url *url, imgq_error *err);
/**
 * Look whether the attempt under way has ended; a refused one goes on with the next address. Never blocks.
 * @param fd  out, owned, iq_sock_close(); -1 unless IMGQ_OK
 * @return IMGQ_OK; IMGQ_E_TIMEOUT (not yet: poll dial->fd for POLLOUT, at most until
 *         look_again_at; *err untouched); IMGQ_E_UNAVAILABLE (no address
 * left)
 */
IQ_SHARED imgq_status iq_dial_finish(iq_dial *dial, const iq_url *url, int *fd, imgq_error *err);
IQ_SHARED void iq_dial_cancel(iq_dial *dial);

/**
 * Both, with a wait between.
 * @param timeout_ms  told in the message, "connect to cache:6379: no answer within 2000 ms"; deadline: the earlier
 * counts
 * @return IMGQ_OK; IMGQ_E_UNAVAILABLE (refused, unknown, or no answer in time); IMGQ_E_CANCELLED; IMGQ_E_INVALID
 */
IQ_SHARED imgq_status iq_dial_connect(const iq_url *url, uint32_t timeout_ms, iq_deadline deadline,
                                      const iq_interrupt *interrupt, int *fd, imgq_error *err);

#endif
