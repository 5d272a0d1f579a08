#include <imgq/admin.h>

#include "base/fail.h"
#include "base/json.h"
#include "base/options.h"
#include "queue/ids.h"
#include "queue/look.h"
#include "queue/result.h"
#include "queue/scripts.h"

#include <stdio.h>
#include <string.h>

enum { PURGE_PAGE = 256, LIST_PAGE = 256, WORKERS_MAX = 1000, DEFAULT_MAX_JOBS = 100000 };
#define DEFAULT_MAX_BYTES (UINT64_C(2) << 30)

const char *imgq_state_name(int state)
{
    switch (state) {
    case IMGQ_STATE_WAITING:
        return "waiting";
    case IMGQ_STATE_DELAYED:
        return "delayed";
    case IMGQ_STATE_ACTIVE:
        return "active";
    case IMGQ_STATE_SUCCEEDED:
        return "succeeded";
    case IMGQ_STATE_DEAD:
        return "dead";
    case IMGQ_STATE_CANCELLED:
        return "cancelled";
    case IMGQ_STATE_EXPIRED:
        return "expired";
    default:
        return "unknown";
    }
}

static imgq_status fail_answer(const char *what, imgq_error *err)
{
    return iq_fail(err, IMGQ_E_PROTOCOL, 0, "%s: the answer is none of this protocol", what);
}

static imgq_status call(imgq_queue *queue, iq_commands *commands, const char *what, iq_reply **reply, imgq_error *err)
{
    const iq_request request = {.line = IQ_LINE_COMMAND, .deadline = iq_queue_deadline(queue)};
    const imgq_status status = iq_queue_call(queue, commands, &request, what, reply, err);
    iq_commands_release(commands);
    return status;
}

/* ---- stats ---- */

static uint64_t field(const iq_reply *fields, const char *name, uint64_t otherwise)
{
    for (size_t i = 0; i + 1 < fields->count; i += 2) {
        int64_t value;
        if (iq_reply_is(iq_reply_at(fields, i), name) && iq_reply_int(iq_reply_at(fields, i + 1), &value) && value >= 0)
            return (uint64_t)value;
    }
    return otherwise;
}

static void read_fields(imgq_queue_stats *stats, const iq_reply *fields)
{
    stats->submitted = field(fields, "c.sub", 0) + field(fields, "c.imp", 0);
    stats->delivered = field(fields, "c.del", 0);
    stats->succeeded = field(fields, "c.done", 0);
    stats->failed = field(fields, "c.fail", 0);
    stats->cancelled = field(fields, "c.cancel", 0);
    stats->expired = field(fields, "c.expired", 0);
    stats->buried = field(fields, "c.dead", 0);
    stats->stale_results = field(fields, "c.stale", 0);
    stats->lost_leases = field(fields, "c.reaped", 0);
    stats->lost_records = field(fields, "c.lost", 0);
    stats->live_bytes = field(fields, "b", 0);
    stats->max_jobs = field(fields, "xn", DEFAULT_MAX_JOBS);
    stats->max_bytes = field(fields, "xb", DEFAULT_MAX_BYTES);
    stats->paused = (uint32_t)field(fields, "pa", 0);
}

static imgq_status read_stats(imgq_queue_stats *stats, const iq_reply *reply, imgq_error *err)
{
    enum { NOW, WAITING, DELAYED, ACTIVE, DEAD, FIRST, ALIVE, SEEN, PARKED, NUMBERS };
    int64_t numbers[NUMBERS];
    for (size_t i = 0; i < NUMBERS; i++) {
        if (!iq_reply_int(iq_reply_at(reply, i), &numbers[i]) || numbers[i] < 0)
            return fail_answer("stats", err);
    }
    memset(stats, 0, sizeof *stats);
    stats->waiting = (uint64_t)numbers[WAITING];
    stats->delayed = (uint64_t)numbers[DELAYED];
    stats->active = (uint64_t)numbers[ACTIVE];
    stats->dead = (uint64_t)numbers[DEAD];
    stats->workers = (uint64_t)numbers[ALIVE];
    stats->oldest_wait_ms = numbers[FIRST] > 0 && numbers[NOW] > numbers[FIRST] ? numbers[NOW] - numbers[FIRST] : 0;
    stats->worker_seen_unix_ms = numbers[SEEN];
    stats->server_unix_ms = numbers[NOW];
    read_fields(stats, iq_reply_at(reply, NUMBERS));
    return IMGQ_OK;
}

imgq_status imgq_queue_get_stats(imgq_queue *queue, imgq_queue_stats *stats, imgq_error *err)
{
    iq_commands commands;
    iq_reply *reply = NULL;
    imgq_queue_stats own;
    iq_commands_init(&commands, queue->env);
    iq_queue_add_script(queue, &commands, &iq_lua_stats);
    imgq_status status = call(queue, &commands, "stats", &reply, err);
    if (status == IMGQ_OK)
        status = read_stats(&own, reply, err);
    if (status == IMGQ_OK)
        status = iq_options_give(stats, &own, sizeof own, err);
    iq_reply_free(reply);
    return status;
}

/* ---- one job ---- */

static void copy_text(char *out, size_t size, const char *text, size_t len)
{
    const size_t keep = len < size - 1 ? len : size - 1;
    for (size_t i = 0; i < keep; i++)
        out[i] = (unsigned char)text[i] < ' ' || text[i] == 127 ? ' ' : text[i];
    out[keep] = '\0';
}

static void read_head(imgq_job_status *out, const iq_record *head)
{
    out->priority = head->priority;
    out->progress = head->progress;
    out->imported = (head->flags & IQ_FLAG_COMPAT) != 0;
    out->fails = head->fails;
    out->crashes = head->crashes;
    out->max_fails = head->max_fails;
    out->max_crashes = head->max_crashes;
    out->attempt = head->deliveries;
    out->payload_bytes = head->payload_len;
    out->error = head->error <= -IMGQ_STATUS_LAST ? -(int)head->error : IMGQ_E_INTERNAL;
    out->submitted_unix_ms = (int64_t)head->submitted_ms;
    out->changed_unix_ms = (int64_t)head->changed_ms;
    out->deadline_unix_ms = (int64_t)head->deadline_ms;
}

/* The record itself, where its body is too long for a look. */
static imgq_status fetch_result(imgq_queue *queue, const imgq_id *id, imgq_result **result, imgq_error *err)
{
    iq_commands commands;
    iq_reply *reply = NULL;
    iq_record_view view;
    const iq_key key = iq_key_job(&queue->keys, id->text);
    iq_commands_init(&commands, queue->env);
    iq_commands_add(&commands, "GET");
    iq_commands_bytes(&commands, key.text, key.len);
    imgq_status status = call(queue, &commands, "look at job", &reply, err);
    if (status == IMGQ_OK && reply->type != IQ_REPLY_TEXT)
        status = iq_fail(err, IMGQ_E_NOTFOUND, 0, "look at job %.64s: unknown or expired", id->text);
    if (status == IMGQ_OK)
        status = iq_record_decode(&view, reply->text, reply->len, err);
    if (status == IMGQ_OK)
        status = iq_result_of_state(queue->env, id->text, view.head.state, view.head.error, view.body, view.body_len,
                                    result, err);
    iq_reply_free(reply);
    return status;
}

static imgq_status make_result(imgq_queue *queue, const imgq_id *id, const iq_look *look, imgq_result **result,
                               imgq_error *err)
{
    if (!iq_state_is_end(look->state))
        return IMGQ_OK;
    if (look->how == IQ_BODY_LARGE)
        return fetch_result(queue, id, result, err);
    if (look->how == IQ_BODY_ACKED)
        return iq_result_of_failure(queue->env, id->text, IMGQ_E_LOST, "the result was acknowledged and is gone",
                                    result, err);
    return iq_result_of_state(queue->env, id->text, look->state, look->head.error, look->body, look->body_len, result,
                              err);
}

imgq_status imgq_queue_look(imgq_queue *queue, const imgq_id *id, imgq_job_status *out, imgq_result **result,
                            imgq_error *err)
{
    iq_reply *reply = NULL;
    iq_look look;
    imgq_job_status own = {.size = sizeof own, .id = *id};
    if (result != NULL)
        *result = NULL;
    imgq_status status =
        iq_queue_call_ids(queue, &iq_lua_status, false, id, 1, iq_queue_deadline(queue), "look", &reply, err);
    if (status != IMGQ_OK)
        return status;
    if (!iq_look_read(&look, iq_reply_at(reply, 0)))
        status = iq_fail(err, IMGQ_E_CORRUPT, 0, "look at job %.64s: its record in Redis is not readable", id->text);
    else if (look.code < IQ_LOOK_JOB)
        status = iq_id_code_status(iq_reply_at(iq_reply_at(reply, 0), 0), "look at", id, "", err);
    if (status == IMGQ_OK) {
        own.state = look.state;
        read_head(&own, &look.head);
        if (look.state != IMGQ_STATE_SUCCEEDED && look.how == IQ_BODY_HERE)
            copy_text(own.message, sizeof own.message, look.body, look.body_len);
        status = iq_options_give(out, &own, sizeof own, err);
    }
    if (status == IMGQ_OK && result != NULL)
        status = make_result(queue, id, &look, result, err);
    iq_reply_free(reply);
    return status;
}

imgq_status imgq_queue_requeue(imgq_queue *queue, const imgq_id *id, imgq_error *err)
{
    iq_reply *reply = NULL;
    imgq_status status =
        iq_queue_call_ids(queue, &iq_lua_requeue, false, id, 1, iq_queue_deadline(queue), "requeue", &reply, err);
    if (status == IMGQ_OK)
        status = iq_id_code_status(iq_reply_at(reply, 0), "requeue", id, "is not dead, or its payload is gone", err);
    iq_reply_free(reply);
    return status;
}

/* ---- dead letters ---- */

static bool read_dead(imgq_job_status *out, const iq_reply *entry)
{
    iq_record_view view;
    uint8_t alone[IQ_HEADER_SIZE];
    const iq_reply *id = iq_reply_at(entry, 0), *header = iq_reply_at(entry, 2), *text = iq_reply_at(entry, 3);
    if (id->type != IQ_REPLY_TEXT || id->len == 0 || id->len >= sizeof out->id.text || header->len != sizeof alone)
        return false;
    memcpy(alone, header->text, sizeof alone);
    alone[12] = alone[13] = 0; /* its options are not here */
    if (iq_record_decode(&view, alone, sizeof alone, NULL) != IMGQ_OK)
        return false;
    memcpy(out->id.text, id->text, id->len + 1);
    out->state = (char)view.head.state;
    read_head(out, &view.head);
    copy_text(out->message, sizeof out->message, text->text, text->len);
    return true;
}

static imgq_status dead_page(imgq_queue *queue, size_t skip, size_t page, iq_reply **reply, imgq_error *err)
{
    iq_commands commands;
    iq_commands_init(&commands, queue->env);
    iq_queue_add_script(queue, &commands, &iq_lua_list);
    iq_queue_add_owner(queue, &commands);
    iq_commands_text(&commands, "x");
    iq_commands_uint(&commands, skip);
    iq_commands_uint(&commands, page);
    return call(queue, &commands, "list dead letters", reply, err);
}

/* An array of the caller's structs, which may be older or newer than ours: the first says how large each is. */
static void *nth(void *array, size_t index)
{
    size_t size;
    memcpy(&size, array, sizeof size);
    return (char *)array + index * size;
}

/* Those of one page that can be seen, behind `pass` more of them. */
static imgq_status read_dead_page(const iq_reply *reply, size_t *pass, imgq_job_status *jobs, size_t max, size_t *got,
                                  imgq_error *err)
{
    imgq_status status = IMGQ_OK;
    for (size_t i = 0; status == IMGQ_OK && i < reply->count && *got < max; i++) {
        imgq_job_status own = {.size = sizeof own};
        if (!read_dead(&own, iq_reply_at(reply, i)))
            continue;
        if (*pass > 0) {
            --*pass;
            continue;
        }
        if (*got > 0)
            memcpy(nth(jobs, *got), jobs, sizeof jobs->size);
        status = iq_options_give(nth(jobs, (*got)++), &own, sizeof own, err);
    }
    return status;
}

imgq_status imgq_queue_dead(imgq_queue *queue, size_t skip, imgq_job_status *jobs, size_t max, size_t *count,
                            imgq_error *err)
{
    const bool sees_all = iq_queue_sees_all(queue);
    /* An owner passes over his own, whose places among the others' only the list itself tells. */
    size_t pass = sees_all ? 0 : skip, at = sees_all ? skip : 0, got = 0;
    *count = 0;
    for (bool end = false; !end && got < max;) {
        iq_reply *reply = NULL;
        const size_t page = sees_all && max - got < LIST_PAGE ? max - got : LIST_PAGE;
        imgq_status status = dead_page(queue, at, page, &reply, err);
        if (status == IMGQ_OK)
            status = read_dead_page(reply, &pass, jobs, max, &got, err);
        end = status == IMGQ_OK && reply->count < page;
        iq_reply_free(reply);
        if (status != IMGQ_OK)
            return status;
        at += page;
    }
    *count = got;
    return IMGQ_OK;
}

/* ---- purge ---- */

#define MAX_AGE_MS INT64_C(31622400000) /* 366 days, as the script takes them */

imgq_status imgq_queue_purge(imgq_queue *queue, int what, int priority, int64_t older_than_ms, uint64_t *purged,
                             imgq_error *err)
{
    static const char *const indexes[] = {"w", "d", "x"};
    char cursor[128] = "";
    size_t cursor_len = 0;
    *purged = 0;
    if (what < IMGQ_PURGE_WAITING || what > IMGQ_PURGE_DEAD)
        return iq_fail(err, IMGQ_E_INVALID, 0, "purge %d: only IMGQ_PURGE_...", what);
    if (priority < -1 || priority > 9 || (priority >= 0 && what != IMGQ_PURGE_WAITING))
        return iq_fail(err, IMGQ_E_INVALID, 0, "purge of priority %d: 0 to 9 of what waits, or -1", priority);
    if (older_than_ms < 0 || older_than_ms > MAX_AGE_MS)
        return iq_fail(err, IMGQ_E_INVALID, 0, "purge what is older than %lld ms: 0 to 366 days",
                       (long long)older_than_ms);
    do {
        iq_commands commands;
        iq_reply *reply = NULL;
        int64_t done;
        iq_commands_init(&commands, queue->env);
        iq_queue_add_script(queue, &commands, &iq_lua_purge);
        iq_commands_text(&commands, indexes[what]);
        iq_commands_int(&commands, priority);
        iq_commands_int(&commands, older_than_ms);
        iq_commands_int(&commands, PURGE_PAGE);
        iq_commands_bytes(&commands, cursor, cursor_len);
        const imgq_status status = call(queue, &commands, "purge", &reply, err);
        if (status != IMGQ_OK)
            return status;
        const iq_reply *next = iq_reply_at(reply, 1);
        const bool readable = iq_reply_int(iq_reply_at(reply, 0), &done) && done >= 0 && next->len < sizeof cursor;
        if (readable) {
            *purged += (uint64_t)done;
            cursor_len = next->len;
            memcpy(cursor, next->text, next->len);
        }
        iq_reply_free(reply);
        if (!readable)
            return fail_answer("purge", err);
    } while (cursor_len > 0);
    return IMGQ_OK;
}

/* ---- pause and settings ---- */

static imgq_status pause(imgq_queue *queue, uint32_t set, uint32_t clear, const char *what, imgq_error *err)
{
    iq_commands commands;
    iq_reply *reply = NULL;
    iq_commands_init(&commands, queue->env);
    iq_queue_add_script(queue, &commands, &iq_lua_pause);
    iq_commands_uint(&commands, set);
    iq_commands_uint(&commands, clear);
    const imgq_status status = call(queue, &commands, what, &reply, err);
    iq_reply_free(reply);
    return status;
}

imgq_status imgq_queue_pause(imgq_queue *queue, uint32_t what, imgq_error *err)
{
    const uint32_t every = IMGQ_PAUSE_DELIVERIES | IMGQ_PAUSE_SUBMITS;
    if (what == 0 || (what & ~every) != 0)
        return iq_fail(err, IMGQ_E_INVALID, 0, "pause 0x%x: only IMGQ_PAUSE_... bits", (unsigned)what);
    return pause(queue, what, 0, "pause", err);
}

imgq_status imgq_queue_resume(imgq_queue *queue, imgq_error *err)
{
    return pause(queue, 0, IMGQ_PAUSE_DELIVERIES | IMGQ_PAUSE_SUBMITS, "resume", err);
}

static const struct setting {
    const char *name, *field;
    uint64_t max; /* 0: ten weights */
} settings[] = {{"max_jobs", "xn", UINT64_C(1000000000)},       {"max_bytes", "xb", UINT64_C(1) << 50},
                {"result_ttl_ms", "rt", UINT64_C(31622400000)}, {"idem_ttl_ms", "it", UINT64_C(31622400000)},
                {"dead_ttl_ms", "dt", UINT64_C(31622400000)},   {"dead_cap", "dc", UINT64_C(1000000)},
                {"max_age_ms", "ma", UINT64_C(31622400000)},    {"weights", "wt", 0}};
enum { SETTINGS = sizeof settings / sizeof *settings };

static imgq_status fail_setting(const char *name, imgq_error *err)
{
    char choices[160] = "";
    size_t used = 0;
    for (size_t i = 0; i < SETTINGS; i++)
        used += (size_t)snprintf(choices + used, sizeof choices - used, "%s%s", i > 0 ? ", " : "", settings[i].name);
    return iq_fail(err, IMGQ_E_INVALID, 0, "setting \"%.30s\": one of %s", name, choices);
}

static bool is_weights(const char *value)
{
    size_t numbers = 0;
    const char *p = value;
    do {
        uint32_t weight = 0;
        const char *first = p;
        while (*p >= '0' && *p <= '9' && weight <= 1000)
            weight = weight * 10 + (uint32_t)(*p++ - '0');
        if (p == first || weight > 1000)
            return false;
        numbers++;
    } while (*p == ',' && p++ != NULL);
    return *p == '\0' && numbers == 10;
}

static imgq_status check_value(const struct setting *setting, const char *value, imgq_error *err)
{
    uint64_t number;
    if (value[0] == '\0') /* back to the default */
        return IMGQ_OK;
    if (setting->max == 0)
        return is_weights(value)
                   ? IMGQ_OK
                   : iq_fail(err, IMGQ_E_INVALID, 0,
                             "weights \"%.60s\": ten numbers of 0 to 1000 with commas, of priority 0 first", value);
    if (!iq_parse_uint(value, setting->max, &number) || number == 0)
        return iq_fail(err, IMGQ_E_INVALID, 0, "%s \"%.30s\": a number of 1 to %llu", setting->name, value,
                       (unsigned long long)setting->max);
    return IMGQ_OK;
}

imgq_status imgq_queue_configure(imgq_queue *queue, const char *name, const char *value, imgq_error *err)
{
    const struct setting *setting = settings;
    while (setting < settings + SETTINGS && strcmp(setting->name, name) != 0)
        setting++;
    if (setting == settings + SETTINGS)
        return fail_setting(name, err);
    imgq_status status = check_value(setting, value, err);
    if (status != IMGQ_OK)
        return status;
    iq_commands commands;
    iq_reply *reply = NULL;
    iq_commands_init(&commands, queue->env);
    iq_queue_add_script(queue, &commands, &iq_lua_config);
    iq_commands_text(&commands, setting->field);
    iq_commands_text(&commands, value);
    status = call(queue, &commands, "configure", &reply, err);
    iq_reply_free(reply);
    return status;
}

/* ---- workers ---- */

static void read_worker(imgq_worker_status *out, const iq_reply *worker, int64_t seen, const iq_reply *info)
{
    /* Behind the name stand the 8 random bytes of that process. */
    const size_t name_len = worker->len > IQ_WORKER_ID_SIZE ? worker->len - IQ_WORKER_ID_SIZE : 0;
    copy_text(out->name, sizeof out->name, worker->text, name_len);
    out->seen_unix_ms = seen;
    if (info->len < sizeof out->info) /* half a line of JSON is of no use */
        copy_text(out->info, sizeof out->info, info->text, info->len);
}

imgq_status imgq_queue_workers(imgq_queue *queue, imgq_worker_status *workers, size_t max, size_t *count,
                               imgq_error *err)
{
    iq_commands commands;
    iq_reply *reply = NULL;
    size_t got = 0;
    *count = 0;
    if (max == 0)
        return IMGQ_OK;
    iq_commands_init(&commands, queue->env);
    iq_queue_add_script(queue, &commands, &iq_lua_workers);
    iq_commands_uint(&commands, max < WORKERS_MAX ? max : WORKERS_MAX);
    imgq_status status = call(queue, &commands, "list workers", &reply, err);
    if (status != IMGQ_OK)
        return status;
    for (size_t i = 1; status == IMGQ_OK && i + 2 < reply->count && got < max; i += 3) {
        imgq_worker_status own = {.size = sizeof own};
        int64_t seen;
        if (!iq_reply_int(iq_reply_at(reply, i + 1), &seen)) {
            status = fail_answer("list workers", err);
            break;
        }
        read_worker(&own, iq_reply_at(reply, i), seen, iq_reply_at(reply, i + 2));
        if (got > 0)
            memcpy(nth(workers, got), workers, sizeof workers->size);
        status = iq_options_give(nth(workers, got++), &own, sizeof own, err);
    }
    iq_reply_free(reply);
    if (status == IMGQ_OK)
        *count = got;
    return status;
}
