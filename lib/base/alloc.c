#include "base/alloc.h"

#include "base/checked.h"
#include "base/env_inner.h"
#include "base/fail.h"

#include <stdint.h>
#include <string.h>

/* Stands right before each block: the host's allocator wants size and alignment back when it frees. */
typedef struct block_head {
    size_t size;      /* of the block, without what stands before it */
    size_t alignment; /* also the distance from the allocation's start to the block, when over the head's size */
} block_head;

_Static_assert(sizeof(block_head) <= _Alignof(max_align_t) || sizeof(block_head) % _Alignof(max_align_t) == 0,
               "a block behind its head stays aligned");

static size_t room_before(size_t alignment)
{
    return alignment > sizeof(block_head) ? alignment : sizeof(block_head);
}

void *iq_alloc_aligned(imgq_env *env, size_t size, size_t alignment)
{
    size_t total;
    if (alignment < _Alignof(max_align_t))
        alignment = _Alignof(max_align_t);
    if (iq_add_size(&total, size, room_before(alignment)))
        return NULL;
    uint8_t *start = env->realloc_fn(env->realloc_user, NULL, 0, total, alignment);
    if (start == NULL)
        return NULL;
    uint8_t *block = start + room_before(alignment);
    memcpy(block - sizeof(block_head), &(block_head){.size = size, .alignment = alignment}, sizeof(block_head));
    return block;
}

void *iq_alloc(imgq_env *env, size_t size)
{
    return iq_alloc_aligned(env, size, _Alignof(max_align_t));
}

void *iq_alloc_array(imgq_env *env, size_t count, size_t size)
{
    size_t total;
    if (iq_mul_size(&total, count, size))
        return NULL;
    void *block = iq_alloc(env, total);
    if (block != NULL)
        memset(block, 0, total);
    return block;
}

static block_head head_of(const void *ptr)
{
    block_head head;
    memcpy(&head, (const uint8_t *)ptr - sizeof head, sizeof head);
    return head;
}

void *iq_realloc(imgq_env *env, void *ptr, size_t size)
{
    if (ptr == NULL)
        return iq_alloc(env, size);
    block_head head = head_of(ptr);
    size_t before = room_before(head.alignment), total;
    if (iq_add_size(&total, size, before))
        return NULL;
    uint8_t *start =
        env->realloc_fn(env->realloc_user, (uint8_t *)ptr - before, head.size + before, total, head.alignment);
    if (start == NULL)
        return NULL;
    head.size = size;
    memcpy(start + before - sizeof head, &head, sizeof head);
    return start + before;
}

void iq_free(imgq_env *env, const void *ptr)
{
    if (ptr == NULL)
        return;
    block_head head = head_of(ptr);
    size_t before = room_before(head.alignment);
    env->realloc_fn(env->realloc_user, (uint8_t *)(uintptr_t)ptr - before, head.size + before, 0, head.alignment);
}

char *iq_strndup(imgq_env *env, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? iq_alloc(env, len + 1) : NULL;
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

char *iq_strdup(imgq_env *env, const char *text)
{
    return text != NULL ? iq_strndup(env, text, strlen(text)) : NULL;
}

imgq_status iq_fail_nomem(imgq_error *err, size_t wanted)
{
    return iq_fail(err, IMGQ_E_NOMEM, 0, "out of memory: %zu bytes were wanted", wanted);
}
