/* The families of tensor names that ResNet-50 is published under, and what each of them tells. */
#ifndef IQ_MODEL_NAMES_H
#define IQ_MODEL_NAMES_H

#include "model/resnet50.h"
#include "model/weights.h"

typedef enum iq_family {
    IQ_FAMILY_TORCH = 0,        /* torchvision and timm: layer1.0.conv1.weight, OIHW, v1.5 */
    IQ_FAMILY_HUGGING_FACE = 1, /* resnet.encoder.stages.0.layers.0.layer.0.convolution.weight, OIHW, v1.5 */
    IQ_FAMILY_KERAS = 2,        /* conv2_block1_1_conv/kernel, HWIO, v1 */
    IQ_FAMILY_KERAS_OLD = 3     /* res2a_branch2a/kernel, HWIO, v1 */
} iq_family;

enum {
    IQ_ROLE_KERNEL = 0,
    IQ_ROLE_BIAS = 1, /* of a conv: may be missing */
    IQ_ROLE_GAMMA = 2,
    IQ_ROLE_BETA = 3,
    IQ_ROLE_MEAN = 4,
    IQ_ROLE_VARIANCE = 5,
    IQ_ROLES = 6
};

/** The tensors of one layer, borrowed from the set; the head has a kernel and a bias alone. */
typedef struct iq_named_layer {
    const iq_tensor_view *roles[IQ_ROLES];
} iq_named_layer;

typedef struct iq_named {
    iq_family family;
    uint32_t classes;
    iq_named_layer layers[IQ_RESNET50_LAYERS];
} iq_named;

static inline bool iq_family_is_keras(iq_family family)
{
    return family == IQ_FAMILY_KERAS || family == IQ_FAMILY_KERAS_OLD;
}

/** Finds every tensor of the network and checks types and shapes.
 *  @return IMGQ_OK; IMGQ_E_FORMAT (no ResNet-50 at all); IMGQ_E_CORRUPT (names the tensor that is missing, foreign or
 *          of another shape); IMGQ_E_UNSUPPORTED (names the tensor of another type); IMGQ_E_NOMEM */
IMGQ_CHECKED imgq_status iq_names_resolve(const iq_weights *set, iq_named *out, imgq_error *err);

#endif
