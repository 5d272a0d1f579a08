/* The only file that knows hiredis (0.14.1 and 1.x): its formatter and its reader, with reply objects of our own, on
 * somebody else's socket. Its connections are not used: they raise SIGPIPE and abort when memory runs out. */
#include "redis/resp.h"

#include "base/alloc.h"
#include "base/env.h"
#include "base/fail.h"
#include "redis/reply_root.h"

#include <hiredis/hiredis.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_DEPTH = 7,
    MAX_LINE_BYTES = 64 * 1024, /* of anything but a text: numbers, statuses, errors */
    FEED_SLACK = 64 * 1024,     /* what may come behind a reply in one piece */
    KEPT_BYTES = 1024 * 1024    /* buffers that grew beyond are given back */
};

struct iq_resp_reader {
    imgq_env *env; /* held */
    size_t max_bytes;
    redisReader *hi;
    size_t pending;          /* bytes fed and not yet part of a finished reply */
    size_t high;             /* the most that `hi` had to hold */
    iq_reply_root *building; /* the reply under way */
    size_t elements;         /* of it */
    imgq_status why;         /* why a callback refused: IMGQ_E_NOMEM, IMGQ_E_LIMIT, IMGQ_E_PROTOCOL */
};

/* ---- replies: hiredis calls these while it parses; they answer NULL to stop it ---- */

static void *refuse(iq_resp_reader *reader, imgq_status why)
{
    reader->why = why;
    return NULL;
}

static size_t depth_of(const redisReadTask *task)
{
    size_t depth = 0;
    for (const redisReadTask *at = task->parent; at != NULL; at = at->parent)
        depth++;
    return depth;
}

/* Where the value goes: a new root, or its place in the array above it. inline_size counts for a root alone. */
static iq_reply *place_for(const redisReadTask *task, size_t inline_size)
{
    iq_resp_reader *reader = task->privdata;
    if (task->parent != NULL) {
        iq_reply *array = task->parent->obj;
        iq_reply *place = (iq_reply *)(uintptr_t)&array->elements[task->idx];
        *place = (iq_reply){.type = IQ_REPLY_NIL, .text = ""};
        return place;
    }
    reader->building = iq_reply_root_create(reader->env, inline_size);
    if (reader->building == NULL)
        return refuse(reader, IMGQ_E_NOMEM);
    return &reader->building->reply;
}

static void *create_string(const redisReadTask *task, char *bytes, size_t len)
{
    iq_resp_reader *reader = task->privdata;
    const bool is_error = task->type == REDIS_REPLY_ERROR, is_status = task->type == REDIS_REPLY_STATUS;
    if (!is_error && !is_status && task->type != REDIS_REPLY_STRING)
        return refuse(reader, IMGQ_E_PROTOCOL);
    iq_reply *reply = place_for(task, len + 1);
    if (reply == NULL)
        return NULL;
    char *text =
        task->parent == NULL ? reader->building->inline_text : iq_arena_alloc(&reader->building->arena, len + 1);
    if (text == NULL)
        return refuse(reader, IMGQ_E_NOMEM);
    memcpy(text, bytes, len);
    text[len] = '\0';
    reply->type = is_error ? IQ_REPLY_ERROR : is_status ? IQ_REPLY_STATUS : IQ_REPLY_TEXT;
    reply->text = text;
    reply->len = len;
    if (is_error)
        reply->status = iq_reply_error_status(text, len);
    return reply;
}

/* The count of an array is an int before hiredis 1.0. */
#if HIREDIS_MAJOR >= 1
typedef size_t array_count;
#else
typedef int array_count;
#endif

static void *create_array(const redisReadTask *task, array_count announced)
{
    iq_resp_reader *reader = task->privdata;
    const size_t count = (size_t)announced;
    if (task->type != REDIS_REPLY_ARRAY || depth_of(task) >= MAX_DEPTH)
        return refuse(reader, IMGQ_E_PROTOCOL);
    /* Before memory is taken: a dozen bytes can announce two thousand million elements. */
    if (count > IQ_REPLY_MAX_ELEMENTS - reader->elements)
        return refuse(reader, IMGQ_E_LIMIT);
    iq_reply *reply = place_for(task, 0);
    if (reply == NULL)
        return NULL;
    reader->elements += count;
    reply->type = IQ_REPLY_ARRAY;
    if (count > 0) {
        reply->elements = iq_arena_alloc(&reader->building->arena, count * sizeof *reply->elements);
        if (reply->elements == NULL)
            return refuse(reader, IMGQ_E_NOMEM);
    }
    reply->count = count;
    return reply;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    iq_reply *reply = place_for(task, 0);
    if (reply != NULL) {
        reply->type = IQ_REPLY_INTEGER;
        reply->integer = value;
    }
    return reply;
}

static void *create_nil(const redisReadTask *task)
{
    return place_for(task, 0);
}

#if HIREDIS_MAJOR >= 1
/* RESP3 is never asked for. */
static void *create_double(const redisReadTask *task, double value, char *text, size_t len)
{
    (void)value, (void)text, (void)len;
    return refuse(task->privdata, IMGQ_E_PROTOCOL);
}

static void *create_bool(const redisReadTask *task, int value)
{
    (void)value;
    return refuse(task->privdata, IMGQ_E_PROTOCOL);
}
#endif

/* The root is freed by the reader's owner, whole: hiredis only forgets it. */
static void free_nothing(void *object)
{
    (void)object;
}

/* hiredis takes a pointer to functions that it does not write to, but its prototype has no const. */
static const redisReplyObjectFunctions reply_functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
#if HIREDIS_MAJOR >= 1
    .createDouble = create_double,
    .createBool = create_bool,
#endif
    .createNil = create_nil,
    .freeObject = free_nothing,
};

static redisReader *make_hi(iq_resp_reader *reader)
{
    redisReader *hi = redisReaderCreateWithFunctions((redisReplyObjectFunctions *)(uintptr_t)&reply_functions);
    if (hi == NULL)
        return NULL;
    hi->privdata = reader;
    hi->maxbuf = 0; /* with any other value 0.14.1 gives its buffer back in a way that asserts when memory runs out */
    return hi;
}

imgq_status iq_resp_reader_create(imgq_env *env, size_t max_bytes, iq_resp_reader **out, imgq_error *err)
{
    *out = NULL;
    iq_resp_reader *reader = iq_alloc(env, sizeof *reader);
    if (reader == NULL)
        return iq_fail_nomem(err, sizeof *reader);
    *reader = (iq_resp_reader){.env = iq_env_hold(env), .max_bytes = max_bytes};
    reader->hi = make_hi(reader);
    if (reader->hi == NULL) {
        iq_resp_reader_destroy(reader);
        return iq_fail_nomem(err, sizeof *reader->hi);
    }
    *out = reader;
    return IMGQ_OK;
}

void iq_resp_reader_destroy(iq_resp_reader *reader)
{
    if (reader == NULL)
        return;
    imgq_env *env = reader->env;
    if (reader->hi != NULL)
        redisReaderFree(reader->hi);
    if (reader->building != NULL)
        iq_reply_free(&reader->building->reply);
    iq_free(env, reader);
    imgq_env_destroy(env);
}

static imgq_status over_limit(const iq_resp_reader *reader, unsigned long long bytes, imgq_error *err)
{
    return iq_fail(err, IMGQ_E_LIMIT, 0, "a reply of %llu bytes or more, the limit is %zu", bytes, reader->max_bytes);
}

imgq_status iq_resp_reader_feed(iq_resp_reader *reader, const void *bytes, size_t len, imgq_error *err)
{
    /* The frame round a text of the greatest size counts as slack too. */
    if (len > FEED_SLACK || (reader->pending > FEED_SLACK && reader->pending - FEED_SLACK > reader->max_bytes))
        return over_limit(reader, (unsigned long long)reader->pending + len, err);
    if (len > 0 && redisReaderFeed(reader->hi, bytes, len) != REDIS_OK)
        return iq_fail_nomem(err, reader->hi->len + len);
    reader->pending += len;
    if (reader->hi->len > reader->high)
        reader->high = reader->hi->len;
    return IMGQ_OK;
}

/* The type of the value that waits for more bytes; its first byte has been consumed. */
static int waiting_type(const redisReader *hi)
{
#if HIREDIS_MAJOR >= 1
    return hi->ridx < 0 ? -1 : hi->task[hi->ridx]->type;
#else
    return hi->ridx < 0 ? -1 : hi->rstack[hi->ridx].type;
#endif
}

/* A value that can never be finished within the limits is refused at its first line, not when memory is full. */
static imgq_status check_unfinished(const iq_resp_reader *reader, imgq_error *err)
{
    const redisReader *hi = reader->hi;
    const char *line = hi->buf + hi->pos;
    const size_t len = hi->len - hi->pos;
    const int type = waiting_type(hi);
    if (type == REDIS_REPLY_STRING && len > 0) {
        size_t at = 0, announced = 0;
        while (at < len && line[at] >= '0' && line[at] <= '9' && announced <= reader->max_bytes)
            announced = announced * 10 + (size_t)(line[at++] - '0');
        if (announced > reader->max_bytes)
            return over_limit(reader, announced, err);
        if (at < len && at < 20 && line[at] == '\r') /* a well-formed length: its bytes may be many */
            return IMGQ_OK;
    }
    if (len > MAX_LINE_BYTES)
        return iq_fail(err, IMGQ_E_PROTOCOL, 0, "a line of more than %d bytes, this is no Redis", (int)MAX_LINE_BYTES);
    return IMGQ_OK;
}

static imgq_status parse_failed(iq_resp_reader *reader, imgq_error *err)
{
    if (reader->why == IMGQ_E_LIMIT)
        return iq_fail(err, IMGQ_E_LIMIT, 0, "a reply of more than %d elements", (int)IQ_REPLY_MAX_ELEMENTS);
    if (reader->why == IMGQ_E_NOMEM || (reader->why == IMGQ_OK && reader->hi->err == REDIS_ERR_OOM))
        return iq_fail_nomem(err, reader->hi->len);
    const char *why = reader->why == IMGQ_OK ? reader->hi->errstr : "a reply that was not asked for";
    return iq_fail(err, IMGQ_E_PROTOCOL, 0, "not the Redis protocol: %s", why);
}

/* A reader that held something big starts afresh with a small buffer; where that fails the big one is kept. */
static void shrink(iq_resp_reader *reader)
{
    if (reader->high <= KEPT_BYTES || reader->hi->pos != reader->hi->len)
        return;
    redisReader *fresh = make_hi(reader);
    if (fresh == NULL)
        return;
    redisReaderFree(reader->hi);
    reader->hi = fresh;
    reader->high = 0;
}

imgq_status iq_resp_reader_next(iq_resp_reader *reader, iq_reply **out, imgq_error *err)
{
    void *reply = NULL;
    *out = NULL;
    reader->why = IMGQ_OK;
    if (redisReaderGetReply(reader->hi, &reply) != REDIS_OK || reader->why != IMGQ_OK)
        return parse_failed(reader, err);
    if (reply == NULL)
        return check_unfinished(reader, err);
    *out = &reader->building->reply;
    reader->building = NULL;
    reader->elements = 0;
    reader->pending = reader->hi->len - reader->hi->pos;
    shrink(reader);
    return IMGQ_OK;
}

size_t iq_resp_reader_pending(const iq_resp_reader *reader)
{
    return reader->pending;
}

/* ---- commands ---- */

static bool reserve_parts(imgq_env *env, iq_wire *wire, size_t more)
{
    if (wire->cap - wire->count >= more)
        return true;
    const size_t cap = wire->cap * 2 > wire->count + more ? wire->cap * 2 : wire->count + more;
    struct iovec *parts = iq_realloc(env, wire->parts, cap * sizeof *parts);
    if (parts == NULL)
        return false;
    wire->parts = parts;
    wire->cap = cap;
    return true;
}

/* Our own bytes become a part without an address, since the buffer still moves: iq_wire_close() fills it in. */
bool iq_wire_append_bytes(imgq_env *env, iq_wire *wire, const void *bytes, size_t len)
{
    if (!reserve_parts(env, wire, 1) || !iq_buf_append(env, &wire->bytes, bytes, len))
        return false;
    if (wire->count > 0 && wire->parts[wire->count - 1].iov_base == NULL)
        wire->parts[wire->count - 1].iov_len += len;
    else
        wire->parts[wire->count++] = (struct iovec){NULL, len};
    wire->total += len;
    return true;
}

static bool append_borrowed(imgq_env *env, iq_wire *wire, iq_arg arg)
{
    if (!reserve_parts(env, wire, 1))
        return false;
    wire->parts[wire->count++] = (struct iovec){(void *)(uintptr_t)arg.bytes, arg.len};
    wire->total += arg.len;
    return true;
}

/* The argument as it goes out: EVAL and the text in place of EVALSHA and the digest. */
static iq_arg arg_at(const iq_commands *commands, const iq_command *command, size_t i, bool as_eval)
{
    if (as_eval && i == 0)
        return (iq_arg){"EVAL", 4};
    if (as_eval && i == 1)
        return (iq_arg){command->script->text, command->script->len};
    return commands->args[command->first + i];
}

static bool append_by_hiredis(imgq_env *env, iq_wire *wire, const iq_commands *commands, const iq_command *command,
                              bool as_eval)
{
    const char **argv = iq_alloc_array(env, command->count, sizeof *argv);
    size_t *argvlen = iq_alloc_array(env, command->count, sizeof *argvlen);
    char *formatted = NULL;
    bool ok = argv != NULL && argvlen != NULL;
    for (size_t i = 0; ok && i < command->count; i++) {
        const iq_arg arg = arg_at(commands, command, i, as_eval);
        argv[i] = arg.bytes;
        argvlen[i] = arg.len;
    }
    if (ok) {
        const long long len = redisFormatCommandArgv(&formatted, (int)command->count, argv, argvlen);
        ok = len > 0 && iq_wire_append_bytes(env, wire, formatted, (size_t)len);
        if (len > 0)
            redisFreeCommand(formatted);
    }
    iq_free(env, argvlen);
    iq_free(env, argv);
    return ok;
}

/* The same bytes as hiredis makes, but long arguments stay where they lie: a payload is not copied for its frame. */
static bool append_in_parts(imgq_env *env, iq_wire *wire, const iq_commands *commands, const iq_command *command,
                            bool as_eval)
{
    char line[32];
    int len = snprintf(line, sizeof line, "*%zu\r\n", command->count);
    bool ok = iq_wire_append_bytes(env, wire, line, (size_t)len);
    for (size_t i = 0; ok && i < command->count; i++) {
        const iq_arg arg = arg_at(commands, command, i, as_eval);
        len = snprintf(line, sizeof line, "$%zu\r\n", arg.len);
        ok = iq_wire_append_bytes(env, wire, line, (size_t)len) &&
             (arg.len > IQ_COMMAND_BORROW_BYTES ? append_borrowed(env, wire, arg)
                                                : iq_wire_append_bytes(env, wire, arg.bytes, arg.len)) &&
             iq_wire_append_bytes(env, wire, "\r\n", 2);
    }
    return ok;
}

imgq_status iq_wire_append(imgq_env *env, iq_wire *wire, const iq_commands *commands, size_t index, bool as_eval,
                           imgq_error *err)
{
    const iq_command *command = &commands->items[index];
    size_t sum = 0, longest = 0;
    for (size_t i = 0; i < command->count; i++) {
        const size_t len = arg_at(commands, command, i, as_eval).len;
        longest = len > longest ? len : longest;
        sum = len > IQ_COMMAND_MAX_BYTES - sum ? (size_t)IQ_COMMAND_MAX_BYTES + 1 : sum + len;
        /* The formatter counts in int. */
        if (sum > IQ_COMMAND_MAX_BYTES || command->count > IQ_COMMAND_MAX_ARGS)
            return iq_fail(err, IMGQ_E_LIMIT, 0, "a command over %d bytes or %d arguments", (int)IQ_COMMAND_MAX_BYTES,
                           (int)IQ_COMMAND_MAX_ARGS);
    }
    const bool ok = longest > IQ_COMMAND_BORROW_BYTES ? append_in_parts(env, wire, commands, command, as_eval)
                                                      : append_by_hiredis(env, wire, commands, command, as_eval);
    return ok ? IMGQ_OK : iq_fail_nomem(err, sum);
}

void iq_wire_close(iq_wire *wire)
{
    size_t at = 0;
    for (size_t i = 0; i < wire->count; i++) {
        if (wire->parts[i].iov_base != NULL)
            continue;
        wire->parts[i].iov_base = wire->bytes.data + at;
        at += wire->parts[i].iov_len;
    }
}

void iq_wire_clear(imgq_env *env, iq_wire *wire)
{
    if (wire->bytes.cap > KEPT_BYTES || wire->cap * sizeof *wire->parts > KEPT_BYTES)
        iq_wire_release(env, wire);
    iq_buf_clear(&wire->bytes);
    wire->count = wire->total = 0;
}

void iq_wire_release(imgq_env *env, iq_wire *wire)
{
    iq_buf_release(env, &wire->bytes);
    iq_free(env, wire->parts);
    *wire = (iq_wire){0};
}
