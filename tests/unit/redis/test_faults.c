/* Servers that say what no server should. */
#include "redis/conn.h"

#include "fake_server.h"
#include "support/check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static imgq_env *env;
static fake_server *server;

static iq_conn *open_conn(const iq_conn_options *options)
{
    iq_url url;
    imgq_error err;
    iq_conn *conn = NULL;
    if (CHECK_OK(iq_url_parse(env, fake_server_url(server), &url, &err)))
        CHECK_OK(iq_conn_open(env, &url, options, &conn, &err));
    iq_url_release(env, &url);
    return conn;
}

static imgq_status ask(iq_conn *conn, iq_reply **reply, imgq_error *err)
{
    const iq_call call = {.deadline = iq_deadline_after_ms(20000)};
    return iq_conn_call_words(conn, (const char *const[]){"GET", "k"}, 2, &call, reply, err);
}

static void says(const char *bytes, size_t len, enum fake_ending ending)
{
    fake_server_says(server, (fake_answer){.bytes = bytes, .len = len, .ending = ending});
}

static void a_server_that_dies_at_any_byte_of_its_reply_is_unavailable(void)
{
    static const char reply_bytes[] = "*3\r\n:12\r\n$4\r\nab\r\n\r\n*2\r\n+s\r\n$-1\r\n";
    iq_conn *conn = open_conn(NULL);
    for (size_t len = 0; len <= sizeof reply_bytes - 1; len++) {
        iq_reply *reply;
        imgq_error err = {0};
        /* What was learned of the last connection's end must not slow this down. */
        iq_conn_drop(conn);
        says(reply_bytes, len, FAKE_CLOSE);
        if (len < sizeof reply_bytes - 1) {
            CHECK_STATUS(IMGQ_E_UNAVAILABLE, ask(conn, &reply, &err));
            CHECK_CONTAINS("GET at /tmp/imgq-fake-", err.message);
            CHECK_CONTAINS(": connection closed by the server", err.message);
            CHECK(reply == NULL);
            CHECK(!iq_conn_is_connected(conn));
        } else if (CHECK_OK(ask(conn, &reply, &err))) {
            CHECK_EQ_SIZE(3, reply->count);
            iq_reply_free(reply);
        }
    }
    iq_conn_close(conn);
}

static void a_server_that_dies_at_any_byte_of_its_greeting_is_unavailable(void)
{
    static const char greeting[] = "+OK\r\n+PONG\r\n";
    static char cuts[sizeof greeting][sizeof greeting]; /* each stays as it is while the server's thread may read it */
    for (size_t len = 0; len < sizeof greeting - 1; len++) {
        char *cut = cuts[len];
        iq_reply *reply;
        imgq_error err = {0};
        iq_conn *conn = open_conn(NULL);
        memcpy(cut, greeting, len);
        fake_server_says(server, (fake_answer){.greeting = cut, .bytes = "", .hang_up = true});
        CHECK_STATUS(IMGQ_E_UNAVAILABLE, ask(conn, &reply, &err));
        CHECK_CONTAINS("connect to /tmp/imgq-fake-", err.message);
        CHECK_CONTAINS(": connection closed by the server", err.message);
        CHECK(reply == NULL);
        iq_conn_close(conn);
    }
}

static void a_server_that_does_not_greet_is_waited_for_no_longer_than_said(void)
{
    iq_reply *reply;
    imgq_error err = {0};
    iq_conn *conn = open_conn(&(iq_conn_options){.connect_ms = 30});
    fake_server_says(server, (fake_answer){.greeting = "+OK\r\n+PO", .bytes = ""});
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, ask(conn, &reply, &err));
    CHECK_CONTAINS("connect to /tmp/imgq-fake-", err.message);
    CHECK_CONTAINS(": no answer within 30 ms", err.message);
    iq_conn_close(conn);
}

static void what_breaks_limits_or_protocol_ends_the_connection(void)
{
    static const struct {
        const char *bytes;
        imgq_status status;
        const char *message;
    } cases[] = {
        {"$536870912\r\nabc", IMGQ_E_LIMIT, "a reply of "},
        {"*2147483647\r\n", IMGQ_E_LIMIT, "more than 262144 elements"},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", IMGQ_E_PROTOCOL, "not the Redis protocol"},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", IMGQ_E_PROTOCOL, "not the Redis protocol"},
        {"%1\r\n+a\r\n+b\r\n", IMGQ_E_PROTOCOL, "not the Redis protocol"},
        {"+one\r\n+two\r\n", IMGQ_E_PROTOCOL, "more answers than questions"},
        {"+one\r\n$5\r\nha", IMGQ_E_PROTOCOL, "more answers than questions"},
    };
    iq_conn *conn = open_conn(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iq_reply *reply;
        imgq_error err = {0};
        const uint64_t before = iq_conn_generation(conn);
        iq_conn_drop(conn);
        says(cases[i].bytes, strlen(cases[i].bytes), FAKE_AGAIN);
        CHECK_STATUS(cases[i].status, ask(conn, &reply, &err));
        CHECK_CONTAINS("GET at ", err.message);
        CHECK_CONTAINS(cases[i].message, err.message);
        CHECK(reply == NULL);
        CHECK(!iq_conn_is_connected(conn));
        says("+fine\r\n", 7, FAKE_AGAIN);
        if (CHECK_OK(ask(conn, &reply, &err)))
            CHECK_EQ_STR("fine", reply->text);
        iq_reply_free(reply);
        CHECK_EQ_SIZE(before + 2, iq_conn_generation(conn));
    }
    iq_conn_close(conn);
}

static void errors_that_say_go_away_end_the_connection_and_others_do_not(void)
{
    static const struct {
        const char *bytes;
        imgq_status status;
        bool stays;
    } cases[] = {
        {"-READONLY You can't write against a read only replica.\r\n", IMGQ_E_UNAVAILABLE, false},
        {"-UNBLOCKED force unblock from blocking operation\r\n", IMGQ_E_UNAVAILABLE, false},
        {"-LOADING Redis is loading the dataset in memory\r\n", IMGQ_E_UNAVAILABLE, false},
        {"-MASTERDOWN Link with MASTER is down\r\n", IMGQ_E_UNAVAILABLE, false},
        {"-OOM command not allowed\r\n", IMGQ_E_BUSY, true},
        {"-MISCONF Errors writing to the AOF file\r\n", IMGQ_E_BUSY, true},
        {"-NOPERM no permissions\r\n", IMGQ_E_DENIED, true},
        {"-IQVER 2\r\n", IMGQ_E_PROTOCOL, true},
    };
    iq_conn *conn = open_conn(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iq_reply *reply;
        imgq_error err = {0};
        iq_conn_drop(conn);
        says(cases[i].bytes, strlen(cases[i].bytes), FAKE_AGAIN);
        /* An error reply is a reply. */
        if (!CHECK_OK(ask(conn, &reply, &err)))
            continue;
        CHECK_STATUS(cases[i].status, iq_reply_check(reply, "get", &err));
        CHECK_EQ_INT(cases[i].stays, iq_conn_is_connected(conn));
        iq_reply_free(reply);
    }
    iq_conn_close(conn);
}

static void a_loading_server_is_waited_for(void)
{
    iq_reply *reply;
    imgq_error err;
    iq_conn *conn = open_conn(NULL);
    const size_t before = fake_server_connections(server);
    fake_server_says(server, (fake_answer){.greeting = "+OK\r\n-LOADING Redis is loading the dataset in memory\r\n",
                                           .bytes = "",
                                           .ending = FAKE_CLOSE});
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, ask(conn, &reply, &err));
    CHECK_CONTAINS(": LOADING Redis is loading the dataset in memory", err.message);
    const iq_call call = {.deadline = iq_deadline_after_ms(600), .repeat = true};
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_conn_call_words(conn, (const char *const[]){"PING"}, 1, &call, &reply, &err));
    CHECK_CONTAINS(": LOADING Redis is loading the dataset in memory", err.message);
    /* Backed off in between: 600 ms leave room for five further attempts at most. */
    const size_t attempts = fake_server_connections(server) - before;
    CHECK(attempts >= 2 && attempts <= 7);
    says("+fine\r\n", 7, FAKE_AGAIN);
    const iq_call longer = {.deadline = iq_deadline_after_ms(20000), .repeat = true};
    CHECK_OK(iq_conn_call_words(conn, (const char *const[]){"PING"}, 1, &longer, &reply, &err));
    iq_reply_free(reply);
    iq_conn_close(conn);
}

static void a_server_without_room_says_so_in_the_message(void)
{
    iq_reply *reply;
    imgq_error err;
    iq_conn *conn = open_conn(NULL);
    fake_server_says(server, (fake_answer){.greeting = "-ERR max number of clients reached\r\n", .bytes = ""});
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, ask(conn, &reply, &err));
    CHECK_CONTAINS(": ERR max number of clients reached", err.message);
    iq_conn_close(conn);
}

/* A full disk refuses everything, PING too: the server is there nevertheless. */
static void a_server_with_a_full_disk_is_a_server(void)
{
    iq_reply *reply;
    imgq_error err;
    iq_conn *conn = open_conn(NULL);
    fake_server_says(server, (fake_answer){.greeting = "-NOPERM no\r\n-MISCONF Errors writing to the AOF file\r\n",
                                           .bytes = "+fine\r\n",
                                           .len = 7,
                                           .ending = FAKE_AGAIN});
    if (CHECK_OK(ask(conn, &reply, &err)))
        CHECK_EQ_STR("fine", reply->text);
    iq_reply_free(reply);
    iq_conn_close(conn);
}

static void bytes_that_trickle_are_no_silence(void)
{
    static const char bytes[] = "$20\r\n01234567890123456789\r\n";
    iq_reply *reply;
    imgq_error err;
    iq_conn *conn = open_conn(&(iq_conn_options){.call_ms = 1000});
    /* 27 steps of 60 ms are more than the 1000 ms, but no single one is. */
    fake_server_says(server, (fake_answer){.bytes = bytes, .len = sizeof bytes - 1, .step = 1, .step_ms = 60});
    const int64_t start = iq_clock_ns();
    if (CHECK_OK(ask(conn, &reply, &err)))
        CHECK_EQ_STR("01234567890123456789", reply->text);
    CHECK(iq_clock_ns() - start > 1000 * 1000000LL);
    iq_reply_free(reply);
    iq_conn_drop(conn);
    says(bytes, 10, FAKE_SILENT);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, ask(conn, &reply, &err));
    CHECK_CONTAINS(": no answer within 1000 ms", err.message);
    iq_conn_close(conn);
}

static void a_reply_that_nobody_asked_for_is_thrown_away_with_its_connection(void)
{
    iq_reply *reply;
    imgq_error err;
    iq_conn *conn = open_conn(NULL);
    fake_server_says(server, (fake_answer){.bytes = "+one\r\n+late\r\n", .len = 13, .step = 6, .step_ms = 30});
    CHECK_OK(ask(conn, &reply, &err));
    iq_reply_free(reply);
    usleep(100000);
    says("+two\r\n", 6, FAKE_AGAIN);
    if (CHECK_OK(ask(conn, &reply, &err)))
        CHECK_EQ_STR("two", reply->text);
    iq_reply_free(reply);
    CHECK_EQ_SIZE(2, iq_conn_generation(conn));
    iq_conn_close(conn);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_TEST(a_server_that_dies_at_any_byte_of_its_reply_is_unavailable),
        CHECK_TEST(a_server_that_dies_at_any_byte_of_its_greeting_is_unavailable),
        CHECK_TEST(a_server_that_does_not_greet_is_waited_for_no_longer_than_said),
        CHECK_TEST(what_breaks_limits_or_protocol_ends_the_connection),
        CHECK_TEST(errors_that_say_go_away_end_the_connection_and_others_do_not),
        CHECK_TEST(a_loading_server_is_waited_for),
        CHECK_TEST(a_server_without_room_says_so_in_the_message),
        CHECK_TEST(a_server_with_a_full_disk_is_a_server),
        CHECK_TEST(bytes_that_trickle_are_no_silence),
        CHECK_TEST(a_reply_that_nobody_asked_for_is_thrown_away_with_its_connection),
    };
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    server = fake_server_start();
    const int code = check_main(argc, argv, "faults", tests, sizeof tests / sizeof *tests);
    fake_server_stop(server);
    imgq_env_destroy(env);
    return code;
}
