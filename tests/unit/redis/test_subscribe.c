/* Events: sharded channels and answers to posted commands. */
#include "redis/conn.h"

#include "support/check.h"
#include "support/failing_alloc.h"
#include "support/faulty_proxy.h"
#include "support/redis_fixture.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static imgq_env *env;
static redis_fixture *server;

static iq_conn *open_url(imgq_env *some, const char *text, const iq_conn_options *options, imgq_status *status)
{
    iq_url url;
    iq_conn *conn = NULL;
    *status = iq_url_parse(some, text, &url, NULL);
    if (*status == IMGQ_OK)
        *status = iq_conn_open(some, &url, options, &conn, NULL);
    iq_url_release(some, &url);
    return conn;
}

static iq_conn *open_conn(const char *text, const iq_conn_options *options)
{
    imgq_status status;
    iq_conn *conn = open_url(env, text, options, &status);
    CHECK_EQ_INT(IMGQ_OK, status);
    return conn;
}

static bool wait_for(iq_conn *conn, iq_event_type type, iq_event *event)
{
    imgq_error err;
    if (!CHECK_OK(iq_conn_wait_event(conn, iq_deadline_after_ms(20000), event, &err)))
        return false;
    if (event->type == IQ_EVENT_LOST || event->type == IQ_EVENT_REFUSED)
        if (!CHECK_EQ_INT(type, event->type))
            fprintf(stderr, "event says: %s\n", event->error.message);
    return CHECK_EQ_INT(type, event->type);
}

static void check_subscribed(iq_conn *conn, const char *channel)
{
    iq_event event;
    if (wait_for(conn, IQ_EVENT_SUBSCRIBED, &event))
        CHECK_EQ_STR(channel, event.channel);
    iq_event_release(&event);
}

static void check_message(iq_conn *conn, const char *channel, const char *body)
{
    iq_event event;
    if (wait_for(conn, IQ_EVENT_MESSAGE, &event)) {
        CHECK_EQ_STR(channel, event.channel);
        CHECK_EQ_STR(body, event.body);
        CHECK_EQ_SIZE(strlen(body), event.body_len);
    }
    iq_event_release(&event);
}

static void publish(const char *channel, const char *body)
{
    char line[200];
    snprintf(line, sizeof line, "SPUBLISH %s %s", channel, body);
    CHECK_CONTAINS("(integer) ", redis_fixture_ask(server, line));
}

static void what_is_published_after_the_confirmation_is_heard(void)
{
    imgq_error err;
    iq_event event;
    iq_conn *conn = open_conn(redis_fixture_url(server), NULL);
    CHECK_OK(iq_conn_subscribe(conn, "one", 3, &err));
    CHECK_OK(iq_conn_subscribe(conn, "one", 3, &err));
    check_subscribed(conn, "one");
    publish("one", "first");
    publish("other", "not-for-us");
    publish("one", "second");
    check_message(conn, "one", "first");
    check_message(conn, "one", "second");
    CHECK_STATUS(IMGQ_E_TIMEOUT, iq_conn_next_event(conn, &event, &err));
    /* More channels on the same connection, and fewer. */
    CHECK_OK(iq_conn_subscribe(conn, "two", 3, &err));
    check_subscribed(conn, "two");
    CHECK_OK(iq_conn_unsubscribe(conn, "one", 3, &err));
    CHECK_STATUS(IMGQ_E_TIMEOUT, iq_conn_next_event(conn, &event, &err));
    while (strcmp(redis_fixture_ask(server, "PUBSUB SHARDNUMSUB one"), "*2\r\n$3\r\none\r\n:0\r\n") != 0)
        CHECK_STATUS(IMGQ_E_TIMEOUT, iq_conn_next_event(conn, &event, &err));
    publish("one", "unheard");
    publish("two", "third");
    check_message(conn, "two", "third");
    iq_conn_close(conn);
}

static void one_descriptor_tells_a_host_all(void)
{
    imgq_error err;
    iq_event event;
    iq_conn *conn = open_conn(redis_fixture_url(server), NULL);
    CHECK_OK(iq_conn_subscribe(conn, "loop", 4, &err));
    const int fd = iq_conn_poll_fd(conn);
    CHECK(fd >= 0);
    int messages = 0, subscribed = 0, lost = 0;
    for (int rounds = 0; rounds < 1000 && messages < 2; rounds++) {
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        (void)poll(&polled, 1, iq_conn_timeout_ms(conn));
        imgq_status status;
        while ((status = iq_conn_next_event(conn, &event, &err)) == IMGQ_OK) {
            if (event.type == IQ_EVENT_SUBSCRIBED) {
                if (++subscribed == 1)
                    publish("loop", "hello");
                else
                    publish("loop", "again");
            } else if (event.type == IQ_EVENT_MESSAGE && ++messages == 1) {
                /* The connection breaks, and the descriptor stays good for the next one. */
                (void)redis_fixture_ask(server, "CLIENT KILL TYPE pubsub");
            } else if (event.type == IQ_EVENT_LOST) {
                lost++;
            }
            iq_event_release(&event);
        }
        CHECK_EQ_INT(IMGQ_E_TIMEOUT, status);
        CHECK_EQ_INT(fd, iq_conn_poll_fd(conn));
    }
    CHECK_EQ_INT(2, messages);
    CHECK_EQ_INT(2, subscribed);
    CHECK_EQ_INT(1, lost);
    /* Nothing to do: the descriptor is quiet. */
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    CHECK_EQ_INT(0, poll(&polled, 1, 0));
    CHECK(iq_conn_timeout_ms(conn) > 1000);
    iq_conn_close(conn);
}

static void every_channel_is_asked_for_again_after_a_restart(void)
{
    imgq_error err;
    iq_event event;
    redis_fixture *mine = redis_fixture_start("requirepass sesame");
    const iq_conn_options options = {.password = "sesame"};
    iq_conn *conn = open_conn(redis_fixture_url(mine), &options);
    CHECK_OK(iq_conn_subscribe(conn, "a", 1, &err));
    CHECK_OK(iq_conn_subscribe(conn, "b\0c", 3, &err));
    for (int i = 0; i < 2; i++)
        if (wait_for(conn, IQ_EVENT_SUBSCRIBED, &event))
            iq_event_release(&event);
    redis_fixture_kill(mine);
    CHECK(wait_for(conn, IQ_EVENT_LOST, &event));
    CHECK_EQ_INT(IMGQ_E_UNAVAILABLE, event.status);
    CHECK_CONTAINS("subscription at /", event.error.message);
    iq_event_release(&event);
    /* While it is away each attempt is told, and they are not many. */
    CHECK(wait_for(conn, IQ_EVENT_LOST, &event));
    CHECK_CONTAINS("connect to /", event.error.message);
    CHECK(iq_conn_timeout_ms(conn) > 0);
    CHECK_STATUS(IMGQ_E_TIMEOUT, iq_conn_next_event(conn, &event, &err));
    redis_fixture_restart(mine);
    int subscribed = 0;
    while (subscribed < 2 && CHECK_OK(iq_conn_wait_event(conn, iq_deadline_after_ms(20000), &event, &err))) {
        subscribed += event.type == IQ_EVENT_SUBSCRIBED;
        CHECK(event.type == IQ_EVENT_SUBSCRIBED || event.type == IQ_EVENT_LOST);
        iq_event_release(&event);
    }
    CHECK_EQ_STR("(integer) 1", redis_fixture_ask(mine, "SPUBLISH a hello"));
    check_message(conn, "a", "hello");
    CHECK_EQ_SIZE(2, iq_conn_generation(conn));
    iq_conn_close(conn);
    redis_fixture_stop(mine);
}

static void a_refused_channel_is_an_event_and_the_others_are_heard(void)
{
    imgq_error err;
    iq_event event;
    CHECK_EQ_STR("OK", redis_fixture_ask(server, "ACL SETUSER bob on >pw ~* resetchannels &mine:* +@all"));
    const iq_conn_options options = {.username = "bob", .password = "pw"};
    iq_conn *conn = open_conn(redis_fixture_url(server), &options);
    CHECK_OK(iq_conn_subscribe(conn, "mine:1", 6, &err));
    CHECK_OK(iq_conn_subscribe(conn, "theirs", 6, &err));
    CHECK_OK(iq_conn_subscribe(conn, "mine:2", 6, &err));
    int refused = 0, subscribed = 0;
    for (int i = 0; i < 3 && CHECK_OK(iq_conn_wait_event(conn, iq_deadline_after_ms(20000), &event, &err)); i++) {
        if (event.type == IQ_EVENT_REFUSED) {
            refused++;
            CHECK_EQ_STR("theirs", event.channel);
            CHECK_EQ_INT(IMGQ_E_DENIED, event.status);
            CHECK_CONTAINS("NOPERM", event.error.message);
        }
        subscribed += event.type == IQ_EVENT_SUBSCRIBED;
        iq_event_release(&event);
    }
    CHECK_EQ_INT(1, refused);
    CHECK_EQ_INT(2, subscribed);
    publish("mine:2", "hello");
    check_message(conn, "mine:2", "hello");
    iq_conn_close(conn);
    CHECK_EQ_STR("(integer) 1", redis_fixture_ask(server, "ACL DELUSER bob"));
}

static void a_silent_path_is_found_out_while_an_answer_is_due(void)
{
    imgq_error err;
    iq_event event;
    faulty_proxy *proxy = faulty_proxy_start(redis_fixture_socket(server));
    const iq_conn_options options = {.call_ms = 1000};
    iq_conn *conn = open_conn(faulty_proxy_url(proxy), &options);
    CHECK_OK(iq_conn_subscribe(conn, "a", 1, &err));
    check_subscribed(conn, "a");
    faulty_proxy_black_hole(proxy, true);
    CHECK_OK(iq_conn_subscribe(conn, "b", 1, &err));
    CHECK(wait_for(conn, IQ_EVENT_LOST, &event));
    CHECK_CONTAINS("no answer within 1000 ms", event.error.message);
    faulty_proxy_black_hole(proxy, false);
    int subscribed = 0;
    while (subscribed < 2 && CHECK_OK(iq_conn_wait_event(conn, iq_deadline_after_ms(20000), &event, &err))) {
        subscribed += event.type == IQ_EVENT_SUBSCRIBED;
        iq_event_release(&event);
    }
    iq_conn_close(conn);
    faulty_proxy_stop(proxy);
}

static void a_quiet_channel_asks_now_and_then_whether_the_path_lives(void)
{
    imgq_error err;
    iq_event event;
    faulty_proxy *proxy = faulty_proxy_start(redis_fixture_socket(server));
    const iq_conn_options options = {.call_ms = 1000, .ping_ms = 50};
    iq_conn *conn = open_conn(faulty_proxy_url(proxy), &options);
    uint64_t before, after, trips;
    CHECK_OK(iq_conn_subscribe(conn, "quiet", 5, &err));
    check_subscribed(conn, "quiet");
    iq_conn_get_traffic(conn, &before, &trips);
    CHECK_STATUS(IMGQ_E_TIMEOUT, iq_conn_wait_event(conn, iq_deadline_after_ms(400), &event, &err));
    iq_conn_get_traffic(conn, &after, &trips);
    CHECK(after > before && after - before <= 8);
    faulty_proxy_black_hole(proxy, true);
    CHECK(wait_for(conn, IQ_EVENT_LOST, &event));
    CHECK_CONTAINS("no answer within 1000 ms", event.error.message);
    iq_conn_close(conn);
    faulty_proxy_stop(proxy);
}

static void dropped_messages_are_dropped_and_nothing_else(void)
{
    imgq_error err;
    faulty_proxy *proxy = faulty_proxy_start(redis_fixture_socket(server));
    iq_conn *conn = open_conn(faulty_proxy_url(proxy), NULL);
    faulty_proxy_drop_messages(proxy, true);
    CHECK_OK(iq_conn_subscribe(conn, "a", 1, &err));
    check_subscribed(conn, "a");
    publish("a", "never");
    CHECK_OK(iq_conn_subscribe(conn, "b", 1, &err));
    check_subscribed(conn, "b");
    CHECK_EQ_SIZE(1, faulty_proxy_dropped_messages(proxy));
    faulty_proxy_drop_messages(proxy, false);
    publish("a", "now");
    check_message(conn, "a", "now");
    iq_conn_close(conn);
    faulty_proxy_stop(proxy);
}

static void a_connection_has_one_use(void)
{
    imgq_error err;
    iq_reply *reply;
    iq_commands commands;
    const iq_call call = {.deadline = iq_deadline_after_ms(5000)};
    iq_conn *conn = open_conn(redis_fixture_url(server), NULL);
    iq_commands_init(&commands, env);
    iq_commands_add(&commands, "PING");
    CHECK_OK(iq_conn_subscribe(conn, "a", 1, &err));
    CHECK_STATUS(IMGQ_E_INVALID, iq_conn_call(conn, &commands, &call, &reply, &err));
    CHECK_STATUS(IMGQ_E_INVALID, iq_conn_post(conn, &commands, false, &err));
    CHECK_STATUS(IMGQ_E_INVALID, iq_conn_subscribe(conn, "", 0, &err));
    iq_conn_close(conn);
    conn = open_conn(redis_fixture_url(server), NULL);
    CHECK_OK(iq_conn_post(conn, &commands, false, &err));
    CHECK_STATUS(IMGQ_E_INVALID, iq_conn_call(conn, &commands, &call, &reply, &err));
    CHECK_STATUS(IMGQ_E_INVALID, iq_conn_subscribe(conn, "a", 1, &err));
    iq_conn_close(conn);
    iq_commands_release(&commands);
}

/* ---- posted commands ---- */

static void posted_commands_are_answered_in_order_without_waiting(void)
{
    enum { LONG = 200000 };
    imgq_error err;
    iq_event event;
    iq_commands commands;
    char *payload = malloc(LONG);
    memset(payload, 'p', LONG);
    iq_conn *conn = open_conn(redis_fixture_url(server), NULL);
    const int fd = iq_conn_poll_fd(conn);
    iq_commands_init(&commands, env);
    iq_commands_add(&commands, "SET");
    iq_commands_text(&commands, "posted");
    iq_commands_bytes(&commands, payload, LONG);
    iq_commands_add(&commands, "STRLEN");
    iq_commands_text(&commands, "posted");
    CHECK_OK(iq_conn_post(conn, &commands, false, &err));
    /* Copied: what the caller does with its bytes is of no matter. */
    memset(payload, 'x', LONG);
    iq_commands_clear(&commands);
    iq_commands_add(&commands, "GETRANGE");
    iq_commands_text(&commands, "posted");
    iq_commands_int(&commands, 0);
    iq_commands_int(&commands, 2);
    CHECK_OK(iq_conn_post(conn, &commands, false, &err));
    static const char *const want[] = {"OK", "", "ppp"};
    for (size_t got = 0, rounds = 0; got < 3 && rounds < 1000; rounds++) {
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        (void)poll(&polled, 1, iq_conn_timeout_ms(conn));
        while (iq_conn_next_event(conn, &event, &err) == IMGQ_OK && got < 3) {
            CHECK_EQ_INT(IQ_EVENT_REPLY, event.type);
            CHECK_EQ_STR(want[got], event.holder->text);
            if (got == 1)
                CHECK_EQ_INT(LONG, event.holder->integer);
            got++;
            iq_event_release(&event);
        }
    }
    CHECK_STATUS(IMGQ_E_TIMEOUT, iq_conn_next_event(conn, &event, &err));
    CHECK_EQ_INT(-1, iq_conn_timeout_ms(conn));
    iq_commands_release(&commands);
    iq_conn_close(conn);
    free(payload);
}

static void a_lost_connection_forgets_what_was_posted(void)
{
    imgq_error err;
    iq_event event;
    iq_commands commands;
    faulty_proxy *proxy = faulty_proxy_start(redis_fixture_socket(server));
    const iq_conn_options options = {.call_ms = 1000};
    iq_conn *conn = open_conn(faulty_proxy_url(proxy), &options);
    iq_commands_init(&commands, env);
    iq_commands_add(&commands, "ECHO");
    iq_commands_text(&commands, "one");
    CHECK_OK(iq_conn_post(conn, &commands, false, &err));
    CHECK(wait_for(conn, IQ_EVENT_REPLY, &event));
    iq_event_release(&event);
    faulty_proxy_black_hole(proxy, true);
    CHECK_OK(iq_conn_post(conn, &commands, false, &err));
    CHECK_OK(iq_conn_post(conn, &commands, false, &err));
    CHECK(wait_for(conn, IQ_EVENT_LOST, &event));
    CHECK_CONTAINS("no answer within 1000 ms", event.error.message);
    faulty_proxy_black_hole(proxy, false);
    iq_commands_clear(&commands);
    iq_commands_add(&commands, "ECHO");
    iq_commands_text(&commands, "two");
    CHECK_OK(iq_conn_post(conn, &commands, false, &err));
    if (wait_for(conn, IQ_EVENT_REPLY, &event))
        CHECK_EQ_STR("two", event.holder->text);
    iq_event_release(&event);
    iq_commands_release(&commands);
    iq_conn_close(conn);
    faulty_proxy_stop(proxy);
}

/* ---- memory ---- */

static imgq_status hear_in(imgq_env *some)
{
    imgq_status status;
    imgq_error err;
    iq_event event;
    iq_conn *conn = open_url(some, redis_fixture_url(server), NULL, &status);
    if (status == IMGQ_OK)
        status = iq_conn_subscribe(conn, "memory", 6, &err);
    for (bool is_heard = false; status == IMGQ_OK && !is_heard;) {
        status = iq_conn_wait_event(conn, iq_deadline_after_ms(20000), &event, &err);
        if (status != IMGQ_OK)
            break;
        if (event.type == IQ_EVENT_SUBSCRIBED)
            publish("memory", "hello");
        else if (event.type == IQ_EVENT_MESSAGE)
            is_heard = true;
        else
            status = event.status;
        iq_event_release(&event);
    }
    iq_conn_close(conn);
    return status;
}

static void every_allocation_may_fail(void)
{
    for (size_t nth = 1;; nth++) {
        imgq_env *failing = failing_env(nth);
        if (failing == NULL)
            continue;
        const imgq_status status = hear_in(failing);
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
        CHECK_TEST(what_is_published_after_the_confirmation_is_heard),
        CHECK_TEST(one_descriptor_tells_a_host_all),
        CHECK_TEST(every_channel_is_asked_for_again_after_a_restart),
        CHECK_TEST(a_refused_channel_is_an_event_and_the_others_are_heard),
        CHECK_TEST(a_silent_path_is_found_out_while_an_answer_is_due),
        CHECK_TEST(a_quiet_channel_asks_now_and_then_whether_the_path_lives),
        CHECK_TEST(dropped_messages_are_dropped_and_nothing_else),
        CHECK_TEST(a_connection_has_one_use),
        CHECK_TEST(posted_commands_are_answered_in_order_without_waiting),
        CHECK_TEST(a_lost_connection_forgets_what_was_posted),
        CHECK_TEST(every_allocation_may_fail),
    };
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    server = redis_fixture_start(NULL);
    const int code = check_main(argc, argv, "subscribe", tests, sizeof tests / sizeof *tests);
    redis_fixture_stop(server);
    imgq_env_destroy(env);
    return code;
}
