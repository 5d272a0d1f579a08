/* imgq-model: what a model file is, whether it is right, the same as safetensors, and pictures through it without
 * Redis. */
#include <imgq/imgq.h>

#include <stdio.h>

#include "cli/common/args.h"
#include "cli/common/exit.h"
#include "cli/common/log.h"
#include "cli/common/signals.h"
#include "cli/common/ui.h"
#include "cli/model/commands.h"

enum { INFO, IMPORT, VERIFY, RUN, DEMO };
#define ONLY(command) (1U << (command))
#define AT(field) offsetof(model_settings, field)

static const cli_command commands[] = {
    {"info", "[FILE]", "describe a model: network, classes, profile, hashes"},
    {"import", "[FILE]", "write a model as one safetensors file that says everything about itself"},
    {"verify", "[FILE]", "open a model, run it, compare with stored answers where there are some"},
    {"run", "IMAGE...", "classify files here, without Redis"},
    {"demo", NULL, "make a small model and drawings for it, where no weights can be had"},
};

static const cli_option options[] = {
    CLI_MODEL_OPTION(model_settings, model,
                     "the model: " CLI_MODEL_FORMATS "; for info, import and verify also the argument"),
    CLI_MODEL_OPTIONS(model_settings, model),
    {.name = "name",
     .value = "NAME",
     .kind = CLI_TEXT,
     .at = AT(model.name),
     .help = "what results call the model; its own name, else its file's, if not said"},
    {.group = "Output",
     .name = "output",
     .letter = 'o',
     .value = "PATH",
     .kind = CLI_TEXT,
     .at = AT(output),
     .commands = ONLY(IMPORT) | ONLY(DEMO),
     .help = "the safetensors file (import) or the folder (demo) to write"},
    {.name = "force",
     .kind = CLI_FLAG,
     .at = AT(force),
     .commands = ONLY(IMPORT) | ONLY(DEMO),
     .help = "replace what is there"},
    {.name = "tensors", .kind = CLI_FLAG, .at = AT(tensors), .commands = ONLY(INFO), .help = "list every tensor, too"},
    {.name = "format",
     .letter = 'f',
     .value = "FORMAT",
     .kind = CLI_CHOICE,
     .choices = "text|json|tsv",
     .by_default = "text",
     .at = AT(format),
     .commands = ONLY(INFO) | ONLY(IMPORT) | ONLY(RUN),
     .help = "form of the answers; tsv for run alone"},
    {.name = "quiet", .kind = CLI_FLAG, .at = AT(quiet), .help = "no progress bar and no description"},
    {.group = "Running",
     .name = "top",
     .letter = 'k',
     .value = "K",
     .kind = CLI_INT,
     .by_default = "5",
     .min = 1,
     .max = 1000,
     .at = AT(top),
     .commands = ONLY(RUN),
     .help = "answers for each image"},
    {.name = "batch",
     .letter = 'b',
     .value = "N",
     .kind = CLI_INT,
     .by_default = "32",
     .min = 1,
     .max = 1024,
     .at = AT(batch),
     .commands = ONLY(RUN),
     .help = "images that run together"},
    {.name = "threads",
     .letter = 't',
     .value = "N",
     .kind = CLI_INT,
     .by_default = "0",
     .min = 0,
     .max = 1024,
     .at = AT(threads),
     .commands = ONLY(RUN) | ONLY(VERIFY) | ONLY(DEMO),
     .help = "threads of the network; 0: as many cores as the process is granted"},
    {.name = "engine",
     .value = "NAME",
     .kind = CLI_TEXT,
     .at = AT(engine),
     .commands = ONLY(RUN) | ONLY(VERIFY) | ONLY(DEMO),
     .help = "auto, scalar, openblas or native"},
    {.name = "isa",
     .value = "NAME",
     .kind = CLI_TEXT,
     .env = "IMGQ_ISA",
     .at = AT(isa),
     .commands = ONLY(RUN) | ONLY(VERIFY) | ONLY(DEMO),
     .help = "the most that the native engine may use: amx-bf16, avx512-bf16, avx512, avx2 or scalar; all there is "
             "unless said"},
    {.name = "precision",
     .value = "NAME",
     .kind = CLI_TEXT,
     .at = AT(precision),
     .commands = ONLY(RUN) | ONLY(VERIFY),
     .help = "as imgq-worker knows it; highest if not said"},
    {.name = "exif",
     .value = "WHAT",
     .kind = CLI_CHOICE,
     .choices = "ignore|apply",
     .by_default = "ignore",
     .at = AT(exif),
     .commands = ONLY(RUN),
     .help = "whether photos are turned as their EXIF orientation says"},
    {.name = "decode",
     .value = "HOW",
     .kind = CLI_CHOICE,
     .choices = "exact|fast",
     .by_default = "exact",
     .at = AT(decode),
     .commands = ONLY(RUN),
     .help = "fast: large JPEGs are decoded at a fraction of their size; pixels are no longer Pillow's"},
    {.name = "background",
     .value = "COLOUR",
     .kind = CLI_COLOUR,
     .at = AT(background),
     .commands = ONLY(RUN),
     .help = "put transparent pixels on this colour; without it their alpha is dropped"},
    {.name = "recursive",
     .letter = 'R',
     .kind = CLI_FLAG,
     .at = AT(recursive),
     .commands = ONLY(RUN),
     .help = "go into folders"},
    {.name = "files0-from",
     .value = "FILE",
     .kind = CLI_TEXT,
     .at = AT(files0_from),
     .commands = ONLY(RUN),
     .help = "read names of images, each ended by a zero byte, from FILE, or from stdin if FILE is -"},
    {.group = "Demonstration",
     .name = "seed",
     .value = "N",
     .kind = CLI_INT,
     .by_default = "1",
     .min = 0,
     .max = 1e9,
     .at = AT(seed),
     .commands = ONLY(DEMO),
     .help = "the same seed makes the same model and drawings"},
    {.name = "draw",
     .value = "N",
     .kind = CLI_INT,
     .by_default = "60",
     .min = 0,
     .max = 9999,
     .at = AT(draw),
     .commands = ONLY(DEMO),
     .help = "fresh drawings to make and to try the model on"},
};

static const cli_program program = {
    .name = MODEL_PROGRAM,
    .purpose = "Looks into model files, imports them, and runs them on pictures without Redis.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .commands = commands,
    .command_count = sizeof commands / sizeof *commands,
};

/* info, import and verify take the model as their argument, too. @return CLI_EXIT_... */
static int take_model(const cli_args *args, model_settings *settings)
{
    const bool is_argument = args->command == INFO || args->command == IMPORT || args->command == VERIFY;
    if (is_argument && args->rest_count > 1)
        return cli_args_wrong(&program, "%s takes one model, %zu were given", commands[args->command].name,
                              args->rest_count);
    if (is_argument && args->rest_count == 1)
        settings->model.path = args->rest[0];
    if (args->command != DEMO && (settings->model.path == NULL || *settings->model.path == '\0'))
        return cli_args_wrong(&program, "%s needs a model: --model FILE or IMGQ_MODEL", commands[args->command].name);
    if ((args->command == IMPORT || args->command == DEMO) && (settings->output == NULL || *settings->output == '\0'))
        return cli_args_wrong(&program, "%s needs --output", commands[args->command].name);
    if (args->command != RUN && settings->format == 2)
        return cli_args_wrong(&program, "%s has no --format tsv", commands[args->command].name);
    settings->info_format = settings->format;
    return CLI_EXIT_OK;
}

static int run_command(imgq_env *env, const cli_args *args, const model_settings *settings)
{
    switch (args->command) {
    case INFO:
        return model_info(env, settings);
    case IMPORT:
        return model_import(env, settings);
    case VERIFY:
        return model_verify(env, settings);
    case RUN:
        return model_run(env, settings, args->rest, args->rest_count);
    default:
        return model_demo(env, settings);
    }
}

int main(int argc, char **argv)
{
    model_settings settings;
    cli_args args;
    cli_log log;
    imgq_env *env = NULL;
    imgq_error err = {0};
    imgq_env_options env_options = IMGQ_ENV_OPTIONS_INIT;
    int code;
    if (!cli_args_parse(&program, argc, argv, &settings, sizeof settings, &args, &code))
        return code;
    code = take_model(&args, &settings);
    if (code == CLI_EXIT_OK) {
        cli_log_init(&log, MODEL_PROGRAM, NULL, IMGQ_LOG_WARNING, false);
        env_options.log_fn = cli_log_fn;
        env_options.log_user = &log;
        cli_signals_install(NULL, NULL);
        if (imgq_env_create(&env_options, &env, &err) != IMGQ_OK)
            code = cli_error_status(MODEL_PROGRAM, &err);
        else
            code = run_command(env, &args, &settings);
        imgq_env_destroy(env);
    }
    cli_args_release(&args);
    cli_signals_die();
    return code;
}
