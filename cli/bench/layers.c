/* Times by layer, and by group of layers that are computed alike. */
#include "cli/bench/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static imgq_layer_info layer_at(const bench_point *p, size_t index)
{
    imgq_layer_info layer = IMGQ_LAYER_INFO_INIT;
    imgq_error err;
    if (imgq_session_layer(p->session, index, p->batch, &layer, &err) != IMGQ_OK)
        layer.op = layer.algorithm = "?";
    return layer;
}

static double layer_gflops(const bench_point *p, const imgq_layer_info *layer, double ms)
{
    return ms > 0 ? 2 * (double)layer->macs * (double)p->batch / ms / 1e6 : 0;
}

static void layers_json(const bench_point *p)
{
    printf(",\"layers\":[");
    for (size_t i = 0; i < imgq_session_layer_count(p->session); i++) {
        const imgq_layer_info layer = layer_at(p, i);
        printf("%s{\"op\":\"%s\",\"kernel\":%u,\"stride\":%u,\"in_channels\":%u,\"out_channels\":%u,\"out_height\":%u,"
               "\"out_width\":%u,\"macs\":%" PRIu64 ",\"algorithm\":\"%s\",\"best_ms\":%.4f,\"mean_ms\":%.4f,"
               "\"gflops\":%.2f}",
               i > 0 ? "," : "", layer.op, layer.kernel, layer.stride, layer.in_channels, layer.out_channels,
               layer.out_height, layer.out_width, layer.macs, layer.algorithm, p->layer_least_ms[i],
               p->layer_sum_ms[i] / (double)p->run_ms.count, layer_gflops(p, &layer, p->layer_least_ms[i]));
    }
    printf("]");
}

static void layers_text(const bench_point *p)
{
    const double peak = stats_most(&p->peak_best);
    double total = 0;
    for (size_t i = 0; i < imgq_session_layer_count(p->session); i++)
        total += p->layer_sum_ms[i];
    printf("\nlayers of %s %s, %zu thread%s, batch %zu\n", imgq_session_engine(p->session),
           imgq_session_precision(p->session), p->threads, p->threads == 1 ? "" : "s", p->batch);
    printf("%3s  %-12s %-6s %11s %10s  %-22s %8s %8s %6s %8s %7s\n", "", "op", "window", "channels", "output",
           "algorithm", "best ms", "mean ms", "time", "GFLOP/s", "of peak");
    for (size_t i = 0; i < imgq_session_layer_count(p->session); i++) {
        const imgq_layer_info layer = layer_at(p, i);
        const double gflops = layer_gflops(p, &layer, p->layer_least_ms[i]);
        char window[16] = "", channels[24], output[24];
        if (layer.kernel > 0)
            snprintf(window, sizeof window, "%ux%u/%u", layer.kernel, layer.kernel, layer.stride);
        snprintf(channels, sizeof channels, "%u>%u", layer.in_channels, layer.out_channels);
        snprintf(output, sizeof output, "%ux%u", layer.out_height, layer.out_width);
        printf("%3zu  %-12s %-6s %11s %10s  %-22s %8.3f %8.3f %5.1f%%", i, layer.op, window, channels, output,
               layer.algorithm, p->layer_least_ms[i], p->layer_sum_ms[i] / (double)p->run_ms.count,
               total > 0 ? 100 * p->layer_sum_ms[i] / total : 0);
        if (layer.macs > 0)
            printf(" %8.1f %6.1f%%\n", gflops, peak > 0 ? 100 * gflops / peak : 0);
        else
            printf("\n");
    }
}

/* ---- groups ---- */

/* Layers of one window, output and algorithm: what one kernel and one choice of blocks is good for. */
typedef struct group {
    imgq_layer_info layer; /* the first; its macs are those of all */
    size_t count;
    double best_ms; /* the sum of each layer's best */
} group;

enum { GROUPS_MAX = 64 };

static bool alike(const imgq_layer_info *a, const imgq_layer_info *b)
{
    return strcmp(a->op, b->op) == 0 && a->kernel == b->kernel && (a->kernel == 1 || a->stride == b->stride) &&
           a->out_height == b->out_height && a->out_width == b->out_width && strcmp(a->algorithm, b->algorithm) == 0;
}

/* @return how many; in the order of their first layers */
static size_t find_groups(const bench_point *p, group *groups)
{
    size_t count = 0;
    for (size_t i = 0; i < imgq_session_layer_count(p->session); i++) {
        const imgq_layer_info layer = layer_at(p, i);
        size_t g = 0;
        while (g < count && !alike(&groups[g].layer, &layer))
            g++;
        if (g == GROUPS_MAX)
            g = GROUPS_MAX - 1;
        if (g == count) {
            groups[count++] = (group){.layer = layer};
            groups[g].layer.macs = 0;
        }
        groups[g].layer.macs += layer.macs;
        groups[g].best_ms += p->layer_least_ms[i];
        groups[g].count++;
    }
    return count;
}

/* A 1x1 reads alike at any stride: it has none in its name. */
static void window_of(const imgq_layer_info *layer, char *out, size_t size)
{
    *out = '\0';
    if (layer->kernel > 1)
        snprintf(out, size, "%ux%u/%u", layer->kernel, layer->kernel, layer->stride);
    else if (layer->kernel == 1)
        snprintf(out, size, "1x1");
}

static void groups_json(const bench_point *p)
{
    group groups[GROUPS_MAX];
    const double peak = stats_most(&p->peak_best);
    const size_t count = find_groups(p, groups);
    printf(",\"groups\":[");
    for (size_t i = 0; i < count; i++) {
        char window[16];
        const double gflops = layer_gflops(p, &groups[i].layer, groups[i].best_ms);
        window_of(&groups[i].layer, window, sizeof window);
        printf(
            "%s{\"op\":\"%s\",\"window\":\"%s\",\"out_height\":%u,\"out_width\":%u,\"algorithm\":\"%s\",\"layers\":%zu,"
            "\"macs\":%" PRIu64 ",\"best_ms\":%.4f,\"gflops\":%.2f,\"share_of_peak\":%.4f}",
            i > 0 ? "," : "", groups[i].layer.op, window, groups[i].layer.out_height, groups[i].layer.out_width,
            groups[i].layer.algorithm, groups[i].count, groups[i].layer.macs, groups[i].best_ms, gflops,
            peak > 0 ? gflops / peak : 0);
    }
    printf("]");
}

static void groups_text(const bench_point *p)
{
    group groups[GROUPS_MAX];
    const double peak = stats_most(&p->peak_best);
    const size_t count = find_groups(p, groups);
    printf("\ngroups of %s %s, %zu thread%s, batch %zu\n", imgq_session_engine(p->session),
           imgq_session_precision(p->session), p->threads, p->threads == 1 ? "" : "s", p->batch);
    printf("%-12s %-6s %10s %6s  %-22s %8s %8s %7s\n", "op", "window", "output", "layers", "algorithm", "best ms",
           "GFLOP/s", "of peak");
    for (size_t i = 0; i < count; i++) {
        const imgq_layer_info *layer = &groups[i].layer;
        char window[16], output[24];
        const double gflops = layer_gflops(p, layer, groups[i].best_ms);
        window_of(layer, window, sizeof window);
        snprintf(output, sizeof output, "%ux%u", layer->out_height, layer->out_width);
        printf("%-12s %-6s %10s %6zu  %-22s %8.3f", layer->op, window, output, groups[i].count, layer->algorithm,
               groups[i].best_ms);
        if (layer->macs > 0)
            printf(" %8.1f %6.1f%%\n", gflops, peak > 0 ? 100 * gflops / peak : 0);
        else
            printf("\n");
    }
}

void bench_report_layers_json(const bench *b, const bench_point *p)
{
    if (b->settings->layers)
        layers_json(p);
    if (b->settings->groups)
        groups_json(p);
}

void bench_report_layers_text(const bench *b, const bench_point *p)
{
    if (b->settings->layers && p->run_ms.count > 0)
        layers_text(p);
    if (b->settings->groups && p->run_ms.count > 0)
        groups_text(p);
}
