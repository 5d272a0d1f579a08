/* What imgq-ctl is made of: look at a queue and steer it. */
#ifndef IMGQ_ADMIN_H
#define IMGQ_ADMIN_H

#include <imgq/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct imgq_queue_stats {
    size_t size;
    uint64_t waiting, delayed, active, dead;
    uint64_t submitted, delivered, succeeded, failed, cancelled, expired, buried;
    uint64_t stale_results, lost_leases, lost_records;
    uint64_t live_bytes, max_jobs, max_bytes;
    uint64_t workers;        /* seen within 10 s */
    int64_t oldest_wait_ms;  /* of the first waiting job; 0: none */
    int64_t worker_seen_unix_ms; /* the last sign of any worker; 0: never */
    int64_t server_unix_ms;
    uint32_t paused;         /* IMGQ_PAUSE_... */
    uint32_t reserved;
} imgq_queue_stats;

enum { IMGQ_PAUSE_DELIVERIES = 1, IMGQ_PAUSE_SUBMITS = 2 };

#ifdef __cplusplus
#define IMGQ_QUEUE_STATS_INIT \
    ([] { imgq_queue_stats o = imgq_queue_stats(); o.size = sizeof o; return o; }())
#else
#define IMGQ_QUEUE_STATS_INIT ((imgq_queue_stats){.size = sizeof(imgq_queue_stats)})
#endif

/** O(log n) on the server, whatever the depth. */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_get_stats(imgq_queue *queue, imgq_queue_stats *stats,
                                                       imgq_error *err);

enum {
    IMGQ_STATE_WAITING = 'W',
    IMGQ_STATE_DELAYED = 'D',
    IMGQ_STATE_ACTIVE = 'A',
    IMGQ_STATE_SUCCEEDED = 'S',
    IMGQ_STATE_DEAD = 'F',
    IMGQ_STATE_CANCELLED = 'X',
    IMGQ_STATE_EXPIRED = 'E'
};
/** "waiting", "delayed", ...; "unknown". Static. */
IMGQ_API const char *imgq_state_name(int state);

typedef struct imgq_job_status {
    size_t size;
    imgq_id id;
    char state;              /* IMGQ_STATE_... */
    uint8_t priority, progress;
    uint8_t imported;
    uint32_t fails, crashes, max_fails, max_crashes, attempt;
    uint32_t payload_bytes;
    imgq_status error;       /* of the last failure */
    char message[512];       /* of the last failure */
    int64_t submitted_unix_ms, changed_unix_ms, deadline_unix_ms;
} imgq_job_status;

#ifdef __cplusplus
#define IMGQ_JOB_STATUS_INIT \
    ([] { imgq_job_status o = imgq_job_status(); o.size = sizeof o; return o; }())
#else
#define IMGQ_JOB_STATUS_INIT ((imgq_job_status){.size = sizeof(imgq_job_status)})
#endif

/** Look at one job. @param result out, owned, NULL if it has not ended; may be NULL. @return IMGQ_OK; IMGQ_E_NOTFOUND; IMGQ_E_DENIED */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_look(imgq_queue *queue, const imgq_id *id,
                                                  imgq_job_status *status, imgq_result **result,
                                                  imgq_error *err);
/** A page of dead letters, oldest first. @param skip how many to pass over @param jobs out, max of them, the size of the first
 *  set @param count out */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_dead(imgq_queue *queue, size_t skip,
                                                  imgq_job_status *jobs, size_t max, size_t *count,
                                                  imgq_error *err);
/** Dead to waiting, counters and deadline fresh. @return IMGQ_OK; IMGQ_E_CONFLICT (not dead); IMGQ_E_NOTFOUND; IMGQ_E_DENIED */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_requeue(imgq_queue *queue, const imgq_id *id,
                                                     imgq_error *err);
enum { IMGQ_PURGE_WAITING = 0, IMGQ_PURGE_DELAYED = 1, IMGQ_PURGE_DEAD = 2 };
/**
 * Cancel what waits, or remove dead letters, in pages.
 * @param priority       only this one of what waits; -1: all
 * @param older_than_ms  only those submitted (dead: died) longer ago; 0: all
 * @param purged         out
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_purge(imgq_queue *queue, int what, int priority,
                                                   int64_t older_than_ms, uint64_t *purged,
                                                   imgq_error *err);
/** @param what IMGQ_PAUSE_... bits to set. What is active goes on. */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_pause(imgq_queue *queue, uint32_t what,
                                                   imgq_error *err);
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_resume(imgq_queue *queue, imgq_error *err);
/** Set one of the queue's settings (docs/protocol.md): "max_jobs", "max_bytes", "result_ttl_ms", "idem_ttl_ms",
 *  "dead_ttl_ms", "dead_cap", "weights". @return IMGQ_OK; IMGQ_E_INVALID (name or value: says the choices) */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_configure(imgq_queue *queue, const char *setting,
                                                       const char *value, imgq_error *err);

typedef struct imgq_worker_status {
    size_t size;
    char name[128];
    int64_t seen_unix_ms;
    char info[512]; /* JSON: model, hash, profile, engine, batch, ... */
} imgq_worker_status;

#ifdef __cplusplus
#define IMGQ_WORKER_STATUS_INIT \
    ([] { imgq_worker_status o = imgq_worker_status(); o.size = sizeof o; return o; }())
#else
#define IMGQ_WORKER_STATUS_INIT ((imgq_worker_status){.size = sizeof(imgq_worker_status)})
#endif

/** Workers seen within the hour, latest first. @param workers out, max of them, the size of the first set @param count out */
IMGQ_API IMGQ_CHECKED imgq_status imgq_queue_workers(imgq_queue *queue, imgq_worker_status *workers,
                                                     size_t max, size_t *count, imgq_error *err);

#ifdef __cplusplus
}
#endif

#endif
