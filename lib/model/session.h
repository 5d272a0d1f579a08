/* A session's inside: what the worker needs of it. */
#ifndef IQ_MODEL_SESSION_H
#define IQ_MODEL_SESSION_H

#include <imgq/session.h>

#include "base/pool.h"

/** Images that the network takes at once: runs of so many, one after the other, are as fast as one of all. */
size_t iq_session_group(const imgq_session *session);
/** Work of the caller's on the session's threads, as iq_pool_run(). Not during a run. */
void iq_session_spread(imgq_session *session, size_t count, iq_pool_fn fn, void *user);

#endif
