/* One job on its way into the queue, and the commands that carry it. */
#ifndef IQ_QUEUE_SUBMISSION_H
#define IQ_QUEUE_SUBMISSION_H

#include <imgq/queue.h>

#include "redis/resp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IQ_SUBMIT_MAX_JOBS = 128,        /* of one call */
    IQ_SUBMIT_MAX_BYTES = 8 << 20,   /* of payloads in one round trip, unless one alone has more */
    IQ_SUBMIT_STAGE_OVER = 8 * 1024, /* longer payloads do not pass through the script */
    IQ_SUBMIT_STAGED_MS = 60000
};

enum { /* submit's codes */
       IQ_SUBMIT_NEW = 0,
       IQ_SUBMIT_DUP = 1,
       IQ_SUBMIT_BUSY = 2,
       IQ_SUBMIT_CONFLICT = 5,
       IQ_SUBMIT_CLOSED = 6,
       IQ_SUBMIT_BADARG = 8,
       IQ_SUBMIT_RESTAGE = 9
};

typedef struct iq_submission {
    imgq_id id;
    uint32_t priority, flags, max_fails, max_crashes;
    int64_t delay_ms, deadline_ms; /* from made_ns; deadline 0: the queue's */
    int64_t made_ns;
    const uint8_t *tlv;
    size_t tlv_len;
    const void *payload;
    size_t payload_len;
    uint8_t nonce[8]; /* of the staged bytes: the same for the same bytes */
} iq_submission;

/** Owned copy with its options and payload in one block, iq_submission_free(). @return NULL when memory ran out */
iq_submission *iq_submission_copy(imgq_env *env, const iq_submission *submission);
void iq_submission_free(imgq_env *env, iq_submission *submission);

/**
 * Commands that submit these jobs: the staged records first, the script last, whose reply is the one that counts.
 * Time that has passed since a submission was made is taken off its delay and deadline.
 * @param submissions  1..IQ_SUBMIT_MAX_JOBS; borrowed until sent, and their options and payloads as well
 * @param commands     initialised and empty
 */
void iq_submissions_add(const imgq_queue *queue, iq_commands *commands, const iq_submission *submissions, size_t count);

#endif
