/* Figures for people and for scripts. */
#include "cli/bench/bench.h"

#include <imgq/version.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/common/json.h"

typedef struct point_figures {
    double best_rate, median_rate, best_ms, median_ms, best_gflops, median_gflops, best_share, median_share;
    imgq_session_info info;
} point_figures;

static point_figures figures_of(const bench *b, const bench_point *p)
{
    const double gflop = 2 * b->macs / 1e9, peak = stats_most(&p->peak_best);
    point_figures f = {.best_ms = stats_least(&p->run_ms), .median_rate = stats_median(&p->rates)};
    imgq_error err;
    f.info = IMGQ_SESSION_INFO_INIT;
    if (imgq_session_get_info(p->session, &f.info, &err) != IMGQ_OK)
        f.info = IMGQ_SESSION_INFO_INIT;
    f.best_rate = f.best_ms > 0 ? (double)p->batch * 1e3 / f.best_ms : 0;
    f.median_ms = f.median_rate > 0 ? (double)p->batch * 1e3 / f.median_rate : 0;
    f.best_gflops = f.best_rate * gflop;
    f.median_gflops = f.median_rate * gflop;
    f.best_share = peak > 0 ? f.best_gflops / peak : 0;
    f.median_share = stats_median(&p->shares);
    return f;
}

static const char *layout_name(const bench *b)
{
    return imgq_model_layout(b->model) == IMGQ_LAYOUT_V1 ? "v1" : "v1.5";
}

void bench_report_identity(const bench_point *p)
{
    imgq_session_info info = IMGQ_SESSION_INFO_INIT;
    imgq_error err;
    if (imgq_session_get_info(p->session, &info, &err) != IMGQ_OK)
        info.isa = "?";
    printf("\"engine\":\"%s\",\"isa\":\"%s\",\"precision\":\"%s\",\"threads\":%zu,\"batch\":%zu",
           imgq_session_engine(p->session), info.isa, imgq_session_precision(p->session), p->threads, p->batch);
}

void bench_report_head(const bench *b)
{
    if (b->settings->format == BENCH_JSON) {
        printf("{\"schema\":1");
        cli_json_member(stdout, b->env, "version", imgq_version());
        cli_json_member(stdout, b->env, "model", imgq_model_name(b->model));
        cli_json_member(stdout, b->env, "model_hash", imgq_model_hash(b->model));
        printf(",\"layout\":\"%s\",\"macs_per_image\":%.0f,\"load_ms\":%.1f", layout_name(b), b->macs, b->load_ms);
        return;
    }
    printf("model %s, %s, %zu classes, %.3f G multiply-adds an image (direct); loaded in %.0f ms\n",
           imgq_model_name(b->model), layout_name(b), b->classes, b->macs / 1e9, b->load_ms);
}

static void points_json(const bench *b)
{
    bench_report_head(b);
    printf(",\"points\":[");
    const char *comma = "";
    for (size_t i = 0; i < b->count; i++) {
        const bench_point *p = &b->points[i];
        if (p->run_ms.count == 0)
            continue;
        const point_figures f = figures_of(b, p);
        printf("%s\n{", comma);
        bench_report_identity(p);
        printf(",\"rounds\":%zu,\"runs\":%zu,\"images_per_s\":{\"best\":%.3f,\"median\":%.3f}", p->rates.count,
               p->run_ms.count, f.best_rate, f.median_rate);
        printf(",\"batch_ms\":{\"best\":%.4f,\"median\":%.4f},\"gflops\":{\"best\":%.2f,\"median\":%.2f}", f.best_ms,
               f.median_ms, f.best_gflops, f.median_gflops);
        printf(",\"peak_isa\":\"%s\",\"peak_gflops\":{\"best\":%.2f,\"median\":%.2f},\"share_of_peak\":{\"best\":%.4f,"
               "\"median\":%.4f}",
               p->peak_isa, stats_most(&p->peak_best), stats_median(&p->peak_median), f.best_share, f.median_share);
        printf(",\"arena_bytes\":%" PRIu64 ",\"packed_bytes\":%" PRIu64 ",\"session_ms\":%.2f,\"first_run_ms\":%.2f",
               f.info.arena_bytes, f.info.packed_bytes, p->create_ms, p->first_ms);
        bench_report_layers_json(b, p);
        printf("}");
        comma = ",";
    }
    printf("\n]}\n");
}

static void points_text(const bench *b)
{
    bench_report_head(b);
    for (size_t i = 0; i < b->count; i++) {
        const bench_point *p = &b->points[i];
        bool seen = p->peak_best.count == 0;
        for (size_t k = 0; k < i; k++)
            seen = seen || (b->points[k].threads == p->threads && b->points[k].peak_isa != NULL &&
                            strcmp(b->points[k].peak_isa, p->peak_isa) == 0);
        if (!seen)
            printf("peak  %s, multiply-adds on %zu thread%s: best %.1f GFLOP/s, median %.1f\n", p->peak_isa, p->threads,
                   p->threads == 1 ? "" : "s", stats_most(&p->peak_best), stats_median(&p->peak_median));
    }
    printf("\n%-9s %-7s %-8s %2s %5s | %8s %8s | %8s %8s | %7s %7s | %6s %6s | %7s %7s | %8s %8s\n", "", "", "", "", "",
           "img/s", "", "batch ms", "", "GFLOP/s", "", "of", "peak", "arena", "packed", "session", "first");
    printf("%-9s %-7s %-8s %2s %5s | %8s %8s | %8s %8s | %7s %7s | %6s %6s | %7s %7s | %8s %8s\n", "engine", "isa",
           "prec.", "T", "batch", "best", "median", "best", "median", "best", "median", "best", "median", "MB", "MB",
           "ms", "run ms");
    for (size_t i = 0; i < b->count; i++) {
        const bench_point *p = &b->points[i];
        if (p->run_ms.count == 0)
            continue;
        const point_figures f = figures_of(b, p);
        printf("%-9s %-7s %-8s %2zu %5zu | %8.2f %8.2f | %8.2f %8.2f | %7.1f %7.1f | %5.1f%% %5.1f%% | %7.1f %7.1f | "
               "%8.1f "
               "%8.1f\n",
               imgq_session_engine(p->session), f.info.isa != NULL ? f.info.isa : "?",
               imgq_session_precision(p->session), p->threads, p->batch, f.best_rate, f.median_rate, f.best_ms,
               f.median_ms, f.best_gflops, f.median_gflops, 100 * f.best_share, 100 * f.median_share,
               (double)f.info.arena_bytes / 1e6, (double)f.info.packed_bytes / 1e6, p->create_ms, p->first_ms);
    }
    for (size_t i = 0; i < b->count; i++)
        bench_report_layers_text(b, &b->points[i]);
}

bool bench_report(const bench *b)
{
    if (b->settings->format == BENCH_JSON)
        points_json(b);
    else
        points_text(b);
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}
