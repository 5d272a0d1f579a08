#include "base_tests.h"

#include "base/json.h"

#include "support/check.h"
#include "support/failing_alloc.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void json_reads_what_it_wrote(void)
{
    imgq_env *env = failing_env(0);
    imgq_error err;
    iq_buf buf = {0};
    iq_json *root = NULL;
    const char *odd = "a\"b\\c\n\t\x01\xC3\xA9";
    iq_buf_append_text(env, &buf, "{\"text\": ");
    iq_json_write_text(env, &buf, odd);
    iq_buf_append_text(env, &buf, ", \"list\": [1, -2.5, true, null], \"float\": ");
    iq_json_write_float(env, &buf, 0.413623f);
    iq_buf_append_text(env, &buf, ", \"bad\": ");
    iq_json_write_text_len(env, &buf, "x\xFFy", 3);
    CHECK(iq_buf_append_text(env, &buf, "} \n"));
    if (CHECK_OK(iq_json_parse((char *)buf.data, buf.len, &root, &err))) {
        uint64_t one = 0;
        const iq_json *list = iq_json_get(root, "list");
        CHECK_EQ_STR(odd, iq_json_text(iq_json_get(root, "text")));
        CHECK_EQ_STR("x\xEF\xBF\xBDy", iq_json_text(iq_json_get(root, "bad")));
        CHECK_EQ_SIZE(4, iq_json_count(list));
        CHECK(iq_json_uint(iq_json_at(list, 0), &one) && one == 1);
        CHECK(!iq_json_uint(iq_json_at(list, 1), &one));
        CHECK_NEAR(-2.5, iq_json_number(iq_json_at(list, 1), 0), 0);
        CHECK(iq_json_bool(iq_json_at(list, 2), false));
        CHECK(iq_json_is_null(iq_json_at(list, 3)));
        CHECK(iq_json_at(list, 4) == NULL);
        CHECK((float)iq_json_number(iq_json_get(root, "float"), 0) == 0.413623f);
        CHECK(iq_json_get(root, "TEXT") == NULL);
        CHECK_EQ_STR("text", iq_json_key(iq_json_first(root)));
    }
    iq_json_free(root);
    iq_buf_release(env, &buf);
    imgq_env_destroy(env);
    CHECK_EQ_SIZE(0, failing_live_bytes());
}

void json_refuses_what_is_none(void)
{
    static const char *const bad[] = {"",      "{", "{} x", "{\"a\":}", "[1,", "nul", "\"\xFF\"", "\"\xED\xA0\x80\"",
                                      "\"open"};
    imgq_error err;
    iq_json *root = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_STATUS(IMGQ_E_FORMAT, iq_json_parse(bad[i], strlen(bad[i]), &root, &err));
        CHECK(root == NULL);
    }
    char deep[200];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    CHECK_STATUS(IMGQ_E_FORMAT, iq_json_parse(deep, sizeof deep, &root, &err));
    CHECK_EQ_STR("JSON nested more than 64 deep", err.message);
    CHECK_OK(iq_json_parse(deep + 36, 128, &root, &err));
    iq_json_free(root);
}

static void check_float(imgq_env *env, float value, const char *want)
{
    iq_buf buf = {0};
    CHECK(iq_json_write_float(env, &buf, value));
    CHECK_EQ_STR(want, (char *)buf.data);
    iq_buf_release(env, &buf);
}

void floats_are_written_shortest_and_without_locale(void)
{
    imgq_env *env = failing_env(0);
    double value = 0;
    /* Where no German locale is installed this only checks the plain one. */
    const char *german = setlocale(LC_NUMERIC, "de_DE.UTF-8");
    (void)german;
    check_float(env, 0.1f, "0.1");
    check_float(env, 0.413623f, "0.413623");
    check_float(env, 1.0f / 3, "0.33333334");
    check_float(env, 3e-9f, "3e-09");
    check_float(env, NAN, "null");
    iq_buf buf = {0};
    iq_json_write_double(env, &buf, 0.1);
    iq_buf_append_text(env, &buf, " ");
    iq_json_write_fixed(env, &buf, 0.41359, 4);
    CHECK_EQ_STR("0.1 0.4136", (char *)buf.data);
    iq_buf_release(env, &buf);
    CHECK(iq_parse_double("2.5", &value) && value == 2.5);
    setlocale(LC_NUMERIC, "C");
    imgq_env_destroy(env);
}

void numbers_are_parsed_whole(void)
{
    double d;
    uint64_t u;
    CHECK(iq_parse_double("-1e3", &d) && d == -1000);
    CHECK(!iq_parse_double("", &d) && !iq_parse_double("1x", &d) && !iq_parse_double("nan", &d));
    CHECK(!iq_parse_double("1e999", &d) && !iq_parse_double("0x10", &d));
    CHECK(iq_parse_uint("18446744073709551615", UINT64_MAX, &u) && u == UINT64_MAX);
    CHECK(!iq_parse_uint("18446744073709551616", UINT64_MAX, &u));
    CHECK(!iq_parse_uint("-1", 10, &u) && !iq_parse_uint("11", 10, &u) && !iq_parse_uint("", 10, &u));
}
