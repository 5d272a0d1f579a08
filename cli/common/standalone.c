/* Two children and a folder that die with us. */
#include "cli/common/standalone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/common/exit.h"
#include "cli/common/signals.h"
#include "cli/common/ui.h"

enum { REDIS_START_MS = 10000, STOP_MS = 5000, STEP_MS = 10 };

static void sleep_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL); /* a signal may end it early: callers look at their clocks */
}

/* ---- finding programs ---- */

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool find_in_path(const char *name, char *out, size_t out_size)
{
    const char *path = getenv("PATH");
    for (const char *at = path != NULL ? path : "/usr/bin:/bin";; at++) {
        const size_t len = strcspn(at, ":");
        snprintf(out, out_size, "%.*s/%s", (int)len, at, name);
        if (len > 0 && is_program(out))
            return true;
        at += len;
        if (*at == '\0')
            return false;
    }
}

static bool find_beside(const char *name, char *out, size_t out_size)
{
    char self[PATH_MAX];
    const ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0)
        return false;
    self[len] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return (size_t)snprintf(out, out_size, "%s/%s", self, name) < out_size && is_program(out);
}

/* ---- children ---- */

/* fork() rather than posix_spawn(): only between the two can a child ask to be ended with its parent. The program has
 * one thread here, so the child may do as it likes. */
static pid_t start(const char *path, const char *const argv[], int out_fd, int err_fd)
{
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child != 0)
        return child;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);      /* the parent ended before it was asked for */
    (void)setpgid(0, 0); /* Ctrl-C is for the parent, which then ends us in order */
    struct sigaction act = {.sa_handler = SIG_DFL};
    sigemptyset(&act.sa_mask);
    (void)sigaction(SIGPIPE, &act, NULL);
    const int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0 || dup2(err_fd, STDERR_FILENO) < 0)
        _exit(127);
    /* What the user set for the real server and service is not for these. */
    static const char *const not_ours[] = {"IMGQ_REDIS_URL", "IMGQ_REDIS_PASSWORD",   "IMGQ_REDIS_PASSWORD_FILE",
                                           "IMGQ_QUEUE",     "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"};
    for (size_t i = 0; i < sizeof not_ours / sizeof *not_ours; i++)
        (void)unsetenv(not_ours[i]);
    execv(path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* @return true if it has ended; then *pid is 0 */
static bool has_ended(pid_t *pid, int *code)
{
    int status;
    if (*pid <= 0 || waitpid(*pid, &status, WNOHANG) != *pid)
        return *pid <= 0;
    *pid = 0;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

static void stop(pid_t *pid)
{
    int code;
    if (*pid <= 0)
        return;
    (void)kill(*pid, SIGTERM);
    for (int waited = 0; !has_ended(pid, &code) && waited < STOP_MS; waited += STEP_MS)
        sleep_ms(STEP_MS);
    if (*pid > 0) {
        (void)kill(*pid, SIGKILL);
        (void)waitpid(*pid, NULL, 0);
        *pid = 0;
    }
}

/* ---- the folder ---- */

/* @return true if it is gone */
static bool remove_folder(const char *folder)
{
    static const char *const files[] = {"redis.sock", "redis.log", "dump.rdb"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        (void)unlink(path);
    }
    return rmdir(folder) == 0 || errno == ENOENT;
}

/* A process that outlives us by a moment: when our end of the pipe closes, however that came, the folder goes. The
 * other children end by themselves then. */
static int start_janitor(cli_standalone *standalone)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return CLI_EXIT_SOME;
    standalone->janitor_fd = ends[1];
    standalone->janitor = fork();
    if (standalone->janitor == 0) {
        struct sigaction ignore = {.sa_handler = SIG_IGN};
        sigemptyset(&ignore.sa_mask);
        (void)sigaction(SIGINT, &ignore, NULL);
        (void)sigaction(SIGTERM, &ignore, NULL);
        (void)sigaction(SIGHUP, &ignore, NULL);
        (void)setpgid(0, 0);
        char byte;
        close(ends[1]);
        close(STDIN_FILENO);
        close(STDOUT_FILENO); /* or a pipe behind us would not end before we do */
        close(STDERR_FILENO);
        while (read(ends[0], &byte, 1) > 0) {
        }
        for (int waited = 0; !remove_folder(standalone->folder) && waited < STOP_MS; waited += STEP_MS)
            sleep_ms(STEP_MS);
        _exit(0);
    }
    close(ends[0]);
    return standalone->janitor > 0 ? CLI_EXIT_OK : CLI_EXIT_SOME;
}

void cli_standalone_stop(cli_standalone *standalone)
{
    stop(&standalone->worker);
    stop(&standalone->redis);
    if (standalone->folder[0] == '\0')
        return;
    if (!remove_folder(standalone->folder))
        cli_error(standalone->program, "remove %s: %s", standalone->folder, strerror(errno));
    standalone->folder[0] = '\0';
    if (standalone->janitor > 0) {
        close(standalone->janitor_fd);
        (void)waitpid(standalone->janitor, NULL, 0);
        standalone->janitor = 0;
    }
}

/* ---- the server ---- */

static bool answers(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t len = strlen(socket_path);
    if (len >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, socket_path, len);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool ok = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static void last_line(const char *path, char *out, size_t out_size)
{
    char line[512];
    FILE *file = fopen(path, "re");
    snprintf(out, out_size, "it said nothing");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0')
            snprintf(out, out_size, "%s", line);
    }
    if (file != NULL)
        fclose(file);
}

static int wait_for_redis(cli_standalone *standalone, const char *socket_path, const char *log_path)
{
    int code = 0;
    char line[512];
    for (int waited = 0; waited < REDIS_START_MS; waited += STEP_MS) {
        if (answers(socket_path))
            return CLI_EXIT_OK;
        if (cli_signals_caught() != 0)
            return CLI_EXIT_SOME;
        if (has_ended(&standalone->redis, &code)) {
            last_line(log_path, line, sizeof line);
            cli_error(standalone->program, "the private redis-server ended with code %d: %s", code, line);
            return CLI_EXIT_REDIS;
        }
        sleep_ms(STEP_MS);
    }
    cli_error(standalone->program, "the private redis-server did not answer within %d s", REDIS_START_MS / 1000);
    return CLI_EXIT_REDIS;
}

static int start_redis(cli_standalone *standalone)
{
    char path[PATH_MAX], socket_path[300], log_path[300];
    if (!find_in_path("redis-server", path, sizeof path)) {
        cli_error(standalone->program, "--standalone needs redis-server, which is not in PATH: install the package "
                                       "redis-server (apt-get install redis-server)");
        return CLI_EXIT_CONFIG;
    }
    snprintf(socket_path, sizeof socket_path, "%s/redis.sock", standalone->folder);
    snprintf(log_path, sizeof log_path, "%s/redis.log", standalone->folder);
    if (strlen(socket_path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        cli_error(standalone->program, "the folder for temporary files is too deep for a socket in it: %s (set TMPDIR)",
                  standalone->folder);
        return CLI_EXIT_CONFIG;
    }
    const int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) {
        cli_error(standalone->program, "create %s: %s", log_path, strerror(errno));
        return CLI_EXIT_SOME;
    }
    const char *argv[] = {path,
                          "--port",
                          "0",
                          "--unixsocket",
                          socket_path,
                          "--unixsocketperm",
                          "600",
                          "--dir",
                          standalone->folder,
                          "--save",
                          "",
                          "--appendonly",
                          "no",
                          "--daemonize",
                          "no",
                          "--maxmemory-policy",
                          "noeviction",
                          NULL};
    standalone->redis = start(path, argv, log, log);
    close(log);
    if (standalone->redis < 0) {
        standalone->redis = 0;
        cli_error(standalone->program, "start %s: %s", path, strerror(errno));
        return CLI_EXIT_SOME;
    }
    snprintf(standalone->url, sizeof standalone->url, "unix://%s", socket_path);
    return wait_for_redis(standalone, socket_path, log_path);
}

static int start_worker(cli_standalone *standalone, const cli_standalone_options *options)
{
    char path[PATH_MAX];
    if (!find_beside("imgq-worker", path, sizeof path) && !find_in_path("imgq-worker", path, sizeof path)) {
        cli_error(standalone->program, "--standalone needs imgq-worker, which is neither beside this program nor in "
                                       "PATH");
        return CLI_EXIT_CONFIG;
    }
    const char *argv[16] = {path,      "--redis",      standalone->url, "--queue", "default",
                            "--model", options->model, "--log-level",   "warning"};
    if (options->profile != NULL) {
        argv[9] = "--profile";
        argv[10] = options->profile;
    }
    standalone->worker = start(path, argv, STDERR_FILENO, STDERR_FILENO);
    if (standalone->worker < 0) {
        standalone->worker = 0;
        cli_error(standalone->program, "start %s: %s", path, strerror(errno));
        return CLI_EXIT_SOME;
    }
    return CLI_EXIT_OK;
}

/* ---- the door ---- */

int cli_standalone_start(const char *program, const cli_standalone_options *options, cli_standalone *out)
{
    const char *tmp = getenv("TMPDIR");
    *out = (cli_standalone){.program = program};
    snprintf(out->folder, sizeof out->folder, "%s/imgq-XXXXXX", tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
    if (mkdtemp(out->folder) == NULL) {
        cli_error(program, "create a folder %s: %s", out->folder, strerror(errno));
        out->folder[0] = '\0';
        return CLI_EXIT_SOME;
    }
    int code = start_janitor(out);
    if (code != CLI_EXIT_OK)
        cli_error(program, "start a process: %s", strerror(errno));
    else
        code = start_redis(out);
    if (code == CLI_EXIT_OK)
        code = start_worker(out, options);
    if (code != CLI_EXIT_OK)
        cli_standalone_stop(out);
    return code;
}

int cli_standalone_check(cli_standalone *standalone)
{
    int code = 0;
    if (standalone->worker == 0 && standalone->worker_code != 0)
        return standalone->worker_code;
    if (has_ended(&standalone->worker, &code)) {
        cli_error(standalone->program, "the private worker ended with code %d", code);
        standalone->worker_code = code > CLI_EXIT_USAGE && code <= CLI_EXIT_CONFIG ? code : CLI_EXIT_SOME;
        return standalone->worker_code;
    }
    if (has_ended(&standalone->redis, &code)) {
        cli_error(standalone->program, "the private redis-server ended with code %d", code);
        standalone->worker_code = CLI_EXIT_REDIS;
        return CLI_EXIT_REDIS;
    }
    return CLI_EXIT_OK;
}
