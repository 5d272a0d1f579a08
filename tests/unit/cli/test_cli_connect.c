/* Where passwords may come from, and where not. */
#include "cli/common/connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/common/exit.h"
#include "support/check.h"
#include "unit/cli/capture.h"

typedef struct settings {
    cli_connect connect;
} settings;

static const cli_option options[] = {CLI_CONNECT_OPTIONS(settings, connect), CLI_QUEUE_OPTION(settings, connect)};
static const cli_program program = {
    .name = "imgq-test", .purpose = "Tests.", .options = options, .option_count = sizeof options / sizeof *options};

static char said[4096], password[600], redis[600];

/* @return exit code; what was said on stderr, password and URL stay in the statics */
static int prepare(const char *option, const char *value)
{
    settings got;
    cli_args args;
    imgq_queue_options queue = IMGQ_QUEUE_OPTIONS_INIT;
    char *argv[] = {(char[]){"imgq-test"}, strdup(option), strdup(value), NULL};
    int code;
    capture_begin(2);
    if (cli_args_parse(&program, *option != '\0' ? 3 : 1, argv, &got, sizeof got, &args, &code)) {
        code = cli_connect_prepare(&args, &got.connect, &queue);
        snprintf(password, sizeof password, "%s", queue.password != NULL ? queue.password : "(none)");
        snprintf(redis, sizeof redis, "%s", got.connect.redis);
        cli_connect_release(&got.connect);
        cli_args_release(&args);
    }
    snprintf(said, sizeof said, "%s", capture_end(2));
    free(argv[1]);
    free(argv[2]);
    return code;
}

static void a_password_in_an_argument_is_a_usage_error(void)
{
    CHECK_EQ_INT(CLI_EXIT_USAGE, prepare("--redis", "redis://:hunter2@cache:6379"));
    CHECK_EQ_STR("imgq-test: --redis holds a password, which every user of this machine can see in the process list: "
                 "use --password-file or IMGQ_REDIS_PASSWORD (imgq-test --help shows how to call it)\n",
                 said);
    CHECK_EQ_INT(CLI_EXIT_USAGE, prepare("--redis", "redis://someone:hunter2@cache"));
    CHECK_EQ_INT(CLI_EXIT_OK, prepare("--redis", "redis://someone@cache:6379/2"));
    CHECK_EQ_INT(CLI_EXIT_OK, prepare("--redis", "unix:///run/a:b@c/redis.sock"));
    CHECK_EQ_INT(CLI_EXIT_OK, prepare("--redis", "redis://[::1]:6379"));
}

static void a_password_in_the_environment_is_welcome(void)
{
    setenv("IMGQ_REDIS_URL", "redis://:hunter2@cache:6379", 1);
    CHECK_EQ_INT(CLI_EXIT_OK, prepare("", ""));
    CHECK_EQ_STR("redis://:hunter2@cache:6379", redis);
    CHECK_EQ_STR("(none)", password); /* it stays in the URL */
    unsetenv("IMGQ_REDIS_URL");
    setenv("IMGQ_REDIS_PASSWORD", "swordfish", 1);
    CHECK_EQ_INT(CLI_EXIT_OK, prepare("", ""));
    CHECK_EQ_STR("swordfish", password);
    unsetenv("IMGQ_REDIS_PASSWORD");
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    if (!CHECK(file != NULL))
        return;
    fputs(text, file);
    fclose(file);
    CHECK_EQ_INT(0, chmod(path, mode));
}

static void a_password_file_must_be_its_owners(void)
{
    char folder[] = "/tmp/imgq-connect-XXXXXX", path[128], want[512];
    if (!CHECK(mkdtemp(folder) != NULL))
        return;
    snprintf(path, sizeof path, "%s/redis-password", folder);
    write_file(path, "first line\nsecond\n", 0600);
    CHECK_EQ_INT(CLI_EXIT_OK, prepare("--password-file", path));
    CHECK_EQ_STR("first line", password);
    write_file(path, "x\n", 0640);
    CHECK_EQ_INT(CLI_EXIT_OK, prepare("--password-file", path));
    write_file(path, "x\n", 0644);
    CHECK_EQ_INT(CLI_EXIT_CONFIG, prepare("--password-file", path));
    snprintf(want, sizeof want,
             "imgq-test: password file %s has mode 0644, so others can read or change it: chmod 600 %s\n", path, path);
    CHECK_EQ_STR(want, said);
    setenv("CREDENTIALS_DIRECTORY", folder, 1); /* systemd keeps others out of it */
    CHECK_EQ_INT(CLI_EXIT_OK, prepare("", ""));
    CHECK_EQ_STR("x", password);
    unsetenv("CREDENTIALS_DIRECTORY");
    write_file(path, "\n", 0600);
    CHECK_EQ_INT(CLI_EXIT_CONFIG, prepare("--password-file", path));
    snprintf(want, sizeof want, "imgq-test: password file %s: its first line is empty\n", path);
    CHECK_EQ_STR(want, said);
    unlink(path);
    CHECK_EQ_INT(CLI_EXIT_CONFIG, prepare("--password-file", path));
    snprintf(want, sizeof want, "imgq-test: read the password file %s: No such file or directory\n", path);
    CHECK_EQ_STR(want, said);
    rmdir(folder);
}

static void a_shown_url_hides_its_password(void)
{
    char out[128];
    CHECK_EQ_STR("redis://me:***@cache/1", cli_connect_shown("redis://me:a:b@cache/1", out, sizeof out));
    CHECK_EQ_STR("redis://cache", cli_connect_shown("redis://cache", out, sizeof out));
}

static const check_test tests[] = {
    CHECK_TEST(a_password_in_an_argument_is_a_usage_error),
    CHECK_TEST(a_password_in_the_environment_is_welcome),
    CHECK_TEST(a_password_file_must_be_its_owners),
    CHECK_TEST(a_shown_url_hides_its_password),
};
CHECK_MAIN("cli_connect", tests)
