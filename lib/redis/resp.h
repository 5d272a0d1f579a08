/* The wire: commands to bytes, bytes to replies. hiredis stays behind this header. */
#ifndef IQ_REDIS_RESP_H
#define IQ_REDIS_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <imgq/env.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/shared.h"
#include "redis/script.h"

enum {
    IQ_REPLY_MAX_ELEMENTS = 262144,      /* of one reply, nested ones counted; it has also at most 7 levels */
    IQ_COMMAND_MAX_ARGS = 65536,         /* of one command */
    IQ_COMMANDS_MAX = 65536,             /* of one pipeline */
    IQ_COMMAND_BORROW_BYTES = 16 * 1024, /* longer arguments are sent from where they lie */
    IQ_COMMAND_MAX_BYTES = 1 << 30       /* sum of one command's arguments; the server refuses 512 MiB in one anyway */
};

/* ---- replies ---- */

typedef enum iq_reply_type {
    IQ_REPLY_NIL,
    IQ_REPLY_INTEGER,
    IQ_REPLY_TEXT,   /* binary safe */
    IQ_REPLY_STATUS, /* "+OK" */
    IQ_REPLY_ERROR,  /* "-WRONGTYPE ..." */
    IQ_REPLY_ARRAY
} iq_reply_type;

/** One value. The root is counted: iq_reply_free(); its elements and texts are borrowed from it. Read-only, so any
 * number of threads may look at it. Every root has memory of its own, so that one reply of a pipeline may outlive the
 * others. */
typedef struct iq_reply iq_reply;
struct iq_reply {
    iq_reply_type type;
    imgq_status status;       /* of an error: what it means, see iq_reply_check(); else IMGQ_OK */
    int64_t integer;          /* of an integer, else 0 */
    const char *text;         /* of text, status and error (without '-'), a zero behind it; else "" */
    size_t len;               /* bytes of text */
    const iq_reply *elements; /* of an array; else NULL */
    size_t count;             /* elements of an array */
};

/** One more holder of a root. @return reply */
IQ_SHARED iq_reply *iq_reply_hold(iq_reply *reply);
/** Gives up one hold of a root; NULL is a no-op. Any thread. */
IQ_SHARED void iq_reply_free(iq_reply *reply);
/** Borrowed; out of range, or not an array: a nil. Never NULL, so that lookups can be chained. */
IQ_SHARED const iq_reply *iq_reply_at(const iq_reply *reply, size_t index);
/** True if it is text or status and equal to `text`. */
IQ_SHARED bool iq_reply_is(const iq_reply *reply, const char *text);
/** An integer, or text that is one, whole and in range. @return false: anything else, *out untouched */
IQ_SHARED bool iq_reply_int(const iq_reply *reply, int64_t *out);
/**
 * What an error reply means; "what: text" goes into *err. Text begins with:
 * NOAUTH WRONGPASS NOPERM, or "ERR invalid password", "ERR AUTH", DENIED (protected mode): IMGQ_E_DENIED
 * LOADING READONLY UNBLOCKED MASTERDOWN CLUSTERDOWN, or "ERR max number of clients": IMGQ_E_UNAVAILABLE
 * OOM MISCONF NOREPLICAS (retry_after_ms 1000), BUSY and TRYAGAIN (100): IMGQ_E_BUSY
 * NOSCRIPT: IMGQ_E_NOTFOUND;  WRONGTYPE, MOVED, ASK, CROSSSLOT: IMGQ_E_UNSUPPORTED
 * anything else, the scripts' own IQ... included: IMGQ_E_PROTOCOL
 * @return IMGQ_OK if the reply is no error
 */
IQ_SHARED imgq_status iq_reply_check(const iq_reply *reply, const char *what, imgq_error *err);
/** True for an error whose first word is `code`: iq_reply_is_error(reply, "IQVER"). */
IQ_SHARED bool iq_reply_is_error(const iq_reply *reply, const char *code);

/* ---- commands ---- */

typedef struct iq_arg {
    const void *bytes;
    size_t len;
} iq_arg;

typedef struct iq_command {
    size_t first, count;     /* of iq_commands.args */
    const iq_script *script; /* NULL: a plain command */
} iq_command;

/** One command or several, built argument by argument. After a failed step `failed` stays set and the call that sends
 * them answers IMGQ_E_NOMEM, so that the steps need no checks. One thread at a time. Reusable after
 * iq_commands_clear(). */
typedef struct iq_commands {
    imgq_env *env;
    iq_arg *args;
    size_t arg_count, arg_cap;
    iq_command *items;
    size_t count, cap;
    iq_arena kept; /* numbers and copies */
    bool failed;
} iq_commands;

/** Allocates nothing. @param env borrowed until release */
IQ_SHARED void iq_commands_init(iq_commands *commands, imgq_env *env);
/** Empty again, memory of the vectors kept. */
IQ_SHARED void iq_commands_clear(iq_commands *commands);
IQ_SHARED void iq_commands_release(iq_commands *commands);
/** Begin the next command. @param name borrowed until it was sent: "BLPOP"; "CLIENT" is followed by text "SETNAME" */
IQ_SHARED void iq_commands_add(iq_commands *commands, const char *name);
/** Begin EVALSHA sha1 key_count; its keys and arguments follow. @param script borrowed until the replies are there */
IQ_SHARED void iq_commands_add_script(iq_commands *commands, const iq_script *script, size_t key_count);
/* Arguments of the command begun last. Borrowed ones must live until the call that sends them has returned. */
IQ_SHARED void iq_commands_text(iq_commands *commands, const char *text);               /* borrowed */
IQ_SHARED void iq_commands_bytes(iq_commands *commands, const void *bytes, size_t len); /* borrowed; NULL, 0: empty */
IQ_SHARED void iq_commands_copy(iq_commands *commands, const void *bytes, size_t len);  /* copied */
IQ_SHARED void iq_commands_int(iq_commands *commands, int64_t number);
IQ_SHARED void iq_commands_uint(iq_commands *commands, uint64_t number);

/* ---- for conn.c ---- */

/** Bytes to send, partly borrowed from the commands. Zeroed is empty. */
typedef struct iq_wire {
    iq_buf bytes;        /* everything but long arguments */
    struct iovec *parts; /* in order; of `bytes` and of long arguments */
    size_t count, cap;
    size_t total; /* bytes in all */
} iq_wire;

/**
 * Append command number `index`; as_eval: EVAL and the script's text instead of EVALSHA and its digest.
 * The parts point into wire->bytes only after iq_wire_close().
 * @return IMGQ_OK; IMGQ_E_NOMEM; IMGQ_E_LIMIT (arguments over IQ_COMMAND_MAX_BYTES)
 */
IQ_SHARED imgq_status iq_wire_append(imgq_env *env, iq_wire *wire, const iq_commands *commands, size_t index,
                                     bool as_eval, imgq_error *err);
/** Append bytes of whole commands, copied. @return false when memory ran out */
IQ_SHARED bool iq_wire_append_bytes(imgq_env *env, iq_wire *wire, const void *bytes, size_t len);
IQ_SHARED void iq_wire_close(iq_wire *wire);
/** Empty, memory kept up to 1 MiB. */
IQ_SHARED void iq_wire_clear(imgq_env *env, iq_wire *wire);
IQ_SHARED void iq_wire_release(imgq_env *env, iq_wire *wire);

/** Turns a stream of bytes into replies. One thread at a time. */
typedef struct iq_resp_reader iq_resp_reader;

/** @param max_bytes of one reply on the wire. @param out owned, iq_resp_reader_destroy() @return IMGQ_OK; IMGQ_E_NOMEM
 */
IQ_SHARED imgq_status iq_resp_reader_create(imgq_env *env, size_t max_bytes, iq_resp_reader **out, imgq_error *err);
/** Hand over bytes from the peer; take the replies out before the next ones: the limit counts what was not taken.
 *  @return IMGQ_OK; IMGQ_E_LIMIT (nothing copied); IMGQ_E_NOMEM. After a failure the stream is at an unknown place:
 * close it */
IQ_SHARED imgq_status iq_resp_reader_feed(iq_resp_reader *reader, const void *bytes, size_t len, imgq_error *err);
/** @param out owned, iq_reply_free(); NULL with IMGQ_OK: more bytes are needed
 *  @return IMGQ_OK; IMGQ_E_PROTOCOL (no RESP2); IMGQ_E_LIMIT (announces more than max_bytes or IQ_REPLY_MAX_ELEMENTS);
 *          IMGQ_E_NOMEM */
IQ_SHARED imgq_status iq_resp_reader_next(iq_resp_reader *reader, iq_reply **out, imgq_error *err);
/** Bytes fed that belong to no reply taken so far. */
IQ_SHARED size_t iq_resp_reader_pending(const iq_resp_reader *reader);
IQ_SHARED void iq_resp_reader_destroy(iq_resp_reader *reader);

#endif
