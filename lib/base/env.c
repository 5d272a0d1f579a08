#include "base/env.h"

#include "base/alloc.h"
#include "base/env_inner.h"
#include "base/fail.h"
#include "base/options.h"

#include <stdlib.h>
#include <string.h>

static void *malloc_realloc(void *user, void *ptr, size_t old_size, size_t new_size, size_t alignment)
{
    (void)user;
    if (new_size == 0) {
        free(ptr);
        return NULL;
    }
    if (alignment <= _Alignof(max_align_t))
        return realloc(ptr, new_size);
    void *fresh = NULL;
    if (posix_memalign(&fresh, alignment, new_size) != 0)
        return NULL;
    if (ptr != NULL) {
        memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
        free(ptr);
    }
    return fresh;
}

imgq_status imgq_env_create(const imgq_env_options *options, imgq_env **out, imgq_error *err)
{
    imgq_env_options o;
    *out = NULL;
    imgq_status status = iq_options_copy(&o, sizeof o, options, err);
    if (status != IMGQ_OK)
        return status;
    if (o.realloc_fn == NULL)
        o.realloc_fn = malloc_realloc;
    imgq_env *env = o.realloc_fn(o.realloc_user, NULL, 0, sizeof *env, _Alignof(max_align_t));
    if (env == NULL)
        return iq_fail_nomem(err, sizeof *env);
    *env = (imgq_env){.realloc_fn = o.realloc_fn,
                      .realloc_user = o.realloc_user,
                      .log_fn = o.log_fn,
                      .log_user = o.log_user,
                      .max_payload_bytes = o.max_payload_bytes ? o.max_payload_bytes : (size_t)32 << 20,
                      .max_image_pixels = o.max_image_pixels ? o.max_image_pixels : 100000000,
                      .max_progressive_pixels = o.max_progressive_pixels ? o.max_progressive_pixels : 32000000};
    env->max_reply_bytes = o.max_reply_bytes ? o.max_reply_bytes : ((size_t)64 << 20) + env->max_payload_bytes;
    atomic_init(&env->holders, 1);
    *out = env;
    return IMGQ_OK;
}

imgq_env *iq_env_hold(imgq_env *env)
{
    /* Relaxed: who holds already keeps it alive. */
    atomic_fetch_add_explicit(&env->holders, 1, memory_order_relaxed);
    return env;
}

void imgq_env_destroy(imgq_env *env)
{
    /* Release and acquire: what other holders did happens before the free. */
    if (env == NULL || atomic_fetch_sub_explicit(&env->holders, 1, memory_order_acq_rel) != 1)
        return;
    env->realloc_fn(env->realloc_user, env, sizeof *env, 0, _Alignof(max_align_t));
}

size_t iq_env_max_payload_bytes(const imgq_env *env)
{
    return env->max_payload_bytes;
}

size_t iq_env_max_image_pixels(const imgq_env *env)
{
    return env->max_image_pixels;
}

size_t iq_env_max_progressive_pixels(const imgq_env *env)
{
    return env->max_progressive_pixels;
}

size_t iq_env_max_reply_bytes(const imgq_env *env)
{
    return env->max_reply_bytes;
}
