/* Fill in the caller's error record and answer the status, in one expression. */
#ifndef IQ_BASE_FAIL_H
#define IQ_BASE_FAIL_H

#include <stddef.h>

#include <imgq/status.h>

#include "base/shared.h"

/** @param err may be NULL; sys_errno 0: none. Cuts the message to fit, at a character's border. @return status */
IQ_SHARED imgq_status iq_fail(imgq_error *err, imgq_status status, int sys_errno,
                              const char *format, ...) __attribute__((format(printf, 4, 5)));
/** Put "prefix: " before the message that *err holds already. @return err's status as given */
IQ_SHARED imgq_status iq_fail_prefix(imgq_error *err, imgq_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** strerror without the shared buffer; cut to fit. @return out */
IQ_SHARED const char *iq_strerror(int sys_errno, char *out, size_t out_size);

#endif
