/* What imgq-model does, one file each. */
#ifndef CLI_MODEL_COMMANDS_H
#define CLI_MODEL_COMMANDS_H

#include <imgq/imgq.h>

#include "cli/common/args.h"
#include "cli/common/model_arg.h"

#define MODEL_PROGRAM "imgq-model"

typedef struct model_settings {
    cli_model_arg model;
    const char *output;
    bool force, tensors, quiet, recursive;
    int info_format, format; /* text|json; text|json|tsv */
    int64_t top, batch, threads, seed, draw;
    const char *engine, *precision, *isa, *files0_from;
    int exif, decode;
    cli_colour background;
} model_settings;

/* Each answers the program's exit code; what is wrong has been said. settings->model.path is there where it is needed.
 */
int model_info(imgq_env *env, const model_settings *settings);
int model_import(imgq_env *env, const model_settings *settings);
int model_verify(imgq_env *env, const model_settings *settings);
int model_run(imgq_env *env, const model_settings *settings, char *const *files, size_t count);
int model_demo(imgq_env *env, const model_settings *settings);

#endif
