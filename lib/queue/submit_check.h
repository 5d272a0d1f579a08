/* What a caller may ask of a job, checked before anything is sent. */
#ifndef IQ_QUEUE_SUBMIT_CHECK_H
#define IQ_QUEUE_SUBMIT_CHECK_H

#include <imgq/queue.h>

#include "queue/record.h"

/** @param job out: what of it travels with the job @return IMGQ_OK; IMGQ_E_INVALID (says which, and its range) */
imgq_status iq_submit_check_options(const imgq_submit_options *options, iq_job_options *job, imgq_error *err);
/** @param options checked before @return IMGQ_OK; IMGQ_E_LIMIT; IMGQ_E_INVALID (a tensor's bytes do not fit its sides)
 */
imgq_status iq_submit_check_payload(const imgq_env *env, const imgq_submit_options *options,
                                    const imgq_payload *payload, imgq_error *err);

#endif
