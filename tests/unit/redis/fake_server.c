#include "fake_server.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct fake_server {
    char folder[64], url[128];
    struct sockaddr_un addr;
    int listener;
    pthread_t thread;
    pthread_mutex_t lock; /* guards answer */
    fake_answer answer;
    atomic_size_t connections;
    atomic_int current; /* the connection being served; -1 */
    atomic_bool stop;
};

/* @return false: the client is gone */
static bool say(int fd, const char *bytes, size_t len, size_t step, int step_ms)
{
    for (size_t at = 0; at < len;) {
        const size_t now = step > 0 && step < len - at ? step : len - at;
        const ssize_t sent = send(fd, bytes + at, now, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += (size_t)sent;
        const struct timespec pause = {0, step_ms * 1000000L};
        if (step_ms > 0)
            nanosleep(&pause, NULL);
    }
    return true;
}

/* Reads until the greeting's last word. */
static bool hear_greeting(int fd)
{
    char heard[4096];
    for (size_t len = 0; len < sizeof heard - 1;) {
        const ssize_t got = read(fd, heard + len, sizeof heard - 1 - len);
        if (got <= 0)
            return false;
        len += (size_t)got;
        heard[len] = '\0';
        if (strstr(heard, "PING\r\n") != NULL)
            return true;
    }
    return false;
}

static void serve(fake_server *server, int fd)
{
    static _Thread_local char request[1 << 16];
    pthread_mutex_lock(&server->lock);
    fake_answer answer = server->answer;
    pthread_mutex_unlock(&server->lock);
    const char *greeting = answer.greeting != NULL ? answer.greeting : "+OK\r\n+PONG\r\n";
    if (!hear_greeting(fd) || !say(fd, greeting, strlen(greeting), 0, 0) || answer.hang_up)
        return;
    while (read(fd, request, sizeof request) > 0) {
        pthread_mutex_lock(&server->lock);
        answer = server->answer;
        pthread_mutex_unlock(&server->lock);
        if (!say(fd, answer.bytes, answer.len, answer.step, answer.step_ms) || answer.ending == FAKE_CLOSE)
            return;
    }
}

static void *run(void *user)
{
    fake_server *server = user;
    while (!atomic_load(&server->stop)) {
        const int fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            continue;
        atomic_fetch_add(&server->connections, 1);
        atomic_store(&server->current, fd);
        if (!atomic_load(&server->stop))
            serve(server, fd);
        atomic_store(&server->current, -1);
        close(fd);
    }
    return NULL;
}

fake_server *fake_server_start(void)
{
    fake_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        abort();
    snprintf(server->folder, sizeof server->folder, "/tmp/imgq-fake-XXXXXX");
    if (mkdtemp(server->folder) == NULL)
        abort();
    server->addr.sun_family = AF_UNIX;
    snprintf(server->addr.sun_path, sizeof server->addr.sun_path, "%s/s", server->folder);
    snprintf(server->url, sizeof server->url, "unix://%s", server->addr.sun_path);
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    atomic_store(&server->current, -1);
    pthread_mutex_init(&server->lock, NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    if (bind(server->listener, (struct sockaddr *)&server->addr, sizeof server->addr) != 0 ||
        listen(server->listener, 64) != 0 || pthread_create(&server->thread, NULL, run, server) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return server;
}

void fake_server_says(fake_server *server, fake_answer answer)
{
    pthread_mutex_lock(&server->lock);
    server->answer = answer;
    pthread_mutex_unlock(&server->lock);
}

const char *fake_server_url(const fake_server *server)
{
    return server->url;
}

size_t fake_server_connections(fake_server *server)
{
    return atomic_load(&server->connections);
}

void fake_server_stop(fake_server *server)
{
    atomic_store(&server->stop, true);
    /* Wakes accept(2) or read(2), whichever it is. */
    const int current = atomic_load(&server->current);
    if (current >= 0)
        shutdown(current, SHUT_RDWR);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)!connect(fd, (struct sockaddr *)&server->addr, sizeof server->addr);
    close(fd);
    pthread_join(server->thread, NULL);
    close(server->listener);
    unlink(server->addr.sun_path);
    rmdir(server->folder);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
