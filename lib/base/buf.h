/* Bytes that grow up to a maximum told at birth. */
#ifndef IQ_BASE_BUF_H
#define IQ_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <imgq/env.h>

#include "base/shared.h"

/** Zeroed is empty without a maximum of its own. After a failed append `failed` stays set, so that a series of
 *  appends is checked once at its end. */
typedef struct iq_buf {
    uint8_t *data; /* with a zero byte behind len when not NULL */
    size_t len, cap;
    size_t max;    /* 0: SIZE_MAX / 2 */
    bool failed;
} iq_buf;

IQ_SHARED bool iq_buf_reserve(imgq_env *env, iq_buf *buf, size_t more);
IQ_SHARED bool iq_buf_append(imgq_env *env, iq_buf *buf, const void *bytes, size_t len);
IQ_SHARED bool iq_buf_append_text(imgq_env *env, iq_buf *buf, const char *text);
IQ_SHARED bool iq_buf_append_format(imgq_env *env, iq_buf *buf, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** Empty, memory kept. */
IQ_SHARED void iq_buf_clear(iq_buf *buf);
/** Frees; zeroed but for max. */
IQ_SHARED void iq_buf_release(imgq_env *env, iq_buf *buf);
/** Read a whole file, at most max_bytes. @return IMGQ_OK; IMGQ_E_NOTFOUND; IMGQ_E_IO; IMGQ_E_LIMIT; IMGQ_E_NOMEM */
IQ_SHARED imgq_status iq_buf_read_file(imgq_env *env, iq_buf *buf, const char *path,
                                       size_t max_bytes, imgq_error *err);

#endif
