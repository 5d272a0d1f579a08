/* What a network is, without a word about who computes it: a list of layers, each reading values made before it. */
#ifndef IQ_NN_NET_H
#define IQ_NN_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <imgq/status.h>

enum { IQ_OP_CONV = 0, IQ_OP_MAX_POOL = 1, IQ_OP_GLOBAL_AVERAGE = 2, IQ_OP_DENSE = 3 };

/** Value 0 is the network's input; layer i makes value i + 1. No layer reads it: */
enum { IQ_NO_VALUE = UINT32_MAX };

/** Values are NHWC. The window of conv and pool is kernel x kernel, moved by stride; pad is added on all four sides
 *  (zeros for conv, nothing at all for max). */
typedef struct iq_layer {
    uint32_t op;       /* IQ_OP_... */
    uint32_t input;    /* value read */
    uint32_t residual; /* conv: value added before the ReLU, or IQ_NO_VALUE */
    uint32_t kernel, stride, pad;
    uint32_t in_channels; /* must be the input's */
    uint32_t out_channels;
    uint32_t relu;        /* conv: negative results become 0 */
    const float *weights; /* conv, dense: [kernel][kernel][in_channels][out_channels]; borrowed, 64-byte aligned; NULL:
                           * the net's read_weights() has them */
    const float *bias;    /* conv, dense: [out_channels]; borrowed */
} iq_layer;

typedef struct iq_net {
    const iq_layer *layers; /* borrowed; the last one's output is the answer */
    size_t count;
    uint32_t in_channels;
    /** Writes the weights of a layer that points to none, as [kernel][kernel][in_channels][out_channels]. Called by any
     *  thread, by several at a time, whenever a pass wants an order of weights that no pass before it wanted.
     *  @param out 64-byte aligned @return IMGQ_OK; any failure */
    imgq_status (*read_weights)(void *user, size_t layer, float *out, imgq_error *err);
    void *read_user;
} iq_net;

/** Floats of a conv's or dense layer's weights. */
static inline size_t iq_layer_weight_floats(const iq_layer *layer)
{
    const size_t kernel = layer->op == IQ_OP_DENSE ? 1 : layer->kernel;
    return kernel * kernel * layer->in_channels * layer->out_channels;
}

#endif
