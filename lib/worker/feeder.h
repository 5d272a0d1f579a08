/* Native jobs to an unmodified reference server: prepared here, classified there, answered here. */
#ifndef IQ_WORKER_FEEDER_H
#define IQ_WORKER_FEEDER_H

#include <imgq/reference.h>

#include "worker/decoder.h"
#include "worker/taker.h"

/**
 * Take, push, poll, answer until told to stop or drained. A stop takes no more and waits for the answers that are due;
 * a second one gives everything back.
 * @param wait_ms  an item without an answer after this is failed as transient, so that it is pushed again
 * @return IMGQ_OK; what iq_sources_take() found hopeless
 */
imgq_status iq_feeder_loop(const iq_shift *shift, imgq_reference *reference, const iq_decoder *decoder,
                           uint32_t wait_ms, imgq_error *err);

#endif
