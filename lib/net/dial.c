#include "net/dial.h"

#include "base/fail.h"
#include "net/sock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

/* One address may be silent for so long before the next one is tried. */
enum { ATTEMPT_MS = 700 };

static imgq_status failed(const iq_dial *dial, const iq_url *url, imgq_error *err)
{
    char why[96];
    return iq_fail(err, IMGQ_E_UNAVAILABLE, dial->last_errno, "connect to %s: %s", url->where,
                   iq_strerror(dial->last_errno, why, sizeof why));
}

static imgq_status look_up_unix(iq_dial *dial, const iq_url *url, imgq_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const size_t len = strlen(url->path);
    if (len >= sizeof addr.sun_path)
        return iq_fail(err, IMGQ_E_INVALID, 0, "connect to %s: a path of %zu bytes, a Unix socket takes %zu",
                       url->where, len, sizeof addr.sun_path - 1);
    memcpy(addr.sun_path, url->path, len + 1);
    memcpy(&dial->addresses[0].addr, &addr, sizeof addr);
    dial->addresses[0].len = (socklen_t)sizeof addr;
    dial->count = 1;
    return IMGQ_OK;
}

static imgq_status look_up_host(iq_dial *dial, const iq_url *url, imgq_error *err)
{
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)url->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(url->host, port, &hints, &found);
    if (code == EAI_NONAME) { /* no numbers, so a name: only now the resolver is asked */
        hints.ai_flags = AI_NUMERICSERV;
        code = getaddrinfo(url->host, port, &hints, &found);
    }
    if (code != 0)
        return iq_fail(err, IMGQ_E_UNAVAILABLE, code == EAI_SYSTEM ? errno : 0, "connect to %s: %s", url->where,
                       gai_strerror(code));
    for (const struct addrinfo *at = found; at != NULL && dial->count < IQ_DIAL_MAX_ADDRESSES; at = at->ai_next) {
        if (at->ai_addrlen > sizeof dial->addresses[0].addr)
            continue;
        memcpy(&dial->addresses[dial->count].addr, at->ai_addr, at->ai_addrlen);
        dial->addresses[dial->count++].len = at->ai_addrlen;
    }
    freeaddrinfo(found);
    return IMGQ_OK;
}

/* @return 0 or an errno */
static int set_up(int fd, sa_family_t family)
{
    const int on = 1, idle = IQ_KEEPALIVE_IDLE_S, interval = IQ_KEEPALIVE_INTERVAL_S, probes = IQ_KEEPALIVE_COUNT;
    if (family == AF_UNIX)
        return 0;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes) != 0)
        return errno;
    return 0;
}

/* @return 0 (connected or under way in dial->fd) or an errno */
static int try_address(iq_dial *dial, const iq_dial_address *address)
{
    const sa_family_t family = address->addr.ss_family;
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    int sys_errno = set_up(fd, family);
    if (sys_errno == 0 && connect(fd, (const struct sockaddr *)&address->addr, address->len) != 0 &&
        errno != EINPROGRESS && errno != EINTR)
        sys_errno = errno;
    if (sys_errno != 0) {
        iq_sock_close(fd);
        return sys_errno;
    }
    dial->fd = fd;
    dial->look_again_at = dial->next < dial->count ? iq_deadline_after_ms(ATTEMPT_MS) : iq_deadline_never();
    return 0;
}

static imgq_status try_next(iq_dial *dial, const iq_url *url, imgq_error *err)
{
    while (dial->next < dial->count) {
        const iq_dial_address *address = &dial->addresses[dial->next++];
        dial->last_errno = try_address(dial, address);
        if (dial->last_errno == 0)
            return IMGQ_OK;
    }
    return failed(dial, url, err);
}

imgq_status iq_dial_begin(iq_dial *dial, const iq_url *url, imgq_error *err)
{
    dial->count = dial->next = 0;
    dial->fd = -1;
    dial->last_errno = EADDRNOTAVAIL;
    dial->look_again_at = iq_deadline_never();
    const imgq_status status = url->path != NULL ? look_up_unix(dial, url, err) : look_up_host(dial, url, err);
    return status == IMGQ_OK ? try_next(dial, url, err) : status;
}

/* A connect to a port of one's own ephemeral range that nobody listens on may meet itself. */
static bool met_itself(int fd)
{
    struct sockaddr_storage here, there;
    memset(&here, 0, sizeof here);
    memset(&there, 0, sizeof there);
    socklen_t here_len = sizeof here, there_len = sizeof there;
    if (getsockname(fd, (struct sockaddr *)&here, &here_len) != 0 ||
        getpeername(fd, (struct sockaddr *)&there, &there_len) != 0)
        return false;
    return here.ss_family != AF_UNIX && here_len == there_len && memcmp(&here, &there, here_len) == 0;
}

/* @return 0 (connected), EINPROGRESS or why not */
static int how_far(const iq_dial *dial)
{
    short revents = 0;
    const imgq_status status = iq_wait(dial->fd, POLLOUT, NULL, (iq_deadline){0}, &revents, NULL);
    if (status == IMGQ_E_TIMEOUT)
        return iq_deadline_passed(dial->look_again_at) ? ETIMEDOUT : EINPROGRESS;
    if (status != IMGQ_OK)
        return EIO;
    int sys_errno = 0;
    socklen_t len = sizeof sys_errno;
    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &sys_errno, &len) != 0)
        return errno;
    if (sys_errno == 0 && met_itself(dial->fd))
        return ECONNREFUSED;
    return sys_errno;
}

imgq_status iq_dial_finish(iq_dial *dial, const iq_url *url, int *fd, imgq_error *err)
{
    *fd = -1;
    while (dial->fd >= 0) {
        const int sys_errno = how_far(dial);
        if (sys_errno == EINPROGRESS)
            return IMGQ_E_TIMEOUT;
        if (sys_errno == 0) {
            *fd = dial->fd;
            dial->fd = -1;
            return IMGQ_OK;
        }
        iq_dial_cancel(dial);
        dial->last_errno = sys_errno;
        if (dial->next >= dial->count)
            break;
        const imgq_status status = try_next(dial, url, err);
        if (status != IMGQ_OK)
            return status;
    }
    return failed(dial, url, err);
}

void iq_dial_cancel(iq_dial *dial)
{
    iq_sock_close(dial->fd);
    dial->fd = -1;
}

imgq_status iq_dial_connect(const iq_url *url, uint32_t timeout_ms, iq_deadline deadline, const iq_interrupt *interrupt,
                            int *fd, imgq_error *err)
{
    const iq_deadline until = iq_deadline_min(deadline, iq_deadline_after_ms(timeout_ms));
    const int64_t allowed_ms = (iq_deadline_left_ns(until) + 999999) / 1000000;
    iq_dial dial;
    *fd = -1;
    imgq_status status = iq_dial_begin(&dial, url, err);
    while (status == IMGQ_OK) {
        status = iq_dial_finish(&dial, url, fd, err);
        if (status != IMGQ_E_TIMEOUT)
            return status;
        status = iq_wait(dial.fd, POLLOUT, interrupt, iq_deadline_min(until, dial.look_again_at), NULL, err);
        if (status == IMGQ_E_TIMEOUT && !iq_deadline_passed(until))
            status = IMGQ_OK;
    }
    if (status == IMGQ_E_TIMEOUT)
        status = iq_fail(err, IMGQ_E_UNAVAILABLE, ETIMEDOUT, "connect to %s: no answer within %lld ms", url->where,
                         (long long)allowed_ms);
    else if (status == IMGQ_E_CANCELLED)
        status = iq_fail(err, status, 0, "connect to %s: interrupted", url->where);
    iq_dial_cancel(&dial);
    return status;
}
