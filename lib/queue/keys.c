#include "queue/keys.h"

#include "base/fail.h"
#include "base/id.h"

#include <string.h>

static imgq_status set_prefix(iq_keys *keys, const char *tag, size_t tag_len, const char *partition)
{
    char *end = keys->prefix;
    memcpy(end, "iq:{", 4);
    end += 4;
    memcpy(end, tag, tag_len);
    end += tag_len;
    for (const char *p = partition; *p != '\0'; p++)
        *end++ = *p;
    memcpy(end, "}:", 3);
    keys->prefix_len = (size_t)(end - keys->prefix) + 2;
    return IMGQ_OK;
}

imgq_status iq_keys_of_queue(iq_keys *keys, const char *name, unsigned partition, imgq_error *err)
{
    const size_t len = strnlen(name, IQ_QUEUE_NAME_MAX + 1);
    /* An id may also hold ':', a queue's name must not: it ends the prefix. */
    if (!iq_id_is_valid(name, len) || memchr(name, ':', len) != NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "queue name \"%.70s\": 1 to %d of letters, digits, '_', '.' and '-'",
                       name, (int)IQ_QUEUE_NAME_MAX);
    if (partition > 99)
        return iq_fail(err, IMGQ_E_INVALID, 0, "partition %u: at most 99", partition);
    char text[4] = {'.', 0, 0, 0};
    if (partition >= 10) {
        text[1] = (char)('0' + partition / 10);
        text[2] = (char)('0' + partition % 10);
    } else {
        text[1] = (char)('0' + partition);
    }
    return set_prefix(keys, name, len, text);
}

imgq_status iq_keys_of_list(iq_keys *keys, const char *list, imgq_error *err)
{
    const size_t len = strnlen(list, IQ_LIST_NAME_MAX + 1);
    size_t good = 0;
    while (good < len && list[good] > ' ' && list[good] != 127 && list[good] != '{' && list[good] != '}')
        good++;
    if (len == 0 || len > IQ_LIST_NAME_MAX || good < len)
        return iq_fail(err, IMGQ_E_INVALID, 0,
                       "list \"%.140s\": 1 to %d printable characters without blanks and braces", list,
                       (int)IQ_LIST_NAME_MAX);
    return set_prefix(keys, list, len, "");
}

/* Prefix, a word of ours and a tail: the longest is "iq:{" 128 "}:" "j" 64, well under IQ_KEY_MAX. */
static iq_key join(const iq_keys *keys, const char *word, const void *tail, size_t tail_len)
{
    iq_key key;
    memcpy(key.text, keys->prefix, keys->prefix_len);
    key.len = keys->prefix_len;
    for (const char *p = word; *p != '\0'; p++)
        key.text[key.len++] = *p;
    if (tail_len > 0)
        memcpy(key.text + key.len, tail, tail_len);
    key.len += tail_len;
    key.text[key.len] = '\0';
    return key;
}

iq_key iq_key_meta(const iq_keys *keys)
{
    return join(keys, "m", NULL, 0);
}

iq_key iq_key_slot(const iq_keys *keys)
{
    return join(keys, "0", NULL, 0);
}

iq_key iq_key_job(const iq_keys *keys, const char *id)
{
    return join(keys, "j", id, strnlen(id, IQ_ID_MAX));
}

iq_key iq_key_wake(const iq_keys *keys)
{
    return join(keys, "wk", NULL, 0);
}

iq_key iq_key_inbox(const iq_keys *keys, const uint8_t rid[IQ_RID_SIZE])
{
    return join(keys, "r:", rid, IQ_RID_SIZE);
}

iq_key iq_key_session(const iq_keys *keys, const uint8_t rid[IQ_RID_SIZE])
{
    return join(keys, "s:", rid, IQ_RID_SIZE);
}

iq_key iq_key_import(const iq_keys *keys)
{
    return join(keys, "in", NULL, 0);
}
