/* Commands in, replies out: the waiting round the steps of link.c. */
#include "redis/conn.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "redis/link.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

imgq_status iq_conn_open(imgq_env *env, const iq_url *url, const iq_conn_options *options, iq_conn **out,
                         imgq_error *err)
{
    static const iq_conn_options defaults;
    const iq_conn_options *chosen = options != NULL ? options : &defaults;
    *out = NULL;
    iq_conn *conn = iq_alloc_array(env, 1, sizeof *conn);
    if (conn == NULL)
        return iq_fail_nomem(err, sizeof *conn);
    const imgq_status status = iq_link_init(&conn->link, env, url, chosen, err);
    if (status != IMGQ_OK) {
        iq_free(env, conn);
        return status;
    }
    iq_commands_init(&conn->asking, env);
    conn->interrupt = chosen->interrupt;
    conn->ping_ms = chosen->ping_ms > 0 ? chosen->ping_ms : IQ_CONN_PING_MS;
    conn->on_connect = chosen->on_connect;
    conn->on_connect_user = chosen->on_connect_user;
    *out = conn;
    return IMGQ_OK;
}

void iq_conn_close(iq_conn *conn)
{
    if (conn == NULL)
        return;
    /* The last hold of the env may be the link's. */
    imgq_env *env = conn->link.env;
    iq_conn_release_channels(conn);
    iq_link link = conn->link;
    iq_free(env, conn);
    iq_link_release(&link);
}

void iq_conn_tell_connected(iq_conn *conn)
{
    if (conn->told_generation == conn->link.generation)
        return;
    conn->told_generation = conn->link.generation;
    if (conn->on_connect != NULL)
        conn->on_connect(conn->on_connect_user, conn, conn->link.generation);
}

/* ---- connecting ---- */

static imgq_status not_connected_in_time(const iq_conn *conn, imgq_error *err)
{
    const iq_link *link = &conn->link;
    if (link->failures == 0)
        return iq_fail(err, IMGQ_E_UNAVAILABLE, 0, "connect to %s: no answer before the deadline", link->url.where);
    if (err != NULL)
        *err = link->last_error;
    return IMGQ_E_UNAVAILABLE;
}

static imgq_status connect_now(iq_conn *conn, iq_deadline deadline, imgq_error *err)
{
    iq_link *link = &conn->link;
    for (;;) {
        imgq_status status = iq_link_step(link, err);
        if (status == IMGQ_OK)
            iq_conn_tell_connected(conn);
        if (status != IMGQ_E_TIMEOUT)
            return status;
        short events;
        const int fd = iq_link_wait_fd(link, &events);
        status = iq_wait(fd, events, conn->interrupt, iq_deadline_min(deadline, iq_link_wake_at(link)), NULL, err);
        if (status == IMGQ_E_CANCELLED)
            return iq_fail(err, status, 0, "connect to %s: interrupted", link->url.where);
        if (status == IMGQ_E_TIMEOUT && iq_deadline_passed(deadline) && !iq_deadline_passed(iq_link_wake_at(link)))
            return not_connected_in_time(conn, err);
        if (status == IMGQ_E_IO)
            return status;
    }
}

/* A connection that its server closed while nobody looked is found out before a command is put into it. */
static imgq_status look_at_idle(iq_conn *conn, imgq_error *err)
{
    iq_link *link = &conn->link;
    const int fd = link->state == IQ_LINK_READY ? link->fd : -1;
    const imgq_status status = iq_wait(fd, POLLIN, conn->interrupt, (iq_deadline){0}, NULL, err);
    if (status == IMGQ_E_CANCELLED)
        return iq_fail(err, status, 0, "call to %s: interrupted", link->url.where);
    if (status == IMGQ_E_TIMEOUT)
        return IMGQ_OK;
    if (status == IMGQ_OK) /* closed, or something that nobody asked for: either way of no use */
        iq_link_drop(link);
    return status;
}

imgq_status iq_conn_ensure(iq_conn *conn, iq_deadline deadline, imgq_error *err)
{
    imgq_status status = iq_link_check_process(&conn->link, err);
    if (status == IMGQ_OK && !conn->subscribing && !conn->posting)
        status = look_at_idle(conn, err);
    return status == IMGQ_OK ? connect_now(conn, deadline, err) : status;
}

/* ---- one exchange: a write, and as many replies ---- */

typedef struct exchange {
    const iq_commands *commands;
    const size_t *indexes; /* of the commands to send; NULL: all */
    size_t count;
    bool as_eval;
    iq_deadline deadline;
    int64_t silence_ms; /* without a byte moved */
} exchange;

static size_t index_of(const exchange *it, size_t nth)
{
    return it->indexes != NULL ? it->indexes[nth] : nth;
}

/* "submit", "BLPOP" */
static const char *name_of(const exchange *it, size_t nth, char *out, size_t out_size)
{
    const iq_command *command = &it->commands->items[index_of(it, nth < it->count ? nth : it->count - 1)];
    const iq_arg *name = &it->commands->args[command->first];
    if (command->script != NULL)
        (void)snprintf(out, out_size, "%s", command->script->name);
    else
        (void)snprintf(out, out_size, "%.*s", (int)(name->len < 32 ? name->len : 32), (const char *)name->bytes);
    return out;
}

static imgq_status compose(iq_link *link, const exchange *it, imgq_error *err)
{
    imgq_status status = IMGQ_OK;
    iq_wire_clear(link->env, &link->out);
    for (size_t nth = 0; status == IMGQ_OK && nth < it->count; nth++)
        status = iq_wire_append(link->env, &link->out, it->commands, index_of(it, nth), it->as_eval, err);
    if (status != IMGQ_OK)
        iq_wire_clear(link->env, &link->out);
    return status;
}

static imgq_status wait_for_progress(iq_conn *conn, const exchange *it, imgq_error *err)
{
    iq_link *link = &conn->link;
    const iq_deadline silent_until = {link->moved_ns + it->silence_ms * 1000000};
    short events;
    const int fd = iq_link_wait_fd(link, &events);
    const imgq_status status =
        iq_wait(fd, events, conn->interrupt, iq_deadline_min(it->deadline, silent_until), NULL, err);
    if (status == IMGQ_E_CANCELLED)
        return iq_fail(err, status, 0, "interrupted");
    if (status != IMGQ_E_TIMEOUT)
        return status;
    if (iq_deadline_passed(silent_until))
        return iq_fail(err, IMGQ_E_UNAVAILABLE, 0, "no answer within %lld ms", (long long)it->silence_ms);
    return iq_fail(err, IMGQ_E_TIMEOUT, 0, "no answer before the deadline");
}

/* Whatever goes now, either way. */
static imgq_status move_bytes(iq_link *link, imgq_error *err)
{
    imgq_status status = iq_link_flush(link, err);
    if (status == IMGQ_OK)
        status = iq_link_fill(link, err);
    /* There was room to send, and nothing to read yet. */
    return status == IMGQ_E_TIMEOUT ? IMGQ_OK : status;
}

static imgq_status take_replies(iq_link *link, const exchange *it, iq_reply **replies, size_t *got, imgq_error *err)
{
    while (*got < it->count) {
        iq_reply *reply;
        const imgq_status status = iq_link_next_reply(link, &reply, err);
        if (status != IMGQ_OK || reply == NULL)
            return status;
        replies[index_of(it, *got)] = reply;
        ++*got;
    }
    return IMGQ_OK;
}

static imgq_status receive(iq_conn *conn, const exchange *it, iq_reply **replies, size_t *got, imgq_error *err)
{
    iq_link *link = &conn->link;
    imgq_status status = iq_link_flush(link, err);
    while (status == IMGQ_OK && *got < it->count) {
        status = wait_for_progress(conn, it, err);
        if (status == IMGQ_OK)
            status = move_bytes(link, err);
        if (status == IMGQ_OK)
            status = take_replies(link, it, replies, got, err);
    }
    if (status == IMGQ_OK && (link->out_left > 0 || iq_resp_reader_pending(link->reader) > 0))
        status = iq_fail(err, IMGQ_E_PROTOCOL, 0, "more answers than questions");
    return status;
}

/* An answer may still come for what was sent, so the connection is of no more use. Whose fault it was says whether the
 * next one has to wait. */
static imgq_status end_exchange(iq_link *link, const exchange *it, size_t got, imgq_status status, imgq_error *why)
{
    char name[40];
    (void)iq_fail_prefix(why, status, "%s at %s", name_of(it, got, name, sizeof name), link->url.where);
    if (status == IMGQ_E_UNAVAILABLE || status == IMGQ_E_PROTOCOL)
        iq_link_fail(link, why);
    else
        iq_link_drop(link);
    return status;
}

/* @param replies those of the commands sent are NULL at the start; on failure some may be set */
static imgq_status run_exchange(iq_conn *conn, const exchange *it, iq_reply **replies, imgq_error *err)
{
    iq_link *link = &conn->link;
    imgq_error why = {0};
    size_t got = 0;
    imgq_status status = compose(link, it, &why);
    if (status == IMGQ_OK) {
        iq_link_start_sending(link, it->count);
        status = receive(conn, it, replies, &got, &why);
        if (status == IMGQ_OK)
            iq_wire_clear(link->env, &link->out);
        else
            status = end_exchange(link, it, got, status, &why);
    }
    if (status != IMGQ_OK && err != NULL)
        *err = why;
    return status;
}

/* ---- calls ---- */

static void free_replies(iq_reply **replies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        iq_reply_free(replies[i]);
        replies[i] = NULL;
    }
}

static imgq_status repeat_as_eval(iq_conn *conn, const exchange *first, size_t missing, iq_reply **replies,
                                  imgq_error *err)
{
    imgq_env *env = conn->link.env;
    size_t *indexes = iq_alloc_array(env, missing, sizeof *indexes);
    if (indexes == NULL)
        return iq_fail_nomem(err, missing * sizeof *indexes);
    exchange again = *first;
    again.as_eval = true;
    again.indexes = indexes;
    again.count = iq_script_missing(first->commands, replies, indexes);
    for (size_t i = 0; i < again.count; i++) {
        iq_reply_free(replies[indexes[i]]);
        replies[indexes[i]] = NULL;
    }
    const imgq_status status = run_exchange(conn, &again, replies, err);
    iq_free(env, indexes);
    return status;
}

static imgq_status call_once(iq_conn *conn, const iq_commands *commands, const iq_call *call, iq_reply **replies,
                             imgq_error *err)
{
    iq_link *link = &conn->link;
    imgq_status status = look_at_idle(conn, err);
    if (status == IMGQ_OK && call->generation != 0 &&
        (link->state != IQ_LINK_READY || link->generation != call->generation))
        return iq_fail(err, IMGQ_E_UNAVAILABLE, 0, "the connection to %s is not the same any more", link->url.where);
    if (status == IMGQ_OK)
        status = connect_now(conn, call->deadline, err);
    if (status != IMGQ_OK)
        return status;
    const int64_t more_ms = link->call_ms < IQ_CONN_BLOCK_MORE_MS ? link->call_ms : IQ_CONN_BLOCK_MORE_MS;
    const exchange first = {.commands = commands,
                            .count = commands->count,
                            .deadline = call->deadline,
                            .silence_ms = call->block_ms > 0 ? call->block_ms + more_ms : link->call_ms};
    status = run_exchange(conn, &first, replies, err);
    const size_t missing = status == IMGQ_OK ? iq_script_missing(commands, replies, NULL) : 0;
    return missing > 0 ? repeat_as_eval(conn, &first, missing, replies, err) : status;
}

/* @return the first reply that says that this server cannot serve now; NULL: none does */
static const iq_reply *find_unavailable(iq_reply *const *replies, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (replies[i]->status == IMGQ_E_UNAVAILABLE)
            return replies[i];
    return NULL;
}

imgq_status iq_conn_call(iq_conn *conn, const iq_commands *commands, const iq_call *call, iq_reply **replies,
                         imgq_error *err)
{
    memset(replies, 0, commands->count * sizeof *replies);
    imgq_status status = iq_link_check_process(&conn->link, err);
    if (status != IMGQ_OK)
        return status;
    if (commands->failed)
        return iq_fail_nomem(err, sizeof *commands->args);
    const bool is_taken = conn->subscribing || conn->posting;
    if (is_taken || commands->count == 0 || commands->count > IQ_COMMANDS_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "call to %s: %s", conn->link.url.where,
                       is_taken ? "the connection has subscriptions or posted commands" : "no command, or too many");
    for (;;) {
        status = call_once(conn, commands, call, replies, err);
        const iq_reply *away = status == IMGQ_OK ? find_unavailable(replies, commands->count) : NULL;
        const bool again = call->repeat && call->generation == 0 && !iq_deadline_passed(call->deadline);
        if (away != NULL) {
            imgq_error why = {0};
            (void)iq_reply_check(away, conn->link.url.where, &why);
            iq_link_fail(&conn->link, &why);
        }
        if ((away == NULL && status != IMGQ_E_UNAVAILABLE) || !again)
            break;
        free_replies(replies, commands->count);
    }
    if (status != IMGQ_OK)
        free_replies(replies, commands->count);
    return status;
}

imgq_status iq_conn_call_words(iq_conn *conn, const char *const *words, size_t count, const iq_call *call,
                               iq_reply **reply, imgq_error *err)
{
    iq_commands commands;
    iq_commands_init(&commands, conn->link.env);
    *reply = NULL;
    for (size_t i = 0; i < count; i++)
        if (i == 0)
            iq_commands_add(&commands, words[i]);
        else
            iq_commands_text(&commands, words[i]);
    const imgq_status status = iq_conn_call(conn, &commands, call, reply, err);
    iq_commands_release(&commands);
    return status;
}

void iq_conn_drop(iq_conn *conn)
{
    if (iq_link_check_process(&conn->link, NULL) == IMGQ_OK)
        iq_link_drop(&conn->link);
}

/* ---- questions about the connection ---- */

uint64_t iq_conn_generation(const iq_conn *conn)
{
    return conn->link.generation;
}

bool iq_conn_is_connected(const iq_conn *conn)
{
    return conn->link.state == IQ_LINK_READY;
}

void iq_conn_get_traffic(const iq_conn *conn, uint64_t *commands, uint64_t *round_trips)
{
    *commands = atomic_load_explicit(&conn->link.commands, memory_order_relaxed);
    *round_trips = atomic_load_explicit(&conn->link.round_trips, memory_order_relaxed);
}

const char *iq_conn_where(const iq_conn *conn)
{
    return conn->link.url.where;
}

imgq_env *iq_conn_env(const iq_conn *conn)
{
    return conn->link.env;
}
