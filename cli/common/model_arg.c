/* The one file of the programs that sees the importers. */
#include "cli/common/model_arg.h"

#include "cli/common/exit.h"
#include "cli/common/ui.h"

#include "import/import.h"
#include "import/writer.h"

#include <stdint.h>
#include <string.h>

/* A cli_model_file is the importers' set of tensors under another name, so that no other file of the programs has to
 * see it. */
static iq_weights *set_of(const cli_model_file *file)
{
    return (iq_weights *)(uintptr_t)file;
}

imgq_status cli_model_open(imgq_env *env, const cli_model_arg *arg, imgq_model **out, imgq_error *err)
{
    cli_model_file *file = NULL;
    *out = NULL;
    imgq_status status = cli_model_file_open(env, arg->path, &file, err);
    if (status == IMGQ_OK)
        status = cli_model_file_model(file, arg, out, err);
    cli_model_file_close(file);
    return status;
}

int cli_model_error(const char *program, const imgq_error *err)
{
    cli_error(program, "%s", err->message);
    return err->status == IMGQ_E_NOMEM ? CLI_EXIT_SOME : CLI_EXIT_CONFIG;
}

imgq_status cli_model_file_open(imgq_env *env, const char *path, cli_model_file **out, imgq_error *err)
{
    iq_weights *set = NULL;
    imgq_status status = iq_import_open(env, path, &set, err);
    *out = (cli_model_file *)set;
    return status;
}

const char *cli_model_file_format(const cli_model_file *file)
{
    switch (set_of(file)->source) {
    case IQ_SOURCE_KERAS_H5:
        return "Keras HDF5";
    case IQ_SOURCE_TFJS:
        return "TensorFlow.js";
    default:
        return "safetensors";
    }
}

imgq_status cli_model_file_hash(const cli_model_file *file, char out[65], imgq_error *err)
{
    return iq_import_source_hash(set_of(file)->env, set_of(file), out, err);
}

size_t cli_model_file_tensor_count(const cli_model_file *file)
{
    return set_of(file)->count;
}

void cli_model_file_tensor(const cli_model_file *file, size_t index, cli_model_tensor *out)
{
    static const char *const dtypes[] = {"?", "F32", "F16", "BF16", "other"};
    const iq_tensor_view *tensor = &set_of(file)->tensors[index];
    *out = (cli_model_tensor){.name = tensor->name,
                              .dtype = dtypes[tensor->dtype],
                              .rank = tensor->rank,
                              .bytes = tensor->bytes,
                              .data = tensor->data};
    memcpy(out->shape, tensor->shape, tensor->rank * sizeof *out->shape);
}

const char *cli_model_file_meta(const cli_model_file *file, const char *key)
{
    return iq_weights_meta(set_of(file), key);
}

imgq_status cli_model_file_model(const cli_model_file *file, const cli_model_arg *arg, imgq_model **out,
                                 imgq_error *err)
{
    imgq_model_options options = IMGQ_MODEL_OPTIONS_INIT;
    options.profile = arg->profile;
    options.labels_path = arg->labels;
    options.name = arg->name;
    options.layout = (uint32_t)arg->layout;
    options.bn_eps = (float)arg->bn_eps;
    return iq_model_from_weights(set_of(file)->env, set_of(file), &options, out, err);
}

double cli_model_bn_eps(const imgq_model *model)
{
    return (double)iq_model_bn_eps(model);
}

imgq_status cli_model_file_write(const cli_model_file *file, const imgq_model *model, const char *output, bool replace,
                                 imgq_error *err)
{
    const iq_weights *set = set_of(file);
    char hash[65];
    imgq_status status = iq_import_source_hash(set->env, set, hash, err);
    if (status != IMGQ_OK)
        return status;
    const iq_write_options options = {.source_sha256 = hash, .replace = replace};
    return iq_import_write(set->env, set, model, output, &options, err);
}

void cli_model_file_close(cli_model_file *file)
{
    iq_weights_destroy(set_of(file));
}
