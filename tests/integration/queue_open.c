/* Opening a queue: what is refused, and how it is said. */
#include "integration/queue_suite.h"

#include <imgq/admin.h>

#include "unit/redis/fake_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static imgq_status open_with(const char *url, const imgq_queue_options *options, imgq_error *err)
{
    imgq_queue *queue = NULL;
    const imgq_status status = imgq_queue_open(suite_env, url, options, &queue, err);
    CHECK((status == IMGQ_OK) == (queue != NULL));
    imgq_queue_close(queue);
    return status;
}

static void a_queue_opens_and_says_its_names(void)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    uint64_t commands = 0, trips = 0;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    CHECK_OK(imgq_queue_open(suite_env, redis_fixture_url(suite_redis), NULL, &queue, &err));
    CHECK_EQ_STR("default", imgq_queue_name(queue));
    CHECK(strlen(imgq_queue_worker_name(queue)) > 10);
    imgq_queue_get_traffic(queue, &commands, &trips);
    CHECK(commands > 0 && trips > 0);
    CHECK_EQ_STR("1", redis_fixture_ask(suite_redis, "HGET iq:{default.0}:m ver"));
    imgq_queue_close(queue);
    imgq_queue_close(NULL);
    options.import_list = "image_queue";
    options.worker_name = "worker-1";
    CHECK_OK(imgq_queue_open(suite_env, redis_fixture_tcp_url(suite_redis), &options, &queue, &err));
    CHECK_EQ_STR("image_queue", imgq_queue_name(queue));
    CHECK_EQ_STR("worker-1", imgq_queue_worker_name(queue));
    CHECK_EQ_STR("1", redis_fixture_ask(suite_redis, "HGET iq:{image_queue}:m ver"));
    imgq_queue_close(queue);
}

static void nobody_there_is_unavailable(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.connect_ms = options.call_ms = 100;
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, open_with("unix:///nonexistent/redis.sock", &options, &err));
    CHECK_CONTAINS("connect to /nonexistent/redis.sock", err.message);
    CHECK_STATUS(IMGQ_E_UNAVAILABLE, open_with("redis://127.0.0.1:1", &options, &err));
    CHECK_CONTAINS("connect to 127.0.0.1:1", err.message);
}

static void a_wrong_password_is_denied_and_not_repeated(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    suite_ask("OK", "ACL SETUSER bob on >right ~* &* +@all");
    options.username = "bob";
    options.password = "hunter2";
    CHECK_STATUS(IMGQ_E_DENIED, open_with(redis_fixture_url(suite_redis), &options, &err));
    CHECK(strstr(err.message, "hunter2") == NULL);
    options.password = "right";
    CHECK_OK(open_with(redis_fixture_url(suite_redis), &options, &err));
}

static void wrong_arguments_are_told_apart(void)
{
    imgq_error err;
    const char *url = redis_fixture_url(suite_redis);
    imgq_queue_options bad[6];
    for (size_t i = 0; i < 6; i++)
        bad[i] = IMGQ_QUEUE_OPTIONS_INIT;
    bad[0].name = "a:b";
    bad[1].import_list = "{x}";
    bad[2].worker_name = "two words";
    bad[3].roles = 16;
    bad[4].max_connections = 1000;
    bad[5].size = 3;
    for (size_t i = 0; i < 6; i++)
        CHECK_STATUS(IMGQ_E_INVALID, open_with(url, &bad[i], &err));
    CHECK_STATUS(IMGQ_E_INVALID, open_with("nonsense", NULL, &err));
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, open_with("rediss://localhost", NULL, &err));
    CHECK_STATUS(IMGQ_E_INVALID, open_with(NULL, NULL, &err));
}

static void an_evicting_server_is_refused_with_what_to_set(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    suite_ask("OK", "CONFIG SET maxmemory-policy allkeys-lru");
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, open_with(redis_fixture_url(suite_redis), NULL, &err));
    CHECK_CONTAINS("allkeys-lru", err.message);
    CHECK_CONTAINS("noeviction", err.message);
    options.allow_eviction = 1;
    CHECK_OK(open_with(redis_fixture_url(suite_redis), &options, &err));
    suite_ask("OK", "CONFIG SET maxmemory-policy noeviction");
}

enum { INFO_SECTIONS = 5 }; /* asked for in one pipeline */

static void servers_of_other_versions_are_refused_or_taken(void)
{
    static const struct {
        const char *info;
        const char *message; /* NULL: not refused for its version */
    } servers[] = {
        {"redis_version:6.2.7\r\nredis_mode:standalone\r\nmaxmemory_policy:noeviction\r\n", "6.2.7"},
        {"redis_version:2.8.0\r\nmaxmemory_policy:noeviction\r\n", "2.8.0"},
        {"server_name:valkey\r\nvalkey_version:8.0.1\r\nredis_version:7.2.4\r\nmaxmemory_policy:noeviction\r\n", NULL},
        {"redis_version:8.0.0\r\nmaxmemory_policy:noeviction\r\n", NULL},
    };
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        imgq_error err;
        char bytes[2000];
        imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
        fake_server *fake = fake_server_start();
        size_t len = 0;
        for (int section = 0; section < INFO_SECTIONS; section++)
            len += (size_t)snprintf(bytes + len, sizeof bytes - len, "$%zu\r\n%s\r\n", strlen(servers[i].info),
                                    servers[i].info);
        options.call_ms = options.connect_ms = 200;
        fake_server_says(fake, (fake_answer){.bytes = bytes, .len = len, .ending = FAKE_AGAIN});
        const imgq_status status = open_with(fake_server_url(fake), &options, &err);
        if (servers[i].message != NULL) {
            CHECK_EQ_INT(IMGQ_E_UNSUPPORTED, status);
            CHECK_CONTAINS(servers[i].message, err.message);
            CHECK_CONTAINS("7.0 is needed", err.message);
        } else {
            CHECK_EQ_INT(IMGQ_E_PROTOCOL, status); /* it went on, and this fake knows no scripts */
            CHECK_CONTAINS("probe at", err.message);
        }
        fake_server_stop(fake);
    }
}

static void a_queue_of_another_protocol_is_refused(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.name = "future";
    suite_ask("(integer) 1", "HSET iq:{future.0}:m ver 2");
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, open_with(redis_fixture_url(suite_redis), &options, &err));
    CHECK_EQ_STR("queue future has protocol version 2, this library speaks 1", err.message);
}

static void a_queue_in_use_that_was_emptied_works_on(void)
{
    imgq_error err;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_queue *queue = suite_open_plain("emptied");
    (void)suite_submit(queue, "x", NULL);
    suite_ask("OK", "FLUSHALL");
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(0, stats.waiting);
    CHECK_OK(imgq_queue_submit(queue, "y", 1, NULL, NULL, &err));
    imgq_queue_close(queue);
}

static void the_first_to_open_bounds_the_payload_by_the_servers_memory(void)
{
    imgq_error err;
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    suite_ask("OK", "CONFIG SET maxmemory 104857600");
    imgq_queue *queue = suite_open_plain("bounded");
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    CHECK_EQ_SIZE(26214400, stats.max_bytes);
    CHECK_EQ_SIZE(100000, stats.max_jobs);
    suite_ask("OK", "CONFIG SET maxmemory 0");
    imgq_queue_close(queue);
}

/* ---- rights ---- */

/* The user of lib/queue/acl/ROLE.acl, with a password. */
static void add_role(const char *role)
{
    char line[4000], name[60], rules[3800];
    const char *source = getenv("IMGQ_SOURCE");
    char full[600];
    snprintf(full, sizeof full, "%s/lib/queue/acl/%s.acl", source != NULL ? source : ".", role);
    FILE *file = fopen(full, "r");
    if (!CHECK(file != NULL))
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "user %59s %3799[^\n]", name, rules) == 2) {
            char command[4000];
            snprintf(command, sizeof command, "ACL SETUSER %s reset >secret %s", name, rules);
            CHECK_EQ_STR("OK", redis_fixture_ask(suite_redis, command));
        }
    }
    fclose(file);
}

static imgq_status open_role(const char *user, uint32_t roles, imgq_queue **out, imgq_error *err)
{
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.name = "rights";
    options.username = user;
    options.password = "secret";
    options.roles = roles;
    return imgq_queue_open(suite_env, redis_fixture_url(suite_redis), &options, out, err);
}

static void a_producers_rights_are_enough_for_all_that_producers_do(void)
{
    imgq_error err;
    imgq_queue *queue = NULL, *peer = suite_peer("rights");
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_job_status status = IMGQ_JOB_STATUS_INIT;
    static char large[20001];
    peer_job job;
    memset(large, 'l', 20000);
    add_role("producer");
    const int warnings = suite_warnings;
    if (!CHECK_OK(open_role("imgq-producer", IMGQ_ROLE_PRODUCER, &queue, &err)))
        return;
    const imgq_id small_id = suite_submit(queue, "x", NULL), large_id = suite_submit(queue, large, NULL);
    const imgq_id third = suite_submit(queue, "y", NULL);
    CHECK_OK(imgq_queue_attach(queue, &small_id, 1, &err));
    CHECK_OK(imgq_queue_cancel(queue, &third, &err));
    suite_expect(queue, &third, IMGQ_E_CANCELLED, NULL);
    CHECK_OK(imgq_queue_look(queue, &small_id, &status, NULL, &err));
    CHECK_OK(imgq_queue_get_stats(queue, &stats, &err));
    for (int i = 0; i < 2; i++) {
        peer_take_one(peer, &job);
        CHECK_EQ_INT(1, peer_answer(peer, &job));
    }
    suite_expect(queue, &small_id, IMGQ_OK, NULL);
    suite_expect(queue, &large_id, IMGQ_OK, NULL);
    CHECK_EQ_INT(0, suite_warnings - warnings); /* and the channel is granted */
    peer_close(peer);
    imgq_queue_close(queue);
}

static void each_role_opens_with_its_file_and_not_with_a_lesser_one(void)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    add_role("reader");
    add_role("producer");
    add_role("worker");
    add_role("operator");
    CHECK_OK(open_role("imgq-worker", IMGQ_ROLE_WORKER, &queue, &err));
    imgq_queue_close(queue);
    CHECK_OK(open_role("imgq-operator", IMGQ_ROLE_OPERATOR | IMGQ_ROLE_WORKER | IMGQ_ROLE_PRODUCER, &queue, &err));
    imgq_queue_close(queue);
    CHECK_STATUS(IMGQ_E_DENIED, open_role("imgq-producer", IMGQ_ROLE_WORKER, &queue, &err));
    CHECK_EQ_STR("the user lacks rights for worker: ACL SETUSER ... +blpop", err.message);
    CHECK_STATUS(IMGQ_E_DENIED, open_role("imgq-reader", IMGQ_ROLE_PRODUCER, &queue, &err));
    CHECK_CONTAINS("+zadd", err.message);
}

static void a_missing_right_is_named(void)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    suite_ask("OK", "ACL SETUSER poor reset on >secret ~iq:* &* +@all -zadd -sadd");
    CHECK_STATUS(IMGQ_E_DENIED, open_role("poor", IMGQ_ROLE_PRODUCER, &queue, &err));
    CHECK_EQ_STR("the user lacks rights for producer: ACL SETUSER ... +zadd +sadd", err.message);
    suite_ask("OK", "ACL SETUSER poor reset on >secret ~other:* &* +@all");
    CHECK_STATUS(IMGQ_E_DENIED, open_role("poor", IMGQ_ROLE_PRODUCER, &queue, &err));
    suite_ask("OK", "ACL SETUSER poor reset on >secret ~iq:* &* +@all -evalsha -eval");
    CHECK_STATUS(IMGQ_E_DENIED, open_role("poor", IMGQ_ROLE_PRODUCER, &queue, &err));
    CHECK_CONTAINS("evalsha", err.message);
    suite_ask("OK", "ACL SETUSER poor reset on >secret ~iq:* resetchannels +@all");
    CHECK_OK(open_role("poor", IMGQ_ROLE_PRODUCER, &queue, &err)); /* without the channel it polls */
    imgq_queue_close(queue);
}

static void a_right_taken_away_later_is_named_as_well(void)
{
    imgq_error err;
    imgq_queue *queue = NULL;
    suite_ask("OK", "ACL SETUSER poor reset on >secret ~iq:* &* +@all");
    CHECK_OK(open_role("poor", IMGQ_ROLE_PRODUCER, &queue, &err));
    (void)suite_submit(queue, "x", NULL);
    suite_ask("OK", "ACL SETUSER poor -zadd");
    CHECK_STATUS(IMGQ_E_DENIED, imgq_queue_submit(queue, "y", 1, NULL, NULL, &err));
    CHECK_EQ_STR("the user lacks rights for producer: ACL SETUSER ... +zadd", err.message);
    suite_ask("OK", "ACL SETUSER poor +zadd");
    CHECK_OK(imgq_queue_submit(queue, "y", 1, NULL, NULL, &err));
    imgq_queue_close(queue);
}

static void a_queue_whose_keys_are_of_another_type_is_refused(void)
{
    imgq_error err;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.name = "odd";
    suite_ask("OK", "SET iq:{odd.0}:m garbage");
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, open_with(redis_fixture_url(suite_redis), &options, &err));
    CHECK_CONTAINS("open the queue: WRONGTYPE", err.message);
    suite_ask("(integer) 1", "DEL iq:{odd.0}:m");
    imgq_queue *queue = suite_open_plain("odd");
    suite_ask("OK", "SET iq:{odd.0}:w garbage");
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, imgq_queue_submit(queue, "x", 1, NULL, NULL, &err));
    CHECK_CONTAINS("WRONGTYPE", err.message);
    suite_ask("(integer) 1", "DEL iq:{odd.0}:w");
    CHECK_OK(imgq_queue_submit(queue, "x", 1, NULL, NULL, &err));
    imgq_queue_close(queue);
}

static const check_test tests[] = {
    CHECK_TEST(a_queue_opens_and_says_its_names),
    CHECK_TEST(nobody_there_is_unavailable),
    CHECK_TEST(a_wrong_password_is_denied_and_not_repeated),
    CHECK_TEST(wrong_arguments_are_told_apart),
    CHECK_TEST(an_evicting_server_is_refused_with_what_to_set),
    CHECK_TEST(servers_of_other_versions_are_refused_or_taken),
    CHECK_TEST(a_queue_of_another_protocol_is_refused),
    CHECK_TEST(a_queue_in_use_that_was_emptied_works_on),
    CHECK_TEST(the_first_to_open_bounds_the_payload_by_the_servers_memory),
    CHECK_TEST(a_producers_rights_are_enough_for_all_that_producers_do),
    CHECK_TEST(each_role_opens_with_its_file_and_not_with_a_lesser_one),
    CHECK_TEST(a_missing_right_is_named),
    CHECK_TEST(a_right_taken_away_later_is_named_as_well),
    CHECK_TEST(a_queue_whose_keys_are_of_another_type_is_refused),
};
SUITE_MAIN("opening", NULL, tests)
