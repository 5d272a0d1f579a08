/* The demonstration's network as a safetensors file. */
#ifndef CLI_MODEL_DEMO_FILE_H
#define CLI_MODEL_DEMO_FILE_H

#include <stddef.h>

#include <imgq/status.h>

#include "cli/model/backbone.h"

typedef struct demo_head {
    const float *weights; /* BACKBONE_FEATURES x classes */
    const float *bias;
    size_t classes;
    const char *(*label)(size_t class_id, void *user); /* without quotes and backslashes */
    void *user;
} demo_head;

/** Writes path, replacing what is there, under Keras's names. @return IMGQ_OK; IMGQ_E_IO; IMGQ_E_NOMEM */
IMGQ_CHECKED imgq_status demo_file_write(const char *path, const char *name, const char *note,
                                         const demo_backbone *backbone, const demo_head *head, imgq_error *err);

#endif
