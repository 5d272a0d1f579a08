#include "net/wait.h"

#include "base/fail.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

imgq_status iq_interrupt_open(iq_interrupt *out, imgq_error *err)
{
    out->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (out->fd < 0) {
        char why[96];
        const int sys_errno = errno;
        return iq_fail(err, IMGQ_E_IO, sys_errno, "open an event descriptor: %s",
                       iq_strerror(sys_errno, why, sizeof why));
    }
    return IMGQ_OK;
}

void iq_interrupt_close(iq_interrupt *interrupt)
{
    if (interrupt->fd >= 0)
        (void)close(interrupt->fd);
    interrupt->fd = -1;
}

void iq_interrupt_set(const iq_interrupt *interrupt)
{
    const int kept_errno = errno;
    const uint64_t one = 1;
    /* A full counter (EAGAIN) is set already; an eventfd knows no other failure here. */
    (void)!write(interrupt->fd, &one, sizeof one);
    errno = kept_errno;
}

void iq_interrupt_clear(const iq_interrupt *interrupt)
{
    uint64_t count;
    (void)!read(interrupt->fd, &count, sizeof count);
}

bool iq_interrupt_is_set(const iq_interrupt *interrupt)
{
    return iq_wait(-1, 0, interrupt, (iq_deadline){0}, NULL, NULL) == IMGQ_E_CANCELLED;
}

imgq_status iq_wait(int fd, short events, const iq_interrupt *interrupt, iq_deadline deadline, short *revents,
                    imgq_error *err)
{
    /* poll(2) skips negative descriptors, so both places may be empty. */
    struct pollfd polled[2] = {{.fd = fd, .events = events},
                               {.fd = interrupt != NULL ? interrupt->fd : -1, .events = POLLIN}};
    for (;;) {
        const int ready = poll(polled, 2, iq_deadline_poll_ms(deadline));
        if (ready < 0 && errno != EINTR) {
            char why[96];
            const int sys_errno = errno;
            return iq_fail(err, IMGQ_E_IO, sys_errno, "wait for a socket: %s", iq_strerror(sys_errno, why, sizeof why));
        }
        if (revents != NULL)
            *revents = ready > 0 ? polled[0].revents : 0;
        if (ready > 0)
            return polled[1].revents != 0 ? IMGQ_E_CANCELLED : IMGQ_OK;
        /* poll(2) counts whole milliseconds up to INT_MAX, so the deadline itself is asked. */
        if (ready == 0 && iq_deadline_passed(deadline))
            return IMGQ_E_TIMEOUT;
    }
}
