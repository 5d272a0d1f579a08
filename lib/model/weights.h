/* The contract between readers of model files and the network: a set of named tensors as a file holds them.
 *
 * A reader hands over every tensor under the file's OWN name, in the file's own shape and order; it renames, transposes
 * and folds nothing. lib/model/names.c knows the families of names (torchvision and timm, Hugging Face, Keras new and
 * old), and with the family the order of a kernel (OIHW or HWIO), the layout (v1 or v1.5), the default epsilon and the
 * default preprocessing. What a file says beyond its tensors goes into the fields below, 0 or NULL where it is silent.
 *
 * Keras spells one variable in several ways ("conv1_conv/conv1_conv/kernel:0", "conv1/conv1_W:0"). Its readers (HDF5,
 * TensorFlow.js) hand over LAYER/VARIABLE, with VARIABLE one of kernel, bias, gamma, beta, moving_mean,
 * moving_variance: "conv1_conv/kernel", "res2a_branch1/bias", "bn_conv1/moving_mean". The head is the one kernel of
 * rank 2, whatever its layer is called ("probs", "fc1000", "predictions", or a fine-tuner's own name).
 */
#ifndef IQ_MODEL_WEIGHTS_H
#define IQ_MODEL_WEIGHTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <imgq/env.h>
#include <imgq/image.h>
#include <imgq/model.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/shared.h"

enum {
    IQ_DTYPE_F32 = 1,
    IQ_DTYPE_F16 = 2,  /* IEEE half */
    IQ_DTYPE_BF16 = 3, /* the upper half of an F32 */
    IQ_DTYPE_OTHER = 4 /* any other: only for tensors that the network does not read (num_batches_tracked) */
};
enum { IQ_TENSOR_RANK_MAX = 8, IQ_TENSOR_NAME_MAX = 255, IQ_WEIGHTS_MAX = 4096 };

/** One tensor, little-endian, rows packed, last dimension fastest; data at any alignment. */
typedef struct iq_tensor_view {
    const char *name; /* the set's own copy */
    uint32_t dtype;
    uint32_t rank; /* 0: a scalar */
    size_t shape[IQ_TENSOR_RANK_MAX];
    const uint8_t *data; /* borrowed from an owner of the set */
    size_t bytes;
} iq_tensor_view;

enum { IQ_SOURCE_SAFETENSORS = 1, IQ_SOURCE_KERAS_H5 = 2, IQ_SOURCE_TFJS = 3 };

/** One thread builds it; then it is only read, by any thread. */
typedef struct iq_weights {
    imgq_env *env; /* held */
    atomic_size_t holders;
    iq_arena arena; /* names and texts */
    iq_tensor_view *tensors;
    size_t count, cap;
    struct iq_weights_meta *metas; /* iq_weights_meta() */
    struct iq_weights_owner *owners;
    struct iq_weights_file *files;

    uint32_t source;     /* IQ_SOURCE_... */
    const char *path;    /* as the user wrote it, for messages */
    const char *name;    /* the model's own name; NULL: the path's last part without its ending */
    const char *profile; /* preprocessing that the file names; NULL: told by the family of names */
    uint32_t layout;     /* IMGQ_LAYOUT_...; AUTO: told by the family of names */
    float bn_eps;        /* that the file's own configuration says; 0: the layout's */
    const char **labels; /* labels_count of them; NULL: none in the file */
    size_t labels_count;
    uint32_t has_recipe; /* 1: recipe below is the file's own preprocessing in full (its profile field names it) */
    imgq_recipe recipe;
} iq_weights;

/** @param source IQ_SOURCE_... @param path copied @param out owned, iq_weights_destroy() @return IMGQ_OK; IMGQ_E_NOMEM
 */
IQ_SHARED IMGQ_CHECKED imgq_status iq_weights_create(imgq_env *env, uint32_t source, const char *path, iq_weights **out,
                                                     imgq_error *err);
/**
 * @param name   copied, 1..IQ_TENSOR_NAME_MAX bytes
 * @param shape  rank numbers, rank <= IQ_TENSOR_RANK_MAX
 * @param data   borrowed until the set dies (iq_weights_own() ties it to the set)
 * @param bytes  must be what dtype and shape ask for (IQ_DTYPE_OTHER: taken as it is)
 * @return IMGQ_OK; IMGQ_E_CORRUPT (bytes do not fit the shape, the name is there already, rank: names the tensor);
 *         IMGQ_E_LIMIT (more than IQ_WEIGHTS_MAX); IMGQ_E_NOMEM
 */
IQ_SHARED IMGQ_CHECKED imgq_status iq_weights_add(iq_weights *set, const char *name, uint32_t dtype,
                                                  const size_t *shape, uint32_t rank, const void *data, size_t bytes,
                                                  imgq_error *err);
/** Ties memory to the set: release(user, len) runs at destroy, last given first. On failure it has been run already. */
IQ_SHARED IMGQ_CHECKED imgq_status iq_weights_own(iq_weights *set,
                                                  void (*release)(imgq_env *env, void *user, size_t len), void *user,
                                                  size_t len, imgq_error *err);
/** Maps a file for tensors to be borrowed from: memory that the kernel can always have back. It
 * stays mapped and open while the set lives, and must not be written to meanwhile (another file may take its name).
 *  @param file  open for reading; given: closed with the set, on failure at once
 *  @param at    where to, a page's begin in memory of iq_weights_reserve(), if it still has *len bytes; NULL: anywhere
 *  @param bytes out; never NULL
 *  @param len   out; with at: in
 *  @return IMGQ_OK; IMGQ_E_FORMAT (no regular file); IMGQ_E_CORRUPT (another size than with at was said); IMGQ_E_IO;
 *          IMGQ_E_NOMEM */
IQ_SHARED IMGQ_CHECKED imgq_status iq_weights_map(iq_weights *set, int file, void *at, const uint8_t **bytes,
                                                  size_t *len, imgq_error *err);
/** Addresses without memory, for shards to be mapped one behind the other. @return NULL: none left */
IQ_SHARED void *iq_weights_reserve(iq_weights *set, size_t bytes);
/** IMGQ_OK; IMGQ_E_CORRUPT: a mapped file has been written to since, and its bytes cannot be trusted, or touched;
 *  IMGQ_E_IO. */
IQ_SHARED IMGQ_CHECKED imgq_status iq_weights_check_files(const iq_weights *set, imgq_error *err);
/** Gives back the pages of mapped files that were read: they are read again when they are wanted again. */
IQ_SHARED void iq_weights_rest(const iq_weights *set);
/** A block of the env's allocator that lives as long as the set: where a reader decodes tensors into. NULL: no memory
 */
IQ_SHARED void *iq_weights_alloc(iq_weights *set, size_t bytes);
/** A copy of text that lives as long as the set: for the fields above. NULL: no memory */
IQ_SHARED char *iq_weights_text(iq_weights *set, const char *text, size_t len);
/** Free-form key and value (safetensors' __metadata__), copied. */
IQ_SHARED IMGQ_CHECKED imgq_status iq_weights_set_meta(iq_weights *set, const char *key, const char *value,
                                                       imgq_error *err);
/** NULL: no such key. */
IQ_SHARED const char *iq_weights_meta(const iq_weights *set, const char *key);
/** By exact name; NULL: none. */
IQ_SHARED const iq_tensor_view *iq_weights_find(const iq_weights *set, const char *name);
/** One more holder. @return set */
IQ_SHARED iq_weights *iq_weights_hold(iq_weights *set);
/** The last holder ends it. NULL is a no-op. */
IQ_SHARED void iq_weights_destroy(iq_weights *set);

/** Maps a safetensors file and checks all of its header; fills the fields above from its metadata and from a
 *  config.json or preprocessor_config.json beside it. @param out owned. Errors as of imgq_model_open(). */
IQ_SHARED IMGQ_CHECKED imgq_status iq_weights_open_safetensors(imgq_env *env, const char *path, iq_weights **out,
                                                               imgq_error *err);
/** Always fails, with IMGQ_E_FORMAT: says what a file that is no model looks like (a Git-LFS pointer, an HTML page, an
 *  image, a zip, ...). @param head its first bytes, some 512 of them @param wanted "a safetensors file" */
IQ_SHARED imgq_status iq_weights_refuse(const char *path, const void *head, size_t len, const char *wanted,
                                        imgq_error *err);

/**
 * Check and hash: the way from any file to a model. The model holds the set and folds from it what a session asks for;
 * the set must not change any more, but its labels and texts are copied.
 * @param options NULL: defaults; what they say goes before what the set says
 * @return as imgq_model_open()
 */
IQ_SHARED IMGQ_CHECKED imgq_status iq_model_from_weights(imgq_env *env, iq_weights *weights,
                                                         const imgq_model_options *options, imgq_model **out,
                                                         imgq_error *err);
/** The epsilon that was folded in. */
IQ_SHARED float iq_model_bn_eps(const imgq_model *model);

/* For a writer of safetensors: the set's tensors under their own names and, as text in __metadata__, what our reader
 * looks for (docs/model-format.md):
 *   imgq.name      imgq_model_name()
 *   imgq.layout    "v1" or "v1.5"
 *   imgq.bn_eps    iq_json_write_float() of iq_model_bn_eps()
 *   imgq.profile   the recipe's profile
 *   imgq.recipe    iq_recipe_write()
 *   imgq.labels    JSON array of texts, one per class
 * The weight hash covers names, dtypes, shapes and bytes only, so it survives such a rewriting. */
IQ_SHARED bool iq_recipe_write(imgq_env *env, iq_buf *buf, const imgq_recipe *recipe);

#endif
