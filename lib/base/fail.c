#include "base/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A message cut inside a UTF-8 character would be no text any more. */
static void cut_at_character(char *text, size_t size)
{
    size_t len = strlen(text);
    if (len + 1 < size)
        return;
    while (len > 0 && ((unsigned char)text[len - 1] & 0xC0) == 0x80)
        len--;
    if (len > 0 && (unsigned char)text[len - 1] >= 0xC0)
        text[len - 1] = '\0';
}

imgq_status iq_fail(imgq_error *err, imgq_status status, int sys_errno, const char *format, ...)
{
    if (err == NULL)
        return status;
    va_list args;
    memset(err, 0, sizeof *err);
    err->status = status;
    err->sys_errno = sys_errno;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    cut_at_character(err->message, sizeof err->message);
    return status;
}

imgq_status iq_fail_prefix(imgq_error *err, imgq_status status, const char *format, ...)
{
    if (err == NULL)
        return status;
    char old[sizeof err->message];
    va_list args;
    memcpy(old, err->message, sizeof old);
    va_start(args, format);
    int len = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof err->message)
        snprintf(err->message + len, sizeof err->message - (size_t)len, ": %s", old);
    cut_at_character(err->message, sizeof err->message);
    err->status = status;
    return status;
}

const char *iq_strerror(int sys_errno, char *out, size_t out_size)
{
    /* The GNU variant may answer a string of its own; either way nothing shared is written. */
    const char *text = strerror_r(sys_errno, out, out_size);
    if (text != out)
        snprintf(out, out_size, "%s", text);
    return out;
}
