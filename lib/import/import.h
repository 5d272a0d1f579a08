/* Model files of other programs, opened as the set of tensors that the network is built from. For the programs only:
 * HDF5 keeps global state and prints, so none of this is in the shared libraries. One thread at a time. */
#ifndef IQ_IMPORT_IMPORT_H
#define IQ_IMPORT_IMPORT_H

#include <stddef.h>

#include <imgq/env.h>

#include "model/weights.h"

/** Bytes of all tensors of one file: thrice the network with a head of 21,841 classes. */
#define IQ_IMPORT_MAX_BYTES ((size_t)1 << 30)

/**
 * Open a model, whatever it is called: told by its content. A safetensors file; a Keras HDF5 file; a TensorFlow.js
 * layers model, by its folder or its model.json; a folder with a model.safetensors.
 * @param out owned, iq_weights_destroy(); NULL unless IMGQ_OK
 * @return IMGQ_OK; IMGQ_E_NOTFOUND; IMGQ_E_IO; IMGQ_E_FORMAT (says what the file looks like); IMGQ_E_CORRUPT (names the
 *         tensor or the file); IMGQ_E_UNSUPPORTED (a model, but not this network); IMGQ_E_LIMIT; IMGQ_E_NOMEM
 */
IMGQ_CHECKED imgq_status iq_import_open(imgq_env *env, const char *path, iq_weights **out, imgq_error *err);

/** SHA-256 over the bytes of the file; of a TensorFlow.js model over model.json and its shards in the order it names
 *  them; 64 hex digits and a zero. Errors as of iq_import_open(). */
IMGQ_CHECKED imgq_status iq_import_source_hash(imgq_env *env, const iq_weights *set, char out[65], imgq_error *err);

/** Names in messages come from files: what would break the line becomes a question mark. err may be NULL. @return
 * status */
imgq_status iq_import_one_line(imgq_error *err, imgq_status status);

/** The end of a path, short enough to leave a message room for what it has to say. */
const char *iq_import_shown(const char *path);

#endif
