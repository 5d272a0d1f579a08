/* Arguments, environment and defaults into a settings struct, as the program's table says. */
#include "cli/common/args.h"

#include <imgq/version.h>

#include "base/json.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/exit.h"
#include "cli/common/ui.h"

enum { VAL_OPTION = 256, VAL_HELP = 100000, VAL_VERSION, VAL_COMPLETION };

/* ---- the nearest name ---- */

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Edits that turn one word into the other: insert, delete, replace, swap of neighbours. Words over 40 bytes are far. */
static size_t word_distance(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    size_t rows[3][LONGEST + 1];
    const size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > LONGEST || b_len > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *before2 = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = min3(before[j] + 1, now[j - 1] + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before2[j - 2] + 1 < now[j])
                now[j] = before2[j - 2] + 1;
        }
    }
    return rows[a_len % 3][b_len];
}

const char *cli_nearest(const char *word, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    size_t least = strlen(word) < 4 ? 2 : strlen(word) / 3 + 2; /* as far is not near any more */
    for (size_t i = 0; i < count; i++) {
        const size_t distance = word_distance(word, candidates[i]);
        if (distance < least) {
            least = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}

/* ---- what is wrong ---- */

int cli_args_wrong(const cli_program *program, const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    cli_error(program->name, "%s (%s --help shows how to call it)", text, program->name);
    return CLI_EXIT_USAGE;
}

static bool wrong_value(const cli_program *program, const cli_option *option, int origin, const char *text,
                        const char *wanted)
{
    if (origin == CLI_FROM_ENVIRONMENT)
        (void)cli_args_wrong(program, "%s in the environment is \"%s\": %s", option->env, text, wanted);
    else
        (void)cli_args_wrong(program, "--%s %s: %s", option->name, text, wanted);
    return false;
}

static const char *nearest_option(const cli_program *program, const char *word)
{
    const char *names[128];
    size_t count = 0;
    names[count++] = "help";
    names[count++] = "version";
    for (size_t i = 0; i < program->option_count && count < 128; i++)
        if (!program->options[i].hidden)
            names[count++] = program->options[i].name;
    return cli_nearest(word, names, count);
}

/* getopt_long answered '?' or ':' for the argument behind argv[optind - 1]. */
static void refuse_argument(const cli_program *program, char **argv, int answer)
{
    const char *typed = argv[optind - 1];
    if (answer == ':') {
        if (optopt >= VAL_OPTION)
            (void)cli_args_wrong(program, "--%s needs a value",
                                 optopt >= VAL_HELP ? "completion" : program->options[optopt - VAL_OPTION].name);
        else
            (void)cli_args_wrong(program, "-%c needs a value", optopt);
        return;
    }
    if (optopt >= VAL_HELP) {
        (void)cli_args_wrong(program, "--%s takes no value", optopt == VAL_HELP ? "help" : "version");
    } else if (optopt >= VAL_OPTION) {
        (void)cli_args_wrong(program, "--%s takes no value", program->options[optopt - VAL_OPTION].name);
    } else if (optopt != 0) {
        (void)cli_args_wrong(program, "unknown option -%c", optopt);
    } else {
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)strcspn(typed, "="), typed);
        const char *nearest = nearest_option(program, word + strspn(word, "-"));
        if (nearest != NULL)
            (void)cli_args_wrong(program, "unknown option %s, did you mean --%s?", word, nearest);
        else
            (void)cli_args_wrong(program, "unknown option %s", word);
    }
}

/* ---- one value ---- */

static bool parse_number(const cli_program *program, const cli_option *option, int origin, const char *text, bool whole,
                         double *out)
{
    const double max = option->min < option->max ? option->max : 1e15;
    char wanted[128];
    double value;
    if (iq_parse_double(text, &value) && value >= option->min && value <= max &&
        (!whole || value == (double)(int64_t)value)) {
        *out = value;
        return true;
    }
    if (option->min < option->max)
        snprintf(wanted, sizeof wanted, "wanted is a %snumber%s from %.15g to %.15g", whole ? "whole " : "",
                 option->kind == CLI_SECONDS ? " of seconds" : "", option->min, option->max);
    else
        snprintf(wanted, sizeof wanted, "wanted is a %snumber%s, 0 or more", whole ? "whole " : "",
                 option->kind == CLI_SECONDS ? " of seconds" : "");
    return wrong_value(program, option, origin, text, wanted);
}

static bool parse_choice(const cli_program *program, const cli_option *option, int origin, const char *text, int *out)
{
    char wanted[256];
    int index = 0;
    for (const char *at = option->choices;; index++) {
        const size_t len = strcspn(at, "|");
        if (strlen(text) == len && strncmp(text, at, len) == 0) {
            *out = index;
            return true;
        }
        if (at[len] == '\0')
            break;
        at += len + 1;
    }
    snprintf(wanted, sizeof wanted, "wanted is one of %s", option->choices);
    return wrong_value(program, option, origin, text, wanted);
}

static bool parse_colour(const cli_program *program, const cli_option *option, int origin, const char *text,
                         cli_colour *out)
{
    unsigned r = 0, g = 0, b = 0;
    if (strcmp(text, "white") == 0)
        r = g = b = 255;
    else if (strcmp(text, "black") != 0 &&
             (text[0] != '#' || strlen(text) != 7 || strspn(text + 1, "0123456789abcdefABCDEF") != 6 ||
              sscanf(text + 1, "%2x%2x%2x", &r, &g, &b) != 3))
        return wrong_value(program, option, origin, text, "wanted is a colour: #rrggbb, white or black");
    *out = (cli_colour){.is_set = true, .rgb = {(uint8_t)r, (uint8_t)g, (uint8_t)b}};
    return true;
}

static bool append(const cli_program *program, cli_list *list, const char *text)
{
    const char **more = realloc(list->items, (list->count + 1) * sizeof *more);
    if (more == NULL) {
        cli_error(program->name, "memory ran out while reading the command line");
        return false;
    }
    more[list->count++] = text;
    list->items = more;
    return true;
}

static bool take_value(const cli_program *program, const cli_option *option, int origin, const char *text,
                       void *settings)
{
    void *at = (char *)settings + option->at;
    double number = 0;
    switch (option->kind) {
    case CLI_FLAG:
        if (origin == CLI_FROM_ENVIRONMENT && strcmp(text, "1") != 0 && strcmp(text, "0") != 0)
            return wrong_value(program, option, origin, text, "wanted is 1 or 0");
        *(bool *)at = origin != CLI_FROM_ENVIRONMENT || text[0] == '1';
        return true;
    case CLI_TEXT:
        *(const char **)at = text;
        return true;
    case CLI_INT:
        if (!parse_number(program, option, origin, text, true, &number))
            return false;
        *(int64_t *)at = (int64_t)number;
        return true;
    case CLI_NUMBER:
        return parse_number(program, option, origin, text, false, at);
    case CLI_SECONDS:
        if (!parse_number(program, option, origin, text, false, &number))
            return false;
        *(int64_t *)at = (int64_t)(number * 1000 + 0.5);
        return true;
    case CLI_CHOICE:
        return parse_choice(program, option, origin, text, at);
    case CLI_COLOUR:
        return parse_colour(program, option, origin, text, at);
    case CLI_LIST:
        return append(program, at, text);
    default:
        cli_error(program->name, "option --%s has no kind", option->name);
        return false;
    }
}

/* Defaults first, so that whatever is said later goes over them. */
static bool take_defaults(cli_args *args)
{
    const cli_program *program = args->program;
    for (size_t i = 0; i < program->option_count; i++) {
        const cli_option *option = &program->options[i];
        if (option->by_default != NULL &&
            !take_value(program, option, CLI_FROM_DEFAULT, option->by_default, args->settings))
            return false;
    }
    return true;
}

static bool take_environment(cli_args *args)
{
    const cli_program *program = args->program;
    for (size_t i = 0; i < program->option_count; i++) {
        const cli_option *option = &program->options[i];
        const char *text = option->env != NULL ? getenv(option->env) : NULL;
        if (text == NULL || *text == '\0' || args->origin[i] == CLI_FROM_ARGUMENT)
            continue;
        args->origin[i] = CLI_FROM_ENVIRONMENT;
        if (!take_value(program, option, CLI_FROM_ENVIRONMENT, text, args->settings))
            return false;
    }
    return true;
}

/* ---- getopt_long's tables ---- */

enum { OPTIONS_MAX = 120 };

static void make_getopt_tables(const cli_program *program, struct option *longs, char *shorts)
{
    size_t n = 0, s = 0;
    shorts[s++] = ':'; /* ':' for a missing value, '?' for the unknown */
    shorts[s++] = 'h';
    shorts[s++] = 'V';
    for (size_t i = 0; i < program->option_count; i++) {
        const cli_option *option = &program->options[i];
        const int has_value = option->kind == CLI_FLAG ? no_argument : required_argument;
        longs[n++] = (struct option){option->name, has_value, NULL, VAL_OPTION + (int)i};
        if (option->letter != 0) {
            shorts[s++] = option->letter;
            if (has_value == required_argument)
                shorts[s++] = ':';
        }
    }
    longs[n++] = (struct option){"help", no_argument, NULL, VAL_HELP};
    longs[n++] = (struct option){"version", no_argument, NULL, VAL_VERSION};
    longs[n++] = (struct option){"completion", required_argument, NULL, VAL_COMPLETION};
    longs[n] = (struct option){0};
    shorts[s] = '\0';
}

static bool complete(const cli_program *program, const char *shell, int *exit_code)
{
    *exit_code = CLI_EXIT_OK;
    if (strcmp(shell, "bash") == 0)
        cli_args_completion_bash(program, stdout);
    else if (strcmp(shell, "list") == 0)
        cli_args_list(program, stdout);
    else
        *exit_code = cli_args_wrong(program, "--completion %s: wanted is one of bash|list", shell);
    return false;
}

static size_t option_by_letter(const cli_program *program, int letter)
{
    size_t i = 0;
    while (i < program->option_count && program->options[i].letter != letter)
        i++;
    return i;
}

/* @return true to go on; false with *exit_code set */
static bool take_arguments(cli_args *args, int argc, char **argv, int *exit_code)
{
    const cli_program *program = args->program;
    struct option longs[OPTIONS_MAX + 4];
    char shorts[2 * OPTIONS_MAX + 4];
    make_getopt_tables(program, longs, shorts);
    opterr = 0;
    optind = 0; /* glibc: forget an earlier call */
    for (int answer; (answer = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        size_t i;
        *exit_code = CLI_EXIT_USAGE;
        if (answer == '?' || answer == ':') {
            refuse_argument(program, argv, answer);
            return false;
        }
        if (answer == VAL_HELP || answer == 'h') {
            cli_args_help(program, stdout);
            *exit_code = CLI_EXIT_OK;
            return false;
        }
        if (answer == VAL_VERSION || answer == 'V') {
            printf("%s %s (libimgq %s)\n", program->name, IMGQ_VERSION_STRING, imgq_version());
            *exit_code = CLI_EXIT_OK;
            return false;
        }
        if (answer == VAL_COMPLETION)
            return complete(program, optarg, exit_code);
        i = answer >= VAL_OPTION ? (size_t)(answer - VAL_OPTION) : option_by_letter(program, answer);
        args->origin[i] = CLI_FROM_ARGUMENT;
        if (!take_value(program, &program->options[i], CLI_FROM_ARGUMENT, optarg, args->settings))
            return false;
    }
    args->rest = argv + optind;
    args->rest_count = (size_t)(argc - optind);
    return true;
}

/* ---- commands ---- */

/* "dead list" is one name of two words. @return how many words of rest the name takes, 0: not this one */
static size_t command_words(const char *name, char **rest, size_t count)
{
    size_t words = 0;
    for (;; words++) {
        const size_t len = strcspn(name, " ");
        if (words >= count || strlen(rest[words]) != len || strncmp(rest[words], name, len) != 0)
            return 0;
        if (name[len] == '\0')
            return words + 1;
        name += len + 1;
    }
}

static bool refuse_command(const cli_program *program, char **rest, size_t count)
{
    const char *names[64];
    size_t found = 0;
    char list[512] = "", word[128];
    for (size_t i = 0; i < program->command_count && found < 64; i++) {
        names[found++] = program->commands[i].name;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i > 0 ? ", " : "", program->commands[i].name);
    }
    if (count == 0) {
        (void)cli_args_wrong(program, "no command: one of %s", list);
        return false;
    }
    snprintf(word, sizeof word, "%s%s%s", rest[0], count > 1 ? " " : "", count > 1 ? rest[1] : "");
    const char *nearest = cli_nearest(word, names, found);
    if (nearest == NULL)
        nearest = cli_nearest(rest[0], names, found);
    if (nearest != NULL)
        (void)cli_args_wrong(program, "unknown command %s, did you mean %s?", rest[0], nearest);
    else
        (void)cli_args_wrong(program, "unknown command %s: one of %s", rest[0], list);
    return false;
}

static bool take_command(cli_args *args)
{
    const cli_program *program = args->program;
    if (program->commands == NULL)
        return true;
    size_t words = 0;
    for (size_t i = 0; i < program->command_count && words == 0; i++) {
        words = command_words(program->commands[i].name, args->rest, args->rest_count);
        args->command = i;
    }
    if (words == 0)
        return refuse_command(program, args->rest, args->rest_count);
    args->rest += words;
    args->rest_count -= words;
    const cli_command *command = &program->commands[args->command];
    if (args->rest_count > 0 && command->arguments == NULL) {
        (void)cli_args_wrong(program, "%s takes no argument, here is %s", command->name, args->rest[0]);
        return false;
    }
    for (size_t i = 0; i < program->option_count; i++) {
        const uint32_t commands = program->options[i].commands;
        if (args->origin[i] == CLI_FROM_ARGUMENT && commands != 0 && (commands & (1u << args->command)) == 0) {
            (void)cli_args_wrong(program, "--%s does not belong to %s", program->options[i].name, command->name);
            return false;
        }
    }
    return true;
}

/* ---- the door ---- */

/* A closed stdout would become the next descriptor that is opened: answers would be written into the socket to Redis.
 * Opened the wrong way round, each fails as a closed one does. */
static void hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            _exit(CLI_EXIT_SOME);
}

bool cli_args_parse(const cli_program *program, int argc, char **argv, void *settings, size_t settings_size,
                    cli_args *out, int *exit_code)
{
    hold_standard_descriptors();
    memset(settings, 0, settings_size);
    *out = (cli_args){.program = program, .settings = settings};
    *exit_code = CLI_EXIT_USAGE;
    if (program->option_count > OPTIONS_MAX || program->command_count > 32) {
        cli_error(program->name, "the table of options is too long");
        return false;
    }
    out->origin = calloc(program->option_count + 1, 1);
    if (out->origin == NULL) {
        cli_error(program->name, "memory ran out while reading the command line");
        *exit_code = CLI_EXIT_SOME;
        return false;
    }
    if (take_defaults(out) && take_arguments(out, argc, argv, exit_code) && take_command(out) &&
        take_environment(out)) {
        *exit_code = CLI_EXIT_OK;
        return true;
    }
    cli_args_release(out);
    if (fflush(stdout) != 0 && *exit_code == CLI_EXIT_OK)
        *exit_code = CLI_EXIT_SOME; /* --help into a full disk */
    return false;
}

void cli_args_release(cli_args *args)
{
    for (size_t i = 0; args->program != NULL && i < args->program->option_count; i++) {
        const cli_option *option = &args->program->options[i];
        if (option->kind == CLI_LIST) {
            cli_list *list = (cli_list *)((char *)args->settings + option->at);
            free(list->items);
            *list = (cli_list){0};
        }
    }
    free(args->origin);
    *args = (cli_args){0};
}

int cli_args_origin(const cli_args *args, const char *name)
{
    for (size_t i = 0; i < args->program->option_count; i++)
        if (strcmp(args->program->options[i].name, name) == 0)
            return args->origin[i];
    return CLI_FROM_DEFAULT;
}
