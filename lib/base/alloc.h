/* All memory that the library takes goes through the env's allocator. */
#ifndef IQ_BASE_ALLOC_H
#define IQ_BASE_ALLOC_H

#include <stddef.h>

#include <imgq/env.h>

#include "base/shared.h"

/** Owned, iq_free(); aligned for any type; size 0 is a block too. @return NULL when memory ran out */
IQ_SHARED void *iq_alloc(imgq_env *env, size_t size) __attribute__((malloc));
/** As iq_alloc(), zeroed, count x size checked for overflow. */
IQ_SHARED void *iq_alloc_array(imgq_env *env, size_t count, size_t size) __attribute__((malloc));
/** As iq_alloc(), aligned to a power of two up to 2 MiB. */
IQ_SHARED void *iq_alloc_aligned(imgq_env *env, size_t size, size_t alignment)
    __attribute__((malloc));
/** As realloc: ptr NULL allocates; on NULL the old block lives on. Keeps the block's alignment. */
IQ_SHARED void *iq_realloc(imgq_env *env, void *ptr, size_t size);
IQ_SHARED void iq_free(imgq_env *env, const void *ptr);
/** Owned copy with a zero after it. @return NULL when memory ran out or text is NULL */
IQ_SHARED char *iq_strdup(imgq_env *env, const char *text);
IQ_SHARED char *iq_strndup(imgq_env *env, const char *text, size_t len);
/** Fails with IMGQ_E_NOMEM and says how much was wanted. */
IQ_SHARED imgq_status iq_fail_nomem(imgq_error *err, size_t wanted);

#endif
