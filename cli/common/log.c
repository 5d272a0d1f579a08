/* Log lines of the env and of the program, one write(2) each, so that threads and processes never mix theirs. */
#include "cli/common/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* systemd says in JOURNAL_STREAM which "device:inode" is its journal; a redirected stderr is another one. */
static bool stderr_is_journal(void)
{
    uintmax_t device, inode;
    struct stat st;
    const char *stream = getenv("JOURNAL_STREAM");
    return stream != NULL && sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void cli_log_init(cli_log *log, const char *program, const char *server, int level, bool json)
{
    *log = (cli_log){.program = program, .level = level, .json = json, .journal = stderr_is_journal()};
    if (server != NULL)
        snprintf(log->server, sizeof log->server, "%s", server);
    else if (gethostname(log->server, sizeof log->server - 1) != 0)
        snprintf(log->server, sizeof log->server, "localhost");
}

static void write_all(const char *text, size_t len)
{
    while (len > 0) {
        const ssize_t written = write(STDERR_FILENO, text, len);
        if (written <= 0)
            return; /* a log that nobody takes must not stop the work */
        text += written;
        len -= (size_t)written;
    }
}

void cli_log_fn(void *user, int level, const char *room, const char *message)
{
    static const char priority[] = {'3', '4', '6', '7'}; /* syslog's error, warning, info, debug */
    const cli_log *log = user;
    char text[4096];
    size_t len = 0;
    (void)room;
    if (level > log->level)
        return;
    if (log->journal && level >= 0 && level <= IMGQ_LOG_DEBUG)
        len = (size_t)snprintf(text, sizeof text, "<%c>", priority[level]);
    const imgq_log_line line = {
        .level = level, .server = log->server, .program = log->program, .action = message, .json = log->json};
    (void)imgq_log_format(text + len, sizeof text - len - 1, &line);
    len = strlen(text);
    text[len++] = '\n';
    write_all(text, len);
}

void cli_log_line(const cli_log *log, int level, const char *format, ...)
{
    char message[2048];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    cli_log_fn((void *)(uintptr_t)log, level, "program", message);
}
