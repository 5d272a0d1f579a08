#include "redis/reply_root.h"

#include "base/alloc.h"
#include "base/env.h"
#include "base/fail.h"

#include <string.h>

static const iq_reply nil_reply = {.type = IQ_REPLY_NIL, .text = ""};

iq_reply_root *iq_reply_root_create(imgq_env *env, size_t inline_size)
{
    iq_reply_root *root = iq_alloc(env, sizeof *root + inline_size);
    if (root == NULL)
        return NULL;
    *root = (iq_reply_root){.reply = nil_reply, .env = iq_env_hold(env), .arena = {.env = env}};
    atomic_init(&root->holders, 1);
    return root;
}

iq_reply *iq_reply_hold(iq_reply *reply)
{
    atomic_fetch_add_explicit(&((iq_reply_root *)reply)->holders, 1, memory_order_relaxed);
    return reply;
}

void iq_reply_free(iq_reply *reply)
{
    iq_reply_root *root = (iq_reply_root *)reply;
    /* Release pairs with acquire: whoever frees sees what the other holders did before. */
    if (root == NULL || atomic_fetch_sub_explicit(&root->holders, 1, memory_order_acq_rel) != 1)
        return;
    imgq_env *env = root->env;
    iq_arena_release(&root->arena);
    iq_free(env, root);
    imgq_env_destroy(env);
}

const iq_reply *iq_reply_at(const iq_reply *reply, size_t index)
{
    return reply != NULL && index < reply->count ? &reply->elements[index] : &nil_reply;
}

bool iq_reply_is(const iq_reply *reply, const char *text)
{
    return (reply->type == IQ_REPLY_TEXT || reply->type == IQ_REPLY_STATUS) && strlen(text) == reply->len &&
           memcmp(text, reply->text, reply->len) == 0;
}

bool iq_reply_int(const iq_reply *reply, int64_t *out)
{
    if (reply->type == IQ_REPLY_INTEGER) {
        *out = reply->integer;
        return true;
    }
    if (reply->type != IQ_REPLY_TEXT)
        return false;
    const bool negative = reply->len > 0 && reply->text[0] == '-';
    size_t at = negative ? 1 : 0;
    if (at == reply->len)
        return false;
    int64_t number = 0;
    for (; at < reply->len; at++) {
        const char c = reply->text[at];
        /* Downwards, because the most negative number has no positive twin. */
        if (c < '0' || c > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_sub_overflow(number, c - '0', &number))
            return false;
    }
    if (!negative && number == INT64_MIN)
        return false;
    *out = negative ? number : -number;
    return true;
}

/* True if text begins with the words of `prefix`, ended by a blank or the end. */
static bool begins_with(const char *text, size_t len, const char *prefix)
{
    const size_t prefix_len = strlen(prefix);
    return len >= prefix_len && memcmp(text, prefix, prefix_len) == 0 &&
           (len == prefix_len || text[prefix_len] == ' ' || text[prefix_len] == ':');
}

static const struct {
    const char *prefix;
    imgq_status status;
    uint32_t retry_after_ms;
} error_table[] = {
    {"NOAUTH", IMGQ_E_DENIED, 0},
    {"WRONGPASS", IMGQ_E_DENIED, 0},
    {"NOPERM", IMGQ_E_DENIED, 0},
    {"ERR invalid password", IMGQ_E_DENIED, 0},
    {"ERR AUTH", IMGQ_E_DENIED, 0},
    {"ERR Client sent AUTH", IMGQ_E_DENIED, 0},
    {"DENIED", IMGQ_E_DENIED, 0}, /* protected mode */
    {"LOADING", IMGQ_E_UNAVAILABLE, 0},
    {"READONLY", IMGQ_E_UNAVAILABLE, 0},
    {"UNBLOCKED", IMGQ_E_UNAVAILABLE, 0},
    {"MASTERDOWN", IMGQ_E_UNAVAILABLE, 0},
    {"CLUSTERDOWN", IMGQ_E_UNAVAILABLE, 0},
    {"ERR max number of clients", IMGQ_E_UNAVAILABLE, 0},
    {"OOM", IMGQ_E_BUSY, 1000},
    {"MISCONF", IMGQ_E_BUSY, 1000},
    {"NOREPLICAS", IMGQ_E_BUSY, 1000},
    {"BUSY", IMGQ_E_BUSY, 100},
    {"TRYAGAIN", IMGQ_E_BUSY, 100},
    {"NOSCRIPT", IMGQ_E_NOTFOUND, 0},
    {"WRONGTYPE", IMGQ_E_UNSUPPORTED, 0},
    {"MOVED", IMGQ_E_UNSUPPORTED, 0},
    {"ASK", IMGQ_E_UNSUPPORTED, 0},
    {"CROSSSLOT", IMGQ_E_UNSUPPORTED, 0},
};

static size_t find_error(const char *text, size_t len)
{
    size_t i = 0;
    while (i < sizeof error_table / sizeof *error_table && !begins_with(text, len, error_table[i].prefix))
        i++;
    return i;
}

imgq_status iq_reply_error_status(const char *text, size_t len)
{
    const size_t i = find_error(text, len);
    return i < sizeof error_table / sizeof *error_table ? error_table[i].status : IMGQ_E_PROTOCOL;
}

/* Error text comes from outside: one printable line of it is shown. */
static void printable(char *out, size_t out_size, const char *text, size_t len)
{
    size_t i;
    for (i = 0; i < len && i + 1 < out_size; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    out[i] = '\0';
}

imgq_status iq_reply_check(const iq_reply *reply, const char *what, imgq_error *err)
{
    if (reply->type != IQ_REPLY_ERROR)
        return IMGQ_OK;
    char text[sizeof err->message];
    printable(text, sizeof text, reply->text, reply->len);
    const imgq_status status = iq_fail(err, reply->status, 0, "%s: %s", what, text);
    const size_t i = find_error(reply->text, reply->len);
    if (err != NULL)
        err->retry_after_ms = i < sizeof error_table / sizeof *error_table ? error_table[i].retry_after_ms : 0;
    return status;
}

bool iq_reply_is_error(const iq_reply *reply, const char *code)
{
    return reply->type == IQ_REPLY_ERROR && begins_with(reply->text, reply->len, code);
}
