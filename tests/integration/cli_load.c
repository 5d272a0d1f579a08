/* imgq-stress against a real Redis: every request has an outcome, and the figures are about what was asked. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integration/cli_echo.h"
#include "integration/cli_process.h"
#include "support/check.h"
#include "support/redis_fixture.h"
#include "support/shared.h"

static redis_fixture *redis;
static const char *url;

#define STRESS(queue, ...) cli_run("imgq-stress", "--redis", url, "--queue", queue, __VA_ARGS__, NULL)

/* The number behind "name": of JSON; -1: not there. */
static double number(const cli_result *got, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(got->out, key);
    return at != NULL ? strtod(at + strlen(key), NULL) : -1;
}

static int64_t count(const cli_result *got, const char *name)
{
    return (int64_t)number(got, name);
}

static const char *image(void)
{
    return cli_write_file("image", "an image", 8);
}

static void five_hundred_requests_by_fifty_threads_are_all_answered(void)
{
    echo *worker = echo_start(url, "load");
    cli_result got = *STRESS("load", "--image", image(), "--requests=500", "--concurrency=50", "-fjson");
    CHECK_EQ_INT(0, got.code);
    CHECK_EQ_STR("", got.err);
    CHECK_EQ_INT(500, count(&got, "requests"));
    CHECK_EQ_INT(500, count(&got, "ok"));
    CHECK_EQ_INT(0, count(&got, "failed"));
    CHECK_EQ_INT(0, count(&got, "timed_out"));
    CHECK(number(&got, "p50") > 0 && number(&got, "p50") <= number(&got, "p90") &&
          number(&got, "p90") <= number(&got, "p99") && number(&got, "p99") <= number(&got, "p99_9") &&
          number(&got, "p99_9") <= number(&got, "max"));
    CHECK(number(&got, "throughput_per_s") > 0);
    const double commands = number(&got, "commands_per_request");
    CHECK(commands >= 1);

    got = *STRESS("load", image(), "-n60", "-c20", "--poll", "-fjson");
    CHECK_EQ_INT(0, got.code);
    CHECK_EQ_INT(60, count(&got, "ok"));
    CHECK(number(&got, "commands_per_request") >= 2); /* a submit and at least one look */
    CHECK_EQ_SIZE(560, echo_stop(worker));
}

/* The worker's own way through, without a network: what the queue can carry. */
static void five_hundred_requests_go_through_a_worker_without_a_model(void)
{
    if (access(bin_path("imgq-worker"), X_OK) != 0) {
        check_skip("imgq-worker is not built (IMGQ_IMPORT)");
        return;
    }
    cli_process *worker = cli_start("imgq-worker", "--redis", url, "--queue", "none", "--model", "none", NULL);
    CHECK(cli_process_said(worker, "ready"));
    cli_result got = *STRESS("none", image(), "-n500", "-c50", "-fjson");
    CHECK_EQ_INT(0, got.code);
    CHECK_EQ_INT(500, count(&got, "ok"));
    got = *STRESS("none", image(), "-n100", "-c50", "--poll", "-fjson");
    CHECK_EQ_INT(100, count(&got, "ok"));
    const cli_result *one = cli_run("imgq-submit", "--redis", url, "-qnone", "-ftsv", image(), NULL);
    CHECK_EQ_INT(0, one->code);
    CHECK_CONTAINS("\tok\t0\t\t\t\n", one->out);
    cli_process_signal(worker, SIGTERM);
    CHECK_EQ_INT(0, cli_finish(worker)->code);
}

static void text_says_the_same_for_people(void)
{
    echo *worker = echo_start(url, "text");
    const cli_result *got = STRESS("text", image(), "-n40", "-c4");
    CHECK_EQ_INT(0, got->code);
    CHECK_CONTAINS("requests    40: 40 ok, 0 failed, 0 timed out\nduration    ", got->out);
    CHECK_CONTAINS("\nlatency ms  p50 ", got->out);
    CHECK_CONTAINS("round trips a request (notified)\n", got->out);
    echo_stop(worker);
}

static void an_open_loop_says_whether_it_kept_its_rate(void)
{
    echo *worker = echo_start(url, "rate");
    cli_result got = *STRESS("rate", image(), "-n40", "-c8", "--rate=20", "-fjson");
    CHECK_EQ_INT(0, got.code);
    CHECK_EQ_INT(40, count(&got, "ok"));
    CHECK(number(&got, "duration_s") >= 39 / 20.0); /* the last one is begun at 1.95 s and no sooner */
    got = *STRESS("rate", image(), "-n20", "-c1", "--rate=1000000", "-fjson");
    CHECK_EQ_INT(20, count(&got, "ok"));
    CHECK(number(&got, "latest_ms") > 0);
    got = *STRESS("rate", image(), "-c4", "--duration=0.5", "-fjson");
    CHECK_EQ_INT(0, got.code);
    CHECK(number(&got, "ok") >= 1 && number(&got, "ok") == number(&got, "requests"));
    echo_stop(worker);
    /* Nobody answers: latencies count from the intended time, so the second of one thread begins late and says so. */
    got = *STRESS("rate-late", image(), "-n3", "-c1", "--rate=100", "--timeout=0.3", "-fjson");
    CHECK_EQ_INT(4, got.code);
    CHECK_EQ_INT(3, count(&got, "timed_out"));
    CHECK(count(&got, "late") >= 2);
    CHECK_CONTAINS("\"rate_kept\":false", got.out);
    CHECK_CONTAINS("\"latency_ms\":{\"p50\":null,\"p90\":null,\"p99\":null,\"p99_9\":null,\"max\":null}", got.out);
    got = *STRESS("rate-late", image(), "-n1", "-c1", "--timeout=0.1");
    CHECK_CONTAINS("\nlatency ms  p50 -  p90 -  p99 -  p99.9 -  max -\n", got.out);
}

/* How many begin within the time is decided by the seed alone, however busy the machine is. */
static void arrivals_by_chance_are_those_of_their_seed(void)
{
    echo *worker = echo_start(url, "chance");
    const cli_result even = *STRESS("chance", image(), "-c8", "--rate=80", "--duration=0.5", "-fjson");
    CHECK_EQ_INT(40, count(&even, "requests"));
    CHECK_CONTAINS("\"arrivals\":\"even\"", even.out);
    for (int i = 0; i < 2; i++) {
        const cli_result got = *STRESS("chance", image(), "-c8", "--rate=80", "--duration=0.5", "--arrivals=poisson",
                                       "--seed=3", "-fjson");
        CHECK_EQ_INT(0, got.code);
        CHECK_CONTAINS("\"arrivals\":\"poisson\",\"seed\":3", got.out);
        CHECK_EQ_INT(47, count(&got, "requests")); /* computed apart from this program */
    }
    CHECK_CONTAINS("\narrivals    by chance (Poisson), seed 5\n",
                   STRESS("chance", image(), "-n3", "--rate=80", "--arrivals=poisson", "--seed=5")->out);
    echo_stop(worker);
}

static void what_fails_is_counted_by_its_reason(void)
{
    echo *worker = echo_start(url, "fails");
    const char *bad = cli_write_file("bad", "bad image", 9);
    cli_result got = *STRESS("fails", image(), bad, "-n40", "-c4", "-fjson");
    CHECK_EQ_INT(1, got.code);
    CHECK_EQ_INT(20, count(&got, "ok"));
    CHECK_EQ_INT(20, count(&got, "failed"));
    CHECK_CONTAINS("\"failures\":{\"IMGQ_E_CORRUPT\":20}}\n", got.out);
    CHECK_EQ_STR("imgq-stress: the first failure: bad image\n", got.err);
    CHECK_EQ_INT(3, STRESS("fails", bad, "-n4", "-c4")->code);
    CHECK_EQ_INT(3, STRESS("fails", "/nonexistent", "-n4", "-c4")->code);
    echo_stop(worker);
}

static void an_interrupt_cancels_what_is_open_and_still_counts(void)
{
    cli_process *stress =
        cli_start("imgq-stress", "--redis", url, "-qinterrupt", "--image", image(), "-n100", "-c5", "-fjson", NULL);
    for (int i = 0; i < 3000; i++) {
        const cli_result *stats = cli_run("imgq-ctl", "--redis", url, "-qinterrupt", "-fjson", "stats", NULL);
        if (number(stats, "waiting") == 5)
            break;
    }
    cli_process_signal(stress, SIGINT);
    const cli_result got = *cli_finish(stress);
    CHECK_EQ_INT(130, got.code);
    CHECK_EQ_INT(5, count(&got, "interrupted"));
    CHECK_CONTAINS("imgq-stress: interrupted: 5 jobs cancelled\n", got.err);
    const cli_result *stats = cli_run("imgq-ctl", "--redis", url, "-qinterrupt", "-fjson", "stats", NULL);
    CHECK_EQ_INT(0, count(stats, "waiting"));
    CHECK_EQ_INT(5, count(stats, "cancelled"));
}

static const check_test tests[] = {
    CHECK_TEST(five_hundred_requests_by_fifty_threads_are_all_answered),
    CHECK_TEST(five_hundred_requests_go_through_a_worker_without_a_model),
    CHECK_TEST(text_says_the_same_for_people),
    CHECK_TEST(an_open_loop_says_whether_it_kept_its_rate),
    CHECK_TEST(arrivals_by_chance_are_those_of_their_seed),
    CHECK_TEST(what_fails_is_counted_by_its_reason),
    CHECK_TEST(an_interrupt_cancels_what_is_open_and_still_counts),
};

int main(int argc, char **argv)
{
    redis = redis_fixture_start(NULL);
    url = redis_fixture_url(redis);
    const int code = check_main(argc, argv, "cli_load", tests, sizeof tests / sizeof *tests);
    redis_fixture_stop(redis);
    return code;
}
