/* Log lines to the host's callback. */
#ifndef IQ_BASE_LOG_H
#define IQ_BASE_LOG_H

#include <imgq/env.h>

#include "base/shared.h"

/** @param room a literal: "queue". Cut at 1000 bytes. */
IQ_SHARED void iq_log(const imgq_env *env, int level, const char *room, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
