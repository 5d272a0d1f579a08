#include "small_net.h"

#include "nn_tests.h"

#include <math.h>
#include <stdlib.h>

/* The stem, a pool, a block with a strided shortcut, a mean and a head. */
static const iq_layer shapes[SMALL_LAYERS] = {
    {.op = IQ_OP_CONV,
     .input = 0,
     .residual = IQ_NO_VALUE,
     .kernel = 7,
     .stride = 2,
     .pad = 3,
     .in_channels = 3,
     .out_channels = 24,
     .relu = 1},
    {.op = IQ_OP_MAX_POOL,
     .input = 1,
     .residual = IQ_NO_VALUE,
     .kernel = 3,
     .stride = 2,
     .pad = 1,
     .in_channels = 24,
     .out_channels = 24},
    {.op = IQ_OP_CONV,
     .input = 2,
     .residual = IQ_NO_VALUE,
     .kernel = 1,
     .stride = 2,
     .in_channels = 24,
     .out_channels = 96},
    {.op = IQ_OP_CONV,
     .input = 2,
     .residual = IQ_NO_VALUE,
     .kernel = 1,
     .stride = 1,
     .in_channels = 24,
     .out_channels = 32,
     .relu = 1},
    {.op = IQ_OP_CONV,
     .input = 4,
     .residual = IQ_NO_VALUE,
     .kernel = 3,
     .stride = 2,
     .pad = 1,
     .in_channels = 32,
     .out_channels = 32,
     .relu = 1},
    {.op = IQ_OP_CONV,
     .input = 5,
     .residual = 3,
     .kernel = 1,
     .stride = 1,
     .in_channels = 32,
     .out_channels = 96,
     .relu = 1},
    {.op = IQ_OP_GLOBAL_AVERAGE, .input = 6, .residual = IQ_NO_VALUE, .in_channels = 96, .out_channels = 96},
    {.op = IQ_OP_DENSE, .input = 7, .residual = IQ_NO_VALUE, .in_channels = 96, .out_channels = SMALL_CLASSES},
};

void small_net_make(small_net *small)
{
    for (size_t i = 0; i < SMALL_LAYERS; i++) {
        small->layers[i] = shapes[i];
        if (shapes[i].op != IQ_OP_CONV && shapes[i].op != IQ_OP_DENSE)
            continue;
        const size_t taps = shapes[i].op == IQ_OP_DENSE ? 1 : (size_t)shapes[i].kernel * shapes[i].kernel;
        const size_t depth = taps * shapes[i].in_channels;
        float *weights = random_floats(depth * shapes[i].out_channels);
        for (size_t w = 0; w < depth * shapes[i].out_channels; w++)
            weights[w] *= sqrtf(6.0f / (float)depth);
        small->layers[i].weights = weights;
        small->layers[i].bias = random_floats(shapes[i].out_channels);
    }
    small->net = (iq_net){.layers = small->layers, .count = SMALL_LAYERS, .in_channels = 3};
}

void small_net_free(small_net *small)
{
    for (size_t i = 0; i < SMALL_LAYERS; i++) {
        free((void *)small->layers[i].weights);
        free((void *)small->layers[i].bias);
    }
}
