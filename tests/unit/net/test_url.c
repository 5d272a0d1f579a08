#include "net/url.h"

#include "support/check.h"
#include "support/failing_alloc.h"

#include <stdio.h>
#include <string.h>

static imgq_env *env;

static void check_tcp(const char *text, const char *host, uint16_t port, uint32_t db, const char *user,
                      const char *pass, const char *where, const char *shown)
{
    iq_url url;
    imgq_error err;
    if (!CHECK_OK(iq_url_parse(env, text, &url, &err)))
        return;
    CHECK_EQ_STR(host, url.host);
    CHECK_EQ_INT(port, url.port);
    CHECK_EQ_INT(db, url.db);
    CHECK_EQ_STR(user, url.user);
    CHECK_EQ_STR(pass, url.pass);
    CHECK_EQ_STR(NULL, url.path);
    CHECK_EQ_STR(where, url.where);
    CHECK_EQ_STR(shown, url.shown);
    iq_url_release(env, &url);
}

static void hosts_ports_and_databases_are_read(void)
{
    check_tcp("redis://cache", "cache", 6379, 0, NULL, NULL, "cache:6379", "redis://cache:6379");
    check_tcp("redis://cache/", "cache", 6379, 0, NULL, NULL, "cache:6379", "redis://cache:6379");
    check_tcp("redis://cache:7000/3", "cache", 7000, 3, NULL, NULL, "cache:7000", "redis://cache:7000/3");
    check_tcp("REDIS://10.0.0.1:1/15", "10.0.0.1", 1, 15, NULL, NULL, "10.0.0.1:1", "redis://10.0.0.1:1/15");
    check_tcp("redis://", "127.0.0.1", 6379, 0, NULL, NULL, "127.0.0.1:6379", "redis://127.0.0.1:6379");
    check_tcp("redis://:65535", "127.0.0.1", 65535, 0, NULL, NULL, "127.0.0.1:65535", "redis://127.0.0.1:65535");
    check_tcp("redis://[::1]:6380/2", "::1", 6380, 2, NULL, NULL, "[::1]:6380", "redis://[::1]:6380/2");
    check_tcp("redis://[fe80::1%25eth0]", "fe80::1%eth0", 6379, 0, NULL, NULL, "[fe80::1%eth0]:6379",
              "redis://[fe80::1%eth0]:6379");
}

static void users_and_passwords_are_decoded_and_never_shown(void)
{
    check_tcp("redis://:secret@cache", "cache", 6379, 0, NULL, "secret", "cache:6379", "redis://:***@cache:6379");
    check_tcp("redis://ann:se%3Acr%40et%2f@cache/1", "cache", 6379, 1, "ann", "se:cr@et/", "cache:6379",
              "redis://ann:***@cache:6379/1");
    check_tcp("redis://a%20b:c@d@cache", "cache", 6379, 0, "a b", "c@d", "cache:6379", "redis://a b:***@cache:6379");
    check_tcp("redis://ann@cache", "cache", 6379, 0, "ann", NULL, "cache:6379", "redis://ann@cache:6379");
    check_tcp("redis://:@cache", "cache", 6379, 0, NULL, NULL, "cache:6379", "redis://cache:6379");
    check_tcp("redis://x:p:q@cache", "cache", 6379, 0, "x", "p:q", "cache:6379", "redis://x:***@cache:6379");
}

static void unix_sockets_are_read(void)
{
    iq_url url;
    imgq_error err;
    if (CHECK_OK(iq_url_parse(env, "unix:///run/redis%20a.sock?db=4", &url, &err))) {
        CHECK_EQ_STR("/run/redis a.sock", url.path);
        CHECK_EQ_STR(NULL, url.host);
        CHECK_EQ_INT(4, url.db);
        CHECK_EQ_STR("/run/redis a.sock", url.where);
        CHECK_EQ_STR("unix:///run/redis a.sock?db=4", url.shown);
        iq_url_release(env, &url);
    }
    if (CHECK_OK(iq_url_parse(env, "unix://ann:pw@/run/r.sock", &url, &err))) {
        CHECK_EQ_STR("/run/r.sock", url.path);
        CHECK_EQ_STR("ann", url.user);
        CHECK_EQ_STR("pw", url.pass);
        CHECK_EQ_STR("unix://ann:***@/run/r.sock", url.shown);
        iq_url_release(env, &url);
    }
}

static void check_bad(imgq_status want, const char *text, const char *message)
{
    iq_url url;
    imgq_error err = {0};
    CHECK_STATUS(want, iq_url_parse(env, text, &url, &err));
    CHECK_EQ_STR(message, err.message);
    CHECK(url.host == NULL && url.path == NULL && url.pass == NULL && url.where == NULL);
}

static void what_is_wrong_is_said(void)
{
    check_bad(IMGQ_E_INVALID, "cache:6379", "URL \"cache:6379\": it begins with redis:// or unix://");
    check_bad(IMGQ_E_INVALID, "", "URL \"\": it begins with redis:// or unix://");
    check_bad(IMGQ_E_INVALID, NULL, "URL \"\": it begins with redis:// or unix://");
    check_bad(IMGQ_E_INVALID, "http://cache", "URL \"http://cache\": it begins with redis:// or unix://");
    check_bad(IMGQ_E_UNSUPPORTED, "rediss://cache", "rediss:// is not built in, redis:// and unix:// are");
    check_bad(IMGQ_E_UNSUPPORTED, "redis+sentinel://a,b/m",
              "redis+sentinel:// is not built in, redis:// and unix:// are");
    check_bad(IMGQ_E_UNSUPPORTED, "redis+cluster://a", "redis+cluster:// is not built in, redis:// and unix:// are");
    check_bad(
        IMGQ_E_INVALID, "redis://cache:0",
        "URL \"redis://cache:0\": after the host stands :PORT, 1-65535; a / @ : in a password are written %2F %40 %3A");
    check_bad(IMGQ_E_INVALID, "redis://cache/x",
              "URL \"redis://cache/x\": after the host stands /DATABASE, a number, and nothing else");
    check_bad(IMGQ_E_INVALID, "redis://cache/1?ssl=1",
              "URL \"redis://cache/1\": after the host stands /DATABASE, a number, and nothing else");
    check_bad(IMGQ_E_INVALID, "redis://[::1", "URL \"redis://[::1\": an IPv6 address stands in [ and ]");
    check_bad(IMGQ_E_INVALID, "redis://ca%0",
              "URL \"redis://ca%0\": a % is not followed by two hex digits, or means a zero byte");
    check_bad(IMGQ_E_INVALID, "redis://ca%00",
              "URL \"redis://ca%00\": a % is not followed by two hex digits, or means a zero byte");
    check_bad(IMGQ_E_INVALID, "redis://a\nb", "URL \"redis://a?b\": the host holds a character that no host has");
    check_bad(IMGQ_E_INVALID, "unix://run/r.sock",
              "URL \"unix://run/r.sock\": a socket's path is absolute: unix:///path");
    check_bad(IMGQ_E_INVALID, "unix:///", "URL \"unix:///\": a socket's path is absolute: unix:///path");
    check_bad(IMGQ_E_INVALID, "unix:///r.sock?db=",
              "URL \"unix:///r.sock\": after the path stands ?db=DATABASE, a number, and nothing else");
    check_bad(IMGQ_E_INVALID, "unix:///r.sock?db=4294967296",
              "URL \"unix:///r.sock\": after the path stands ?db=DATABASE, a number, and nothing else");
}

static void no_password_gets_into_a_message(void)
{
    static const char *const texts[] = {
        "redis://ann:hunter2@cache:x",
        "redis://ann:hun/hunter2@cache",
        "ann:hunter2@cache",
        "http://:hunter2@cache",
        "redis://:hunter2",
        "redis://:hunter2/0",
        "redis://:?hunter2@a",
        "redis://cache/0?password=hunter2",
        "unix:///r.sock?pass=hunter2",
        "redis://a:#hunter2@b:99999",
        "foo:hunter2",
        "redis://a:%zzhunter2@b",
        "unix://a:hunter2@rel/r.sock",
        "redis://:hunter2@[::1",
        ":hunter2@redis://a",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        iq_url url;
        imgq_error err = {0};
        CHECK(iq_url_parse(env, texts[i], &url, &err) != IMGQ_OK);
        if (!CHECK(strstr(err.message, "hunter2") == NULL))
            fprintf(stderr, "shown: %s\n", err.message);
    }
}

static void a_path_longer_than_a_socket_takes_is_refused(void)
{
    char text[160] = "unix:///";
    iq_url url;
    imgq_error err;
    memset(text + 8, 'a', 106);
    CHECK_OK(iq_url_parse(env, text, &url, &err));
    iq_url_release(env, &url);
    text[8 + 106] = 'a';
    CHECK_STATUS(IMGQ_E_INVALID, iq_url_parse(env, text, &url, &err));
    CHECK_CONTAINS("107 bytes", err.message);
}

static void an_endless_url_is_refused(void)
{
    static char text[20000] = "redis://";
    iq_url url;
    imgq_error err;
    memset(text + 8, 'a', sizeof text - 9);
    CHECK_STATUS(IMGQ_E_INVALID, iq_url_parse(env, text, &url, &err));
    CHECK_CONTAINS("longer than 8192 bytes", err.message);
}

static imgq_status parse_and_copy(imgq_env *some)
{
    iq_url url, copy;
    imgq_error err;
    imgq_status status = iq_url_parse(some, "redis://ann:pw@cache:1/2", &url, &err);
    if (status != IMGQ_OK)
        return status;
    status = iq_url_copy(some, &url, &copy, &err);
    if (status == IMGQ_OK) {
        CHECK_EQ_STR("pw", copy.pass);
        CHECK_EQ_STR("cache:1", copy.where);
        CHECK_EQ_INT(2, copy.db);
        iq_url_release(some, &copy);
    }
    iq_url_release(some, &url);
    return status;
}

static void every_allocation_may_fail(void)
{
    for (size_t nth = 1;; nth++) {
        imgq_env *failing = failing_env(nth);
        if (failing == NULL)
            continue;
        const imgq_status status = parse_and_copy(failing);
        const int failed = failing_has_failed();
        imgq_env_destroy(failing);
        CHECK_EQ_SIZE(0, failing_live_bytes());
        if (!failed) {
            CHECK_EQ_INT(IMGQ_OK, status);
            break;
        }
        CHECK_EQ_INT(IMGQ_E_NOMEM, status);
    }
}

int main(int argc, char **argv)
{
    static const check_test tests[] = {
        CHECK_TEST(hosts_ports_and_databases_are_read),
        CHECK_TEST(users_and_passwords_are_decoded_and_never_shown),
        CHECK_TEST(unix_sockets_are_read),
        CHECK_TEST(what_is_wrong_is_said),
        CHECK_TEST(no_password_gets_into_a_message),
        CHECK_TEST(a_path_longer_than_a_socket_takes_is_refused),
        CHECK_TEST(an_endless_url_is_refused),
        CHECK_TEST(every_allocation_may_fail),
    };
    if (imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        return 1;
    const int code = check_main(argc, argv, "url", tests, sizeof tests / sizeof *tests);
    imgq_env_destroy(env);
    return code;
}
