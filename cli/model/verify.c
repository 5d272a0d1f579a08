/* imgq-model verify: a model that opens, whose answers are numbers, the same ones alone and in a batch; and, where the
 * weights are Keras's ImageNet ones, the numbers that a float64 network computed from them. */
#include "cli/model/commands.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/exit.h"
#include "cli/common/ui.h"
#include "cli/model/golden.h"

enum { SIDE = 224, PATTERNS = sizeof golden_patterns / sizeof *golden_patterns, INPUT = SIDE * SIDE * 3 };
#define LOGIT_WITHIN 1e-3
#define GOLDEN_EPSILON 1.001e-5

typedef struct verification {
    const model_settings *settings;
    cli_model_file *file;
    imgq_model *model;
    imgq_session *session;
    uint32_t classes;
    uint8_t *rgb;  /* one pattern */
    float *input;  /* PATTERNS pictures */
    float *logits; /* PATTERNS x classes, together; then the same, one by one */
    size_t failed;
} verification;

static uint8_t clamp(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* tests/golden/make_golden.py draws the same. */
static void draw_pattern(size_t n, uint8_t *rgb)
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            int d = (x - 112) * (x - 112) + (y - 112) * (y - 112);
            *rgb++ = clamp(n == 0 ? x * 255 / 223 : d / 40 % 256);
            *rgb++ = clamp(n == 0 ? y * 255 / 223 : 255 - d / 100);
            *rgb++ = clamp(n == 0 ? (x / 16 + y / 16) % 2 * 200 : x * y / 64 % 256);
        }
}

static void say(verification *v, bool ok, const char *what)
{
    printf("%s  %s\n", ok ? "ok    " : "FAILED", what);
    v->failed += ok ? 0 : 1;
}

static imgq_status prepare(imgq_env *env, verification *v, imgq_error *err)
{
    imgq_session_options options = IMGQ_SESSION_OPTIONS_INIT;
    imgq_recipe keras = {.size = sizeof keras};
    imgq_status status = cli_model_file_open(env, v->settings->model.path, &v->file, err);
    if (status == IMGQ_OK)
        status = cli_model_file_model(v->file, &v->settings->model, &v->model, err);
    if (status != IMGQ_OK)
        return status;
    options.max_batch = PATTERNS;
    options.threads = (size_t)v->settings->threads;
    options.engine = v->settings->engine;
    options.isa = v->settings->isa;
    options.precision = v->settings->precision;
    v->classes = imgq_model_class_count(v->model);
    v->rgb = malloc(INPUT);
    v->input = malloc(PATTERNS * INPUT * sizeof *v->input);
    v->logits = malloc(2 * PATTERNS * (size_t)v->classes * sizeof *v->logits);
    if (v->rgb == NULL || v->input == NULL || v->logits == NULL) {
        *err = (imgq_error){.status = IMGQ_E_NOMEM, .message = "memory ran out"};
        return IMGQ_E_NOMEM;
    }
    status = imgq_session_create(v->model, &options, &v->session, err);
    if (status == IMGQ_OK)
        status = imgq_recipe_find("keras", &keras, err);
    for (size_t i = 0; status == IMGQ_OK && i < PATTERNS; i++) {
        draw_pattern(i, v->rgb);
        status = imgq_recipe_normalise(&keras, v->rgb, INPUT, v->input + i * INPUT, INPUT, err);
    }
    return status;
}

static imgq_status run_patterns(verification *v, imgq_error *err)
{
    const size_t count = PATTERNS * (size_t)v->classes;
    float *alone = v->logits + count;
    bool finite = true;
    double worst = 0;
    imgq_status status = imgq_session_logits(v->session, v->input, PATTERNS, v->logits, count, err);
    for (size_t i = 0; status == IMGQ_OK && i < PATTERNS; i++)
        status = imgq_session_logits(v->session, v->input + i * INPUT, 1, alone + i * v->classes, v->classes, err);
    if (status != IMGQ_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        finite = finite && isfinite(v->logits[i]) && isfinite(alone[i]);
        worst = fmax(worst, fabs((double)v->logits[i] - (double)alone[i]));
    }
    say(v, finite, "every answer is a number");
    say(v, finite && worst <= LOGIT_WITHIN, "a picture alone and in a batch has the same answer");
    return IMGQ_OK;
}

/* The head's biases are as good as a name: one tensor of a thousand numbers that no other training ends with. */
static bool are_keras_weights(const cli_model_file *file)
{
    for (size_t i = 0; i < cli_model_file_tensor_count(file); i++) {
        cli_model_tensor t;
        cli_model_file_tensor(file, i, &t);
        if (t.rank == 1 && t.shape[0] == 1000 && t.bytes == 1000 * sizeof(float) &&
            memcmp(t.data, golden_bias, sizeof golden_bias) == 0)
            return true;
    }
    return false;
}

static bool check_golden(const golden_pattern *golden, const float *logits, double *worst)
{
    imgq_prediction best;
    double sum = 0;
    for (size_t i = 0; i < 1000; i++)
        sum += (double)logits[i];
    for (size_t i = 0; i < golden->count; i++)
        *worst = fmax(*worst, fabs(golden->logits[i].logit - (double)logits[golden->logits[i].class_id]));
    return *worst <= LOGIT_WITHIN && fabs(sum - golden->sum) <= 0.1 && imgq_topk(logits, 1000, &best, 1) == 1 &&
           best.class_id == golden->best;
}

static void run_golden(verification *v)
{
    char line[160];
    double worst = 0;
    bool ok = true;
    if (v->classes != 1000 || !are_keras_weights(v->file)) {
        printf("-       not Keras's ImageNet weights in F32: there are no stored answers to compare with\n");
        return;
    }
    if (imgq_model_layout(v->model) != IMGQ_LAYOUT_V1 || fabs(cli_model_bn_eps(v->model) - GOLDEN_EPSILON) > 1e-9) {
        printf("-       Keras's ImageNet weights, but not as Keras runs them: its answers hold for --layout v1 "
               "--bn-eps 1.001e-5\n");
        return;
    }
    for (size_t i = 0; i < PATTERNS; i++)
        ok = check_golden(&golden_patterns[i], v->logits + i * v->classes, &worst) && ok;
    snprintf(line, sizeof line, "Keras's ImageNet weights give the stored answers (worst logit off by %.2g)", worst);
    say(v, ok, line);
}

int model_verify(imgq_env *env, const model_settings *settings)
{
    imgq_error err = {0};
    verification v = {.settings = settings};
    int code = CLI_EXIT_OK;
    if (prepare(env, &v, &err) != IMGQ_OK) {
        code = cli_model_error(MODEL_PROGRAM, &err);
    } else {
        printf("ok      %s: %s, %u classes, weights %.16s...\n", settings->model.path, cli_model_file_format(v.file),
               (unsigned)v.classes, imgq_model_hash(v.model));
        if (run_patterns(&v, &err) != IMGQ_OK)
            code = cli_error_status(MODEL_PROGRAM, &err);
        else
            run_golden(&v);
        if (code == CLI_EXIT_OK && v.failed > 0)
            code = CLI_EXIT_CONFIG;
    }
    if (fflush(stdout) != 0 && code == CLI_EXIT_OK)
        code = CLI_EXIT_SOME;
    free(v.rgb);
    free(v.input);
    free(v.logits);
    imgq_session_destroy(v.session);
    imgq_model_close(v.model);
    cli_model_file_close(v.file);
    return code;
}
