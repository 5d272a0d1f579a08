/* The handle's inside: what the files of this room share. */
#ifndef IQ_QUEUE_QUEUE_H
#define IQ_QUEUE_QUEUE_H

#include <imgq/queue.h>

#include "base/clock.h"
#include "queue/keys.h"
#include "redis/conn.h"
#include "redis/conn_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { IQ_OWNER_SIZE = 16, IQ_WORKER_ID_SIZE = 8 };

/** Connections by what they are for, so that none waits behind another's long command. Connected when first used. */
typedef enum iq_line {
    IQ_LINE_COMMAND,  /* everything that answers at once; several where max_connections grants them */
    IQ_LINE_BLOCKING, /* a taker's waits (wake.c): one, two where it imports a list */
    IQ_LINE_KEEPER,   /* one: TOUCH, because renewing must not queue behind a large payload */
    IQ_LINE_COUNT
} iq_line;

typedef struct iq_inbox iq_inbox; /* inbox.h: what this handle follows */
typedef struct iq_taker iq_taker; /* the takers' files: what this handle holds */

struct imgq_queue {
    imgq_env *env;              /* held */
    imgq_queue_options options; /* defaults filled in; its strings are NULL: they live below or in the connections */
    iq_keys keys;
    iq_key meta, slot;                    /* KEYS[1] and KEYS[2] of every script */
    char *name;                           /* owned: the queue's, or the imported list's */
    char *import_list;                    /* owned; NULL: none */
    char *worker_name;                    /* owned: host-pid-random unless told */
    uint8_t worker_id[IQ_WORKER_ID_SIZE]; /* this incarnation's random bytes */
    uint8_t rid[IQ_RID_SIZE];             /* reply id: random, never all zero */
    uint8_t owner[IQ_OWNER_SIZE];
    size_t owner_len; /* 0: no owner token; else IQ_OWNER_SIZE */
    iq_interrupt interrupt;
    atomic_int_least64_t busy_until_ns; /* the queue said "later"; relaxed: only advice */
    iq_conn_pool *lines[IQ_LINE_COUNT];
    iq_inbox *inbox; /* made at open */

    pthread_mutex_t lock;                   /* guards the making of taker; never held across I/O */
    iq_taker *taker;                        /* made by the first take */
    void (*taker_close)(imgq_queue *queue); /* set with taker: gives back, stops its thread, frees it. Called first by
                                               imgq_queue_close(), after the interrupt was cleared */
};

/** The end of a call that has no timeout of its own: connect_ms + call_ms from now. */
iq_deadline iq_queue_deadline(const imgq_queue *queue);

/** Begins `script` with the queue's two keys; its arguments follow. */
void iq_queue_add_script(const imgq_queue *queue, iq_commands *commands, const iq_script *script);
/** True for an operator, or one who only looks, who said no token: every owner's jobs are theirs to see. */
bool iq_queue_sees_all(const imgq_queue *queue);
/** The argument of every operation that takes ids, but submit's: the owner's 16 bytes, an empty one, or "*" of those
 * who see all. */
void iq_queue_add_owner(const imgq_queue *queue, iq_commands *commands);

enum {
    IQ_CALL_REPEAT_BUSY = 1, /* also repeat what OOM, MISCONF and NOREPLICAS refused, each after its time */
    IQ_CALL_ONCE = 2,        /* never repeat: the one attempt's failure is the answer */
    IQ_CALL_NO_PROBE = 8,    /* an answer of NOPERM is the answer */
    IQ_CALL_PATIENT = 4      /* the deadline ends the repeating alone: a large payload that moves is not cut */
};
/** How a pipeline is sent. */
typedef struct iq_request {
    iq_line line;
    unsigned flags;       /* IQ_CALL_... */
    uint32_t block_ms;    /* of a blocking command: the server may be silent so long; else 0 */
    iq_deadline deadline; /* of the whole, waiting for the line included */
} iq_request;

/**
 * Send the commands in one write and take all replies. Every operation of the protocol may be repeated, so the whole
 * pipeline is sent again, with back-off and over a new connection where needed, while the connection fails or the
 * server answers LOADING, READONLY, MASTERDOWN, CLUSTERDOWN, TRYAGAIN or BUSY (a slow script of another's), until the
 * deadline. IQVER of an emptied server is repaired once.
 *
 * @param commands  at least one; borrowed arguments live on until return
 * @param replies   out, one for each command, each owned: iq_reply_free(); all NULL unless IMGQ_OK. One may still be an
 *                  error reply that is an answer (OOM, WRONGTYPE, NOPERM, IQ...): iq_queue_reply_check()
 * @return IMGQ_OK; IMGQ_E_UNAVAILABLE, IMGQ_E_TIMEOUT (whether it was done is not known); IMGQ_E_BUSY (with
 * REPEAT_BUSY: still refused at the deadline); IMGQ_E_CANCELLED (interrupted); IMGQ_E_DENIED (password, user, or a
 * right taken away meanwhile, named); IMGQ_E_NOMEM; IMGQ_E_LIMIT; IMGQ_E_PROTOCOL
 */
imgq_status iq_queue_run(imgq_queue *queue, const iq_commands *commands, const iq_request *request, iq_reply **replies,
                         imgq_error *err);
/** As iq_queue_run() with one command; an error reply is a failure too: "what: text". @param reply out, owned */
imgq_status iq_queue_call(imgq_queue *queue, const iq_commands *commands, const iq_request *request, const char *what,
                          iq_reply **reply, imgq_error *err);
/** As iq_reply_check(), and the scripts' own: IQVER IMGQ_E_UNSUPPORTED, IQBIG IMGQ_E_LIMIT, IQARG IMGQ_E_INTERNAL. */
imgq_status iq_queue_reply_check(const iq_reply *reply, const char *what, imgq_error *err);
/** Frees all, sets them NULL. */
void iq_queue_free_replies(iq_reply **replies, size_t count);

/** Sleep; the handle's interrupt ends it. @return IMGQ_OK (the time is over); IMGQ_E_CANCELLED with a message */
imgq_status iq_queue_sleep(imgq_queue *queue, iq_deadline until, imgq_error *err);
/** 80 % to 120 % of ms, at random: so that many handles do not come back at once. */
uint32_t iq_queue_jitter(uint32_t ms);

#endif
