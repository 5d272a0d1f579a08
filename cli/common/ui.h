/* What a person sees on stderr: error lines, colour where it is wanted, a progress bar on a terminal. */
#ifndef CLI_COMMON_UI_H
#define CLI_COMMON_UI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <imgq/status.h>

#include "cli/common/log.h"

/** From here on errors and notes are lines of this log, as those of a service must be.
 *  @param log borrowed until the program ends; NULL: plain lines again */
void cli_ui_use_log(const cli_log *log);
/** The same only where a machine reads stderr: --log-format json, or the journal. */
void cli_ui_use_log_for_machines(const cli_log *log);
/** "imgq-submit: what happened and what to do" on stderr, one line, control characters as \n or \x1b; a progress bar
 *  that is shown steps aside.
 *  @param program "imgq-submit" */
void cli_error(const char *program, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** cli_error() with the record's message. @return exit code for it */
int cli_error_status(const char *program, const imgq_error *err);
/** "PROGRAM: subject: message", or without the subject where the message names it. */
void cli_error_about(const char *program, const char *subject, const char *message);
/** As cli_error(), for what is no failure. */
void cli_note(const char *program, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Colour on this descriptor? Not off a terminal, nor with NO_COLOR, TERM=dumb or without TERM. */
bool cli_colour_wanted(int fd);

/** One bar at a time for each process. Zeroed: hidden, and every call a no-op. */
typedef struct cli_progress {
    uint64_t total, done, failed;
    int64_t started_ms, drawn_ms;
    bool shown; /* a terminal is there and the bar is wanted */
    bool on_screen;
} cli_progress;

/** @param wanted false: never shown (--quiet, one file). Shown only if stderr is a terminal that can go back. */
void cli_progress_begin(cli_progress *bar, uint64_t total, bool wanted);
/** Draws at most ten times a second. */
void cli_progress_set(cli_progress *bar, uint64_t done, uint64_t failed);
/** Takes the bar off the screen before something else is written to the terminal; the next set draws it again. */
void cli_progress_hide(cli_progress *bar);
void cli_progress_end(cli_progress *bar);

/** "about 3 min", "12 s" into out; for the bar and summaries. @return out */
const char *cli_format_duration(char *out, size_t out_size, int64_t ms);

#endif
