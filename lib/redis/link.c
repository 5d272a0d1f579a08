#include "redis/link.h"

#include "base/alloc.h"
#include "base/crypto.h"
#include "base/env.h"
#include "base/fail.h"
#include "net/sock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { CHUNK_BYTES = 64 * 1024, NAME_MAX_BYTES = 128 };

/* ---- birth and death ---- */

/* CLIENT SETNAME refuses blanks and what cannot be printed. */
static char *client_name(imgq_env *env, const char *name)
{
    char *copy = iq_strndup(env, name, strnlen(name, NAME_MAX_BYTES));
    for (char *c = copy; c != NULL && *c != '\0'; c++)
        if (*c < '!' || *c > '~')
            *c = '-';
    return copy;
}

static imgq_status copy_identity(iq_link *link, const iq_conn_options *options, imgq_error *err)
{
    const char *username = options->username != NULL ? options->username : link->url.user;
    const char *password = options->password != NULL ? options->password : link->url.pass;
    link->username = iq_strdup(link->env, username);
    link->password = iq_strdup(link->env, password);
    link->client_name = client_name(link->env, options->client_name != NULL ? options->client_name : "imgq");
    const bool ok = link->client_name != NULL && (link->username != NULL || username == NULL) &&
                    (link->password != NULL || password == NULL);
    return ok ? IMGQ_OK : iq_fail_nomem(err, NAME_MAX_BYTES);
}

/* What each new connection begins with. PING shows whether the server has its data: it answers LOADING otherwise. */
static imgq_status build_greeting(iq_link *link, imgq_error *err)
{
    iq_commands *greeting = &link->greeting;
    if (link->password != NULL || link->username != NULL) {
        iq_commands_add(greeting, "AUTH");
        if (link->username != NULL)
            iq_commands_text(greeting, link->username);
        iq_commands_text(greeting, link->password != NULL ? link->password : "");
    }
    if (link->url.db > 0) {
        iq_commands_add(greeting, "SELECT");
        iq_commands_uint(greeting, link->url.db);
    }
    if (link->client_name[0] != '\0') {
        iq_commands_add(greeting, "CLIENT");
        iq_commands_text(greeting, "SETNAME");
        iq_commands_text(greeting, link->client_name);
    }
    iq_commands_add(greeting, "PING");
    return greeting->failed ? iq_fail_nomem(err, sizeof *greeting->args) : IMGQ_OK;
}

imgq_status iq_link_init(iq_link *link, imgq_env *env, const iq_url *url, const iq_conn_options *options,
                         imgq_error *err)
{
    *link = (iq_link){.env = iq_env_hold(env),
                      .connect_ms = options->connect_ms > 0 ? options->connect_ms : IQ_CONN_CONNECT_MS,
                      .call_ms = options->call_ms > 0 ? options->call_ms : IQ_CONN_CALL_MS,
                      .pid = getpid(),
                      .fd = -1,
                      .poll_fd = -1,
                      .polled_fd = -1,
                      .dial = {.fd = -1}};
    atomic_init(&link->commands, 0);
    atomic_init(&link->round_trips, 0);
    iq_commands_init(&link->greeting, env);
    imgq_status status = iq_url_copy(env, url, &link->url, err);
    if (status == IMGQ_OK)
        status = copy_identity(link, options, err);
    if (status == IMGQ_OK)
        status = build_greeting(link, err);
    if (status == IMGQ_OK && (link->chunk = iq_alloc(env, CHUNK_BYTES)) == NULL)
        status = iq_fail_nomem(err, CHUNK_BYTES);
    if (status != IMGQ_OK)
        iq_link_release(link);
    return status;
}

static void close_socket(iq_link *link)
{
    iq_dial_cancel(&link->dial);
    iq_sock_close(link->fd);
    link->fd = -1;
    link->state = IQ_LINK_IDLE;
    iq_resp_reader_destroy(link->reader);
    link->reader = NULL;
    iq_wire_clear(link->env, &link->out);
    link->out_left = 0;
}

void iq_link_release(iq_link *link)
{
    imgq_env *env = link->env;
    close_socket(link);
    iq_sock_close(link->poll_fd);
    if (link->password != NULL)
        explicit_bzero(link->password, strlen(link->password));
    iq_free(env, link->password);
    iq_free(env, link->username);
    iq_free(env, link->client_name);
    iq_free(env, link->chunk);
    iq_commands_release(&link->greeting);
    iq_wire_release(env, &link->out);
    iq_url_release(env, &link->url);
    imgq_env_destroy(env);
}

imgq_status iq_link_check_process(iq_link *link, imgq_error *err)
{
    if (getpid() == link->pid)
        return IMGQ_OK;
    /* Only the child's copies are closed: nothing is sent, and the epoll, which both share, is not told. */
    close_socket(link);
    iq_sock_close(link->poll_fd);
    link->poll_fd = link->polled_fd = -1;
    return iq_fail(err, IMGQ_E_INVALID, 0, "the connection to %s belongs to process %ld", link->url.where,
                   (long)link->pid);
}

/* ---- endings ---- */

/* Before the socket is closed: a descriptor that a forked child still holds would stay in the epoll. */
static void leave_poll(iq_link *link)
{
    if (link->poll_fd >= 0 && link->polled_fd >= 0)
        (void)epoll_ctl(link->poll_fd, EPOLL_CTL_DEL, link->polled_fd, NULL);
    link->polled_fd = -1;
}

/* 100 ms..2 s, drawn from a range that doubles, so that many clients of a restarted server do not come at once. */
static iq_deadline back_off(uint32_t failures)
{
    uint32_t range = (uint32_t)IQ_CONN_BACKOFF_MIN_MS << (failures < 6 ? failures : 6), random;
    if (range > IQ_CONN_BACKOFF_MAX_MS)
        range = IQ_CONN_BACKOFF_MAX_MS;
    iq_random(&random, sizeof random);
    return iq_deadline_after_ms(IQ_CONN_BACKOFF_MIN_MS + random % (range - IQ_CONN_BACKOFF_MIN_MS + 1));
}

void iq_link_fail(iq_link *link, const imgq_error *why)
{
    const bool was_healthy = link->state == IQ_LINK_READY && link->proven;
    link->last_error = *why;
    leave_poll(link);
    close_socket(link);
    link->failures = was_healthy ? 1 : link->failures + 1;
    /* A connection that worked until now is made again at once: a restart or an idle time-out is usually over. */
    link->retry_at = was_healthy ? (iq_deadline){0} : back_off(link->failures);
    iq_link_sync_poll(link);
}

void iq_link_drop(iq_link *link)
{
    leave_poll(link);
    close_socket(link);
    link->retry_at = (iq_deadline){0};
}

/* ---- bytes ---- */

void iq_link_start_sending(iq_link *link, size_t commands)
{
    iq_wire_close(&link->out);
    link->out_part = 0;
    link->out_left = link->out.total;
    link->moved_ns = iq_clock_ns();
    atomic_fetch_add_explicit(&link->commands, commands, memory_order_relaxed);
    atomic_fetch_add_explicit(&link->round_trips, 1, memory_order_relaxed);
}

imgq_status iq_link_flush(iq_link *link, imgq_error *err)
{
    while (link->out_left > 0) {
        size_t sent;
        const imgq_status status =
            iq_sock_send(link->fd, link->out.parts + link->out_part, link->out.count - link->out_part, &sent, err);
        if (status == IMGQ_E_TIMEOUT)
            return IMGQ_OK;
        if (status != IMGQ_OK)
            return status;
        link->moved_ns = iq_clock_ns();
        link->out_left -= sent;
        while (link->out_part < link->out.count && sent >= link->out.parts[link->out_part].iov_len)
            sent -= link->out.parts[link->out_part++].iov_len;
        if (sent > 0) {
            struct iovec *part = &link->out.parts[link->out_part];
            part->iov_base = (char *)part->iov_base + sent;
            part->iov_len -= sent;
        }
    }
    return IMGQ_OK;
}

imgq_status iq_link_fill(iq_link *link, imgq_error *err)
{
    size_t got;
    const imgq_status status = iq_sock_recv(link->fd, link->chunk, CHUNK_BYTES, &got, err);
    if (status != IMGQ_OK)
        return status;
    link->moved_ns = iq_clock_ns();
    return iq_resp_reader_feed(link->reader, link->chunk, got, err);
}

imgq_status iq_link_next_reply(iq_link *link, iq_reply **out, imgq_error *err)
{
    const imgq_status status = iq_resp_reader_next(link->reader, out, err);
    if (status == IMGQ_OK && *out != NULL && link->state == IQ_LINK_READY && (*out)->status != IMGQ_E_UNAVAILABLE) {
        link->proven = true;
        link->failures = 0;
    }
    return status;
}

/* ---- towards READY ---- */

static imgq_status start_greeting(iq_link *link, imgq_error *err)
{
    imgq_status status = iq_resp_reader_create(link->env, iq_env_max_reply_bytes(link->env), &link->reader, err);
    iq_wire_clear(link->env, &link->out);
    for (size_t i = 0; status == IMGQ_OK && i < link->greeting.count; i++)
        status = iq_wire_append(link->env, &link->out, &link->greeting, i, false, err);
    if (status != IMGQ_OK)
        return status;
    link->state = IQ_LINK_GREETING;
    link->greeted = 0;
    iq_link_start_sending(link, link->greeting.count);
    return IMGQ_OK;
}

/* Error answers that end the attempt: no access, no data yet, no such database. A server with a full disk or an odd
 * rule for CLIENT or PING is a server nevertheless. */
static imgq_status check_greeting(const iq_link *link, size_t index, const iq_reply *reply, imgq_error *err)
{
    const iq_arg *name = &link->greeting.args[link->greeting.items[index].first];
    imgq_error found;
    const imgq_status status = iq_reply_check(reply, name->bytes, &found);
    if (status == IMGQ_OK)
        return IMGQ_OK;
    const char *text = reply->text;
    const int len = (int)(reply->len < 160 ? reply->len : 160);
    if (name->len == 4 && memcmp(name->bytes, "AUTH", 4) == 0)
        return iq_fail(err, status == IMGQ_E_UNAVAILABLE ? status : IMGQ_E_DENIED, 0, "connect to %s%s%s: %.*s",
                       link->url.where, link->username != NULL ? " as " : "",
                       link->username != NULL ? link->username : "", len, text);
    if (name->len == 6 && memcmp(name->bytes, "SELECT", 6) == 0)
        return iq_fail(err, status == IMGQ_E_PROTOCOL ? IMGQ_E_INVALID : status, 0, "connect to %s: database %u: %.*s",
                       link->url.where, (unsigned)link->url.db, len, text);
    const bool is_refusal = iq_reply_is_error(reply, "NOAUTH") || iq_reply_is_error(reply, "DENIED");
    if (status == IMGQ_E_UNAVAILABLE || is_refusal)
        return iq_fail(err, status, 0, "connect to %s: %.*s", link->url.where, len, text);
    return IMGQ_OK;
}

static imgq_status connect_failed(const iq_link *link, imgq_status status, imgq_error *err)
{
    return iq_fail_prefix(err, status, "connect to %s", link->url.where);
}

static imgq_status read_greeting(iq_link *link, imgq_error *err)
{
    imgq_status status = iq_link_flush(link, err);
    /* A server that refuses closes at once; what it said before is the better message. */
    imgq_status filled = iq_link_fill(link, status == IMGQ_OK ? err : NULL);
    if (filled == IMGQ_E_LIMIT || filled == IMGQ_E_NOMEM)
        return connect_failed(link, filled, err);
    while (link->greeted < link->greeting.count) {
        iq_reply *reply;
        imgq_error parse;
        const imgq_status parsed = iq_link_next_reply(link, &reply, &parse);
        if (parsed != IMGQ_OK) {
            if (err != NULL)
                *err = parse;
            return connect_failed(link, parsed, err);
        }
        if (reply == NULL) {
            if (status != IMGQ_OK)
                return connect_failed(link, status, err);
            return filled == IMGQ_OK || filled == IMGQ_E_TIMEOUT ? IMGQ_E_TIMEOUT : connect_failed(link, filled, err);
        }
        const imgq_status checked = check_greeting(link, link->greeted, reply, err);
        iq_reply_free(reply);
        if (checked != IMGQ_OK)
            return checked;
        link->greeted++;
    }
    iq_wire_clear(link->env, &link->out);
    link->state = IQ_LINK_READY;
    link->proven = false;
    link->generation++;
    return IMGQ_OK;
}

static imgq_status advance(iq_link *link, imgq_error *err)
{
    imgq_status status;
    if (link->state == IQ_LINK_IDLE) {
        if (!iq_deadline_passed(link->retry_at))
            return IMGQ_E_TIMEOUT;
        link->connect_until = iq_deadline_after_ms(link->connect_ms);
        link->state = IQ_LINK_DIALING;
        status = iq_dial_begin(&link->dial, &link->url, err);
        if (status != IMGQ_OK)
            return status;
    }
    if (link->state == IQ_LINK_DIALING) {
        const size_t address = link->dial.next;
        status = iq_dial_finish(&link->dial, &link->url, &link->fd, err);
        if (address != link->dial.next)
            link->polled_fd = -1; /* closed, and its number may be the next attempt's already */
        if (status == IMGQ_OK)
            status = start_greeting(link, err);
        if (status != IMGQ_OK)
            return status;
    }
    return read_greeting(link, err);
}

imgq_status iq_link_step(iq_link *link, imgq_error *err)
{
    if (link->state == IQ_LINK_READY)
        return IMGQ_OK;
    imgq_error why = {0};
    imgq_status status = advance(link, &why);
    const bool waits = status == IMGQ_E_TIMEOUT;
    if (waits && link->state != IQ_LINK_IDLE && iq_deadline_passed(link->connect_until))
        status = iq_fail(&why, IMGQ_E_UNAVAILABLE, ETIMEDOUT, "connect to %s: no answer within %u ms", link->url.where,
                         (unsigned)link->connect_ms);
    else if (waits || status == IMGQ_OK) {
        iq_link_sync_poll(link);
        return status;
    }
    iq_link_fail(link, &why);
    if (err != NULL)
        *err = why;
    return status;
}

/* ---- waiting ---- */

int iq_link_wait_fd(const iq_link *link, short *events)
{
    switch (link->state) {
    case IQ_LINK_DIALING:
        *events = POLLOUT;
        return link->dial.fd;
    case IQ_LINK_GREETING:
    case IQ_LINK_READY:
        *events = (short)(link->out_left > 0 ? POLLIN | POLLOUT : POLLIN);
        return link->fd;
    case IQ_LINK_IDLE:
        break;
    }
    *events = 0;
    return -1;
}

iq_deadline iq_link_wake_at(const iq_link *link)
{
    switch (link->state) {
    case IQ_LINK_IDLE:
        return link->retry_at;
    case IQ_LINK_DIALING:
        return iq_deadline_min(link->connect_until, link->dial.look_again_at);
    case IQ_LINK_GREETING:
        return link->connect_until;
    case IQ_LINK_READY:
        break;
    }
    return iq_deadline_never();
}

void iq_link_sync_poll(iq_link *link)
{
    short events;
    const int fd = iq_link_wait_fd(link, &events);
    if (link->poll_fd < 0 || (fd == link->polled_fd && events == link->polled_events))
        return;
    if (fd != link->polled_fd)
        leave_poll(link);
    if (fd >= 0) {
        struct epoll_event event = {.events = (uint32_t)(events & POLLIN ? EPOLLIN : 0) |
                                              (uint32_t)(events & POLLOUT ? EPOLLOUT : 0)};
        const int op = link->polled_fd >= 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        if (epoll_ctl(link->poll_fd, op, fd, &event) != 0)
            return;
    }
    link->polled_fd = fd;
    link->polled_events = events;
}
