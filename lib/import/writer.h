/* A model written as one safetensors file that says everything about itself. */
#ifndef IQ_IMPORT_WRITER_H
#define IQ_IMPORT_WRITER_H

#include <stdbool.h>

#include "model/weights.h"

typedef struct iq_write_options {
    const char *source_sha256; /* of the file that the weights came from; NULL: not written */
    const char *note;          /* a sentence about the model ("a demonstration"); NULL: none */
    bool replace;              /* an existing file may be replaced */
} iq_write_options;

/**
 * Writes the set's tensors as they are (what the network does not read, IQ_DTYPE_OTHER, is left out) and the model's
 * name, layout, epsilon, recipe and labels as metadata: docs/model-format.md. The file appears under its name only
 * when it is complete.
 * @param set    what model was made of
 * @return IMGQ_OK; IMGQ_E_CONFLICT (the file is there); IMGQ_E_CORRUPT (a file of the set was written to after it was
 *         opened); IMGQ_E_IO; IMGQ_E_NOMEM
 */
IMGQ_CHECKED imgq_status iq_import_write(imgq_env *env, const iq_weights *set, const imgq_model *model,
                                         const char *path, const iq_write_options *options, imgq_error *err);

#endif
