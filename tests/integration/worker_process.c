#include "integration/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/check.h"
#include "support/shared.h"

enum { LOG_MAX = 256 * 1024, PATIENCE_MS = 60000, STEP_MS = 10 };

struct worker_process {
    pid_t pid;
    char log_path[64];
    int code;
    bool ended;
};

static void run_child(const worker_process *worker, char *const *argv, const char *const *environment)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++)
        putenv(strdup(environment[i]));
    const int log = open(worker->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(126);
    execv(argv[0], argv);
    _exit(127);
}

worker_process *worker_start(const char *url, const char *const *args, const char *const *environment)
{
    worker_process *worker = calloc(1, sizeof *worker);
    char *argv[WORKER_ARGS_MAX + 4] = {strdup(bin_path("imgq-worker"))};
    size_t count = 1;
    if (url != NULL) {
        argv[count++] = strdup("--redis");
        argv[count++] = strdup(url);
    }
    for (size_t i = 0; args[i] != NULL && i < WORKER_ARGS_MAX; i++)
        argv[count++] = strdup(args[i]);
    snprintf(worker->log_path, sizeof worker->log_path, "/tmp/imgq-worker-test-XXXXXX");
    const int log = mkstemp(worker->log_path);
    if (log >= 0)
        close(log);
    fflush(NULL);
    worker->pid = fork();
    if (worker->pid == 0)
        run_child(worker, argv, environment);
    for (size_t i = 0; i < count; i++)
        free(argv[i]);
    CHECK(worker->pid > 0);
    return worker;
}

worker_process *worker_start_ready(const char *url, const char *const *args)
{
    worker_process *worker = worker_start(url, args, NULL);
    CHECK(worker_says(worker, "ready: "));
    return worker;
}

pid_t worker_pid(const worker_process *worker)
{
    return worker->pid;
}

void worker_signal(worker_process *worker, int signal)
{
    if (!worker->ended)
        CHECK(kill(worker->pid, signal) == 0);
}

static bool look(worker_process *worker)
{
    int status = 0;
    if (!worker->ended && waitpid(worker->pid, &status, WNOHANG) == worker->pid) {
        worker->ended = true;
        worker->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return worker->ended;
}

int worker_wait(worker_process *worker)
{
    for (int waited_ms = 0; !look(worker) && waited_ms < PATIENCE_MS; waited_ms += STEP_MS)
        usleep(STEP_MS * 1000);
    return worker->ended ? worker->code : -1;
}

const char *worker_log(worker_process *worker)
{
    static char text[LOG_MAX];
    size_t len = 0;
    FILE *file = fopen(worker->log_path, "r");
    if (file != NULL) {
        len = fread(text, 1, sizeof text - 1, file);
        fclose(file);
    }
    text[len] = '\0';
    return text;
}

bool worker_says(worker_process *worker, const char *text)
{
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += STEP_MS) {
        const bool ended = look(worker);
        if (strstr(worker_log(worker), text) != NULL)
            return true;
        if (ended)
            break;
        usleep(STEP_MS * 1000);
    }
    fprintf(stderr, "the worker did not say \"%s\" but:\n%s", text, worker_log(worker));
    return false;
}

void worker_end(worker_process *worker)
{
    if (worker == NULL)
        return;
    if (!look(worker)) {
        kill(worker->pid, SIGKILL);
        (void)waitpid(worker->pid, NULL, 0);
    }
    unlink(worker->log_path);
    free(worker);
}
