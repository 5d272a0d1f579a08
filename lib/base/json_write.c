/* Values to JSON text, and numbers to and from text, whatever the process's locale is. */
#include "base/json.h"

#include "base/utf8.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool iq_json_write_text_len(imgq_env *env, iq_buf *buf, const char *text, size_t len)
{
    iq_buf_append(env, buf, "\"", 1);
    for (size_t at = 0; at < len;) {
        unsigned char c = (unsigned char)text[at];
        size_t step = iq_utf8_length((const unsigned char *)text + at, len - at);
        if (step == 0) {
            iq_buf_append_text(env, buf, "\xEF\xBF\xBD");
            step = 1;
        } else if (c == '"' || c == '\\') {
            iq_buf_append(env, buf, (char[]){'\\', (char)c}, 2);
        } else if (c == '\n') {
            iq_buf_append(env, buf, "\\n", 2);
        } else if (c < 0x20 || c == 0x7F) {
            iq_buf_append_format(env, buf, "\\u%04x", c);
        } else {
            iq_buf_append(env, buf, text + at, step);
        }
        at += step;
    }
    return iq_buf_append(env, buf, "\"", 1);
}

bool iq_json_write_text(imgq_env *env, iq_buf *buf, const char *text)
{
    return text != NULL ? iq_json_write_text_len(env, buf, text, strlen(text)) : iq_buf_append(env, buf, "null", 4);
}

/* printf and strtod follow the host's locale, which is not ours to change: a German host writes 0,91. */
static void comma_to_point(char *text)
{
    const char *point = localeconv()->decimal_point;
    size_t len = strlen(point);
    if (len == 1 && *point == '.')
        return;
    char *at = strstr(text, point);
    if (at != NULL) {
        *at = '.';
        memmove(at + 1, at + len, strlen(at + len) + 1);
    }
}

bool iq_json_write_double(imgq_env *env, iq_buf *buf, double value)
{
    char text[64];
    if (!isfinite(value))
        return iq_buf_append(env, buf, "null", 4);
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    comma_to_point(text);
    return iq_buf_append_text(env, buf, text);
}

bool iq_json_write_float(imgq_env *env, iq_buf *buf, float value)
{
    char text[64];
    if (!isfinite(value))
        return iq_buf_append(env, buf, "null", 4);
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    comma_to_point(text);
    return iq_buf_append_text(env, buf, text);
}

bool iq_json_write_fixed(imgq_env *env, iq_buf *buf, double value, int decimals)
{
    char text[400];
    if (!isfinite(value))
        return iq_buf_append(env, buf, "null", 4);
    snprintf(text, sizeof text, "%.*f", decimals, value);
    comma_to_point(text);
    return iq_buf_append_text(env, buf, text);
}

bool iq_parse_double(const char *text, double *out)
{
    char copy[128];
    const char *point = localeconv()->decimal_point;
    size_t len = strlen(text), used = 0;
    if (len == 0 || strspn(text, "0123456789+-.eE") != len)
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        size_t step = *c == '.' ? strlen(point) : 1;
        if (used + step >= sizeof copy)
            return false;
        memcpy(copy + used, *c == '.' ? point : c, step);
        used += step;
    }
    copy[used] = '\0';
    char *end = NULL;
    double value = strtod(copy, &end);
    if (end == copy || *end != '\0' || !isfinite(value))
        return false;
    *out = value;
    return true;
}

bool iq_parse_uint(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value))
            return false;
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}
