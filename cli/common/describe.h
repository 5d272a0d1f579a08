/* A model in words or as one JSON object: what imgq-model info and import print. */
#ifndef CLI_COMMON_DESCRIBE_H
#define CLI_COMMON_DESCRIBE_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/common/model_arg.h"

typedef struct cli_description {
    const char *path; /* as the user named it */
    const cli_model_file *file;
    const imgq_model *model;
    const char *sha256; /* of the file */
    bool with_tensors;  /* every tensor by name, type and shape */
} cli_description;

/** Lines of "key  value". @return false when it could not be written */
bool cli_describe_text(FILE *out, const cli_description *d);
/** One line. @return false when it could not be written or memory ran out */
bool cli_describe_json(imgq_env *env, FILE *out, const cli_description *d);

#endif
