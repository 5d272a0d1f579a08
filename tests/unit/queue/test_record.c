#include "queue/record.h"

#include <imgq/admin.h>

#include "queue/look.h"
#include "support/check.h"
#include "support/failing_alloc.h"

#include <stdlib.h>
#include <string.h>

static iq_record full_record(void)
{
    return (iq_record){.version = 1,
                       .state = IMGQ_STATE_ACTIVE,
                       .priority = 9,
                       .flags = 0x2f,
                       .fails = 0x0102,
                       .crashes = 0x0304,
                       .max_fails = 0x0506,
                       .max_crashes = 0x0708,
                       .ext_len = 3,
                       .error = 0x0a0b,
                       .seq = 0x1122334455667788,
                       .submitted_ms = 0x0102030405060708,
                       .fence = 0x001fffffffffffff,
                       .changed_ms = 0x1112131415161718,
                       .deadline_ms = 0x2122232425262728,
                       .rid = {1, 2, 3, 4, 5, 6, 7, 8},
                       .progress = 100,
                       .flags2 = 3,
                       .deliveries = 0x3132,
                       .payload_len = 0x41424344,
                       .worker = {9, 8, 7, 6, 5, 4, 3, 2}};
}

/* The bytes of docs/protocol.md 3, by hand: an encoder and a decoder that agree could both be wrong. */
static const uint8_t full_bytes[] = {
    1,    'A',  9,    0x2f, 1,    2,    3,    4,    5,    6,    7,    8,    0,    3,    0x0a, 0x0b, 0x11, 0x22,
    0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 1,    2,    3,    4,    5,    6,    7,    8,    0,    0x1f, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26,
    0x27, 0x28, 1,    2,    3,    4,    5,    6,    7,    8,    100,  3,    0x31, 0x32, 0x41, 0x42, 0x43, 0x44,
    9,    8,    7,    6,    5,    4,    3,    2,    11,   0,    0,    'b',  'o',  'd',  'y'};

static void the_header_has_the_protocols_bytes(void)
{
    const iq_record record = full_record();
    uint8_t bytes[IQ_HEADER_SIZE];
    iq_record_encode(bytes, &record);
    CHECK_EQ_MEM(full_bytes, bytes, sizeof bytes);
}

static void a_record_is_read_in_its_three_parts(void)
{
    imgq_error err;
    iq_record_view view;
    if (!CHECK_OK(iq_record_decode(&view, full_bytes, sizeof full_bytes, &err)))
        return;
    uint8_t again[IQ_HEADER_SIZE];
    iq_record_encode(again, &view.head);
    CHECK_EQ_MEM(full_bytes, again, sizeof again);
    CHECK_EQ_INT('A', view.head.state);
    CHECK_EQ_SIZE(0x001fffffffffffff, view.head.fence);
    CHECK(view.tlv == full_bytes + 80);
    CHECK_EQ_SIZE(4, view.body_len);
    CHECK_EQ_MEM("body", view.body, 4);
}

static void every_damaged_record_is_refused(void)
{
    imgq_error err;
    iq_record_view view;
    uint8_t bytes[sizeof full_bytes];
    for (size_t len = 0; len < IQ_HEADER_SIZE + 3; len++)
        CHECK_STATUS(IMGQ_E_CORRUPT, iq_record_decode(&view, full_bytes, len, &err));
    memcpy(bytes, full_bytes, sizeof bytes);
    bytes[0] = 2;
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, iq_record_decode(&view, bytes, sizeof bytes, &err));
    CHECK_EQ_STR("record of version 2, this library reads 1", err.message);
    bytes[0] = 1;
    bytes[1] = 'Q';
    CHECK_STATUS(IMGQ_E_CORRUPT, iq_record_decode(&view, bytes, sizeof bytes, &err));
    bytes[1] = 'W';
    bytes[2] = 10;
    CHECK_STATUS(IMGQ_E_CORRUPT, iq_record_decode(&view, bytes, sizeof bytes, &err));
    bytes[2] = 0;
    bytes[13] = 8;
    CHECK_STATUS(IMGQ_E_CORRUPT, iq_record_decode(&view, bytes, sizeof bytes, &err));
    bytes[13] = 7;
    CHECK_OK(iq_record_decode(&view, bytes, sizeof bytes, &err));
    CHECK_EQ_SIZE(0, view.body_len);
}

static void options_come_back_as_they_were_written(void)
{
    imgq_env *env = failing_env(0);
    iq_buf tlv = {0};
    iq_job_options in = {.media = IMGQ_MEDIA_F32,
                         .width = 224,
                         .height = 65535,
                         .top_count = 100,
                         .exif = IMGQ_EXIF_APPLY,
                         .use_background = 1,
                         .background = {1, 2, 255},
                         .has_backoff = 1,
                         .backoff_base_ms = 10,
                         .backoff_factor_percent = 150,
                         .backoff_cap_ms = 3000000000,
                         .result_ttl_ms = 4000000000,
                         .profile = "torchvision-v2",
                         .model = "resnet50"};
    iq_job_options out;
    iq_job_options_write(env, &tlv, &in);
    CHECK(!tlv.failed);
    iq_job_options_read(&out, tlv.data, tlv.len);
    CHECK_EQ_INT(IMGQ_MEDIA_F32, out.media);
    CHECK_EQ_INT(224, out.width);
    CHECK_EQ_INT(65535, out.height);
    CHECK_EQ_INT(100, out.top_count);
    CHECK_EQ_INT(IMGQ_EXIF_APPLY, out.exif);
    CHECK_EQ_INT(1, out.use_background);
    CHECK_EQ_MEM(in.background, out.background, 3);
    CHECK_EQ_INT(10, out.backoff_base_ms);
    CHECK_EQ_INT(150, out.backoff_factor_percent);
    CHECK_EQ_INT(3000000000, out.backoff_cap_ms);
    CHECK_EQ_INT(4000000000, out.result_ttl_ms);
    CHECK_EQ_STR("torchvision-v2", out.profile);
    CHECK_EQ_STR("resnet50", out.model);
    /* Every cut reads as far as it goes, and never past its end. */
    for (size_t len = 0; len <= tlv.len; len++) {
        uint8_t *cut = malloc(len + 1);
        memcpy(cut, tlv.data != NULL ? tlv.data : (const uint8_t *)"", len);
        iq_job_options_read(&out, cut, len);
        CHECK(out.top_count >= 1 && out.top_count <= 100);
        free(cut);
    }
    iq_buf_release(env, &tlv);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

static void defaults_are_not_written(void)
{
    imgq_env *env = failing_env(0);
    iq_buf tlv = {0};
    iq_job_options options;
    iq_job_options_read(&options, NULL, 0);
    CHECK_EQ_INT(5, options.top_count);
    CHECK_EQ_INT(1000, options.backoff_base_ms);
    iq_job_options_write(env, &tlv, &options);
    CHECK_EQ_SIZE(0, tlv.len);
    imgq_env_destroy(env);
}

static void options_have_the_protocols_bytes(void)
{
    imgq_env *env = failing_env(0);
    iq_buf tlv = {0};
    iq_job_options options;
    const uint8_t want[] = {5, 0,   10, 1, 0, 224, 1,  0, 'k', 'e', 'r', 'a', 's', 8, 0, 4,  0,  0,
                            3, 232, 9,  0, 1, 'm', 11, 0, 1,   3,   12,  0,   5,   1, 1, 10, 20, 30};
    iq_job_options_read(&options, NULL, 0);
    options.media = IMGQ_MEDIA_U8;
    options.height = 224;
    options.width = 256;
    memcpy(options.profile, "keras", 6);
    memcpy(options.model, "m", 2);
    options.result_ttl_ms = 1000;
    options.top_count = 3;
    options.exif = IMGQ_EXIF_IGNORE;
    options.use_background = 1;
    memcpy(options.background, "\12\24\36", 3);
    iq_job_options_write(env, &tlv, &options);
    if (CHECK_EQ_SIZE(sizeof want, tlv.len))
        CHECK_EQ_MEM(want, tlv.data, sizeof want);
    iq_buf_release(env, &tlv);
    imgq_env_destroy(env);
}

static void unknown_and_damaged_options_are_passed_over(void)
{
    const uint8_t tlv[] = {200, 0, 2, 'x', 'y', 11, 0, 1, 0,   11, 0,   1, 101, 5, 0, 4, 2,  0, 1, 0, 12, 0, 5,
                           9,   0, 0, 0,   0,   9,  0, 3, 'a', 0,  'b', 8, 0,   2, 1, 1, 11, 0, 1, 7, 9,  1};
    iq_job_options options;
    iq_job_options_read(&options, tlv, sizeof tlv);
    CHECK_EQ_INT(7, options.top_count);
    CHECK_EQ_INT(IMGQ_MEDIA_ENCODED, options.media);
    CHECK_EQ_INT(IMGQ_EXIF_WORKER, options.exif);
    CHECK_EQ_INT(0, options.result_ttl_ms);
    CHECK_EQ_STR("", options.model);
}

static void a_publication_is_read_note_by_note(void)
{
    const uint8_t message[] = {'S', 2,   0,   0,   0,   0,   0,   3, 'a', 'b', '{', '}', '!', 'F', 1,  0,
                               12,  255, 255, 255, 255, 'c', 'X', 1, 0,   5,   0,   0,   0,   0,   'd'};
    iq_note note;
    size_t at = 0;
    if (!CHECK(iq_note_next(message, sizeof message, &at, &note)))
        return;
    CHECK_EQ_INT('S', note.state);
    CHECK_EQ_MEM("ab", note.id, 2);
    CHECK_EQ_SIZE(3, note.body_len);
    CHECK_EQ_MEM("{}!", note.body, 3);
    CHECK(iq_note_next(message, sizeof message, &at, &note));
    CHECK_EQ_INT(12, note.error);
    CHECK(note.body == NULL);
    CHECK(iq_note_next(message, sizeof message, &at, &note));
    CHECK_EQ_INT('X', note.state);
    CHECK(note.body != NULL);
    CHECK_EQ_SIZE(0, note.body_len);
    CHECK(!iq_note_next(message, sizeof message, &at, &note));
    /* Cut anywhere, it ends there. */
    for (size_t len = 0; len < sizeof message; len++) {
        size_t notes = 0;
        for (at = 0; iq_note_next(message, len, &at, &note); notes++)
            CHECK(at <= len);
        CHECK_EQ_SIZE(len < 13 ? 0 : len < 22 ? 1 : 2, notes);
    }
}

/* Replies as the redis room builds them, by hand. */
static iq_reply text_of(const void *text, size_t len)
{
    return (iq_reply){.type = IQ_REPLY_TEXT, .text = text, .len = len};
}

static iq_reply number_of(int64_t number)
{
    return (iq_reply){.type = IQ_REPLY_INTEGER, .integer = number, .text = ""};
}

static void a_look_is_read_whatever_the_server_says(void)
{
    iq_look look;
    const iq_reply whole[] = {number_of(0), text_of("A", 1), text_of(full_bytes, 80), number_of(1), text_of("why", 3)};
    const iq_reply reply = {.type = IQ_REPLY_ARRAY, .text = "", .elements = whole, .count = 5};
    if (CHECK(iq_look_read(&look, &reply))) {
        CHECK_EQ_INT(0, look.code);
        CHECK_EQ_INT('A', look.state);
        CHECK_EQ_INT(0x0102, look.head.fails);
        CHECK_EQ_SIZE(3, look.body_len);
    }
    for (size_t count = 0; count < 5; count++) {
        const iq_reply cut = {.type = IQ_REPLY_ARRAY, .text = "", .elements = whole, .count = count};
        CHECK(!iq_look_read(&look, &cut));
    }
    const iq_reply gone[] = {number_of(-1)};
    const iq_reply unknown = {.type = IQ_REPLY_ARRAY, .text = "", .elements = gone, .count = 1};
    CHECK(iq_look_read(&look, &unknown));
    CHECK_EQ_INT(IQ_LOOK_UNKNOWN, look.code);
    /* Each element in turn is something else. */
    for (size_t i = 0; i < 5; i++) {
        iq_reply odd[5];
        memcpy(odd, whole, sizeof odd);
        odd[i] = (iq_reply){.type = IQ_REPLY_NIL, .text = ""};
        const iq_reply wrong = {.type = IQ_REPLY_ARRAY, .text = "", .elements = odd, .count = 5};
        CHECK(!iq_look_read(&look, &wrong));
    }
    const iq_reply alone = number_of(7);
    CHECK(!iq_look_read(&look, &alone));
}

static const check_test tests[] = {
    CHECK_TEST(the_header_has_the_protocols_bytes),
    CHECK_TEST(a_record_is_read_in_its_three_parts),
    CHECK_TEST(every_damaged_record_is_refused),
    CHECK_TEST(options_come_back_as_they_were_written),
    CHECK_TEST(defaults_are_not_written),
    CHECK_TEST(options_have_the_protocols_bytes),
    CHECK_TEST(unknown_and_damaged_options_are_passed_over),
    CHECK_TEST(a_publication_is_read_note_by_note),
    CHECK_TEST(a_look_is_read_whatever_the_server_says),
};
CHECK_MAIN("record", tests)
