/* imgq-stress: many requests at once, every one of them accounted for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/common/args.h"
#include "cli/common/exit.h"
#include "cli/common/payload.h"
#include "cli/common/signals.h"
#include "cli/stress/stress.h"

enum { MAX_CONNECTIONS = 8 }; /* of the one handle that the threads share */

#define AT(field) offsetof(stress_settings, field)

static const cli_option options[] = {
    CLI_CONNECT_OPTIONS(stress_settings, connect),
    CLI_QUEUE_OPTION(stress_settings, connect),
    {.group = "Load",
     .name = "image",
     .letter = 'i',
     .value = "FILE",
     .kind = CLI_LIST,
     .at = AT(images),
     .help = "send this image; several, and arguments, in turn"},
    {.name = "requests",
     .letter = 'n',
     .value = "N",
     .kind = CLI_INT,
     .by_default = "500",
     .min = 1,
     .max = 1e9,
     .at = AT(requests),
     .help = "requests to make; with --duration: at most, and without a limit unless said"},
    {.name = "concurrency",
     .letter = 'c',
     .value = "N",
     .kind = CLI_INT,
     .by_default = "50",
     .min = 1,
     .max = 4096,
     .at = AT(concurrency),
     .help = "threads, each with one request at a time"},
    {.name = "rate",
     .value = "R",
     .kind = CLI_NUMBER,
     .at = AT(rate),
     .max = 1e6,
     .help = "requests a second, begun however long the answers take; each latency counts from the intended time. 0: "
             "as fast as the answers come"},
    {.name = "arrivals",
     .value = "KIND",
     .kind = CLI_CHOICE,
     .choices = "even|poisson",
     .by_default = "even",
     .at = AT(arrivals),
     .help = "with --rate: begin requests at even times, or by chance"},
    {.name = "seed",
     .value = "N",
     .kind = CLI_INT,
     .by_default = "1",
     .min = 0,
     .max = 1e15,
     .at = AT(seed),
     .help = "of --arrivals poisson: the same number brings the same times"},
    {.name = "duration",
     .value = "S",
     .kind = CLI_SECONDS,
     .at = AT(duration_ms),
     .max = 31536000,
     .help = "begin no request after so many seconds"},
    {.name = "timeout",
     .letter = 't',
     .value = "S",
     .kind = CLI_SECONDS,
     .by_default = "30",
     .min = 0.001,
     .max = 31536000,
     .at = AT(timeout_ms),
     .help = "seconds to wait for an answer; then the job is cancelled"},
    {.name = "poll",
     .kind = CLI_FLAG,
     .at = AT(poll),
     .help = "ask for each answer every 250 ms, as the reference's web server does, instead of being notified"},
    {.name = "payload",
     .value = "KIND",
     .kind = CLI_CHOICE,
     .choices = CLI_PAYLOAD_CHOICES,
     .by_default = "encoded",
     .at = AT(payload),
     .help = "send the file, or decode and resize it here, once"},
    {.name = "profile",
     .value = "NAME",
     .kind = CLI_TEXT,
     .at = AT(profile),
     .help = "how tensors are prepared; the queue's own unless said"},
    {.group = "Output",
     .name = "format",
     .letter = 'f',
     .value = "FORMAT",
     .kind = CLI_CHOICE,
     .choices = "text|json",
     .by_default = "text",
     .at = AT(format),
     .help = "how the figures are printed"},
    {.name = "quiet", .kind = CLI_FLAG, .at = AT(quiet), .help = "no progress bar and no notes, only errors"},
    CLI_LOG_OPTIONS(stress_settings),
};

static const char *const synopsis[] = {"[OPTION]... --image FILE...", NULL};

static const cli_program program = {
    .name = "imgq-stress",
    .purpose = "Sends many images at once and tells how many were answered, how fast, and what each cost Redis. Ends "
               "when every request has an outcome.",
    .synopsis = synopsis,
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

/* What an interrupt left in the queue. */
static uint64_t cancel_open_jobs(stress *s, size_t count)
{
    uint64_t cancelled = 0;
    if (cli_signals_count() == 1)
        imgq_queue_resume_calls(s->queue);
    for (size_t i = 0; i < count; i++)
        if (s->clients[i].open_job.text[0] != '\0')
            cancelled += imgq_queue_cancel(s->queue, &s->clients[i].open_job, NULL) == IMGQ_OK;
    return cancelled;
}

/* ---- the run ---- */

static void on_signal(void *user, int signal, int nth)
{
    stress *s = user;
    imgq_queue *queue = atomic_load(&s->queue);
    if (queue != NULL)
        imgq_queue_interrupt(queue);
    if (nth > 2)
        _exit(128 + signal);
}

static int open_queue(stress *s, const cli_args *args, stress_settings *set)
{
    imgq_env_options env_options = IMGQ_ENV_OPTIONS_INIT;
    imgq_queue_options queue_options = IMGQ_QUEUE_OPTIONS_INIT;
    imgq_queue *queue = NULL;
    imgq_error err;
    cli_log_init(&s->log, s->program, NULL, set->log_level, set->log_format == 1);
    cli_ui_use_log_for_machines(&s->log);
    env_options.log_fn = cli_log_fn;
    env_options.log_user = &s->log;
    const int code = cli_connect_prepare(args, &set->connect, &queue_options);
    if (code != CLI_EXIT_OK)
        return code;
    queue_options.no_notify = set->poll;
    queue_options.max_connections =
        set->concurrency < MAX_CONNECTIONS ? (uint32_t)set->concurrency : (uint32_t)MAX_CONNECTIONS;
    if (imgq_env_create(&env_options, &s->env, &err) != IMGQ_OK ||
        imgq_queue_open(s->env, set->connect.redis, &queue_options, &queue, &err) != IMGQ_OK)
        return cli_connect_failed(args, &err);
    atomic_store(&s->queue, queue);
    return CLI_EXIT_OK;
}

/* Every image once, before the clock runs. */
static int prepare_payloads(stress *s, const cli_files *files, cli_payload_how *how)
{
    imgq_error err;
    s->options = IMGQ_SUBMIT_OPTIONS_INIT;
    if (how->kind != CLI_PAYLOAD_ENCODED && cli_payload_find_recipe(how, s->set->profile, s->queue, &err) != IMGQ_OK) {
        cli_error(s->program, "%s", err.message);
        return err.status == IMGQ_E_UNAVAILABLE ? CLI_EXIT_REDIS : CLI_EXIT_CONFIG;
    }
    s->options.profile = s->set->profile;
    cli_payload_describe(how, &s->options);
    s->payloads = calloc(files->count, sizeof *s->payloads);
    if (s->payloads == NULL)
        return CLI_EXIT_SOME;
    for (; s->payload_count < files->count; s->payload_count++) {
        const char *path = files->paths[s->payload_count];
        if (cli_payload_make(s->env, how, path, &s->payloads[s->payload_count], &err) != IMGQ_OK) {
            cli_error(s->program, "%s: %s", cli_file_shown(path), err.message);
            return CLI_EXIT_REFUSED;
        }
    }
    return CLI_EXIT_OK;
}

static int run_all(stress *s)
{
    figures f = {0};
    cli_progress bar;
    uint64_t commands, round_trips;
    s->clients = calloc((size_t)s->set->concurrency, sizeof *s->clients);
    if (s->clients == NULL) {
        cli_error(s->program, "memory ran out for %" PRId64 " threads", s->set->concurrency);
        return CLI_EXIT_SOME;
    }
    cli_progress_begin(&bar, (uint64_t)s->set->requests, !s->set->quiet && s->set->duration_ms == 0);
    imgq_queue_get_traffic(s->queue, &commands, &round_trips);
    s->chance.state = (uint64_t)s->set->seed;
    (void)pthread_mutex_init(&s->schedule, NULL);
    const size_t clients = stress_start(s);
    stress_join(s, clients, &bar);
    (void)pthread_mutex_destroy(&s->schedule);
    f.seconds = (stress_now_ms() - s->started_ms) / 1000;
    imgq_queue_get_traffic(s->queue, &f.commands, &f.round_trips);
    f.commands -= commands;
    f.round_trips -= round_trips;
    const uint64_t cancelled = cancel_open_jobs(s, clients);
    int code = CLI_EXIT_SOME;
    if (figures_sum(s, clients, &f)) {
        figures_print(s, &f);
        code = fflush(stdout) == 0 ? figures_exit_code(&f) : CLI_EXIT_SOME;
    }
    if (f.first_error != NULL)
        cli_error(s->program, "the first failure: %s", f.first_error);
    if (cli_signals_caught() != 0 && !s->set->quiet)
        cli_note(s->program, "interrupted: %" PRIu64 " jobs cancelled", cancelled);
    free(f.sorted_ms);
    return code;
}

static void close_all(stress *s, stress_settings *set)
{
    imgq_queue *queue = atomic_load(&s->queue);
    cli_signals_detach();
    atomic_store(&s->queue, NULL);
    for (size_t i = 0; s->clients != NULL && i < (size_t)set->concurrency; i++)
        free(s->clients[i].latencies_ms);
    free(s->clients);
    for (size_t i = 0; i < s->payload_count; i++)
        free(s->payloads[i].data);
    free(s->payloads);
    imgq_queue_close(queue);
    imgq_env_destroy(s->env);
    cli_connect_release(&set->connect);
}

static int check_profile(const stress_settings *set)
{
    imgq_recipe recipe = {.size = sizeof recipe};
    imgq_error err;
    if (set->profile == NULL || imgq_recipe_find(set->profile, &recipe, &err) == IMGQ_OK)
        return CLI_EXIT_OK;
    return cli_args_wrong(&program, "--profile %s: %s", set->profile, err.message);
}

static int collect_images(const cli_args *args, const stress_settings *set, cli_files *files)
{
    char **names = calloc(set->images.count + args->rest_count + 1, sizeof *names);
    size_t count = 0;
    if (names == NULL)
        return CLI_EXIT_SOME;
    for (size_t i = 0; i < set->images.count; i++)
        names[count++] = (char *)(uintptr_t)set->images.items[i];
    for (size_t i = 0; i < args->rest_count; i++)
        names[count++] = args->rest[i];
    const int code = count == 0 ? cli_args_wrong(&program, "no image: --image names one")
                                : cli_files_collect(program.name, names, count, false, NULL, files);
    free(names);
    return code;
}

int main(int argc, char **argv)
{
    stress_settings set;
    cli_args args;
    cli_files files = {0};
    int code;
    if (!cli_args_parse(&program, argc, argv, &set, sizeof set, &args, &code))
        return code;
    if (set.duration_ms > 0 && cli_args_origin(&args, "requests") == CLI_FROM_DEFAULT)
        set.requests = INT64_MAX;
    stress s = {.set = &set, .program = program.name};
    cli_payload_how how = {.kind = set.payload};
    cli_signals_install(on_signal, &s);
    code = check_profile(&set);
    if (code == CLI_EXIT_OK)
        code = collect_images(&args, &set, &files);
    if (code == CLI_EXIT_OK)
        code = open_queue(&s, &args, &set);
    if (code == CLI_EXIT_OK)
        code = prepare_payloads(&s, &files, &how);
    if (code == CLI_EXIT_OK && cli_signals_caught() == 0)
        code = run_all(&s);
    close_all(&s, &set);
    cli_files_release(&files);
    cli_args_release(&args);
    cli_signals_die();
    return code;
}
