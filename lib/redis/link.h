/* The life of one socket to the server, step by step and never blocking: dial, greet, send, receive, back off. conn.c
 * waits between the steps, subscribe.c leaves the waiting to its caller. Inside this room only. */
#ifndef IQ_REDIS_LINK_H
#define IQ_REDIS_LINK_H

#include <stdatomic.h>
#include <sys/types.h>

#include "net/dial.h"
#include "redis/conn.h"

typedef enum iq_link_state { IQ_LINK_IDLE, IQ_LINK_DIALING, IQ_LINK_GREETING, IQ_LINK_READY } iq_link_state;

typedef struct iq_link {
    imgq_env *env; /* held */
    iq_url url;
    char *username, *password, *client_name;
    uint32_t connect_ms, call_ms;
    pid_t pid; /* whose descriptors these are */

    iq_link_state state;
    int fd;      /* of GREETING and READY; -1 */
    int poll_fd; /* an epoll that follows the socket through its changes; -1: nobody asked */
    int polled_fd;
    short polled_events;
    iq_dial dial;
    iq_deadline connect_until; /* of DIALING and GREETING */
    iq_deadline retry_at;      /* of IDLE: not before */
    uint32_t failures;         /* in a row */
    imgq_error last_error;     /* why there is no connection */
    uint64_t generation;
    bool proven; /* this connection has answered more than the greeting */

    iq_resp_reader *reader;
    iq_wire out;     /* what is being sent */
    size_t out_part; /* first part not wholly sent */
    size_t out_left; /* bytes not sent */
    iq_commands greeting;
    size_t greeted;   /* replies to it that are in */
    int64_t moved_ns; /* when a byte last moved, either way */
    char *chunk;      /* for receiving */

    atomic_uint_fast64_t commands, round_trips;
} iq_link;

imgq_status iq_link_init(iq_link *link, imgq_env *env, const iq_url *url, const iq_conn_options *options,
                         imgq_error *err);
void iq_link_release(iq_link *link);

/** IMGQ_E_INVALID in a forked child, which lets go of its copies of the descriptors. */
imgq_status iq_link_check_process(iq_link *link, imgq_error *err);
/** One step towards READY. @return IMGQ_OK (READY); IMGQ_E_TIMEOUT (wait for iq_link_events() or iq_link_wake_at());
 * else the attempt has failed and the next one is due after the back-off */
imgq_status iq_link_step(iq_link *link, imgq_error *err);
/** Descriptor and events to wait for; -1 while backing off. */
int iq_link_wait_fd(const iq_link *link, short *events);
/** When the next step is due without any event. */
iq_deadline iq_link_wake_at(const iq_link *link);

/** Begin to send what was appended to link->out, `commands` of them; the previous must have been sent. */
void iq_link_start_sending(iq_link *link, size_t commands);
/** Send what fits now. @return IMGQ_OK (also if some is left); IMGQ_E_UNAVAILABLE */
imgq_status iq_link_flush(iq_link *link, imgq_error *err);
/** Receive once. @return IMGQ_OK; IMGQ_E_TIMEOUT (nothing there); IMGQ_E_UNAVAILABLE; IMGQ_E_LIMIT; IMGQ_E_NOMEM */
imgq_status iq_link_fill(iq_link *link, imgq_error *err);
/** @param out NULL with IMGQ_OK: needs more */
imgq_status iq_link_next_reply(iq_link *link, iq_reply **out, imgq_error *err);

/** Close because of `why`, and back off. */
void iq_link_fail(iq_link *link, const imgq_error *why);
/** Close; the next connect may be made at once. */
void iq_link_drop(iq_link *link);
/** Tell the epoll what is waited for now. */
void iq_link_sync_poll(iq_link *link);

/** A channel that is wanted. */
typedef struct iq_channel {
    uint64_t id; /* never used twice */
    char *name;
    size_t len;
    enum { IQ_CHANNEL_WANTED, IQ_CHANNEL_ASKED, IQ_CHANNEL_UNWANTED } state;
} iq_channel;

/** A question that the server has not answered; answers come in the order of the questions. */
typedef struct iq_question {
    enum { IQ_ASKED_SUBSCRIBE, IQ_ASKED_UNSUBSCRIBE, IQ_ASKED_PING } what;
    uint64_t channel_id;
} iq_question;

/** What is behind the public name: conn.c, subscribe.c. */
struct iq_conn {
    iq_link link;
    const iq_interrupt *interrupt;
    iq_conn_connected_fn on_connect;
    void *on_connect_user;
    uint32_t ping_ms;
    uint64_t told_generation; /* that on_connect has heard of */

    bool subscribing;
    iq_channel *channels;
    size_t channel_count, channel_cap;
    uint64_t last_channel_id;
    uint64_t asked_generation; /* that the channels' states and the questions are about */
    iq_question *questions;    /* oldest first */
    size_t question_count, question_cap;
    iq_commands asking;

    bool posting;        /* a connection of iq_conn_post() */
    iq_buf posted;       /* commands that were not sent */
    size_t posted_count; /* of them */
    size_t due_count;    /* replies to those that were */
};

/** Calls on_connect if the connection is new. */
void iq_conn_tell_connected(iq_conn *conn);
void iq_conn_release_channels(iq_conn *conn);

/** script.c: the commands of `commands` whose replies say NOSCRIPT. @param indexes out, room for count of them */
size_t iq_script_missing(const iq_commands *commands, iq_reply *const *replies, size_t *indexes);

#endif
