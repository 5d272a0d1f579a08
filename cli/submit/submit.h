/* The inside of imgq-submit: its settings, and a run of it. */
#ifndef CLI_SUBMIT_SUBMIT_H
#define CLI_SUBMIT_SUBMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <imgq/queue.h>
#include <imgq/reference.h>

#include "cli/common/args.h"
#include "cli/common/connect.h"
#include "cli/common/exit.h"
#include "cli/common/files.h"
#include "cli/common/log.h"
#include "cli/common/payload.h"
#include "cli/common/print.h"
#include "cli/common/standalone.h"
#include "cli/common/ui.h"

enum { WIRE_NATIVE, WIRE_KERAS };
enum { EXIF_IGNORE, EXIF_APPLY };

typedef struct submit_settings {
    cli_connect connect;
    int log_format, log_level;
    int64_t timeout_ms, window, priority, delay_ms, deadline_ms, attempts, top;
    const char *id, *profile, *model, *files0_from;
    int payload, exif, format, wire;
    cli_colour background;
    cli_list await, cancel;
    bool no_wait, standalone, recursive, quiet;
} submit_settings;

typedef struct submit_run {
    const cli_args *args;
    const char *program;
    submit_settings *set;
    imgq_env *env;
    cli_log log;
    cli_files files; /* or, with --await and --cancel, ids */
    cli_printer printer;
    cli_progress bar;
    cli_outcome outcome;
    cli_standalone standalone;
    cli_payload_how how;
    _Atomic(imgq_queue *) queue; /* a signal handler interrupts it */
    _Atomic(imgq_reference *) reference;
} submit_run;

/** cli_note() unless --quiet. */
void submit_note(const submit_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Milliseconds that only go forward. */
int64_t submit_now_ms(void);
/** Has a signal come? After the first one calls of the handle work again, for the cleanup; the second ends them. */
bool submit_interrupted(submit_run *run);
/** Sleep until then, or a signal. Returns early now and then: callers loop. */
void submit_nap_until(int64_t at_ms);

/* The ways through: each submits or follows what run->files holds, prints, counts. @return CLI_EXIT_OK, or the exit
 * code of a failure of the whole, said already; else the outcome counts. */
int submit_native(submit_run *run);
int submit_keras(submit_run *run);
int submit_await(submit_run *run);
int submit_cancel(submit_run *run);

#endif
