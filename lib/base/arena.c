#include "base/arena.h"

#include "base/alloc.h"
#include "base/checked.h"

#include <stdint.h>
#include <string.h>

enum { CHUNK_SIZE = 16 << 10, ALIGNMENT = _Alignof(max_align_t) };

struct iq_arena_chunk {
    struct iq_arena_chunk *next;
    size_t used, size;
    max_align_t bytes[];
};

void *iq_arena_alloc(iq_arena *arena, size_t size)
{
    size_t rounded, total;
    if (iq_add_size(&rounded, size, ALIGNMENT - 1) || iq_add_size(&total, arena->used, rounded))
        return NULL;
    rounded &= ~(size_t)(ALIGNMENT - 1);
    if (arena->max > 0 && total > arena->max)
        return NULL;
    iq_arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->size - chunk->used < rounded) {
        size_t room = rounded > CHUNK_SIZE ? rounded : CHUNK_SIZE;
        chunk = room <= SIZE_MAX - sizeof *chunk ? iq_alloc(arena->env, sizeof *chunk + room) : NULL;
        if (chunk == NULL)
            return NULL;
        *chunk = (iq_arena_chunk){.next = arena->chunks, .size = room};
        arena->chunks = chunk;
    }
    void *block = (uint8_t *)chunk->bytes + chunk->used;
    chunk->used += rounded;
    arena->used += rounded;
    return block;
}

char *iq_arena_strndup(iq_arena *arena, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? iq_arena_alloc(arena, len + 1) : NULL;
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

void iq_arena_release(iq_arena *arena)
{
    while (arena->chunks != NULL) {
        iq_arena_chunk *next = arena->chunks->next;
        iq_free(arena->env, arena->chunks);
        arena->chunks = next;
    }
    arena->used = 0;
}
