/* --model and its companions: a model of any format, told by its content; and what imgq-model says and writes of it. */
#ifndef CLI_COMMON_MODEL_ARG_H
#define CLI_COMMON_MODEL_ARG_H

#include <stdbool.h>
#include <stddef.h>

#include <imgq/model.h>

#include "cli/common/args.h"

/** Part of a program's settings: a field `cli_model_arg model`, or another name. */
typedef struct cli_model_arg {
    const char *path, *labels, *profile, *name;
    int layout; /* IMGQ_LAYOUT_... */
    double bn_eps;
} cli_model_arg;

/* Rows for the table of options. */
#define CLI_MODEL_OPTION(type, field, text)                                                                            \
    {                                                                                                                  \
        .group = "Model", .name = "model", .letter = 'm', .value = "FILE", .kind = CLI_TEXT, .env = "IMGQ_MODEL",      \
        .at = offsetof(type, field.path), .help = text                                                                 \
    }
#define CLI_MODEL_OPTIONS(type, field)                                                                                 \
    {.name = "labels",                                                                                                 \
     .value = "FILE",                                                                                                  \
     .kind = CLI_TEXT,                                                                                                 \
     .at = offsetof(type, field.labels),                                                                               \
     .help = "names of the classes: one a line, imagenet_class_index.json or an id2label file"},                       \
        {.name = "profile",                                                                                            \
         .value = "NAME",                                                                                              \
         .kind = CLI_TEXT,                                                                                             \
         .at = offsetof(type, field.profile),                                                                          \
         .help = "how pixels are prepared: keras, torchvision, torchvision-v2 or timm; the model's own if not said"},  \
        {.name = "layout",                                                                                             \
         .value = "VERSION",                                                                                           \
         .kind = CLI_CHOICE,                                                                                           \
         .choices = "auto|v1|v1.5",                                                                                    \
         .by_default = "auto",                                                                                         \
         .at = offsetof(type, field.layout),                                                                           \
         .help = "where the strides are: in the first 1x1 (v1, Keras) or in the 3x3 (v1.5, PyTorch)"},                 \
    {                                                                                                                  \
        .name = "bn-eps", .value = "NUMBER", .kind = CLI_NUMBER, .max = 1, .at = offsetof(type, field.bn_eps),         \
        .help = "epsilon of the batch norms; what the model says, else its layout's, if not said"                      \
    }

/** What the programs' models are, for --help. */
#define CLI_MODEL_FORMATS "safetensors, Keras .h5, or a TensorFlow.js folder or model.json"

/** Opens the model that the arguments name. @param out owned, imgq_model_close() @return as imgq_model_open() */
IMGQ_CHECKED imgq_status cli_model_open(imgq_env *env, const cli_model_arg *arg, imgq_model **out, imgq_error *err);

/** Says why a model could not be opened. @return CLI_EXIT_CONFIG; CLI_EXIT_SOME where only memory was short */
int cli_model_error(const char *program, const imgq_error *err);

/** A model's file, read but not yet made into a network. One thread at a time. */
typedef struct cli_model_file cli_model_file;

typedef struct cli_model_tensor {
    const char *name, *dtype; /* borrowed from the file */
    size_t shape[8], rank, bytes;
    const void *data; /* borrowed, little-endian, at any alignment */
} cli_model_tensor;

/** @param out owned, cli_model_file_close() */
IMGQ_CHECKED imgq_status cli_model_file_open(imgq_env *env, const char *path, cli_model_file **out, imgq_error *err);
/** "safetensors", "Keras HDF5", "TensorFlow.js"; static. */
const char *cli_model_file_format(const cli_model_file *file);
/** SHA-256 over the file's bytes, 64 hex digits and a zero. */
IMGQ_CHECKED imgq_status cli_model_file_hash(const cli_model_file *file, char out[65], imgq_error *err);
size_t cli_model_file_tensor_count(const cli_model_file *file);
void cli_model_file_tensor(const cli_model_file *file, size_t index, cli_model_tensor *out);
/** NULL: the file's metadata has no such key. Borrowed. */
const char *cli_model_file_meta(const cli_model_file *file, const char *key);
/** The network of the file; arg->path is not looked at. @param out owned, imgq_model_close() */
IMGQ_CHECKED imgq_status cli_model_file_model(const cli_model_file *file, const cli_model_arg *arg, imgq_model **out,
                                              imgq_error *err);
/** The epsilon that the model's batch norms were folded with. */
double cli_model_bn_eps(const imgq_model *model);
/** Writes file and what model says of it as safetensors. @param replace an existing output may be replaced
 *  @return IMGQ_OK; IMGQ_E_CONFLICT (output is there); IMGQ_E_IO */
IMGQ_CHECKED imgq_status cli_model_file_write(const cli_model_file *file, const imgq_model *model, const char *output,
                                              bool replace, imgq_error *err);
/** NULL is a no-op. */
void cli_model_file_close(cli_model_file *file);

#endif
