/* What status, attach and submit say about one job (docs/protocol.md 5.6), read from replies of any shape. */
#ifndef IQ_QUEUE_LOOK_H
#define IQ_QUEUE_LOOK_H

#include <imgq/queue.h>

#include "queue/record.h"
#include "redis/resp.h"

#include <stdbool.h>
#include <stddef.h>

enum { /* iq_look.code */
       IQ_LOOK_UNKNOWN = -1,
       IQ_LOOK_DENIED = -2,
       IQ_LOOK_JOB = 0,
       IQ_LOOK_CROWDED = 1 /* attach: others follow it, ask for it now and then */
};
enum { /* iq_look.how: what the body is */
       IQ_BODY_NONE = 0,
       IQ_BODY_HERE = 1,
       IQ_BODY_ACKED = 2, /* the result was acknowledged and is gone */
       IQ_BODY_LARGE = 3  /* GET the record */
};

/** Borrowed from the reply. */
typedef struct iq_look {
    int code, how;
    char state;     /* IMGQ_STATE_...; of JOB and CROWDED */
    iq_record head; /* zeroed where the reply has none */
    const char *body;
    size_t body_len;
} iq_look;

/** @return false if this is no look: a damaged record, or another's reply */
bool iq_look_read(iq_look *out, const iq_reply *reply);
/** letter, how, body at `first` and after it: the tail of submit's DUP. */
bool iq_look_read_tail(iq_look *out, const iq_reply *reply, size_t first);
/** True for succeeded, dead, cancelled and expired. */
bool iq_state_is_end(int state);

#endif
