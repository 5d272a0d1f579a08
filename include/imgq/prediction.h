/* One class and its probability. */
#ifndef IMGQ_PREDICTION_H
#define IMGQ_PREDICTION_H

#include <stdint.h>

/** The class_id of an answer that names its classes by label alone, as the reference's server does. */
#define IMGQ_CLASS_NONE UINT32_MAX

/** Lives in arrays: frozen. */
typedef struct imgq_prediction {
    uint32_t class_id;
    float probability;
} imgq_prediction;

#endif
