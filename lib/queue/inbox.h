/* How a handle hears of its jobs: one subscription, and STATUS as backup. Nothing here blocks but where it says so;
 * whoever needs an answer drives it, one thread at a time, others sleep until that one is done. */
#ifndef IQ_QUEUE_INBOX_H
#define IQ_QUEUE_INBOX_H

#include "queue/follow.h"
#include "queue/look.h"
#include "queue/queue.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IQ_ASK_EVERY_MS = 2000,      /* the backup of notifications */
    IQ_ASK_OLD_EVERY_MS = 10000, /* for a job accepted longer ago than IQ_FOLLOW_OLD_MS */
    IQ_FOLLOW_OLD_MS = 30000,
    IQ_POLL_MIN_MS = 50, /* without notifications: from this, x 1.5, to IQ_POLL_MAX_MS */
    IQ_POLL_MAX_MS = 1000,
    IQ_ASK_PAGE = 128, /* ids in one call */
    IQ_ASK_PAGES = 8   /* calls in one write */
};

typedef enum iq_subscription_state {
    IQ_SUB_OFF,     /* nothing was submitted yet */
    IQ_SUB_WAITING, /* asked for, never confirmed yet */
    IQ_SUB_ON,
    IQ_SUB_LOST,   /* confirmed once; the connection is being made again */
    IQ_SUB_REFUSED /* by the server's ACL, or not wanted (no_notify): polling */
} iq_subscription_state;

/** A command of the asking connection whose answer is due. */
typedef enum iq_post_kind { IQ_POST_STATUS, IQ_POST_RECORD, IQ_POST_RESUBMIT, IQ_POST_OTHER } iq_post_kind;
typedef struct iq_post {
    iq_post_kind kind;
    size_t count; /* of ids that it is about: the first ones of inbox.asked */
    int64_t sent_ns;
} iq_post;

struct iq_inbox {
    imgq_queue *queue; /* borrowed: the handle */
    imgq_env *env;     /* borrowed from it */

    pthread_mutex_t lock;   /* guards everything down to `nudged`; never held across I/O */
    pthread_cond_t changed; /* CLOCK_MONOTONIC: something became ready, or nobody drives any more */
    bool driving;           /* somebody does; the connections below are his */
    iq_follows follows;
    iq_subscription_state subscription;
    int64_t ask_all_ns;  /* ask at once for everything not heard of since; 0: nothing */
    int64_t last_ask_ns; /* when the last round of questions was sent */
    uint32_t poll_ms;    /* the present interval without notifications */
    int64_t down_ns;     /* the server is away since; 0: it is there */
    imgq_error down;     /* why */
    bool nomem;          /* an end could not be kept for want of memory: it is asked for again */
    bool session;        /* jobs of this handle are bound to its life */
    int64_t planned_ns;  /* when whoever drives will wake up by himself; INT64_MAX: when told */

    iq_interrupt nudge; /* wakes whoever drives: there is something new to plan for */

    /* Of whoever drives. */
    iq_conn *hear, *ask;                 /* subscribed; asking */
    int fd;                              /* an epoll over both and nudge: what a host polls */
    bool subscribed;                     /* hear was told the channel */
    bool asking;                         /* ask was used */
    bool status_as_eval, submit_as_eval; /* the server does not know that script: send its text next */
    bool told_refusal;
    iq_post *posts; /* answers due, oldest first, from post_first on */
    size_t post_first, post_count, post_cap;
    imgq_id *asked; /* what they are about, in their order, from asked_first on */
    size_t asked_first, asked_count, asked_cap;
};

imgq_status iq_inbox_open(imgq_queue *queue, const iq_url *url, const iq_conn_options *options, iq_inbox **out,
                          imgq_error *err);
void iq_inbox_close(iq_inbox *inbox); /* NULL is a no-op */
void iq_inbox_get_traffic(iq_inbox *inbox, uint64_t *commands, uint64_t *round_trips);

/* ---- for submit and attach. Any thread ---- */

/** Blocks until the handle hears its channel, or knows that it will not and polls: before the first submission.
 *  @return IMGQ_OK; IMGQ_E_UNAVAILABLE; IMGQ_E_CANCELLED; IMGQ_E_NOMEM */
imgq_status iq_inbox_subscribe(iq_inbox *inbox, iq_deadline deadline, imgq_error *err);
/** A submission of this id is on its way: an end that is heard of meanwhile is kept. @return IMGQ_OK; IMGQ_E_NOMEM */
imgq_status iq_inbox_begin(iq_inbox *inbox, const imgq_id *id, imgq_error *err);
typedef enum iq_outcome { IQ_OUTCOME_ACCEPTED, IQ_OUTCOME_REFUSED, IQ_OUTCOME_UNKNOWN } iq_outcome;
/** How it went: one for each iq_inbox_begin().
 *  @param look  what the server said about a job that was there already; NULL: nothing
 *  @param kept  given; NULL: no copy. */
void iq_inbox_settle(iq_inbox *inbox, const imgq_id *id, iq_outcome outcome, const iq_look *look, iq_submission *kept);
bool iq_inbox_follows(iq_inbox *inbox, const imgq_id *id);
void iq_inbox_forget(iq_inbox *inbox, const imgq_id *id);
/** From now on the session's key is renewed with the questions. */
void iq_inbox_bind_session(iq_inbox *inbox);

/* ---- for await and the host's loop ---- */

/** Wait until something may have changed: whoever comes first drives the connections, others sleep. The caller holds
 * the lock, which is given up meanwhile, and looks again. */
void iq_inbox_wait(iq_inbox *inbox, iq_deadline deadline);
/** Deal with what has happened, without waiting. The caller has set `driving`; holds no lock. */
void iq_inbox_step(iq_inbox *inbox);
/** When iq_inbox_step() is due though nothing arrives. The caller drives, or holds the lock while nobody does. */
iq_deadline iq_inbox_wake_at(iq_inbox *inbox);

/* ---- between inbox.c and ask.c: the caller drives ---- */

/** A job has ended: keeps what the server said. Under the lock. */
void iq_inbox_end(iq_inbox *inbox, iq_follow *follow, int state, uint16_t error, const void *body, size_t body_len);
/** As iq_inbox_end() with a failure of our own. Under the lock. */
void iq_inbox_end_failed(iq_inbox *inbox, iq_follow *follow, imgq_status status, const char *message);
/** What a look means for a followed job. Under the lock. @return false: its record has to be fetched */
bool iq_inbox_apply(iq_inbox *inbox, iq_follow *follow, const iq_look *look);
/** Send the questions that are due. */
void iq_inbox_ask_due(iq_inbox *inbox);
/** Take the answers that are there. */
void iq_inbox_take_answers(iq_inbox *inbox);
/** When the next question is due, but for answers that are still awaited; INT64_MAX: none. Under the lock. */
int64_t iq_inbox_next_ask_ns(const iq_inbox *inbox);

#endif
