/* What the classes are called. */
#ifndef IQ_MODEL_LABELS_H
#define IQ_MODEL_LABELS_H

#include <stddef.h>

#include <imgq/env.h>

#include "base/arena.h"
#include "base/json.h"

enum { IQ_IMAGENET_CLASSES = 1000, IQ_LABEL_MAX = 512 };

/** ImageNet's 1000 in the order and spelling of Keras. */
extern const char *const iq_imagenet_labels[IQ_IMAGENET_CLASSES];

/** A list of labels in an arena. */
typedef struct iq_labels {
    const char **texts;
    size_t count;
} iq_labels;

/**
 * Reads one label per line, or JSON: {"0": ["n01440764", "tench"], ...}, {"0": "tench", ...}, an object that has one
 * under "id2label", or an array of texts.
 * @param arena  takes the texts
 * @return IMGQ_OK; IMGQ_E_NOTFOUND; IMGQ_E_IO; IMGQ_E_CORRUPT (names file and class or line); IMGQ_E_NOMEM
 */
IMGQ_CHECKED imgq_status iq_labels_read(const char *path, iq_arena *arena, iq_labels *out, imgq_error *err);
/** The same from a JSON value. @param from  what messages call it */
IMGQ_CHECKED imgq_status iq_labels_from_json(const iq_json *value, const char *from, iq_arena *arena, iq_labels *out,
                                             imgq_error *err);

#endif
