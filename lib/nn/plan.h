/* The shapes of every value of a network at one input size, and in which slot of memory each lives. */
#ifndef IQ_NN_PLAN_H
#define IQ_NN_PLAN_H

#include <imgq/env.h>

#include "nn/net.h"
#include "nn/type.h"

typedef struct iq_value {
    size_t height, width, channels;
    iq_type type;
    size_t step;   /* elements from pixel to pixel; lines and images follow without gaps */
    uint32_t slot; /* shared with values that are dead when this one is made; the network's input has none */
} iq_value;

enum { IQ_PLAN_SLOTS_MAX = 16 };

/** How values lie in memory, and in which order layers meet images. Zeroed: packed, all images layer by layer. */
typedef struct iq_plan_style {
    iq_type type;         /* of what convolutions make, and max pools of that; the input, means, what is dense, and the
                           * answer are IQ_F32 */
    size_t gap;           /* bytes left free behind each pixel of GAP_BYTES_MIN and more */
    size_t single_pixels; /* the first layers, as long as their outputs have so many pixels, run image by image */
} iq_plan_style;

typedef struct iq_plan {
    iq_net net;
    iq_value *values;     /* net.count + 1 */
    size_t single_layers; /* so many layers run image by image */
    uint32_t slots;
    size_t slot_floats[IQ_PLAN_SLOTS_MAX];  /* of one image */
    bool slot_is_single[IQ_PLAN_SLOTS_MAX]; /* its values are made and read within the single layers: holds one image */
} iq_plan;

/** Room that one image's value takes, in floats whatever its type. */
static inline size_t iq_value_floats(const iq_value *value)
{
    return (value->height * value->width * value->step * iq_type_bytes(value->type) + sizeof(float) - 1) /
           sizeof(float);
}

/** @param style NULL: zeroed @param net borrowed while the plan lives @return IMGQ_OK; IMGQ_E_INVALID (layers that do
 * not fit each other, or an input too small: names the layer); IMGQ_E_NOMEM */
IMGQ_CHECKED imgq_status iq_plan_create(imgq_env *env, const iq_net *net, size_t height, size_t width,
                                        const iq_plan_style *style, iq_plan *out, imgq_error *err);
/** Whether a max pool's input, and what a convolution adds, are of the type that the layer makes: no kernel converts
 *  those. True of all layers where the style's type is IQ_F32. */
bool iq_plan_types_fit(const iq_plan *plan, size_t layer);
/** Zeroed plans are fine. */
void iq_plan_release(imgq_env *env, iq_plan *plan);

#endif
