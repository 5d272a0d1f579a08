#include "support/redis_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 512, START_TRIES = 5, ANSWER_BYTES = 1 << 20 };

struct redis_fixture {
    char folder[PATH_SIZE], socket[PATH_SIZE], url[PATH_SIZE], tcp_url[64], password[128];
    char *config;
    int port;
    pid_t pid;     /* 0: not running */
    pid_t janitor; /* a shell that outlives us: kills the server and removes the folder when our pipe ends */
    int janitor_fd;
};

extern char **environ;

static void die(const redis_fixture *fixture, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
static void die(const redis_fixture *fixture, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "redis fixture: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    char path[PATH_SIZE + 16], line[512];
    snprintf(path, sizeof path, "%s/redis.log", fixture->folder);
    FILE *log = fopen(path, "r");
    while (log != NULL && fgets(line, sizeof line, log) != NULL)
        fputs(line, stderr);
    exit(EXIT_FAILURE);
}

static void sleep_ms(long ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

/* ---- the janitor ---- */

static void start_janitor(redis_fixture *fixture)
{
    static const char script[] = "while read p; do pid=$p; done; "
                                 "[ -n \"$pid\" ] && [ \"$pid\" != 0 ] && kill -9 \"$pid\"; rm -rf \"$0\"";
    char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)script, fixture->folder, NULL};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        die(fixture, "pipe: %s", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
    /* Whoever waits for the end of the test's output must not wait for the janitor. */
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attr);
    /* A group of its own, so that a signal to the test's group (Ctrl-C) does not reach it. */
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attr, 0);
    const int code = posix_spawn(&fixture->janitor, "/bin/sh", &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    close(ends[0]);
    if (code != 0)
        die(fixture, "start a shell: %s", strerror(code));
    fixture->janitor_fd = ends[1];
}

static void tell_janitor(const redis_fixture *fixture)
{
    char line[32];
    const int len = snprintf(line, sizeof line, "%ld\n", (long)fixture->pid);
    if (write(fixture->janitor_fd, line, (size_t)len) != len)
        die(fixture, "tell the janitor: %s", strerror(errno));
}

/* ---- the server ---- */

static int free_port(const redis_fixture *fixture)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof addr;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        die(fixture, "find a free port: %s", strerror(errno));
    close(fd);
    return ntohs(addr.sin_port);
}

static void write_config(const redis_fixture *fixture)
{
    char path[PATH_SIZE + 16];
    snprintf(path, sizeof path, "%s/redis.conf", fixture->folder);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        die(fixture, "write %s: %s", path, strerror(errno));
    fprintf(file,
            "bind 127.0.0.1\nport %d\nunixsocket %s\nunixsocketperm 700\ndir %s\nlogfile %s/redis.log\n"
            "daemonize no\nsave \"\"\nappendonly no\nenable-debug-command yes\n%s\n",
            fixture->port, fixture->socket, fixture->folder, fixture->folder,
            fixture->config != NULL ? fixture->config : "");
    if (fclose(file) != 0)
        die(fixture, "write %s: %s", path, strerror(errno));
}

static void start_server(redis_fixture *fixture)
{
    const char *program = getenv("IMGQ_REDIS_SERVER");
    if (program == NULL || *program == '\0')
        program = "redis-server";
    char config[PATH_SIZE + 16];
    snprintf(config, sizeof config, "%s/redis.conf", fixture->folder);
    fixture->pid = fork();
    if (fixture->pid < 0)
        die(fixture, "fork: %s", strerror(errno));
    if (fixture->pid == 0) {
        /* A signal that the test blocks must not stay blocked in the server. */
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, 0);
        dup2(null, 1);
        execlp(program, program, config, (char *)NULL);
        const char message[] = "redis fixture: redis-server cannot be started\n";
        (void)!write(2, message, sizeof message - 1);
        _exit(127);
    }
    tell_janitor(fixture);
}

/* @return connected socket or -1 */
static int dial(const redis_fixture *fixture)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", fixture->socket);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* @return false: the server has ended (another took the port); waits for PONG or a demand for a password */
static bool wait_until_it_answers(redis_fixture *fixture)
{
    for (int waited_ms = 0; waited_ms < 60000; waited_ms += 10) {
        if (waitpid(fixture->pid, NULL, WNOHANG) == fixture->pid) {
            fixture->pid = 0;
            tell_janitor(fixture);
            return false;
        }
        char reply[64] = "";
        const int fd = dial(fixture);
        if (fd >= 0) {
            if (send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6)
                (void)!read(fd, reply, sizeof reply - 1);
            close(fd);
        }
        if (strncmp(reply, "+PONG", 5) == 0 || strncmp(reply, "-NOAUTH", 7) == 0)
            return true;
        sleep_ms(10);
    }
    die(fixture, "no answer within 60 s");
}

static void end_server(redis_fixture *fixture, int signal_number)
{
    if (fixture->pid == 0)
        return;
    kill(fixture->pid, signal_number);
    if (signal_number != SIGKILL)
        kill(fixture->pid, SIGCONT);
    while (waitpid(fixture->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    fixture->pid = 0;
    tell_janitor(fixture);
}

/* ---- public ---- */

redis_fixture *redis_fixture_start(const char *config)
{
    redis_fixture *fixture = calloc(1, sizeof *fixture);
    if (fixture == NULL)
        abort();
    const char *tmp = getenv("TMPDIR");
    snprintf(fixture->folder, sizeof fixture->folder, "%s/imgq-redis-XXXXXX", tmp != NULL && *tmp ? tmp : "/tmp");
    if (mkdtemp(fixture->folder) == NULL)
        die(fixture, "make a folder %s: %s", fixture->folder, strerror(errno));
    snprintf(fixture->socket, sizeof fixture->socket, "%.*s/redis.sock", PATH_SIZE - 16, fixture->folder);
    snprintf(fixture->url, sizeof fixture->url, "unix://%.*s", PATH_SIZE - 16, fixture->socket);
    fixture->config = config != NULL ? strdup(config) : NULL;
    const char *password = config != NULL ? strstr(config, "requirepass ") : NULL;
    if (password != NULL)
        sscanf(password, "requirepass %127s", fixture->password);
    start_janitor(fixture);
    for (int tries = 0; tries < START_TRIES; tries++) {
        fixture->port = free_port(fixture);
        snprintf(fixture->tcp_url, sizeof fixture->tcp_url, "redis://127.0.0.1:%d", fixture->port);
        write_config(fixture);
        start_server(fixture);
        if (wait_until_it_answers(fixture))
            return fixture;
    }
    die(fixture, "redis-server does not start");
}

void redis_fixture_stop(redis_fixture *fixture)
{
    if (fixture == NULL)
        return;
    end_server(fixture, SIGKILL);
    close(fixture->janitor_fd);
    while (waitpid(fixture->janitor, NULL, 0) < 0 && errno == EINTR) {
    }
    free(fixture->config);
    free(fixture);
}

const char *redis_fixture_url(const redis_fixture *fixture)
{
    return fixture->url;
}

const char *redis_fixture_tcp_url(const redis_fixture *fixture)
{
    return fixture->tcp_url;
}

const char *redis_fixture_socket(const redis_fixture *fixture)
{
    return fixture->socket;
}

const char *redis_fixture_folder(const redis_fixture *fixture)
{
    return fixture->folder;
}

int redis_fixture_port(const redis_fixture *fixture)
{
    return fixture->port;
}

pid_t redis_fixture_pid(const redis_fixture *fixture)
{
    return fixture->pid;
}

void redis_fixture_kill(redis_fixture *fixture)
{
    end_server(fixture, SIGKILL);
}

void redis_fixture_shut_down(redis_fixture *fixture)
{
    end_server(fixture, SIGTERM);
}

void redis_fixture_restart(redis_fixture *fixture)
{
    start_server(fixture);
    if (!wait_until_it_answers(fixture))
        die(fixture, "redis-server does not start again");
}

void redis_fixture_pause(redis_fixture *fixture)
{
    int state;
    kill(fixture->pid, SIGSTOP);
    /* It is stopped once the kernel says so, not when the signal was sent. */
    while (waitpid(fixture->pid, &state, WUNTRACED) < 0 && errno == EINTR) {
    }
}

void redis_fixture_resume(redis_fixture *fixture)
{
    kill(fixture->pid, SIGCONT);
}

/* ---- asking ---- */

static bool send_line(int fd, const char *line)
{
    char text[4096];
    const int len = snprintf(text, sizeof text, "%s\r\n", line);
    return len > 0 && (size_t)len < sizeof text && send(fd, text, (size_t)len, MSG_NOSIGNAL) == len;
}

/* Bytes that the reply at text takes; 0: not complete. */
static size_t reply_size(const char *text, size_t len)
{
    const char *eol = memchr(text, '\n', len);
    if (eol == NULL)
        return 0;
    size_t size = (size_t)(eol - text) + 1;
    const long count = strtol(text + 1, NULL, 10);
    if (*text == '$' && count >= 0)
        return size + (size_t)count + 2 <= len ? size + (size_t)count + 2 : 0;
    for (long i = 0; *text == '*' && i < count; i++) {
        const size_t inner = size < len ? reply_size(text + size, len - size) : 0;
        if (inner == 0)
            return 0;
        size += inner;
    }
    return size;
}

static size_t read_reply(int fd, char *out, size_t out_size)
{
    size_t len = 0;
    while (len + 1 < out_size) {
        const ssize_t got = read(fd, out + len, out_size - 1 - len);
        if (got <= 0)
            return 0;
        len += (size_t)got;
        out[len] = '\0';
        const size_t size = reply_size(out, len);
        if (size > 0)
            return size;
    }
    return 0;
}

/* The wire form to what a person reads, in place. */
static const char *simplify(char *reply, size_t size)
{
    static _Thread_local char number[64];
    if (*reply == '*')
        return reply;
    if (*reply == '$') {
        char *text = strchr(reply, '\n') + 1;
        reply[size - 2] = '\0';
        return strncmp(reply, "$-1", 3) == 0 ? "(nil)" : text;
    }
    reply[strcspn(reply, "\r\n")] = '\0';
    if (*reply == ':') {
        snprintf(number, sizeof number, "(integer) %.40s", reply + 1);
        return number;
    }
    return *reply == '+' ? reply + 1 : reply;
}

const char *redis_fixture_ask(redis_fixture *fixture, const char *line)
{
    static _Thread_local char reply[ANSWER_BYTES];
    char login[160];
    const int fd = dial(fixture);
    bool ok = fd >= 0;
    if (ok && fixture->password[0] != '\0') {
        snprintf(login, sizeof login, "AUTH %s", fixture->password);
        ok = send_line(fd, login) && read_reply(fd, reply, sizeof reply) > 0;
    }
    size_t size = 0;
    if (ok && send_line(fd, line))
        size = read_reply(fd, reply, sizeof reply);
    if (fd >= 0)
        close(fd);
    return size > 0 ? simplify(reply, size) : "-no answer";
}

long long redis_fixture_info(redis_fixture *fixture, const char *section, const char *key)
{
    char line[128];
    snprintf(line, sizeof line, "INFO %s", section);
    const char *text = redis_fixture_ask(fixture, line);
    const size_t key_len = strlen(key);
    for (const char *at = strstr(text, key); at != NULL; at = strstr(at + 1, key))
        if ((at == text || strchr("\n,:", at[-1]) != NULL) && (at[key_len] == ':' || at[key_len] == '='))
            return strtoll(at + key_len + 1, NULL, 10);
    return -1;
}
