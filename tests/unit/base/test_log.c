#include "base_tests.h"

#include <imgq/env.h>

#include "support/check.h"

#include <string.h>

static const imgq_log_line line = {.unix_ms = 1769863530123,
                                   .level = IMGQ_LOG_INFO,
                                   .server = "worker-1",
                                   .program = "imgq-worker",
                                   .action = "batch of 32 classified in 812 ms"};

void a_log_line_has_the_reference_form(void)
{
    char text[200];
    const char *want = "[2026-01-31 12:45:30.123] [worker-1] [imgq-worker] INFO: batch of 32 classified in 812 ms";
    CHECK_EQ_SIZE(strlen(want), imgq_log_format(text, sizeof text, &line));
    CHECK_EQ_STR(want, text);
    CHECK_EQ_SIZE(strlen(want), imgq_log_format(text, 10, &line));
    CHECK_EQ_STR("[2026-01-", text);
}

void a_log_line_in_json_is_one_object(void)
{
    char text[300];
    imgq_log_line json = line;
    json.json = 1;
    json.action = "said \"no\"\n";
    imgq_log_format(text, sizeof text, &json);
    CHECK_EQ_STR("{\"time\":\"2026-01-31T12:45:30.123Z\",\"server\":\"worker-1\",\"program\":\"imgq-worker\","
                 "\"level\":\"INFO\",\"action\":\"said \\\"no\\\"\\u000a\"}",
                 text);
}

void a_line_end_in_an_action_forges_nothing(void)
{
    char text[300];
    imgq_log_line forged = line;
    forged.action = "one\n[2026";
    forged.level = 99;
    imgq_log_format(text, sizeof text, &forged);
    CHECK(strchr(text, '\n') == NULL);
    CHECK_CONTAINS("DEBUG: one\\x0a[2026", text);
}
