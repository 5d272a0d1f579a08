/* A private redis-server on a Unix socket and a worker beside it, for as long as the program runs. */
#ifndef CLI_COMMON_STANDALONE_H
#define CLI_COMMON_STANDALONE_H

#include <stdbool.h>
#include <sys/types.h>

#include <imgq/status.h>

typedef struct cli_standalone {
    const char *program; /* for messages */
    char folder[256];    /* made by mkdtemp(); "" if none */
    char url[300];       /* unix://FOLDER/redis.sock */
    pid_t redis, worker; /* 0: not running */
    pid_t janitor;       /* removes the folder if we cannot: it waits for the end of our pipe */
    int janitor_fd;      /* our end of the pipe */
    int worker_code;     /* exit code once it has ended by itself */
} cli_standalone;

/** What the worker is started with beside its queue; NULL: not said. */
typedef struct cli_standalone_options {
    const char *model; /* --model, as given */
    const char *profile;
} cli_standalone_options;

/**
 * Start the server, wait until it answers, start the worker. Both end when this process ends, however it does.
 * @return CLI_EXIT_OK, else the exit code: what is wrong has been said and everything is cleaned up
 */
int cli_standalone_start(const char *program, const cli_standalone_options *options, cli_standalone *out);
/** @return CLI_EXIT_OK while both run, else the exit code after having said which one ended */
int cli_standalone_check(cli_standalone *standalone);
/** Ends both, waits for them, removes the folder. A second call is a no-op. */
void cli_standalone_stop(cli_standalone *standalone);

#endif
