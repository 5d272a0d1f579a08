#include "image_support.h"

#include "base/crypto.h"
#include "support/check.h"
#include "support/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool read_file(const char *path, file_bytes *out)
{
    FILE *file = fopen(path, "rb");
    *out = (file_bytes){0};
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        if (file != NULL)
            (void)fclose(file);
        return CHECK(!"file is there");
    }
    const long size = ftell(file);
    rewind(file);
    out->data = malloc(size > 0 ? (size_t)size : 1);
    out->len = out->data != NULL ? fread(out->data, 1, (size_t)size, file) : 0;
    (void)fclose(file);
    return CHECK_EQ_SIZE((size_t)size, out->len);
}

bool read_drawn(const char *name, file_bytes *out)
{
    char path[256];
    snprintf(path, sizeof path, "tests/fuzz/corpus/%s", name);
    return read_file(source_path(path), out);
}

bool check_sha256(const char *want, const void *bytes, size_t len, const char *what)
{
    uint8_t digest[32];
    char hex[65];
    imgq_error err;
    if (!CHECK_OK(iq_sha256_of(bytes, len, digest, &err)))
        return false;
    iq_hex(hex, digest, sizeof digest);
    return check_str(want, hex, what, __FILE__, __LINE__);
}

static size_t live, peak;

static void *count(void *user, void *ptr, size_t old_size, size_t new_size, size_t alignment)
{
    (void)user;
    void *fresh = NULL;
    if (new_size > 0 && posix_memalign(&fresh, alignment < sizeof fresh ? sizeof fresh : alignment, new_size) != 0)
        return NULL;
    if (ptr != NULL && fresh != NULL)
        memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
    free(ptr);
    live = live - (ptr != NULL ? old_size : 0) + new_size;
    peak = live > peak ? live : peak;
    return fresh;
}

imgq_env *counting_env(void)
{
    imgq_env_options options = IMGQ_ENV_OPTIONS_INIT;
    imgq_env *env = NULL;
    imgq_error err;
    options.realloc_fn = count;
    live = peak = 0;
    (void)CHECK_OK(imgq_env_create(&options, &env, &err));
    return env;
}

size_t counting_peak(void)
{
    return peak;
}

size_t counting_live(void)
{
    return live;
}

void counting_restart(void)
{
    peak = live;
}
