/* Log lines and error lines, to the letter. */
#include "cli/common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/common/ui.h"
#include "support/check.h"
#include "unit/cli/capture.h"

static void lines_are_the_unified_ones_of_the_wanted_level(void)
{
    cli_log log;
    cli_log_init(&log, "imgq-worker", "worker-1", IMGQ_LOG_INFO, false);
    capture_begin(2);
    cli_log_fn(&log, IMGQ_LOG_INFO, "worker", "batch of 32 classified in 812 ms");
    cli_log_fn(&log, IMGQ_LOG_DEBUG, "worker", "not wanted");
    cli_log_line(&log, IMGQ_LOG_ERROR, "lost %d", 3);
    const char *said = capture_end(2);
    /* [2026-01-31 12:45:30.123] */
    if (!CHECK(strlen(said) > 26))
        return;
    CHECK(said[0] == '[' && said[5] == '-' && said[11] == ' ' && said[20] == '.' && said[24] == ']');
    CHECK_EQ_INT(0, strncmp(" [worker-1] [imgq-worker] INFO: batch of 32 classified in 812 ms\n", said + 25, 65));
    CHECK_CONTAINS("[worker-1] [imgq-worker] ERROR: lost 3\n", said);
    CHECK(strstr(said, "not wanted") == NULL);
}

static void json_lines_are_objects(void)
{
    cli_log log;
    cli_log_init(&log, "imgq-worker", "worker-1", IMGQ_LOG_INFO, true);
    capture_begin(2);
    cli_log_line(&log, IMGQ_LOG_WARNING, "a \"quoted\" word");
    const char *said = capture_end(2);
    CHECK_EQ_INT('{', said[0]);
    CHECK_CONTAINS("\"a \\\"quoted\\\" word\"", said);
    CHECK_CONTAINS("}\n", said);
}

static void the_journal_gets_priorities(void)
{
    cli_log log;
    struct stat st;
    char stream[64];
    capture_begin(2);
    fstat(2, &st);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    cli_log_init(&log, "imgq-worker", "w", IMGQ_LOG_INFO, false);
    cli_log_line(&log, IMGQ_LOG_ERROR, "e");
    cli_log_line(&log, IMGQ_LOG_INFO, "i");
    const char *said = capture_end(2);
    CHECK_EQ_INT(0, strncmp(said, "<3>[", 4));
    CHECK_CONTAINS("\n<6>[", said);
    /* Another stderr than the journal's gets none. */
    cli_log_init(&log, "imgq-worker", "w", IMGQ_LOG_INFO, false);
    CHECK(!log.journal);
    unsetenv("JOURNAL_STREAM");
}

static void errors_are_one_plain_line_off_a_terminal(void)
{
    imgq_error err = {.status = IMGQ_E_UNAVAILABLE, .message = "connect to cache:6379: no answer within 2000 ms"};
    capture_begin(2);
    CHECK_EQ_INT(6, cli_error_status("imgq-submit", &err));
    CHECK_EQ_STR("imgq-submit: connect to cache:6379: no answer within 2000 ms\n", capture_end(2));
}

/* A file's name may hold anything: a second line, or what a terminal obeys. */
static void errors_stay_one_line_whatever_a_name_holds(void)
{
    capture_begin(2);
    cli_error_about("imgq-submit", "two\nlines\033[31m\t\177", "cannot be read");
    cli_note("imgq-submit", "back\\slash %s", "\r");
    CHECK_EQ_STR("imgq-submit: two\\nlines\\x1b[31m\\t\\x7f: cannot be read\nimgq-submit: back\\slash \\x0d\n",
                 capture_end(2));
}

/* What a service says last is in its log like all else: one object a line, or with the journal's priority. */
static void errors_of_a_program_with_a_log_are_lines_of_it(void)
{
    cli_log log;
    cli_log_init(&log, "imgq-worker", "worker-1", IMGQ_LOG_INFO, true);
    cli_ui_use_log(&log);
    capture_begin(2);
    cli_error("imgq-worker", "open %s: No such file or directory", "/nope");
    cli_note("imgq-worker", "a note");
    const char *said = capture_end(2);
    cli_ui_use_log(NULL);
    CHECK_EQ_INT('{', said[0]);
    CHECK_CONTAINS("\"level\":\"ERROR\",\"action\":\"open /nope: No such file or directory\"}\n{", said);
    CHECK_CONTAINS("\"level\":\"WARNING\",\"action\":\"a note\"}\n", said);
}

static void the_bar_stays_off_what_is_no_terminal(void)
{
    cli_progress bar;
    capture_begin(2);
    cli_progress_begin(&bar, 100, true);
    for (uint64_t i = 0; i <= 100; i++)
        cli_progress_set(&bar, i, 0);
    cli_progress_end(&bar);
    CHECK_EQ_STR("", capture_end(2));
}

static void durations_read_as_people_say_them(void)
{
    char out[24];
    CHECK_EQ_STR("0.4 s", cli_format_duration(out, sizeof out, 432));
    CHECK_EQ_STR("12 s", cli_format_duration(out, sizeof out, 12900));
    CHECK_EQ_STR("3 min", cli_format_duration(out, sizeof out, 200000));
    CHECK_EQ_STR("5 h", cli_format_duration(out, sizeof out, 5 * 3600000 + 1));
}

static const check_test tests[] = {
    CHECK_TEST(lines_are_the_unified_ones_of_the_wanted_level),
    CHECK_TEST(json_lines_are_objects),
    CHECK_TEST(the_journal_gets_priorities),
    CHECK_TEST(errors_are_one_plain_line_off_a_terminal),
    CHECK_TEST(errors_stay_one_line_whatever_a_name_holds),
    CHECK_TEST(errors_of_a_program_with_a_log_are_lines_of_it),
    CHECK_TEST(the_bar_stays_off_what_is_no_terminal),
    CHECK_TEST(durations_read_as_people_say_them),
};
CHECK_MAIN("cli_log", tests)
