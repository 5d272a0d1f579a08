/* Keras's HDF5 files: weights alone (layers at the root) and whole models (layers under model_weights). */
#ifndef IQ_IMPORT_KERAS_H5_H
#define IQ_IMPORT_KERAS_H5_H

#include "model/weights.h"

/**
 * Every variable of every layer as F32, under the names that model/weights.h describes; with the epsilon and layout of
 * the file's model_config where it has one. libhdf5's own printing is off meanwhile and put back afterwards.
 * @param out owned, iq_weights_destroy(); NULL unless IMGQ_OK
 * @return as iq_import_open()
 */
IMGQ_CHECKED imgq_status iq_keras_h5_open(imgq_env *env, const char *path, iq_weights **out, imgq_error *err);

#endif
