/* ResNet-50 as a table: which layers there are, their shapes, and how they read each other. */
#ifndef IQ_MODEL_RESNET50_H
#define IQ_MODEL_RESNET50_H

#include <stddef.h>
#include <stdint.h>

#include "nn/net.h"

/* Layers that have weights: the stem, then block by block conv 1, 2, 3 and, in each stage's first block, the shortcut;
 * last the head. */
enum {
    IQ_RESNET50_CONVS = 53,
    IQ_RESNET50_HEAD = IQ_RESNET50_CONVS,
    IQ_RESNET50_LAYERS = IQ_RESNET50_CONVS + 1,
    IQ_RESNET50_OPS = IQ_RESNET50_LAYERS + 2, /* and the two pools */
    IQ_RESNET50_FEATURES = 2048,
    IQ_RESNET50_STAGES = 4
};

/** Where a conv stands, and its shape. */
typedef struct iq_resnet50_conv {
    uint32_t stage;  /* 1..4; 0: the stem */
    uint32_t block;  /* in its stage, from 0 */
    uint32_t branch; /* 1, 2, 3; 0: the shortcut */
    uint32_t kernel, in_channels, out_channels;
} iq_resnet50_conv;

/** @param index 0..IQ_RESNET50_CONVS - 1 */
iq_resnet50_conv iq_resnet50_conv_at(size_t index);
/** Layers without weights, which the net reads when they are wanted.
 *  @param layout IMGQ_LAYOUT_V1: a stage's stride is in the 1x1 of branch 1; IMGQ_LAYOUT_V1_5: in the 3x3
 *  @param biases IQ_RESNET50_LAYERS of them, borrowed by the ops @param ops out, IQ_RESNET50_OPS of them
 *  @param sources out, IQ_RESNET50_OPS: which of the layers that have weights each op is */
void iq_resnet50_build(uint32_t layout, uint32_t classes, const float *const *biases, iq_layer *ops, size_t *sources);

#endif
