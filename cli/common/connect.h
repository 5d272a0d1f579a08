/* --redis, --queue, --password-file and their environment, to the options of a queue handle. */
#ifndef CLI_COMMON_CONNECT_H
#define CLI_COMMON_CONNECT_H

#include <imgq/queue.h>

#include "cli/common/args.h"

#define CLI_REDIS_DEFAULT "redis://127.0.0.1:6379"

/** Part of a program's settings: a field `cli_connect connect`, or another name. */
typedef struct cli_connect {
    const char *redis, *queue, *password_file;
    char *password; /* owned, read by cli_connect_prepare(); cli_connect_release() wipes it */
} cli_connect;

/* Rows for the table of options. */
#define CLI_CONNECT_OPTIONS(type, field)                                                                               \
    {.group = "Connection",                                                                                            \
     .name = "redis",                                                                                                  \
     .letter = 'r',                                                                                                    \
     .value = "URL",                                                                                                   \
     .kind = CLI_TEXT,                                                                                                 \
     .by_default = CLI_REDIS_DEFAULT,                                                                                  \
     .env = "IMGQ_REDIS_URL",                                                                                          \
     .at = offsetof(type, field.redis),                                                                                \
     .help = "where Redis is: redis://[user@]host[:port][/db] or unix:///path[?db=N]"},                                \
    {                                                                                                                  \
        .name = "password-file", .value = "FILE", .kind = CLI_TEXT, .env = "IMGQ_REDIS_PASSWORD_FILE",                 \
        .at = offsetof(type, field.password_file),                                                                     \
        .help = "the first line of FILE is the password; others must not be able to read FILE (or set "                \
                "IMGQ_REDIS_PASSWORD)"                                                                                 \
    }
/* --queue of a program that works on one queue. */
#define CLI_QUEUE_OPTION(type, field)                                                                                  \
    {                                                                                                                  \
        .name = "queue", .letter = 'q', .value = "NAME", .kind = CLI_TEXT, .by_default = "default",                    \
        .env = "IMGQ_QUEUE", .at = offsetof(type, field.queue), .help = "name of the queue: 1-64 of A-Z a-z 0-9 _ . -" \
    }

/**
 * Checks that no password stands in an argument, reads the password, fills the options (url, name, password).
 * Passwords come from --password-file, else IMGQ_REDIS_PASSWORD, else $CREDENTIALS_DIRECTORY/redis-password (a
 * systemd credential), else the URL in the environment.
 * @param options  out: name, password, client_name; strings borrowed from connect
 * @return CLI_EXIT_OK, else the exit code; what is wrong has been said
 */
int cli_connect_prepare(const cli_args *args, cli_connect *connect, imgq_queue_options *options);
/** Says why a queue could not be opened and what to do about it. @return exit code */
int cli_connect_failed(const cli_args *args, const imgq_error *err);
void cli_connect_release(cli_connect *connect);
/** The URL as it may be shown: a password is "***". @return out */
const char *cli_connect_shown(const char *url, char *out, size_t out_size);

#endif
