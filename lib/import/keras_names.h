/* Keras's many spellings of one variable, reduced to the one that the table of names knows. */
#ifndef IQ_IMPORT_KERAS_NAMES_H
#define IQ_IMPORT_KERAS_NAMES_H

#include <imgq/status.h>

#include "model/weights.h"

/**
 * "conv1_conv/conv1_conv/kernel:0", "conv1/conv1_W:0", "resnet50/conv1_conv/kernel" become LAYER/VARIABLE.
 * @param layer  the layer that the file lists the variable under; used where the variable's own name has none. NULL:
 * none
 * @param out    of IQ_TENSOR_NAME_MAX + 1 bytes
 * @return IMGQ_OK; IMGQ_E_CORRUPT (empty or too long)
 */
IMGQ_CHECKED imgq_status iq_keras_name(const char *layer, const char *variable, char *out, imgq_error *err);

#endif
