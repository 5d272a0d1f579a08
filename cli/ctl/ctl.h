/* The inside of imgq-ctl: its settings and its commands. */
#ifndef CLI_CTL_CTL_H
#define CLI_CTL_CTL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <imgq/admin.h>

#include "cli/common/args.h"
#include "cli/common/connect.h"
#include "cli/common/exit.h"
#include "cli/common/log.h"
#include "cli/common/ui.h"

/* In the order of the table of commands. */
enum {
    CTL_STATS,
    CTL_SHOW,
    CTL_CANCEL,
    CTL_DEAD_LIST,
    CTL_DEAD_REQUEUE,
    CTL_DEAD_PURGE,
    CTL_PURGE,
    CTL_PAUSE,
    CTL_RESUME,
    CTL_WORKERS,
    CTL_SET
};

typedef struct ctl_settings {
    cli_connect connect;
    int log_format, log_level, format, what;
    int64_t max, skip, older_than_ms, priority;
    const char *confirm, *import_list;
    bool submits, deliveries, all;
} ctl_settings;

typedef struct ctl {
    const cli_args *args;
    const char *program;
    const ctl_settings *set;
    imgq_env *env;
    bool json;
    _Atomic(imgq_queue *) queue; /* a signal handler interrupts it */
} ctl;

/* Each prints and answers the exit code; what went wrong has been said. */
int ctl_stats(ctl *c);
int ctl_workers(ctl *c);
int ctl_show(ctl *c);
int ctl_cancel(ctl *c);
int ctl_dead_list(ctl *c);
int ctl_dead_requeue(ctl *c);
int ctl_purge(ctl *c, int what); /* IMGQ_PURGE_... */
int ctl_pause(ctl *c);
int ctl_resume(ctl *c);
int ctl_set(ctl *c);

/** "2026-01-31 12:45:30" in UTC, "-" for 0. @return out */
const char *ctl_time(int64_t unix_ms, char *out, size_t out_size);

#endif
