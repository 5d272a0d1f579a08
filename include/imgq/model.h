/* A network read from disk, ready to run: weights, labels, and how its pixels are prepared. */
#ifndef IMGQ_MODEL_H
#define IMGQ_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/env.h>
#include <imgq/image.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Knows the weights; immutable: any number of threads and sessions share it. The file stays open and mapped while the
 *  model or a session of it lives, and sessions take their weights from it: replace it by a new file of the same name,
 *  never write into it. */
typedef struct imgq_model imgq_model;

enum { IMGQ_LAYOUT_AUTO = 0, IMGQ_LAYOUT_V1 = 1, IMGQ_LAYOUT_V1_5 = 2 };

typedef struct imgq_model_options {
    size_t size;
    const char *profile;     /* NULL: the file's own */
    const char *labels_path; /* .txt, imagenet_class_index.json or an id2label file; NULL: the file's, else ImageNet's */
    const char *name;        /* what results call it; NULL: the file's metadata or file name */
    uint32_t layout;         /* IMGQ_LAYOUT_...; AUTO: told by the file */
    float bn_eps;            /* 0: the layout's own (v1 1.001e-5, v1.5 1e-5) or what the file says */
} imgq_model_options;

#ifdef __cplusplus
#define IMGQ_MODEL_OPTIONS_INIT \
    ([] { imgq_model_options o = imgq_model_options(); o.size = sizeof o; return o; }())
#else
#define IMGQ_MODEL_OPTIONS_INIT ((imgq_model_options){.size = sizeof(imgq_model_options)})
#endif

/**
 * Open a safetensors file with torchvision's, timm's, Hugging Face's or our own names.
 * (The programs also read Keras and TensorFlow.js files; `imgq-model import` writes them as safetensors.)
 * @return IMGQ_OK; IMGQ_E_NOTFOUND; IMGQ_E_IO; IMGQ_E_FORMAT (not a model; says what it looks like);
 *         IMGQ_E_CORRUPT (names the tensor); IMGQ_E_INVALID (the profile cannot be told: names the choices);
 *         IMGQ_E_UNSUPPORTED; IMGQ_E_LIMIT (too many tensors); IMGQ_E_NOMEM
 */
IMGQ_API IMGQ_CHECKED imgq_status imgq_model_open(imgq_env *env, const char *path,
                                                  const imgq_model_options *options,
                                                  imgq_model **out, imgq_error *err);
IMGQ_API uint32_t imgq_model_class_count(const imgq_model *model);
/** Borrowed from the model; NULL out of range. */
IMGQ_API const char *imgq_model_label(const imgq_model *model, uint32_t class_id);
IMGQ_API const imgq_recipe *imgq_model_recipe(const imgq_model *model);
/** Borrowed: the name that results carry. */
IMGQ_API const char *imgq_model_name(const imgq_model *model);
/** Borrowed: SHA-256 over the weights as read, 64 hex digits. */
IMGQ_API const char *imgq_model_hash(const imgq_model *model);
/** IMGQ_LAYOUT_V1 or IMGQ_LAYOUT_V1_5. */
IMGQ_API uint32_t imgq_model_layout(const imgq_model *model);
/** NULL is a no-op; sessions keep what they need. */
IMGQ_API void imgq_model_close(imgq_model *model);

#ifdef __cplusplus
}
#endif

#endif
