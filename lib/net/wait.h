/* Wait for a descriptor, a deadline or an interrupt, whichever comes first. */
#ifndef IQ_NET_WAIT_H
#define IQ_NET_WAIT_H

#include <stdbool.h>

#include <imgq/status.h>

#include "base/clock.h"
#include "base/shared.h"

/** A switch that wakes every waiter for as long as it is set. Any thread; closed only when nobody waits. */
typedef struct iq_interrupt {
    int fd; /* an eventfd, close-on-exec; poll it for POLLIN */
} iq_interrupt;

/** @param out owned, iq_interrupt_close(); fd -1 unless IMGQ_OK. @return IMGQ_OK; IMGQ_E_IO (no descriptor left) */
IQ_SHARED imgq_status iq_interrupt_open(iq_interrupt *out, imgq_error *err);
/** fd -1 is a no-op. */
IQ_SHARED void iq_interrupt_close(iq_interrupt *interrupt);
/** Async-signal-safe, keeps errno. */
IQ_SHARED void iq_interrupt_set(const iq_interrupt *interrupt);
IQ_SHARED void iq_interrupt_clear(const iq_interrupt *interrupt);
/** NULL is never set. */
IQ_SHARED bool iq_interrupt_is_set(const iq_interrupt *interrupt);

/**
 * @param fd         -1: only deadline and interrupt are waited for
 * @param events     POLLIN, POLLOUT or both; POLLERR and POLLHUP always wake
 * @param interrupt  borrowed; NULL: none
 * @param revents    out, what poll(2) saw on fd; may be NULL
 * @return IMGQ_OK (fd is ready); IMGQ_E_TIMEOUT (a passed deadline still looks once); IMGQ_E_CANCELLED (interrupted,
 * which wins over a ready fd); IMGQ_E_IO. *err is written for IMGQ_E_IO alone: the caller knows what was waited for
 */
IQ_SHARED imgq_status iq_wait(int fd, short events, const iq_interrupt *interrupt, iq_deadline deadline, short *revents,
                              imgq_error *err);

#endif
