#include "base_tests.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/options.h"

#include "support/check.h"
#include "support/failing_alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void blocks_give_back_every_byte_in_any_order(void)
{
    imgq_env *env = failing_env(0);
    size_t before = failing_live_bytes();
    char *a = iq_alloc(env, 1), *b = iq_alloc_array(env, 7, 9), *c = iq_strdup(env, "text");
    CHECK(a != NULL && b != NULL && c != NULL);
    CHECK_EQ_STR("text", c);
    for (size_t i = 0; i < 63; i++)
        CHECK(b[i] == 0);
    iq_free(env, b);
    iq_free(env, a);
    iq_free(env, c);
    iq_free(env, NULL);
    CHECK_EQ_SIZE(before, failing_live_bytes());
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

void an_aligned_block_stays_aligned_and_resizes(void)
{
    imgq_env *env = failing_env(0);
    for (size_t alignment = 1; alignment <= (size_t)2 << 20; alignment *= 2) {
        uint8_t *block = iq_alloc_aligned(env, 100, alignment);
        if (!CHECK(block != NULL))
            break;
        CHECK_EQ_SIZE(0, (uintptr_t)block % alignment);
        memset(block, 7, 100);
        block = iq_realloc(env, block, 5000);
        CHECK_EQ_SIZE(0, (uintptr_t)block % alignment);
        CHECK(block[0] == 7 && block[99] == 7);
        iq_free(env, block);
    }
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

void an_overflowing_count_is_no_memory(void)
{
    imgq_env *env = failing_env(0);
    CHECK(iq_alloc_array(env, SIZE_MAX / 2, 3) == NULL);
    CHECK(iq_alloc(env, SIZE_MAX) == NULL);
    imgq_env_destroy(env);
}

void the_env_lives_until_its_last_holder(void)
{
    imgq_env *env = failing_env(0);
    imgq_env *same = iq_env_hold(env);
    imgq_env_destroy(env);
    CHECK(failing_live_bytes() > 0);
    CHECK_EQ_SIZE((size_t)32 << 20, iq_env_max_payload_bytes(same));
    imgq_env_destroy(same);
    CHECK_EQ_SIZE(0, failing_live_bytes());
    imgq_env_destroy(NULL);
}

void a_buffer_stops_at_its_maximum_and_stays_failed(void)
{
    imgq_env *env = failing_env(0);
    iq_buf buf = {.max = 10};
    CHECK(iq_buf_append_text(env, &buf, "12345"));
    CHECK(iq_buf_append_format(env, &buf, "%d", 67890));
    CHECK_EQ_STR("1234567890", (char *)buf.data);
    CHECK(!iq_buf_append_text(env, &buf, "x"));
    CHECK(!iq_buf_append_text(env, &buf, ""));
    CHECK(buf.failed);
    iq_buf_clear(&buf);
    CHECK(iq_buf_append_text(env, &buf, "again"));
    CHECK_EQ_SIZE(5, buf.len);
    iq_buf_release(env, &buf);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

void a_missing_file_and_a_large_one_say_so(void)
{
    imgq_env *env = failing_env(0);
    imgq_error err;
    iq_buf buf = {0};
    char path[] = "/tmp/imgq-base-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, "0123456789", 10) == 10);
    close(fd);
    CHECK_OK(iq_buf_read_file(env, &buf, path, 10, &err));
    CHECK_EQ_STR("0123456789", (char *)buf.data);
    iq_buf_release(env, &buf);
    CHECK_STATUS(IMGQ_E_LIMIT, iq_buf_read_file(env, &buf, path, 9, &err));
    CHECK_CONTAINS("10 bytes, the limit is 9", err.message);
    unlink(path);
    CHECK_STATUS(IMGQ_E_NOTFOUND, iq_buf_read_file(env, &buf, path, 9, &err));
    CHECK_CONTAINS("No such file or directory", err.message);
    CHECK_STATUS(IMGQ_E_IO, iq_buf_read_file(env, &buf, "/tmp", 9, &err));
    CHECK_EQ_STR("read /tmp: it is a folder", err.message);
    iq_buf_release(env, &buf);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

void an_arena_holds_its_limit(void)
{
    imgq_env *env = failing_env(0);
    iq_arena arena = {.env = env, .max = 100000};
    size_t sum = 0;
    for (void *block; (block = iq_arena_alloc(&arena, 1000)) != NULL; sum += 1000)
        CHECK_EQ_SIZE(0, (uintptr_t)block % _Alignof(max_align_t));
    CHECK(sum > 90000 && sum <= 100000);
    iq_arena_release(&arena);
    CHECK_EQ_STR("ab", iq_arena_strndup(&arena, "abc", 2));
    CHECK(iq_arena_alloc(&arena, SIZE_MAX) == NULL);
    iq_arena_release(&arena);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

typedef struct old_options {
    size_t size;
    uint64_t a, b;
} old_options;
typedef struct new_options {
    size_t size;
    uint64_t a, b, c;
} new_options;

void options_older_and_newer_than_the_library(void)
{
    imgq_error err;
    old_options got_old;
    new_options got_new;
    CHECK_OK(iq_options_copy(&got_new, sizeof got_new, &(old_options){.size = sizeof(old_options), .b = 2}, &err));
    CHECK(got_new.size == sizeof got_new && got_new.b == 2 && got_new.c == 0);
    CHECK_OK(iq_options_copy(&got_old, sizeof got_old, &(new_options){.size = sizeof(new_options), .a = 1}, &err));
    CHECK(got_old.a == 1);
    CHECK_STATUS(IMGQ_E_UNSUPPORTED,
                 iq_options_copy(&got_old, sizeof got_old, &(new_options){.size = sizeof(new_options), .c = 1}, &err));
    CHECK_STATUS(IMGQ_E_INVALID, iq_options_copy(&got_old, sizeof got_old, &(old_options){0}, &err));
    CHECK_OK(iq_options_copy(&got_old, sizeof got_old, NULL, &err));
    CHECK(got_old.a == 0 && got_old.size == sizeof got_old);
}

void deadlines_saturate_and_pass(void)
{
    CHECK(!iq_deadline_passed(iq_deadline_never()));
    CHECK_EQ_INT(-1, iq_deadline_poll_ms(iq_deadline_after_ms(-1)));
    CHECK_EQ_INT(-1, iq_deadline_poll_ms(iq_deadline_after_ms(INT64_MAX)));
    CHECK(iq_deadline_passed(iq_deadline_after_ms(0)));
    CHECK_EQ_INT(0, iq_deadline_poll_ms(iq_deadline_after_ms(0)));
    CHECK_EQ_INT(INT32_MAX, iq_deadline_poll_ms(iq_deadline_after_ms((int64_t)1 << 40)));
    iq_deadline soon = iq_deadline_after_ms(60000);
    CHECK(iq_deadline_min(soon, iq_deadline_never()).at_ns == soon.at_ns);
}

void every_status_has_its_row(void)
{
    for (imgq_status status = 0; status >= IMGQ_STATUS_LAST; status--)
        CHECK(strcmp(imgq_status_name(status), "IMGQ_E_?") != 0);
    CHECK_EQ_STR("IMGQ_E_TIMEOUT", imgq_status_name(IMGQ_E_TIMEOUT));
    CHECK_EQ_STR("IMGQ_E_?", imgq_status_name(-19));
    CHECK(imgq_status_is_retryable(IMGQ_E_BUSY) && !imgq_status_is_retryable(IMGQ_E_CORRUPT));
    CHECK_EQ_INT(6, imgq_status_exit_code(IMGQ_E_UNAVAILABLE));
    CHECK_EQ_INT(413, imgq_status_http(IMGQ_E_LIMIT));
}

void messages_are_cut_at_a_character(void)
{
    imgq_error err;
    char text[400];
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = i % 2 == 0 ? '\xC3' : '\xA9';
    text[sizeof text - 1] = '\0';
    CHECK_EQ_INT(IMGQ_E_IO, iq_fail(&err, IMGQ_E_IO, 5, "%s", text));
    CHECK_EQ_SIZE(0, strlen(err.message) % 2);
    CHECK_EQ_INT(IMGQ_E_IO, iq_fail(&err, IMGQ_E_IO, 5, "inner"));
    CHECK_EQ_INT(5, err.sys_errno);
    CHECK_EQ_INT(IMGQ_E_CORRUPT, iq_fail_prefix(&err, IMGQ_E_CORRUPT, "outer %d", 1));
    CHECK_EQ_STR("outer 1: inner", err.message);
    CHECK_EQ_INT(IMGQ_E_IO, iq_fail(NULL, IMGQ_E_IO, 0, "nobody listens"));
}
