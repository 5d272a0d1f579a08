/* Error lines and the progress bar: all of what a person sees on stderr. */
#include "cli/common/ui.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* The bar on the screen, if there is one: an error line must not be written into it. Programs print from one thread. */
static cli_progress *bar_on_screen;
static const cli_log *log_of_errors; /* NULL: plain lines */

void cli_ui_use_log(const cli_log *log)
{
    log_of_errors = log;
}

void cli_ui_use_log_for_machines(const cli_log *log)
{
    cli_ui_use_log(log->json || log->journal ? log : NULL);
}

bool cli_colour_wanted(int fd)
{
    const char *term = getenv("TERM"), *none = getenv("NO_COLOR");
    return isatty(fd) && (none == NULL || *none == '\0') && term != NULL && *term != '\0' && strcmp(term, "dumb") != 0;
}

/* The name of a file may hold a line end, or what a terminal obeys. */
static void escape_controls(char *out, size_t size, const char *text)
{
    size_t len = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0' && len + 5 < size; c++) {
        if (*c == '\n' || *c == '\t')
            len += (size_t)snprintf(out + len, size - len, "\\%c", *c == '\n' ? 'n' : 't');
        else if (*c < 0x20 || *c == 0x7f)
            len += (size_t)snprintf(out + len, size - len, "\\x%02x", *c);
        else
            out[len++] = (char)*c;
    }
    out[len] = '\0';
}

static void write_line(const char *program, int level, const char *text)
{
    cli_progress *bar = bar_on_screen;
    char shown[2048];
    if (bar != NULL)
        cli_progress_hide(bar);
    fflush(stdout); /* so that on a terminal lines stand in the order in which they were said */
    if (log_of_errors != NULL) {
        cli_log_line(log_of_errors, level, "%s", text);
        return;
    }
    const bool coloured = cli_colour_wanted(STDERR_FILENO);
    const char *colour = level == IMGQ_LOG_ERROR ? "\033[31m" : "\033[33m";
    escape_controls(shown, sizeof shown, text);
    fprintf(stderr, "%s%s:%s %s\n", coloured ? colour : "", program, coloured ? "\033[0m" : "", shown);
}

void cli_error(const char *program, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    write_line(program, IMGQ_LOG_ERROR, text);
}

void cli_note(const char *program, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    write_line(program, IMGQ_LOG_WARNING, text);
}

void cli_error_about(const char *program, const char *subject, const char *message)
{
    if (strstr(message, subject) != NULL)
        cli_error(program, "%s", message);
    else
        cli_error(program, "%s: %s", subject, message);
}

int cli_error_status(const char *program, const imgq_error *err)
{
    cli_error(program, "%s", err->message);
    return imgq_status_exit_code(err->status);
}

const char *cli_format_duration(char *out, size_t out_size, int64_t ms)
{
    if (ms < 10000)
        snprintf(out, out_size, "%" PRId64 ".%" PRId64 " s", ms / 1000, ms % 1000 / 100);
    else if (ms < 120000)
        snprintf(out, out_size, "%" PRId64 " s", ms / 1000);
    else if (ms < 2 * INT64_C(3600000))
        snprintf(out, out_size, "%" PRId64 " min", ms / 60000);
    else
        snprintf(out, out_size, "%" PRId64 " h", ms / 3600000);
    return out;
}

/* ---- the bar ---- */

enum { REDRAW_MS = 100, BAR_CELLS = 24 };

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static size_t terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void cli_progress_begin(cli_progress *bar, uint64_t total, bool wanted)
{
    const char *term = getenv("TERM");
    *bar = (cli_progress){.total = total, .started_ms = now_ms()};
    bar->shown = wanted && isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
}

static void draw(cli_progress *bar, int64_t now)
{
    char line[256], cells[BAR_CELLS + 1], left[32] = "", failed[48] = "";
    const uint64_t seen = bar->done + bar->failed;
    const size_t full = bar->total > 0 ? (size_t)(seen * BAR_CELLS / bar->total) : 0;
    memset(cells, '.', BAR_CELLS);
    memset(cells, '#', full < BAR_CELLS ? full : BAR_CELLS);
    cells[BAR_CELLS] = '\0';
    if (bar->failed > 0)
        snprintf(failed, sizeof failed, ", %" PRIu64 " failed", bar->failed);
    if (seen > 0 && seen < bar->total && now - bar->started_ms > 2000) {
        const double each = (double)(now - bar->started_ms) / (double)seen;
        char duration[24];
        snprintf(left, sizeof left, ", %s left",
                 cli_format_duration(duration, sizeof duration, (int64_t)(each * (double)(bar->total - seen))));
    }
    snprintf(line, sizeof line, "[%s] %" PRIu64 " of %" PRIu64 "%s%s", cells, seen, bar->total, failed, left);
    fprintf(stderr, "\r\033[K%.*s", (int)(terminal_columns() - 1), line);
    fflush(stderr);
    bar->on_screen = true;
    bar->drawn_ms = now;
    bar_on_screen = bar;
}

void cli_progress_set(cli_progress *bar, uint64_t done, uint64_t failed)
{
    bar->done = done;
    bar->failed = failed;
    if (!bar->shown)
        return;
    const int64_t now = now_ms();
    if (bar->drawn_ms == 0 || now - bar->drawn_ms >= REDRAW_MS || done + failed == bar->total)
        draw(bar, now);
}

void cli_progress_hide(cli_progress *bar)
{
    if (!bar->on_screen)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    bar->on_screen = false;
    bar->drawn_ms = 0;
    bar_on_screen = NULL;
}

void cli_progress_end(cli_progress *bar)
{
    cli_progress_hide(bar);
    bar->shown = false;
}
