/* A result as JSON (schema 1, docs/wire-formats.md), written and read whatever the locale; and imgq_result around it.
 */
#ifndef IQ_QUEUE_RESULT_H
#define IQ_QUEUE_RESULT_H

#include <imgq/queue.h>

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

enum { IQ_RESULT_MAX = 1 << 20, IQ_RESULT_TOP_MAX = 100, IQ_RESULT_LABEL_MAX = 256 };

/** What the worker's side adds to its imgq_answer. */
typedef struct iq_result_origin {
    const char *worker; /* NULL: not said */
    uint32_t attempt;   /* 1: first delivery */
    double queue_ms;    /* from submit to take, by server time */
} iq_result_origin;

/** Appends the JSON of one result. @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_LIMIT (more than 1 MiB, or more than 100
 *  predictions); IMGQ_E_INVALID (a probability that is no number) */
imgq_status iq_result_write(imgq_env *env, iq_buf *json, const imgq_answer *answer, const iq_result_origin *origin,
                            imgq_error *err);

/**
 * How a job ended, from what Redis says. A body that is no result makes a result whose status is IMGQ_E_CORRUPT, so
 * that one bad record never stops the reading of others.
 * @param state  IMGQ_STATE_SUCCEEDED: body is its JSON; _DEAD, _CANCELLED, _EXPIRED: body is the message, may be empty
 * @param error  the record's error code: an imgq_status, negated
 * @param body   borrowed
 * @param out    owned, imgq_result_destroy() @return IMGQ_OK; IMGQ_E_NOMEM
 */
imgq_status iq_result_of_state(imgq_env *env, const char *id, int state, uint16_t error, const void *body,
                               size_t body_len, imgq_result **out, imgq_error *err);
/** A result without an answer. @param status why, not IMGQ_OK @param out owned @return IMGQ_OK; IMGQ_E_NOMEM */
imgq_status iq_result_of_failure(imgq_env *env, const char *id, imgq_status status, const char *message,
                                 imgq_result **out, imgq_error *err);
/** A result with predictions and nothing else, as the reference's wire knows it: class numbers stay as given.
 *  @param labels one for each @param out owned @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_LIMIT */
imgq_status iq_result_of_answer(imgq_env *env, const char *id, const imgq_answer *answer,
                                const iq_result_origin *origin, imgq_result **out, imgq_error *err);

#endif
