/* Two batches of slots: one open, which the taker fills and the decoders decode into; one closed, which the runner has.
 * The open batch stays open for late-comers until the runner is free, so that waiting makes batches fuller. */
#ifndef IQ_WORKER_BATCHER_H
#define IQ_WORKER_BATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <imgq/queue.h>

#include "worker/ring.h"

typedef struct iq_batcher iq_batcher;
typedef struct iq_batch iq_batch;

/** A job on its way through the worker. Its decoder writes it while the slot is pending, then the runner reads it. */
typedef struct iq_slot {
    iq_batch *batch;
    imgq_job *job;    /* owned; NULL: reported or given back. Changed under the batcher's lock only */
    float *input;     /* this slot's part of the batch's tensor; NULL where nothing is decoded */
    imgq_error error; /* status not IMGQ_OK: the input is bad, this is what is told */
    char profile[32]; /* by which input was made; "" if by none */
    uint32_t exif_orientation, exif_applied;
    double decode_ms;
} iq_slot;

struct iq_batch {
    iq_slot *slots;
    size_t used;    /* slots 0..used-1 have been given a job */
    size_t pending; /* of those, not decoded yet; under the batcher's lock */
    float *input;   /* capacity x input_count floats; NULL where nothing is decoded */
};

/**
 * @param capacity     slots of each batch
 * @param input_count  floats that one slot's input has; 0: jobs are ready as they come, nothing is decoded
 * @param event_fd     borrowed: an eventfd that is written when room appears or a batch has been finished
 * @param out          owned, iq_batcher_destroy()
 */
imgq_status iq_batcher_create(imgq_env *env, size_t capacity, size_t input_count, int event_fd, iq_batcher **out,
                              imgq_error *err);
/** All slots must be empty or reclaimed. NULL is a no-op. */
void iq_batcher_destroy(iq_batcher *batcher);

/* ---- taker ---- */

/** Free slots of the open batch: as many jobs may be added. */
size_t iq_batcher_room(iq_batcher *batcher);
/** Jobs that are in either batch. */
size_t iq_batcher_held(iq_batcher *batcher);
/** @param jobs given; count at most iq_batcher_room() */
void iq_batcher_add(iq_batcher *batcher, imgq_job *const *jobs, size_t count);
/** Nothing new is run: iq_batcher_next() answers NULL, decoders skip what the open batch has. */
void iq_batcher_stop(iq_batcher *batcher);
/**
 * Take back the jobs that nobody has reported; waits for decoders in the middle of an image. After iq_batcher_stop().
 * @param everything  false: those of the open batch; true: also what the runner has
 * @param jobs        out, owned; 2 x capacity pointers
 * @return their number
 */
size_t iq_batcher_reclaim(iq_batcher *batcher, bool everything, imgq_job **jobs);

/* ---- decoders ---- */

/** The next slot to decode; NULL: end the thread. */
iq_slot *iq_batcher_work(iq_batcher *batcher);
/** True if nobody wants this slot any more: hand it back at once. */
bool iq_batcher_is_stale(iq_batcher *batcher, const iq_slot *slot);
/** The slot is decoded (or its error says why not). */
void iq_batcher_decoded(iq_batcher *batcher, iq_slot *slot);

/* ---- runner ---- */

/** Waits for jobs, closes the open batch, waits for its decoders. @return NULL: end the thread */
iq_batch *iq_batcher_next(iq_batcher *batcher);
/** How the slot's job stands (imgq_job_standing()); IMGQ_E_CANCELLED if it was reclaimed. */
imgq_status iq_batcher_standing(iq_batcher *batcher, const iq_slot *slot);
/** The right to report this slot's job. @return owned; NULL: it was reclaimed meanwhile */
imgq_job *iq_batcher_claim(iq_batcher *batcher, iq_slot *slot);
/** The batch is empty again. Every job in it must have been claimed or reclaimed. */
void iq_batcher_finish(iq_batcher *batcher, iq_batch *batch);

#endif
