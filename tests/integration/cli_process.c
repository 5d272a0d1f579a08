#include "integration/cli_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/shared.h"

enum { ARGS_MAX = 1200, PATIENCE_MS = 120000, STEP_MS = 10, RESULTS = 8 };

extern char **environ;

struct cli_process {
    pid_t pid;
    int out_fd, err_fd; /* unlinked files */
};

static struct {
    cli_result result;
    char *out, *err;
} results[RESULTS];
static unsigned next_result;
static char folder[64];

static void die(const char *what)
{
    fprintf(stderr, "cli test: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "cli test: %s stays\n", folder);
}

static void make_folder(void)
{
    if (folder[0] != '\0')
        return;
    snprintf(folder, sizeof folder, "/tmp/imgq-cli-XXXXXX");
    if (mkdtemp(folder) == NULL)
        die("mkdtemp");
    atexit(remove_folder);
}

const char *cli_temporary(const char *name)
{
    static char paths[16][512];
    static unsigned next;
    make_folder();
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *cli_write_file(const char *name, const void *bytes, size_t len)
{
    const char *path = cli_temporary(name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, len, file) != len || fclose(file) != 0)
        die(path);
    return path;
}

static int scratch(void)
{
    char path[128];
    make_folder();
    snprintf(path, sizeof path, "%s/scratch-XXXXXX", folder);
    const int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        die(path);
    unlink(path);
    return fd;
}

static cli_process *start(int in_fd, const char *program, va_list list)
{
    char *argv[ARGS_MAX];
    size_t argc = 0;
    char path[1024];
    snprintf(path, sizeof path, "%s", program[0] == '/' ? program : bin_path(program));
    argv[argc++] = path;
    for (char *arg; (arg = va_arg(list, char *)) != NULL && argc < ARGS_MAX - 1;)
        argv[argc++] = arg;
    argv[argc] = NULL;
    if (getenv("IMGQ_BIN") == NULL) /* for scripts, where ctest has not set it */
        setenv("IMGQ_BIN", bin_path("."), 1);
    cli_process *process = calloc(1, sizeof *process);
    if (process == NULL)
        die("memory");
    process->out_fd = scratch();
    process->err_fd = scratch();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in_fd, 0);
    posix_spawn_file_actions_adddup2(&actions, process->out_fd, 1);
    posix_spawn_file_actions_adddup2(&actions, process->err_fd, 2);
    errno = posix_spawn(&process->pid, path, &actions, NULL, argv, environ);
    if (errno != 0)
        die(path);
    posix_spawn_file_actions_destroy(&actions);
    return process;
}

cli_process *cli_start(const char *program, ...)
{
    va_list list;
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    va_start(list, program);
    cli_process *process = start(null, program, list);
    va_end(list);
    close(null);
    return process;
}

pid_t cli_process_pid(const cli_process *process)
{
    return process->pid;
}

void cli_process_signal(cli_process *process, int signal)
{
    kill(process->pid, signal);
}

static char *contents(int fd, size_t *len)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        die("fstat");
    char *text = malloc((size_t)st.st_size + 1);
    const ssize_t got = text != NULL ? pread(fd, text, (size_t)st.st_size, 0) : -1;
    if (got < 0)
        die("read a program's output");
    text[got] = '\0';
    *len = (size_t)got;
    return text;
}

static void step(void)
{
    const struct timespec time = {.tv_nsec = STEP_MS * 1000000L};
    nanosleep(&time, NULL);
}

int cli_process_said(cli_process *process, const char *text)
{
    for (int waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
        siginfo_t info = {0};
        const int ended = waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
        size_t len;
        char *out = contents(process->out_fd, &len), *err = contents(process->err_fd, &len);
        const int found = strstr(out, text) != NULL || strstr(err, text) != NULL;
        free(out);
        free(err);
        if (found || ended)
            return found;
        step();
    }
    return 0;
}

const cli_result *cli_finish(cli_process *process)
{
    int status = 0, ended = 0;
    for (int waited = 0; waited < PATIENCE_MS && !ended; waited += STEP_MS) {
        ended = waitpid(process->pid, &status, WNOHANG) == process->pid;
        if (!ended)
            step();
    }
    if (!ended) {
        kill(process->pid, SIGKILL);
        waitpid(process->pid, &status, 0);
    }
    const unsigned slot = next_result++ % RESULTS;
    size_t err_len;
    free(results[slot].out);
    free(results[slot].err);
    cli_result *result = &results[slot].result;
    results[slot].out = contents(process->out_fd, &result->out_len);
    results[slot].err = contents(process->err_fd, &err_len);
    result->out = results[slot].out;
    result->err = results[slot].err;
    result->code = !ended ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    close(process->out_fd);
    close(process->err_fd);
    free(process);
    return result;
}

const cli_result *cli_run(const char *program, ...)
{
    va_list list;
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    va_start(list, program);
    cli_process *process = start(null, program, list);
    va_end(list);
    close(null);
    return cli_finish(process);
}

const cli_result *cli_run_input(const void *bytes, size_t len, const char *program, ...)
{
    va_list list;
    const int in = scratch();
    if (write(in, bytes, len) != (ssize_t)len || lseek(in, 0, SEEK_SET) != 0)
        die("write a program's input");
    va_start(list, program);
    cli_process *process = start(in, program, list);
    va_end(list);
    close(in);
    return cli_finish(process);
}
