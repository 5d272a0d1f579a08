/* Whole ResNet-50s of zeros in memory, under the names of any family, and small safetensors files written by hand. */
#ifndef FAKE_SET_H
#define FAKE_SET_H

#include "model/weights.h"

typedef enum fake_names { FAKE_TORCH, FAKE_HUGGING_FACE, FAKE_KERAS, FAKE_KERAS_OLD } fake_names;

/** What is wrong with the set; zeroed: nothing. */
typedef struct fake_faults {
    const char *leave_out; /* this tensor is missing */
    const char *add;       /* one of this name, shape 3, is there too */
    const char *reshape;   /* this tensor loses its last dimension's last element */
    const char *retype;    /* this tensor is of a type that is not read */
    const char *replace;   /* this tensor's data is `data` */
    const void *data;
} fake_faults;

/** @return owned, iq_weights_destroy(); its data lives until the program ends. NULL when the env ran out of memory */
iq_weights *fake_set(imgq_env *env, fake_names names, size_t classes, const fake_faults *faults);

/** @return owned bytes of a safetensors file: length, header, body of body_len bytes (0, 1, 2, ...) */
uint8_t *fake_file(const char *header, size_t body_len, size_t *len);
/** Writes a file of bytes into the test's own folder. @return its path, static until the next four calls */
const char *fake_path(const char *name, const void *bytes, size_t len);
/** The test's own folder, with the / behind it; made at the first call, removed by fake_clean(). */
const char *fake_folder(void);
void fake_clean(void);

#endif
