/* One absolute monotonic instant is handed down; timeouts exist at the public door only. */
#ifndef IQ_BASE_CLOCK_H
#define IQ_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/shared.h"

typedef struct iq_deadline {
    int64_t at_ns; /* CLOCK_MONOTONIC; INT64_MAX: never */
} iq_deadline;

IQ_SHARED int64_t iq_clock_ns(void);      /* CLOCK_MONOTONIC */
IQ_SHARED int64_t iq_clock_unix_ms(void); /* CLOCK_REALTIME: for log lines and ids, never for deadlines */
/** -1: never. Large values saturate. */
IQ_SHARED iq_deadline iq_deadline_after_ms(int64_t timeout_ms);
IQ_SHARED iq_deadline iq_deadline_never(void);
/** The earlier of both. */
IQ_SHARED iq_deadline iq_deadline_min(iq_deadline a, iq_deadline b);
IQ_SHARED bool iq_deadline_passed(iq_deadline deadline);
/** For poll(2): rounded up, 0 when passed, -1 for never, at most INT_MAX. */
IQ_SHARED int iq_deadline_poll_ms(iq_deadline deadline);
/** INT64_MAX for never, 0 when passed. */
IQ_SHARED int64_t iq_deadline_left_ns(iq_deadline deadline);

#endif
