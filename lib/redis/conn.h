/* One connection to a server: commands in, replies out, before a deadline. It reconnects by itself and then restores
 * user, database, name and subscriptions. */
#ifndef IQ_REDIS_CONN_H
#define IQ_REDIS_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include <imgq/env.h>

#include "base/clock.h"
#include "base/shared.h"
#include "net/url.h"
#include "net/wait.h"
#include "redis/resp.h"

enum {
    IQ_CONN_CONNECT_MS = 2000,    /* until the server has answered the greeting */
    IQ_CONN_CALL_MS = 5000,       /* without a byte moved */
    IQ_CONN_BLOCK_MORE_MS = 3000, /* how much longer than its own block a blocking command may be silent */
    IQ_CONN_BACKOFF_MIN_MS = 100,
    IQ_CONN_BACKOFF_MAX_MS = 2000,
    IQ_CONN_PING_MS = 15000
};

/** One thread at a time, but for the interrupt. For the process that opened it: in a forked child every call answers
 *  IMGQ_E_INVALID and leaves the parent's connection alone. */
typedef struct iq_conn iq_conn;

/** Told after each successful connect, before the commands of the call that connected; generation is 1 the first time.
 *  Runs inside that call, must not use the connection. */
typedef void (*iq_conn_connected_fn)(void *user, iq_conn *conn, uint64_t generation);

/** Zeroed is a good start; strings are copied. */
typedef struct iq_conn_options {
    const char *username;          /* NULL: the URL's */
    const char *password;          /* NULL: the URL's */
    const char *client_name;       /* CLIENT SETNAME; NULL: "imgq" */
    uint32_t connect_ms;           /* 0: IQ_CONN_CONNECT_MS */
    uint32_t call_ms;              /* 0: IQ_CONN_CALL_MS */
    const iq_interrupt *interrupt; /* shared; while it is set every call answers IMGQ_E_CANCELLED; NULL: none */
    iq_conn_connected_fn on_connect;
    void *on_connect_user;
    uint32_t ping_ms; /* a subscribed connection that heard nothing for so long asks PING; 0: IQ_CONN_PING_MS */
} iq_conn_options;

/**
 * A connection object; nothing is sent yet.
 * @param url      copied
 * @param options  copied; NULL: all defaults
 * @param out      owned, iq_conn_close()
 * @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_IO (no descriptor left)
 */
IQ_SHARED imgq_status iq_conn_open(imgq_env *env, const iq_url *url, const iq_conn_options *options, iq_conn **out,
                                   imgq_error *err);
/** NULL is a no-op. */
IQ_SHARED void iq_conn_close(iq_conn *conn);

/** How a call is made. Zeroed but for the deadline is a plain one. */
typedef struct iq_call {
    iq_deadline deadline;
    uint32_t
        block_ms; /* of a blocking command (BLPOP): the server may be silent that long, and IQ_CONN_BLOCK_MORE_MS */
    bool repeat;  /* safe to be executed twice: sent again until the deadline while IMGQ_E_UNAVAILABLE is the answer */
    uint64_t generation; /* not 0: only on this connection; if it is gone IMGQ_E_UNAVAILABLE, and nothing is sent */
} iq_call;

/**
 * Send the commands in one write, read as many replies. Connects first if there is no connection: after a failure not
 * before the back-off of 100 ms..2 s (jitter) has passed, for which it waits within the deadline.
 * NOSCRIPT answers are repeated as EVAL, in order, before this returns (redis/script.h).
 *
 * An error reply is a reply: the call answers IMGQ_OK and the caller looks with iq_reply_check(). Those that
 * iq_reply_check() maps to IMGQ_E_UNAVAILABLE also end the connection, so that the next call makes a new one. After
 * anything but IMGQ_OK, IMGQ_E_INVALID and an IMGQ_E_NOMEM or IMGQ_E_LIMIT before sending, the connection is closed and
 * never used again, since a late reply may still come; whether the commands were executed is then not known.
 *
 * @param commands  at least one; borrowed
 * @param replies   out, one for each command, each owned, iq_reply_free(); all NULL unless IMGQ_OK
 * @return IMGQ_OK; IMGQ_E_UNAVAILABLE (no connection before the deadline, broken, or call_ms without a byte moved:
 *         "submit at cache:6379: no answer within 5000 ms"); IMGQ_E_TIMEOUT (the deadline, while an answer was due);
 *         IMGQ_E_CANCELLED (interrupt); IMGQ_E_DENIED (the greeting: password, user); IMGQ_E_PROTOCOL (no RESP2 there);
 *         IMGQ_E_LIMIT (a command or a reply); IMGQ_E_NOMEM; IMGQ_E_IO (no descriptor left);
 *         IMGQ_E_INVALID (another process, no such database, or a connection with another use)
 */
IQ_SHARED imgq_status iq_conn_call(iq_conn *conn, const iq_commands *commands, const iq_call *call, iq_reply **replies,
                                   imgq_error *err);
/** iq_conn_call() with one command made of zero-terminated words. */
IQ_SHARED imgq_status iq_conn_call_words(iq_conn *conn, const char *const *words, size_t count, const iq_call *call,
                                         iq_reply **reply, imgq_error *err);
/** Connect now if there is no connection, as a call would. @return as iq_conn_call() */
IQ_SHARED imgq_status iq_conn_ensure(iq_conn *conn, iq_deadline deadline, imgq_error *err);
/** End the connection; the next call makes a new one, at once. */
IQ_SHARED void iq_conn_drop(iq_conn *conn);

/** Connections made so far; 0: none yet. */
IQ_SHARED uint64_t iq_conn_generation(const iq_conn *conn);
IQ_SHARED bool iq_conn_is_connected(const iq_conn *conn);
/** Commands sent, and writes that were waited for; greetings included. Any thread. */
IQ_SHARED void iq_conn_get_traffic(const iq_conn *conn, uint64_t *commands, uint64_t *round_trips);
/** Borrowed: "cache:6379", for messages. */
IQ_SHARED const char *iq_conn_where(const iq_conn *conn);
/** Borrowed. */
IQ_SHARED imgq_env *iq_conn_env(const iq_conn *conn);

/* ---- subscriptions: sharded channels, events taken without blocking ---- */

typedef enum iq_event_type {
    IQ_EVENT_MESSAGE,    /* text of channel and of body */
    IQ_EVENT_SUBSCRIBED, /* the channel is heard from now on; also after each reconnect: what was said in between is
                            lost */
    IQ_EVENT_REFUSED,    /* the server refuses the channel (status, message); it is asked again at the next reconnect */
    IQ_EVENT_REPLY,      /* the answer to the next command of iq_conn_post(): holder */
    IQ_EVENT_LOST /* the connection is gone or could not be made (status, message); tried again after a back-off */
} iq_event_type;

typedef struct iq_event {
    iq_event_type type;
    const char *channel; /* with MESSAGE, SUBSCRIBED, REFUSED; zero-terminated */
    size_t channel_len;
    const void *body; /* with MESSAGE */
    size_t body_len;
    iq_reply *holder;   /* what channel and body are borrowed from, or the REPLY; owned, iq_reply_free(); may be NULL */
    imgq_status status; /* with REFUSED (IMGQ_E_DENIED, or another), LOST */
    imgq_error error;   /* with REFUSED, LOST */
} iq_event;

/**
 * Remember a channel (SSUBSCRIBE), here and after each reconnect. Nothing is waited for: IQ_EVENT_SUBSCRIBED or
 * _REFUSED comes by iq_conn_next_event(). From now on the connection takes no more commands. Twice the same is once.
 * @param channel  copied, binary safe
 * @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_INVALID (another process)
 */
IQ_SHARED imgq_status iq_conn_subscribe(iq_conn *conn, const void *channel, size_t len, imgq_error *err);
/** Forget it (SUNSUBSCRIBE); a message on its way may still come. Unknown ones are ignored. */
IQ_SHARED imgq_status iq_conn_unsubscribe(iq_conn *conn, const void *channel, size_t len, imgq_error *err);
/**
 * Commands whose answers are events: nothing is waited for, iq_conn_next_event() sends them as far as that goes and
 * gives one IQ_EVENT_REPLY for each, in order, so that a host's event loop can ask without blocking. On a connection
 * used for this alone: no subscriptions, no iq_conn_call(). call_ms without a byte moved while answers are due ends the
 * connection; IQ_EVENT_LOST forgets all that was posted and not answered. NOSCRIPT is an ordinary answer here: post
 * once more as EVAL.
 * @param commands  copied  @param as_eval scripts by their text instead of their digest
 * @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_LIMIT; IMGQ_E_INVALID (another process, or a connection with subscriptions)
 */
IQ_SHARED imgq_status iq_conn_post(iq_conn *conn, const iq_commands *commands, bool as_eval, imgq_error *err);
/**
 * The next event; connects, greets and subscribes as far as that goes without waiting (but a host *name* asks the
 * resolver). The interrupt does not matter here.
 * @return IMGQ_OK; IMGQ_E_TIMEOUT (none now; *err untouched); IMGQ_E_NOMEM; IMGQ_E_INVALID (another process)
 */
IQ_SHARED imgq_status iq_conn_next_event(iq_conn *conn, iq_event *out, imgq_error *err);
/** As iq_conn_next_event(), waiting. @return also IMGQ_E_CANCELLED */
IQ_SHARED imgq_status iq_conn_wait_event(iq_conn *conn, iq_deadline deadline, iq_event *out, imgq_error *err);
/** Frees the holder, empties. */
IQ_SHARED void iq_event_release(iq_event *event);

/**
 * One descriptor for the whole life of the connection, across reconnects: poll it for POLLIN, for at most
 * iq_conn_timeout_ms(), then take events until IMGQ_E_TIMEOUT. -1 where the system has none left.
 */
IQ_SHARED int iq_conn_poll_fd(iq_conn *conn);
/** Until iq_conn_next_event() has something to do even if nothing arrives; 0: now; -1: never. */
IQ_SHARED int iq_conn_timeout_ms(iq_conn *conn);

#endif
