/* What stands behind a reply: its memory and its holders. For resp.c, which builds them, and reply.c. */
#ifndef IQ_REDIS_REPLY_ROOT_H
#define IQ_REDIS_REPLY_ROOT_H

#include <stdatomic.h>

#include "redis/resp.h"

typedef struct iq_reply_root {
    iq_reply reply; /* first: a root's address is its reply's */
    imgq_env *env;  /* held */
    iq_arena arena;
    atomic_uint holders;
    char inline_text[]; /* of a root that is text itself */
} iq_reply_root;

/** @param inline_size bytes behind the struct @return one holder; NULL when memory ran out */
iq_reply_root *iq_reply_root_create(imgq_env *env, size_t inline_size);
/** What the first word of an error reply means. */
imgq_status iq_reply_error_status(const char *text, size_t len);

#endif
