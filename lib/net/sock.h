/* Bytes out of and into a socket: the only place of send and recv, so that no peer can raise SIGPIPE in the host. */
#ifndef IQ_NET_SOCK_H
#define IQ_NET_SOCK_H

#include <stddef.h>
#include <sys/uio.h>

#include <imgq/status.h>

#include "base/clock.h"
#include "base/shared.h"
#include "net/wait.h"

/* Sockets here are non-blocking and close-on-exec (net/dial.h makes them so). */

/**
 * Send what fits without waiting.
 * @param parts, count  at least one byte in all
 * @param sent          out, bytes taken by the kernel
 * @return IMGQ_OK; IMGQ_E_TIMEOUT (nothing fits now, *err untouched); IMGQ_E_UNAVAILABLE (the peer is gone)
 */
IQ_SHARED imgq_status iq_sock_send(int fd, const struct iovec *parts, size_t count, size_t *sent, imgq_error *err);
/**
 * Receive what is there without waiting.
 * @param got  out, 1..size
 * @return IMGQ_OK; IMGQ_E_TIMEOUT (nothing there now, *err untouched); IMGQ_E_UNAVAILABLE (closed or reset by the peer)
 */
IQ_SHARED imgq_status iq_sock_recv(int fd, void *out, size_t size, size_t *got, imgq_error *err);

/** All of bytes before the deadline. @return as iq_sock_send(), and IMGQ_E_TIMEOUT, IMGQ_E_CANCELLED with a message */
IQ_SHARED imgq_status iq_sock_send_all(int fd, const void *bytes, size_t len, const iq_interrupt *interrupt,
                                       iq_deadline deadline, imgq_error *err);
/** At least one byte before the deadline. @return as iq_sock_recv(), and IMGQ_E_TIMEOUT, IMGQ_E_CANCELLED with a
 * message */
IQ_SHARED imgq_status iq_sock_recv_some(int fd, void *out, size_t size, size_t *got, const iq_interrupt *interrupt,
                                        iq_deadline deadline, imgq_error *err);
/** -1 is a no-op; keeps errno. */
IQ_SHARED void iq_sock_close(int fd);

#endif
