/* The env's log lines as the one unified line on stderr. */
#ifndef CLI_COMMON_LOG_H
#define CLI_COMMON_LOG_H

#include <stdbool.h>

#include <imgq/env.h>

/** Immutable after cli_log_init(): any thread may write. */
typedef struct cli_log {
    const char *program; /* "imgq-worker", borrowed */
    char server[128];    /* --name, else the host's name */
    int level;           /* IMGQ_LOG_...: what is less important is dropped */
    bool json;           /* one JSON object a line */
    bool journal;        /* stderr is the journal: "<6>" before each line */
} cli_log;

/** @param server --name of a worker, NULL: this host's name @param json --log-format json */
void cli_log_init(cli_log *log, const char *program, const char *server, int level, bool json);
/** An imgq_log_fn: options.log_fn = cli_log_fn; options.log_user = &log. One write(2) a line. */
void cli_log_fn(void *log, int level, const char *room, const char *message);
/** A line of the program's own. */
void cli_log_line(const cli_log *log, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Rows for the table of options; type has the fields `int log_format` (0 text, 1 json) and `int log_level`. */
#define CLI_LOG_OPTIONS(type)                                                                                          \
    {.group = "Messages",                                                                                              \
     .name = "log-format",                                                                                             \
     .value = "FORMAT",                                                                                                \
     .kind = CLI_CHOICE,                                                                                               \
     .choices = "text|json",                                                                                           \
     .by_default = "text",                                                                                             \
     .env = "IMGQ_LOG_FORMAT",                                                                                         \
     .at = offsetof(type, log_format),                                                                                 \
     .help = "log lines on stderr as text or as one JSON object each"},                                                \
    {                                                                                                                  \
        .name = "log-level", .value = "LEVEL", .kind = CLI_CHOICE, .choices = "error|warning|info|debug",              \
        .by_default = CLI_LOG_LEVEL_DEFAULT, .env = "IMGQ_LOG_LEVEL", .at = offsetof(type, log_level),                 \
        .help = "the least important log lines to print"                                                               \
    }
/* What a program logs unless told otherwise; define before use for another. */
#ifndef CLI_LOG_LEVEL_DEFAULT
#define CLI_LOG_LEVEL_DEFAULT "warning"
#endif

#endif
