/* The program's table as text: --help, bash completion, and the list that the man page is held to. */
#include "cli/common/args.h"

#include <string.h>

enum { WIDTH = 80, COLUMN = 28 };

static const char exit_codes[] = "Exit codes:\n"
                                 "  0 all done, 1 some images failed, 2 usage, 3 every input was refused (do not\n"
                                 "  retry), 4 deadline passed, 5 queue full (retry later), 6 Redis unreachable,\n"
                                 "  7 configuration or model wrong, 128+n killed by signal n\n";

/* Words of text, from the column the pen is in; further lines begin at `indent`. Ends the line. */
static void write_wrapped(FILE *out, const char *text, size_t pen, size_t indent)
{
    while (*text != '\0') {
        const size_t len = strcspn(text, " ");
        if (pen > indent && pen + 1 + len > WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            pen = indent;
        } else if (pen > indent) {
            fputc(' ', out);
            pen++;
        }
        fwrite(text, 1, len, out);
        pen += len;
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static const char *value_of(const cli_option *option)
{
    return option->kind == CLI_FLAG ? NULL : option->value != NULL ? option->value : "VALUE";
}

/* "help text (a|b; default x; environment Y)" */
static void describe(const cli_option *option, char *out, size_t out_size)
{
    const char *separator = "";
    char facts[256] = "";
    size_t len = 0;
    if (option->choices != NULL) {
        len += (size_t)snprintf(facts + len, sizeof facts - len, "%s", option->choices);
        separator = "; ";
    }
    if (option->by_default != NULL && len < sizeof facts) {
        len += (size_t)snprintf(facts + len, sizeof facts - len, "%sdefault: %s", separator, option->by_default);
        separator = "; ";
    }
    if (option->env != NULL && len < sizeof facts)
        snprintf(facts + len, sizeof facts - len, "%senvironment: %s", separator, option->env);
    if (facts[0] != '\0')
        snprintf(out, out_size, "%s (%s)", option->help, facts);
    else
        snprintf(out, out_size, "%s", option->help);
}

static void write_row(FILE *out, char letter, const char *name, const char *value, const char *text)
{
    char left[96], sign[8] = "    ";
    if (letter != 0)
        snprintf(sign, sizeof sign, "-%c, ", letter);
    const size_t pen = (size_t)snprintf(left, sizeof left, "  %s--%s%s%s", sign, name, value != NULL ? " " : "",
                                        value != NULL ? value : "");
    fputs(left, out);
    if (pen + 2 > COLUMN)
        fputc('\n', out);
    fprintf(out, "%*s", (int)(pen + 2 > COLUMN ? COLUMN : COLUMN - pen), "");
    write_wrapped(out, text, COLUMN, COLUMN);
}

static void write_usage(const cli_program *program, FILE *out)
{
    const char *lead = "Usage:";
    for (size_t i = 0; program->synopsis != NULL && program->synopsis[i] != NULL; i++, lead = "      ")
        fprintf(out, "%s %s %s\n", lead, program->name, program->synopsis[i]);
    if (program->synopsis == NULL && program->commands != NULL)
        fprintf(out, "%s %s [OPTION]... COMMAND\n", lead, program->name);
    else if (program->synopsis == NULL)
        fprintf(out, "%s %s [OPTION]...\n", lead, program->name);
}

static void write_commands(const cli_program *program, FILE *out)
{
    if (program->commands == NULL)
        return;
    fputs("\nCommands:\n", out);
    for (size_t i = 0; i < program->command_count; i++) {
        const cli_command *command = &program->commands[i];
        const int pen = fprintf(out, "  %s%s%s", command->name, command->arguments != NULL ? " " : "",
                                command->arguments != NULL ? command->arguments : "");
        if (pen + 2 > COLUMN)
            fputc('\n', out);
        fprintf(out, "%*s", pen + 2 > COLUMN ? COLUMN : COLUMN - pen, "");
        write_wrapped(out, command->help, COLUMN, COLUMN);
    }
}

void cli_args_help(const cli_program *program, FILE *out)
{
    write_usage(program, out);
    write_wrapped(out, program->purpose, 0, 0);
    write_commands(program, out);
    for (size_t i = 0; i < program->option_count; i++) {
        const cli_option *option = &program->options[i];
        char text[640];
        if (option->group != NULL || i == 0)
            fprintf(out, "\n%s:\n", option->group != NULL ? option->group : "Options");
        if (option->hidden)
            continue;
        describe(option, text, sizeof text);
        write_row(out, option->letter, option->name, value_of(option), text);
    }
    fputs("\nOther:\n", out);
    write_row(out, 'h', "help", NULL, "show this and leave");
    write_row(out, 'V', "version", NULL, "show the version and leave");
    if (program->notes != NULL)
        fprintf(out, "\n%s", program->notes);
    fprintf(out, "\n%s", exit_codes);
}

void cli_args_list(const cli_program *program, FILE *out)
{
    for (size_t i = 0; i < program->command_count; i++)
        fprintf(out, "%s\t\t\n", program->commands[i].name);
    for (size_t i = 0; i < program->option_count; i++) {
        const cli_option *option = &program->options[i];
        const char *value = value_of(option);
        if (!option->hidden)
            fprintf(out, "--%s%s%s\t%s\t%s\n", option->name, value != NULL ? " " : "", value != NULL ? value : "",
                    option->env != NULL ? option->env : "", option->by_default != NULL ? option->by_default : "");
    }
    fputs("--help\t\t\n--version\t\t\n", out);
}

/* ---- bash ---- */

static void write_function_name(const cli_program *program, FILE *out)
{
    fputc('_', out);
    for (const char *c = program->name; *c != '\0'; c++)
        fputc(*c == '-' ? '_' : *c, out);
}

/* What may stand behind an option: a choice, a file, or nothing that can be guessed. */
static void write_value_cases(const cli_program *program, FILE *out)
{
    fputs("    case $previous in\n", out);
    for (size_t i = 0; i < program->option_count; i++) {
        const cli_option *option = &program->options[i];
        if (option->hidden || option->kind == CLI_FLAG)
            continue;
        fprintf(out, "    --%s", option->name);
        if (option->letter != 0)
            fprintf(out, "|-%c", option->letter);
        fputs(")\n        ", out);
        if (option->choices != NULL) {
            fputs("mapfile -t COMPREPLY < <(compgen -W \"", out);
            for (const char *c = option->choices; *c != '\0'; c++)
                fputc(*c == '|' ? ' ' : *c, out);
            fputs("\" -- \"$word\")", out);
        } else if (option->value != NULL && strstr(option->value, "FILE") != NULL) {
            fputs("compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$word\")", out);
        } else {
            fputs("COMPREPLY=()", out);
        }
        fputs("\n        return ;;\n", out);
    }
    fputs("    esac\n", out);
}

/* Commands of one word and the first words of others, each once; behind a first word what may follow it. */
static void write_command_cases(const cli_program *program, FILE *out)
{
    fputs("    if [[ $COMP_CWORD -eq 1 ]]; then\n        mapfile -t COMPREPLY < <(compgen -W \"", out);
    for (size_t i = 0; i < program->command_count; i++) {
        const char *name = program->commands[i].name;
        const size_t len = strcspn(name, " ");
        const bool again = i > 0 && strcspn(program->commands[i - 1].name, " ") == len &&
                           strncmp(program->commands[i - 1].name, name, len) == 0;
        if (!again)
            fprintf(out, "%s%.*s", i > 0 ? " " : "", (int)len, name);
    }
    fputs("\" -- \"$word\")\n        return\n    fi\n    case $previous in\n", out);
    for (size_t i = 0; i < program->command_count; i++) {
        const char *name = program->commands[i].name, *second = strchr(name, ' ');
        const bool first_of_its_kind = second != NULL && (i == 0 || strncmp(program->commands[i - 1].name, name,
                                                                            (size_t)(second - name) + 1) != 0);
        if (!first_of_its_kind)
            continue;
        fprintf(out, "    %.*s)\n        mapfile -t COMPREPLY < <(compgen -W \"", (int)(second - name), name);
        for (size_t k = i; k < program->command_count; k++)
            if (strncmp(program->commands[k].name, name, (size_t)(second - name) + 1) == 0)
                fprintf(out, "%s%s", k > i ? " " : "", program->commands[k].name + (second - name) + 1);
        fputs("\" -- \"$word\")\n        return ;;\n", out);
    }
    fputs("    esac\n", out);
}

void cli_args_completion_bash(const cli_program *program, FILE *out)
{
    fprintf(out, "# bash completion for %s, made by: %s --completion bash\n", program->name, program->name);
    write_function_name(program, out);
    fputs("()\n{\n    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n", out);
    write_value_cases(program, out);
    fputs("    if [[ $word == -* ]]; then\n        mapfile -t COMPREPLY < <(compgen -W \"", out);
    for (size_t i = 0; i < program->option_count; i++)
        if (!program->options[i].hidden)
            fprintf(out, "--%s ", program->options[i].name);
    fputs("--help --version\" -- \"$word\")\n        return\n    fi\n", out);
    if (program->commands != NULL)
        write_command_cases(program, out);
    fputs("    compopt -o filenames\n    mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n}\ncomplete -F ", out);
    write_function_name(program, out);
    fprintf(out, " %s\n", program->name);
}
