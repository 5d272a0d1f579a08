#include "support/failing_alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t calls, live;
static size_t fail_at;
static atomic_int failed;

static void *count_realloc(void *user, void *ptr, size_t old_size, size_t new_size, size_t alignment)
{
    (void)user;
    if (new_size == 0) {
        atomic_fetch_sub(&live, old_size);
        free(ptr);
        return NULL;
    }
    if (atomic_fetch_add(&calls, 1) + 1 == fail_at) {
        atomic_store(&failed, 1);
        return NULL;
    }
    void *fresh = NULL;
    if (posix_memalign(&fresh, alignment < sizeof(void *) ? sizeof(void *) : alignment, new_size) != 0)
        return NULL;
    if (ptr != NULL) {
        memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
        free(ptr);
        atomic_fetch_sub(&live, old_size);
    }
    atomic_fetch_add(&live, new_size);
    return fresh;
}

imgq_env *failing_env(size_t nth)
{
    atomic_store(&calls, 0);
    atomic_store(&live, 0);
    atomic_store(&failed, 0);
    fail_at = nth;
    imgq_env_options options = IMGQ_ENV_OPTIONS_INIT;
    options.realloc_fn = count_realloc;
    imgq_env *env = NULL;
    return imgq_env_create(&options, &env, NULL) == IMGQ_OK ? env : NULL;
}

size_t failing_live_bytes(void)
{
    return atomic_load(&live);
}

int failing_has_failed(void)
{
    return atomic_load(&failed);
}
