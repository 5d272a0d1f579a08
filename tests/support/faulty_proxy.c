#include "support/faulty_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS_MAX = 256, CHUNK = 64 * 1024 };

typedef struct piece {
    struct piece *next;
    int64_t due_ms;
    size_t len, sent;
    char bytes[];
} piece;

/* One direction of one connection: what was read from `from` and not yet written to `to`. */
typedef struct flow {
    int from, to;
    piece *head, **tail;
    size_t queued;
    bool ended;  /* `from` sends no more */
    char *frame; /* bytes of a reply that is not complete, while messages are dropped */
    size_t frame_len;
} flow;

typedef struct pair {
    flow up, down; /* requests, replies */
    bool used;
} pair;

struct faulty_proxy {
    char target[108], url[64];
    int listener, wake_fd;
    pthread_t thread;
    pair pairs[PAIRS_MAX];
    atomic_int delay_ms;
    atomic_llong cut_replies, cut_requests; /* bytes left; -1: never */
    atomic_bool black_hole, drop_messages, refuse, stop;
    atomic_uint break_asked, break_done;
    atomic_ullong connections, cuts, dropped, request_bytes;
};

static void die(const char *what)
{
    fprintf(stderr, "faulty proxy: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- connections ---- */

static void begin_flow(flow *it, int from, int to)
{
    *it = (flow){.from = from, .to = to};
    it->tail = &it->head;
}

static void end_flow(flow *it)
{
    while (it->head != NULL) {
        piece *next = it->head->next;
        free(it->head);
        it->head = next;
    }
    free(it->frame);
}

static void end_pair(pair *it, bool reset)
{
    const struct linger hard = {1, 0};
    if (!it->used)
        return;
    if (reset)
        (void)setsockopt(it->up.from, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(it->up.from);
    close(it->up.to);
    end_flow(&it->up);
    end_flow(&it->down);
    it->used = false;
}

static int dial(const faulty_proxy *proxy)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(addr.sun_path, proxy->target, sizeof addr.sun_path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0) {
        (void)fcntl(fd, F_SETFL, O_NONBLOCK);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static void accept_one(faulty_proxy *proxy)
{
    const int one = 1, client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    pair *it = NULL;
    for (size_t i = 0; i < PAIRS_MAX && it == NULL; i++)
        if (!proxy->pairs[i].used)
            it = &proxy->pairs[i];
    const int server = it != NULL && !atomic_load(&proxy->refuse) ? dial(proxy) : -1;
    if (server < 0) {
        close(client);
        return;
    }
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    begin_flow(&it->up, client, server);
    begin_flow(&it->down, server, client);
    it->used = true;
    atomic_fetch_add(&proxy->connections, 1);
}

/* ---- bytes ---- */

static void queue_bytes(faulty_proxy *proxy, flow *it, const char *bytes, size_t len)
{
    piece *fresh = malloc(sizeof *fresh + len);
    if (fresh == NULL)
        die("memory");
    *fresh = (piece){.due_ms = now_ms() + atomic_load(&proxy->delay_ms), .len = len};
    memcpy(fresh->bytes, bytes, len);
    *it->tail = fresh;
    it->tail = &fresh->next;
    it->queued += len;
}

/* Bytes that the reply at text takes; 0: not complete. */
static size_t reply_size(const char *text, size_t len)
{
    const char *eol = memchr(text, '\n', len);
    if (eol == NULL)
        return 0;
    size_t size = (size_t)(eol - text) + 1;
    const long count = strtol(text + 1, NULL, 10);
    if (*text == '$' && count >= 0)
        return size + (size_t)count + 2 <= len ? size + (size_t)count + 2 : 0;
    for (long i = 0; *text == '*' && i < count; i++) {
        const size_t inner = size < len ? reply_size(text + size, len - size) : 0;
        if (inner == 0)
            return 0;
        size += inner;
    }
    return size;
}

static bool is_message(const char *reply, size_t len)
{
    static const char sharded[] = "*3\r\n$8\r\nsmessage\r\n", plain[] = "*3\r\n$7\r\nmessage\r\n";
    return (len >= sizeof sharded - 1 && memcmp(reply, sharded, sizeof sharded - 1) == 0) ||
           (len >= sizeof plain - 1 && memcmp(reply, plain, sizeof plain - 1) == 0);
}

/* Replies are looked at whole while messages are dropped; what began before goes on as it is. */
static void queue_replies(faulty_proxy *proxy, flow *it, const char *bytes, size_t len)
{
    char *joined = realloc(it->frame, it->frame_len + len + 1);
    if (joined == NULL)
        die("memory");
    memcpy(joined + it->frame_len, bytes, len);
    it->frame = joined;
    it->frame_len += len;
    it->frame[it->frame_len] = '\0';
    size_t at = 0;
    const bool drops = atomic_load(&proxy->drop_messages);
    for (size_t size; at < it->frame_len && (size = reply_size(joined + at, it->frame_len - at)) > 0; at += size)
        if (drops && is_message(joined + at, size))
            atomic_fetch_add(&proxy->dropped, 1);
        else
            queue_bytes(proxy, it, joined + at, size);
    it->frame_len -= at;
    memmove(it->frame, it->frame + at, it->frame_len);
}

/* @return false: this connection is to be closed once everything queued is out */
static bool take_bytes(faulty_proxy *proxy, flow *it, bool is_reply)
{
    static _Thread_local char bytes[CHUNK];
    atomic_llong *left = is_reply ? &proxy->cut_replies : &proxy->cut_requests;
    const long long budget = atomic_load(left);
    size_t room = sizeof bytes;
    if (budget >= 0 && (unsigned long long)budget < room)
        room = (size_t)budget;
    if (budget == 0) {
        atomic_store(left, -1);
        return false;
    }
    const ssize_t got = recv(it->from, bytes, room, 0);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0) {
        it->ended = true;
        return true;
    }
    if (!is_reply)
        atomic_fetch_add(&proxy->request_bytes, (unsigned long long)got);
    if (atomic_load(&proxy->black_hole))
        return true;
    if (is_reply && (atomic_load(&proxy->drop_messages) || it->frame_len > 0))
        queue_replies(proxy, it, bytes, (size_t)got);
    else
        queue_bytes(proxy, it, bytes, (size_t)got);
    if (budget < 0)
        return true;
    atomic_store(left, budget - got > 0 ? budget - got : -1);
    return budget - got > 0;
}

/* @return false: the other side is gone */
static bool give_bytes(flow *it)
{
    while (it->head != NULL && it->head->due_ms <= now_ms()) {
        piece *first = it->head;
        const ssize_t sent = send(it->to, first->bytes + first->sent, first->len - first->sent, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        first->sent += (size_t)sent;
        it->queued -= (size_t)sent;
        if (first->sent < first->len)
            return true;
        it->head = first->next;
        if (it->head == NULL)
            it->tail = &it->head;
        free(first);
    }
    return true;
}

/* What was taken before a cut still goes out, whole. */
static void cut(faulty_proxy *proxy, pair *it)
{
    flow *flows[2] = {&it->up, &it->down};
    atomic_fetch_add(&proxy->cuts, 1);
    for (size_t i = 0; i < 2; i++) {
        (void)fcntl(flows[i]->to, F_SETFL, 0);
        for (piece *at = flows[i]->head; at != NULL; at = at->next)
            at->due_ms = 0;
        (void)give_bytes(flows[i]);
    }
    end_pair(it, false);
}

/* ---- the thread ---- */

static short wanted(const flow *reads, const flow *writes, int64_t now)
{
    short events = 0;
    if (!reads->ended && reads->queued < 16 * CHUNK)
        events |= POLLIN;
    if (writes->head != NULL && writes->head->due_ms <= now)
        events |= POLLOUT;
    return events;
}

static void serve(faulty_proxy *proxy, pair *it, short client, short server)
{
    const short readable = POLLIN | POLLHUP | POLLERR;
    bool ok = true;
    if (client & readable && !it->up.ended)
        ok = take_bytes(proxy, &it->up, false);
    if (ok && server & readable && !it->down.ended)
        ok = take_bytes(proxy, &it->down, true);
    if (!ok) {
        cut(proxy, it);
        return;
    }
    ok = give_bytes(&it->up) && give_bytes(&it->down);
    /* A half-closed connection ends when all that was queued is out. */
    if (!ok || (it->up.ended && it->up.head == NULL) || (it->down.ended && it->down.head == NULL))
        end_pair(it, false);
}

static int next_due_ms(const faulty_proxy *proxy, int64_t now)
{
    int64_t least = 1000;
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        const flow *flows[2] = {&proxy->pairs[i].up, &proxy->pairs[i].down};
        for (size_t j = 0; proxy->pairs[i].used && j < 2; j++)
            if (flows[j]->head != NULL && flows[j]->head->due_ms > now && flows[j]->head->due_ms - now < least)
                least = flows[j]->head->due_ms - now;
    }
    return (int)least;
}

static void break_pairs(faulty_proxy *proxy)
{
    const unsigned asked = atomic_load(&proxy->break_asked);
    if (asked == atomic_load(&proxy->break_done))
        return;
    for (size_t i = 0; i < PAIRS_MAX; i++)
        end_pair(&proxy->pairs[i], true);
    atomic_store(&proxy->break_done, asked);
}

static void *run(void *user)
{
    faulty_proxy *proxy = user;
    static _Thread_local struct pollfd polled[2 + 2 * PAIRS_MAX];
    static _Thread_local pair *whose[PAIRS_MAX];
    while (!atomic_load(&proxy->stop)) {
        const int64_t now = now_ms();
        size_t pairs = 0;
        polled[0] = (struct pollfd){.fd = proxy->wake_fd, .events = POLLIN};
        polled[1] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
        for (size_t i = 0; i < PAIRS_MAX; i++) {
            pair *it = &proxy->pairs[i];
            if (!it->used)
                continue;
            polled[2 + 2 * pairs] = (struct pollfd){.fd = it->up.from, .events = wanted(&it->up, &it->down, now)};
            polled[3 + 2 * pairs] = (struct pollfd){.fd = it->down.from, .events = wanted(&it->down, &it->up, now)};
            /* A side that has ended keeps saying so: it is not asked any more. */
            if (polled[2 + 2 * pairs].events == 0)
                polled[2 + 2 * pairs].fd = -1;
            if (polled[3 + 2 * pairs].events == 0)
                polled[3 + 2 * pairs].fd = -1;
            whose[pairs++] = it;
        }
        if (poll(polled, 2 + 2 * pairs, next_due_ms(proxy, now)) < 0 && errno != EINTR)
            die("poll");
        uint64_t count;
        if (polled[0].revents != 0)
            (void)!read(proxy->wake_fd, &count, sizeof count);
        for (size_t i = 0; i < pairs; i++)
            serve(proxy, whose[i], polled[2 + 2 * i].revents, polled[3 + 2 * i].revents);
        break_pairs(proxy);
        if (polled[1].revents != 0)
            accept_one(proxy);
    }
    for (size_t i = 0; i < PAIRS_MAX; i++)
        end_pair(&proxy->pairs[i], false);
    return NULL;
}

static void wake(const faulty_proxy *proxy)
{
    const uint64_t one = 1;
    (void)!write(proxy->wake_fd, &one, sizeof one);
}

/* ---- public ---- */

faulty_proxy *faulty_proxy_start(const char *target_socket)
{
    faulty_proxy *proxy = calloc(1, sizeof *proxy);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof addr;
    if (proxy == NULL)
        die("memory");
    snprintf(proxy->target, sizeof proxy->target, "%s", target_socket);
    atomic_store(&proxy->cut_replies, -1);
    atomic_store(&proxy->cut_requests, -1);
    proxy->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (proxy->wake_fd < 0 || proxy->listener < 0 ||
        bind(proxy->listener, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(proxy->listener, 128) != 0 ||
        getsockname(proxy->listener, (struct sockaddr *)&addr, &len) != 0)
        die("listen");
    snprintf(proxy->url, sizeof proxy->url, "redis://127.0.0.1:%d", ntohs(addr.sin_port));
    /* Signals are the test's own affair. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    errno = pthread_create(&proxy->thread, NULL, run, proxy);
    if (errno != 0)
        die("thread");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return proxy;
}

void faulty_proxy_stop(faulty_proxy *proxy)
{
    if (proxy == NULL)
        return;
    atomic_store(&proxy->stop, true);
    wake(proxy);
    pthread_join(proxy->thread, NULL);
    close(proxy->listener);
    close(proxy->wake_fd);
    free(proxy);
}

const char *faulty_proxy_url(const faulty_proxy *proxy)
{
    return proxy->url;
}

void faulty_proxy_set_delay_ms(faulty_proxy *proxy, int ms)
{
    atomic_store(&proxy->delay_ms, ms);
}

void faulty_proxy_cut_replies_after(faulty_proxy *proxy, int64_t bytes)
{
    atomic_store(&proxy->cut_replies, bytes);
}

void faulty_proxy_cut_requests_after(faulty_proxy *proxy, int64_t bytes)
{
    atomic_store(&proxy->cut_requests, bytes);
}

void faulty_proxy_black_hole(faulty_proxy *proxy, bool on)
{
    atomic_store(&proxy->black_hole, on);
}

void faulty_proxy_drop_messages(faulty_proxy *proxy, bool on)
{
    atomic_store(&proxy->drop_messages, on);
}

void faulty_proxy_refuse(faulty_proxy *proxy, bool on)
{
    atomic_store(&proxy->refuse, on);
}

void faulty_proxy_break_all(faulty_proxy *proxy)
{
    const unsigned want = atomic_fetch_add(&proxy->break_asked, 1) + 1;
    wake(proxy);
    while ((int)(atomic_load(&proxy->break_done) - want) < 0) {
        const struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
}

uint64_t faulty_proxy_connections(const faulty_proxy *proxy)
{
    return atomic_load(&proxy->connections);
}

uint64_t faulty_proxy_cuts(const faulty_proxy *proxy)
{
    return atomic_load(&proxy->cuts);
}

uint64_t faulty_proxy_dropped_messages(const faulty_proxy *proxy)
{
    return atomic_load(&proxy->dropped);
}

uint64_t faulty_proxy_request_bytes(const faulty_proxy *proxy)
{
    return atomic_load(&proxy->request_bytes);
}
