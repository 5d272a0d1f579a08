#include "queue/look.h"

#include <imgq/admin.h>

#include <string.h>

bool iq_state_is_end(int state)
{
    return state == IMGQ_STATE_SUCCEEDED || state == IMGQ_STATE_DEAD || state == IMGQ_STATE_CANCELLED ||
           state == IMGQ_STATE_EXPIRED;
}

static bool read_state(iq_look *out, const iq_reply *letter)
{
    if (letter->type != IQ_REPLY_TEXT || letter->len != 1)
        return false;
    out->state = letter->text[0];
    return iq_state_is_end(out->state) || out->state == IMGQ_STATE_WAITING || out->state == IMGQ_STATE_DELAYED ||
           out->state == IMGQ_STATE_ACTIVE;
}

static bool read_body(iq_look *out, const iq_reply *how, const iq_reply *body)
{
    int64_t number;
    if (!iq_reply_int(how, &number) || number < IQ_BODY_NONE || number > IQ_BODY_LARGE || body->type != IQ_REPLY_TEXT)
        return false;
    out->how = (int)number;
    out->body = body->text;
    out->body_len = body->len;
    return true;
}

bool iq_look_read_tail(iq_look *out, const iq_reply *reply, size_t first)
{
    memset(out, 0, sizeof *out);
    return read_state(out, iq_reply_at(reply, first)) &&
           read_body(out, iq_reply_at(reply, first + 1), iq_reply_at(reply, first + 2));
}

bool iq_look_read(iq_look *out, const iq_reply *reply)
{
    int64_t code;
    iq_record_view view;
    memset(out, 0, sizeof *out);
    if (!iq_reply_int(iq_reply_at(reply, 0), &code) || code < IQ_LOOK_DENIED || code > IQ_LOOK_CROWDED)
        return false;
    out->code = (int)code;
    if (code < IQ_LOOK_JOB)
        return true;
    const iq_reply *header = iq_reply_at(reply, 2);
    if (!read_state(out, iq_reply_at(reply, 1)) || header->type != IQ_REPLY_TEXT || header->len != IQ_HEADER_SIZE ||
        !read_body(out, iq_reply_at(reply, 3), iq_reply_at(reply, 4)))
        return false;
    /* Only the header travels here, so its options cannot be there: decode it as if it had none. */
    uint8_t alone[IQ_HEADER_SIZE];
    memcpy(alone, header->text, sizeof alone);
    alone[12] = alone[13] = 0;
    if (iq_record_decode(&view, alone, sizeof alone, NULL) != IMGQ_OK)
        return false;
    out->head = view.head;
    return true;
}
