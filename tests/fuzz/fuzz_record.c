/* Any bytes where a record, its options, a publication or a look stand. */
#include "queue/look.h"
#include "queue/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Touches every byte of a slice, so that a sanitizer sees one that is not there. */
static unsigned sum(const void *bytes, size_t len)
{
    unsigned total = 0;
    for (size_t i = 0; i < len; i++)
        total += ((const uint8_t *)bytes)[i];
    return total;
}

static void look_at_options(const uint8_t *tlv, size_t len)
{
    iq_job_options options;
    iq_tlv option;
    size_t at = 0;
    volatile unsigned total = 0;
    while (iq_tlv_next(tlv, len, &at, &option))
        total += sum(option.value, option.len);
    iq_job_options_read(&options, tlv, len);
    if (options.top_count < 1 || options.top_count > 100 || options.media > IMGQ_MEDIA_F32 ||
        options.exif > IMGQ_EXIF_APPLY || strlen(options.profile) >= sizeof options.profile ||
        strlen(options.model) >= sizeof options.model || strlen(options.legacy_id) >= sizeof options.legacy_id)
        abort();
}

static void look_at_record(const uint8_t *bytes, size_t len)
{
    iq_record_view view;
    uint8_t again[IQ_HEADER_SIZE];
    volatile unsigned total = 0;
    if (iq_record_decode(&view, bytes, len, NULL) != IMGQ_OK)
        return;
    look_at_options(view.tlv, view.head.ext_len);
    total += sum(view.body, view.body_len);
    iq_record_encode(again, &view.head);
    if (memcmp(again, bytes, sizeof again) != 0)
        abort();
}

static void look_at_notes(const uint8_t *bytes, size_t len)
{
    iq_note note;
    size_t at = 0;
    volatile unsigned total = 0;
    while (iq_note_next(bytes, len, &at, &note))
        total += sum(note.id, note.id_len) + (note.body != NULL ? sum(note.body, note.body_len) : 0);
    if (at > len)
        abort();
}

/* The first bytes choose what the elements are, the rest is what they hold. */
static void look_at_look(const uint8_t *bytes, size_t len)
{
    iq_reply elements[5];
    iq_look look;
    if (len < 5)
        return;
    for (size_t i = 0; i < 5; i++) {
        const bool is_text = bytes[i] % 2 == 1;
        const size_t room = len - 5, take = i == 2 ? IQ_HEADER_SIZE : i == 1 ? 1 : room;
        elements[i] = (iq_reply){.type = is_text ? IQ_REPLY_TEXT : IQ_REPLY_INTEGER,
                                 .integer = is_text ? 0 : (int8_t)bytes[i] / 2,
                                 .text = is_text ? (const char *)bytes + 5 : "",
                                 .len = is_text ? (take < room ? take : room) : 0};
    }
    const iq_reply reply = {.type = IQ_REPLY_ARRAY, .text = "", .elements = elements, .count = len % 6};
    volatile unsigned total = 0;
    if (iq_look_read(&look, &reply) && look.code >= IQ_LOOK_JOB)
        total += sum(look.body, look.body_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    look_at_record(bytes, len);
    look_at_options(bytes, len);
    look_at_notes(bytes, len);
    look_at_look(bytes, len);
    return 0;
}
