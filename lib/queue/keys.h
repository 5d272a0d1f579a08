/* All key names of a queue, and nowhere else (docs/protocol.md). Names may hold any byte: a reply id is 8 raw ones. */
#ifndef IQ_QUEUE_KEYS_H
#define IQ_QUEUE_KEYS_H

#include <imgq/status.h>

#include <stddef.h>
#include <stdint.h>

enum {
    IQ_QUEUE_NAME_MAX = 64,
    IQ_LIST_NAME_MAX = 128, /* of an imported reference list */
    IQ_KEY_MAX = 256,       /* the longest key, with its zero */
    IQ_RID_SIZE = 8         /* a reply id: who submitted, 0 = nobody */
};

/** Prefix of one partition: "iq:{name.0}:", or "iq:{list}:" in the slot of an imported list. A value, no handle. */
typedef struct iq_keys {
    char prefix[IQ_LIST_NAME_MAX + 8];
    size_t prefix_len;
} iq_keys;

/** A key by value; key.text has a zero behind len. */
typedef struct iq_key {
    char text[IQ_KEY_MAX];
    size_t len;
} iq_key;

/** @param name [A-Za-z0-9_.-]{1,64} @return IMGQ_OK; IMGQ_E_INVALID */
imgq_status iq_keys_of_queue(iq_keys *keys, const char *name, unsigned partition, imgq_error *err);
/** @param list 1-128 bytes without braces, blanks and control characters @return IMGQ_OK; IMGQ_E_INVALID */
imgq_status iq_keys_of_list(iq_keys *keys, const char *list, imgq_error *err);

iq_key iq_key_meta(const iq_keys *keys);                /* HASH: settings, counters */
iq_key iq_key_slot(const iq_keys *keys);                /* never exists: makes a moving slot say TRYAGAIN */
iq_key iq_key_job(const iq_keys *keys, const char *id); /* STRING: the record; id at most 64 characters */
iq_key iq_key_wake(const iq_keys *keys);                /* LIST: tokens that idle workers block on */
iq_key iq_key_inbox(const iq_keys *keys, const uint8_t rid[IQ_RID_SIZE]);   /* sharded channel of a handle */
iq_key iq_key_session(const iq_keys *keys, const uint8_t rid[IQ_RID_SIZE]); /* STRING: the handle lives */
iq_key iq_key_import(const iq_keys *keys); /* LIST: items on their way in from a reference list */

#endif
