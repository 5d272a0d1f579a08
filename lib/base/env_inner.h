/* The env's fields: for env.c, alloc.c and log.c only. */
#ifndef IQ_BASE_ENV_INNER_H
#define IQ_BASE_ENV_INNER_H

#include <stdatomic.h>
#include <stddef.h>

#include <imgq/env.h>

struct imgq_env {
    atomic_size_t holders;
    imgq_realloc_fn realloc_fn;
    void *realloc_user;
    imgq_log_fn log_fn;
    void *log_user;
    size_t max_payload_bytes, max_image_pixels, max_reply_bytes, max_progressive_pixels;
};

#endif
