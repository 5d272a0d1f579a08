/* TensorFlow.js layers models: a model.json and the shards that it names, in one folder. */
#ifndef IQ_IMPORT_TFJS_H
#define IQ_IMPORT_TFJS_H

#include "base/crypto.h"
#include "model/weights.h"

/**
 * The weights under the names that model/weights.h describes, with the epsilon and layout of the model's own topology.
 * float32 is taken as it is; weights quantised to float16 stay so, those to uint8 and uint16 are widened.
 * @param path  the folder or its model.json
 * @param out   owned, iq_weights_destroy(); NULL unless IMGQ_OK
 * @return as iq_import_open()
 */
IMGQ_CHECKED imgq_status iq_tfjs_open(imgq_env *env, const char *path, iq_weights **out, imgq_error *err);

/** Adds model.json and its shards, in the order it names them, to hash. @param path as above */
IMGQ_CHECKED imgq_status iq_tfjs_hash(imgq_env *env, const char *path, iq_sha256 *hash, imgq_error *err);

#endif
