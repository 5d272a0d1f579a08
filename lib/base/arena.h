/* Many small blocks that die together. */
#ifndef IQ_BASE_ARENA_H
#define IQ_BASE_ARENA_H

#include <stddef.h>

#include <imgq/env.h>

#include "base/shared.h"

typedef struct iq_arena_chunk iq_arena_chunk;

/** Zero `chunks`, `used`, set env; max bounds the sum of all blocks (0: none). */
typedef struct iq_arena {
    imgq_env *env;
    iq_arena_chunk *chunks;
    size_t used, max;
} iq_arena;

/** Aligned for any type. @return NULL when memory ran out or max is reached */
IQ_SHARED void *iq_arena_alloc(iq_arena *arena, size_t size);
IQ_SHARED char *iq_arena_strndup(iq_arena *arena, const char *text, size_t len);
IQ_SHARED void iq_arena_release(iq_arena *arena);

#endif
