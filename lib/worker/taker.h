/* The worker's own thread: takes jobs while there is room, and ends the worker's life in order. */
#ifndef IQ_WORKER_TAKER_H
#define IQ_WORKER_TAKER_H

#include <stdatomic.h>
#include <stdbool.h>

#include <imgq/worker.h>

#include "worker/batcher.h"
#include "worker/reporter.h"
#include "worker/sources.h"

/** What the loops of taker.c and feeder.c have in hand; all borrowed from the worker. */
typedef struct iq_shift {
    imgq_env *env;
    iq_sources *sources;
    iq_tally *tally;
    atomic_int *stops;     /* how often the worker was told to stop */
    int stop_fd, event_fd; /* eventfds: stop was called; something else has changed */
    bool drain;
    void (*progress)(void *user, uint64_t jobs_done, uint64_t jobs_failed);
    void *progress_user;
} iq_shift;

/** Sleep until an event, a stop, a wake token, a queue is due, or the time is over; events seen are used up.
 *  @param looking     queues that are due end the sleep
 *  @param timeout_ms  -1: for ever */
void iq_shift_wait(const iq_shift *shift, bool looking, int timeout_ms);
/** How often the worker was told to stop. */
int iq_shift_stops(const iq_shift *shift);
/** Tell the host that work goes on; not after a second stop. */
void iq_shift_progress(const iq_shift *shift);
/** Tell the host that everything was given back after a second stop: it need not wait for the end of a forward pass. */
void iq_shift_given_back(const iq_shift *shift);

/**
 * Take until told to stop or drained. Returns when the batcher holds nothing more, or, after a second stop, when
 * everything that nobody reported was given back.
 * @return IMGQ_OK; what iq_sources_take() found hopeless
 */
imgq_status iq_taker_loop(const iq_shift *shift, iq_batcher *batcher, imgq_error *err);

#endif
