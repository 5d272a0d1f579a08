/* The table of options: what it takes, what it refuses and with which words. */
#include "cli/common/args.h"

#include <stdlib.h>
#include <string.h>

#include "cli/common/exit.h"
#include "support/check.h"
#include "unit/cli/capture.h"

typedef struct settings {
    bool quiet;
    const char *queue;
    int64_t window, timeout_ms;
    double rate;
    int format;
    cli_colour background;
    cli_list await;
} settings;

static const cli_option options[] = {
    {.group = "Queue",
     .name = "queue",
     .letter = 'q',
     .value = "NAME",
     .kind = CLI_TEXT,
     .by_default = "default",
     .env = "TEST_CLI_QUEUE",
     .at = offsetof(settings, queue),
     .help = "name of the queue"},
    {.name = "window",
     .value = "N",
     .kind = CLI_INT,
     .by_default = "256",
     .min = 1,
     .max = 10000,
     .env = "TEST_CLI_WINDOW",
     .at = offsetof(settings, window),
     .help = "jobs in flight at most, a number that is explained at such length that its explanation does not fit "
             "into one line of a terminal of eighty columns"},
    {.name = "timeout",
     .value = "S",
     .kind = CLI_SECONDS,
     .by_default = "30",
     .at = offsetof(settings, timeout_ms),
     .help = "seconds to wait for each"},
    {.name = "rate", .value = "R", .kind = CLI_NUMBER, .at = offsetof(settings, rate), .help = "requests a second"},
    {.group = "Output",
     .name = "format",
     .value = "FORMAT",
     .kind = CLI_CHOICE,
     .choices = "text|json|tsv",
     .by_default = "text",
     .at = offsetof(settings, format),
     .help = "how answers are printed"},
    {.name = "quiet", .kind = CLI_FLAG, .at = offsetof(settings, quiet), .help = "no progress bar"},
    {.name = "background",
     .value = "COLOUR",
     .kind = CLI_COLOUR,
     .at = offsetof(settings, background),
     .help = "behind what is transparent"},
    {.name = "await", .value = "ID", .kind = CLI_LIST, .at = offsetof(settings, await), .help = "wait for this job"},
    {.name = "secret-switch", .kind = CLI_FLAG, .hidden = true, .at = offsetof(settings, quiet), .help = "hidden"},
};

static const char *const synopsis[] = {"[OPTION]... FILE...", NULL};
static const cli_program program = {.name = "imgq-test",
                                    .purpose = "Tests the table of options.",
                                    .synopsis = synopsis,
                                    .options = options,
                                    .option_count = sizeof options / sizeof *options};

static const cli_command commands[] = {{"stats", NULL, "show numbers"},
                                       {"dead list", NULL, "show the dead"},
                                       {"dead requeue", "ID...", "let them wait again"}};
static const cli_program with_commands = {.name = "imgq-test",
                                          .purpose = "Tests commands.",
                                          .options = options,
                                          .option_count = sizeof options / sizeof *options,
                                          .commands = commands,
                                          .command_count = 3};

/* Splits at blanks, runs the parser. */
static bool parse_for(const cli_program *of, const char *line, settings *out, cli_args *args, int *exit_code)
{
    static char copy[1024];
    static char *argv[64];
    int argc = 0;
    snprintf(copy, sizeof copy, "imgq-test %s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return cli_args_parse(of, argc, argv, out, sizeof *out, args, exit_code);
}

static void refused(const cli_program *of, const char *line, const char *message)
{
    settings got;
    cli_args args;
    int exit_code = -1;
    capture_begin(2);
    const bool went_on = parse_for(of, line, &got, &args, &exit_code);
    const char *said = capture_end(2);
    char whole[512];
    snprintf(whole, sizeof whole, "imgq-test: %s (imgq-test --help shows how to call it)\n", message);
    CHECK(!went_on);
    CHECK_EQ_INT(CLI_EXIT_USAGE, exit_code);
    CHECK_EQ_STR(whole, said);
}

static void defaults_hold_where_nothing_is_said(void)
{
    settings got;
    cli_args args;
    int exit_code;
    if (!CHECK(parse_for(&program, "", &got, &args, &exit_code)))
        return;
    CHECK_EQ_STR("default", got.queue);
    CHECK_EQ_INT(256, got.window);
    CHECK_EQ_INT(30000, got.timeout_ms);
    CHECK_EQ_INT(0, got.format);
    CHECK(!got.quiet && !got.background.is_set && got.rate == 0 && got.await.count == 0);
    CHECK_EQ_INT(CLI_FROM_DEFAULT, cli_args_origin(&args, "queue"));
    CHECK_EQ_SIZE(0, args.rest_count);
    cli_args_release(&args);
}

static void options_stand_anywhere_in_both_forms(void)
{
    settings got;
    cli_args args;
    int exit_code;
    if (!CHECK(parse_for(&program,
                         "a.jpg -qphotos --window 8 b.jpg --timeout=0.25 --format json --quiet --background #Ff8000 "
                         "--await one --await two --rate 12.5 -- --quiet",
                         &got, &args, &exit_code)))
        return;
    CHECK_EQ_STR("photos", got.queue);
    CHECK_EQ_INT(8, got.window);
    CHECK_EQ_INT(250, got.timeout_ms);
    CHECK_EQ_INT(1, got.format);
    CHECK(got.quiet && got.rate == 12.5);
    CHECK(got.background.is_set && got.background.rgb[0] == 255 && got.background.rgb[1] == 128 &&
          got.background.rgb[2] == 0);
    if (CHECK_EQ_SIZE(2, got.await.count)) {
        CHECK_EQ_STR("one", got.await.items[0]);
        CHECK_EQ_STR("two", got.await.items[1]);
    }
    if (CHECK_EQ_SIZE(3, args.rest_count)) {
        CHECK_EQ_STR("a.jpg", args.rest[0]);
        CHECK_EQ_STR("b.jpg", args.rest[1]);
        CHECK_EQ_STR("--quiet", args.rest[2]);
    }
    CHECK_EQ_INT(CLI_FROM_ARGUMENT, cli_args_origin(&args, "queue"));
    cli_args_release(&args);
}

static void the_environment_stands_between_argument_and_default(void)
{
    settings got;
    cli_args args;
    int exit_code;
    setenv("TEST_CLI_QUEUE", "from-env", 1);
    setenv("TEST_CLI_WINDOW", "", 1); /* empty is not said */
    if (CHECK(parse_for(&program, "", &got, &args, &exit_code))) {
        CHECK_EQ_STR("from-env", got.queue);
        CHECK_EQ_INT(256, got.window);
        CHECK_EQ_INT(CLI_FROM_ENVIRONMENT, cli_args_origin(&args, "queue"));
        cli_args_release(&args);
    }
    if (CHECK(parse_for(&program, "--queue mine", &got, &args, &exit_code))) {
        CHECK_EQ_STR("mine", got.queue);
        cli_args_release(&args);
    }
    unsetenv("TEST_CLI_QUEUE");
    setenv("TEST_CLI_WINDOW", "many", 1);
    refused(&program, "", "TEST_CLI_WINDOW in the environment is \"many\": wanted is a whole number from 1 to 10000");
    unsetenv("TEST_CLI_WINDOW");
}

static void what_is_wrong_is_named_with_the_nearest_right_thing(void)
{
    refused(&program, "--quue x", "unknown option --quue, did you mean --queue?");
    refused(&program, "--widnow=3", "unknown option --widnow, did you mean --window?");
    refused(&program, "--entirely-else", "unknown option --entirely-else");
    refused(&program, "--secret-swich", "unknown option --secret-swich");
    refused(&program, "-x", "unknown option -x");
    refused(&program, "--queue", "--queue needs a value");
    refused(&program, "-q", "-q needs a value");
    refused(&program, "--quiet=yes", "--quiet takes no value");
    refused(&program, "--window 0", "--window 0: wanted is a whole number from 1 to 10000");
    refused(&program, "--window 1.5", "--window 1.5: wanted is a whole number from 1 to 10000");
    refused(&program, "--timeout -1", "--timeout -1: wanted is a number of seconds, 0 or more");
    refused(&program, "--timeout nan", "--timeout nan: wanted is a number of seconds, 0 or more");
    refused(&program, "--rate 5x", "--rate 5x: wanted is a number, 0 or more");
    refused(&program, "--format xml", "--format xml: wanted is one of text|json|tsv");
    refused(&program, "--format tex", "--format tex: wanted is one of text|json|tsv");
    refused(&program, "--background #12345", "--background #12345: wanted is a colour: #rrggbb, white or black");
    refused(&program, "--completion zsh", "--completion zsh: wanted is one of bash|list");
}

static void commands_of_one_and_two_words_are_found(void)
{
    settings got;
    cli_args args;
    int exit_code;
    if (CHECK(parse_for(&with_commands, "--quiet dead requeue a b", &got, &args, &exit_code))) {
        CHECK_EQ_SIZE(2, args.command);
        CHECK_EQ_SIZE(2, args.rest_count);
        cli_args_release(&args);
    }
    refused(&with_commands, "", "no command: one of stats, dead list, dead requeue");
    refused(&with_commands, "stast", "unknown command stast, did you mean stats?");
    refused(&with_commands, "dead lost", "unknown command dead, did you mean dead list?");
    refused(&with_commands, "stats now", "stats takes no argument, here is now");
}

static void help_shows_groups_defaults_environment_and_exit_codes(void)
{
    settings got;
    cli_args args;
    int exit_code = -1;
    capture_begin(1);
    CHECK(!parse_for(&program, "--help", &got, &args, &exit_code));
    const char *text = capture_end(1);
    CHECK_EQ_INT(0, exit_code);
    CHECK_CONTAINS("Usage: imgq-test [OPTION]... FILE...\nTests the table of options.\n\nQueue:\n", text);
    CHECK_CONTAINS("  -q, --queue NAME          name of the queue (default: default; environment:\n"
                   "                            TEST_CLI_QUEUE)\n",
                   text);
    CHECK_CONTAINS("\nOutput:\n", text);
    CHECK_CONTAINS("      --format FORMAT       how answers are printed (text|json|tsv; default:\n"
                   "                            text)\n",
                   text);
    CHECK_CONTAINS("  -h, --help ", text);
    CHECK_CONTAINS("Exit codes:\n", text);
    CHECK(strstr(text, "secret") == NULL);
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
        CHECK(strcspn(line, "\n") <= 80);
}

static void version_says_program_and_library(void)
{
    settings got;
    cli_args args;
    int exit_code = -1;
    capture_begin(1);
    CHECK(!parse_for(&program, "--version", &got, &args, &exit_code));
    CHECK_EQ_STR("imgq-test 0.1.0 (libimgq 0.1.0)\n", capture_end(1));
    CHECK_EQ_INT(0, exit_code);
}

/* Runs the program's completion script with these checks behind it. */
static void check_completion(const cli_program *of, const char *checks)
{
    settings got;
    cli_args args;
    int exit_code = -1;
    capture_begin(1);
    CHECK(!parse_for(of, "--completion bash", &got, &args, &exit_code));
    const char *text = capture_end(1);
    CHECK_EQ_INT(0, exit_code);
    CHECK_CONTAINS("complete -F _imgq_test imgq-test\n", text);
    char path[] = "/tmp/imgq-completion-XXXXXX", command[128];
    FILE *file = fdopen(mkstemp(path), "w");
    if (!CHECK(file != NULL))
        return;
    fprintf(file,
            "%s\ncompletes() { COMP_WORDS=(\"${@:2}\"); COMP_CWORD=$(($# - 2)); _imgq_test\n"
            "[ \"${COMPREPLY[*]}\" = \"$1\" ] || { echo \"${*:2}: ${COMPREPLY[*]}, not $1\" >&2; exit 1; }; }\n%s",
            text, checks);
    fclose(file);
    snprintf(command, sizeof command, "bash --norc %s", path);
    CHECK_EQ_INT(0, system(command));
    remove(path);
}

static void completion_is_a_script_that_bash_reads(void)
{
    check_completion(&program, "completes --window imgq-test --wi\n"
                               "completes json imgq-test --format j\n"
                               "completes '' imgq-test --window ''\n");
    check_completion(&with_commands, "completes 'stats dead' imgq-test ''\n"
                                     "completes dead imgq-test d\n"
                                     "completes 'list requeue' imgq-test dead ''\n");
}

static const check_test tests[] = {
    CHECK_TEST(defaults_hold_where_nothing_is_said),
    CHECK_TEST(options_stand_anywhere_in_both_forms),
    CHECK_TEST(the_environment_stands_between_argument_and_default),
    CHECK_TEST(what_is_wrong_is_named_with_the_nearest_right_thing),
    CHECK_TEST(commands_of_one_and_two_words_are_found),
    CHECK_TEST(help_shows_groups_defaults_environment_and_exit_codes),
    CHECK_TEST(version_says_program_and_library),
    CHECK_TEST(completion_is_a_script_that_bash_reads),
};
CHECK_MAIN("cli_args", tests)
