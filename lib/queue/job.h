/* The taker's side of a handle: what taker.c, take.c, wait.c, finish.c, keeper.c, import.c and wake.c share, and what
 * the worker's room asks of them. */
#ifndef IQ_QUEUE_JOB_H
#define IQ_QUEUE_JOB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <imgq/queue.h>

#include "base/clock.h"
#include "base/shared.h"
#include "queue/queue.h"
#include "queue/record.h"

enum {
    IQ_WORKER_NAME_MAX = 128,
    IQ_LEASE_MIN_MS = 10000,
    IQ_LEASE_MAX_MS = 300000,
    IQ_LEASE_DEFAULT_MS = 30000,
    IQ_KEEP_EVERY_MS = 2000, /* TOUCH while something is held */
    IQ_TICK_EVERY_MS = 4000, /* a taker that holds nothing still moves the queue's clock */
    IQ_GRACE_MS = 10000,     /* leases are not reaped so long after the server was away */
    IQ_EXEC_LIMIT_LEASES = 10,
    IQ_IDLE_BLOCK_MS = 2200, /* +- 100 */
    IQ_TAKE_MAX_BYTES = 16 << 20,
    IQ_CALL_MAX_JOBS = 128, /* of one TOUCH, DONE or FAIL */
    IQ_CALL_MAX_BYTES = 8 << 20,
    IQ_LEGACY_ID_MAX = 128,
    IQ_LEGACY_RESULT_S = 3600
};

/** Taken work. In its taker's list until it ends. */
struct imgq_job {
    imgq_queue *queue;
    imgq_job *next, *previous; /* guarded by the taker's lock */
    imgq_id id;
    iq_record head; /* as delivered */
    iq_job_options options;
    iq_reply *holder; /* what payload is borrowed from; held */
    const uint8_t *payload;
    size_t payload_len;
    uint8_t *tensor;        /* of an imported item, owned: payload points here */
    char *legacy_id;        /* of an imported item, owned: the key of its answer */
    imgq_error damage;      /* status not IMGQ_OK: record or item cannot be read */
    int64_t taken_unix_ms;  /* server's */
    uint32_t lease_ms;      /* guarded by the taker's lock, as the next two */
    int64_t lease_end_ns;   /* monotonic, by the time the lease was asked for: never later than the server's */
    int64_t renew_until_ns; /* keep_leases gives up after this */
    bool handed_out;        /* the caller has it; else it waits for the next take */
    _Atomic imgq_status standing;
};

typedef struct iq_waker iq_waker; /* wake.c */

struct iq_taker {
    imgq_queue *queue;
    pthread_mutex_t lock;   /* guards all below; never held across I/O */
    pthread_cond_t changed; /* CLOCK_MONOTONIC */
    imgq_job *first, *last; /* held jobs, oldest first */
    size_t held;
    char *info;        /* owned: line of JSON for imgq-ctl workers; NULL: none */
    bool taking;       /* one TAKE at a time, so that nonces arrive in order */
    uint64_t nonce;    /* of the TAKE whose reply is awaited, or of the next one */
    int64_t ticked_ns; /* last TAKE or TOUCH that the server answered (reports do not tick); 0: none yet */
    bool renew_first;  /* the connection was lost: leases before new work */
    bool waking;       /* a thread waits in imgq_queue_take() and has the waker */
    iq_waker *waker;   /* of imgq_queue_take(); NULL: not needed yet; for whoever set waking */
    bool keeper_runs, keeper_stop;
    pthread_t keeper;
    uint8_t identity[IQ_WORKER_NAME_MAX + 2 * IQ_WORKER_ID_SIZE + 1]; /* name, then this incarnation's random bytes */
    size_t identity_len;
};

/* ---- taker.c ---- */

/** The handle's taker, made when first asked for; refuses a name that lives elsewhere.
 *  @return IMGQ_OK; IMGQ_E_CONFLICT (a live worker has this name); IMGQ_E_NOMEM; as iq_queue_call() */
IQ_SHARED imgq_status iq_queue_taker(imgq_queue *queue, iq_taker **out, imgq_error *err);

/* Under the taker's lock. */
void iq_taker_add(iq_taker *taker, imgq_job *job);
void iq_taker_remove(iq_taker *taker, imgq_job *job);
/** Frees what the job owns and itself; it must be in no list. */
void iq_job_free(imgq_job *job);
/** What a payload stands in; zeroed is nothing. */
typedef struct iq_payload {
    iq_reply *holder;
    uint8_t *tensor;
} iq_payload;
/** The payload's memory leaves the job, whose payload is empty from now on: pointers into it outlive the job.
 *  @return owned, iq_payload_release() */
IQ_SHARED iq_payload iq_job_detach_payload(imgq_job *job);
/** @param env the job's queue's @param payload zeroed afterwards */
IQ_SHARED void iq_payload_release(imgq_env *env, iq_payload *payload);
/** The line for TAKE and TOUCH; owned copy, may be NULL. */
char *iq_taker_copy_info(iq_taker *taker);

/* ---- take.c ---- */

typedef struct iq_take_report {
    uint64_t left;  /* jobs that still wait in the queue */
    int64_t due_ms; /* until the next delayed job may run; -1: none */
    bool paused;
} iq_take_report;

/**
 * One TAKE now, in one attempt, nothing waited for: how the worker's room visits its queues. As imgq_queue_take()
 * otherwise; a failed attempt is repeated by the next call, which gets the same jobs if the server had given them.
 * @param report  out, set with IMGQ_OK
 * @return IMGQ_OK, *count may be 0; IMGQ_E_CANCELLED; IMGQ_E_UNAVAILABLE and others
 */
IQ_SHARED imgq_status iq_queue_take_now(imgq_queue *queue, size_t max, int64_t lease_ms, imgq_job **jobs, size_t *count,
                                        iq_take_report *report, imgq_error *err);

/* ---- finish.c ---- */

/** As imgq_jobs_release(), one attempt that ends with the deadline. */
IQ_SHARED void iq_jobs_release_before(imgq_job *const *jobs, size_t count, iq_deadline deadline);

typedef struct iq_failure {
    imgq_job *job; /* given */
    int kind;      /* IMGQ_FAIL_... */
    const imgq_error *why;
} iq_failure;

/** As imgq_job_fail() for many of one queue, in one round trip. @param each out, may be NULL */
IQ_SHARED imgq_status iq_jobs_fail(const iq_failure *failures, size_t count, imgq_status *each, imgq_error *err);

/* ---- keeper.c ---- */

/** Renews what the taker holds, once, in one attempt; with nothing held it still ticks. */
imgq_status iq_taker_touch(iq_taker *taker, iq_line line, iq_deadline deadline, imgq_error *err);
imgq_status iq_keeper_start(iq_taker *taker, imgq_error *err);
void iq_keeper_stop(iq_taker *taker);

/* ---- import.c ---- */

/** Reads an imported job's item: payload becomes its tensor, options.legacy_id its key.
 *  @return IMGQ_OK; IMGQ_E_FORMAT (what is wrong with the item); IMGQ_E_NOMEM */
imgq_status iq_job_parse_item(imgq_job *job, imgq_error *err);
/** Appends the answer as reference producers read it: [{"label": ..., "probability": ...}, ...]. */
imgq_status iq_reference_answer_write(imgq_env *env, iq_buf *json, const imgq_answer *answer, imgq_error *err);

/* ---- wake.c ---- */

/** Waits for a queue's wake tokens without blocking, so that one thread can wait for many queues. One thread at a time.
 */

enum { IQ_WAKER_FDS = 2 };

/** Sends nothing yet. One for each handle. @param out owned, iq_waker_close() */
IQ_SHARED imgq_status iq_waker_open(imgq_queue *queue, iq_waker **out, imgq_error *err);
/** NULL is a no-op. Before the queue is closed. */
IQ_SHARED void iq_waker_close(iq_waker *waker);
/** A token is wanted: begin to wait for one, for so long at most. One that came since is there at once. */
IQ_SHARED void iq_waker_arm(iq_waker *waker, uint32_t block_ms);
/** No token is wanted: one that comes all the same is passed on to the next idle worker. */
IQ_SHARED void iq_waker_disarm(iq_waker *waker);
typedef enum iq_wake {
    IQ_WAKE_NONE, /* nothing new */
    IQ_WAKE_TIME, /* a wait ended without a token: look all the same */
    IQ_WAKE_TOKEN /* somebody put a job into the queue */
} iq_wake;
/** What came since the last call; never blocks. Unless it was NONE, arm again. Also to be called while disarmed. */
IQ_SHARED iq_wake iq_waker_take(iq_waker *waker);
/** Descriptors to poll for POLLIN, the same ones for the waker's whole life. @return how many */
IQ_SHARED size_t iq_waker_fds(iq_waker *waker, int fds[IQ_WAKER_FDS]);
/** Until iq_waker_take() has something to do even if nothing arrives; 0: now; -1: never. */
IQ_SHARED int iq_waker_timeout_ms(iq_waker *waker);

#endif
