/* imgq-ctl against a real Redis: what it shows, what it changes, what it refuses to do unasked. */
#include <imgq/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integration/cli_echo.h"
#include "integration/cli_process.h"
#include "support/check.h"
#include "support/redis_fixture.h"
#include "support/shared.h"

static redis_fixture *redis;
static const char *url;

#define CTL(queue, ...) cli_run("imgq-ctl", "--redis", url, "--queue", queue, __VA_ARGS__, NULL)

static void check(const cli_result *got, int code, const char *out, const char *err)
{
    CHECK_EQ_INT(code, got->code);
    CHECK_EQ_STR(out, got->out);
    CHECK_EQ_STR(err, got->err);
}

static void submit(const char *queue, const char *id, const char *text)
{
    char name[80];
    snprintf(name, sizeof name, "%s.jpg", id);
    const cli_result *got = cli_run("imgq-submit", "--redis", url, "--queue", queue, "--no-wait", "--id", id,
                                    cli_write_file(name, text, strlen(text)), NULL);
    CHECK_EQ_INT(0, got->code);
}

static void bury(const char *queue, const char *first, const char *second)
{
    echo *worker = echo_start(url, queue);
    const cli_result *got = cli_run("imgq-submit", "--redis", url, "--queue", queue, "--quiet", "--id", first,
                                    cli_write_file("bad-1", "bad one", 7), NULL);
    CHECK_EQ_INT(3, got->code);
    got = cli_run("imgq-submit", "--redis", url, "--queue", queue, "--quiet", "--id", second,
                  cli_write_file("bad-2", "bad two", 7), NULL);
    CHECK_EQ_INT(3, got->code);
    echo_stop(worker);
}

static void stats_count_jobs_by_where_they_are(void)
{
    submit("stats", "one", "1");
    submit("stats", "two", "2");
    const cli_result *got = CTL("stats", "stats");
    CHECK_EQ_INT(0, got->code);
    CHECK_EQ_STR("", got->err);
    CHECK_CONTAINS("queue          stats\nwaiting        2 (the first for ", got->out);
    CHECK_CONTAINS("\nworkers        0 live\npaused         no\nroom           2 of 100000 jobs, 0.0 of 2048.0 MiB\n"
                   "submitted      2\ndelivered      0\n",
                   got->out);
    got = CTL("stats", "--format=json", "stats");
    CHECK_CONTAINS("{\"schema\":1,\"queue\":\"stats\",\"waiting\":2,\"delayed\":0,\"active\":0,\"dead\":0,"
                   "\"submitted\":2,",
                   got->out);
    CHECK_CONTAINS("\"deliveries_paused\":false,\"submits_paused\":false}\n", got->out);
}

static void a_job_is_shown_with_its_answer_or_its_error(void)
{
    submit("show", "mine", "castle");
    const cli_result *got = CTL("show", "show", "mine");
    CHECK_EQ_INT(0, got->code);
    CHECK_CONTAINS("id         mine\nstate      waiting\npriority   5\nsubmitted  20", got->out);
    CHECK_CONTAINS("\ndeliveries 0 (0 of 3 failed, 0 of 3 lost)\npayload    6 bytes\n", got->out);
    echo *worker = echo_start(url, "show");
    CHECK_EQ_INT(0, cli_run("imgq-submit", "--redis", url, "-qshow", "--await", "mine", NULL)->code);
    echo_stop(worker);
    got = CTL("show", "show", "mine");
    CHECK_CONTAINS("\nstate      succeeded\n", got->out);
    CHECK_CONTAINS("\nanswer     1. castle: 0.5000\n", got->out);
    got = CTL("show", "-fjson", "show", "mine");
    CHECK_CONTAINS("{\"schema\":1,\"id\":\"mine\",\"state\":\"succeeded\",", got->out);
    CHECK_CONTAINS("\"error\":null,\"result\":{\"schema\":1,\"top\":[[7,\"castle\",0.5]],", got->out);
    check(CTL("show", "show", "other"), 1, "", "imgq-ctl: look at job other: unknown or expired\n");
    CHECK_EQ_INT(2, CTL("show", "show")->code);
}

static void dead_letters_are_listed_requeued_and_purged(void)
{
    bury("dead", "first", "second");
    const cli_result *got = CTL("dead", "dead", "list");
    CHECK_EQ_INT(0, got->code);
    CHECK_CONTAINS("ID ", got->out);
    CHECK_CONTAINS("IMGQ_E_CORRUPT bad one\n", got->out);
    CHECK_CONTAINS("IMGQ_E_CORRUPT bad two\n", got->out);
    got = CTL("dead", "-fjson", "--max=1", "--skip=1", "dead", "list");
    CHECK_CONTAINS("{\"schema\":1,\"id\":\"second\",\"state\":\"dead\",", got->out);
    CHECK_CONTAINS("\"error\":{\"code\":\"IMGQ_E_CORRUPT\",\"message\":\"bad two\"}", got->out);
    CHECK(strchr(got->out, '\n') == got->out + got->out_len - 1);

    check(CTL("dead", "dead", "requeue", "first"), 0, "first requeued\n", "");
    got = CTL("dead", "dead", "requeue", "first");
    CHECK_EQ_INT(1, got->code);
    CHECK_CONTAINS("first", got->err);
    check(CTL("dead", "dead", "requeue", "--all"), 0, "1 requeued\n", "");
    CHECK_CONTAINS("\nwaiting        2 ", CTL("dead", "stats")->out);
    check(CTL("dead", "dead", "list"), 0, "", "");

    bury("dead2", "third", "fourth");
    got = CTL("dead2", "dead", "purge");
    CHECK_EQ_INT(2, got->code);
    CHECK_CONTAINS("imgq-ctl: this removes dead jobs of queue dead2 for good: --confirm=dead2 says that it is meant",
                   got->err);
    check(CTL("dead2", "dead", "purge", "--confirm=dead2"), 0, "2 dead jobs purged\n", "");
}

/* Items of a reference producer are jobs in the list's own slot, which no --queue names. */
static void dead_items_of_an_imported_list_are_looked_after(void)
{
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_env *env = NULL;
    imgq_queue *queue = NULL;
    imgq_job *job = NULL;
    size_t count = 0;
    imgq_error err;
    options.import_list = "old_list";
    options.roles = IMGQ_ROLE_WORKER;
    CHECK_EQ_STR("(integer) 1", redis_fixture_ask(redis, "RPUSH old_list garbage"));
    CHECK_OK(imgq_env_create(NULL, &env, &err));
    CHECK_OK(imgq_queue_open(env, url, &options, &queue, &err));
    CHECK_EQ_INT(IMGQ_E_TIMEOUT, imgq_queue_take(queue, 1, 0, 10000, 500, &job, &count, &err)); /* dead already */
    imgq_queue_close(queue);
    imgq_env_destroy(env);
    const cli_result *got = cli_run("imgq-ctl", "--redis", url, "--import=old_list", "dead", "list", "-fjson", NULL);
    CHECK_EQ_INT(0, got->code);
    CHECK_CONTAINS("\"imported\":true", got->out);
    CHECK_CONTAINS("\"message\":\"reference item: no JSON: no JSON at byte 0\"", got->out);
    CHECK_CONTAINS("\ndead           1\n",
                   cli_run("imgq-ctl", "--redis", url, "--import=old_list", "stats", NULL)->out);
    check(cli_run("imgq-ctl", "--redis", url, "--import=old_list", "dead", "purge", "--confirm=old_list", NULL), 0,
          "1 dead jobs purged\n", "");
    got = CTL("x", "--import=old_list", "stats");
    CHECK_EQ_INT(2, got->code);
    CHECK_CONTAINS("imgq-ctl: --import is instead of --queue", got->err);
}

static void purging_asks_for_the_queues_name(void)
{
    submit("purge", "one", "1");
    submit("purge", "two", "2");
    CHECK_EQ_INT(2, CTL("purge", "purge")->code);
    CHECK_EQ_INT(2, CTL("purge", "purge", "--confirm=other")->code);
    CHECK_CONTAINS("\nwaiting        2 ", CTL("purge", "stats")->out);
    check(CTL("purge", "purge", "--confirm=purge", "--priority=9"), 0, "0 waiting jobs purged\n", "");
    check(CTL("purge", "purge", "--confirm=purge", "-fjson"), 0, "{\"schema\":1,\"what\":\"waiting\",\"purged\":2}\n",
          "");
    CHECK_CONTAINS("\nwaiting        0\n", CTL("purge", "stats")->out);
}

static void cancelling_says_what_could_not_be_cancelled(void)
{
    submit("cancel", "one", "1");
    const cli_result *got = CTL("cancel", "cancel", "one", "none");
    check(got, 1, "one cancelled\n", "imgq-ctl: cancel job none: unknown or expired\n");
    check(CTL("cancel", "-fjson", "cancel", "one"), 1, "", "imgq-ctl: cancel job one: it has ended already\n");
}

static void a_paused_queue_takes_nothing_and_gives_nothing(void)
{
    echo *worker = echo_start(url, "pause");
    const char *a = cli_write_file("a", "A", 1);
    check(CTL("pause", "pause", "--submits"), 0, "queue pause: submits are paused\n", "");
    char want[512];
    snprintf(want, sizeof want,
             "imgq-submit: %s: queue pause accepts nothing now (paused): not accepted within 0.3 s, try later\n", a);
    check(cli_run("imgq-submit", "--redis", url, "-qpause", "--timeout=0.3", a, NULL), 5, "", want);
    CHECK_CONTAINS("\npaused         submits\n", CTL("pause", "stats")->out);
    check(CTL("pause", "resume"), 0, "queue pause: nothing is paused\n", "");
    check(CTL("pause", "-fjson", "pause", "--deliveries"), 0,
          "{\"schema\":1,\"queue\":\"pause\",\"status\":\"deliveries are paused\"}\n", "");
    const cli_result *got = cli_run("imgq-submit", "--redis", url, "-qpause", "--timeout=1.3", a, NULL);
    CHECK_EQ_INT(4, got->code);
    CHECK_CONTAINS(": no answer within 1.3 s, cancelled: deliveries of queue pause are paused\n", got->err);
    check(CTL("pause", "pause"), 0, "queue pause: deliveries and submits are paused\n", "");
    CHECK_EQ_INT(0, CTL("pause", "resume")->code);
    CHECK_EQ_INT(0, cli_run("imgq-submit", "--redis", url, "-qpause", a, NULL)->code);
    echo_stop(worker);
}

static void workers_are_listed_with_what_they_say_of_themselves(void)
{
    check(CTL("workers", "workers"), 0, "", "");
    echo *worker = echo_start(url, "workers");
    CHECK_EQ_INT(0, cli_run("imgq-submit", "--redis", url, "-qworkers", cli_write_file("a", "A", 1), NULL)->code);
    const cli_result *got = CTL("workers", "workers");
    CHECK_CONTAINS("WORKER", got->out);
    CHECK_CONTAINS(" ago", got->out);
    got = CTL("workers", "-fjson", "workers");
    CHECK_CONTAINS("\"live\":true,\"info\":{\"peer\":true}}\n", got->out);
    echo_stop(worker);
}

/* The users' rights as lib/queue/acl has them. */
static void a_reader_may_look_and_no_more(void)
{
    char acl[4096], line[4200];
    FILE *file = fopen(source_path("lib/queue/acl/reader.acl"), "r");
    submit("reader", "one", "1");
    if (!CHECK(file != NULL))
        return;
    bool is_set = false;
    while (fgets(acl, sizeof acl, file) != NULL && !is_set) {
        acl[strcspn(acl, "\n")] = '\0';
        if (strncmp(acl, "user ", 5) != 0)
            continue;
        snprintf(line, sizeof line, "ACL SETUSER %s >look", acl + 5);
        CHECK_EQ_STR("OK", redis_fixture_ask(redis, line));
        is_set = true;
    }
    fclose(file);
    CHECK(is_set);
    char with_user[128];
    snprintf(with_user, sizeof with_user, "redis://imgq-reader@127.0.0.1:%d", redis_fixture_port(redis));
    setenv("IMGQ_REDIS_PASSWORD", "look", 1);
    CHECK_CONTAINS("\nwaiting        1 ", cli_run("imgq-ctl", "--redis", with_user, "-qreader", "stats", NULL)->out);
    CHECK_EQ_INT(0, cli_run("imgq-ctl", "--redis", with_user, "-qreader", "show", "one", NULL)->code);
    CHECK_EQ_INT(0, cli_run("imgq-ctl", "--redis", with_user, "-qreader", "workers", NULL)->code);
    CHECK_EQ_INT(0, cli_run("imgq-ctl", "--redis", with_user, "-qreader", "dead", "list", NULL)->code);
    const cli_result *got = cli_run("imgq-ctl", "--redis", with_user, "-qreader", "cancel", "one", NULL);
    CHECK_EQ_INT(7, got->code);
    CHECK_CONTAINS("imgq-ctl: the user lacks rights for operator: ACL SETUSER", got->err);
    unsetenv("IMGQ_REDIS_PASSWORD");
}

static void a_wrong_setting_says_the_choices(void)
{
    check(CTL("set", "set", "max_jobs", "7"), 0, "queue set: max_jobs is 7\n", "");
    CHECK_CONTAINS(" of 7 jobs", CTL("set", "stats")->out);
    const cli_result *got = CTL("set", "set", "max_jbos", "7");
    CHECK_EQ_INT(2, got->code);
    CHECK_CONTAINS("imgq-ctl: setting \"max_jbos\": one of max_jobs, max_bytes,", got->err);
    CHECK_EQ_INT(2, CTL("set", "set", "max_jobs")->code);
}

static const check_test tests[] = {
    CHECK_TEST(stats_count_jobs_by_where_they_are),
    CHECK_TEST(a_job_is_shown_with_its_answer_or_its_error),
    CHECK_TEST(dead_letters_are_listed_requeued_and_purged),
    CHECK_TEST(dead_items_of_an_imported_list_are_looked_after),
    CHECK_TEST(purging_asks_for_the_queues_name),
    CHECK_TEST(cancelling_says_what_could_not_be_cancelled),
    CHECK_TEST(a_paused_queue_takes_nothing_and_gives_nothing),
    CHECK_TEST(workers_are_listed_with_what_they_say_of_themselves),
    CHECK_TEST(a_reader_may_look_and_no_more),
    CHECK_TEST(a_wrong_setting_says_the_choices),
};

int main(int argc, char **argv)
{
    redis = redis_fixture_start(NULL);
    url = redis_fixture_url(redis);
    const int code = check_main(argc, argv, "cli_operator", tests, sizeof tests / sizeof *tests);
    redis_fixture_stop(redis);
    return code;
}
