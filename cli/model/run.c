/* imgq-model run: files classified here, without Redis, printed as imgq-submit prints them. */
#include "cli/model/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/common/exit.h"
#include "cli/common/files.h"
#include "cli/common/print.h"
#include "cli/common/signals.h"
#include "cli/common/ui.h"

enum { BYTES_MAX = 256 << 20 };

/* A file on its way through: decoded or not, then classified with its neighbours. */
typedef struct slot {
    const char *path;
    imgq_status status;
    imgq_error err;
    uint32_t orientation, applied;
    double decode_ms;
    size_t at; /* in the batch; meant only with IMGQ_OK */
} slot;

typedef struct running {
    imgq_env *env;
    const model_settings *settings;
    imgq_model *model;
    imgq_session *session;
    const imgq_recipe *recipe;
    size_t input_count, classes, top_count, batch;
    float *inputs, *probs;
    imgq_prediction *top;
    const char **labels; /* of top */
    slot *slots;
    cli_printer printer;
    cli_outcome outcome;
    cli_progress bar;
} running;

static double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static imgq_status allocate(running *r, imgq_error *err)
{
    const model_settings *s = r->settings;
    r->recipe = imgq_model_recipe(r->model);
    r->input_count = (size_t)r->recipe->crop_width * r->recipe->crop_height * 3;
    r->classes = imgq_model_class_count(r->model);
    r->top_count = (size_t)s->top < r->classes ? (size_t)s->top : r->classes;
    r->inputs = malloc(r->batch * r->input_count * sizeof *r->inputs);
    r->probs = malloc(r->batch * r->classes * sizeof *r->probs);
    r->top = malloc(r->top_count * sizeof *r->top);
    r->labels = malloc(r->top_count * sizeof *r->labels);
    r->slots = calloc(r->batch, sizeof *r->slots);
    if (r->inputs == NULL || r->probs == NULL || r->top == NULL || r->labels == NULL || r->slots == NULL)
        return cli_fail(err, IMGQ_E_NOMEM, 0, "memory ran out for a batch of %zu", r->batch);
    return IMGQ_OK;
}

static int prepare(running *r, size_t files)
{
    imgq_error err = {0};
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    r->batch = (size_t)r->settings->batch < files ? (size_t)r->settings->batch : files;
    options.max_batch = r->batch;
    options.threads = (size_t)r->settings->threads;
    options.engine = r->settings->engine;
    options.isa = r->settings->isa;
    options.precision = r->settings->precision;
    if (cli_model_open(r->env, &r->settings->model, &r->model, &err) != IMGQ_OK)
        return cli_model_error(MODEL_PROGRAM, &err);
    imgq_status status = imgq_session_create(r->model, &options, &r->session, &err);
    if (status == IMGQ_OK)
        status = allocate(r, &err);
    return status == IMGQ_OK ? CLI_EXIT_OK : cli_error_status(MODEL_PROGRAM, &err);
}

static void decode(running *r, slot *s, float *input)
{
    imgq_decode_options options = IMGQ_DECODE_OPTIONS_INIT;
    cli_bytes bytes = {0};
    const double started = now_ms();
    options.apply_orientation = (uint32_t)r->settings->exif;
    options.fast = r->settings->decode == 1;
    options.use_background = r->settings->background.is_set;
    memcpy(options.background, r->settings->background.rgb, sizeof options.background);
    s->status = cli_file_read(s->path, BYTES_MAX, &bytes, &s->err);
    imgq_encoded_info met = IMGQ_ENCODED_INFO_INIT;
    if (s->status == IMGQ_OK)
        s->status = imgq_encoded_preprocess(r->env, bytes.data, bytes.len, &options, r->recipe, input, r->input_count,
                                            &met, &s->err);
    s->orientation = met.orientation;
    s->applied = met.applied;
    free(bytes.data);
    s->decode_ms = now_ms() - started;
}

static void fill_local(running *r, const slot *s, size_t batch, double compute_ms, cli_local *local)
{
    local->count = imgq_topk(r->probs + s->at * r->classes, r->classes, r->top, r->top_count);
    for (size_t i = 0; i < local->count; i++)
        r->labels[i] = imgq_model_label(r->model, r->top[i].class_id);
    local->top = r->top;
    local->labels = r->labels;
    local->info = IMGQ_RESULT_INFO_INIT;
    local->info.model = imgq_model_name(r->model);
    local->info.model_hash = imgq_model_hash(r->model);
    local->info.profile = r->recipe->profile;
    local->info.engine = imgq_session_engine(r->session);
    local->info.precision = imgq_session_precision(r->session);
    local->info.worker = "";
    local->info.exif_orientation = s->orientation;
    local->info.exif_applied = s->applied;
    local->info.batch = (uint32_t)batch;
    local->info.decode_ms = s->decode_ms;
    local->info.compute_ms = compute_ms;
}

/* Runs what could be decoded of count slots and prints all of them in order. @return false if stdout is gone */
static bool answer(running *r, size_t count, size_t batch)
{
    imgq_error err = {0};
    const double started = now_ms();
    imgq_status status =
        batch > 0 ? imgq_session_run(r->session, r->inputs, batch, r->probs, batch * r->classes, &err) : IMGQ_OK;
    const double compute_ms = now_ms() - started;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        slot *s = &r->slots[i];
        cli_local local = {0};
        if (s->status == IMGQ_OK && status != IMGQ_OK) {
            s->status = status;
            s->err = err;
        }
        cli_answer line = {.file = s->path,
                           .status = s->status,
                           .message = s->err.message,
                           .has_classes = true,
                           .total_ms = s->decode_ms + compute_ms};
        if (s->status == IMGQ_OK) {
            fill_local(r, s, batch, compute_ms, &local);
            line.local = &local;
        }
        cli_progress_hide(&r->bar);
        if (s->status != IMGQ_OK)
            cli_error(MODEL_PROGRAM, "%s: %s", s->path, s->err.message);
        ok = cli_print_answer(&r->printer, &line);
        cli_outcome_add(&r->outcome, s->status == IMGQ_OK ? CLI_EXIT_OK : cli_outcome_code_of(s->status));
    }
    return ok;
}

static int run_files(running *r, const cli_files *files)
{
    bool ok = true;
    cli_progress_begin(&r->bar, files->count, !r->settings->quiet && files->count > 1);
    for (size_t at = 0; ok && at < files->count && cli_signals_caught() == 0;) {
        size_t count = 0, batch = 0;
        for (; count < r->batch && at < files->count && cli_signals_caught() == 0; count++, at++) {
            slot *s = &r->slots[count];
            *s = (slot){.path = files->paths[at], .at = batch};
            decode(r, s, r->inputs + batch * r->input_count);
            batch += s->status == IMGQ_OK;
        }
        ok = answer(r, count, batch);
        cli_progress_set(&r->bar, at, r->outcome.total - r->outcome.by_code[CLI_EXIT_OK]);
    }
    cli_progress_end(&r->bar);
    if (!ok) {
        cli_error(MODEL_PROGRAM, "an answer could not be written to stdout");
        return CLI_EXIT_SOME;
    }
    return cli_outcome_exit(&r->outcome);
}

int model_run(imgq_env *env, const model_settings *settings, char *const *arguments, size_t count)
{
    running r = {.env = env, .settings = settings};
    cli_files files = {0};
    int code = cli_files_collect(MODEL_PROGRAM, arguments, count, settings->recursive, settings->files0_from, &files);
    if (code == CLI_EXIT_OK && files.count == 0) {
        cli_error(MODEL_PROGRAM, "no files to classify");
        code = CLI_EXIT_USAGE;
    }
    if (code == CLI_EXIT_OK)
        code = prepare(&r, files.count);
    r.printer = (cli_printer){.env = env, .out = stdout, .format = settings->format, .with_names = files.are_several};
    if (code == CLI_EXIT_OK)
        code = run_files(&r, &files);
    free(r.inputs);
    free(r.probs);
    free(r.top);
    free(r.labels);
    free(r.slots);
    imgq_session_destroy(r.session);
    imgq_model_close(r.model);
    cli_files_release(&files);
    return code;
}
