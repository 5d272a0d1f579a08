#include "base/log.h"

#include "base/clock.h"
#include "base/env_inner.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void iq_log(const imgq_env *env, int level, const char *room, const char *format, ...)
{
    char line[1000];
    va_list args;
    if (env->log_fn == NULL)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    env->log_fn(env->log_user, level, room, line);
}

/* Counts on past the end of its room, as snprintf does. */
typedef struct line_writer {
    char *out;
    size_t size, len;
} line_writer;

static void put(line_writer *w, const char *text, size_t len)
{
    if (w->len < w->size) {
        size_t room = w->size - w->len;
        memcpy(w->out + w->len, text, len < room ? len : room);
    }
    w->len += len;
}

static void put_text(line_writer *w, const char *text)
{
    put(w, text, strlen(text));
}

/* A line end inside an action would forge a second line; JSON has its own escapes. */
static void put_escaped(line_writer *w, const char *text, bool json)
{
    for (const char *c = text; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        char escape[8];
        if (json && (byte == '"' || byte == '\\')) {
            snprintf(escape, sizeof escape, "\\%c", byte);
            put_text(w, escape);
        } else if (byte < 0x20 || byte == 0x7F) {
            snprintf(escape, sizeof escape, json ? "\\u%04x" : "\\x%02x", byte);
            put_text(w, escape);
        } else {
            put(w, c, 1);
        }
    }
}

size_t imgq_log_format(char *out, size_t out_size, const imgq_log_line *line)
{
    static const char *const names[] = {"ERROR", "WARNING", "INFO", "DEBUG"};
    const char *level = names[line->level < 0 ? 0 : line->level > 3 ? 3 : line->level];
    const char *server = line->server != NULL ? line->server : "-";
    const char *program = line->program != NULL ? line->program : "-";
    const char *action = line->action != NULL ? line->action : "";
    int64_t ms = line->unix_ms != 0 ? line->unix_ms : iq_clock_unix_ms();
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    char date[32], stamp[64];
    gmtime_r(&seconds, &utc);
    strftime(date, sizeof date, line->json ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &utc);
    snprintf(stamp, sizeof stamp, "%s.%03d%s", date, (int)(ms % 1000), line->json ? "Z" : "");

    line_writer w = {.out = out, .size = out_size};
    const char *const parts_text[] = {"[", "] [", "] [", "] ", ": ", ""};
    const char *const parts_json[] = {"{\"time\":\"",    "\",\"server\":\"", "\",\"program\":\"",
                                      "\",\"level\":\"", "\",\"action\":\"", "\"}"};
    const char *const *parts = line->json ? parts_json : parts_text;
    const char *const fields[] = {stamp, server, program, level, action};
    for (size_t i = 0; i < 5; i++) {
        put_text(&w, parts[i]);
        put_escaped(&w, fields[i], line->json != 0);
    }
    put_text(&w, parts[5]);
    if (out_size > 0)
        out[w.len < out_size ? w.len : out_size - 1] = '\0';
    return w.len;
}
