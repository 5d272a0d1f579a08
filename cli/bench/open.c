/* From the command line to sessions that have run once. */
#include "cli/bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/common/exit.h"
#include "cli/common/ui.h"

enum { LIST_MAX = 16 };

double bench_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int wrong(const char *option, const char *text)
{
    cli_error(BENCH_PROGRAM, "--%s %s: a list such as %s is wanted", option, text,
              strcmp(option, "batch") == 0     ? "1,8,32"
              : strcmp(option, "threads") == 0 ? "1,2"
                                               : "openblas,scalar");
    return CLI_EXIT_USAGE;
}

/* "a,b" into names. @return how many, 0: not a list */
static size_t split(const char *text, char names[LIST_MAX][32])
{
    for (size_t count = 0; count < LIST_MAX; count++) {
        const size_t len = strcspn(text, ",");
        if (len == 0 || len >= sizeof names[0])
            return 0;
        memcpy(names[count], text, len);
        names[count][len] = '\0';
        if (text[len] == '\0')
            return count + 1;
        text += len + 1;
    }
    return 0;
}

/* @return how many, 0: not a list of numbers within 1..most */
static size_t split_numbers(const char *text, size_t most, size_t numbers[LIST_MAX])
{
    char names[LIST_MAX][32];
    const size_t count = split(text, names);
    for (size_t i = 0; i < count; i++) {
        char *end;
        errno = 0;
        const unsigned long number = strtoul(names[i], &end, 10);
        if (names[i][0] < '0' || names[i][0] > '9' || *end != '\0' || errno != 0 || number == 0 || number > most)
            return 0;
        numbers[i] = number;
    }
    return count;
}

static int make_points(bench *b)
{
    const bench_settings *s = b->settings;
    char engines[LIST_MAX][32], precisions[LIST_MAX][32];
    size_t threads[LIST_MAX], batches[LIST_MAX];
    const size_t engine_count = split(s->engine, engines), precision_count = split(s->precision, precisions);
    const size_t thread_count = split_numbers(s->threads, 128, threads);
    const size_t batch_count = split_numbers(s->batch, 1024, batches);
    if (engine_count == 0)
        return wrong("engine", s->engine);
    if (precision_count == 0)
        return wrong("precision", s->precision);
    if (thread_count == 0)
        return wrong("threads", s->threads);
    if (batch_count == 0)
        return wrong("batch", s->batch);
    const size_t count = engine_count * precision_count * thread_count * batch_count;
    if (count > BENCH_POINTS_MAX) {
        cli_error(BENCH_PROGRAM, "%zu points, at most %d at once", count, BENCH_POINTS_MAX);
        return CLI_EXIT_USAGE;
    }
    b->points = calloc(count, sizeof *b->points);
    for (size_t i = 0; b->points != NULL && i < count; i++) {
        bench_point *p = &b->points[i];
        p->batch = batches[i % batch_count];
        p->threads = threads[i / batch_count % thread_count];
        memcpy(p->precision, precisions[i / batch_count / thread_count % precision_count], sizeof p->precision);
        memcpy(p->engine, engines[i / batch_count / thread_count / precision_count], sizeof p->engine);
    }
    b->count = b->points != NULL ? count : 0;
    return b->points != NULL ? CLI_EXIT_OK : CLI_EXIT_SOME;
}

/* Noise over all byte values, prepared as pictures are: activations of a scale that the network knows. */
static imgq_status make_images(bench *b, size_t count, imgq_error *err)
{
    const imgq_recipe *recipe = imgq_model_recipe(b->model);
    stats_random random = {.state = 1};
    imgq_status status = IMGQ_OK;
    b->image_floats = (size_t)recipe->crop_width * recipe->crop_height * 3;
    b->classes = imgq_model_class_count(b->model);
    uint8_t *rgb = malloc(b->image_floats);
    b->images = malloc(count * b->image_floats * sizeof *b->images);
    b->probs = malloc(count * b->classes * sizeof *b->probs);
    if (rgb == NULL || b->images == NULL || b->probs == NULL) {
        *err = (imgq_error){.status = IMGQ_E_NOMEM};
        snprintf(err->message, sizeof err->message, "memory ran out for %zu images", count);
        status = IMGQ_E_NOMEM;
    }
    for (size_t i = 0; status == IMGQ_OK && i < count; i++) {
        for (size_t k = 0; k < b->image_floats; k++)
            rgb[k] = (uint8_t)stats_random_bits(&random);
        status =
            imgq_recipe_normalise(recipe, rgb, b->image_floats, b->images + i * b->image_floats, b->image_floats, err);
    }
    free(rgb);
    return status;
}

static imgq_status open_point(bench *b, bench_point *p, imgq_error *err)
{
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    options.threads = p->threads;
    options.max_batch = p->batch;
    options.engine = p->engine;
    options.isa = b->settings->isa;
    options.precision = strcmp(p->precision, "highest") == 0 ? NULL : p->precision;
    const double started = bench_now_ms();
    imgq_status status = imgq_session_create(b->model, &options, &p->session, err);
    const double created = bench_now_ms();
    if (status == IMGQ_OK)
        status = bench_run(b, p, p->batch, err);
    p->create_ms = created - started;
    p->first_ms = bench_now_ms() - created;
    if (status != IMGQ_OK || !(b->settings->layers || b->settings->groups))
        return status;
    const size_t layers = imgq_session_layer_count(p->session);
    p->layer_ns = calloc(layers, sizeof *p->layer_ns);
    p->layer_least_ms = calloc(layers, sizeof *p->layer_least_ms);
    p->layer_sum_ms = calloc(layers, sizeof *p->layer_sum_ms);
    if (p->layer_ns == NULL || p->layer_least_ms == NULL || p->layer_sum_ms == NULL) {
        *err = (imgq_error){.status = IMGQ_E_NOMEM};
        snprintf(err->message, sizeof err->message, "memory ran out for %zu layers", layers);
        return IMGQ_E_NOMEM;
    }
    imgq_session_profile(p->session, p->layer_ns);
    return IMGQ_OK;
}

static imgq_status count_macs(bench *b, imgq_error *err)
{
    imgq_status status = IMGQ_OK;
    imgq_session *session = b->points[0].session;
    for (size_t i = 0; status == IMGQ_OK && i < imgq_session_layer_count(session); i++) {
        imgq_layer_info layer = IMGQ_LAYER_INFO_INIT;
        status = imgq_session_layer(session, i, 1, &layer, err);
        b->macs += (double)layer.macs;
    }
    return status;
}

int bench_open(bench *b)
{
    imgq_error err = {0};
    size_t most = 1;
    const int code = make_points(b);
    if (code != CLI_EXIT_OK)
        return code;
    for (size_t i = 0; i < b->count; i++)
        most = b->points[i].batch > most ? b->points[i].batch : most;
    const double started = bench_now_ms();
    if (cli_model_open(b->env, &b->settings->model, &b->model, &err) != IMGQ_OK)
        return cli_model_error(BENCH_PROGRAM, &err);
    b->load_ms = bench_now_ms() - started;
    imgq_status status = make_images(b, most, &err);
    for (size_t i = 0; status == IMGQ_OK && i < b->count; i++)
        status = open_point(b, &b->points[i], &err);
    if (status == IMGQ_OK)
        status = count_macs(b, &err);
    return status == IMGQ_OK ? CLI_EXIT_OK : cli_error_status(BENCH_PROGRAM, &err);
}

void bench_close(bench *b)
{
    for (size_t i = 0; i < b->count; i++) {
        bench_point *p = &b->points[i];
        imgq_session_destroy(p->session);
        stats_free(&p->run_ms);
        stats_free(&p->rates);
        stats_free(&p->shares);
        stats_free(&p->peak_best);
        stats_free(&p->peak_median);
        free(p->layer_ns);
        free(p->layer_least_ms);
        free(p->layer_sum_ms);
    }
    free(b->points);
    free(b->images);
    free(b->probs);
    imgq_model_close(b->model);
}
