/* The inside of imgq-stress: its settings, its threads, its figures. */
#ifndef CLI_STRESS_STRESS_H
#define CLI_STRESS_STRESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <imgq/queue.h>

#include "cli/bench/stats.h"
#include "cli/common/connect.h"
#include "cli/common/files.h"
#include "cli/common/log.h"
#include "cli/common/ui.h"

enum { LATE_MS = 100 }; /* a request that begins so long after its time did not keep the rate */
enum { STRESS_POISSON = 1 };

typedef struct stress_settings {
    cli_connect connect;
    int log_format, log_level;
    cli_list images;
    int64_t requests, concurrency, duration_ms, timeout_ms, seed;
    double rate;
    const char *profile;
    int payload, format, arrivals;
    bool poll, quiet;
} stress_settings;

typedef enum request_end { REQUEST_OK, REQUEST_FAILED, REQUEST_TIMED_OUT, REQUEST_UNFINISHED } request_end;

/** What one thread saw; read by others after it was joined, but for done. */
typedef struct client {
    struct stress *stress;
    pthread_t thread;
    double *latencies_ms; /* of all that ended */
    size_t count, room;
    uint64_t by_end[4];
    uint64_t by_status[-IMGQ_STATUS_LAST + 1]; /* of those that failed */
    double latest_ms;                          /* how late a request began, at worst */
    uint64_t not_cancelled;                    /* timed out, and could not be cancelled */
    uint64_t late;                             /* began more than LATE_MS after their time */
    imgq_id open_job;                          /* "": none; a job that an interrupt left behind */
    char first_error[224];
} client;

typedef struct stress {
    const stress_settings *set;
    const char *program;
    imgq_env *env;
    cli_log log;
    _Atomic(imgq_queue *) queue; /* a signal handler interrupts it */
    cli_bytes *payloads;
    size_t payload_count;
    imgq_submit_options options;
    client *clients;
    double started_ms;
    pthread_mutex_t schedule; /* guards the three below: who begins next, and when */
    uint64_t next;
    double next_ms; /* of Poisson arrivals: after the start */
    stats_random chance;
    _Atomic uint64_t ended, failed;
    atomic_size_t running;
} stress;

/** The sum over all threads. */
typedef struct figures {
    uint64_t requests, ok, failed, timed_out, unfinished, late;
    uint64_t by_status[-IMGQ_STATUS_LAST + 1];
    double seconds, latest_ms;
    double *sorted_ms;
    size_t count;
    uint64_t commands, round_trips;
    const char *first_error;
} figures;

/** Milliseconds that only go forward. */
double stress_now_ms(void);
/** Starts the threads. @return how many run; a lack of threads is said */
size_t stress_start(stress *s);
/** Waits until every thread has ended and is joined. */
void stress_join(stress *s, size_t count, cli_progress *bar);

/** @param clients how many were started and joined @param f zeroed; sorted_ms is owned, free() @return false when
 *  memory ran out */
bool figures_sum(const stress *s, size_t clients, figures *f);
void figures_print(const stress *s, const figures *f);
int figures_exit_code(const figures *f);

#endif
