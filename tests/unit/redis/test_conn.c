/* Calls against a real server. */
#include "redis/conn.h"

#include "support/check.h"
#include "support/failing_alloc.h"
#include "support/faulty_proxy.h"
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

/* ---- scripts ---- */

/* Made by `printf … | sha1sum`. */
static const iq_script append_script = {"append", "#!lua flags=allow-oom\nreturn redis.call('RPUSH', KEYS[1], ARGV[1])",
                                        66, "5ab38ae4afc3eacd8bf79cb0efce34c1c5413fa7"};

static void a_script_unknown_to_the_server_is_sent_whole_and_in_order(void)
{
    iq_conn *conn = open_conn(NULL);
    imgq_error err;
    iq_commands commands;
    iq_reply *replies[7];
    const iq_call call = within(10000);
    uint64_t sent[3], trips[3];
    CHECK_EQ_STR("OK", redis_fixture_ask(server, "SCRIPT FLUSH"));
    check_says(conn, "", WORDS("DEL", "order"));
    iq_commands_init(&commands, env);
    for (int round = 0; round < 2; round++) {
        iq_conn_get_traffic(conn, &sent[round], &trips[round]);
        iq_commands_clear(&commands);
        for (int i = 0; i < 6; i++) {
            iq_commands_add_script(&commands, &append_script, 1);
            iq_commands_text(&commands, "order");
            iq_commands_int(&commands, round * 10 + i);
            if (i == 2) {
                iq_commands_add(&commands, "LLEN");
                iq_commands_text(&commands, "order");
            }
        }
        if (!CHECK_OK(iq_conn_call(conn, &commands, &call, replies, &err)))
            break;
        for (int i = 0; i < 7; i++) {
            CHECK_EQ_INT(IQ_REPLY_INTEGER, replies[i]->type);
            iq_reply_free(replies[i]);
        }
    }
    iq_conn_get_traffic(conn, &sent[2], &trips[2]);
    /* The first time all six were unknown and came again as EVAL, in one further round trip. */
    CHECK_EQ_SIZE(7 + 6, sent[1] - sent[0]);
    CHECK_EQ_SIZE(2, trips[1] - trips[0]);
    CHECK_EQ_SIZE(7, sent[2] - sent[1]);
    CHECK_EQ_SIZE(1, trips[2] - trips[1]);
    iq_reply *list;
    if (CHECK_OK(iq_conn_call_words(conn, WORDS("LRANGE", "order", "0", "-1"), &call, &list, &err))) {
        CHECK_EQ_SIZE(12, list->count);
        for (size_t i = 0; i < list->count; i++) {
            int64_t number = -1;
            CHECK(iq_reply_int(iq_reply_at(list, i), &number));
            CHECK_EQ_INT((int64_t)(i < 6 ? i : i + 4), number);
        }
        iq_reply_free(list);
    }
    iq_commands_release(&commands);
    iq_conn_close(conn);
}

static void scripts_forgotten_all_the_time_are_executed_once_each(void)
{
    enum { ROUNDS = 200, EACH = 4 };
    iq_conn *conn = open_conn(NULL);
    imgq_error err;
    iq_commands commands;
    iq_reply *replies[2 * EACH];
    check_says(conn, "", WORDS("DEL", "order"));
    iq_commands_init(&commands, env);
    for (int round = 0; round < ROUNDS; round++) {
        const iq_call call = within(10000);
        iq_commands_clear(&commands);
        for (int i = 0; i < EACH; i++) {
            iq_commands_add_script(&commands, &append_script, 1);
            iq_commands_text(&commands, "order");
            iq_commands_int(&commands, round * EACH + i);
            /* In the middle of the pipeline the server forgets. */
            iq_commands_add(&commands, i == round % EACH ? "SCRIPT" : "ECHO");
            iq_commands_text(&commands, "FLUSH");
        }
        if (!CHECK_OK(iq_conn_call(conn, &commands, &call, replies, &err)))
            break;
        for (int i = 0; i < 2 * EACH; i++) {
            CHECK_EQ_INT(IMGQ_OK, replies[i]->status);
            iq_reply_free(replies[i]);
        }
    }
    iq_commands_release(&commands);
    CHECK_EQ_STR("(integer) 800", redis_fixture_ask(server, "LLEN order"));
    iq_conn_close(conn);
}

/* ---- waiting ---- */

static void a_blocking_command_may_be_silent_longer_than_others(void)
{
    const iq_conn_options options = {.call_ms = 1000};
    iq_conn *conn = open_conn(&options);
    imgq_error err;
    iq_reply *reply;
    iq_call call = within(20000);
    call.block_ms = 1200;
    if (CHECK_OK(iq_conn_call_words(conn, WORDS("BLPOP", "nothing", "1.2"), &call, &reply, &err)))
        CHECK_EQ_INT(IQ_REPLY_NIL, reply->type);
    iq_reply_free(reply);
    call = within(20000);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_conn_call_words(conn, WORDS("BLPOP", "nothing", "5"), &call, &reply, &err));
    char want[700];
    snprintf(want, sizeof want, "BLPOP at %s: no answer within 1000 ms", redis_fixture_socket(server));
    CHECK_EQ_STR(want, err.message);
    /* The late answer must not become the answer to another question. */
    check_says(conn, "hello", WORDS("ECHO", "hello"));
    CHECK_EQ_SIZE(2, iq_conn_generation(conn));
    iq_conn_close(conn);
}

static void the_deadline_ends_a_call_and_the_next_one_works(void)
{
    iq_conn *conn = open_conn(NULL);
    imgq_error err;
    iq_reply *reply;
    CHECK_OK(iq_conn_ensure(conn, iq_deadline_after_ms(5000), &err));
    const iq_call call = within(50);
    CHECK_STATUS(IMGQ_E_TIMEOUT, iq_conn_call_words(conn, WORDS("BLPOP", "nothing", "5"), &call, &reply, &err));
    CHECK_CONTAINS("BLPOP at ", err.message);
    CHECK_CONTAINS(": no answer before the deadline", err.message);
    CHECK(reply == NULL);
    check_says(conn, "hello", WORDS("ECHO", "hello"));
    iq_conn_close(conn);
}

static void a_slow_path_works_and_a_silent_one_ends(void)
{
    faulty_proxy *proxy = faulty_proxy_start(redis_fixture_socket(server));
    const iq_conn_options options = {.call_ms = 1500};
    iq_conn *conn = open_url(faulty_proxy_url(proxy), &options);
    check_says(conn, "one", WORDS("ECHO", "one"));
    faulty_proxy_set_delay_ms(proxy, 100);
    check_says(conn, "two", WORDS("ECHO", "two"));
    faulty_proxy_set_delay_ms(proxy, 0);
    faulty_proxy_black_hole(proxy, true);
    iq_reply *reply;
    imgq_error err;
    const iq_call call = within(30000);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_conn_call_words(conn, WORDS("ECHO", "three"), &call, &reply, &err));
    CHECK_CONTAINS("ECHO at 127.0.0.1:", err.message);
    CHECK_CONTAINS(": no answer within 1500 ms", err.message);
    faulty_proxy_black_hole(proxy, false);
    check_says(conn, "four", WORDS("ECHO", "four"));
    iq_conn_close(conn);
    faulty_proxy_stop(proxy);
}

typedef struct interrupter {
    const iq_interrupt *interrupt;
    redis_fixture *server;
} interrupter;

/* Waits until the server has a blocked client, then interrupts. */
static void *interrupt_blocked(void *user)
{
    const interrupter *it = user;
    while (redis_fixture_info(it->server, "clients", "blocked_clients") != 1)
        usleep(1000);
    iq_interrupt_set(it->interrupt);
    return NULL;
}

static void an_interrupt_from_another_thread_ends_a_blocked_call(void)
{
    imgq_error err;
    iq_interrupt interrupt;
    iq_reply *reply;
    pthread_t thread;
    CHECK_OK(iq_interrupt_open(&interrupt, &err));
    const iq_conn_options options = {.interrupt = &interrupt};
    iq_conn *conn = open_conn(&options);
    interrupter it = {&interrupt, server};
    CHECK_EQ_INT(0, pthread_create(&thread, NULL, interrupt_blocked, &it));
    iq_call call = {.deadline = iq_deadline_never(), .block_ms = 60000};
    CHECK_STATUS(IMGQ_E_CANCELLED, iq_conn_call_words(conn, WORDS("BLPOP", "nothing", "60"), &call, &reply, &err));
    CHECK_CONTAINS(": interrupted", err.message);
    pthread_join(thread, NULL);
    /* While it is set, nothing is sent at all. */
    uint64_t before, after, trips;
    iq_conn_get_traffic(conn, &before, &trips);
    CHECK_STATUS(IMGQ_E_CANCELLED, iq_conn_call_words(conn, WORDS("PING"), &call, &reply, &err));
    iq_conn_get_traffic(conn, &after, &trips);
    CHECK_EQ_SIZE(before, after);
    iq_interrupt_clear(&interrupt);
    check_says(conn, "PONG", WORDS("PING"));
    iq_conn_close(conn);
    iq_interrupt_close(&interrupt);
}

static iq_interrupt for_signal;

static void on_signal(int number)
{
    (void)number;
    iq_interrupt_set(&for_signal);
}

static void an_interrupt_from_a_signal_handler_ends_a_blocked_call(void)
{
    imgq_error err;
    iq_reply *reply;
    CHECK_OK(iq_interrupt_open(&for_signal, &err));
    const iq_conn_options options = {.interrupt = &for_signal};
    iq_conn *conn = open_conn(&options);
    const struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before;
    const struct itimerval soon = {.it_value = {0, 100000}};
    CHECK(sigaction(SIGALRM, &action, &before) == 0);
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    iq_call call = {.deadline = iq_deadline_never(), .block_ms = 60000};
    CHECK_STATUS(IMGQ_E_CANCELLED, iq_conn_call_words(conn, WORDS("BLPOP", "nothing", "60"), &call, &reply, &err));
    CHECK(sigaction(SIGALRM, &before, NULL) == 0);
    iq_conn_close(conn);
    iq_interrupt_close(&for_signal);
}

/* ---- losses ---- */

typedef struct heard {
    uint64_t count, last;
} heard;

static void on_connect(void *user, iq_conn *conn, uint64_t generation)
{
    heard *it = user;
    CHECK_EQ_SIZE(generation, iq_conn_generation(conn));
    it->count++;
    it->last = generation;
}

static void a_restarted_server_finds_user_database_and_name_again(void)
{
    redis_fixture *mine = redis_fixture_start("appendonly yes\nappendfsync always\nrequirepass sesame");
    imgq_error err;
    iq_reply *reply;
    char url[600];
    heard told = {0};
    snprintf(url, sizeof url, "%s?db=5", redis_fixture_url(mine));
    const iq_conn_options options = {
        .password = "sesame", .client_name = "phoenix", .on_connect = on_connect, .on_connect_user = &told};
    iq_conn *conn = open_url(url, &options);
    check_says(conn, "OK", WORDS("SET", "kept", "yes"));
    CHECK_EQ_SIZE(1, told.count);
    redis_fixture_kill(mine);
    const iq_call call = within(300);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_conn_call_words(conn, WORDS("GET", "kept"), &call, &reply, &err));
    CHECK_CONTAINS("connect to ", err.message);
    redis_fixture_restart(mine);
    iq_call repeated = within(20000);
    repeated.repeat = true;
    if (CHECK_OK(iq_conn_call_words(conn, WORDS("GET", "kept"), &repeated, &reply, &err)))
        CHECK_EQ_STR("yes", reply->text);
    iq_reply_free(reply);
    check_says(conn, "phoenix", WORDS("CLIENT", "GETNAME"));
    CHECK_EQ_SIZE(2, told.count);
    CHECK_EQ_SIZE(2, told.last);
    CHECK_EQ_SIZE(2, iq_conn_generation(conn));
    iq_conn_close(conn);
    redis_fixture_stop(mine);
}

static void *restart_soon(void *user)
{
    usleep(400000);
    redis_fixture_restart(user);
    return NULL;
}

static void a_call_that_may_be_repeated_outlives_an_outage(void)
{
    redis_fixture *mine = redis_fixture_start("appendonly yes");
    iq_conn *conn = open_url(redis_fixture_url(mine), NULL);
    imgq_error err;
    iq_reply *reply;
    pthread_t thread;
    check_says(conn, "OK", WORDS("SET", "kept", "yes"));
    redis_fixture_shut_down(mine);
    CHECK_EQ_INT(0, pthread_create(&thread, NULL, restart_soon, mine));
    iq_call call = within(60000);
    call.repeat = true;
    if (CHECK_OK(iq_conn_call_words(conn, WORDS("GET", "kept"), &call, &reply, &err)))
        CHECK_EQ_STR("yes", reply->text);
    iq_reply_free(reply);
    pthread_join(thread, NULL);
    iq_conn_close(conn);
    redis_fixture_stop(mine);
}

static void a_connection_closed_while_idle_is_made_again_before_the_call(void)
{
    iq_conn *conn = open_conn(NULL);
    for (int i = 0; i < 3; i++) {
        check_says(conn, "PONG", WORDS("PING"));
        CHECK(strstr(redis_fixture_ask(server, "CLIENT KILL TYPE normal SKIPME yes"), "(integer) ") != NULL);
    }
    check_says(conn, "PONG", WORDS("PING"));
    CHECK_EQ_SIZE(4, iq_conn_generation(conn));
    iq_conn_close(conn);
}

static void a_call_for_one_connection_is_not_sent_on_another(void)
{
    iq_conn *conn = open_conn(NULL);
    imgq_error err;
    iq_reply *reply;
    CHECK_OK(iq_conn_ensure(conn, iq_deadline_after_ms(5000), &err));
    iq_call call = within(5000);
    call.generation = iq_conn_generation(conn);
    CHECK_OK(iq_conn_call_words(conn, WORDS("PING"), &call, &reply, &err));
    iq_reply_free(reply);
    iq_conn_drop(conn);
    CHECK(!iq_conn_is_connected(conn));
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_conn_call_words(conn, WORDS("PING"), &call, &reply, &err));
    CHECK_CONTAINS("is not the same any more", err.message);
    CHECK_OK(iq_conn_ensure(conn, iq_deadline_after_ms(5000), &err));
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_conn_call_words(conn, WORDS("PING"), &call, &reply, &err));
    CHECK_EQ_SIZE(2, iq_conn_generation(conn));
    iq_conn_close(conn);
}

static void a_server_that_refuses_is_not_asked_all_the_time(void)
{
    faulty_proxy *proxy = faulty_proxy_start(redis_fixture_socket(server));
    iq_conn *conn = open_url(faulty_proxy_url(proxy), NULL);
    imgq_error err;
    iq_reply *reply;
    check_says(conn, "PONG", WORDS("PING"));
    faulty_proxy_refuse(proxy, true);
    faulty_proxy_break_all(proxy);
    const int64_t start = iq_clock_ns();
    int calls = 0;
    const iq_call call = within(60000);
    while (calls < 4) {
        CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_conn_call_words(conn, WORDS("PING"), &call, &reply, &err));
        calls++;
    }
    /* The first was made at once; before each of the other three at least 100 ms had to pass. */
    CHECK(iq_clock_ns() - start >= 300 * 1000000LL);
    faulty_proxy_refuse(proxy, false);
    iq_call repeated = within(60000);
    repeated.repeat = true;
    CHECK_OK(iq_conn_call_words(conn, WORDS("PING"), &repeated, &reply, &err));
    iq_reply_free(reply);
    iq_conn_close(conn);
    faulty_proxy_stop(proxy);
}

static void a_large_command_into_a_dying_server_is_no_signal(void)
{
    enum { BIG = 8 << 20 };
    redis_fixture *mine = redis_fixture_start(NULL);
    iq_conn *conn = open_url(redis_fixture_url(mine), NULL);
    imgq_error err;
    iq_reply *reply;
    char *big = calloc(1, BIG);
    iq_commands commands;
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    check_says(conn, "PONG", WORDS("PING"));
    /* A stopped server reads nothing, so the socket is full when it dies. */
    redis_fixture_pause(mine);
    iq_commands_init(&commands, env);
    iq_commands_add(&commands, "SET");
    iq_commands_text(&commands, "big");
    iq_commands_bytes(&commands, big, BIG);
    iq_call call = within(100);
    CHECK_STATUS(IMGQ_E_TIMEOUT, iq_conn_call(conn, &commands, &call, &reply, &err));
    redis_fixture_resume(mine);
    CHECK_OK(iq_conn_ensure(conn, iq_deadline_after_ms(20000), &err));
    redis_fixture_kill(mine);
    call = within(5000);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, iq_conn_call(conn, &commands, &call, &reply, &err));
    iq_commands_release(&commands);
    iq_conn_close(conn);
    redis_fixture_stop(mine);
    free(big);
}

static void a_reply_cut_anywhere_is_never_half_a_reply(void)
{
    static const char want[] = "*2\r\n$5\r\nfirst\r\n$6\r\nsecond\r\n";
    faulty_proxy *proxy = faulty_proxy_start(redis_fixture_socket(server));
    iq_conn *conn = open_url(faulty_proxy_url(proxy), NULL);
    imgq_error err;
    iq_reply *reply;
    check_says(conn, "", WORDS("DEL", "two"));
    check_says(conn, "", WORDS("RPUSH", "two", "first", "second"));
    for (size_t cut = 0; cut < sizeof want - 1; cut++) {
        CHECK_OK(iq_conn_ensure(conn, iq_deadline_after_ms(10000), &err));
        faulty_proxy_cut_replies_after(proxy, (int64_t)cut);
        iq_call call = within(10000);
        CHECK_STATUS(IMGQ_E_UNAVAILABLE,
                     iq_conn_call_words(conn, WORDS("LRANGE", "two", "0", "-1"), &call, &reply, &err));
        CHECK(reply == NULL);
        call.repeat = true;
        if (CHECK_OK(iq_conn_call_words(conn, WORDS("LRANGE", "two", "0", "-1"), &call, &reply, &err)))
            CHECK_EQ_SIZE(2, reply->count);
        iq_reply_free(reply);
    }
    CHECK_EQ_SIZE(sizeof want - 1, faulty_proxy_cuts(proxy));
    iq_conn_close(conn);
    faulty_proxy_stop(proxy);
}

/* ---- processes and memory ---- */

static void a_forked_child_cannot_use_the_parents_connection(void)
{
    iq_conn *conn = open_conn(NULL);
    check_says(conn, "PONG", WORDS("PING"));
    const pid_t child = fork();
    if (child == 0) {
        imgq_error err = {0};
        iq_reply *reply;
        const iq_call call = within(5000);
        const imgq_status status = iq_conn_call_words(conn, WORDS("SET", "child", "was here"), &call, &reply, &err);
        iq_conn_close(conn);
        _exit(status == IMGQ_E_INVALID && strstr(err.message, "belongs to process") != NULL ? 0 : 1);
    }
    int state = -1;
    CHECK(waitpid(child, &state, 0) == child);
    CHECK_EQ_INT(0, state);
    check_says(conn, "parent", WORDS("ECHO", "parent"));
    CHECK_EQ_SIZE(1, iq_conn_generation(conn));
    CHECK_EQ_STR("(integer) 0", redis_fixture_ask(server, "EXISTS child"));
    iq_conn_close(conn);
}

static imgq_status call_in(imgq_env *some)
{
    iq_url url;
    imgq_error err;
    iq_conn *conn = NULL;
    iq_commands commands;
    iq_reply *replies[2];
    imgq_status status = iq_url_parse(some, redis_fixture_url(server), &url, &err);
    if (status != IMGQ_OK)
        return status;
    status = iq_conn_open(some, &url, NULL, &conn, &err);
    iq_url_release(some, &url);
    if (status != IMGQ_OK)
        return status;
    iq_commands_init(&commands, some);
    iq_commands_add_script(&commands, &append_script, 1);
    iq_commands_text(&commands, "memory");
    iq_commands_int(&commands, 1);
    iq_commands_add(&commands, "LRANGE");
    iq_commands_text(&commands, "memory");
    iq_commands_int(&commands, 0);
    iq_commands_int(&commands, 3);
    const iq_call call = within(10000);
    status = iq_conn_call(conn, &commands, &call, replies, &err);
    for (size_t i = 0; i < 2; i++)
        iq_reply_free(replies[i]);
    if (status == IMGQ_E_NOMEM) { /* and the handle still works */
        CHECK_OK(iq_conn_ensure(conn, iq_deadline_after_ms(5000), &err));
    }
    iq_commands_release(&commands);
    iq_conn_close(conn);
    return status;
}

static void every_allocation_may_fail(void)
{
    for (size_t nth = 1;; nth++) {
        CHECK_EQ_STR("OK", redis_fixture_ask(server, "SCRIPT FLUSH"));
        imgq_env *failing = failing_env(nth);
        if (failing == NULL)
            continue;
        const imgq_status status = call_in(failing);
        const int failed = failing_has_failed();
        imgq_env_destroy(failing);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        if (!CHECK_EQ_INT(failed ? IMGQ_E_NOMEM : IMGQ_OK, status) || !failed)
            break;
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_TEST(a_command_gets_its_reply),
        CHECK_TEST(the_greeting_sets_name_database_and_user),
        CHECK_TEST(a_server_that_wants_a_password_says_so),
        CHECK_TEST(a_pipeline_answers_in_order_and_takes_any_bytes),
        CHECK_TEST(a_script_unknown_to_the_server_is_sent_whole_and_in_order),
        CHECK_TEST(scripts_forgotten_all_the_time_are_executed_once_each),
        CHECK_TEST(a_blocking_command_may_be_silent_longer_than_others),
        CHECK_TEST(the_deadline_ends_a_call_and_the_next_one_works),
        CHECK_TEST(a_slow_path_works_and_a_silent_one_ends),
        CHECK_TEST(an_interrupt_from_another_thread_ends_a_blocked_call),
        CHECK_TEST(an_interrupt_from_a_signal_handler_ends_a_blocked_call),
        CHECK_TEST(a_restarted_server_finds_user_database_and_name_again),
        CHECK_TEST(a_call_that_may_be_repeated_outlives_an_outage),
        CHECK_TEST(a_connection_closed_while_idle_is_made_again_before_the_call),
        CHECK_TEST(a_call_for_one_connection_is_not_sent_on_another),
        CHECK_TEST(a_server_that_refuses_is_not_asked_all_the_time),
        CHECK_TEST(a_large_command_into_a_dying_server_is_no_signal),
        CHECK_TEST(a_reply_cut_anywhere_is_never_half_a_reply),
        CHECK_TEST(a_forked_child_cannot_use_the_parents_connection),
        CHECK_TEST(every_allocation_may_fail),
    };
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    server = redis_fixture_start(NULL);
    const int code = check_main(argc, argv, "conn", tests, sizeof tests / sizeof *tests);
    redis_fixture_stop(server);
    imgq_env_destroy(env);
    return code;
}
