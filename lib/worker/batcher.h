/* Jobs on their way through the worker: taken, decoded, gathered into a batch, run, reported. A job is bound to a batch
 * only when its input is ready, so that a slow image holds up nobody; the runner, when it is free, has what is ready.
 * So a lone image need not wait, and what comes while a batch runs is the next one. */
#ifndef IQ_WORKER_BATCHER_H
#define IQ_WORKER_BATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <imgq/image.h>
#include <imgq/queue.h>

#include "queue/job.h"
#include "worker/ring.h"

typedef struct iq_batcher iq_batcher;

/** What a decoder made of a payload; iq_decoder_fill() makes the network's input of it. */
typedef struct iq_prepared {
    const void *values; /* bytes or floats: the payload's own, or made; NULL: nothing was decoded */
    uint8_t *made;      /* owned, of the env; NULL: values are the payload's */
    bool is_float;      /* floats, little-endian, as the network wants them; else bytes to be normalised */
    imgq_recipe recipe; /* by which */
} iq_prepared;

typedef enum iq_stage {
    IQ_STAGE_FREE,
    IQ_STAGE_DECODING, /* waits for a decoder, or has one */
    IQ_STAGE_READY,    /* waits for the runner */
    IQ_STAGE_BAD,      /* cannot be run: waits for the reporter */
    IQ_STAGE_CLOSED    /* in a batch */
} iq_stage;

/** A job on its way. Its decoder writes it, then the runner, then the reporter: whoever has it, alone. */
typedef struct iq_slot {
    imgq_job *job;    /* owned; NULL: reported or given back. Changed under the batcher's lock only */
    imgq_error error; /* status not IMGQ_OK: there is no answer, this is what is told */
    iq_prepared prepared;
    iq_payload payload; /* owned once the slot is in a batch: what prepared.values may stand in */
    char profile[32];   /* by which the input was made; "" if by none */
    uint32_t exif_orientation, exif_applied;
    double decode_ms;
    iq_stage stage;       /* under the lock, as the next */
    struct iq_slot *next; /* in the list of its stage */
} iq_slot;

typedef struct iq_batch {
    iq_slot **slots; /* those that run together, in the order in which they became ready */
    size_t used;     /* 0: every job of it was lost */
    float *probs;    /* capacity x output_count: used x output_count are written */
    double compute_ms;
    struct iq_batch *next;
} iq_batch;

typedef struct iq_batcher_options {
    size_t capacity;     /* slots of a batch */
    size_t output_count; /* floats that one answer has; may be 0 */
    bool decodes;        /* false: jobs are ready as they come */
    int event_fd;        /* borrowed: an eventfd that is written when room appears or jobs have been ended */
    /* For how long the free runner waits for inputs that decoders have in hand, while others are ready: for less than a
     * batch, company_ns; for the rest of a whole batch, until none became ready within patience_ns. */
    int64_t company_ns, patience_ns;
} iq_batcher_options;

/** @param out owned, iq_batcher_destroy() @return IMGQ_OK; IMGQ_E_NOMEM */
imgq_status iq_batcher_create(imgq_env *env, const iq_batcher_options *options, iq_batcher **out, imgq_error *err);
/** All jobs must have been ended or reclaimed. NULL is a no-op. */
void iq_batcher_destroy(iq_batcher *batcher);

/* ---- taker ---- */

/** As many jobs may be added: together with those that no batch has yet they make one batch. */
size_t iq_batcher_room(iq_batcher *batcher);
/** Jobs that have not been ended. */
size_t iq_batcher_held(iq_batcher *batcher);
/** @param jobs given; count at most iq_batcher_room() */
void iq_batcher_add(iq_batcher *batcher, imgq_job *const *jobs, size_t count);
/** Nothing new is run: iq_batcher_next() answers NULL, decoders skip what they have. */
void iq_batcher_stop(iq_batcher *batcher);
/** Most jobs that iq_batcher_reclaim() can give. */
size_t iq_batcher_slots(const iq_batcher *batcher);
/**
 * Take back the jobs that nobody has reported, without waiting for anybody. After iq_batcher_stop(). What decoders are
 * in the middle of is left out: the event_fd is written when they are through, and the next call gives it.
 * @param everything  false: those that no batch has; true: also those of batches
 * @param jobs        out, owned; iq_batcher_slots() pointers
 * @return their number
 */
size_t iq_batcher_reclaim(iq_batcher *batcher, bool everything, imgq_job **jobs);
/** Jobs that wait for a decoder or are in one's hands: after a reclaim, those that it left out. */
size_t iq_batcher_decoding(iq_batcher *batcher);
/** True while the reporter has a batch in hand: it may have claimed jobs of which Redis was not told yet. */
bool iq_batcher_reporting(iq_batcher *batcher);

/* ---- decoders ---- */

/** The next slot to decode; NULL: end the thread. */
iq_slot *iq_batcher_work(iq_batcher *batcher);
/** True if nobody wants it any more: hand it back at once. */
bool iq_batcher_is_stale(iq_batcher *batcher);
/** The slot is prepared, or its error says why not. */
void iq_batcher_decoded(iq_batcher *batcher, iq_slot *slot);

/* ---- runner ---- */

/** Waits for inputs. The batch is the runner's until iq_batcher_ran(). @return NULL: end the thread */
iq_batch *iq_batcher_next(iq_batcher *batcher);
/** Drops the slots whose jobs are not ours any more (imgq_job_standing()). The others' payloads pass to their slots, so
 *  that a job can be given back whatever the runner is at. */
void iq_batcher_drop_lost(iq_batcher *batcher, iq_batch *batch);
/** The slot's payload and what was prepared of it are not needed any more: both are freed. */
void iq_batcher_forget_input(iq_batcher *batcher, iq_slot *slot);
/** To the reporter: each slot has its answer in probs, or its error. */
void iq_batcher_ran(iq_batcher *batcher, iq_batch *batch);

/* ---- reporter ---- */

/** Waits for jobs to report: a batch that ran, or one of those that could not be (only slots and used are set).
 *  @return NULL: end the thread */
iq_batch *iq_batcher_outcome(iq_batcher *batcher);
/** The right to report this slot's job. @return owned; NULL: it was reclaimed meanwhile */
imgq_job *iq_batcher_claim(iq_batcher *batcher, iq_slot *slot);
/** The batch and its slots are free again. Every job in it must have been claimed or reclaimed. */
void iq_batcher_finish(iq_batcher *batcher, iq_batch *batch);

#endif
