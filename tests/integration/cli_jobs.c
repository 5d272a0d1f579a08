/* imgq-submit against a real Redis and a worker that echoes: order, forms, time-outs, Ctrl-C, ids. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "integration/cli_echo.h"
#include "integration/cli_process.h"
#include "support/check.h"
#include "support/redis_fixture.h"

static redis_fixture *redis;
static const char *url;

static const char *file(const char *name, const char *text)
{
    return cli_write_file(name, text, strlen(text));
}

/* A number behind "name": in imgq-ctl's JSON; -1: not there. */
static long long stat_at(const char *at_url, const char *queue, const char *name)
{
    char key[64];
    const cli_result *got = cli_run("imgq-ctl", "--redis", at_url, "--queue", queue, "--format", "json", "stats", NULL);
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(got->out, key);
    return at != NULL ? strtoll(at + strlen(key), NULL, 10) : -1;
}

static long long stat_of(const char *queue, const char *name)
{
    return stat_at(url, queue, name);
}

static bool wait_for_stat(const char *at_url, const char *queue, const char *name, long long wanted)
{
    for (int i = 0; i < 3000; i++)
        if (stat_at(at_url, queue, name) == wanted)
            return true;
    return false;
}

static void check(const cli_result *got, int code, const char *out, const char *err)
{
    CHECK_EQ_INT(code, got->code);
    CHECK_EQ_STR(out, got->out);
    CHECK_EQ_STR(err, got->err);
}

/* ---- answers ---- */

static void one_file_prints_its_answers_alone(void)
{
    echo *worker = echo_start(url, "one");
    check(cli_run("imgq-submit", "--redis", url, "--queue", "one", file("a.jpg", "church"), NULL), 0,
          "1. church: 0.5000\n", "");
    check(cli_run_input("from stdin", 10, "imgq-submit", "--redis", url, "--queue", "one", "-", NULL), 0,
          "1. from stdin: 0.5000\n", "");
    setenv("IMGQ_REDIS_URL", url, 1);
    setenv("IMGQ_QUEUE", "one", 1);
    check(cli_run("imgq-submit", cli_temporary("a.jpg"), NULL), 0, "1. church: 0.5000\n", "");
    unsetenv("IMGQ_REDIS_URL");
    unsetenv("IMGQ_QUEUE");
    CHECK_EQ_SIZE(3, echo_stop(worker));
}

enum { MANY = 300 };

/* A folder of MANY files, "0000.jpg" holding "image 0" and so on; made by the first caller. */
static const char *many(void)
{
    if (mkdir(cli_temporary("many"), 0700) == 0) {
        for (int i = 0; i < MANY; i++) {
            char name[32], text[32];
            snprintf(name, sizeof name, "many/%04d.jpg", i);
            snprintf(text, sizeof text, "image %d", i);
            (void)file(name, text);
        }
    }
    return cli_temporary("many");
}

static void many_files_come_in_order_though_answered_last_first(void)
{
    echo *worker = echo_start(url, "many");
    char *want = calloc(MANY, 600);
    for (int i = 0; i < MANY; i++)
        sprintf(want + strlen(want), "%s/%04d.jpg\n1. image %d: 0.5000\n", many(), i, i);
    check(cli_run("imgq-submit", "--redis", url, "-qmany", "--recursive", many(), NULL), 0, want, "");
    CHECK(echo_most_held(worker) > 1);
    echo_stop(worker);
    free(want);
}

static void no_more_than_the_window_is_under_way(void)
{
    echo *worker = echo_start(url, "window");
    const cli_result *got =
        cli_run("imgq-submit", "--redis", url, "-qwindow", "--window=4", "--recursive", many(), NULL);
    CHECK_EQ_INT(0, got->code);
    CHECK(echo_most_held(worker) <= 4);
    CHECK_EQ_SIZE(300, echo_stop(worker));
}

static void names_with_anything_in_them_come_from_a_list(void)
{
    echo *worker = echo_start(url, "odd");
    char list[4096];
    size_t len = 0;
    static const char *const names[] = {"two\nlines.jpg", "-starts with a dash", "caf\xc3\xa9\xff.jpg", "tab\there"};
    for (size_t i = 0; i < 4; i++) {
        const char *path = file(names[i], names[i][0] == '-' ? "dash" : "other");
        memcpy(list + len, path, strlen(path) + 1);
        len += strlen(path) + 1;
    }
    const cli_result *got =
        cli_run_input(list, len, "imgq-submit", "--redis", url, "-qodd", "--files0-from", "-", NULL);
    CHECK_EQ_INT(0, got->code);
    CHECK_EQ_STR("", got->err);
    const char *at = got->out;
    static const char *const shown[] = {"/two\\nlines.jpg\n1. other: 0.5000\n",
                                        "/-starts with a dash\n1. dash: 0.5000\n",
                                        "/caf\xc3\xa9\xff.jpg\n1. other: 0.5000\n", "/tab\\there\n1. other: 0.5000\n"};
    for (size_t i = 0; i < 4; i++) {
        const char *found = strstr(at, shown[i]);
        CHECK(found != NULL);
        at = found != NULL ? found : at;
    }
    got = cli_run_input(list, len, "imgq-submit", "--redis", url, "-qodd", "--files0-from", "-", "--format=json", NULL);
    CHECK_CONTAINS("/two\\nlines.jpg\",\"id\":\"_", got->out);
    echo_stop(worker);
}

static void json_and_tsv_tell_what_became_of_each_file(void)
{
    echo *worker = echo_start(url, "forms");
    const char *good = file("good.jpg", "fine"), *bad = file("bad.jpg", "bad image");
    const cli_result *got =
        cli_run("imgq-submit", "--redis", url, "-qforms", "--format=json", good, bad, "/nonexistent", NULL);
    CHECK_EQ_INT(1, got->code);
    char want[700];
    snprintf(want, sizeof want, "{\"schema\":1,\"file\":\"%s\",\"id\":\"_", good);
    CHECK_EQ_INT(0, strncmp(want, got->out, strlen(want)));
    CHECK_CONTAINS("\",\"status\":\"ok\",\"predictions\":[{\"class\":7,\"label\":\"fine\",\"probability\":0.5}],"
                   "\"error\":null,\"queue\":\"forms\",\"model\":\"echo\",\"model_hash\":\"00\",\"profile\":\"keras\","
                   "\"engine\":\"none\",\"precision\":\"highest\",\"worker\":\"echo\",\"attempt\":1,",
                   got->out);
    CHECK_CONTAINS("\"status\":\"failed\",\"predictions\":[],\"error\":{\"code\":\"IMGQ_E_CORRUPT\",\"message\":\"bad "
                   "image\"},\"queue\":\"forms\"",
                   got->out);
    CHECK_CONTAINS("\n{\"schema\":1,\"file\":\"/nonexistent\",\"id\":null,\"status\":\"failed\",\"predictions\":[],"
                   "\"error\":{\"code\":\"IMGQ_E_NOTFOUND\",\"message\":\"cannot be read: No such file or "
                   "directory\"},\"queue\":\"forms\",\"times_ms\":{}}\n",
                   got->out);
    snprintf(want, sizeof want,
             "imgq-submit: %s: bad image\nimgq-submit: /nonexistent: cannot be read: No such file or directory\n", bad);
    CHECK_EQ_STR(want, got->err);

    got = cli_run("imgq-submit", "--redis", url, "-qforms", "--format=tsv", good, "/nonexistent", NULL);
    CHECK_EQ_INT(1, got->code);
    CHECK_CONTAINS("\tok\t1\t7\tfine\t0.500000\n", got->out);
    CHECK_CONTAINS("/nonexistent\t\tfailed\t0\t\tcannot be read: No such file or directory\t\n", got->out);
    echo_stop(worker);
}

static void what_is_refused_everywhere_is_3_and_partly_is_1(void)
{
    echo *worker = echo_start(url, "refused");
    const char *bad = file("bad.jpg", "bad image"), *good = file("good.jpg", "fine");
    char want[700];
    snprintf(want, sizeof want, "imgq-submit: %s: bad image\n", bad);
    check(cli_run("imgq-submit", "--redis", url, "-qrefused", bad, NULL), 3, "", want);
    CHECK_EQ_INT(1, cli_run("imgq-submit", "--redis", url, "-qrefused", good, bad, NULL)->code);
    snprintf(want, sizeof want,
             "imgq-submit: %s: empty\nimgq-submit: /tmp: a folder: --recursive takes the files in it\n",
             file("empty.jpg", ""));
    check(cli_run("imgq-submit", "--redis", url, "-qrefused", cli_temporary("empty.jpg"), "/tmp", NULL), 3, "", want);
    echo_stop(worker);
}

/* ---- ids ---- */

static void ids_are_printed_awaited_and_cancelled(void)
{
    char ids[3][80] = {"", "", ""};
    cli_result got = *cli_run("imgq-submit", "--redis", url, "-qids", "--no-wait", file("a.jpg", "A"),
                              file("b.jpg", "B"), file("c.jpg", "C"), NULL);
    CHECK_EQ_INT(0, got.code);
    CHECK_EQ_STR("", got.err);
    CHECK_EQ_INT(3, sscanf(got.out, "%79s %79s %79s", ids[0], ids[1], ids[2]));

    char want[400];
    snprintf(want, sizeof want, "%s\tcancelled\n", ids[1]);
    check(cli_run("imgq-submit", "--redis", url, "-qids", "--cancel", ids[1], NULL), 0, want, "");
    snprintf(want, sizeof want, "imgq-submit: cancel job %s: it has ended already\n", ids[1]);
    check(cli_run("imgq-submit", "--redis", url, "-qids", "--cancel", ids[1], NULL), 1, "", want);
    check(cli_run("imgq-submit", "--redis", url, "-qids", "--cancel", "nobody", NULL), 1, "",
          "imgq-submit: cancel job nobody: unknown or expired\n");

    echo *worker = echo_start(url, "ids");
    snprintf(want, sizeof want, "%s\n1. C: 0.5000\n%s\n1. A: 0.5000\n", ids[2], ids[0]);
    check(cli_run("imgq-submit", "--redis", url, "-qids", "--await", ids[2], ids[0], NULL), 0, want, "");
    /* What ended before is answered as well, and ids come from a pipe as --no-wait printed them. */
    char lines[300];
    snprintf(lines, sizeof lines, "%s\n\n%s \nunknown\n", ids[0], ids[1]);
    got = *cli_run_input(lines, strlen(lines), "imgq-submit", "--redis", url, "-qids", "--await", "-", NULL);
    CHECK_EQ_INT(1, got.code);
    snprintf(want, sizeof want, "%s\n1. A: 0.5000\n", ids[0]);
    CHECK_EQ_STR(want, got.out);
    CHECK_CONTAINS(ids[1], got.err);
    CHECK_CONTAINS("unknown", got.err);
    echo_stop(worker);
}

static void the_same_id_and_file_is_the_same_job(void)
{
    const char *a = file("a.jpg", "A"), *b = file("b.jpg", "B");
    check(cli_run("imgq-submit", "--redis", url, "-qown", "--id=mine", "--no-wait", a, NULL), 0, "mine\n", "");
    check(cli_run("imgq-submit", "--redis", url, "-qown", "--id=mine", "--no-wait", a, NULL), 0, "mine\n", "");
    CHECK_EQ_INT(1, stat_of("own", "waiting"));
    const cli_result *got = cli_run("imgq-submit", "--redis", url, "-qown", "--id=mine", "--no-wait", b, NULL);
    CHECK_EQ_INT(1, got->code);
    CHECK_CONTAINS("mine", got->err);
    echo *worker = echo_start(url, "own");
    check(cli_run("imgq-submit", "--redis", url, "-qown", "--id=mine", a, NULL), 0, "1. A: 0.5000\n", "");
    CHECK_EQ_SIZE(1, echo_stop(worker));
}

/* ---- time, interruption, loss ---- */

static void nobody_there_is_said_after_a_second_and_the_job_is_cancelled(void)
{
    const char *a = file("a.jpg", "A");
    char want[700];
    snprintf(
        want, sizeof want,
        "imgq-submit: no live worker on queue nobody (none was ever seen)\n"
        "imgq-submit: %s: no answer within 1.5 s, cancelled: no live worker on queue nobody (none was ever seen)\n",
        a);
    check(cli_run("imgq-submit", "--redis", url, "-qnobody", "--timeout", "1.5", a, NULL), 4, "", want);
    CHECK_EQ_INT(0, stat_of("nobody", "waiting"));
    CHECK_EQ_INT(1, stat_of("nobody", "cancelled"));
    const cli_result *got =
        cli_run("imgq-submit", "--redis", url, "-qnobody", "--timeout", "0.3", "--quiet", "--format=json", a, NULL);
    CHECK_EQ_INT(4, got->code);
    CHECK_CONTAINS("\"status\":\"timeout\",\"predictions\":[],\"error\":{\"code\":\"IMGQ_E_TIMEOUT\",\"message\":\"no "
                   "answer within 0.3 s, cancelled\"}",
                   got->out);
}

static void a_signal_cancels_what_has_not_ended(void)
{
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        char queue[32];
        snprintf(queue, sizeof queue, "signal-%zu", i);
        cli_process *submit =
            cli_start("imgq-submit", "--redis", url, "--queue", queue, file("a.jpg", "A"), file("b.jpg", "B"), NULL);
        CHECK(wait_for_stat(url, queue, "waiting", 2));
        cli_process_signal(submit, signals[i]);
        const cli_result *got = cli_finish(submit);
        CHECK_EQ_INT(128 + signals[i], got->code);
        CHECK_EQ_STR("", got->out);
        CHECK_CONTAINS("imgq-submit: interrupted: 0 of 2 done, 2 cancelled\n", got->err);
        CHECK_EQ_INT(0, stat_of(queue, "waiting"));
        CHECK_EQ_INT(2, stat_of(queue, "cancelled"));
    }
}

static void without_waiting_a_signal_leaves_accepted_jobs_alone(void)
{
    check(cli_run("imgq-submit", "--redis", url, "-qleft", "--no-wait", "--id=left", file("a.jpg", "A"), NULL), 0,
          "left\n", "");
    cli_process *await = cli_start("imgq-submit", "--redis", url, "-qleft", "--await", "left", NULL);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    cli_process_signal(await, SIGINT);
    CHECK_EQ_INT(130, cli_finish(await)->code);
    CHECK_EQ_INT(1, stat_of("left", "waiting"));
}

static void a_full_queue_is_5_when_the_time_is_over(void)
{
    const char *a = file("a.jpg", "A");
    char want[700];
    CHECK_EQ_INT(0, cli_run("imgq-ctl", "--redis", url, "-qfull", "set", "max_jobs", "1", NULL)->code);
    CHECK_EQ_INT(0, cli_run("imgq-submit", "--redis", url, "-qfull", "--no-wait", a, NULL)->code);
    snprintf(want, sizeof want, "imgq-submit: %s: queue full is full: not accepted within 0.7 s, try later\n", a);
    check(cli_run("imgq-submit", "--redis", url, "-qfull", "--timeout=0.7", a, NULL), 5, "", want);
    /* With somebody who empties it, waiting is enough. */
    echo *worker = echo_start(url, "full");
    CHECK_EQ_INT(0, cli_run("imgq-submit", "--redis", url, "-qfull", "--quiet", a, a, a, NULL)->code);
    CHECK_EQ_INT(0, cli_run("imgq-ctl", "--redis", url, "-qfull", "set", "max_jobs", "100", NULL)->code);
    const cli_result *got = cli_run("imgq-submit", "--redis", url, "-qfull", "--quiet", "-R", many(), NULL);
    CHECK_EQ_INT(0, got->code);
    CHECK_CONTAINS("\n1. image 299: 0.5000\n", got->out);
    echo_stop(worker);
}

static void redis_away_for_good_is_6_and_for_a_while_is_nothing(void)
{
    redis_fixture *mortal = redis_fixture_start("appendonly yes\nappendfsync always");
    const char *mortal_url = redis_fixture_url(mortal);
    cli_process *submit = cli_start("imgq-submit", "--redis", mortal_url, "--timeout", "60", file("a.jpg", "A"),
                                    file("b.jpg", "B"), NULL);
    CHECK(cli_process_said(submit, "no live worker"));
    redis_fixture_kill(mortal);
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    redis_fixture_restart(mortal);
    echo *worker = echo_start(mortal_url, "default");
    const cli_result *got = cli_finish(submit);
    CHECK_EQ_INT(0, got->code);
    CHECK_CONTAINS("1. A: 0.5000\n", got->out);
    CHECK_CONTAINS("1. B: 0.5000\n", got->out);
    echo_stop(worker);

    submit = cli_start("imgq-submit", "--redis", mortal_url, "--timeout", "3", file("a.jpg", "A"), NULL);
    CHECK(wait_for_stat(mortal_url, "default", "waiting", 1));
    redis_fixture_kill(mortal);
    const int64_t killed_ns = iq_clock_ns();
    got = cli_finish(submit);
    /* One call may wait out its seven seconds; a second one is not begun for a Redis that did not answer the first. */
    CHECK((iq_clock_ns() - killed_ns) / 1000000 < (getenv("CI") != NULL ? 36000 : 12000));
    CHECK_EQ_INT(6, got->code);
    CHECK_CONTAINS("no answer within 3 s, and it could not be cancelled: connect to", got->err);
    CHECK_EQ_STR("", got->out);
    redis_fixture_stop(mortal);
}

static void a_closed_stdout_ends_it_and_cancels(void)
{
    echo *worker = echo_start(url, "closed");
    char command[2000];
    snprintf(command, sizeof command,
             "\"$IMGQ_BIN/imgq-submit\" --redis '%s' -qclosed --recursive '%s' | head -n 1; echo ${PIPESTATUS[0]}", url,
             many());
    const cli_result *got = cli_run("/bin/bash", "-c", command, NULL);
    CHECK_CONTAINS("/0000.jpg\n", got->out);
    CHECK_EQ_STR("", got->err);
    echo_stop(worker);
    got = cli_run("/bin/bash", "-c", "\"$IMGQ_BIN/imgq-ctl\" --version >/dev/full", NULL);
    CHECK(got->code != 0);
}

/* No socket takes the place of a closed stdin, stdout or stderr. */
static void closed_standard_descriptors_stay_closed(void)
{
    echo *worker = echo_start(url, "shut");
    const char *a = cli_write_file("a", "A", 1);
    const cli_result *got =
        cli_run("/bin/sh", "-c", "exec \"$IMGQ_BIN/imgq-submit\" --redis \"$0\" -qshut - <&-", url, NULL);
    CHECK_EQ_INT(3, got->code);
    CHECK_EQ_STR("imgq-submit: standard input: cannot be read: Bad file descriptor\n", got->err);
    got = cli_run("/bin/sh", "-c", "exec \"$IMGQ_BIN/imgq-submit\" --redis \"$0\" -qshut \"$1\" >&-", url, a, NULL);
    CHECK_EQ_INT(1, got->code);
    CHECK_EQ_STR("imgq-submit: standard output cannot be written: Bad file descriptor\n", got->err);
    got = cli_run("/bin/sh", "-c", "exec \"$IMGQ_BIN/imgq-submit\" --redis \"$0\" -qshut /nope \"$1\" 2>&-", url, a,
                  NULL);
    CHECK_EQ_INT(1, got->code);
    CHECK_CONTAINS("\n1. A: 0.5000\n", got->out);
    echo_stop(worker);
}

static void a_signal_ends_the_wait_for_standard_input(void)
{
    const char *pipe = cli_temporary("silent");
    CHECK_EQ_INT(0, mkfifo(pipe, 0600));
    /* Opened for both ends, so that it is neither closed nor written to. */
    cli_process *submit = cli_start(
        "/bin/sh", "-c", "exec \"$IMGQ_BIN/imgq-submit\" --redis \"$0\" -qsilent - <>\"$1\"", url, pipe, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    cli_process_signal(submit, SIGINT);
    const cli_result *got = cli_finish(submit);
    CHECK_EQ_INT(130, got->code);
    CHECK_EQ_STR("", got->out);
}

static void when_a_worker_was_last_seen_is_said(void)
{
    CHECK_EQ_INT(0, stat_of("gone", "waiting"));
    char line[200];
    long long now = 0;
    (void)sscanf(strstr(cli_run("imgq-ctl", "--redis", url, "-qgone", "-fjson", "stats", NULL)->out, "server_unix_ms"),
                 "server_unix_ms\":%lld", &now);
    snprintf(line, sizeof line, "ZADD iq:{gone.0}:wr %lld worker", now - 600000);
    CHECK_EQ_STR("(integer) 1", redis_fixture_ask(redis, line));
    const cli_result *got =
        cli_run("imgq-submit", "--redis", url, "-qgone", "--timeout", "1.2", file("a.jpg", "A"), NULL);
    CHECK_EQ_INT(4, got->code);
    CHECK_CONTAINS("imgq-submit: no live worker on queue gone (last seen 10 min ago)\n", got->err);
}

static void a_jobs_settings_reach_the_queue(void)
{
    CHECK_EQ_INT(0, cli_run("imgq-submit", "--redis", url, "-qset", "--no-wait", "--id=job", "--priority=9",
                            "--delay=3600", "--deadline=7200", "--attempts=7", file("a.jpg", "A"), NULL)
                        ->code);
    const cli_result *got = cli_run("imgq-ctl", "--redis", url, "-qset", "-fjson", "show", "job", NULL);
    CHECK_CONTAINS("\"state\":\"delayed\",\"priority\":9,", got->out);
    CHECK_CONTAINS("\"max_fails\":7,", got->out);
    long long submitted = 0, deadline = 0;
    (void)sscanf(strstr(got->out, "\"submitted_unix_ms\""), "\"submitted_unix_ms\":%lld", &submitted);
    (void)sscanf(strstr(got->out, "\"deadline_unix_ms\""), "\"deadline_unix_ms\":%lld", &deadline);
    CHECK_EQ_INT(7200000, deadline - submitted);
}

/* ---- tensors ---- */

/* 16 x 16 of one colour: the smallest PNG that a decoder reads all the same. */
static const char *png(void)
{
    static const unsigned char bytes[] = {
        0x89, 'P',  'N',  'G', 0x0d, 0x0a, 0x1a, 0x0a, 0,    0,    0,    13,   'I',  'H',  'D',  'R', 0, 0,
        0,    1,    0,    0,   0,    1,    8,    2,    0,    0,    0,    0x90, 0x77, 0x53, 0xde, 0,   0, 0,
        12,   'I',  'D',  'A', 'T',  8,    0xd7, 0x63, 0xf8, 0xcf, 0xc0, 0,    0,    3,    1,    1,   0, 0x18,
        0xdd, 0x8d, 0xb0, 0,   0,    0,    0,    'I',  'E',  'N',  'D',  0xae, 0x42, 0x60, 0x82};
    return cli_write_file("red.png", bytes, sizeof bytes);
}

static void tensors_are_made_here_by_the_profile_of_the_workers(void)
{
    const char *image = png();
    check(cli_run("imgq-submit", "--redis", url, "-qtensor", "--payload=u8", image, NULL), 7, "",
          "imgq-submit: no live worker on queue tensor says how tensors are prepared: --profile says it\n");
    echo *worker = echo_start(url, "tensor");
    check(cli_run("imgq-submit", "--redis", url, "-qtensor", "--payload=u8", "--profile=keras", image, NULL), 0,
          "1. 150528 bytes: 0.5000\n", "");
    check(cli_run("imgq-submit", "--redis", url, "-qtensor", "--payload=f32", "--profile=keras", image, NULL), 0,
          "1. 602112 bytes: 0.5000\n", "");
    echo_stop(worker);
    const cli_result *got = cli_run("imgq-submit", "--redis", url, "-qtensor", "--payload=u8", "--profile=keras",
                                    file("not.jpg", "not an image"), NULL);
    CHECK_EQ_INT(3, got->code);
}

static void a_bar_is_drawn_on_a_terminal_for_several_files_only(void)
{
    echo *worker = echo_start(url, "bar");
    char command[2000], bare[2000];
    snprintf(command, sizeof command, "TERM=xterm \"$IMGQ_BIN/imgq-submit\" --redis '%s' -qbar -R '%s' >/dev/null", url,
             many());
    const cli_result *got = cli_run("/usr/bin/script", "-qec", command, "/dev/null", NULL);
    CHECK_EQ_INT(0, got->code);
    CHECK_CONTAINS("\r\033[K[", got->out);
    CHECK_CONTAINS(" of 300", got->out);
    snprintf(command, sizeof command, "TERM=xterm \"$IMGQ_BIN/imgq-submit\" --redis '%s' -qbar '%s' >/dev/null", url,
             file("a.jpg", "A"));
    CHECK_EQ_STR("", cli_run("/usr/bin/script", "-qec", command, "/dev/null", NULL)->out);
    snprintf(bare, sizeof bare, "TERM=dumb \"$IMGQ_BIN/imgq-submit\" --redis '%s' -qbar -R '%s' >/dev/null", url,
             many());
    CHECK_EQ_STR("", cli_run("/usr/bin/script", "-qec", bare, "/dev/null", NULL)->out);
    echo_stop(worker);
}

static const check_test tests[] = {
    CHECK_TEST(one_file_prints_its_answers_alone),
    CHECK_TEST(many_files_come_in_order_though_answered_last_first),
    CHECK_TEST(no_more_than_the_window_is_under_way),
    CHECK_TEST(names_with_anything_in_them_come_from_a_list),
    CHECK_TEST(json_and_tsv_tell_what_became_of_each_file),
    CHECK_TEST(what_is_refused_everywhere_is_3_and_partly_is_1),
    CHECK_TEST(ids_are_printed_awaited_and_cancelled),
    CHECK_TEST(the_same_id_and_file_is_the_same_job),
    CHECK_TEST(nobody_there_is_said_after_a_second_and_the_job_is_cancelled),
    CHECK_TEST(a_signal_cancels_what_has_not_ended),
    CHECK_TEST(without_waiting_a_signal_leaves_accepted_jobs_alone),
    CHECK_TEST(a_full_queue_is_5_when_the_time_is_over),
    CHECK_TEST(redis_away_for_good_is_6_and_for_a_while_is_nothing),
    CHECK_TEST(a_closed_stdout_ends_it_and_cancels),
    CHECK_TEST(closed_standard_descriptors_stay_closed),
    CHECK_TEST(a_signal_ends_the_wait_for_standard_input),
    CHECK_TEST(when_a_worker_was_last_seen_is_said),
    CHECK_TEST(a_jobs_settings_reach_the_queue),
    CHECK_TEST(tensors_are_made_here_by_the_profile_of_the_workers),
    CHECK_TEST(a_bar_is_drawn_on_a_terminal_for_several_files_only),
};

int main(int argc, char **argv)
{
    redis = redis_fixture_start(NULL);
    url = redis_fixture_url(redis);
    const int code = check_main(argc, argv, "cli_jobs", tests, sizeof tests / sizeof *tests);
    redis_fixture_stop(redis);
    return code;
}
