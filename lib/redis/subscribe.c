/* What is heard without ever waiting: sharded channels, asked for again after each reconnect, and answers to commands
 * that were posted. */
#include "base/alloc.h"
#include "base/fail.h"
#include "redis/link.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>

enum { CHANNEL_MAX_BYTES = 1024 };

static bool grow(imgq_env *env, void **vector, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return true;
    const size_t more = *cap == 0 ? 4 : *cap * 2;
    void *wider = iq_realloc(env, *vector, more * size);
    if (wider == NULL)
        return false;
    *vector = wider;
    *cap = more;
    return true;
}

/* ---- which channels ---- */

static iq_channel *find(iq_conn *conn, const void *name, size_t len)
{
    for (size_t i = 0; i < conn->channel_count; i++)
        if (conn->channels[i].len == len && memcmp(conn->channels[i].name, name, len) == 0)
            return &conn->channels[i];
    return NULL;
}

static void forget(iq_conn *conn, iq_channel *channel)
{
    iq_free(conn->link.env, channel->name);
    *channel = conn->channels[--conn->channel_count];
}

imgq_status iq_conn_subscribe(iq_conn *conn, const void *channel, size_t len, imgq_error *err)
{
    imgq_env *env = conn->link.env;
    const imgq_status status = iq_link_check_process(&conn->link, err);
    if (status != IMGQ_OK)
        return status;
    if (conn->posting)
        return iq_fail(err, IMGQ_E_INVALID, 0, "subscribe at %s: the connection is one of posted commands",
                       conn->link.url.where);
    if (len == 0 || len > CHANNEL_MAX_BYTES)
        return iq_fail(err, IMGQ_E_INVALID, 0, "subscribe at %s: a channel of %zu bytes, 1 to %d are possible",
                       conn->link.url.where, len, (int)CHANNEL_MAX_BYTES);
    conn->subscribing = true;
    iq_channel *known = find(conn, channel, len);
    if (known != NULL) {
        if (known->state == IQ_CHANNEL_UNWANTED)
            known->state = IQ_CHANNEL_ASKED; /* it was never given up at the server */
        return IMGQ_OK;
    }
    void *channels = conn->channels;
    char *name = iq_strndup(env, channel, len);
    if (name == NULL || !grow(env, &channels, conn->channel_count, &conn->channel_cap, sizeof *conn->channels)) {
        iq_free(env, name);
        return iq_fail_nomem(err, len + 1);
    }
    conn->channels = channels;
    conn->channels[conn->channel_count++] =
        (iq_channel){.id = ++conn->last_channel_id, .name = name, .len = len, .state = IQ_CHANNEL_WANTED};
    return IMGQ_OK;
}

imgq_status iq_conn_unsubscribe(iq_conn *conn, const void *channel, size_t len, imgq_error *err)
{
    const imgq_status status = iq_link_check_process(&conn->link, err);
    iq_channel *known = status == IMGQ_OK ? find(conn, channel, len) : NULL;
    if (known == NULL)
        return status;
    if (known->state == IQ_CHANNEL_WANTED || conn->link.state != IQ_LINK_READY)
        forget(conn, known);
    else
        known->state = IQ_CHANNEL_UNWANTED;
    return IMGQ_OK;
}

void iq_conn_release_channels(iq_conn *conn)
{
    imgq_env *env = conn->link.env;
    while (conn->channel_count > 0)
        forget(conn, &conn->channels[0]);
    iq_free(env, conn->channels);
    iq_free(env, conn->questions);
    iq_commands_release(&conn->asking);
    iq_buf_release(env, &conn->posted);
}

/* ---- commands without waiting ---- */

imgq_status iq_conn_post(iq_conn *conn, const iq_commands *commands, bool as_eval, imgq_error *err)
{
    imgq_env *env = conn->link.env;
    iq_wire wire = {0};
    imgq_status status = iq_link_check_process(&conn->link, err);
    if (status == IMGQ_OK && conn->subscribing)
        status = iq_fail(err, IMGQ_E_INVALID, 0, "call to %s: the connection has subscriptions", conn->link.url.where);
    if (status == IMGQ_OK && commands->failed)
        status = iq_fail_nomem(err, sizeof *commands->args);
    for (size_t i = 0; status == IMGQ_OK && i < commands->count; i++)
        status = iq_wire_append(env, &wire, commands, i, as_eval && commands->items[i].script != NULL, err);
    if (status == IMGQ_OK && !iq_buf_reserve(env, &conn->posted, wire.total)) {
        conn->posted.failed = false; /* what was posted before is whole */
        status = iq_fail_nomem(err, wire.total);
    }
    if (status == IMGQ_OK) {
        iq_wire_close(&wire);
        for (size_t i = 0; i < wire.count; i++)
            (void)iq_buf_append(env, &conn->posted, wire.parts[i].iov_base, wire.parts[i].iov_len);
        conn->posted_count += commands->count;
        conn->posting = true;
    }
    iq_wire_release(env, &wire);
    return status;
}

static imgq_status send_posted(iq_conn *conn, imgq_error *err)
{
    iq_link *link = &conn->link;
    if (link->out_left == 0 && conn->posted_count > 0) {
        iq_wire_clear(link->env, &link->out);
        if (!iq_wire_append_bytes(link->env, &link->out, conn->posted.data, conn->posted.len))
            return iq_fail_nomem(err, conn->posted.len);
        iq_link_start_sending(link, conn->posted_count);
        conn->due_count += conn->posted_count;
        conn->posted_count = 0;
        iq_buf_clear(&conn->posted);
    }
    return iq_link_flush(link, err);
}

static imgq_status hear_posted(iq_conn *conn, iq_reply *reply, iq_event *out, imgq_error *err)
{
    if (conn->due_count == 0)
        return iq_fail(err, IMGQ_E_PROTOCOL, 0, "an answer that was not asked for");
    if (reply->status == IMGQ_E_UNAVAILABLE)
        return iq_reply_check(reply, "answer", err);
    conn->due_count--;
    *out = (iq_event){.type = IQ_EVENT_REPLY, .holder = reply};
    return IMGQ_OK;
}

/* ---- asking the server ---- */

/* A new connection knows no channel. */
static void begin_generation(iq_conn *conn)
{
    conn->asked_generation = conn->link.generation;
    conn->question_count = 0;
    for (size_t i = conn->channel_count; i > 0; i--)
        if (conn->channels[i - 1].state == IQ_CHANNEL_UNWANTED)
            forget(conn, &conn->channels[i - 1]);
        else
            conn->channels[i - 1].state = IQ_CHANNEL_WANTED;
    iq_conn_tell_connected(conn);
}

static bool add_question(iq_conn *conn, iq_question question)
{
    void *questions = conn->questions;
    if (!grow(conn->link.env, &questions, conn->question_count, &conn->question_cap, sizeof *conn->questions))
        return false;
    conn->questions = questions;
    conn->questions[conn->question_count++] = question;
    return true;
}

static iq_deadline silent_for(const iq_conn *conn, int64_t ms)
{
    return (iq_deadline){conn->link.moved_ns + ms * 1000000};
}

static bool has_something_to_ask(const iq_conn *conn)
{
    for (size_t i = 0; i < conn->channel_count; i++)
        if (conn->channels[i].state != IQ_CHANNEL_ASKED)
            return true;
    return !conn->posting && conn->question_count == 0 && iq_deadline_passed(silent_for(conn, conn->ping_ms));
}

static bool collect_questions(iq_conn *conn)
{
    iq_commands *asking = &conn->asking;
    bool ok = true;
    iq_commands_clear(asking);
    for (size_t i = conn->channel_count; ok && i > 0; i--) {
        iq_channel *channel = &conn->channels[i - 1];
        if (channel->state == IQ_CHANNEL_ASKED)
            continue;
        const bool wanted = channel->state == IQ_CHANNEL_WANTED;
        iq_commands_add(asking, wanted ? "SSUBSCRIBE" : "SUNSUBSCRIBE");
        iq_commands_copy(asking, channel->name, channel->len);
        ok = add_question(conn, (iq_question){wanted ? IQ_ASKED_SUBSCRIBE : IQ_ASKED_UNSUBSCRIBE, channel->id});
        if (wanted)
            channel->state = IQ_CHANNEL_ASKED;
        else
            forget(conn, channel);
    }
    if (ok && asking->count == 0) {
        iq_commands_add(asking, "PING");
        ok = add_question(conn, (iq_question){IQ_ASKED_PING, 0});
    }
    return ok && !asking->failed;
}

static imgq_status ask(iq_conn *conn, imgq_error *err)
{
    iq_link *link = &conn->link;
    if (link->out_left == 0 && has_something_to_ask(conn)) {
        if (!collect_questions(conn))
            return iq_fail_nomem(err, sizeof *conn->questions);
        iq_wire_clear(link->env, &link->out);
        for (size_t i = 0; i < conn->asking.count; i++) {
            const imgq_status status = iq_wire_append(link->env, &link->out, &conn->asking, i, false, err);
            if (status != IMGQ_OK)
                return status;
        }
        iq_link_start_sending(link, conn->asking.count);
    }
    return iq_link_flush(link, err);
}

/* ---- what the server says ---- */

static iq_question take_question(iq_conn *conn)
{
    const iq_question oldest = conn->questions[0];
    memmove(conn->questions, conn->questions + 1, --conn->question_count * sizeof *conn->questions);
    return oldest;
}

static const iq_channel *channel_of(const iq_conn *conn, uint64_t id)
{
    for (size_t i = 0; i < conn->channel_count; i++)
        if (conn->channels[i].id == id)
            return &conn->channels[i];
    return NULL;
}

/* @return true if it is an event for the user */
static bool hear_refusal(const iq_conn *conn, iq_question asked, const iq_reply *reply, iq_event *out)
{
    const iq_channel *channel = asked.what == IQ_ASKED_SUBSCRIBE ? channel_of(conn, asked.channel_id) : NULL;
    if (channel == NULL)
        return false;
    out->type = IQ_EVENT_REFUSED;
    out->channel = channel->name;
    out->channel_len = channel->len;
    out->status = iq_reply_check(reply, "subscribe", &out->error);
    return true;
}

static imgq_status unexpected(imgq_error *err)
{
    return iq_fail(err, IMGQ_E_PROTOCOL, 0, "an answer that was not asked for");
}

/* @param told out: *out is an event, which owns the reply */
static imgq_status hear(iq_conn *conn, iq_reply *reply, iq_event *out, bool *told, imgq_error *err)
{
    const iq_reply *kind = iq_reply_at(reply, 0), *channel = iq_reply_at(reply, 1);
    *told = false;
    if (iq_reply_is(kind, "smessage") && reply->count == 3 && channel->type == IQ_REPLY_TEXT) {
        const iq_reply *body = iq_reply_at(reply, 2);
        *out = (iq_event){.type = IQ_EVENT_MESSAGE,
                          .channel = channel->text,
                          .channel_len = channel->len,
                          .body = body->text,
                          .body_len = body->len,
                          .holder = reply};
        *told = true;
        return IMGQ_OK;
    }
    if (reply->status == IMGQ_E_UNAVAILABLE)
        return iq_reply_check(reply, "subscribe", err);
    /* The server gives channels up by itself when their slot leaves the node. */
    const bool is_unsubscribed = iq_reply_is(kind, "sunsubscribe");
    if (is_unsubscribed && (conn->question_count == 0 || conn->questions[0].what != IQ_ASKED_UNSUBSCRIBE))
        return iq_fail(err, IMGQ_E_UNAVAILABLE, 0, "the server has given up a channel");
    if (conn->question_count == 0)
        return unexpected(err);
    const iq_question asked = take_question(conn);
    if (reply->type == IQ_REPLY_ERROR) {
        *out = (iq_event){.type = IQ_EVENT_REFUSED, .holder = reply};
        *told = hear_refusal(conn, asked, reply, out);
    } else if (asked.what == IQ_ASKED_SUBSCRIBE) {
        if (!iq_reply_is(kind, "ssubscribe") || channel->type != IQ_REPLY_TEXT)
            return unexpected(err);
        *out = (iq_event){
            .type = IQ_EVENT_SUBSCRIBED, .channel = channel->text, .channel_len = channel->len, .holder = reply};
        *told = channel_of(conn, asked.channel_id) != NULL;
    } else if (asked.what == IQ_ASKED_PING && !iq_reply_is(kind, "pong") && !iq_reply_is(reply, "PONG")) {
        return unexpected(err);
    }
    return IMGQ_OK;
}

static imgq_status lose(iq_conn *conn, imgq_status status, const imgq_error *why, iq_event *out)
{
    if (conn->link.state == IQ_LINK_READY)
        iq_link_fail(&conn->link, why);
    conn->posted_count = conn->due_count = 0;
    iq_buf_clear(&conn->posted);
    *out = (iq_event){.type = IQ_EVENT_LOST, .status = status, .error = *why};
    return IMGQ_OK;
}

static bool is_waiting(const iq_conn *conn)
{
    return conn->question_count + conn->due_count > 0;
}

/* One reply, or none that is complete. @param told as hear() */
static imgq_status hear_next(iq_conn *conn, iq_event *out, bool *told, bool *is_idle, imgq_error *err)
{
    iq_link *link = &conn->link;
    iq_reply *reply = NULL;
    *told = *is_idle = false;
    imgq_status status = iq_link_next_reply(link, &reply, err);
    if (status == IMGQ_OK && reply != NULL) {
        *told = conn->posting;
        status = conn->posting ? hear_posted(conn, reply, out, err) : hear(conn, reply, out, told, err);
        if (status != IMGQ_OK || !*told) {
            iq_reply_free(reply);
            *out = (iq_event){.type = IQ_EVENT_LOST};
        }
        return status;
    }
    if (status == IMGQ_OK)
        status = iq_link_fill(link, err);
    if (status != IMGQ_E_TIMEOUT)
        return status;
    if (is_waiting(conn) && iq_deadline_passed(silent_for(conn, link->call_ms)))
        return iq_fail(err, IMGQ_E_UNAVAILABLE, 0, "no answer within %u ms", (unsigned)link->call_ms);
    *is_idle = true;
    return IMGQ_OK;
}

imgq_status iq_conn_next_event(iq_conn *conn, iq_event *out, imgq_error *err)
{
    iq_link *link = &conn->link;
    *out = (iq_event){.type = IQ_EVENT_LOST};
    imgq_status status = iq_link_check_process(link, err);
    while (status == IMGQ_OK) {
        imgq_error why = {0};
        bool told = false, is_idle = false;
        status = iq_link_step(link, &why);
        if (status == IMGQ_E_TIMEOUT)
            break;
        if (status != IMGQ_OK)
            return lose(conn, status, &why, out);
        if (conn->asked_generation != link->generation)
            begin_generation(conn);
        status = conn->posting ? send_posted(conn, &why) : ask(conn, &why);
        if (status == IMGQ_OK)
            status = hear_next(conn, out, &told, &is_idle, &why);
        if (status != IMGQ_OK) {
            (void)iq_fail_prefix(&why, status, conn->posting ? "call to %s" : "subscription at %s", link->url.where);
            return lose(conn, status, &why, out);
        }
        if (told)
            return IMGQ_OK;
        if (is_idle) {
            iq_link_sync_poll(link);
            status = IMGQ_E_TIMEOUT;
        }
    }
    return status;
}

/* When iq_conn_next_event() has to be called without any byte. */
static iq_deadline wake_at(const iq_conn *conn)
{
    const iq_link *link = &conn->link;
    if (link->state != IQ_LINK_READY)
        return iq_link_wake_at(link);
    if (conn->asked_generation != link->generation ||
        (link->out_left == 0 && (conn->posted_count > 0 || has_something_to_ask(conn))))
        return (iq_deadline){0};
    if (is_waiting(conn))
        return silent_for(conn, link->call_ms);
    return conn->posting ? iq_deadline_never() : silent_for(conn, conn->ping_ms);
}

imgq_status iq_conn_wait_event(iq_conn *conn, iq_deadline deadline, iq_event *out, imgq_error *err)
{
    for (;;) {
        imgq_status status = iq_conn_next_event(conn, out, err);
        if (status != IMGQ_E_TIMEOUT)
            return status;
        short events;
        const int fd = iq_link_wait_fd(&conn->link, &events);
        status = iq_wait(fd, events, conn->interrupt, iq_deadline_min(deadline, wake_at(conn)), NULL, err);
        if (status == IMGQ_E_CANCELLED)
            return iq_fail(err, status, 0, "wait for %s: interrupted", conn->link.url.where);
        if (status == IMGQ_E_TIMEOUT && iq_deadline_passed(deadline) && !iq_deadline_passed(wake_at(conn)))
            return iq_fail(err, status, 0, "wait for %s: no event before the deadline", conn->link.url.where);
        if (status == IMGQ_E_IO)
            return status;
    }
}

void iq_event_release(iq_event *event)
{
    iq_reply_free(event->holder);
    *event = (iq_event){.type = IQ_EVENT_LOST};
}

int iq_conn_poll_fd(iq_conn *conn)
{
    iq_link *link = &conn->link;
    if (iq_link_check_process(link, NULL) != IMGQ_OK)
        return -1;
    if (link->poll_fd < 0)
        link->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    iq_link_sync_poll(link);
    return link->poll_fd;
}

int iq_conn_timeout_ms(iq_conn *conn)
{
    return iq_deadline_poll_ms(wake_at(conn));
}
