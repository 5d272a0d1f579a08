#include "net/sock.h"

#include "base/fail.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PARTS_AT_ONCE = 64 };

static imgq_status broken(imgq_error *err, int sys_errno)
{
    char why[96];
    return iq_fail(err, IMGQ_E_UNAVAILABLE, sys_errno, "connection broken: %s",
                   iq_strerror(sys_errno, why, sizeof why));
}

imgq_status iq_sock_send(int fd, const struct iovec *parts, size_t count, size_t *sent, imgq_error *err)
{
    /* sendmsg(2) only reads the vector; its prototype has no const. */
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = count < PARTS_AT_ONCE ? count : PARTS_AT_ONCE};
    *sent = 0;
    for (;;) {
        const ssize_t got = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (got >= 0) {
            *sent = (size_t)got;
            return IMGQ_OK;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return IMGQ_E_TIMEOUT;
        if (errno != EINTR)
            return broken(err, errno);
    }
}

imgq_status iq_sock_recv(int fd, void *out, size_t size, size_t *got, imgq_error *err)
{
    *got = 0;
    for (;;) {
        const ssize_t len = recv(fd, out, size, MSG_DONTWAIT);
        if (len > 0) {
            *got = (size_t)len;
            return IMGQ_OK;
        }
        if (len == 0)
            return iq_fail(err, IMGQ_E_UNAVAILABLE, 0, "connection closed by the server");
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return IMGQ_E_TIMEOUT;
        if (errno != EINTR)
            return broken(err, errno);
    }
}

static imgq_status wait_for(int fd, short events, const char *what, const iq_interrupt *interrupt, iq_deadline deadline,
                            imgq_error *err)
{
    const imgq_status status = iq_wait(fd, events, interrupt, deadline, NULL, err);
    if (status == IMGQ_E_TIMEOUT)
        return iq_fail(err, status, 0, "%s: the deadline passed", what);
    if (status == IMGQ_E_CANCELLED)
        return iq_fail(err, status, 0, "%s: interrupted", what);
    return status;
}

imgq_status iq_sock_send_all(int fd, const void *bytes, size_t len, const iq_interrupt *interrupt, iq_deadline deadline,
                             imgq_error *err)
{
    const char *rest = bytes;
    while (len > 0) {
        const struct iovec part = {.iov_base = (void *)(uintptr_t)rest, .iov_len = len};
        size_t sent;
        imgq_status status = iq_sock_send(fd, &part, 1, &sent, err);
        if (status == IMGQ_E_TIMEOUT)
            status = wait_for(fd, POLLOUT, "send", interrupt, deadline, err);
        if (status != IMGQ_OK)
            return status;
        rest += sent;
        len -= sent;
    }
    return IMGQ_OK;
}

imgq_status iq_sock_recv_some(int fd, void *out, size_t size, size_t *got, const iq_interrupt *interrupt,
                              iq_deadline deadline, imgq_error *err)
{
    for (;;) {
        imgq_status status = iq_sock_recv(fd, out, size, got, err);
        if (status != IMGQ_E_TIMEOUT)
            return status;
        status = wait_for(fd, POLLIN, "receive", interrupt, deadline, err);
        if (status != IMGQ_OK)
            return status;
    }
}

void iq_sock_close(int fd)
{
    const int kept_errno = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = kept_errno;
}
