/* A batch to probabilities: inputs are filled in, the network runs. */
#ifndef IQ_WORKER_RUNNER_H
#define IQ_WORKER_RUNNER_H

#include <stddef.h>

#include <imgq/session.h>

#include "worker/batcher.h"

/** One thread: the runner's. */
typedef struct iq_runner iq_runner;

/**
 * @param capacity     slots of a batch
 * @param input_count  floats of one input
 * @param model        borrowed; NULL: jobs are answered without inference
 * @param session      borrowed; NULL if model is
 * @param out          owned, iq_runner_destroy()
 */
imgq_status iq_runner_create(imgq_env *env, iq_batcher *batcher, size_t capacity, size_t input_count,
                             const imgq_model *model, imgq_session *session, iq_runner **out, imgq_error *err);
/** Runs batches until iq_batcher_next() answers NULL. A void * (*)(void *) of an iq_runner. */
void *iq_runner_main(void *runner);
/** NULL is a no-op. */
void iq_runner_destroy(iq_runner *runner);

#endif
