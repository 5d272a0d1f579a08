/* imgq-submit: images into the queue, answers out, in the order in which they were named. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <imgq/admin.h>

#include "cli/common/signals.h"
#include "cli/submit/submit.h"

#define AT(field) offsetof(submit_settings, field)

static const cli_option options[] = {
    CLI_CONNECT_OPTIONS(submit_settings, connect),
    CLI_QUEUE_OPTION(submit_settings, connect),
    {.name = "wire",
     .value = "WIRE",
     .kind = CLI_CHOICE,
     .choices = "native|keras",
     .by_default = "native",
     .at = AT(wire),
     .help = "keras: the list and keys of the reference's model server (--queue is then image_queue unless said)"},
    {.name = "standalone",
     .kind = CLI_FLAG,
     .at = AT(standalone),
     .help = "start a private Redis and a worker of --model, classify, clean up"},
    {.name = "model",
     .letter = 'm',
     .value = "FILE",
     .kind = CLI_TEXT,
     .env = "IMGQ_MODEL",
     .at = AT(model),
     .help = "with --standalone: the model, as imgq-worker takes it"},
    {.group = "Files",
     .name = "recursive",
     .letter = 'R',
     .kind = CLI_FLAG,
     .at = AT(recursive),
     .help = "take all files in named folders, but hidden ones"},
    {.name = "files0-from",
     .value = "FILE",
     .kind = CLI_TEXT,
     .at = AT(files0_from),
     .help = "take the names in FILE, each with a zero byte behind it; - is standard input"},
    {.group = "Jobs",
     .name = "timeout",
     .letter = 't',
     .value = "S",
     .kind = CLI_SECONDS,
     .by_default = "30",
     .min = 0.001,
     .max = 31536000,
     .at = AT(timeout_ms),
     .help = "seconds to wait for each file's answer from its submit on; then its job is cancelled"},
    {.name = "window",
     .value = "N",
     .kind = CLI_INT,
     .by_default = "256",
     .min = 1,
     .max = 100000,
     .at = AT(window),
     .help = "files under way at once, at most"},
    {.name = "priority",
     .letter = 'p',
     .value = "0-9",
     .kind = CLI_INT,
     .by_default = "5",
     .min = 0,
     .max = 9,
     .at = AT(priority),
     .help = "9 goes first"},
    {.name = "delay",
     .value = "S",
     .kind = CLI_SECONDS,
     .at = AT(delay_ms),
     .max = 31536000,
     .help = "seconds before a worker may take the job"},
    {.name = "deadline",
     .value = "S",
     .kind = CLI_SECONDS,
     .at = AT(deadline_ms),
     .max = 31536000,
     .help = "seconds after which nobody may begin it any more; 0: a day"},
    {.name = "attempts",
     .value = "N",
     .kind = CLI_INT,
     .by_default = "3",
     .min = 1,
     .max = 100,
     .at = AT(attempts),
     .help = "failures after which the job is dead; with --wire keras: pushes of an item without an answer"},
    {.name = "id",
     .value = "ID",
     .kind = CLI_TEXT,
     .at = AT(id),
     .help = "the job's id, for one file: the same id and file again are the same job"},
    {.name = "no-wait", .kind = CLI_FLAG, .at = AT(no_wait), .help = "print the ids of the jobs and leave"},
    {.name = "await",
     .value = "ID",
     .kind = CLI_LIST,
     .at = AT(await),
     .help = "wait for these jobs (arguments are ids too); -: ids from standard input, one a line"},
    {.name = "cancel",
     .value = "ID",
     .kind = CLI_LIST,
     .at = AT(cancel),
     .help = "cancel these jobs (arguments are ids too); -: ids from standard input, one a line"},
    {.group = "Images",
     .name = "top",
     .letter = 'k',
     .value = "K",
     .kind = CLI_INT,
     .by_default = "5",
     .min = 1,
     .max = 100,
     .at = AT(top),
     .help = "predictions of each image"},
    {.name = "payload",
     .value = "KIND",
     .kind = CLI_CHOICE,
     .choices = CLI_PAYLOAD_CHOICES,
     .by_default = "encoded",
     .at = AT(payload),
     .help = "send the file, or decode and resize it here"},
    {.name = "profile",
     .value = "NAME",
     .kind = CLI_TEXT,
     .at = AT(profile),
     .help = "how images become the network's input: keras, torchvision, torchvision-v2, timm; for tensors the "
             "queue's own unless said"},
    {.name = "exif",
     .value = "HOW",
     .kind = CLI_CHOICE,
     .choices = "ignore|apply",
     .by_default = "ignore",
     .at = AT(exif),
     .help = "turn photos as EXIF says"},
    {.name = "background",
     .value = "COLOUR",
     .kind = CLI_COLOUR,
     .at = AT(background),
     .help = "what shines through transparent images: #rrggbb, white, black; not said: transparency is dropped"},
    {.group = "Output",
     .name = "format",
     .letter = 'f',
     .value = "FORMAT",
     .kind = CLI_CHOICE,
     .choices = CLI_FORMAT_CHOICES,
     .by_default = "text",
     .at = AT(format),
     .help = "how answers are printed"},
    {.name = "quiet", .kind = CLI_FLAG, .at = AT(quiet), .help = "no progress bar and no notes, only errors"},
    CLI_LOG_OPTIONS(submit_settings),
};

static const char *const synopsis[] = {"[OPTION]... FILE...|-", "[OPTION]... --await ID...|-",
                                       "[OPTION]... --cancel ID...|-",
                                       "--standalone --model FILE [OPTION]... FILE...|-", NULL};

static const cli_program program = {
    .name = "imgq-submit",
    .purpose = "Sends images to the workers of a queue in Redis and prints what they see, in the order of the files.",
    .synopsis = synopsis,
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

/* ---- what the parts share ---- */

void submit_note(const submit_run *run, const char *format, ...)
{
    char text[512];
    va_list list;
    if (run->set->quiet)
        return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    cli_note(run->program, "%s", text);
}

int64_t submit_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1; /* never 0, which means "not yet" */
}

void submit_nap_until(int64_t at_ms)
{
    enum { STEP_MS = 50 }; /* a signal between looking and sleeping costs this much */
    for (int64_t left; cli_signals_caught() == 0 && (left = at_ms - submit_now_ms()) > 0;) {
        const int64_t ms = left < STEP_MS ? left : STEP_MS;
        const struct timespec step = {.tv_nsec = (long)ms * 1000000};
        (void)nanosleep(&step, NULL);
    }
}

static void on_signal(void *user, int signal, int nth)
{
    submit_run *run = user;
    imgq_queue *queue = atomic_load(&run->queue);
    imgq_reference *reference = atomic_load(&run->reference);
    if (queue != NULL)
        imgq_queue_interrupt(queue);
    if (reference != NULL && nth > 1)
        imgq_reference_interrupt(reference);
    if (nth > 2)
        _exit(128 + signal);
}

bool submit_interrupted(submit_run *run)
{
    if (cli_signals_caught() == 0)
        return false;
    if (cli_signals_count() == 1 && atomic_load(&run->queue) != NULL)
        imgq_queue_resume_calls(run->queue);
    return true;
}

/* ---- what the table cannot see ---- */

static bool is_id(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-";
    const size_t len = strlen(text);
    return len >= 1 && len <= 64 && strspn(text, allowed) == len && text[0] != '_';
}

static int check_keras(const submit_run *run)
{
    static const char *const native_only[] = {"priority", "delay",  "deadline", "id",        "no-wait",
                                              "await",    "cancel", "payload",  "standalone"};
    for (size_t i = 0; i < sizeof native_only / sizeof *native_only; i++)
        if (cli_args_origin(run->args, native_only[i]) == CLI_FROM_ARGUMENT)
            return cli_args_wrong(&program, "the wire keras knows no --%s", native_only[i]);
    return CLI_EXIT_OK;
}

static int check_profile(const submit_settings *set)
{
    imgq_recipe recipe = {.size = sizeof recipe};
    imgq_error err;
    if (set->profile == NULL || imgq_recipe_find(set->profile, &recipe, &err) == IMGQ_OK)
        return CLI_EXIT_OK;
    return cli_args_wrong(&program, "--profile %s: %s", set->profile, err.message);
}

static int check_modes(const submit_run *run)
{
    const submit_settings *set = run->set;
    const bool follows = set->await.count > 0 || set->cancel.count > 0;
    if (set->await.count > 0 && set->cancel.count > 0)
        return cli_args_wrong(&program, "--await and --cancel do not go together");
    if (follows && (set->standalone || set->no_wait || set->files0_from != NULL || set->id != NULL))
        return cli_args_wrong(&program, "--await and --cancel take ids, no files");
    if (set->standalone && cli_args_origin(run->args, "redis") == CLI_FROM_ARGUMENT)
        return cli_args_wrong(&program, "--standalone has a Redis of its own: leave --redis out");
    if (set->standalone && set->no_wait)
        return cli_args_wrong(&program, "--standalone ends with its answers: leave --no-wait out");
    if (set->standalone && set->model == NULL)
        return cli_args_wrong(&program, "--standalone needs --model FILE (or IMGQ_MODEL)");
    if (!set->standalone && cli_args_origin(run->args, "model") == CLI_FROM_ARGUMENT)
        return cli_args_wrong(&program, "--model belongs to --standalone: elsewhere the worker has the model");
    if (!follows && run->args->rest_count == 0 && set->files0_from == NULL)
        return cli_args_wrong(&program, "no file: name one, or - for standard input");
    if (set->id != NULL && !is_id(set->id))
        return cli_args_wrong(&program, "--id %s: wanted are 1-64 of A-Z a-z 0-9 _ . : - and no _ in front", set->id);
    const int code = check_profile(set);
    return code == CLI_EXIT_OK && set->wire == WIRE_KERAS ? check_keras(run) : code;
}

/* Standard input can be read once. */
static int check_stdin(const submit_run *run)
{
    size_t readers = run->set->files0_from != NULL && strcmp(run->set->files0_from, "-") == 0 ? 1 : 0;
    for (size_t i = 0; i < run->files.count; i++)
        readers += strcmp(run->files.paths[i], "-") == 0;
    return readers > 1 ? cli_args_wrong(&program, "- stands for standard input, which can be read only once")
                       : CLI_EXIT_OK;
}

static int collect_inputs(submit_run *run)
{
    const submit_settings *set = run->set;
    const cli_list *ids = set->await.count > 0 ? &set->await : &set->cancel;
    if (ids->count > 0)
        return cli_ids_collect(run->program, ids->items, ids->count, run->args->rest, run->args->rest_count,
                               &run->files);
    int code = cli_files_collect(run->program, run->args->rest, run->args->rest_count, set->recursive, set->files0_from,
                                 &run->files);
    if (code == CLI_EXIT_OK)
        code = check_stdin(run);
    if (code == CLI_EXIT_OK && set->id != NULL && run->files.count != 1)
        code = cli_args_wrong(&program, "--id is for one file, here are %zu", run->files.count);
    return code;
}

/* ---- opening ---- */

static int open_env(submit_run *run)
{
    imgq_env_options env_options = IMGQ_ENV_OPTIONS_INIT;
    imgq_error err;
    cli_log_init(&run->log, run->program, NULL, run->set->log_level, run->set->log_format == 1);
    cli_ui_use_log_for_machines(&run->log);
    env_options.log_fn = cli_log_fn;
    env_options.log_user = &run->log;
    return imgq_env_create(&env_options, &run->env, &err) == IMGQ_OK ? CLI_EXIT_OK
                                                                     : cli_error_status(run->program, &err);
}

static int open_queue(submit_run *run, const char *url, const imgq_queue_options *queue_options)
{
    imgq_queue *queue = NULL;
    imgq_error err;
    if (imgq_queue_open(run->env, url, queue_options, &queue, &err) != IMGQ_OK)
        return cli_connect_failed(run->args, &err);
    atomic_store(&run->queue, queue);
    return CLI_EXIT_OK;
}

static int open_reference(submit_run *run, const imgq_queue_options *queue_options)
{
    const submit_settings *set = run->set;
    imgq_reference *reference = NULL;
    imgq_error err;
    if (cli_payload_find_recipe(&run->how, set->profile != NULL ? set->profile : "keras", NULL, &err) != IMGQ_OK)
        return cli_error_status(run->program, &err);
    if (imgq_reference_open(run->env, set->connect.redis, queue_options, &reference, &err) != IMGQ_OK)
        return cli_connect_failed(run->args, &err);
    atomic_store(&run->reference, reference);
    return CLI_EXIT_OK;
}

/* The model takes its time to load: that is not the first file's time. */
static int wait_for_own_worker(submit_run *run)
{
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    imgq_error err;
    while (cli_signals_caught() == 0) {
        const int code = cli_standalone_check(&run->standalone);
        if (code != CLI_EXIT_OK)
            return code;
        if (imgq_queue_get_stats(run->queue, &stats, &err) != IMGQ_OK)
            return cli_error_status(run->program, &err);
        if (stats.workers > 0)
            return CLI_EXIT_OK;
        submit_nap_until(submit_now_ms() + 20);
    }
    return CLI_EXIT_SOME;
}

static int open_standalone(submit_run *run)
{
    const cli_standalone_options how = {.model = run->set->model, .profile = run->set->profile};
    imgq_queue_options queue_options = IMGQ_QUEUE_OPTIONS_INIT;
    run->set->connect.queue = "default";
    queue_options.client_name = run->program;
    int code = cli_standalone_start(run->program, &how, &run->standalone);
    if (code == CLI_EXIT_OK)
        code = open_queue(run, run->standalone.url, &queue_options);
    if (code == CLI_EXIT_OK)
        code = wait_for_own_worker(run);
    return code;
}

static int open_all(submit_run *run)
{
    submit_settings *set = run->set;
    imgq_queue_options queue_options = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_error err;
    int code;
    if (set->standalone)
        code = open_standalone(run);
    else
        code = cli_connect_prepare(run->args, &set->connect, &queue_options);
    if (code != CLI_EXIT_OK || cli_signals_caught() != 0)
        return code;
    if (set->wire == WIRE_KERAS) {
        if (cli_args_origin(run->args, "queue") == CLI_FROM_DEFAULT)
            queue_options.name = set->connect.queue = "image_queue";
        return open_reference(run, &queue_options);
    }
    if (!set->standalone)
        code = open_queue(run, set->connect.redis, &queue_options);
    const bool follows = set->await.count > 0 || set->cancel.count > 0;
    if (code == CLI_EXIT_OK && set->payload != CLI_PAYLOAD_ENCODED && !follows &&
        cli_payload_find_recipe(&run->how, set->profile, run->queue, &err) != IMGQ_OK) {
        cli_error(run->program, "%s", err.message);
        code = err.status == IMGQ_E_UNAVAILABLE ? CLI_EXIT_REDIS : CLI_EXIT_CONFIG;
    }
    return code;
}

/* ---- the run ---- */

static int go_through(submit_run *run)
{
    const submit_settings *set = run->set;
    const bool shows_bar = run->files.count > 1 && !set->quiet && set->cancel.count == 0;
    int code;
    cli_progress_begin(&run->bar, run->files.count, shows_bar);
    if (set->await.count > 0)
        code = submit_await(run);
    else if (set->cancel.count > 0)
        code = submit_cancel(run);
    else
        code = set->wire == WIRE_KERAS ? submit_keras(run) : submit_native(run);
    cli_progress_end(&run->bar);
    return code != CLI_EXIT_OK ? code : cli_outcome_exit(&run->outcome);
}

static void close_all(submit_run *run)
{
    imgq_queue *queue = atomic_load(&run->queue);
    imgq_reference *reference = atomic_load(&run->reference);
    cli_signals_detach();
    atomic_store(&run->queue, NULL);
    atomic_store(&run->reference, NULL);
    imgq_queue_close(queue);
    imgq_reference_close(reference);
    cli_standalone_stop(&run->standalone);
    imgq_env_destroy(run->env);
    cli_connect_release(&run->set->connect);
    cli_files_release(&run->files);
}

int main(int argc, char **argv)
{
    submit_settings set;
    cli_args args;
    int code;
    if (!cli_args_parse(&program, argc, argv, &set, sizeof set, &args, &code))
        return code;
    submit_run run = {.args = &args, .program = program.name, .set = &set};
    run.how.kind = set.wire == WIRE_KERAS ? CLI_PAYLOAD_F32 : set.payload;
    run.how.exif_apply = set.exif == EXIF_APPLY;
    run.how.background = set.background;
    cli_signals_install(on_signal, &run);
    code = check_modes(&run);
    if (code == CLI_EXIT_OK)
        code = collect_inputs(&run);
    if (code == CLI_EXIT_OK)
        code = open_env(&run);
    if (code == CLI_EXIT_OK)
        code = open_all(&run);
    run.printer = (cli_printer){.env = run.env,
                                .out = stdout,
                                .format = set.format,
                                .with_names = run.files.are_several,
                                .top = (size_t)set.top};
    if (code == CLI_EXIT_OK && cli_signals_caught() == 0)
        code = go_through(&run);
    close_all(&run);
    cli_args_release(&args);
    cli_signals_die();
    return code;
}
