/* imgq-bench: how fast the network runs here, beside what the processor could do at best. */
#include <imgq/imgq.h>

#include <stdio.h>

#include "cli/bench/bench.h"
#include "cli/common/args.h"
#include "cli/common/exit.h"
#include "cli/common/log.h"
#include "cli/common/signals.h"
#include "cli/common/ui.h"

#define AT(field) offsetof(bench_settings, field)

static const cli_option options[] = {
    CLI_MODEL_OPTION(bench_settings, model, "the model: " CLI_MODEL_FORMATS),
    CLI_MODEL_OPTIONS(bench_settings, model),
    {.group = "Points",
     .name = "batch",
     .letter = 'b',
     .value = "LIST",
     .kind = CLI_TEXT,
     .by_default = "1,8,32",
     .at = AT(batch),
     .help = "images of one run; several, and so below: every combination is a point"},
    {.name = "threads",
     .letter = 't',
     .value = "LIST",
     .kind = CLI_TEXT,
     .by_default = "1",
     .at = AT(threads),
     .help = "threads of the network"},
    {.name = "engine",
     .value = "LIST",
     .kind = CLI_TEXT,
     .by_default = "auto",
     .at = AT(engine),
     .help = "engines, as imgq-worker knows them"},
    {.name = "precision",
     .value = "LIST",
     .kind = CLI_TEXT,
     .by_default = "highest",
     .at = AT(precision),
     .help = "precisions, as imgq-worker knows them"},
    {.group = "Measuring",
     .name = "seconds",
     .letter = 's',
     .value = "S",
     .kind = CLI_SECONDS,
     .by_default = "3",
     .min = 0.001,
     .max = 86400,
     .at = AT(seconds_ms),
     .help = "seconds for each point, all rounds together; for a scenario of each trial"},
    {.name = "rounds",
     .value = "N",
     .kind = CLI_INT,
     .by_default = "9",
     .min = 1,
     .max = 100000,
     .at = AT(rounds),
     .help = "samples of each point, in turn with the other points; the median is theirs"},
    {.name = "layers", .letter = 'l', .kind = CLI_FLAG, .at = AT(layers), .help = "time and algorithm of each layer"},
    {.name = "groups",
     .letter = 'g',
     .kind = CLI_FLAG,
     .at = AT(groups),
     .help = "time and share of the peak of layers with the same window, output and algorithm together"},
    {.name = "isa",
     .value = "NAME",
     .kind = CLI_TEXT,
     .env = "IMGQ_ISA",
     .at = AT(isa),
     .help = "the most that the native engine may use: amx-bf16, avx512-bf16, avx512, avx2 or scalar; all there is "
             "unless said. The peak is "
             "measured with what the engine then uses"},
    {.name = "step",
     .kind = CLI_FLAG,
     .at = AT(step),
     .help = "for scripts that interleave: each line on stdin, a point's number from 0, asks for one sample of it; one "
             "JSON line answers"},
    {.group = "Scenario",
     .name = "scenario",
     .value = "NAME",
     .kind = CLI_CHOICE,
     .choices = "throughput|single|server|offline",
     .by_default = "throughput",
     .at = AT(scenario),
     .help = "the points as above, or load in MLPerf's words (no MLPerf result): one query after the other, queries "
             "by chance, all at once"},
    {.name = "rate",
     .value = "R",
     .kind = CLI_NUMBER,
     .max = 1e6,
     .at = AT(rate),
     .help = "server: queries a second; 0 looks for the highest rate within the bound"},
    {.name = "latency-bound",
     .value = "MS",
     .kind = CLI_INT,
     .by_default = "200",
     .min = 1,
     .max = 3600000,
     .at = AT(bound_ms),
     .help = "server: milliseconds that the 99th percentile must keep"},
    {.name = "seed",
     .value = "N",
     .kind = CLI_INT,
     .by_default = "1",
     .min = 0,
     .max = 1e15,
     .at = AT(seed),
     .help = "server: the same seed makes the same arrivals"},
    {.group = "Output",
     .name = "format",
     .letter = 'f',
     .value = "FORMAT",
     .kind = CLI_CHOICE,
     .choices = "text|json",
     .by_default = "text",
     .at = AT(format),
     .help = "how the figures are printed"},
};

static const char *const synopsis[] = {"--model FILE [OPTION]...", NULL};

static const cli_program program = {
    .name = BENCH_PROGRAM,
    .purpose = "Measures the forward pass of a model, and in the same run the peak of the units that it "
               "computes on, so that a figure says how much of the machine was used.",
    .synopsis = synopsis,
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

static int check(const cli_args *args, const bench_settings *set)
{
    if (args->rest_count > 0)
        return cli_args_wrong(&program, "'%s' is too much: the model is named by --model", args->rest[0]);
    if (set->model.path == NULL || *set->model.path == '\0')
        return cli_args_wrong(&program, "no model: --model FILE or IMGQ_MODEL");
    if (set->step && set->scenario != BENCH_THROUGHPUT)
        return cli_args_wrong(&program, "--step has no --scenario");
    if (set->groups && set->scenario != BENCH_THROUGHPUT)
        return cli_args_wrong(&program, "--groups has no --scenario");
    if (set->layers && set->scenario != BENCH_THROUGHPUT)
        return cli_args_wrong(&program, "--layers has no --scenario");
    return CLI_EXIT_OK;
}

static int run(bench *b)
{
    int code = bench_open(b);
    if (code == CLI_EXIT_OK)
        code = b->settings->scenario != BENCH_THROUGHPUT ? bench_scenario(b)
               : b->settings->step                       ? bench_steps(b)
                                                         : bench_throughput(b);
    bench_close(b);
    return code;
}

int main(int argc, char **argv)
{
    bench_settings set;
    cli_args args;
    cli_log log;
    imgq_error err = {0};
    imgq_env_options env_options = IMGQ_ENV_OPTIONS_INIT;
    int code;
    if (!cli_args_parse(&program, argc, argv, &set, sizeof set, &args, &code))
        return code;
    bench b = {.settings = &set};
    code = check(&args, &set);
    if (code == CLI_EXIT_OK) {
        cli_log_init(&log, BENCH_PROGRAM, NULL, IMGQ_LOG_WARNING, false);
        env_options.log_fn = cli_log_fn;
        env_options.log_user = &log;
        cli_signals_install(NULL, NULL);
        if (imgq_env_create(&env_options, &b.env, &err) != IMGQ_OK)
            code = cli_error_status(BENCH_PROGRAM, &err);
        else
            code = run(&b);
        imgq_env_destroy(b.env);
    }
    cli_args_release(&args);
    cli_signals_die();
    return code;
}
