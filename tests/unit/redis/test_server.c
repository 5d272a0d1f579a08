#include "redis/server.h"

#include "support/check.h"
#include "support/redis_fixture.h"

#include <string.h>

static imgq_env *env;

static iq_conn *open_conn(const char *text, const iq_conn_options *options)
{
    iq_url url;
    imgq_error err;
    iq_conn *conn = NULL;
    if (CHECK_OK(iq_url_parse(env, text, &url, &err)))
        CHECK_OK(iq_conn_open(env, &url, options, &conn, &err));
    iq_url_release(env, &url);
    return conn;
}

static void a_server_is_known_by_its_info(void)
{
    redis_fixture *server = redis_fixture_start("maxmemory 123456789\nmaxmemory-policy allkeys-lru");
    iq_conn *conn = open_conn(redis_fixture_url(server), NULL);
    iq_server_info info;
    imgq_error err;
    CHECK_OK(iq_server_ask(conn, iq_deadline_after_ms(20000), &info, &err));
    CHECK(info.major >= 7);
    CHECK(info.version[0] != '\0');
    CHECK_EQ_STR("allkeys-lru", info.maxmemory_policy);
    CHECK_EQ_SIZE(123456789, info.maxmemory);
    CHECK(info.used_memory > 100000);
    CHECK(info.connected_clients >= 1);
    CHECK(!info.is_replica && !info.is_cluster && !info.loading);
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, iq_server_require(&info, iq_conn_where(conn), false, &err));
    CHECK_CONTAINS("may evict jobs (maxmemory-policy allkeys-lru): set it to noeviction", err.message);
    CHECK_OK(iq_server_require(&info, iq_conn_where(conn), true, &err));
    CHECK_EQ_STR("OK", redis_fixture_ask(server, "CONFIG SET maxmemory-policy noeviction"));
    CHECK_OK(iq_server_ask(conn, iq_deadline_after_ms(20000), &info, &err));
    CHECK_OK(iq_server_require(&info, iq_conn_where(conn), false, &err));
    CHECK_EQ_STR("OK", redis_fixture_ask(server, "ACL SETUSER bob on >pw ~* &* +@all -info"));
    iq_conn_close(conn);
    conn = open_conn(redis_fixture_url(server), &(iq_conn_options){.username = "bob", .password = "pw"});
    CHECK_STATUS(IMGQ_E_DENIED, iq_server_ask(conn, iq_deadline_after_ms(20000), &info, &err));
    CHECK_CONTAINS("INFO: NOPERM", err.message);
    iq_conn_close(conn);
    redis_fixture_stop(server);
}

static void check_version(const char *text, bool is_valkey, uint32_t major, uint32_t minor, uint32_t patch)
{
    iq_server_info info = {0};
    iq_server_parse_info(text, strlen(text), &info);
    CHECK_EQ_INT(is_valkey, info.is_valkey);
    CHECK_EQ_SIZE(major, info.major);
    CHECK_EQ_SIZE(minor, info.minor);
    CHECK_EQ_SIZE(patch, info.patch);
}

static void versions_are_read_however_they_are_spelled(void)
{
    iq_server_info info = {0};
    imgq_error err;
    check_version("# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n", false, 7, 0, 15);
    check_version("redis_version:7.2.4\nserver_name:valkey\nvalkey_version:8.0.1\n", true, 7, 2, 4);
    check_version("redis_version:255.255.255", false, 255, 255, 255);
    check_version("redis_version:8.0-rc1\r\n", false, 8, 0, 0);
    check_version("redis_version:99999999999999999999999.1\r\n", false, UINT32_MAX, 1, 0);
    check_version("redis_version:", false, 0, 0, 0);
    check_version("", false, 0, 0, 0);
    check_version("redis_versions:7.0.0\r\nxredis_version:7\r\n", false, 0, 0, 0);
    iq_server_parse_info("redis_version:6.2.7\r\nrole:slave\r\nredis_mode:cluster\r\nloading:1\r\n", 65, &info);
    CHECK(info.is_replica && info.is_cluster && info.loading);
    CHECK_STATUS(IMGQ_E_UNSUPPORTED, iq_server_require(&info, "cache:6379", false, &err));
    CHECK_EQ_STR("Redis 6.2.7 at cache:6379 is too old: 7.0 is needed", err.message);
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_TEST(a_server_is_known_by_its_info),
        CHECK_TEST(versions_are_read_however_they_are_spelled),
    };
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    const int code = check_main(argc, argv, "server", tests, sizeof tests / sizeof *tests);
    imgq_env_destroy(env);
    return code;
}
