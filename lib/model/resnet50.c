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

/* A network in the making. */
typedef struct builder {
    uint32_t layout;
    const float *const *biases;
    iq_layer *ops;
    size_t *sources;
} builder;

static void put_conv(const builder *b, uint32_t op, size_t index, uint32_t input)
{
    const iq_resnet50_conv conv = iq_resnet50_conv_at(index);
    b->sources[op] = index;
    b->ops[op] = (iq_layer){
        .op = IQ_OP_CONV,
        .input = input,
        .residual = IQ_NO_VALUE,
        .kernel = conv.kernel,
        .stride = conv.stage == 0 || has_stride(&conv, b->layout) ? 2 : 1,
        .pad = conv.kernel / 2,
        .in_channels = conv.in_channels,
        .out_channels = conv.out_channels,
        .relu = conv.branch == 1 || conv.branch == 2 || conv.stage == 0,
        .bias = b->biases[index],
    };
}

/* Adds the layers of one block from weights `index` on. @param op the next free place @return the place behind them */
static uint32_t add_block(const builder *b, size_t index, bool first, uint32_t op)
{
    const uint32_t input = op; /* the value that the layer before made */
    uint32_t residual = input;
    if (first) {
        put_conv(b, op, index + 3, input);
        residual = ++op;
    }
    put_conv(b, op, index, input);
    op++;
    put_conv(b, op, index + 1, op);
    op++;
    put_conv(b, op, index + 2, op);
    b->ops[op].residual = residual;
    b->ops[op].relu = 1;
    return op + 1;
}

void iq_resnet50_build(uint32_t layout, uint32_t classes, const float *const *biases, iq_layer *ops, size_t *sources)
{
    const builder b = {.layout = layout, .biases = biases, .ops = ops, .sources = sources};
    for (size_t i = 0; i < IQ_RESNET50_OPS; i++)
        sources[i] = IQ_RESNET50_LAYERS; /* none */
    uint32_t op = 0;
    put_conv(&b, op, 0, 0);
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
        op = add_block(&b, index, first, op);
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
                         .bias = biases[IQ_RESNET50_HEAD]};
    sources[op] = IQ_RESNET50_HEAD;
}
