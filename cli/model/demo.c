/* imgq-model demo: a whole example for a machine that has no weights. A ResNet-50 that nobody trained, a last layer
 * fitted to drawings that the program makes itself, and fresh drawings to try it on. */
#include "cli/model/commands.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/common/exit.h"
#include "cli/common/files.h"
#include "cli/common/signals.h"
#include "cli/common/ui.h"
#include "cli/model/backbone.h"
#include "cli/model/demo_file.h"
#include "cli/model/drawing.h"
#include "cli/model/png_out.h"
#include "cli/model/ridge.h"

enum {
    CALIBRATION = 40,   /* drawings whose statistics the batch norms take */
    LESSONS_EACH = 40,  /* drawings of each class that the head is fitted to */
    HELD_BACK_EACH = 8, /* of those, the ones that choose lambda */
    LESSONS = LESSONS_EACH * DRAWING_CLASSES,
    INPUT = DRAWING_BYTES, /* as many floats as bytes */
    BATCH = 8,
    PATH_SIZE = 1200
};
#define NAME "imgq-demonstration"
#define NOTE "a demonstration: random features, a head fitted to drawings; it knows nothing of photos"
/* Ridge scores lie between 0 and 1, where a softmax tells nothing apart. */
#define SHARPNESS 12.0F

typedef struct demo {
    imgq_env *env;
    const model_settings *settings;
    imgq_recipe recipe;
    size_t threads;
    cli_progress bar;
    demo_backbone backbone;
    float weights[BACKBONE_FEATURES * DRAWING_CLASSES], bias[DRAWING_CLASSES];
    size_t right;
} demo;

/* Three streams of drawings that never meet. */
enum { STREAM_CALIBRATION = 1, STREAM_LESSONS = 2, STREAM_FRESH = 3 };

static uint64_t drawing_seed(const demo *d, unsigned stream, size_t index)
{
    demo_random random = {(uint64_t)d->settings->seed * 4 + stream};
    return demo_random_bits(&random) + index;
}

static unsigned class_of(size_t index)
{
    return (unsigned)(index % DRAWING_CLASSES);
}

static imgq_status draw_input(const demo *d, unsigned stream, size_t index, uint8_t *rgb, float *input, imgq_error *err)
{
    drawing_draw(drawing_seed(d, stream, index), class_of(index), rgb);
    return imgq_recipe_normalise(&d->recipe, rgb, DRAWING_BYTES, input, INPUT, err);
}

static imgq_status fail_nomem(imgq_error *err)
{
    return cli_fail(err, IMGQ_E_NOMEM, 0, "memory ran out for the demonstration");
}

static size_t granted_threads(const model_settings *settings)
{
    cpu_set_t set;
    if (settings->threads > 0)
        return (size_t)settings->threads;
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0 ? (size_t)CPU_COUNT(&set) : 1;
}

static void show_progress(void *user, size_t done)
{
    cli_progress_set(user, done, 0);
}

static void path_in(const demo *d, char *out, const char *name)
{
    snprintf(out, PATH_SIZE, "%s/%s", d->settings->output, name);
}

/* --- the backbone --- */

static imgq_status make_backbone(demo *d, imgq_error *err)
{
    uint8_t *rgb = malloc(DRAWING_BYTES);
    float *inputs = malloc((size_t)CALIBRATION * INPUT * sizeof *inputs);
    imgq_status status = rgb == NULL || inputs == NULL ? fail_nomem(err) : IMGQ_OK;
    for (size_t i = 0; status == IMGQ_OK && i < CALIBRATION; i++)
        status = draw_input(d, STREAM_CALIBRATION, i, rgb, inputs + i * INPUT, err);
    cli_progress_begin(&d->bar, BACKBONE_CONVS, !d->settings->quiet);
    if (status == IMGQ_OK)
        status = backbone_make(&d->backbone, drawing_seed(d, 0, 0), inputs, CALIBRATION, d->threads, show_progress,
                               &d->bar, err);
    cli_progress_end(&d->bar);
    free(inputs);
    free(rgb);
    return status;
}

/* --- running it --- */

/* Answers what a model of so many classes says to count drawings of a stream. @param logits out, count x classes
 * @param folder where the drawings are kept as PNG; NULL: nowhere */
static imgq_status run_drawings(demo *d, const char *path, unsigned stream, size_t count, const char *folder,
                                float *logits, imgq_error *err)
{
    const cli_model_arg arg = {.path = path};
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    imgq_model *model = NULL;
    imgq_session *session = NULL;
    uint8_t *rgb = malloc(DRAWING_BYTES);
    float *inputs = malloc((size_t)BATCH * INPUT * sizeof *inputs);
    options.max_batch = BATCH;
    options.threads = (size_t)d->settings->threads;
    options.engine = d->settings->engine;
    options.isa = d->settings->isa;
    imgq_status status = rgb == NULL || inputs == NULL ? fail_nomem(err) : IMGQ_OK;
    if (status == IMGQ_OK)
        status = cli_model_open(d->env, &arg, &model, err);
    if (status == IMGQ_OK)
        status = imgq_session_create(model, &options, &session, err);
    const size_t classes = model != NULL ? imgq_model_class_count(model) : 0;
    cli_progress_begin(&d->bar, count, !d->settings->quiet);
    for (size_t at = 0; status == IMGQ_OK && at < count; at += BATCH) {
        const size_t batch = count - at < BATCH ? count - at : BATCH;
        for (size_t i = 0; status == IMGQ_OK && i < batch; i++) {
            char file[PATH_SIZE + 64];
            status = draw_input(d, stream, at + i, rgb, inputs + i * INPUT, err);
            snprintf(file, sizeof file, "%s/%04zu-%s.png", folder != NULL ? folder : "", at + i + 1,
                     drawing_label(class_of(at + i)));
            if (status == IMGQ_OK && folder != NULL && !png_write(file, rgb, DRAWING_SIDE, DRAWING_SIDE))
                status = cli_fail(err, IMGQ_E_IO, errno, "write %s: %s", file, strerror(errno));
        }
        if (status == IMGQ_OK)
            status = imgq_session_logits(session, inputs, batch, logits + at * classes, batch * classes, err);
        if (status == IMGQ_OK && cli_signals_caught() != 0)
            status = cli_fail(err, IMGQ_E_CANCELLED, 0, "interrupted");
        cli_progress_set(&d->bar, at + batch, 0);
    }
    cli_progress_end(&d->bar);
    imgq_session_destroy(session);
    imgq_model_close(model);
    free(inputs);
    free(rgb);
    return status;
}

/* --- the head --- */

static const char *feature_label(size_t index, void *user)
{
    char *text = user;
    snprintf(text, 16, "f%zu", index);
    return text;
}

/* With the identity for a head, the network's answers are its pooled features. */
static imgq_status get_features(demo *d, float *features, imgq_error *err)
{
    char path[PATH_SIZE], label[16];
    float *identity = calloc((size_t)BACKBONE_FEATURES * BACKBONE_FEATURES + BACKBONE_FEATURES, sizeof *identity);
    if (identity == NULL)
        return fail_nomem(err);
    for (size_t i = 0; i < BACKBONE_FEATURES; i++)
        identity[i * BACKBONE_FEATURES + i] = 1;
    const demo_head head = {identity, identity + (size_t)BACKBONE_FEATURES * BACKBONE_FEATURES, BACKBONE_FEATURES,
                            feature_label, label};
    path_in(d, path, "features.safetensors");
    imgq_status status = demo_file_write(path, NAME, NOTE, &d->backbone, &head, err);
    free(identity);
    if (status == IMGQ_OK)
        status = run_drawings(d, path, STREAM_LESSONS, LESSONS, NULL, features, err);
    (void)unlink(path); /* it may not be there */
    return status;
}

/* Lessons come class by class in turn, so the last rows hold as many of each. */
static imgq_status fit_head(demo *d, const float *features, double *lambda, imgq_error *err)
{
    static const double lambdas[] = {10, 30, 100, 300, 1000};
    const size_t held_back = HELD_BACK_EACH * DRAWING_CLASSES, fitted = LESSONS - held_back;
    uint32_t classes[LESSONS];
    size_t best = 0;
    for (size_t i = 0; i < LESSONS; i++)
        classes[i] = class_of(i);
    for (size_t i = 0; i < sizeof lambdas / sizeof *lambdas; i++) {
        if (!ridge_fit(features, classes, fitted, BACKBONE_FEATURES, DRAWING_CLASSES, lambdas[i], d->weights, d->bias))
            return fail_nomem(err);
        size_t right = ridge_right(features + fitted * BACKBONE_FEATURES, classes + fitted, held_back,
                                   BACKBONE_FEATURES, DRAWING_CLASSES, d->weights, d->bias);
        if (i == 0 || right > best) {
            best = right;
            *lambda = lambdas[i];
        }
    }
    if (!ridge_fit(features, classes, LESSONS, BACKBONE_FEATURES, DRAWING_CLASSES, *lambda, d->weights, d->bias))
        return fail_nomem(err);
    for (size_t i = 0; i < BACKBONE_FEATURES * DRAWING_CLASSES; i++)
        d->weights[i] *= SHARPNESS;
    for (size_t i = 0; i < DRAWING_CLASSES; i++)
        d->bias[i] *= SHARPNESS;
    return IMGQ_OK;
}

static const char *class_label(size_t index, void *user)
{
    (void)user;
    return drawing_label((unsigned)index);
}

static imgq_status make_model(demo *d, const char *path, double *lambda, imgq_error *err)
{
    float *features = malloc((size_t)LESSONS * BACKBONE_FEATURES * sizeof *features);
    const demo_head head = {d->weights, d->bias, DRAWING_CLASSES, class_label, NULL};
    imgq_status status = features == NULL ? fail_nomem(err) : IMGQ_OK;
    if (status == IMGQ_OK)
        status = make_backbone(d, err);
    if (status == IMGQ_OK)
        status = get_features(d, features, err);
    if (status == IMGQ_OK)
        status = fit_head(d, features, lambda, err);
    if (status == IMGQ_OK)
        status = demo_file_write(path, NAME, NOTE, &d->backbone, &head, err);
    backbone_release(&d->backbone);
    free(features);
    return status;
}

/* --- the try --- */

static imgq_status try_model(demo *d, const char *path, imgq_error *err)
{
    char folder[PATH_SIZE];
    const size_t count = (size_t)d->settings->draw;
    float *logits = malloc((count + 1) * DRAWING_CLASSES * sizeof *logits);
    path_in(d, folder, "drawings");
    imgq_status status = logits == NULL ? fail_nomem(err) : IMGQ_OK;
    if (status == IMGQ_OK && mkdir(folder, 0777) != 0 && errno != EEXIST)
        status = cli_fail(err, IMGQ_E_IO, errno, "make the folder %s: %s", folder, strerror(errno));
    if (status == IMGQ_OK)
        status = run_drawings(d, path, STREAM_FRESH, count, folder, logits, err);
    for (size_t i = 0; status == IMGQ_OK && i < count; i++) {
        imgq_prediction best;
        d->right +=
            imgq_topk(logits + i * DRAWING_CLASSES, DRAWING_CLASSES, &best, 1) == 1 && best.class_id == class_of(i);
    }
    free(logits);
    return status;
}

static imgq_status make_folder(const demo *d, const char *model_path, imgq_error *err)
{
    if (mkdir(d->settings->output, 0777) != 0 && errno != EEXIST)
        return cli_fail(err, IMGQ_E_IO, errno, "make the folder %s: %s", d->settings->output, strerror(errno));
    if (!d->settings->force && access(model_path, F_OK) == 0)
        return cli_fail(err, IMGQ_E_CONFLICT, 0, "write %s: it is there already; --force replaces it", model_path);
    return IMGQ_OK;
}

int model_demo(imgq_env *env, const model_settings *settings)
{
    imgq_error err = {0};
    char path[PATH_SIZE];
    double lambda = 0;
    demo *d = calloc(1, sizeof *d);
    if (d == NULL) {
        cli_error(MODEL_PROGRAM, "memory ran out for the demonstration");
        return CLI_EXIT_SOME;
    }
    d->env = env;
    d->settings = settings;
    d->recipe.size = sizeof d->recipe;
    d->threads = granted_threads(settings);
    path_in(d, path, "model.safetensors");
    imgq_status status = imgq_recipe_find("keras", &d->recipe, &err);
    if (status == IMGQ_OK)
        status = make_folder(d, path, &err);
    if (status == IMGQ_OK && !settings->quiet)
        cli_note(MODEL_PROGRAM, "making a demonstration in %s: this takes a minute", settings->output);
    if (status == IMGQ_OK)
        status = make_model(d, path, &lambda, &err);
    if (status == IMGQ_OK)
        status = try_model(d, path, &err);
    int code = status == IMGQ_OK ? CLI_EXIT_OK : cli_error_status(MODEL_PROGRAM, &err);
    if (status == IMGQ_OK) {
        printf(
            "This is a demonstration: a network that nobody trained, its last layer fitted to %d drawings of %d kinds "
            "(ridge %g). It knows nothing of photos.\n",
            LESSONS, DRAWING_CLASSES, lambda);
        printf("model     %s\n", path);
        printf("drawings  %s/drawings: %lld fresh ones, named after what they show\n", settings->output,
               (long long)settings->draw);
        if (settings->draw > 0)
            printf("right     %zu of %lld (%.1f %%), seed %lld\n", d->right, (long long)settings->draw,
                   100.0 * (double)d->right / (double)settings->draw, (long long)settings->seed);
        if (fflush(stdout) != 0)
            code = CLI_EXIT_SOME;
    }
    free(d);
    return code;
}
