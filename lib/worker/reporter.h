/* Probabilities and failures to Redis, while the next batch runs. */
#ifndef IQ_WORKER_REPORTER_H
#define IQ_WORKER_REPORTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <imgq/session.h>

#include "worker/batcher.h"

/** One thread: the reporter's. */
typedef struct iq_reporter iq_reporter;

/** What has become of the jobs; any thread reads. */
typedef struct iq_tally {
    atomic_uint_least64_t done, failed;
    atomic_bool reporting; /* the reporter is telling Redis, which may take as long as an outage lasts */
} iq_tally;

/**
 * @param capacity  slots of a batch
 * @param model     borrowed; NULL: jobs are answered without inference
 * @param session   borrowed; NULL if model is
 * @param tally     borrowed
 * @param out       owned, iq_reporter_destroy()
 */
imgq_status iq_reporter_create(imgq_env *env, iq_batcher *batcher, size_t capacity, const imgq_model *model,
                               const imgq_session *session, iq_tally *tally, iq_reporter **out, imgq_error *err);
/** Reports until iq_batcher_outcome() answers NULL. A void * (*)(void *) of an iq_reporter. */
void *iq_reporter_main(void *reporter);
/** NULL is a no-op. */
void iq_reporter_destroy(iq_reporter *reporter);

#endif
