#include "redis/server.h"

#include "base/fail.h"

#include <stdio.h>
#include <string.h>

typedef struct info_line {
    const char *value;
    size_t len;
} info_line;

/* "key:value" as the whole line. */
static bool has_key(const char *line, size_t len, const char *key, info_line *out)
{
    const size_t key_len = strlen(key);
    if (len <= key_len || memcmp(line, key, key_len) != 0 || line[key_len] != ':')
        return false;
    *out = (info_line){line + key_len + 1, len - key_len - 1};
    return true;
}

static void copy_text(char *out, size_t out_size, info_line line)
{
    (void)snprintf(out, out_size, "%.*s", (int)(line.len < out_size ? line.len : out_size), line.value);
}

/* Digits at *at; stops at the first other character. Saturates. */
static uint64_t take_number(info_line *line)
{
    uint64_t number = 0;
    while (line->len > 0 && *line->value >= '0' && *line->value <= '9') {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*line->value - '0'), &number))
            number = UINT64_MAX;
        line->value++;
        line->len--;
    }
    return number;
}

static uint32_t take_version_part(info_line *line)
{
    const uint64_t part = take_number(line);
    if (line->len > 0 && *line->value == '.') {
        line->value++;
        line->len--;
    }
    return part > UINT32_MAX ? UINT32_MAX : (uint32_t)part;
}

static void parse_line(const char *line, size_t len, iq_server_info *info)
{
    info_line value;
    if (has_key(line, len, "redis_version", &value)) {
        copy_text(info->version, sizeof info->version, value);
        info->major = take_version_part(&value);
        info->minor = take_version_part(&value);
        info->patch = take_version_part(&value);
    } else if (has_key(line, len, "valkey_version", &value)) {
        info->is_valkey = true;
    } else if (has_key(line, len, "redis_mode", &value) || has_key(line, len, "server_mode", &value)) {
        info->is_cluster = value.len == 7 && memcmp(value.value, "cluster", 7) == 0;
    } else if (has_key(line, len, "role", &value)) {
        info->is_replica = value.len == 5 && memcmp(value.value, "slave", 5) == 0;
    } else if (has_key(line, len, "loading", &value)) {
        info->loading = take_number(&value) != 0;
    } else if (has_key(line, len, "maxmemory_policy", &value)) {
        copy_text(info->maxmemory_policy, sizeof info->maxmemory_policy, value);
    } else if (has_key(line, len, "maxmemory", &value)) {
        info->maxmemory = take_number(&value);
    } else if (has_key(line, len, "used_memory", &value)) {
        info->used_memory = take_number(&value);
    } else if (has_key(line, len, "connected_clients", &value)) {
        info->connected_clients = take_number(&value);
    }
}

void iq_server_parse_info(const char *text, size_t len, iq_server_info *info)
{
    const char *end = text + len;
    while (text < end) {
        const char *eol = memchr(text, '\n', (size_t)(end - text));
        size_t line_len = (size_t)((eol != NULL ? eol : end) - text);
        if (line_len > 0 && text[line_len - 1] == '\r')
            line_len--;
        parse_line(text, line_len, info);
        text = eol != NULL ? eol + 1 : end;
    }
}

imgq_status iq_server_ask(iq_conn *conn, iq_deadline deadline, iq_server_info *out, imgq_error *err)
{
    /* One section a command: several in one are known from 7.0 on only. */
    static const char *const sections[] = {"server", "memory", "replication", "clients", "persistence"};
    enum { SECTIONS = sizeof sections / sizeof *sections };
    iq_reply *replies[SECTIONS];
    iq_commands commands;
    *out = (iq_server_info){0};
    iq_commands_init(&commands, iq_conn_env(conn));
    for (size_t i = 0; i < SECTIONS; i++) {
        iq_commands_add(&commands, "INFO");
        iq_commands_text(&commands, sections[i]);
    }
    /* Asked once, when something is opened: whoever waits for a server that is not there yet does so knowingly. */
    imgq_status status = iq_conn_call(conn, &commands, &(iq_call){.deadline = deadline}, replies, err);
    const bool has_replies = status == IMGQ_OK;
    for (size_t i = 0; has_replies && i < SECTIONS; i++) {
        if (status == IMGQ_OK)
            status = iq_reply_check(replies[i], "INFO", err);
        if (replies[i]->type == IQ_REPLY_TEXT)
            iq_server_parse_info(replies[i]->text, replies[i]->len, out);
        iq_reply_free(replies[i]);
    }
    iq_commands_release(&commands);
    if (status == IMGQ_OK && out->version[0] == '\0')
        status = iq_fail(err, IMGQ_E_PROTOCOL, 0, "%s: INFO names no redis_version", iq_conn_where(conn));
    return status;
}

imgq_status iq_server_require(const iq_server_info *info, const char *where, bool allow_eviction, imgq_error *err)
{
    if (info->major < IQ_SERVER_MIN_MAJOR)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "Redis %s at %s is too old: 7.0 is needed", info->version, where);
    if (!allow_eviction && info->maxmemory_policy[0] != '\0' && strcmp(info->maxmemory_policy, "noeviction") != 0)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0,
                       "Redis at %s may evict jobs (maxmemory-policy %s): set it to noeviction", where,
                       info->maxmemory_policy);
    return IMGQ_OK;
}
