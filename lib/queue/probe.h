/* What open asks about the user's rights, before a script could stop half way for want of one. */
#ifndef IQ_QUEUE_PROBE_H
#define IQ_QUEUE_PROBE_H

#include "queue/queue.h"

/** @return IMGQ_OK (also without the right to the channel alone: then awaiting polls); IMGQ_E_DENIED (names the missing
 * rules); as iq_queue_call() */
imgq_status iq_queue_probe(imgq_queue *queue, iq_deadline deadline, imgq_error *err);

#endif
