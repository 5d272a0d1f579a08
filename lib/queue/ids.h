/* Calls that take a page of ids and answer one thing for each. */
#ifndef IQ_QUEUE_IDS_H
#define IQ_QUEUE_IDS_H

#include "queue/queue.h"

enum { IQ_IDS_PAGE = 128 };

/**
 * One page through `script`: owner, (rid,) ids.
 * @param count  1..IQ_IDS_PAGE
 * @param reply  out, owned: an array of count
 */
imgq_status iq_queue_call_ids(imgq_queue *queue, const iq_script *script, bool with_rid, const imgq_id *ids,
                              size_t count, iq_deadline deadline, const char *what, iq_reply **reply, imgq_error *err);
/** What a code says of an id: 1 IMGQ_OK, 0 IMGQ_E_CONFLICT ("... is not ...": otherwise), -1 IMGQ_E_NOTFOUND,
 *  -2 IMGQ_E_DENIED. @param what "cancel" @param otherwise "has ended already" */
imgq_status iq_id_code_status(const iq_reply *code, const char *what, const imgq_id *id, const char *otherwise,
                              imgq_error *err);

#endif
