/* One class and its probability. */
#ifndef IMGQ_PREDICTION_H
#define IMGQ_PREDICTION_H

#include <stdint.h>

/** Lives in arrays: frozen. */
typedef struct imgq_prediction {
    uint32_t class_id;
    float probability;
} imgq_prediction;

#endif
