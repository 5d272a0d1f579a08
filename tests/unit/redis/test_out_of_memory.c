/* hiredis takes its memory from malloc, not from the env: here malloc itself fails, at every place in turn. Nothing may
 * abort, and every answer is a status. Not built under sanitizers, which bring a malloc of their own. */
#include "redis/resp.h"

#include "support/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

/* Seen by the shared libraries too, which are the point here. */
#pragma GCC visibility push(default)

/* One thread only. */
static size_t calls, fail_at;

static bool fails(void)
{
    return fail_at > 0 && ++calls == fail_at;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
    return fails() ? NULL : __libc_realloc(ptr, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    *out = fails() ? NULL : __libc_memalign(alignment, size);
    return *out != NULL ? 0 : ENOMEM;
}

#pragma GCC visibility pop

static imgq_env *env;

static imgq_status format(imgq_error *err)
{
    static const iq_script script = {"try", "#!lua\nreturn 1", 14, "0123456789012345678901234567890123456789"};
    static char payload[IQ_COMMAND_BORROW_BYTES + 1];
    iq_commands commands;
    iq_wire wire = {0};
    iq_commands_init(&commands, env);
    for (size_t i = 0; i < 20; i++) {
        iq_commands_add_script(&commands, &script, 1);
        iq_commands_copy(&commands, "key", 3);
        iq_commands_bytes(&commands, payload, i == 7 ? sizeof payload : 1000);
    }
    imgq_status status = commands.failed ? IMGQ_E_NOMEM : IMGQ_OK;
    for (size_t i = 0; status == IMGQ_OK && i < commands.count; i++)
        status = iq_wire_append(env, &wire, &commands, i, i % 2 == 0, err);
    iq_wire_release(env, &wire);
    iq_commands_release(&commands);
    return status;
}

/* Replies large enough that the reader's buffer grows, is given back and made anew. */
static imgq_status parse(imgq_error *err)
{
    static const char head[] = "*2\r\n:1\r\n$2000000\r\n", tail[] = "\r\n+OK\r\n-ERR no\r\n*1\r\n$2\r\nab\r\n";
    static char body[20000];
    iq_resp_reader *reader;
    iq_reply *reply = NULL;
    imgq_status status = iq_resp_reader_create(env, 3000000, &reader, err);
    if (status == IMGQ_OK)
        status = iq_resp_reader_feed(reader, head, sizeof head - 1, err);
    for (size_t i = 0; status == IMGQ_OK && i < 100; i++) {
        status = iq_resp_reader_feed(reader, body, sizeof body, err);
        if (status == IMGQ_OK)
            status = iq_resp_reader_next(reader, &reply, err);
    }
    if (status == IMGQ_OK)
        status = iq_resp_reader_feed(reader, tail, sizeof tail - 1, err);
    for (size_t i = 0; status == IMGQ_OK && i < 4; i++) {
        status = iq_resp_reader_next(reader, &reply, err);
        iq_reply_free(reply);
    }
    iq_resp_reader_destroy(reader);
    return status;
}

static void walk(imgq_status (*scenario)(imgq_error *err), size_t at_least)
{
    size_t nth = 1;
    for (;; nth++) {
        imgq_error err = {0};
        calls = 0;
        fail_at = nth;
        const imgq_status status = scenario(&err);
        const bool has_failed = calls >= nth;
        fail_at = 0;
        if (!has_failed) {
            CHECK_STATUS(IMGQ_OK, status);
            break;
        }
        /* A buffer that could not be made smaller is kept: that one failure is none. */
        if (status != IMGQ_OK)
            CHECK_STATUS(IMGQ_E_NOMEM, status);
    }
    /* Fewer, and this malloc is not the one that is called. */
    if (!CHECK(nth > at_least))
        fprintf(stderr, "%zu allocations\n", nth - 1);
}

static void commands_survive_every_failing_malloc(void)
{
    walk(format, 60);
}

static void replies_survive_every_failing_malloc(void)
{
    walk(parse, 15);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_TEST(commands_survive_every_failing_malloc),
        CHECK_TEST(replies_survive_every_failing_malloc),
    };
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    const int code = check_main(argc, argv, "out_of_memory", tests, sizeof tests / sizeof *tests);
    imgq_env_destroy(env);
    return code;
}
