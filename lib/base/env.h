/* The env's inside: what rooms may ask of it. */
#ifndef IQ_BASE_ENV_H
#define IQ_BASE_ENV_H

#include <stddef.h>

#include <imgq/env.h>

#include "base/shared.h"

/** One more holder; every handle takes one and gives it back with imgq_env_destroy(). @return env */
IQ_SHARED imgq_env *iq_env_hold(imgq_env *env);
IQ_SHARED size_t iq_env_max_payload_bytes(const imgq_env *env);
IQ_SHARED size_t iq_env_max_image_pixels(const imgq_env *env);
/** Of a JPEG in several scans. */
IQ_SHARED size_t iq_env_max_progressive_pixels(const imgq_env *env);
IQ_SHARED size_t iq_env_max_reply_bytes(const imgq_env *env);

#endif
