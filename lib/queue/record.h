/* One job's record in Redis: an 80-byte header, options as type-length-value, then the payload or the result.
 * Big-endian, docs/protocol.md. Reading is total: any bytes are decoded or refused, nothing is believed. */
#ifndef IQ_QUEUE_RECORD_H
#define IQ_QUEUE_RECORD_H

#include <imgq/queue.h>

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IQ_RECORD_VERSION = 1, IQ_HEADER_SIZE = 80, IQ_TLV_MAX = 4096 };

enum { /* beside IMGQ_STATE_... of admin.h */
       IQ_STATE_STAGED = 'N'
};

enum { /* iq_record.flags */
       IQ_FLAG_DEADLINE = 1,
       IQ_FLAG_UNIQUE = 2,
       IQ_FLAG_GROUP = 4,
       IQ_FLAG_CACHE = 8,
       IQ_FLAG_COMPAT = 16,
       IQ_FLAG_ATTACHED = 32,
       IQ_FLAG_OWNER_INDEX = 64,
       IQ_FLAG_QUOTA = 128
};
enum { /* iq_record.flags2 */
       IQ_FLAG2_SESSION = 1,
       IQ_FLAG2_ACKED = 2,     /* the result is gone */
       IQ_FLAG2_PUSHED_OUT = 4 /* of the dead letters: the payload is gone, the body is the error's text */
};

typedef struct iq_record {
    uint8_t version, state, priority, flags;
    uint16_t fails, crashes, max_fails, max_crashes;
    uint16_t ext_len, error;                                    /* error: an imgq_status, negated */
    uint64_t seq, submitted_ms, fence, changed_ms, deadline_ms; /* server's unix ms; deadline 0: none */
    uint8_t rid[8];
    uint8_t progress, flags2;
    uint16_t deliveries;
    uint32_t payload_len;
    uint8_t worker[8]; /* of the last delivery */
} iq_record;

/** The 80 bytes of record. */
void iq_record_encode(uint8_t out[IQ_HEADER_SIZE], const iq_record *record);

/** A record's three parts; pointers are borrowed from the bytes given. body_len may be less than payload_len where only
 *  the head was asked for. */
typedef struct iq_record_view {
    iq_record head;
    const uint8_t *tlv;
    const uint8_t *body;
    size_t body_len;
} iq_record_view;

/** @return IMGQ_OK; IMGQ_E_CORRUPT (too short, no such state or priority, ext_len past the end);
 *          IMGQ_E_UNSUPPORTED (another version) */
imgq_status iq_record_decode(iq_record_view *out, const void *bytes, size_t len, imgq_error *err);

/* ---- options ---- */

enum {
    IQ_TLV_OWNER = 1,   /* 16 bytes of SHA-256 of the token */
    IQ_TLV_GROUP = 2,   /* group id */
    IQ_TLV_DIGEST = 3,  /* 16 bytes of SHA-256 over payload and options */
    IQ_TLV_CACHE = 4,   /* digest under which a result may be cached */
    IQ_TLV_MEDIA = 5,   /* u8 media, u16 height, u16 width, then the profile's name */
    IQ_TLV_BACKOFF = 6, /* u32 base ms, u16 factor in hundredths, u32 cap ms */
    IQ_TLV_TRACE = 7,
    IQ_TLV_RESULT_TTL = 8, /* u32 ms */
    IQ_TLV_MODEL = 9,      /* name or hash of the one model that may answer */
    IQ_TLV_LEGACY_ID = 10, /* of an imported item */
    IQ_TLV_TOP_COUNT = 11, /* u8, 1..100 */
    IQ_TLV_DECODE = 12     /* u8 IMGQ_EXIF_..., u8 use background, 3 bytes R G B */
};

/** One option; value is borrowed. */
typedef struct iq_tlv {
    uint8_t type;
    uint16_t len;
    const uint8_t *value;
} iq_tlv;

/** Walk: start with *at = 0. @return false at the end and at the first option that does not fit */
bool iq_tlv_next(const uint8_t *tlv, size_t tlv_len, size_t *at, iq_tlv *out);
/** The first of that type. @return false if there is none */
bool iq_tlv_find(const uint8_t *tlv, size_t tlv_len, uint8_t type, iq_tlv *out);
/** Appends one; check buf->failed at the end of a series. */
void iq_tlv_put(imgq_env *env, iq_buf *buf, uint8_t type, const void *value, size_t len);

/** What a job asks of its worker, decoded; absent or damaged options are their defaults. */
typedef struct iq_job_options {
    uint32_t media, width, height; /* IMGQ_MEDIA_... */
    uint32_t top_count;            /* 1..100, 5 if not said */
    uint32_t exif;                 /* IMGQ_EXIF_... */
    uint32_t use_background;
    uint8_t background[3];
    uint8_t has_backoff;
    uint32_t backoff_base_ms, backoff_factor_percent, backoff_cap_ms; /* 1000, 200, 60000 */
    uint32_t result_ttl_ms;                                           /* 0: the queue's */
    char profile[65], model[129];                                     /* "" if not said */
    char legacy_id[129];                                              /* "" unless imported */
} iq_job_options;

void iq_job_options_read(iq_job_options *out, const uint8_t *tlv, size_t tlv_len);
/** Appends those that are not the defaults (legacy_id and backoff without has_backoff never). */
void iq_job_options_write(imgq_env *env, iq_buf *tlv, const iq_job_options *options);

/* ---- notes: what is published on a handle's channel ---- */

typedef struct iq_note {
    uint8_t state; /* IMGQ_STATE_...; 'P': progress, 'G': a group's end */
    uint16_t error;
    const char *id; /* borrowed, id_len bytes, no zero behind */
    size_t id_len;
    const uint8_t *body; /* NULL: not inline, ask STATUS */
    size_t body_len;
} iq_note;

/** Walk the notes of one publication: start with *at = 0. @return false at the end or where the rest is damaged */
bool iq_note_next(const uint8_t *message, size_t len, size_t *at, iq_note *out);

#endif
