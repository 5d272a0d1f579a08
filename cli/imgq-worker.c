/* imgq-worker: takes images from Redis, classifies them, reports; until SIGTERM, or until nothing waits. */
#include <imgq/imgq.h>

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/common/args.h"
#include "cli/common/connect.h"
#include "cli/common/exit.h"
#define CLI_LOG_LEVEL_DEFAULT "info"
#include "cli/common/log.h"
#include "cli/common/model_arg.h"
#include "cli/common/signals.h"
#include "cli/common/ui.h"
#include "cli/worker/notify.h"

#define PROGRAM "imgq-worker"

enum { QUEUES_MAX = 64, WEIGHT_MAX = 1000, HURRY_S = 1, PATIENCE_S = 3 };

typedef struct settings {
    cli_connect connect;
    cli_model_arg model;
    const char *queues, *import_list, *forward_to, *name, *engine, *precision, *isa;
    int64_t batch, max_delay_ms, threads, lease_ms, result_ttl_ms, max_progressive_pixels;
    int exif, decode, log_format, log_level;
    bool drain, wait_redis;
} settings;

static const cli_option options[] = {
    CLI_CONNECT_OPTIONS(settings, connect),
    {.name = "wait-redis",
     .kind = CLI_FLAG,
     .at = offsetof(settings, wait_redis),
     .help = "wait for Redis at the start instead of ending with 6; later losses are always waited out"},
    CLI_MODEL_OPTION(settings, model, CLI_MODEL_FORMATS ", or none to answer without inference"),
    CLI_MODEL_OPTIONS(settings, model),
    {.name = "exif",
     .value = "WHAT",
     .kind = CLI_CHOICE,
     .choices = "ignore|apply",
     .by_default = "ignore",
     .at = offsetof(settings, exif),
     .help =
         "photos that carry an orientation: as stored, as the models were trained, or turned; a job may say otherwise"},
    {.name = "max-progressive-pixels",
     .value = "N",
     .kind = CLI_INT,
     .by_default = "32000000",
     .min = 1,
     .max = 100000000,
     .at = offsetof(settings, max_progressive_pixels),
     .help = "larger JPEGs in several scans are refused: decoding one takes up to 8 bytes a pixel, others some rows"},
    {.name = "decode",
     .value = "HOW",
     .kind = CLI_CHOICE,
     .choices = "exact|fast",
     .by_default = "exact",
     .at = offsetof(settings, decode),
     .help = "fast: large JPEGs are decoded at a fraction of their size; pixels are no longer Pillow's"},
    {.group = "Work",
     .name = "queue",
     .letter = 'q',
     .value = "NAME[=WEIGHT],...",
     .kind = CLI_TEXT,
     .by_default = "default",
     .env = "IMGQ_QUEUE",
     .at = offsetof(settings, queues),
     .help = "queues to serve, with their shares of the looks (1-1000, 1 if not said)"},
    {.name = "import",
     .value = "LIST",
     .kind = CLI_TEXT,
     .at = offsetof(settings, import_list),
     .help = "serve what reference producers push to LIST, too"},
    {.name = "forward-to",
     .value = "LIST",
     .kind = CLI_TEXT,
     .at = offsetof(settings, forward_to),
     .help = "do not classify: feed a reference server that reads LIST, and pass its answers on"},
    {.name = "batch",
     .letter = 'b',
     .value = "N",
     .kind = CLI_INT,
     .by_default = "32",
     .min = 1,
     .max = 1024,
     .at = offsetof(settings, batch),
     .help = "most images that run together"},
    {.name = "max-delay",
     .value = "MS",
     .kind = CLI_INT,
     .by_default = "0",
     .min = 0,
     .max = 60000,
     .at = offsetof(settings, max_delay_ms),
     .help = "milliseconds that the first image of an idle worker waits for company"},
    {.name = "threads",
     .letter = 't',
     .value = "N",
     .kind = CLI_INT,
     .by_default = "0",
     .min = 0,
     .max = 256,
     .at = offsetof(settings, threads),
     .help = "threads of the forward pass; 0: the cores that this process is granted"},
    {.name = "engine",
     .value = "NAME",
     .kind = CLI_TEXT,
     .at = offsetof(settings, engine),
     .help = "auto, scalar, openblas or native; auto takes native where the processor has AVX2 and FMA"},
    {.name = "precision",
     .value = "NAME",
     .kind = CLI_TEXT,
     .at = offsetof(settings, precision),
     .help = "highest (fp32), high (three bf16 products for each of fp32, on tile units) or medium (bf16); where the "
             "processor is no faster by it, it runs as highest"},
    {.name = "isa",
     .value = "NAME",
     .kind = CLI_TEXT,
     .env = "IMGQ_ISA",
     .at = offsetof(settings, isa),
     .help = "the most that the native engine may use: amx-bf16, avx512-bf16, avx512, avx2 or scalar; all there is "
             "unless said"},
    {.name = "lease",
     .value = "SECONDS",
     .kind = CLI_SECONDS,
     .by_default = "30",
     .min = 10,
     .max = 300,
     .at = offsetof(settings, lease_ms),
     .help = "others take over the jobs of a worker that gave no sign for so long"},
    {.name = "result-ttl",
     .value = "SECONDS",
     .kind = CLI_SECONDS,
     .at = offsetof(settings, result_ttl_ms),
     .min = 0,
     .max = 2592000,
     .help = "how long results are kept; as the job or its queue says (1 hour) if not said"},
    {.name = "drain",
     .kind = CLI_FLAG,
     .at = offsetof(settings, drain),
     .help = "end when nothing waits and nothing is held"},
    {.name = "name",
     .value = "NAME",
     .kind = CLI_TEXT,
     .at = offsetof(settings, name),
     .help = "name of this worker, in results and log lines; host-pid-random if not said"},
    CLI_LOG_OPTIONS(settings),
};

static const char *const synopsis[] = {"--model FILE [OPTION]...", "--model none [OPTION]...",
                                       "--forward-to LIST [OPTION]...", NULL};

static const cli_program program = {
    .name = PROGRAM,
    .purpose = "Takes images from queues in Redis, classifies them with a ResNet-50, and reports the answers.",
    .synopsis = synopsis,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .notes = "SIGTERM or SIGINT: the batch in hand is finished, the rest is given back, and\n"
             "the exit code is 0. A second one: everything is given back within a second.",
};

/* ---- what a handler needs; no argument reaches it ---- */

static _Atomic(imgq_worker *) running_worker;
static atomic_int handlers_inside; /* a library's thread may run the handler, while main() goes on */
static atomic_bool gave_back;      /* after a second signal: nothing is held any more */
static atomic_int alarms;

/* A forward pass cannot be cut: the process ends in the middle of it, as soon as nothing is held. A busy machine gets
 * two seconds more to give back, since otherwise the jobs would wait for the end of their leases. */
static void hurry_is_over(int number)
{
    (void)number;
    if (atomic_load(&gave_back) || atomic_fetch_add(&alarms, 1) >= PATIENCE_S - HURRY_S)
        cli_signals_die();
    else
        (void)alarm(1);
}

static void on_signal(void *user, int number, int nth)
{
    (void)user;
    (void)number;
    atomic_fetch_add(&handlers_inside, 1);
    imgq_worker *worker = atomic_load(&running_worker);
    if (worker != NULL)
        imgq_worker_stop(worker);
    atomic_fetch_sub(&handlers_inside, 1);
    if (nth == 2)
        (void)alarm(HURRY_S);
}

static void install_signals(void)
{
    struct sigaction act = {.sa_handler = hurry_is_over};
    (void)sigemptyset(&act.sa_mask);
    (void)sigaction(SIGALRM, &act, NULL);
    cli_signals_install(on_signal, NULL);
}

/* ---- queues ---- */

typedef struct served {
    imgq_worker_queue items[QUEUES_MAX];
    size_t count;
    imgq_reference *reference;
} served;

typedef struct app {
    settings settings;
    cli_log log;
    cli_notify notify;
    imgq_env *env;
    imgq_queue_options options; /* what all handles have in common */
    served served;
} app;

/* Away, or too full to begin a queue, for a moment: what --wait-redis waits out. */
static bool is_away(imgq_status status)
{
    return status == IMGQ_E_UNAVAILABLE || status == IMGQ_E_TIMEOUT || status == IMGQ_E_BUSY;
}

static void sleep_one_second(void)
{
    const struct timespec second = {.tv_sec = 1};
    (void)nanosleep(&second, NULL); /* a signal ends it early: then we end */
}

/* Opens a queue or, with queue NULL, the reference's list. @return exit code; -1: stopped while waiting */
static int open_patiently(app *it, const imgq_queue_options *how, imgq_queue **queue, imgq_reference **reference)
{
    imgq_error err = {0};
    for (bool told = false;; told = true) {
        const imgq_status status = queue != NULL
                                       ? imgq_queue_open(it->env, it->settings.connect.redis, how, queue, &err)
                                       : imgq_reference_open(it->env, it->settings.connect.redis, how, reference, &err);
        if (status == IMGQ_OK)
            return CLI_EXIT_OK;
        if (cli_signals_count() > 0)
            return -1;
        if (!it->settings.wait_redis || !is_away(status))
            return cli_error_status(PROGRAM, &err);
        if (!told) {
            cli_log_line(&it->log, IMGQ_LOG_WARNING, "%s; waiting for Redis", err.message);
            (void)cli_notify_send(&it->notify, "STATUS=waiting for Redis");
        }
        sleep_one_second();
    }
}

static int open_queue(app *it, const char *name, const char *import_list, uint32_t weight)
{
    imgq_queue_options how = it->options;
    imgq_queue *queue = NULL;
    for (size_t i = 0; name != NULL && i < it->served.count; i++)
        if (strcmp(name, imgq_queue_name(it->served.items[i].queue)) == 0)
            return cli_args_wrong(&program, "--queue names %s twice", name);
    how.name = name;
    how.import_list = import_list;
    const int code = open_patiently(it, &how, &queue, NULL);
    if (code != CLI_EXIT_OK)
        return code;
    it->served.items[it->served.count++] = (imgq_worker_queue){.queue = queue, .weight = weight};
    it->options.worker_name = imgq_queue_worker_name(it->served.items[0].queue); /* one name in all queues */
    return CLI_EXIT_OK;
}

/* One "NAME" or "NAME=WEIGHT", cut in place. */
static bool read_weight(char *text, uint32_t *weight)
{
    char *equals = strchr(text, '='), *end = NULL;
    *weight = 1;
    if (equals == NULL)
        return text[0] != '\0';
    *equals = '\0';
    const unsigned long value = strtoul(equals + 1, &end, 10);
    *weight = (uint32_t)value;
    return text[0] != '\0' && equals[1] >= '0' && equals[1] <= '9' && *end == '\0' && value >= 1 && value <= WEIGHT_MAX;
}

static int open_queues(app *it)
{
    const settings *s = &it->settings;
    char *list = strdup(s->queues), *rest = list;
    int code = list != NULL ? CLI_EXIT_OK : CLI_EXIT_SOME;
    for (char *name; code == CLI_EXIT_OK && (name = strsep(&rest, ",")) != NULL;) {
        uint32_t weight = 0;
        if (it->served.count + 1 >= QUEUES_MAX)
            code = cli_args_wrong(&program, "--queue names more than %d queues", QUEUES_MAX - 1);
        else if (!read_weight(name, &weight))
            code = cli_args_wrong(&program, "--queue %s: it must be NAME or NAME=WEIGHT, the weight 1 to %d", s->queues,
                                  WEIGHT_MAX);
        else
            code = open_queue(it, name, NULL, weight);
    }
    if (code == CLI_EXIT_OK && s->import_list != NULL)
        code = open_queue(it, NULL, s->import_list, 1);
    if (code == CLI_EXIT_OK && s->forward_to != NULL) {
        imgq_queue_options how = it->options;
        how.name = s->forward_to;
        code = open_patiently(it, &how, NULL, &it->served.reference);
    }
    free(list);
    return code;
}

static void close_queues(app *it)
{
    imgq_reference_close(it->served.reference);
    for (size_t i = 0; i < it->served.count; i++)
        imgq_queue_close(it->served.items[i].queue);
}

/* ---- work ---- */

static void tell_progress(void *user, uint64_t done, uint64_t failed)
{
    app *it = user;
    char status[128];
    if (cli_signals_count() > 1)
        atomic_store(&gave_back, true);
    (void)snprintf(status, sizeof status, "%" PRIu64 " jobs answered, %" PRIu64 " failed", done, failed);
    cli_notify_progress(&it->notify, status);
}

static imgq_worker_options worker_options(app *it)
{
    const settings *s = &it->settings;
    imgq_worker_options o = IMGQ_WORKER_OPTIONS_INIT;
    o.threads = (size_t)s->threads;
    o.max_batch = (size_t)s->batch;
    o.max_delay_ms = (uint32_t)s->max_delay_ms;
    o.lease_ms = (uint32_t)s->lease_ms;
    o.engine = s->engine;
    o.precision = s->precision;
    o.isa = s->isa;
    o.drain = s->drain;
    o.exif_apply = s->exif == 1;
    o.decode_fast = s->decode == 1;
    o.forward_to = it->served.reference;
    o.progress = tell_progress;
    o.progress_user = it;
    return o;
}

/* A name that lives elsewhere is a mistake in the configuration, not a job's conflict. */
static int worker_exit(const imgq_error *err)
{
    const int code = cli_error_status(PROGRAM, err);
    return err->status == IMGQ_E_CONFLICT ? CLI_EXIT_CONFIG : code;
}

static void log_start(const app *it, const imgq_model *model)
{
    const settings *s = &it->settings;
    char shown[256];
    cli_log_line(
        &it->log, IMGQ_LOG_INFO, "ready: %s at %s, model %s%s%s%s", s->forward_to != NULL ? "feeding" : "serving",
        cli_connect_shown(s->connect.redis, shown, sizeof shown), model != NULL ? imgq_model_name(model) : "none",
        model != NULL ? ", profile " : "", model != NULL ? imgq_model_recipe(model)->profile : "",
        s->decode == 1 ? ", decoding fast, not exactly" : "");
}

static int work(app *it, imgq_model *model)
{
    imgq_error err = {0};
    imgq_worker *worker = NULL;
    const imgq_worker_options o = worker_options(it);
    imgq_status status = imgq_worker_create(it->served.items, it->served.count, model, &o, &worker, &err);
    if (status != IMGQ_OK)
        return worker_exit(&err);
    atomic_store(&running_worker, worker);
    /* A signal that came before the worker was there has stopped nobody yet. */
    for (int missed = cli_signals_count(); missed > 0; missed--)
        imgq_worker_stop(worker);
    log_start(it, model);
    (void)cli_notify_send(&it->notify, "READY=1\nSTATUS=ready");
    status = imgq_worker_run(worker, &err);
    (void)cli_notify_send(&it->notify, "STOPPING=1");
    atomic_store(&running_worker, NULL);
    while (atomic_load(&handlers_inside) > 0)
        (void)sched_yield();
    imgq_worker_destroy(worker);
    if (status != IMGQ_OK)
        return worker_exit(&err);
    cli_log_line(&it->log, IMGQ_LOG_INFO, "%s", cli_signals_count() > 0 ? "stopped" : "drained: nothing waits");
    return CLI_EXIT_OK;
}

static int open_model(app *it, imgq_model **model)
{
    const settings *s = &it->settings;
    imgq_error err = {0};
    *model = NULL;
    if (s->model.path == NULL || strcmp(s->model.path, "none") == 0)
        return CLI_EXIT_OK;
    (void)cli_notify_send(&it->notify, "STATUS=loading the model");
    if (cli_model_open(it->env, &s->model, model, &err) != IMGQ_OK)
        return cli_model_error(PROGRAM, &err);
    return CLI_EXIT_OK;
}

static int run(app *it)
{
    imgq_model *model = NULL;
    int code = open_queues(it);
    if (code == CLI_EXIT_OK)
        code = open_model(it, &model);
    if (code == CLI_EXIT_OK)
        code = work(it, model);
    close_queues(it);
    imgq_model_close(model);
    if (cli_signals_count() > 1)
        cli_signals_die();
    return code < 0 ? CLI_EXIT_OK : code; /* stopped before there was anything to do */
}

int main(int argc, char **argv)
{
    static app it;
    settings *s = &it.settings;
    cli_args args;
    imgq_error err = {0};
    int code = CLI_EXIT_OK;
    it.options = IMGQ_QUEUE_OPTIONS_INIT;
    if (!cli_args_parse(&program, argc, argv, s, sizeof *s, &args, &code))
        return code;
    if (args.rest_count > 0)
        code = cli_args_wrong(&program, "%s: no arguments are taken", args.rest[0]);
    else if (s->model.path == NULL && s->forward_to == NULL)
        code = cli_args_wrong(&program, "--model is needed (a file, or none)");
    else if (s->import_list != NULL && s->forward_to != NULL && strcmp(s->import_list, s->forward_to) == 0)
        code = cli_args_wrong(&program, "--import and --forward-to %s: it would serve itself for ever", s->forward_to);
    if (code == CLI_EXIT_OK) {
        cli_log_init(&it.log, PROGRAM, s->name, s->log_level, s->log_format == 1);
        cli_ui_use_log(&it.log); /* stderr of a service is its log, to its last word */
        code = cli_connect_prepare(&args, &s->connect, &it.options);
    }
    if (code == CLI_EXIT_OK) {
        cli_notify_init(&it.notify);
        install_signals();
        imgq_env_options env_options = IMGQ_ENV_OPTIONS_INIT;
        env_options.log_fn = cli_log_fn;
        env_options.log_user = &it.log;
        env_options.max_progressive_pixels = (size_t)s->max_progressive_pixels;
        it.options.roles = IMGQ_ROLE_WORKER;
        it.options.keep_leases = 1;
        it.options.no_notify = 1;
        it.options.worker_name = s->name;
        it.options.client_name = PROGRAM;
        it.options.result_ttl_ms = (uint32_t)s->result_ttl_ms;
        if (imgq_env_create(&env_options, &it.env, &err) != IMGQ_OK)
            code = cli_error_status(PROGRAM, &err);
        else
            code = run(&it);
    }
    imgq_env_destroy(it.env);
    cli_connect_release(&s->connect);
    cli_args_release(&args);
    return code;
}
