/* What the library needs from its host: memory, a place for log lines, limits. */
#ifndef IMGQ_ENV_H
#define IMGQ_ENV_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/export.h>
#include <imgq/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Counted: handles keep it alive, so they and it may be destroyed in any order.
 *  Immutable after imgq_env_create(): any number of threads may share it. */
typedef struct imgq_env imgq_env;

/** Allocate (ptr NULL), resize or free (new_size 0) memory. old_size and alignment are what the block was
 *  asked for with; alignment is a power of two. Answers NULL when it cannot; must be thread-safe. */
typedef void *(*imgq_realloc_fn)(void *user, void *ptr, size_t old_size, size_t new_size,
                                 size_t alignment);

enum { IMGQ_LOG_ERROR = 0, IMGQ_LOG_WARNING = 1, IMGQ_LOG_INFO = 2, IMGQ_LOG_DEBUG = 3 };

/** One complete line without its end. Called from any thread; must not call back into the same handle. */
typedef void (*imgq_log_fn)(void *user, int level, const char *room, const char *message);

typedef struct imgq_env_options {
    size_t size;                /* IMGQ_ENV_OPTIONS_INIT sets it */
    imgq_realloc_fn realloc_fn; /* NULL: malloc and free */
    void *realloc_user;
    imgq_log_fn log_fn; /* NULL: silence */
    void *log_user;
    size_t max_payload_bytes; /* of one job; 0: 32 MiB */
    size_t max_image_pixels;  /* width x height; 0: 100 million */
    size_t max_reply_bytes;   /* one Redis reply; 0: 64 MiB + max_payload_bytes */
    size_t max_progressive_pixels; /* of a JPEG in several scans, all of whose coefficients are held until the last one;
                                      0: 32 million; never above max_image_pixels */
} imgq_env_options;

#ifdef __cplusplus
#define IMGQ_ENV_OPTIONS_INIT \
    ([] { imgq_env_options o = imgq_env_options(); o.size = sizeof o; return o; }())
#else
#define IMGQ_ENV_OPTIONS_INIT ((imgq_env_options){.size = sizeof(imgq_env_options)})
#endif

/**
 * @param options  borrowed; NULL: all defaults
 * @param out      owned, imgq_env_destroy(); NULL unless IMGQ_OK
 * @param err      may be NULL; written only on failure (so in every call of imgq)
 * @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_UNSUPPORTED (an option this library does not know is set)
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_env_create(const imgq_env_options *options, imgq_env **out,
                                                  imgq_error *err);
/** Gives up the caller's hold; NULL is a no-op. */
IMGQ_API void imgq_env_destroy(imgq_env *env);

/** Fields of the one unified log line. */
typedef struct imgq_log_line {
    int64_t unix_ms;     /* 0: now */
    int level;           /* IMGQ_LOG_... */
    const char *server;  /* "worker-1" */
    const char *program; /* "imgq-worker" */
    const char *action;  /* "batch of 32 classified in 812 ms" */
    int json;            /* 1: one JSON object instead of text */
} imgq_log_line;

/**
 * Writes "[2026-01-31 12:45:30.123] [worker-1] [imgq-worker] INFO: batch of 32 ..." (UTC), cut to fit, control
 * characters shown as \xNN, no line end. Independent of the locale, allocates nothing. Any thread.
 * @return length that the whole line has, as snprintf
 */
IMGQ_API size_t imgq_log_format(char *out, size_t out_size, const imgq_log_line *line);

#ifdef __cplusplus
}
#endif

#endif
