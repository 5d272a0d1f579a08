/* What the configuration of a whole Keras model says that its weights do not. */
#ifndef IQ_IMPORT_KERAS_CONFIG_H
#define IQ_IMPORT_KERAS_CONFIG_H

#include <imgq/status.h>

#include "base/json.h"
#include "model/weights.h"

/**
 * Reads the layers, nested models too, and fills the set's bn_eps, layout and name.
 * @param config  {"class_name": "Model", "config": {"layers": [...]}}; borrowed
 * @return IMGQ_OK; IMGQ_E_UNSUPPORTED (a layer that ResNet-50 has not, another input size, a head that is not softmax,
 *         several epsilons: names the layer); IMGQ_E_CORRUPT (no layers)
 */
IMGQ_CHECKED imgq_status iq_keras_config_read(iq_weights *set, const iq_json *config, imgq_error *err);

#endif
