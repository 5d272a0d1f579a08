/* The queues that a worker serves: which one to look into next, when, and what it knows of each. */
#ifndef IQ_WORKER_SOURCES_H
#define IQ_WORKER_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <imgq/worker.h>

/** One thread: the taker's. */
typedef struct iq_sources iq_sources;

/**
 * @param queues    copied; the handles are borrowed until iq_sources_destroy()
 * @param out       owned, iq_sources_destroy()
 */
imgq_status iq_sources_create(imgq_env *env, const imgq_worker_queue *queues, size_t count, uint32_t lease_ms,
                              uint32_t max_delay_ms, iq_sources **out, imgq_error *err);
/** NULL is a no-op. */
void iq_sources_destroy(iq_sources *sources);

typedef enum iq_visit {
    IQ_VISIT_NONE,   /* nothing was due */
    IQ_VISIT_JOBS,   /* jobs were taken */
    IQ_VISIT_EMPTY,  /* a queue answered, and had none */
    IQ_VISIT_REFUSED /* a queue's server is away */
} iq_visit;

/**
 * Look into the queues that are due, in smooth weighted round robin, until one gives jobs.
 * @param max    1..IMGQ_TAKE_MAX
 * @param jobs   out, max pointers
 * @param count  out
 * @param visit  out: the most telling thing that was met
 * @return IMGQ_OK; IMGQ_E_DENIED, IMGQ_E_UNSUPPORTED, IMGQ_E_INTERNAL: trying again is of no use. Losses of Redis are
 * no failure: they are logged once and tried again later
 */
imgq_status iq_sources_take(iq_sources *sources, size_t max, imgq_job **jobs, size_t *count, iq_visit *visit,
                            imgq_error *err);
/** Every queue is due now: there was no room to look for a while. */
void iq_sources_look_again(iq_sources *sources);
/** Tokens are wanted (true), or passed on to other workers while there is no room (false). */
void iq_sources_listen(iq_sources *sources, bool wanted);
/** Poll it for POLLIN: wake tokens. */
int iq_sources_fd(const iq_sources *sources);
/** For how long at most, for poll(2); hears what came. @param looking a queue that is due ends the wait, too */
int iq_sources_timeout_ms(iq_sources *sources, bool looking);
/** True if the last look into every queue found it reachable and empty; paused or not. */
bool iq_sources_are_empty(const iq_sources *sources);

#endif
