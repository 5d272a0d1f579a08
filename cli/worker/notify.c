/* sd_notify(3) without libsystemd: the protocol is a datagram to the socket named in the environment. */
#include "cli/worker/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { STATUS_EVERY_MS = 1000 };

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t number_of(const char *text)
{
    char *end = NULL;
    const long long value = text != NULL ? strtoll(text, &end, 10) : 0;
    return text != NULL && end != text && *end == '\0' && value > 0 ? value : 0;
}

void cli_notify_init(cli_notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET");
    const int64_t watchdog_us = number_of(getenv("WATCHDOG_USEC")), pid = number_of(getenv("WATCHDOG_PID"));
    *notify = (cli_notify){0};
    if (path != NULL && (path[0] == '/' || path[0] == '@') && strlen(path) < sizeof notify->path) {
        (void)snprintf(notify->path, sizeof notify->path, "%s", path);
        notify->is_abstract = path[0] == '@';
    }
    if (pid == 0 || pid == getpid())
        notify->watchdog_ms = watchdog_us / 1000;
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

bool cli_notify_send(cli_notify *notify, const char *message)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t path_len = strlen(notify->path), len = strlen(message);
    if (path_len == 0 || path_len >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, notify->path, path_len);
    if (notify->is_abstract)
        address.sun_path[0] = '\0';
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len);
    const ssize_t sent = sendto(fd, message, len, MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
    (void)close(fd);
    return sent == (ssize_t)len;
}

void cli_notify_progress(cli_notify *notify, const char *status)
{
    const int64_t now = now_ms();
    if (notify->path[0] == '\0')
        return;
    if (notify->watchdog_ms > 0 && now - notify->fed_ms >= notify->watchdog_ms / 4) {
        notify->fed_ms = now;
        (void)cli_notify_send(notify, "WATCHDOG=1");
    }
    if (now - notify->told_ms >= STATUS_EVERY_MS) {
        char message[256];
        notify->told_ms = now;
        (void)snprintf(message, sizeof message, "STATUS=%s", status);
        (void)cli_notify_send(notify, message);
    }
}
