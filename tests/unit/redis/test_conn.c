/* Calls against a real server. */
#include "redis/conn.h"

#include "support/check.h"
#include "support/failing_alloc.h"
#include "support/redis_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static imgq_env *env;
static redis_fixture *server;

static iq_call within(int64_t ms)
{
    return (iq_call){.deadline = iq_deadline_after_ms(ms)};
}

static iq_conn *open_url(const char *text, const iq_conn_options *options)
{
    iq_url url;
    imgq_error err;
    iq_conn *conn = NULL;
    if (CHECK_OK(iq_url_parse(env, text, &url, &err)))
        CHECK_OK(iq_conn_open(env, &url, options, &conn, &err));
    iq_url_release(env, &url);
    return conn;
}

static iq_conn *open_conn(const iq_conn_options *options)
{
    return open_url(redis_fixture_url(server), options);
}

#define WORDS(...)                                                                                                     \
    ((const char *const[]){__VA_ARGS__}), sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

/* One command that must be answered with this text or status. */
static void check_says(iq_conn *conn, const char *want, const char *const *words, size_t count)
{
    iq_reply *reply;
    imgq_error err;
    const iq_call call = within(10000);
    if (CHECK_OK(iq_conn_call_words(conn, words, count, &call, &reply, &err)))
        CHECK_EQ_STR(want, reply->text);
    iq_reply_free(reply);
}

static void a_command_gets_its_reply(void)
{
    iq_conn *conn = open_conn(NULL);
    check_says(conn, "OK", WORDS("SET", "a key", "a value"));
    check_says(conn, "a value", WORDS("GET", "a key"));
    uint64_t commands, round_trips;
    iq_conn_get_traffic(conn, &commands, &round_trips);
    CHECK_EQ_SIZE(2 + 2, commands); /* CLIENT SETNAME and PING greet */
    CHECK_EQ_SIZE(2 + 1, round_trips);
    CHECK_EQ_SIZE(1, iq_conn_generation(conn));
    iq_conn_close(conn);
}

static void the_greeting_sets_name_database_and_user(void)
{
    imgq_error err;
    char url[600];
    snprintf(url, sizeof url, "%s?db=3", redis_fixture_url(server));
    CHECK_EQ_STR("OK", redis_fixture_ask(server, "ACL SETUSER ann on >pw ~* &* +@all"));
    const iq_conn_options options = {.username = "ann", .password = "pw", .client_name = "worker 1"};
    iq_conn *conn = open_url(url, &options);
    check_says(conn, "worker-1", WORDS("CLIENT", "GETNAME"));
    check_says(conn, "ann", WORDS("ACL", "WHOAMI"));
    check_says(conn, "OK", WORDS("SET", "in-three", "yes"));
    iq_conn_close(conn);
    snprintf(url, sizeof url, "redis://ann:pw@127.0.0.1:%d/3", redis_fixture_port(server));
    conn = open_url(url, NULL);
    check_says(conn, "yes", WORDS("GET", "in-three"));
    iq_conn_close(conn);
    const iq_conn_options wrong = {.username = "ann", .password = "hunter2"};
    conn = open_conn(&wrong);
    CHECK_STATUS(IMGQ_E_DENIED, iq_conn_ensure(conn, iq_deadline_after_ms(5000), &err));
    CHECK_CONTAINS(" as ann: WRONGPASS invalid username-password pair", err.message);
    CHECK(strstr(err.message, "hunter2") == NULL);
    iq_conn_close(conn);
    snprintf(url, sizeof url, "%s?db=9999", redis_fixture_url(server));
    conn = open_url(url, NULL);
    CHECK_STATUS(IMGQ_E_INVALID, iq_conn_ensure(conn, iq_deadline_after_ms(5000), &err));
    CHECK_CONTAINS(": database 9999: ERR DB index is out of range", err.message);
    iq_conn_close(conn);
    CHECK_EQ_STR("(integer) 1", redis_fixture_ask(server, "ACL DELUSER ann"));
}

static void a_server_that_wants_a_password_says_so(void)
{
    imgq_error err;
    redis_fixture *locked = redis_fixture_start("requirepass sesame");
    iq_conn *conn = open_url(redis_fixture_url(locked), NULL);
    CHECK_STATUS(IMGQ_E_DENIED, iq_conn_ensure(conn, iq_deadline_after_ms(5000), &err));
    CHECK_CONTAINS("NOAUTH Authentication required", err.message);
    iq_conn_close(conn);
    const iq_conn_options options = {.password = "sesame"};
    conn = open_url(redis_fixture_tcp_url(locked), &options);
    check_says(conn, "PONG", WORDS("PING"));
    iq_conn_close(conn);
    redis_fixture_stop(locked);
}

static void a_pipeline_answers_in_order_and_takes_any_bytes(void)
{
    enum { BIG = 5 << 20 };
    iq_conn *conn = open_conn(NULL);
    imgq_error err;
    uint8_t *big = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (uint8_t)(i * 2654435761u >> 9);
    iq_commands commands;
    iq_reply *replies[5];
    iq_commands_init(&commands, env);
    iq_commands_add(&commands, "SET");
    iq_commands_bytes(&commands, "k\0\r\n", 4);
    iq_commands_bytes(&commands, big, BIG);
    iq_commands_add(&commands, "GET");
    iq_commands_bytes(&commands, "k\0\r\n", 4);
    iq_commands_add(&commands, "INCRBY");
    iq_commands_text(&commands, "n");
    iq_commands_int(&commands, -42);
    iq_commands_add(&commands, "LPUSH");
    iq_commands_bytes(&commands, "k\0\r\n", 4);
    iq_commands_bytes(&commands, NULL, 0);
    iq_commands_add(&commands, "DEL");
    iq_commands_bytes(&commands, "k\0\r\n", 4);
    iq_commands_text(&commands, "n");
    const iq_call call = within(60000);
    if (CHECK_OK(iq_conn_call(conn, &commands, &call, replies, &err))) {
        CHECK(iq_reply_is(replies[0], "OK"));
        CHECK_EQ_INT(IQ_REPLY_TEXT, replies[1]->type);
        if (CHECK_EQ_SIZE(BIG, replies[1]->len))
            CHECK_EQ_MEM(big, replies[1]->text, BIG);
        CHECK_EQ_INT(-42, replies[2]->integer);
        CHECK_STATUS(IMGQ_E_UNSUPPORTED, iq_reply_check(replies[3], "push", &err));
        CHECK_CONTAINS("push: WRONGTYPE Operation", err.message);
        CHECK_EQ_INT(2, replies[4]->integer);
        for (size_t i = 0; i < 5; i++)
            iq_reply_free(replies[i]);
    }
    uint64_t sent, trips;
    iq_conn_get_traffic(conn, &sent, &trips);
    CHECK_EQ_SIZE(7, sent);
    CHECK_EQ_SIZE(2, trips);
    iq_commands_release(&commands);
    iq_conn_close(conn);
    free(big);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_TEST(a_command_gets_its_reply),
        CHECK_TEST(the_greeting_sets_name_database_and_user),
        CHECK_TEST(a_server_that_wants_a_password_says_so),
        CHECK_TEST(a_pipeline_answers_in_order_and_takes_any_bytes),
    };
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    server = redis_fixture_start(NULL);
    const int code = check_main(argc, argv, "conn", tests, sizeof tests / sizeof *tests);
    redis_fixture_stop(server);
    imgq_env_destroy(env);
    return code;
}
