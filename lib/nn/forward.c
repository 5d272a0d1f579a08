/* Walks through the layers of a plan; each layer is cut into parts that the threads share. */
#include "nn/forward.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/pool.h"
#include "nn/cpu.h"
#include "nn/dispatch.h"
#include "nn/ops/pool.h"
#include "nn/plan.h"
#include "nn/workspace.h"

#include <string.h>

/* A larger run goes through all layers in groups of so many images: the values of a group stay near the caches, memory
 * does not grow with the batch, and late layers still have enough pixels for each reading of their weights. */
enum { GROUP_IMAGES = 8 };

struct iq_forward {
    imgq_env *env; /* held */
    iq_plan plan;
    iq_workspace workspace;
    iq_pool *pool;
    const char *engine;
    uint64_t *layer_ns; /* borrowed; NULL: nobody asks */
};

/* One layer of one group, as the threads see it. */
typedef struct layer_run {
    const iq_forward *forward;
    const iq_layer *layer;
    size_t images;
    const iq_value *in, *out;
    const float *input;
    float *output;
    iq_conv conv;
    iq_conv_split split;
    const iq_conv_kernel *kernel;
} layer_run;

static iq_conv conv_of(const iq_plan *plan, size_t i, size_t images)
{
    const iq_layer *layer = &plan->net.layers[i];
    const iq_value *in = &plan->values[layer->input], *out = &plan->values[i + 1];
    const bool dense = layer->op == IQ_OP_DENSE;
    return (iq_conv){
        .images = images,
        .in_height = in->height,
        .in_width = in->width,
        .in_channels = in->channels,
        .out_height = out->height,
        .out_width = out->width,
        .out_channels = out->channels,
        .kernel = dense ? 1 : layer->kernel,
        .stride = dense ? 1 : layer->stride,
        .pad = dense ? 0 : layer->pad,
        .relu = layer->relu != 0,
        .weights = layer->weights,
        .bias = layer->bias,
    };
}

static bool is_conv(const iq_layer *layer)
{
    return layer->op == IQ_OP_CONV || layer->op == IQ_OP_DENSE;
}

static void conv_part(void *user, size_t part, size_t thread)
{
    const layer_run *run = user;
    const uint64_t saved = iq_fp_enter();
    const iq_conv_part piece = iq_conv_part_at(&run->conv, &run->split, part);
    const iq_workspace *workspace = &run->forward->workspace;
    run->kernel->run(&run->conv, &piece, workspace->scratch + thread * workspace->scratch_step);
    iq_fp_leave(saved);
}

/* One image each. */
static void pool_part(void *user, size_t part, size_t thread)
{
    (void)thread;
    const layer_run *run = user;
    const uint64_t saved = iq_fp_enter();
    if (run->layer->op == IQ_OP_MAX_POOL) {
        const iq_pool_shape shape = {
            .in_height = run->in->height,
            .in_width = run->in->width,
            .out_height = run->out->height,
            .out_width = run->out->width,
            .channels = run->in->channels,
            .kernel = run->layer->kernel,
            .stride = run->layer->stride,
            .pad = run->layer->pad,
        };
        iq_max_pool(&shape, run->input, run->output, part, 1);
    } else {
        iq_global_average(run->input, run->output, run->in->height * run->in->width, run->in->channels, part, 1);
    }
    iq_fp_leave(saved);
}

static const float *value_at(const iq_forward *forward, uint32_t value, const float *nhwc)
{
    return value == 0 ? nhwc : forward->workspace.slots[forward->plan.values[value].slot];
}

static void run_layer(const iq_forward *forward, size_t i, const float *nhwc, size_t images, float *answer)
{
    const iq_plan *plan = &forward->plan;
    const iq_layer *layer = &plan->net.layers[i];
    layer_run run = {
        .forward = forward,
        .layer = layer,
        .images = images,
        .in = &plan->values[layer->input],
        .out = &plan->values[i + 1],
        .input = value_at(forward, layer->input, nhwc),
        .output = i + 1 == plan->net.count ? answer : forward->workspace.slots[plan->values[i + 1].slot],
    };
    if (!is_conv(layer)) {
        const size_t parts = layer->op == IQ_OP_MAX_POOL ? images * run.out->height : images;
        iq_pool_run(forward->pool, parts, pool_part, &run);
        return;
    }
    run.conv = conv_of(plan, i, images);
    run.conv.input = run.input;
    run.conv.output = run.output;
    run.conv.residual = layer->residual == IQ_NO_VALUE ? NULL : value_at(forward, layer->residual, nhwc);
    run.kernel = iq_dispatch_conv(forward->engine, &run.conv);
    run.split = run.kernel->split(&run.conv);
    iq_pool_run(forward->pool, run.split.row_parts * run.split.col_parts, conv_part, &run);
}

static void time_layer(const iq_forward *forward, size_t i, const float *nhwc, size_t images, float *answer)
{
    const int64_t started = forward->layer_ns != NULL ? iq_clock_ns() : 0;
    run_layer(forward, i, nhwc, images, answer);
    if (forward->layer_ns != NULL)
        forward->layer_ns[i] += (uint64_t)(iq_clock_ns() - started);
}

void iq_forward_run(iq_forward *forward, const float *nhwc, size_t images, float *answer)
{
    const size_t in_floats = iq_value_floats(&forward->plan.values[0]);
    const size_t out_floats = iq_forward_answer_floats(forward);
    while (images > 0) {
        const size_t group = images < GROUP_IMAGES ? images : GROUP_IMAGES;
        for (size_t i = 0; i < forward->plan.net.count; i++)
            time_layer(forward, i, nhwc, group, answer);
        nhwc += group * in_floats;
        answer += group * out_floats;
        images -= group;
    }
}

/* The most that any layer asks for, at any size of a group. */
static size_t scratch_floats(const iq_forward *forward, size_t group)
{
    size_t most = 0;
    for (size_t i = 0; i < forward->plan.net.count; i++) {
        for (size_t images = 1; images <= group && is_conv(&forward->plan.net.layers[i]); images++) {
            const iq_conv conv = conv_of(&forward->plan, i, images);
            const size_t floats = iq_dispatch_conv(forward->engine, &conv)->scratch_floats(&conv);
            most = floats > most ? floats : most;
        }
    }
    return most;
}

imgq_status iq_forward_create(imgq_env *env, const iq_net *net, const iq_forward_options *options, iq_forward **out,
                              imgq_error *err)
{
    *out = NULL;
    iq_forward *forward = iq_alloc_array(env, 1, sizeof *forward);
    if (forward == NULL)
        return iq_fail_nomem(err, sizeof *forward);
    forward->env = iq_env_hold(env);
    const size_t group = options->max_images < GROUP_IMAGES ? options->max_images : GROUP_IMAGES;
    imgq_status status = iq_dispatch_engine(options->engine, &forward->engine, err);
    if (status == IMGQ_OK)
        status = iq_plan_create(env, net, options->height, options->width, &forward->plan, err);
    if (status == IMGQ_OK)
        status = iq_workspace_create(env, &forward->plan, group, options->threads, scratch_floats(forward, group),
                                     &forward->workspace, err);
    if (status == IMGQ_OK)
        status = iq_pool_create(env, options->threads, "imgq-forward", &forward->pool, err);
    if (status != IMGQ_OK) {
        iq_forward_destroy(forward);
        return status;
    }
    iq_dispatch_prepare(forward->engine);
    *out = forward;
    return IMGQ_OK;
}

size_t iq_forward_answer_floats(const iq_forward *forward)
{
    return iq_value_floats(&forward->plan.values[forward->plan.net.count]);
}

size_t iq_forward_layers(const iq_forward *forward)
{
    return forward->plan.net.count;
}

iq_forward_layer iq_forward_layer_at(const iq_forward *forward, size_t index, size_t images)
{
    const iq_layer *layer = &forward->plan.net.layers[index];
    const size_t group = images < GROUP_IMAGES ? images : GROUP_IMAGES;
    const iq_conv conv = conv_of(&forward->plan, index, group);
    iq_forward_layer out = {
        .layer = layer, .out_height = conv.out_height, .out_width = conv.out_width, .algorithm = "direct"};
    if (is_conv(layer)) {
        out.macs = (uint64_t)iq_conv_depth(&conv) * conv.out_channels * conv.out_height * conv.out_width;
        out.algorithm = iq_dispatch_conv(forward->engine, &conv)->algorithm(&conv);
    }
    return out;
}

void iq_forward_profile(iq_forward *forward, uint64_t *layer_ns)
{
    forward->layer_ns = layer_ns;
}

size_t iq_forward_arena_bytes(const iq_forward *forward)
{
    return forward->workspace.bytes;
}

size_t iq_forward_packed_bytes(const iq_forward *forward)
{
    (void)forward; /* every kernel of today reads the network's own weights */
    return 0;
}

const char *iq_forward_engine(const iq_forward *forward)
{
    return forward->engine;
}

void iq_forward_destroy(iq_forward *forward)
{
    if (forward == NULL)
        return;
    imgq_env *env = forward->env;
    iq_pool_destroy(forward->pool);
    iq_workspace_release(env, &forward->workspace);
    iq_plan_release(env, &forward->plan);
    iq_free(env, forward);
    imgq_env_destroy(env);
}
