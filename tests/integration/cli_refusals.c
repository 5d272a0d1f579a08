/* What goes wrong before any work is done: exact words, exact exit codes, nothing on stdout. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "integration/cli_process.h"
#include "support/check.h"
#include "support/redis_fixture.h"

#define USAGE(program) " (" program " --help shows how to call it)\n"

static const char *image(void)
{
    return cli_write_file("any.jpg", "\xff\xd8 not really", 13);
}

static void check(const cli_result *got, int code, const char *err)
{
    CHECK_EQ_INT(code, got->code);
    CHECK_EQ_STR(err, got->err);
    CHECK_EQ_STR("", got->out);
}

static void without_redis_the_code_is_6(void)
{
    char want[700];
    const char *socket = cli_temporary("none.sock");
    char url[600];
    snprintf(url, sizeof url, "unix://%s", socket);
    snprintf(want, sizeof want,
             "imgq-submit: connect to %s: No such file or directory (is Redis running there? --redis or IMGQ_REDIS_URL "
             "says where it is)\n",
             socket);
    check(cli_run("imgq-submit", "--redis", url, image(), NULL), 6, want);
    check(cli_run("imgq-submit", "--redis", "redis://127.0.0.1:1", image(), NULL), 6,
          "imgq-submit: connect to 127.0.0.1:1: Connection refused (is Redis running there? --redis or IMGQ_REDIS_URL "
          "says where it is)\n");
    check(cli_run("imgq-stress", "--redis", "redis://127.0.0.1:1", "--image", image(), NULL), 6,
          "imgq-stress: connect to 127.0.0.1:1: Connection refused (is Redis running there? --redis or IMGQ_REDIS_URL "
          "says where it is)\n");
    check(cli_run("imgq-ctl", "--redis", "redis://127.0.0.1:1", "stats", NULL), 6,
          "imgq-ctl: connect to 127.0.0.1:1: Connection refused (is Redis running there? --redis or IMGQ_REDIS_URL "
          "says where it is)\n");
    check(cli_run("imgq-submit", "--wire", "keras", "--redis", "redis://127.0.0.1:1", image(), NULL), 6,
          "imgq-submit: connect to 127.0.0.1:1: Connection refused (is Redis running there? --redis or IMGQ_REDIS_URL "
          "says where it is)\n");
}

static void a_wrong_or_missing_password_is_7_and_is_never_shown(void)
{
    redis_fixture *redis = redis_fixture_start("requirepass swordfish");
    const char *url = redis_fixture_url(redis);
    char want[700];
    snprintf(want, sizeof want,
             "imgq-submit: connect to %s: NOAUTH Authentication required. (--password-file or IMGQ_REDIS_PASSWORD "
             "gives the password)\n",
             redis_fixture_socket(redis));
    check(cli_run("imgq-submit", "--redis", url, image(), NULL), 7, want);
    setenv("IMGQ_REDIS_PASSWORD", "hunter2", 1);
    const cli_result *got = cli_run("imgq-submit", "--redis", url, image(), NULL);
    unsetenv("IMGQ_REDIS_PASSWORD");
    CHECK_EQ_INT(7, got->code);
    CHECK_CONTAINS("WRONGPASS", got->err);
    CHECK(strstr(got->err, "hunter2") == NULL);

    const char *file = cli_write_file("password", "swordfish\n", 10);
    chmod(file, 0600);
    CHECK_EQ_INT(0, cli_run("imgq-ctl", "--redis", url, "--password-file", file, "stats", NULL)->code);
    chmod(file, 0604);
    snprintf(want, sizeof want,
             "imgq-ctl: password file %s has mode 0604, so others can read or change it: chmod 600 %s\n", file, file);
    check(cli_run("imgq-ctl", "--redis", url, "--password-file", file, "stats", NULL), 7, want);
    redis_fixture_stop(redis);
}

static void a_password_in_an_argument_is_2(void)
{
    check(cli_run("imgq-submit", "--redis", "redis://:hunter2@127.0.0.1:1", image(), NULL), 2,
          "imgq-submit: --redis holds a password, which every user of this machine can see in the process list: use "
          "--password-file or IMGQ_REDIS_PASSWORD" USAGE("imgq-submit"));
    setenv("IMGQ_REDIS_URL", "redis://:hunter2@127.0.0.1:1", 1);
    const cli_result *got = cli_run("imgq-submit", image(), NULL);
    unsetenv("IMGQ_REDIS_URL");
    CHECK_EQ_INT(6, got->code); /* in the environment it is welcome: nobody answers there, that is all */
    CHECK(strstr(got->err, "hunter2") == NULL);
}

static void an_evicting_redis_is_7(void)
{
    redis_fixture *redis = redis_fixture_start("maxmemory 100mb\nmaxmemory-policy allkeys-lru");
    char want[700];
    snprintf(want, sizeof want,
             "imgq-submit: Redis at %s may evict jobs (maxmemory-policy allkeys-lru): set it to noeviction\n",
             redis_fixture_socket(redis));
    check(cli_run("imgq-submit", "--redis", redis_fixture_url(redis), image(), NULL), 7, want);
    redis_fixture_stop(redis);
}

static void a_wrong_command_line_is_2(void)
{
    static const struct {
        const char *argument, *second, *message;
    } table[] = {
        {"--timout", "3", "imgq-submit: unknown option --timout, did you mean --timeout?"},
        {"-Z", NULL, "imgq-submit: unknown option -Z"},
        {"--format=xml", NULL, "imgq-submit: --format xml: wanted is one of text|json|tsv"},
        {"--priority", "10", "imgq-submit: --priority 10: wanted is a whole number from 0 to 9"},
        {"--background", "red", "imgq-submit: --background red: wanted is a colour: #rrggbb, white or black"},
        {"--id", "_mine", "imgq-submit: --id _mine: wanted are 1-64 of A-Z a-z 0-9 _ . : - and no _ in front"},
        {"--profile", "kears",
         "imgq-submit: --profile kears: no profile \"kears\"; there are keras, torchvision, torchvision-v2, timm"},
        {"--standalone", NULL, "imgq-submit: --standalone needs --model FILE (or IMGQ_MODEL)"},
        {"--model", "m", "imgq-submit: --model belongs to --standalone: elsewhere the worker has the model"},
        {"--await", "x", "imgq-submit: --await and --cancel do not go together"},
    };
    unsetenv("IMGQ_MODEL");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char want[300];
        const cli_result *got = strcmp(table[i].argument, "--await") == 0
                                    ? cli_run("imgq-submit", "--await", "x", "--cancel", "y", NULL)
                                    : cli_run("imgq-submit", image(), table[i].argument, table[i].second, NULL);
        snprintf(want, sizeof want, "%s" USAGE("imgq-submit"), table[i].message);
        check(got, 2, want);
    }
    check(cli_run("imgq-submit", NULL), 2,
          "imgq-submit: no file: name one, or - for standard input" USAGE("imgq-submit"));
    check(cli_run("imgq-submit", "-", "-", NULL), 2,
          "imgq-submit: - stands for standard input, which can be read only once" USAGE("imgq-submit"));
    check(cli_run("imgq-submit", "--id", "x", "a", "b", NULL), 2,
          "imgq-submit: --id is for one file, here are 2" USAGE("imgq-submit"));
    check(cli_run("imgq-submit", "--wire", "keras", "--priority", "3", "a", NULL), 2,
          "imgq-submit: the wire keras knows no --priority" USAGE("imgq-submit"));
    check(cli_run("imgq-stress", NULL), 2, "imgq-stress: no image: --image names one" USAGE("imgq-stress"));
    check(cli_run("imgq-ctl", "stast", NULL), 2,
          "imgq-ctl: unknown command stast, did you mean stats?" USAGE("imgq-ctl"));
    check(cli_run("imgq-ctl", "--confirm=x", "stats", NULL), 2,
          "imgq-ctl: --confirm does not belong to stats" USAGE("imgq-ctl"));
    check(cli_run("imgq-ctl", "--redis", "rediss://x", "stats", NULL), 7,
          "imgq-ctl: rediss:// is not built in, redis:// and unix:// are\n");
}

static void help_and_version_go_to_stdout(void)
{
    static const char *const programs[] = {"imgq-submit", "imgq-stress", "imgq-ctl"};
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        char want[64];
        const cli_result *got = cli_run(programs[i], "--help", NULL);
        CHECK_EQ_INT(0, got->code);
        CHECK_EQ_STR("", got->err);
        snprintf(want, sizeof want, "Usage: %s ", programs[i]);
        CHECK_CONTAINS(want, got->out);
        got = cli_run(programs[i], "--version", NULL);
        snprintf(want, sizeof want, "%s 0.1.0 (libimgq 0.1.0)\n", programs[i]);
        CHECK_EQ_STR(want, got->out);
        got = cli_run(programs[i], "--help", NULL);
        CHECK_EQ_INT(0, got->code);
    }
}

/* A program that only submits must not pay for OpenBLAS's threads. */
static void no_blas_is_loaded(void)
{
    static const char *const programs[] = {"imgq-submit", "imgq-stress", "imgq-ctl"};
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        char command[64];
        snprintf(command, sizeof command, "ldd \"$IMGQ_BIN/%s\"", programs[i]);
        const cli_result *got = cli_run("/bin/sh", "-c", command, NULL);
        CHECK_EQ_INT(0, got->code);
        CHECK_CONTAINS("libc.so", got->out);
        CHECK(strstr(got->out, "blas") == NULL && strstr(got->out, "hdf5") == NULL);
    }
}

static const check_test tests[] = {
    CHECK_TEST(without_redis_the_code_is_6),
    CHECK_TEST(a_wrong_or_missing_password_is_7_and_is_never_shown),
    CHECK_TEST(a_password_in_an_argument_is_2),
    CHECK_TEST(an_evicting_redis_is_7),
    CHECK_TEST(a_wrong_command_line_is_2),
    CHECK_TEST(help_and_version_go_to_stdout),
    CHECK_TEST(no_blas_is_loaded),
};
CHECK_MAIN("cli_refusals", tests)
