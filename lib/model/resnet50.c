/* The topology, and nothing about who computes it. */
#include "model/resnet50.h"

#include <imgq/model.h>

static const uint32_t stage_blocks[IQ_RESNET50_STAGES] = {3, 4, 6, 3};

/* Channels inside a block; it leaves with four times as many. */
static uint32_t stage_width(uint32_t stage)
{
    return 64u << (stage - 1);
}

iq_resnet50_conv iq_resnet50_conv_at(size_t index)
{
    if (index == 0)
        return (iq_resnet50_conv){.kernel = 7, .in_channels = 3, .out_channels = 64};
    size_t left = index - 1;
    for (uint32_t stage = 1; stage <= IQ_RESNET50_STAGES; stage++) {
        for (uint32_t block = 0; block < stage_blocks[stage - 1]; block++) {
            const size_t convs = block == 0 ? 4 : 3;
            if (left >= convs) {
                left -= convs;
                continue;
            }
            const uint32_t width = stage_width(stage), branch = left == 3 ? 0 : (uint32_t)left + 1;
            const uint32_t before = block > 0 ? 4 * width : stage == 1 ? 64 : 2 * width;
            return (iq_resnet50_conv){
                .stage = stage,
                .block = block,
                .branch = branch,
                .kernel = branch == 2 ? 3 : 1,
                .in_channels = branch == 0 || branch == 1 ? before : width,
                .out_channels = branch == 0 || branch == 3 ? 4 * width : width,
            };
        }
    }
    return (iq_resnet50_conv){0};
}

static bool has_stride(const iq_resnet50_conv *conv, uint32_t layout)
{
    const uint32_t strided_branch = layout == IMGQ_LAYOUT_V1 ? 1 : 2;
    return conv->stage > 1 && conv->block == 0 && (conv->branch == 0 || conv->branch == strided_branch);
}

static iq_layer conv_layer(size_t index, uint32_t layout, uint32_t input, const iq_resnet50_weights *weights)
{
    const iq_resnet50_conv conv = iq_resnet50_conv_at(index);
    return (iq_layer){
        .op = IQ_OP_CONV,
        .input = input,
        .residual = IQ_NO_VALUE,
        .kernel = conv.kernel,
        .stride = conv.stage == 0 || has_stride(&conv, layout) ? 2 : 1,
        .pad = conv.kernel / 2,
        .in_channels = conv.in_channels,
        .out_channels = conv.out_channels,
        .relu = conv.branch == 1 || conv.branch == 2 || conv.stage == 0,
        .weights = weights[index].weights,
        .bias = weights[index].bias,
    };
}

/* Adds the layers of one block from weights `index` on. @param op the next free place @return the place behind them */
static uint32_t add_block(uint32_t layout, size_t index, bool first, const iq_resnet50_weights *weights, iq_layer *ops,
                          uint32_t op)
{
    const uint32_t input = op; /* the value that the layer before made */
    uint32_t residual = input;
    if (first) {
        ops[op] = conv_layer(index + 3, layout, input, weights);
        residual = ++op;
    }
    ops[op] = conv_layer(index, layout, input, weights);
    op++;
    ops[op] = conv_layer(index + 1, layout, op, weights);
    op++;
    ops[op] = conv_layer(index + 2, layout, op, weights);
    ops[op].residual = residual;
    ops[op].relu = 1;
    return op + 1;
}

void iq_resnet50_build(uint32_t layout, uint32_t classes, const iq_resnet50_weights *weights, iq_layer *ops)
{
    uint32_t op = 0;
    ops[op] = conv_layer(0, layout, 0, weights);
    op++;
    ops[op] = (iq_layer){.op = IQ_OP_MAX_POOL,
                         .input = op,
                         .residual = IQ_NO_VALUE,
                         .kernel = 3,
                         .stride = 2,
                         .pad = 1,
                         .in_channels = 64,
                         .out_channels = 64};
    op++;
    for (size_t index = 1; index < IQ_RESNET50_CONVS;) {
        const bool first = iq_resnet50_conv_at(index).block == 0;
        op = add_block(layout, index, first, weights, ops, op);
        index += first ? 4 : 3;
    }
    ops[op] = (iq_layer){.op = IQ_OP_GLOBAL_AVERAGE,
                         .input = op,
                         .residual = IQ_NO_VALUE,
                         .in_channels = IQ_RESNET50_FEATURES,
                         .out_channels = IQ_RESNET50_FEATURES};
    op++;
    ops[op] = (iq_layer){.op = IQ_OP_DENSE,
                         .input = op,
                         .residual = IQ_NO_VALUE,
                         .in_channels = IQ_RESNET50_FEATURES,
                         .out_channels = classes,
                         .weights = weights[IQ_RESNET50_HEAD].weights,
                         .bias = weights[IQ_RESNET50_HEAD].bias};
}
