/* The whole worker: take, decode, batch, run, report, until told to stop. */
#ifndef IMGQ_WORKER_H
#define IMGQ_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/model.h>
#include <imgq/queue.h>
#include <imgq/reference.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Run in one thread, stop from any thread or a signal handler.
 *
 * What runs together: whatever is decoded when the forward pass is free, at most max_batch images. So an image alone in
 * the queue is run at once, and while a batch runs the next one gathers: it is taken from Redis and decoded meanwhile,
 * and the answers of the last one go out. While others are ready, images that are still being decoded are waited for
 * for 1 ms at most; if a whole batch is at hand, the queue is long, and the rest of it is waited for as long as one more
 * becomes ready within each 100 ms.
 */
typedef struct imgq_worker imgq_worker;

/** One queue that the worker serves. */
typedef struct imgq_worker_queue {
    imgq_queue *queue; /* borrowed until destroy; opened with IMGQ_ROLE_WORKER and keep_leases */
    uint32_t weight;   /* share among queues that have work; 0: 1 */
    uint32_t reserved;
} imgq_worker_queue;

typedef struct imgq_worker_options {
    size_t size;
    size_t decoders;         /* threads that decode; 0: as many as threads */
    size_t threads;          /* of the forward pass; 0: granted cores */
    size_t max_batch;        /* 0: 32 */
    uint32_t max_delay_ms;   /* an idle worker waits so long for company before it takes its first job; 0: not at all */
    uint32_t lease_ms;       /* 0: 30000 */
    uint32_t drain;          /* 1: return when nothing waits and nothing is held */
    uint32_t exif_apply;     /* 1: turn photos as EXIF says unless the job says otherwise */
    uint32_t forward_wait_ms; /* with forward_to: an answer must come within this; 0: 20000 */
    imgq_reference *forward_to; /* not NULL: no inference here, tensors go to a reference server; borrowed */
    const char *engine, *precision; /* NULL: auto, highest */
    /* Called after each batch, each idle visit and each refused connection, in the thread of imgq_worker_run(); progress
     * for a watchdog. After a second stop once more, when everything was given back: whoever is in a hurry may end the
     * process now, though the forward pass goes on. May be NULL. */
    void (*progress)(void *user, uint64_t jobs_done, uint64_t jobs_failed);
    void *progress_user;
    const char *isa; /* as imgq_session_options has it */
    uint32_t decode_fast; /* 1: large JPEGs may be decoded smaller than they are (imgq_decode_options.fast): not exact */
    uint32_t reserved;
} imgq_worker_options;

#ifdef __cplusplus
#define IMGQ_WORKER_OPTIONS_INIT \
    ([] { imgq_worker_options o = imgq_worker_options(); o.size = sizeof o; return o; }())
#else
#define IMGQ_WORKER_OPTIONS_INIT ((imgq_worker_options){.size = sizeof(imgq_worker_options)})
#endif

/** @param model NULL: jobs are answered without inference, to measure the queue; with forward_to: only its recipe is used, NULL: the profile "keras"
 *  @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_UNSUPPORTED (engine); IMGQ_E_INVALID */
IMGQ_API IMGQ_CHECKED imgq_status imgq_worker_create(const imgq_worker_queue *queues, size_t count,
                                                     imgq_model *model,
                                                     const imgq_worker_options *options,
                                                     imgq_worker **out, imgq_error *err);
/** Blocks in the caller's thread; helpers are joined on return. Losses of Redis are retried for ever and logged. Once for
 *  each worker.
 *  @return IMGQ_OK (stopped or drained); IMGQ_E_DENIED, IMGQ_E_UNSUPPORTED, IMGQ_E_INTERNAL; IMGQ_E_INVALID (it ran
 *  before) */
IMGQ_API IMGQ_CHECKED imgq_status imgq_worker_run(imgq_worker *worker, imgq_error *err);
/** Finish the batch in hand, give back the rest, return. A second call gives everything back. Async-signal-safe. */
IMGQ_API void imgq_worker_stop(imgq_worker *worker);
IMGQ_API void imgq_worker_destroy(imgq_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
