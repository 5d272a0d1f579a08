/* The other end for tests of producers: takes and ends jobs by calling the scripts as docs/protocol.md says, on a
 * handle of its own; shares no code with the library's takers. */
#ifndef TEST_QUEUE_PEER_H
#define TEST_QUEUE_PEER_H

#include <imgq/queue.h>

#include <stddef.h>
#include <stdint.h>

typedef struct peer_job {
    imgq_id id;
    char fence[24];
    uint8_t *record; /* the whole record; free() */
    size_t len;
    const uint8_t *payload; /* inside record */
    size_t payload_len;
} peer_job;

/** An env and a handle of their own; ends the program with a message if they cannot be had. */
imgq_queue *peer_open(const char *url, const char *name, const imgq_queue_options *options);
void peer_close(imgq_queue *peer);
/** One take. @return how many */
size_t peer_take(imgq_queue *peer, peer_job *jobs, size_t max);
/** Takes until one is there; fails the program after 20 s. */
void peer_take_one(imgq_queue *peer, peer_job *job);
/** @return the script's code; job is freed */
int peer_done(imgq_queue *peer, peer_job *job, const char *json);
/** Done with one prediction of class 7, "label-7". */
int peer_answer(imgq_queue *peer, peer_job *job);
/** kind 'T', 'P', 'R' or 'B' @return the script's code; job is freed */
int peer_fail(imgq_queue *peer, peer_job *job, char kind, unsigned code, const char *text);
void peer_drop(peer_job *job);
/** Removes the session of that producer's handle. */
void peer_end_session(imgq_queue *peer, const imgq_queue *producer);
/** A thread that answers what it takes until peer_stop(). */
typedef struct peer_worker peer_worker;
peer_worker *peer_start(const char *url, const char *name);
/** @return how many it answered */
size_t peer_stop(peer_worker *worker);

#endif
