/* The programs, run as a person runs them: arguments in, exit code and both outputs out. */
#ifndef TEST_CLI_PROCESS_H
#define TEST_CLI_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

typedef struct cli_result {
    int code;        /* exit code; 128 + signal; -1: it had to be killed after the test's patience */
    const char *out; /* zero-terminated, NUL bytes inside are kept: out_len */
    const char *err;
    size_t out_len;
} cli_result;

/** Runs build/bin/PROGRAM (or an absolute path) to its end, stdin is /dev/null. Arguments end with NULL.
 *  @return static until the eighth next call */
const cli_result *cli_run(const char *program, ...) __attribute__((sentinel));
/** As cli_run(), with bytes on stdin. */
const cli_result *cli_run_input(const void *bytes, size_t len, const char *program, ...) __attribute__((sentinel));

/** A program that runs on. */
typedef struct cli_process cli_process;
cli_process *cli_start(const char *program, ...) __attribute__((sentinel));
pid_t cli_process_pid(const cli_process *process);
void cli_process_signal(cli_process *process, int signal);
/** Waits until its stderr (or stdout) holds the text. @return 0 after the test's patience, or when it has ended */
int cli_process_said(cli_process *process, const char *text);
/** Waits for its end; frees it. @return as cli_run() */
const cli_result *cli_finish(cli_process *process);

/** "path/in/a/folder" of this test program, removed at its end; static until the 16th next call. */
const char *cli_temporary(const char *name);
/** Writes a file there. @return its path */
const char *cli_write_file(const char *name, const void *bytes, size_t len);

#endif
