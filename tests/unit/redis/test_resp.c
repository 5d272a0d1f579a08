/* Bytes to replies and commands to bytes, without any socket. */
#include "redis/resp.h"

#include "base/alloc.h"
#include "support/check.h"
#include "support/failing_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static imgq_env *env;

static imgq_status read_one(imgq_env *some, const char *bytes, size_t len, size_t max_bytes, size_t step,
                            iq_reply **out, imgq_error *err)
{
    iq_resp_reader *reader;
    *out = NULL;
    imgq_status status = iq_resp_reader_create(some, max_bytes, &reader, err);
    for (size_t at = 0; status == IMGQ_OK && at < len && *out == NULL; at += step) {
        status = iq_resp_reader_feed(reader, bytes + at, step < len - at ? step : len - at, err);
        if (status == IMGQ_OK)
            status = iq_resp_reader_next(reader, out, err);
    }
    iq_resp_reader_destroy(reader);
    return status;
}

static const char every_type[] =
    "*7\r\n:-9223372036854775808\r\n$3\r\na\0b\r\n+fine\r\n-ERR no\r\n$-1\r\n*-1\r\n*2\r\n*0\r\n$0\r\n\r\n";

static void check_every_type(const iq_reply *reply)
{
    CHECK_EQ_INT(IQ_REPLY_ARRAY, reply->type);
    if (!CHECK_EQ_SIZE(7, reply->count))
        return;
    CHECK_EQ_INT(IQ_REPLY_INTEGER, iq_reply_at(reply, 0)->type);
    CHECK(iq_reply_at(reply, 0)->integer == INT64_MIN);
    CHECK_EQ_INT(IQ_REPLY_TEXT, iq_reply_at(reply, 1)->type);
    CHECK_EQ_SIZE(3, iq_reply_at(reply, 1)->len);
    CHECK_EQ_MEM("a\0b", iq_reply_at(reply, 1)->text, 4);
    CHECK_EQ_INT(IQ_REPLY_STATUS, iq_reply_at(reply, 2)->type);
    CHECK(iq_reply_is(iq_reply_at(reply, 2), "fine"));
    CHECK_EQ_INT(IQ_REPLY_ERROR, iq_reply_at(reply, 3)->type);
    CHECK_EQ_STR("ERR no", iq_reply_at(reply, 3)->text);
    CHECK_EQ_INT(IMGQ_E_PROTOCOL, iq_reply_at(reply, 3)->status);
    CHECK_EQ_INT(IQ_REPLY_NIL, iq_reply_at(reply, 4)->type);
    CHECK_EQ_STR("", iq_reply_at(reply, 4)->text);
    CHECK_EQ_INT(IQ_REPLY_NIL, iq_reply_at(reply, 5)->type);
    const iq_reply *inner = iq_reply_at(reply, 6);
    CHECK_EQ_SIZE(2, inner->count);
    CHECK_EQ_INT(IQ_REPLY_ARRAY, iq_reply_at(inner, 0)->type);
    CHECK_EQ_SIZE(0, iq_reply_at(inner, 0)->count);
    CHECK_EQ_INT(IQ_REPLY_TEXT, iq_reply_at(inner, 1)->type);
    CHECK_EQ_STR("", iq_reply_at(inner, 1)->text);
    /* Lookups may be chained through what is not there. */
    CHECK_EQ_INT(IQ_REPLY_NIL, iq_reply_at(iq_reply_at(reply, 99), 3)->type);
    CHECK_EQ_INT(IQ_REPLY_NIL, iq_reply_at(iq_reply_at(reply, 0), 0)->type);
}

static void every_type_is_read_however_it_is_cut(void)
{
    for (size_t step = 1; step <= sizeof every_type - 1; step++) {
        iq_reply *reply;
        imgq_error err;
        if (!CHECK_OK(read_one(env, every_type, sizeof every_type - 1, 1000, step, &reply, &err)) ||
            !CHECK(reply != NULL))
            return;
        check_every_type(reply);
        iq_reply_free(reply);
    }
}

static void replies_of_one_piece_come_out_one_by_one(void)
{
    iq_resp_reader *reader;
    iq_reply *reply;
    imgq_error err;
    CHECK_OK(iq_resp_reader_create(env, 1000, &reader, &err));
    CHECK_OK(iq_resp_reader_feed(reader, ":1\r\n+two\r\n:3", 12, &err));
    CHECK_OK(iq_resp_reader_next(reader, &reply, &err));
    CHECK_EQ_INT(1, reply->integer);
    iq_reply_free(reply);
    CHECK_OK(iq_resp_reader_next(reader, &reply, &err));
    CHECK_EQ_STR("two", reply->text);
    iq_reply_free(reply);
    CHECK_OK(iq_resp_reader_next(reader, &reply, &err));
    CHECK(reply == NULL);
    CHECK_EQ_SIZE(2, iq_resp_reader_pending(reader));
    CHECK_OK(iq_resp_reader_feed(reader, "\r\n", 2, &err));
    CHECK_OK(iq_resp_reader_next(reader, &reply, &err));
    CHECK_EQ_INT(3, reply->integer);
    CHECK_EQ_SIZE(0, iq_resp_reader_pending(reader));
    iq_resp_reader_destroy(reader);
    /* A reply outlives its reader, and as many holders as it has. */
    (void)iq_reply_hold(reply);
    iq_reply_free(reply);
    CHECK_EQ_INT(3, reply->integer);
    iq_reply_free(reply);
}

static void check_refused(imgq_status want, const char *message, const char *bytes, size_t len, size_t max_bytes)
{
    for (size_t step = 1; step <= len; step = step < 16 ? step + 1 : step * 2) {
        iq_reply *reply;
        imgq_error err = {0};
        CHECK_STATUS(want, read_one(env, bytes, len, max_bytes, step, &reply, &err));
        CHECK_CONTAINS(message, err.message);
        CHECK(reply == NULL);
    }
}

static void what_announces_too_much_is_refused_before_it_arrives(void)
{
    check_refused(IMGQ_E_LIMIT, "a reply of ", "$1000001\r\nabc", 13, 1000000);
    check_refused(IMGQ_E_LIMIT, "the limit is 1000000", "*2\r\n:1\r\n$999999999\r\nabc", 23, 1000000);
    check_refused(IMGQ_E_LIMIT, "more than 262144 elements", "*2147483647\r\n", 13, 1000000);
    check_refused(IMGQ_E_LIMIT, "more than 262144 elements", "*262145\r\n", 9, 1000000);
    /* Each announces little; together they are too many. */
    check_refused(IMGQ_E_LIMIT, "more than 262144 elements", "*2\r\n*200000\r\n*200000\r\n*62143\r\n", 30, 1 << 20);
    check_refused(IMGQ_E_PROTOCOL, "not the Redis protocol: ", "$99999999999999999999999\r\n", 26, SIZE_MAX);
}

static void a_reply_within_the_limit_is_read_and_one_beyond_is_not(void)
{
    enum { LIMIT = 300000 };
    static char bytes[LIMIT + 100];
    for (size_t len = LIMIT; len <= LIMIT + 1; len++) {
        iq_reply *reply;
        imgq_error err;
        const int head = snprintf(bytes, sizeof bytes, "$%zu\r\n", len);
        memset(bytes + head, 'x', len);
        memcpy(bytes + (size_t)head + len, "\r\n", 2);
        CHECK_STATUS(len > LIMIT ? IMGQ_E_LIMIT : IMGQ_OK,
                     read_one(env, bytes, (size_t)head + len + 2, LIMIT, 4096, &reply, &err));
        CHECK((reply != NULL) == (len <= LIMIT));
        iq_reply_free(reply);
    }
}

static void many_small_values_count_together(void)
{
    iq_resp_reader *reader;
    imgq_error err;
    imgq_status status = IMGQ_OK;
    iq_reply *reply = NULL;
    static char texts[32768];
    size_t fed = 0;
    for (size_t at = 0; at + 8 <= sizeof texts; at += 8)
        memcpy(texts + at, "$2\r\nab\r\n", 8);
    CHECK_OK(iq_resp_reader_create(env, 100000, &reader, &err));
    CHECK_OK(iq_resp_reader_feed(reader, "*262144\r\n", 9, &err));
    while (status == IMGQ_OK && fed < 1000000 && reply == NULL) {
        status = iq_resp_reader_feed(reader, texts, sizeof texts, &err);
        if (status == IMGQ_OK)
            status = iq_resp_reader_next(reader, &reply, &err);
        fed += sizeof texts;
    }
    CHECK_EQ_INT(IMGQ_E_LIMIT, status);
    CHECK(fed < 300000);
    CHECK(reply == NULL);
    iq_resp_reader_destroy(reader);
}

static void other_protocols_are_refused(void)
{
    static char line[70000] = "+";
    memset(line + 1, 'a', sizeof line - 1);
    check_refused(IMGQ_E_PROTOCOL, "not the Redis protocol: ", "HTTP/1.1 400 Bad Request\r\n", 26, 1000);
    check_refused(IMGQ_E_PROTOCOL, "not the Redis protocol: ", "*1\r\nfoo\r\n", 9, 1000);
    check_refused(IMGQ_E_PROTOCOL, "not the Redis protocol: ", ":12x\r\n", 6, 1000);
    check_refused(IMGQ_E_PROTOCOL, "not the Redis protocol: ", "*9x\r\n", 5, 1000);
    check_refused(IMGQ_E_PROTOCOL, "not the Redis protocol: ", "$-2\r\n", 5, 1000);
    /* RESP3, which is never asked for. */
    check_refused(IMGQ_E_PROTOCOL, "not the Redis protocol: ", "%1\r\n+a\r\n:1\r\n", 12, 1000);
    check_refused(IMGQ_E_PROTOCOL, "not the Redis protocol: ", "#t\r\n", 4, 1000);
    check_refused(IMGQ_E_PROTOCOL, "not the Redis protocol: ", ",1.5\r\n", 6, 1000);
    check_refused(IMGQ_E_PROTOCOL,
                  "not the Redis protocol: ", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", 40, 1000);
    iq_reply *reply;
    imgq_error err;
    CHECK_STATUS(IMGQ_E_PROTOCOL, read_one(env, line, sizeof line, 1 << 20, 4096, &reply, &err));
    CHECK_CONTAINS("a line of more than 65536 bytes", err.message);
}

static void numbers_are_read_exactly(void)
{
    static const struct {
        const char *bytes;
        bool is_number;
        int64_t number;
    } cases[] = {
        {":0\r\n", true, 0},
        {":-7\r\n", true, -7},
        {"$1\r\n5\r\n", true, 5},
        {"$20\r\n-9223372036854775808\r\n", true, INT64_MIN},
        {"$19\r\n9223372036854775807\r\n", true, INT64_MAX},
        {"$19\r\n9223372036854775808\r\n", false, 0},
        {"$20\r\n-9223372036854775809\r\n", false, 0},
        {"$0\r\n\r\n", false, 0},
        {"$1\r\n-\r\n", false, 0},
        {"$2\r\n1 \r\n", false, 0},
        {"$3\r\n0x1\r\n", false, 0},
        {"+5\r\n", false, 0},
        {"$-1\r\n", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iq_reply *reply;
        imgq_error err;
        int64_t number = 0;
        if (!CHECK_OK(read_one(env, cases[i].bytes, strlen(cases[i].bytes), 100, 100, &reply, &err)))
            continue;
        CHECK_EQ_INT(cases[i].is_number, iq_reply_int(reply, &number));
        CHECK_EQ_INT(cases[i].number, number);
        iq_reply_free(reply);
    }
}

static void errors_mean_what_callers_act_on(void)
{
    static const struct {
        const char *text;
        imgq_status status;
        uint32_t retry_after_ms;
    } cases[] = {
        {"NOAUTH Authentication required.", IMGQ_E_DENIED, 0},
        {"WRONGPASS invalid username-password pair or user is disabled.", IMGQ_E_DENIED, 0},
        {"NOPERM this user has no permissions", IMGQ_E_DENIED, 0},
        {"ERR AUTH <password> called without any password configured", IMGQ_E_DENIED, 0},
        {"LOADING Redis is loading the dataset in memory", IMGQ_E_UNAVAILABLE, 0},
        {"READONLY You can't write against a read only replica.", IMGQ_E_UNAVAILABLE, 0},
        {"UNBLOCKED force unblock from blocking operation", IMGQ_E_UNAVAILABLE, 0},
        {"MASTERDOWN Link with MASTER is down", IMGQ_E_UNAVAILABLE, 0},
        {"CLUSTERDOWN The cluster is down", IMGQ_E_UNAVAILABLE, 0},
        {"ERR max number of clients reached", IMGQ_E_UNAVAILABLE, 0},
        {"OOM command not allowed when used memory > 'maxmemory'.", IMGQ_E_BUSY, 1000},
        {"MISCONF Redis is configured to save RDB snapshots", IMGQ_E_BUSY, 1000},
        {"NOREPLICAS Not enough good replicas to write.", IMGQ_E_BUSY, 1000},
        {"BUSY Redis is busy running a script.", IMGQ_E_BUSY, 100},
        {"TRYAGAIN Multiple keys request during rehashing of slot", IMGQ_E_BUSY, 100},
        {"NOSCRIPT No matching script.", IMGQ_E_NOTFOUND, 0},
        {"WRONGTYPE Operation against a key", IMGQ_E_UNSUPPORTED, 0},
        {"MOVED 3999 127.0.0.1:6381", IMGQ_E_UNSUPPORTED, 0},
        {"CROSSSLOT Keys in request don't hash to the same slot", IMGQ_E_UNSUPPORTED, 0},
        {"BUSYKEY Target key name already exists.", IMGQ_E_PROTOCOL, 0},
        {"IQVER 2", IMGQ_E_PROTOCOL, 0},
        {"ERR unknown command", IMGQ_E_PROTOCOL, 0},
        {"", IMGQ_E_PROTOCOL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bytes[200], want[200];
        iq_reply *reply;
        imgq_error err = {0};
        const int len = snprintf(bytes, sizeof bytes, "-%s\r\n", cases[i].text);
        snprintf(want, sizeof want, "take: %s", cases[i].text);
        if (!CHECK_OK(read_one(env, bytes, (size_t)len, 1000, 1000, &reply, &err)))
            continue;
        CHECK_STATUS(cases[i].status, iq_reply_check(reply, "take", &err));
        CHECK_EQ_STR(want, err.message);
        CHECK_EQ_INT(cases[i].retry_after_ms, err.retry_after_ms);
        CHECK_EQ_INT(cases[i].status, reply->status);
        iq_reply_free(reply);
    }
}

/* ---- commands ---- */

static const iq_script script = {"try", "#!lua\nreturn 1", 14, "0123456789012345678901234567890123456789"};

static imgq_status flatten(imgq_env *some, const iq_commands *commands, bool as_eval, iq_buf *out, size_t *parts)
{
    iq_wire wire = {0};
    imgq_error err;
    imgq_status status = commands->failed ? IMGQ_E_NOMEM : IMGQ_OK;
    for (size_t i = 0; status == IMGQ_OK && i < commands->count; i++)
        status = iq_wire_append(some, &wire, commands, i, as_eval && commands->items[i].script != NULL, &err);
    iq_wire_close(&wire);
    for (size_t i = 0; status == IMGQ_OK && i < wire.count; i++)
        if (!iq_buf_append(some, out, wire.parts[i].iov_base, wire.parts[i].iov_len))
            status = IMGQ_E_NOMEM;
    if (status == IMGQ_OK)
        CHECK_EQ_SIZE(wire.total, out->len);
    *parts = wire.count;
    iq_wire_release(some, &wire);
    return status;
}

static void commands_become_the_bytes_that_redis_reads(void)
{
    iq_commands commands;
    iq_buf bytes = {0};
    size_t parts;
    iq_commands_init(&commands, env);
    iq_commands_add(&commands, "SET");
    iq_commands_bytes(&commands, "a\0\r\nb", 5);
    iq_commands_text(&commands, "");
    iq_commands_add_script(&commands, &script, 2);
    iq_commands_text(&commands, "k1");
    iq_commands_text(&commands, "k2");
    iq_commands_uint(&commands, UINT64_MAX);
    iq_commands_int(&commands, INT64_MIN);
    static const char want[] =
        "*3\r\n$3\r\nSET\r\n$5\r\na\0\r\nb\r\n$0\r\n\r\n"
        "*7\r\n$7\r\nEVALSHA\r\n$40\r\n0123456789012345678901234567890123456789\r\n$1\r\n2\r\n$2\r\nk1\r\n"
        "$2\r\nk2\r\n$20\r\n18446744073709551615\r\n$20\r\n-9223372036854775808\r\n";
    CHECK_EQ_INT(IMGQ_OK, flatten(env, &commands, false, &bytes, &parts));
    CHECK_EQ_SIZE(sizeof want - 1, bytes.len);
    CHECK_EQ_MEM(want, bytes.data, sizeof want - 1);
    CHECK_EQ_SIZE(1, parts);
    static const char as_eval[] = "*3\r\n$3\r\nSET\r\n$5\r\na\0\r\nb\r\n$0\r\n\r\n"
                                  "*7\r\n$4\r\nEVAL\r\n$14\r\n#!lua\nreturn 1\r\n$1\r\n2\r\n$2\r\nk1\r\n"
                                  "$2\r\nk2\r\n$20\r\n18446744073709551615\r\n$20\r\n-9223372036854775808\r\n";
    iq_buf_clear(&bytes);
    CHECK_EQ_INT(IMGQ_OK, flatten(env, &commands, true, &bytes, &parts));
    CHECK_EQ_SIZE(sizeof as_eval - 1, bytes.len);
    CHECK_EQ_MEM(as_eval, bytes.data, sizeof as_eval - 1);
    iq_buf_release(env, &bytes);
    iq_commands_release(&commands);
}

/* A long argument is not copied: it is one of the parts, where the caller has it. */
static void long_arguments_stay_where_they_lie(void)
{
    enum { LONG = IQ_COMMAND_BORROW_BYTES + 1 };
    static char payload[LONG];
    memset(payload, 'p', sizeof payload);
    for (size_t len = LONG - 1; len <= LONG; len++) {
        iq_commands commands;
        iq_wire wire = {0};
        imgq_error err;
        iq_commands_init(&commands, env);
        iq_commands_add(&commands, "SET");
        iq_commands_text(&commands, "k");
        iq_commands_bytes(&commands, payload, len);
        iq_commands_text(&commands, "NX");
        CHECK_OK(iq_wire_append(env, &wire, &commands, 0, false, &err));
        iq_wire_close(&wire);
        CHECK_EQ_SIZE(len == LONG ? 3 : 1, wire.count);
        bool is_borrowed = false;
        for (size_t i = 0; i < wire.count; i++)
            is_borrowed = is_borrowed || wire.parts[i].iov_base == payload;
        CHECK_EQ_INT(len == LONG, is_borrowed);
        iq_wire_release(env, &wire);
        /* And the bytes are the same either way. */
        iq_buf bytes = {0};
        size_t parts;
        char head[64];
        const int head_len = snprintf(head, sizeof head, "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", len);
        CHECK_EQ_INT(IMGQ_OK, flatten(env, &commands, false, &bytes, &parts));
        if (CHECK_EQ_SIZE((size_t)head_len + len + 2 + 8, bytes.len)) {
            CHECK_EQ_MEM(head, bytes.data, (size_t)head_len);
            CHECK_EQ_MEM(payload, bytes.data + head_len, len);
            CHECK_EQ_MEM("\r\n$2\r\nNX\r\n", bytes.data + (size_t)head_len + len, 10);
        }
        iq_buf_release(env, &bytes);
        iq_commands_release(&commands);
    }
}

static void a_command_over_a_gibibyte_is_refused_without_touching_it(void)
{
    iq_commands commands;
    iq_wire wire = {0};
    imgq_error err;
    iq_commands_init(&commands, env);
    iq_commands_add(&commands, "SET");
    iq_commands_bytes(&commands, "x", SIZE_MAX - 1);
    CHECK_STATUS(IMGQ_E_LIMIT, iq_wire_append(env, &wire, &commands, 0, false, &err));
    iq_commands_clear(&commands);
    iq_commands_add(&commands, "SET");
    iq_commands_bytes(&commands, "x", IQ_COMMAND_MAX_BYTES - 1);
    iq_commands_bytes(&commands, "x", IQ_COMMAND_MAX_BYTES - 1);
    CHECK_STATUS(IMGQ_E_LIMIT, iq_wire_append(env, &wire, &commands, 0, false, &err));
    iq_wire_release(env, &wire);
    iq_commands_release(&commands);
}

static void an_argument_without_a_command_is_a_failure(void)
{
    iq_commands commands;
    iq_commands_init(&commands, env);
    iq_commands_text(&commands, "lost");
    CHECK(commands.failed);
    iq_commands_clear(&commands);
    CHECK(!commands.failed);
    iq_commands_release(&commands);
}

/* ---- memory ---- */

static imgq_status build_and_read(imgq_env *some)
{
    static char payload[IQ_COMMAND_BORROW_BYTES + 1];
    iq_commands commands;
    iq_buf bytes = {0};
    iq_reply *reply;
    imgq_error err;
    size_t parts;
    iq_commands_init(&commands, some);
    for (size_t i = 0; i < 40; i++) {
        iq_commands_add_script(&commands, &script, 1);
        iq_commands_copy(&commands, "key", 3);
        iq_commands_bytes(&commands, payload, i % 8 == 0 ? sizeof payload : 10);
    }
    imgq_status status = flatten(some, &commands, true, &bytes, &parts);
    iq_buf_release(some, &bytes);
    iq_commands_release(&commands);
    if (status == IMGQ_OK)
        status = read_one(some, every_type, sizeof every_type - 1, 1000, 5, &reply, &err);
    if (status == IMGQ_OK) {
        check_every_type(reply);
        iq_reply_free(reply);
    }
    return status;
}

static void every_allocation_may_fail(void)
{
    for (size_t nth = 1;; nth++) {
        imgq_env *failing = failing_env(nth);
        if (failing == NULL)
            continue;
        const imgq_status status = build_and_read(failing);
        const int failed = failing_has_failed();
        imgq_env_destroy(failing);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        if (!CHECK_EQ_INT(failed ? IMGQ_E_NOMEM : IMGQ_OK, status) || !failed)
            break;
    }
}

static void a_reader_that_held_something_big_gives_its_memory_back(void)
{
    enum { BIG = 3 << 20 };
    iq_resp_reader *reader;
    imgq_error err;
    iq_reply *reply = NULL;
    char head[32];
    static char bytes[32768];
    CHECK_OK(iq_resp_reader_create(env, BIG, &reader, &err));
    for (int round = 0; round < 3; round++) {
        const int len = snprintf(head, sizeof head, "$%d\r\n", BIG);
        CHECK_OK(iq_resp_reader_feed(reader, head, (size_t)len, &err));
        for (size_t at = 0; at < BIG; at += sizeof bytes)
            CHECK_OK(iq_resp_reader_feed(reader, bytes, sizeof bytes, &err));
        CHECK_OK(iq_resp_reader_next(reader, &reply, &err));
        CHECK(reply == NULL);
        CHECK_OK(iq_resp_reader_feed(reader, "\r\n", 2, &err));
        CHECK_OK(iq_resp_reader_next(reader, &reply, &err));
        if (CHECK(reply != NULL))
            CHECK_EQ_SIZE(BIG, reply->len);
        iq_reply_free(reply);
        CHECK_OK(iq_resp_reader_feed(reader, "+OK\r\n", 5, &err));
        CHECK_OK(iq_resp_reader_next(reader, &reply, &err));
        CHECK(reply != NULL && iq_reply_is(reply, "OK"));
        iq_reply_free(reply);
    }
    iq_resp_reader_destroy(reader);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_TEST(every_type_is_read_however_it_is_cut),
        CHECK_TEST(replies_of_one_piece_come_out_one_by_one),
        CHECK_TEST(what_announces_too_much_is_refused_before_it_arrives),
        CHECK_TEST(a_reply_within_the_limit_is_read_and_one_beyond_is_not),
        CHECK_TEST(many_small_values_count_together),
        CHECK_TEST(other_protocols_are_refused),
        CHECK_TEST(numbers_are_read_exactly),
        CHECK_TEST(errors_mean_what_callers_act_on),
        CHECK_TEST(commands_become_the_bytes_that_redis_reads),
        CHECK_TEST(long_arguments_stay_where_they_lie),
        CHECK_TEST(a_command_over_a_gibibyte_is_refused_without_touching_it),
        CHECK_TEST(an_argument_without_a_command_is_a_failure),
        CHECK_TEST(every_allocation_may_fail),
        CHECK_TEST(a_reader_that_held_something_big_gives_its_memory_back),
    };
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    const int code = check_main(argc, argv, "resp", tests, sizeof tests / sizeof *tests);
    imgq_env_destroy(env);
    return code;
}
