/* imgq-model info and import: describe a model; write it as safetensors that says everything about itself. */
#include "cli/model/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/common/describe.h"
#include "cli/common/exit.h"
#include "cli/common/ui.h"

typedef struct opened {
    cli_model_file *file;
    imgq_model *model;
    char sha256[65];
} opened;

static int open_model(imgq_env *env, const model_settings *settings, opened *o)
{
    imgq_error err = {0};
    imgq_status status = cli_model_file_open(env, settings->model.path, &o->file, &err);
    if (status == IMGQ_OK)
        status = cli_model_file_hash(o->file, o->sha256, &err);
    if (status == IMGQ_OK)
        status = cli_model_file_model(o->file, &settings->model, &o->model, &err);
    return status == IMGQ_OK ? CLI_EXIT_OK : cli_model_error(MODEL_PROGRAM, &err);
}

static void close_model(opened *o)
{
    imgq_model_close(o->model);
    cli_model_file_close(o->file);
}

static int print(imgq_env *env, const model_settings *settings, const opened *o, const char *path)
{
    const cli_description d = {path, o->file, o->model, o->sha256, settings->tensors};
    if (settings->info_format == 1 ? cli_describe_json(env, stdout, &d) : cli_describe_text(stdout, &d))
        return CLI_EXIT_OK;
    cli_error(MODEL_PROGRAM, "the description could not be written to stdout");
    return CLI_EXIT_SOME;
}

int model_info(imgq_env *env, const model_settings *settings)
{
    opened o = {0};
    int code = open_model(env, settings, &o);
    if (code == CLI_EXIT_OK)
        code = print(env, settings, &o, settings->model.path);
    close_model(&o);
    return code;
}

/* What was written is opened again, so that success means a file that a worker takes. */
static int check_written(imgq_env *env, const model_settings *settings, const imgq_model *model)
{
    model_settings again = {.model.path = settings->output, .info_format = settings->info_format};
    opened o = {0};
    int code = open_model(env, &again, &o);
    if (code == CLI_EXIT_OK && strcmp(imgq_model_hash(o.model), imgq_model_hash(model)) != 0) {
        cli_error(MODEL_PROGRAM, "%s reads back with other weights than were written", settings->output);
        code = CLI_EXIT_SOME;
    }
    if (code == CLI_EXIT_OK && !settings->quiet)
        code = print(env, &again, &o, settings->output);
    close_model(&o);
    return code;
}

int model_import(imgq_env *env, const model_settings *settings)
{
    imgq_error err = {0};
    opened o = {0};
    int code = open_model(env, settings, &o);
    if (code == CLI_EXIT_OK &&
        cli_model_file_write(o.file, o.model, settings->output, settings->force, &err) != IMGQ_OK)
        code = cli_error_status(MODEL_PROGRAM, &err);
    if (code == CLI_EXIT_OK)
        code = check_written(env, settings, o.model);
    close_model(&o);
    return code;
}
