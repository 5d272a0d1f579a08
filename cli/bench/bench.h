/* The inside of imgq-bench: its settings, its points, and who measures and prints them. */
#ifndef CLI_BENCH_BENCH_H
#define CLI_BENCH_BENCH_H

#include <imgq/cpu.h>
#include <imgq/session.h>

#include <stdbool.h>
#include <stdint.h>

#include "cli/bench/stats.h"
#include "cli/common/model_arg.h"

#define BENCH_PROGRAM "imgq-bench"

enum { BENCH_THROUGHPUT, BENCH_SINGLE, BENCH_SERVER, BENCH_OFFLINE }; /* --scenario */
enum { BENCH_TEXT, BENCH_JSON };                                      /* --format */
enum { BENCH_POINTS_MAX = 256 };

typedef struct bench_settings {
    cli_model_arg model;
    const char *batch, *threads, *engine, *precision, *isa; /* lists as typed, but for isa */
    int64_t seconds_ms, rounds, bound_ms, seed;
    double rate;
    int format, scenario;
    bool layers, groups, step;
} bench_settings;

/** One combination of engine, precision, threads and batch. */
typedef struct bench_point {
    char engine[32], precision[32]; /* as asked for; the session knows what it became */
    size_t threads, batch;
    imgq_session *session;
    double create_ms, first_ms; /* the session; its first run */
    stats_list run_ms;          /* of every run after the first */
    stats_list rates;           /* images/s of each round */
    stats_list shares;          /* of the peak measured right before the round, 0..1 */
    const char *peak_isa;       /* of the units that the point computes on; NULL before the first round */
    stats_list peak_best;       /* GFLOP/s, of each round */
    stats_list peak_median;
    uint64_t *layer_ns;     /* of the last run; NULL without --layers and --groups, as the next two */
    double *layer_least_ms; /* of all runs */
    double *layer_sum_ms;
} bench_point;

typedef struct bench {
    const bench_settings *settings;
    imgq_env *env;
    imgq_model *model;
    double load_ms;
    double macs; /* of one image */
    float *images, *probs;
    size_t image_floats, classes;
    bench_point *points;
    size_t count;
} bench;

/** Milliseconds that only go forward. */
double bench_now_ms(void);

/** Opens the model, then makes all points with their sessions and first runs. What is wrong is said.
 *  @param out zeroed; bench_close() in any case @return CLI_EXIT_... */
int bench_open(bench *b);
void bench_close(bench *b);

/** Runs one point for so long, at least once, after measuring the peak of its threads. @return CLI_EXIT_... */
int bench_sample(bench *b, bench_point *p, double for_ms);
/** One batch of the point's size or smaller. */
imgq_status bench_run(bench *b, bench_point *p, size_t batch, imgq_error *err);

/** All points in rounds, so that slow phases of the machine meet all of them, then the report. @return CLI_EXIT_... */
int bench_throughput(bench *b);
/** A sample of the point whose number stands on a line of stdin, then a line on stdout; until the end of stdin, which
 *  the report follows. @return CLI_EXIT_... */
int bench_steps(bench *b);
/** The load generator's scenarios of MLPerf's words, for each point. @return CLI_EXIT_... */
int bench_scenario(bench *b);

/** @return false if stdout is gone */
bool bench_report(const bench *b);
/** `{"schema":1,…` up to the points, and the model's name in text. */
void bench_report_head(const bench *b);
/** `"engine":…,"batch":…` without braces. */
void bench_report_identity(const bench_point *p);
/** Times by layer and by group, as far as they were asked for. */
void bench_report_layers_json(const bench *b, const bench_point *p);
void bench_report_layers_text(const bench *b, const bench_point *p);

#endif
