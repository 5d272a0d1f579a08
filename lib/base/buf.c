#include "base/buf.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool iq_buf_reserve(imgq_env *env, iq_buf *buf, size_t more)
{
    size_t max = buf->max > 0 ? buf->max : SIZE_MAX / 2;
    size_t want;
    if (buf->failed)
        return false;
    if (iq_add_size(&want, buf->len, more) || want > max) {
        buf->failed = true;
        return false;
    }
    if (buf->data != NULL && want <= buf->cap)
        return true;
    size_t cap = buf->cap < 64 ? 64 : buf->cap + buf->cap / 2;
    if (cap < want)
        cap = want;
    if (cap > max)
        cap = max;
    uint8_t *data = iq_realloc(env, buf->data, cap + 1);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    data[buf->len] = 0;
    buf->data = data;
    buf->cap = cap;
    return true;
}

bool iq_buf_append(imgq_env *env, iq_buf *buf, const void *bytes, size_t len)
{
    if (!iq_buf_reserve(env, buf, len))
        return false;
    if (len > 0)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = 0;
    return true;
}

bool iq_buf_append_text(imgq_env *env, iq_buf *buf, const char *text)
{
    return iq_buf_append(env, buf, text, strlen(text));
}

bool iq_buf_append_format(imgq_env *env, iq_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    bool ok = len >= 0 && iq_buf_reserve(env, buf, (size_t)len);
    if (ok) {
        vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    } else {
        buf->failed = true;
    }
    va_end(again);
    va_end(args);
    return ok;
}

void iq_buf_clear(iq_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data != NULL)
        buf->data[0] = 0;
}

void iq_buf_release(imgq_env *env, iq_buf *buf)
{
    iq_free(env, buf->data);
    *buf = (iq_buf){.max = buf->max};
}

static imgq_status fail_errno(imgq_error *err, const char *what, const char *path)
{
    char text[128];
    int code = errno;
    imgq_status status = code == ENOENT || code == ENOTDIR ? IMGQ_E_NOTFOUND : IMGQ_E_IO;
    return iq_fail(err, status, code, "%s %s: %s", what, path, iq_strerror(code, text, sizeof text));
}

static imgq_status read_all(imgq_env *env, iq_buf *buf, int fd, const char *path, size_t max_bytes, imgq_error *err)
{
    size_t start = buf->len;
    for (;;) {
        if (!iq_buf_reserve(env, buf, 64 << 10))
            return iq_fail_nomem(err, buf->len + (64 << 10));
        ssize_t got = read(fd, buf->data + buf->len, buf->cap - buf->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(err, "read", path);
        if (got == 0)
            break;
        buf->len += (size_t)got;
        buf->data[buf->len] = 0;
        if (buf->len - start > max_bytes)
            return iq_fail(err, IMGQ_E_LIMIT, 0, "read %s: more than %zu bytes", path, max_bytes);
    }
    return IMGQ_OK;
}

imgq_status iq_buf_read_file(imgq_env *env, iq_buf *buf, const char *path, size_t max_bytes, imgq_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "open", path);
    imgq_status status = IMGQ_OK;
    if (fstat(fd, &st) != 0)
        status = fail_errno(err, "stat", path);
    else if (S_ISDIR(st.st_mode))
        status = iq_fail(err, IMGQ_E_IO, EISDIR, "read %s: it is a folder", path);
    else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max_bytes)
        status = iq_fail(err, IMGQ_E_LIMIT, 0, "read %s: %lld bytes, the limit is %zu", path, (long long)st.st_size,
                         max_bytes);
    else if (S_ISREG(st.st_mode) && !iq_buf_reserve(env, buf, (size_t)st.st_size + 1))
        status = iq_fail_nomem(err, (size_t)st.st_size + 1);
    else
        status = read_all(env, buf, fd, path, max_bytes, err);
    close(fd);
    return status;
}
