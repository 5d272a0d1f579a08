/* How every fallible call of imgq answers: a status, and a record of what happened in the caller's hands. */
#ifndef IMGQ_STATUS_H
#define IMGQ_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include <imgq/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/** 0 or one of the negative numbers below; a number never changes its meaning. */
typedef int imgq_status;

/* X(name, number, exit code of the programs, HTTP status, may the same call succeed later)
 * The number, negated, is also the error code on the wire. */
#define IMGQ_STATUS_LIST(X)                                                                        \
    X(IMGQ_OK, 0, 0, 200, 0)                                                                       \
    X(IMGQ_E_INVALID, -1, 2, 400, 0)      /* an argument is wrong */                               \
    X(IMGQ_E_NOMEM, -2, 1, 503, 1)        /* memory ran out */                                     \
    X(IMGQ_E_IO, -3, 1, 500, 1)           /* a file could not be read or written */                \
    X(IMGQ_E_TIMEOUT, -4, 4, 504, 1)      /* the deadline passed */                                \
    X(IMGQ_E_CANCELLED, -5, 1, 409, 0)    /* cancelled, or the call was interrupted */             \
    X(IMGQ_E_UNAVAILABLE, -6, 6, 503, 1)  /* Redis is away */                                      \
    X(IMGQ_E_DENIED, -7, 7, 403, 0)       /* wrong password, missing right, another owner */       \
    X(IMGQ_E_PROTOCOL, -8, 7, 502, 0)     /* the peer speaks something else */                     \
    X(IMGQ_E_NOTFOUND, -9, 1, 404, 0)     /* unknown or expired id, missing file */                \
    X(IMGQ_E_CONFLICT, -10, 1, 409, 0)    /* the id exists with another content or owner */        \
    X(IMGQ_E_LIMIT, -11, 3, 413, 0)       /* over a limit that stands in the env or the queue */   \
    X(IMGQ_E_FORMAT, -12, 3, 415, 0)      /* not a format that is read here */                     \
    X(IMGQ_E_CORRUPT, -13, 3, 400, 0)     /* the right format, damaged */                          \
    X(IMGQ_E_UNSUPPORTED, -14, 7, 501, 0) /* known, but not built in or not for this version */    \
    X(IMGQ_E_INTERNAL, -15, 1, 500, 0)    /* a bug in imgq */                                      \
    X(IMGQ_E_LOST, -16, 1, 410, 0)        /* an accepted job or its answer is gone from Redis */   \
    X(IMGQ_E_UNSURE, -17, 1, 503, 1)      /* accepted, durability not confirmed */                 \
    X(IMGQ_E_BUSY, -18, 5, 503, 1)        /* queue full or closed: later */

#define IMGQ_STATUS_ENUM(name, number, exit_code, http, retryable) name = (number),
enum { IMGQ_STATUS_LIST(IMGQ_STATUS_ENUM) IMGQ_STATUS_LAST = -18 };
#undef IMGQ_STATUS_ENUM

/** What went wrong; the caller's own, 256 bytes for ever, written only on failure. */
typedef struct imgq_error {
    imgq_status status;
    int sys_errno;           /* 0, or the errno behind it */
    uint32_t retry_after_ms; /* with IMGQ_E_BUSY: when to ask again; else 0 */
    uint32_t reserved[5];
    char message[224]; /* one line, no full stop, no password */
} imgq_error;

/** "IMGQ_E_TIMEOUT"; "IMGQ_E_?" for a number that is none. Static. Any thread. */
IMGQ_API const char *imgq_status_name(imgq_status status);
/** True if the same call may succeed later without a change. */
IMGQ_API bool imgq_status_is_retryable(imgq_status status);
/** Exit code of the programs for this status (docs/errors.md). */
IMGQ_API int imgq_status_exit_code(imgq_status status);
/** HTTP status for this status (docs/errors.md). */
IMGQ_API int imgq_status_http(imgq_status status);

#ifdef __cplusplus
}
#endif

#endif
