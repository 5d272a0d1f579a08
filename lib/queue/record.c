#include "queue/record.h"

#include <imgq/admin.h>

#include "base/bytes.h"
#include "base/fail.h"

#include <string.h>

void iq_record_encode(uint8_t out[IQ_HEADER_SIZE], const iq_record *record)
{
    memset(out, 0, IQ_HEADER_SIZE);
    out[0] = record->version;
    out[1] = record->state;
    out[2] = record->priority;
    out[3] = record->flags;
    iq_store_be16(out + 4, record->fails);
    iq_store_be16(out + 6, record->crashes);
    iq_store_be16(out + 8, record->max_fails);
    iq_store_be16(out + 10, record->max_crashes);
    iq_store_be16(out + 12, record->ext_len);
    iq_store_be16(out + 14, record->error);
    iq_store_be64(out + 16, record->seq);
    iq_store_be64(out + 24, record->submitted_ms);
    iq_store_be64(out + 32, record->fence);
    iq_store_be64(out + 40, record->changed_ms);
    iq_store_be64(out + 48, record->deadline_ms);
    memcpy(out + 56, record->rid, sizeof record->rid);
    out[64] = record->progress;
    out[65] = record->flags2;
    iq_store_be16(out + 66, record->deliveries);
    iq_store_be32(out + 68, record->payload_len);
    memcpy(out + 72, record->worker, sizeof record->worker);
}

static bool is_state(uint8_t state)
{
    switch (state) {
    case IMGQ_STATE_WAITING:
    case IMGQ_STATE_DELAYED:
    case IMGQ_STATE_ACTIVE:
    case IMGQ_STATE_SUCCEEDED:
    case IMGQ_STATE_DEAD:
    case IMGQ_STATE_CANCELLED:
    case IMGQ_STATE_EXPIRED:
    case IQ_STATE_STAGED:
        return true;
    default:
        return false;
    }
}

static void decode_head(iq_record *head, const uint8_t *p)
{
    head->version = p[0];
    head->state = p[1];
    head->priority = p[2];
    head->flags = p[3];
    head->fails = iq_load_be16(p + 4);
    head->crashes = iq_load_be16(p + 6);
    head->max_fails = iq_load_be16(p + 8);
    head->max_crashes = iq_load_be16(p + 10);
    head->ext_len = iq_load_be16(p + 12);
    head->error = iq_load_be16(p + 14);
    head->seq = iq_load_be64(p + 16);
    head->submitted_ms = iq_load_be64(p + 24);
    head->fence = iq_load_be64(p + 32);
    head->changed_ms = iq_load_be64(p + 40);
    head->deadline_ms = iq_load_be64(p + 48);
    memcpy(head->rid, p + 56, sizeof head->rid);
    head->progress = p[64];
    head->flags2 = p[65];
    head->deliveries = iq_load_be16(p + 66);
    head->payload_len = iq_load_be32(p + 68);
    memcpy(head->worker, p + 72, sizeof head->worker);
}

imgq_status iq_record_decode(iq_record_view *out, const void *bytes, size_t len, imgq_error *err)
{
    const uint8_t *p = bytes;
    if (len < IQ_HEADER_SIZE)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "record of %zu bytes, its header alone has %d", len,
                       (int)IQ_HEADER_SIZE);
    iq_record_view view;
    decode_head(&view.head, p);
    if (view.head.version != IQ_RECORD_VERSION)
        return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "record of version %u, this library reads %d",
                       (unsigned)view.head.version, (int)IQ_RECORD_VERSION);
    if (!is_state(view.head.state))
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "record with state byte %u", (unsigned)view.head.state);
    if (view.head.priority > 9)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "record with priority %u", (unsigned)view.head.priority);
    if (view.head.ext_len > len - IQ_HEADER_SIZE)
        return iq_fail(err, IMGQ_E_CORRUPT, 0, "record whose options of %u bytes end after its %zu",
                       (unsigned)view.head.ext_len, len);
    view.tlv = p + IQ_HEADER_SIZE;
    view.body = view.tlv + view.head.ext_len;
    view.body_len = len - IQ_HEADER_SIZE - view.head.ext_len;
    *out = view;
    return IMGQ_OK;
}

/* ---- options ---- */

bool iq_tlv_next(const uint8_t *tlv, size_t tlv_len, size_t *at, iq_tlv *out)
{
    if (tlv_len < 3 || *at > tlv_len - 3)
        return false;
    const uint16_t len = iq_load_be16(tlv + *at + 1);
    if (len > tlv_len - *at - 3)
        return false;
    out->type = tlv[*at];
    out->len = len;
    out->value = tlv + *at + 3;
    *at += 3u + len;
    return true;
}

bool iq_tlv_find(const uint8_t *tlv, size_t tlv_len, uint8_t type, iq_tlv *out)
{
    size_t at = 0;
    while (iq_tlv_next(tlv, tlv_len, &at, out)) {
        if (out->type == type)
            return true;
    }
    return false;
}

void iq_tlv_put(imgq_env *env, iq_buf *buf, uint8_t type, const void *value, size_t len)
{
    uint8_t head[3] = {type, 0, 0};
    if (len > UINT16_MAX) {
        buf->failed = true;
        return;
    }
    iq_store_be16(head + 1, (uint16_t)len);
    (void)iq_buf_append(env, buf, head, sizeof head); /* the series is checked by buf->failed */
    if (len > 0)
        (void)iq_buf_append(env, buf, value, len);
}

static void read_text(char *out, size_t out_size, const uint8_t *value, size_t len)
{
    /* A name that does not fit, or with a zero inside, is not a name of ours: treated as not said. */
    if (len >= out_size || memchr(value, 0, len) != NULL)
        return;
    memcpy(out, value, len);
    out[len] = '\0';
}

static void read_media(iq_job_options *out, const iq_tlv *option)
{
    if (option->len < 5 || option->value[0] > IMGQ_MEDIA_F32)
        return;
    out->media = option->value[0];
    out->height = iq_load_be16(option->value + 1);
    out->width = iq_load_be16(option->value + 3);
    read_text(out->profile, sizeof out->profile, option->value + 5, option->len - 5u);
}

static void read_decode(iq_job_options *out, const iq_tlv *option)
{
    if (option->len < 5 || option->value[0] > IMGQ_EXIF_APPLY)
        return;
    out->exif = option->value[0];
    out->use_background = option->value[1] != 0;
    memcpy(out->background, option->value + 2, 3);
}

static void read_backoff(iq_job_options *out, const iq_tlv *option)
{
    if (option->len < 10)
        return;
    out->has_backoff = 1;
    out->backoff_base_ms = iq_load_be32(option->value);
    out->backoff_factor_percent = iq_load_be16(option->value + 4);
    out->backoff_cap_ms = iq_load_be32(option->value + 6);
}

void iq_job_options_read(iq_job_options *out, const uint8_t *tlv, size_t tlv_len)
{
    iq_tlv option;
    size_t at = 0;
    memset(out, 0, sizeof *out);
    out->top_count = 5;
    out->backoff_base_ms = 1000;
    out->backoff_factor_percent = 200;
    out->backoff_cap_ms = 60000;
    while (iq_tlv_next(tlv, tlv_len, &at, &option)) {
        switch (option.type) {
        case IQ_TLV_MEDIA:
            read_media(out, &option);
            break;
        case IQ_TLV_BACKOFF:
            read_backoff(out, &option);
            break;
        case IQ_TLV_RESULT_TTL:
            if (option.len == 4)
                out->result_ttl_ms = iq_load_be32(option.value);
            break;
        case IQ_TLV_MODEL:
            read_text(out->model, sizeof out->model, option.value, option.len);
            break;
        case IQ_TLV_LEGACY_ID:
            read_text(out->legacy_id, sizeof out->legacy_id, option.value, option.len);
            break;
        case IQ_TLV_TOP_COUNT:
            if (option.len == 1 && option.value[0] >= 1 && option.value[0] <= 100)
                out->top_count = option.value[0];
            break;
        case IQ_TLV_DECODE:
            read_decode(out, &option);
            break;
        default: /* unknown types are for others */
            break;
        }
    }
}

void iq_job_options_write(imgq_env *env, iq_buf *tlv, const iq_job_options *options)
{
    if (options->media != IMGQ_MEDIA_ENCODED || options->profile[0] != '\0') {
        uint8_t value[5 + sizeof options->profile] = {(uint8_t)options->media};
        const size_t profile_len = strlen(options->profile);
        iq_store_be16(value + 1, (uint16_t)options->height);
        iq_store_be16(value + 3, (uint16_t)options->width);
        memcpy(value + 5, options->profile, profile_len);
        iq_tlv_put(env, tlv, IQ_TLV_MEDIA, value, 5 + profile_len);
    }
    if (options->has_backoff) {
        uint8_t value[10];
        iq_store_be32(value, options->backoff_base_ms);
        iq_store_be16(value + 4, (uint16_t)options->backoff_factor_percent);
        iq_store_be32(value + 6, options->backoff_cap_ms);
        iq_tlv_put(env, tlv, IQ_TLV_BACKOFF, value, sizeof value);
    }
    if (options->result_ttl_ms > 0) {
        uint8_t value[4];
        iq_store_be32(value, options->result_ttl_ms);
        iq_tlv_put(env, tlv, IQ_TLV_RESULT_TTL, value, sizeof value);
    }
    if (options->model[0] != '\0')
        iq_tlv_put(env, tlv, IQ_TLV_MODEL, options->model, strlen(options->model));
    if (options->top_count != 5) {
        const uint8_t value = (uint8_t)options->top_count;
        iq_tlv_put(env, tlv, IQ_TLV_TOP_COUNT, &value, 1);
    }
    if (options->exif != IMGQ_EXIF_WORKER || options->use_background) {
        const uint8_t value[5] = {(uint8_t)options->exif, options->use_background != 0, options->background[0],
                                  options->background[1], options->background[2]};
        iq_tlv_put(env, tlv, IQ_TLV_DECODE, value, sizeof value);
    }
}

/* ---- notes ---- */

bool iq_note_next(const uint8_t *message, size_t len, size_t *at, iq_note *out)
{
    if (len < 8 || *at > len - 8)
        return false;
    const uint8_t *p = message + *at;
    const uint32_t body_len = iq_load_be32(p + 4);
    const size_t left = len - *at - 8;
    out->state = p[0];
    out->id_len = p[1];
    out->error = iq_load_be16(p + 2);
    out->id = (const char *)p + 8;
    if (out->id_len > left)
        return false;
    if (body_len == UINT32_MAX) {
        out->body = NULL;
        out->body_len = 0;
    } else {
        if (body_len > left - out->id_len)
            return false;
        out->body = p + 8 + out->id_len;
        out->body_len = body_len;
    }
    *at += 8 + out->id_len + out->body_len;
    return true;
}
