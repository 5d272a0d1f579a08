/* One table of options per program feeds parsing, --help, completion and the test of its man page. */
#ifndef CLI_COMMON_ARGS_H
#define CLI_COMMON_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** What an option's value is, and the C type of its field in the program's settings. */
enum {
    CLI_FLAG,    /* bool: true when given; takes no value */
    CLI_TEXT,    /* const char *: as typed, borrowed from argv, the environment or the table; NULL if not said */
    CLI_INT,     /* int64_t, within min..max */
    CLI_NUMBER,  /* double, within min..max */
    CLI_SECONDS, /* int64_t milliseconds, typed as seconds ("30", "0.5"), min..max in seconds */
    CLI_CHOICE,  /* int: which of the choices ("text|json|tsv"), 0 first */
    CLI_COLOUR,  /* cli_colour: "#rrggbb", "white", "black" */
    CLI_LIST     /* cli_list: every value given, in order */
};

typedef struct cli_colour {
    bool is_set;
    uint8_t rgb[3];
} cli_colour;

typedef struct cli_list {
    const char **items; /* borrowed strings; the array is owned by the cli_args */
    size_t count;
} cli_list;

typedef struct cli_option {
    const char *group;      /* heading in --help; NULL: as the row before */
    const char *name;       /* without "--" */
    const char *value;      /* what --help calls the value, "URL"; NULL for flags */
    const char *help;       /* a sentence without its full stop; wrapped by --help */
    const char *by_default; /* as one would type it, parsed like it; NULL: zero, NULL or false */
    const char *env;        /* environment variable that stands in for it; NULL: none */
    const char *choices;    /* of CLI_CHOICE */
    size_t at;              /* offsetof(settings, field) */
    int kind;               /* CLI_... */
    char letter;            /* short form; 0: none */
    bool hidden;            /* not in --help nor the man page */
    double min, max;        /* of numbers; both 0: 0 and up */
    uint32_t commands;      /* bit i: belongs to command i; 0: to all */
} cli_option;

/** A word (or two: "dead list") that says what to do. */
typedef struct cli_command {
    const char *name;
    const char *arguments; /* behind it in the synopsis; NULL: none, and none are allowed */
    const char *help;
} cli_command;

typedef struct cli_program {
    const char *name;            /* "imgq-submit" */
    const char *purpose;         /* a sentence or two for --help */
    const char *const *synopsis; /* lines behind the name in "Usage:", NULL-terminated; NULL: made from the commands */
    const cli_option *options;
    size_t option_count;
    const cli_command *commands; /* NULL: the program has none */
    size_t command_count;
    const char *notes; /* end of --help; NULL: none */
} cli_program;

typedef struct cli_args {
    const cli_program *program;
    char **rest; /* arguments that are no options, borrowed from argv (which is permuted) */
    size_t rest_count;
    size_t command;  /* index; 0 without commands */
    uint8_t *origin; /* per option: CLI_FROM_... */
    void *settings;
} cli_args;

enum { CLI_FROM_DEFAULT, CLI_FROM_ENVIRONMENT, CLI_FROM_ARGUMENT };

/**
 * The first call of each main(): standard descriptors that are closed are held, so that no socket takes their place.
 * Fill the program's settings: argument, else environment, else default. --help, --version and --completion are
 * handled here; what is wrong is said on stderr.
 * @param settings  the struct that the options' `at` points into; zeroed here where no default is
 * @param exit_code out: what the program ends with if this answers false
 * @return true: go on, and call cli_args_release() at the end
 */
bool cli_args_parse(const cli_program *program, int argc, char **argv, void *settings, size_t settings_size,
                    cli_args *out, int *exit_code);
void cli_args_release(cli_args *args);
/** CLI_FROM_... of the option called so. */
int cli_args_origin(const cli_args *args, const char *name);
/** Says "NAME: message" and where help is; for combinations that the table cannot see. @return CLI_EXIT_USAGE */
int cli_args_wrong(const cli_program *program, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** --help, at most 80 columns wide. */
void cli_args_help(const cli_program *program, FILE *out);
/** Bash completion, ready for /usr/share/bash-completion/completions. */
void cli_args_completion_bash(const cli_program *program, FILE *out);
/** One line a command: its name, tab, tab; one line an option: "--name VALUE", tab, environment, tab, default. What the
 *  man page's test compares. */
void cli_args_list(const cli_program *program, FILE *out);
/** The candidate nearest to the misspelt word; NULL if none is near. */
const char *cli_nearest(const char *word, const char *const *candidates, size_t count);

#endif
