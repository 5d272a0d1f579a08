/* A queue of images in Redis: submit and await on one side, take and report on the other. */
#ifndef IMGQ_QUEUE_H
#define IMGQ_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/env.h>
#include <imgq/prediction.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Any thread; callers do not block each other for longer than one command. Not to be used in a forked child. */
typedef struct imgq_queue imgq_queue;
/** Work that was taken, under a lease. One thread at a time. */
typedef struct imgq_job imgq_job;
/** How a job ended. One thread at a time. */
typedef struct imgq_result imgq_result;

/** 1-64 of [A-Za-z0-9_.:-], zero-terminated. The library's own begin with '_' and sort by time; a user's must not. */
typedef struct imgq_id {
    char text[65];
} imgq_id;

enum { IMGQ_ROLE_PRODUCER = 1, IMGQ_ROLE_WORKER = 2, IMGQ_ROLE_OPERATOR = 4, IMGQ_ROLE_READER = 8 /* looks only */ };

typedef struct imgq_queue_options {
    size_t size;
    const char *name;        /* [A-Za-z0-9_.-]{1,64}; NULL: "default" */
    const char *owner_token; /* jobs carry its SHA-256 and answer nobody else; NULL: none. Not a security boundary */
    const char *username;    /* over the URL's; NULL: the URL's */
    const char *password;    /* over the URL's; NULL: the URL's */
    const char *client_name; /* CLIENT SETNAME; NULL: "imgq" */
    const char *worker_name; /* of a taker; NULL: host-pid-random */
    const char *import_list; /* also take what reference producers RPUSH to this list (docs/protocol.md); NULL: none.
                                The queue then lives in the list's slot and `name` is ignored */
    const char *ca_file;     /* of a rediss URL; NULL: the system's */
    uint32_t roles;          /* IMGQ_ROLE_... whose rights open probes; 0: PRODUCER */
    uint32_t connect_ms;     /* 0: 2000 */
    uint32_t call_ms;        /* without a byte moved; 0: 5000 */
    uint32_t max_connections; /* 0: 4 */
    uint32_t no_verify;      /* 1: a rediss server's certificate is not checked */
    uint32_t allow_eviction; /* 1: open a server whose maxmemory-policy loses jobs; tests only */
    uint32_t no_notify;      /* 1: no subscription, awaiting polls */
    uint32_t keep_payload;   /* 1: keep a copy until the answer, and submit again what a failover lost */
    uint32_t keep_leases;    /* 1: a thread of the handle renews what it has taken, every 2 s */
    uint32_t exec_limit_ms;  /* keep_leases stops for a job after this; 0: 10 x its lease */
    uint32_t result_ttl_ms;  /* how long this taker's results are kept; 0: the job's or the queue's (1 h) */
    uint32_t reserved;
} imgq_queue_options;

#ifdef __cplusplus
#define IMGQ_QUEUE_OPTIONS_INIT \
    ([] { imgq_queue_options o = imgq_queue_options(); o.size = sizeof o; return o; }())
#else
#define IMGQ_QUEUE_OPTIONS_INIT ((imgq_queue_options){.size = sizeof(imgq_queue_options)})
#endif

/**
 * Connect, check the server (Redis >= 7.0, maxmemory-policy noeviction, the roles' rights) and the queue's version.
 * @param url  redis://[[user]:pass@]host[:port][/db] or unix:///path[?db=N]
 * @param out  owned, imgq_queue_close()
 * @return IMGQ_OK; IMGQ_E_UNAVAILABLE (nobody answers); IMGQ_E_DENIED (password, or a right, named);
 *         IMGQ_E_UNSUPPORTED (too old, evicting, another protocol version, a scheme not built in); IMGQ_E_INVALID (url)
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_open(imgq_env *env, const char *url,
                                                  const imgq_queue_options *options,
                                                  imgq_queue **out, imgq_error *err);
/** Wakes every blocked call of the handle with IMGQ_E_CANCELLED, until imgq_queue_resume_calls(). Async-signal-safe. */
IMGQ_API void imgq_queue_interrupt(imgq_queue *queue);
IMGQ_API void imgq_queue_resume_calls(imgq_queue *queue);
/** Gives back what was taken and not reported, then closes. NULL is a no-op. No other call may be running. */
IMGQ_API void imgq_queue_close(imgq_queue *queue);
/** Borrowed: name of the queue; of this taker (host-pid-random). */
IMGQ_API const char *imgq_queue_name(const imgq_queue *queue);
IMGQ_API const char *imgq_queue_worker_name(const imgq_queue *queue);
/** Commands sent and round trips waited for so far by this handle. */
IMGQ_API void imgq_queue_get_traffic(const imgq_queue *queue, uint64_t *commands, uint64_t *round_trips);

/* ---- producers ---- */

enum {
    IMGQ_MEDIA_ENCODED = 0, /* a JPEG or PNG file */
    IMGQ_MEDIA_U8 = 1,      /* height x width x 3 bytes, R G B, after resize and crop */
    IMGQ_MEDIA_F32 = 2      /* height x width x 3 little-endian floats, after normalising */
};
enum { IMGQ_EXIF_WORKER = 0, IMGQ_EXIF_IGNORE = 1, IMGQ_EXIF_APPLY = 2 };

typedef struct imgq_payload {
    const void *bytes; /* borrowed during the call */
    size_t len;
} imgq_payload;

typedef struct imgq_submit_options {
    size_t size;
    const imgq_id *id;      /* NULL: the library's own. submit_many: an array, one each */
    const char *profile;    /* preprocessing that the sender wants or, for tensors, has done; NULL: the worker's */
    const char *model;      /* only a worker of this model (name or hash) may answer; NULL: any */
    uint32_t media;         /* IMGQ_MEDIA_... */
    uint32_t width, height; /* of a tensor */
    uint32_t priority_plus_1; /* 0: the default, 5; else priority + 1, priority 0-9, 9 first */
    uint32_t top_count;     /* 0: 5; at most 100 */
    uint32_t max_fails;     /* 0: 3 */
    uint32_t max_crashes;   /* 0: 3 */
    uint32_t exif;          /* IMGQ_EXIF_... */
    uint32_t use_background; /* 1: composite alpha over background */
    uint8_t background[3];
    uint8_t session_bound;  /* 1: cancelled when this handle is gone for 60 s; one that neither awaits nor
                               processes for so long is gone */
    uint8_t reserved[4];
    int64_t delay_ms;       /* not before this from now */
    int64_t deadline_ms;    /* from now; 0: 24 h */
    int64_t result_ttl_ms;  /* 0: the queue's (1 h) */
} imgq_submit_options;

#ifdef __cplusplus
#define IMGQ_SUBMIT_OPTIONS_INIT \
    ([] { imgq_submit_options o = imgq_submit_options(); o.size = sizeof o; return o; }())
#else
#define IMGQ_SUBMIT_OPTIONS_INIT ((imgq_submit_options){.size = sizeof(imgq_submit_options)})
#endif

/**
 * Put one job into the queue; when this returns IMGQ_OK the job is in Redis and will end in exactly one way.
 * The same id with the same content again is the same job (then its answer can be awaited).
 * @param id  out, may be NULL; also written where the outcome is not known
 * @return IMGQ_OK; IMGQ_E_BUSY (full or closed; err->retry_after_ms); IMGQ_E_LIMIT (payload); IMGQ_E_CONFLICT (id has
 *         other content or owner); IMGQ_E_INVALID; IMGQ_E_UNAVAILABLE; IMGQ_E_TIMEOUT (both: whether it was accepted is
 *         not known: submit the same id again)
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_submit(imgq_queue *queue, const void *payload,
                                                    size_t len, const imgq_submit_options *options,
                                                    imgq_id *id, imgq_error *err);
/**
 * As many imgq_queue_submit(), in one round trip for each 128 jobs or 8 MiB. All jobs are tried.
 * @param ids, each  out, count of them, may be NULL: ids, and the status of each
 * @return IMGQ_OK, else the first status of `each` that is none, with its message
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_submit_many(imgq_queue *queue,
                                                         const imgq_payload *payloads, size_t count,
                                                         const imgq_submit_options *options,
                                                         imgq_id *ids, imgq_status *each,
                                                         imgq_error *err);
/** Follow jobs that another handle submitted. @return IMGQ_OK; IMGQ_E_NOTFOUND (one is unknown or expired, named); IMGQ_E_DENIED */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_attach(imgq_queue *queue, const imgq_id *ids,
                                                    size_t count, imgq_error *err);

enum { IMGQ_AWAIT_MAX = 1000000 };

/**
 * Wait until one of the jobs has ended. Each end is handed out once per handle.
 * @param ids, count  submitted or attached through this handle, 1..IMGQ_AWAIT_MAX; NULL, 0: any of the handle's
 * @param timeout_ms  0 looks once, -1 waits until imgq_queue_interrupt()
 * @param out         owned, imgq_result_destroy(); NULL unless IMGQ_OK. IMGQ_OK means that the job ended: how, says
 *                    imgq_result_status()
 * @return IMGQ_OK; IMGQ_E_TIMEOUT; IMGQ_E_NOTFOUND (an id is not followed by this handle; with NULL: none is left);
 *         IMGQ_E_CANCELLED (interrupted); IMGQ_E_UNAVAILABLE (Redis stayed away for the whole timeout)
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_await(imgq_queue *queue, const imgq_id *ids,
                                                   size_t count, int64_t timeout_ms,
                                                   imgq_result **out, imgq_error *err);
/** Stop following a job; it runs on. Unknown ids are ignored. */
IMGQ_API void imgq_queue_forget(imgq_queue *queue, const imgq_id *id);
/** @return IMGQ_OK (cancelled); IMGQ_E_CONFLICT (it had ended already); IMGQ_E_NOTFOUND; IMGQ_E_DENIED; IMGQ_E_UNAVAILABLE */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_cancel(imgq_queue *queue, const imgq_id *id,
                                                    imgq_error *err);
/** As imgq_queue_cancel() for many, in pages. @param each out, count of them, may be NULL */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_cancel_many(imgq_queue *queue, const imgq_id *ids,
                                                         size_t count, imgq_status *each,
                                                         imgq_error *err);

/* A host's event loop: poll(imgq_queue_fd(), imgq_queue_events()) for at most imgq_queue_timeout_ms(), then
 * imgq_queue_process() until it answers IMGQ_E_TIMEOUT. None of them blocks. Submitting does, for one round trip. */
IMGQ_API int imgq_queue_fd(imgq_queue *queue);
IMGQ_API int imgq_queue_events(imgq_queue *queue);
IMGQ_API int imgq_queue_timeout_ms(imgq_queue *queue);
/** @param ready out, owned: one ended job. @return IMGQ_OK; IMGQ_E_TIMEOUT (nothing now) */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_process(imgq_queue *queue, imgq_result **ready,
                                                     imgq_error *err);

/* ---- results ---- */

/** IMGQ_OK, or why the job has no answer: IMGQ_E_CANCELLED, IMGQ_E_TIMEOUT (its deadline), IMGQ_E_LOST, or what the
 *  worker reported. */
IMGQ_API imgq_status imgq_result_status(const imgq_result *result);
/** Borrowed; "" with IMGQ_OK. */
IMGQ_API const char *imgq_result_message(const imgq_result *result);
IMGQ_API imgq_id imgq_result_id(const imgq_result *result);
/** Borrowed, best first. @param count out */
IMGQ_API const imgq_prediction *imgq_result_top(const imgq_result *result, size_t *count);
/** Borrowed: label of the index-th of imgq_result_top(); NULL out of range. */
IMGQ_API const char *imgq_result_label(const imgq_result *result, size_t index);
/** Borrowed: the result as the worker wrote it, JSON (docs/wire-formats.md). @param len out */
IMGQ_API const char *imgq_result_json(const imgq_result *result, size_t *len);

typedef struct imgq_result_info {
    size_t size;
    const char *model, *model_hash, *profile, *engine, *precision, *worker; /* borrowed; "" if unknown */
    uint32_t attempt;           /* 1: the first delivery answered */
    uint32_t exif_orientation;  /* 0: none */
    uint32_t exif_applied;
    uint32_t batch;             /* images that ran together */
    double queue_ms;            /* from submit to take, by server time */
    double decode_ms;           /* decode, resize, normalise */
    double compute_ms;          /* the forward pass of the batch */
} imgq_result_info;

#ifdef __cplusplus
#define IMGQ_RESULT_INFO_INIT \
    ([] { imgq_result_info o = imgq_result_info(); o.size = sizeof o; return o; }())
#else
#define IMGQ_RESULT_INFO_INIT ((imgq_result_info){.size = sizeof(imgq_result_info)})
#endif

/** Provenance; strings live as long as the result. */
IMGQ_API IMGQ_CHECKED imgq_status imgq_result_get_info(const imgq_result *result,
                                                       imgq_result_info *info, imgq_error *err);
IMGQ_API void imgq_result_destroy(imgq_result *result);

/* ---- takers ---- */

enum { IMGQ_TAKE_MAX = 64 };

/**
 * Take up to max jobs, atomically, under a lease. Waits without polling until something waits in the queue.
 * @param max           1..IMGQ_TAKE_MAX
 * @param max_delay_ms  once a job is there: wait this long for company before the one take
 * @param lease_ms      10000..300000; 0: 30000. Renew before it ends (keep_leases, imgq_job_renew())
 * @param timeout_ms    for the first job; 0 looks once, -1 waits until imgq_queue_interrupt()
 * @param jobs          out, array of max pointers; each owned: imgq_job_done(), _fail() or _release() ends it
 * @param count         out
 * @return IMGQ_OK (count >= 1); IMGQ_E_TIMEOUT (nothing waits); IMGQ_E_BUSY (deliveries are paused);
 *         IMGQ_E_CANCELLED; IMGQ_E_UNAVAILABLE (Redis is away; what was held stays held)
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_take(imgq_queue *queue, size_t max,
                                                  int64_t max_delay_ms, int64_t lease_ms,
                                                  int64_t timeout_ms, imgq_job **jobs,
                                                  size_t *count, imgq_error *err);

typedef struct imgq_job_info {
    size_t size;
    uint32_t media, width, height; /* IMGQ_MEDIA_... */
    uint32_t priority, top_count;
    uint32_t attempt;      /* 1: first delivery */
    uint32_t fails, crashes, max_fails;
    uint32_t exif;         /* IMGQ_EXIF_... */
    uint32_t use_background;
    uint8_t background[3];
    uint8_t imported;      /* 1: from a reference producer */
    int64_t submitted_unix_ms;
    int64_t taken_unix_ms; /* server time of the delivery */
    int64_t deadline_unix_ms; /* 0: none */
    const char *profile, *model; /* borrowed; "" if the sender did not say */
} imgq_job_info;

#ifdef __cplusplus
#define IMGQ_JOB_INFO_INIT \
    ([] { imgq_job_info o = imgq_job_info(); o.size = sizeof o; return o; }())
#else
#define IMGQ_JOB_INFO_INIT ((imgq_job_info){.size = sizeof(imgq_job_info)})
#endif

/** Borrowed until the job ends. For an imported job: the tensor that its item carried. */
IMGQ_API const void *imgq_job_payload(const imgq_job *job, size_t *len);
IMGQ_API imgq_id imgq_job_id(const imgq_job *job);
IMGQ_API IMGQ_CHECKED imgq_status imgq_job_get_info(const imgq_job *job, imgq_job_info *info,
                                                    imgq_error *err);
/** @return IMGQ_OK; IMGQ_E_LOST (another has it now); IMGQ_E_CANCELLED; IMGQ_E_TIMEOUT (its deadline); IMGQ_E_UNAVAILABLE */
IMGQ_API IMGQ_CHECKED imgq_status imgq_job_renew(imgq_job *job, uint32_t lease_ms, imgq_error *err);
/** What keep_leases knows by now: IMGQ_OK, or as imgq_job_renew(). Asks nobody. */
IMGQ_API imgq_status imgq_job_standing(const imgq_job *job);

typedef struct imgq_answer {
    size_t size;
    const imgq_prediction *top;
    const char *const *labels; /* one for each of top */
    size_t top_count;
    const char *model, *model_hash, *profile, *engine, *precision; /* NULL: not said */
    uint32_t exif_orientation, exif_applied;
    uint32_t batch;
    uint32_t reserved;
    double decode_ms, compute_ms;
} imgq_answer;

#ifdef __cplusplus
#define IMGQ_ANSWER_INIT \
    ([] { imgq_answer o = imgq_answer(); o.size = sizeof o; return o; }())
#else
#define IMGQ_ANSWER_INIT ((imgq_answer){.size = sizeof(imgq_answer)})
#endif

/**
 * Report success; the job is ended and destroyed whatever this returns.
 * @return IMGQ_OK (accepted); IMGQ_E_LOST (the lease was lost: another's answer counts); IMGQ_E_CANCELLED;
 *         IMGQ_E_UNAVAILABLE (tried until the lease ended)
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_job_done(imgq_job *job, const imgq_answer *answer,
                                                imgq_error *err);
/** As imgq_job_done() for jobs of one queue, in one round trip. @param each out, count of them, may be NULL */
IMGQ_API IMGQ_CHECKED imgq_status imgq_jobs_done(imgq_job *const *jobs, const imgq_answer *answers,
                                                 size_t count, imgq_status *each, imgq_error *err);
enum {
    IMGQ_FAIL_TRANSIENT = 0, /* counted, again after a back-off, dead after max_fails */
    IMGQ_FAIL_PERMANENT = 1, /* dead at once: the input is bad */
    IMGQ_FAIL_BUSY = 2       /* not counted, again after a second */
};
/** Report failure; the job is ended and destroyed whatever this returns. @param why status and message travel with it */
IMGQ_API IMGQ_CHECKED imgq_status imgq_job_fail(imgq_job *job, const imgq_error *why, int kind,
                                                imgq_error *err);
/** Unreported: given back at once, not counted; destroyed. NULL is a no-op. */
IMGQ_API void imgq_job_release(imgq_job *job);
/** As imgq_job_release() for many, in one round trip. */
IMGQ_API void imgq_jobs_release(imgq_job *const *jobs, size_t count);
/** One line of JSON that `imgq-ctl workers` shows for this taker. Copied. */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_set_worker_info(imgq_queue *queue, const char *json,
                                                             imgq_error *err);

#ifdef __cplusplus
}
#endif

#endif
