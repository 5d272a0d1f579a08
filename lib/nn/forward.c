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

enum {
    /* A larger run goes through the layers in groups of so many images: the values of a group stay near the caches,
     * memory does not grow with the batch, and late layers still have enough pixels for each reading of their weights.
     */
    GROUP_IMAGES = 8,
    /* Native kernels: 14 pixels a power of two apart would fall into one set of the cache. */
    PIXEL_GAP = 64,
    /* Native kernels: layers with so many pixels have few weights, and values that leave the caches between layers. */
    SINGLE_PIXELS = 28 * 28
};

/* How a layer is computed. */
typedef struct step {
    const iq_conv_kernel *kernel; /* conv and dense */
    const float *weights;         /* shared, plain; NULL: the kernel reads packed */
    const float *packed;          /* shared; NULL: the kernel reads weights */
} step;

struct iq_forward {
    imgq_env *env; /* held */
    iq_plan plan;
    iq_workspace workspace;
    iq_pool *pool;
    iq_engine engine;
    iq_packs *packs;
    iq_packs *own_packs;
    step *steps;        /* plan.net.count */
    uint64_t *layer_ns; /* borrowed; NULL: nobody asks */
};

/* Images on their way through some layers: a group at once, or one image of it. */
typedef struct trip {
    iq_forward *forward;
    const float *nhwc; /* of the group */
    float *answer;
    size_t first, images; /* of the group's */
    size_t thread;        /* whose single slots are used */
    bool alone;           /* by this thread alone */
} trip;

/* One layer of a trip, as the threads see it. */
typedef struct layer_run {
    const iq_forward *forward;
    const iq_layer *layer;
    const iq_value *in, *out;
    const float *input;
    float *output;
    iq_conv conv;
    size_t phase;
} layer_run;

static bool is_conv(const iq_layer *layer)
{
    return layer->op == IQ_OP_CONV || layer->op == IQ_OP_DENSE;
}

static iq_conv conv_of(const iq_forward *forward, size_t i, size_t images)
{
    const iq_plan *plan = &forward->plan;
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
        .in_step = in->step,
        .out_step = out->step,
        .residual_step = layer->residual == IQ_NO_VALUE ? 0 : plan->values[layer->residual].step,
        .in_type = in->type,
        .out_type = out->type,
        .set = forward->engine.set,
        .bf16 = forward->engine.bf16,
        .weights = forward->steps[i].weights,
        .bias = layer->bias,
        .packed = forward->steps[i].packed,
    };
}

/* The first thread's shared scratch serves all. */
static iq_conv_scratch scratch_of(const layer_run *run, size_t thread, bool alone)
{
    const iq_workspace *workspace = &run->forward->workspace;
    const iq_conv_kernel *kernel = run->forward->steps[run->layer - run->forward->plan.net.layers].kernel;
    const size_t own = kernel->own_floats != NULL ? iq_divide_up(kernel->own_floats(&run->conv), 16) * 16 : 0;
    return (iq_conv_scratch){
        .own = workspace->scratch + thread * workspace->scratch_step,
        .shared = workspace->scratch + (alone ? thread : 0) * workspace->scratch_step + own,
    };
}

static void conv_part(void *user, size_t part, size_t thread)
{
    const layer_run *run = user;
    const uint64_t saved = iq_fp_enter();
    const iq_conv_scratch scratch = scratch_of(run, thread, false);
    run->forward->steps[run->layer - run->forward->plan.net.layers].kernel->run(&run->conv, run->phase, part, &scratch);
    iq_fp_leave(saved);
}

/* A line of a max pool, an image of an average. */
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
            .in_step = run->in->step,
            .out_step = run->out->step,
            .set = run->forward->engine.set,
            .bf16 = run->forward->engine.bf16,
            .two = run->in->type == IQ_BF16_TWO,
        };
        if (run->in->type != IQ_F32)
            iq_bf16_max_pool(&shape, (const void *)run->input, (void *)run->output, part, 1);
        else
            iq_max_pool(&shape, run->input, run->output, part, 1);
    } else if (run->in->type != IQ_F32) {
        iq_bf16_global_average((const void *)run->input, run->in->step, run->in->type == IQ_BF16_TWO, run->output,
                               run->in->height * run->in->width, run->in->channels, part, 1);
    } else {
        iq_global_average(run->input, run->in->step, run->output, run->in->height * run->in->width, run->in->channels,
                          part, 1);
    }
    iq_fp_leave(saved);
}

/* Where the trip's first image of a value lies. */
static float *slot_at(const trip *t, uint32_t value)
{
    const iq_plan *plan = &t->forward->plan;
    const iq_workspace *workspace = &t->forward->workspace;
    const uint32_t slot = plan->values[value].slot;
    const size_t offset = plan->slot_is_single[slot] ? t->thread * workspace->single_step
                                                     : t->first * iq_value_floats(&plan->values[value]);
    return workspace->slots[slot] + offset;
}

static const float *value_at(const trip *t, uint32_t value)
{
    return value == 0 ? t->nhwc + t->first * iq_value_floats(&t->forward->plan.values[0]) : slot_at(t, value);
}

static void run_conv(const trip *t, layer_run *run, const iq_conv_kernel *kernel)
{
    const size_t phases = kernel->phases(&run->conv);
    const iq_conv_scratch scratch = scratch_of(run, t->thread, true);
    for (run->phase = 0; run->phase < phases; run->phase++) {
        const size_t parts = kernel->parts(&run->conv, run->phase);
        if (!t->alone) {
            iq_pool_run(t->forward->pool, parts, conv_part, run);
            continue;
        }
        for (size_t part = 0; part < parts; part++)
            kernel->run(&run->conv, run->phase, part, &scratch);
    }
}

static void run_layer(const trip *t, size_t i)
{
    const iq_plan *plan = &t->forward->plan;
    const iq_layer *layer = &plan->net.layers[i];
    layer_run run = {
        .forward = t->forward,
        .layer = layer,
        .in = &plan->values[layer->input],
        .out = &plan->values[i + 1],
        .input = value_at(t, layer->input),
        .output = i + 1 == plan->net.count ? t->answer + t->first * iq_value_floats(&plan->values[i + 1])
                                           : slot_at(t, (uint32_t)i + 1),
    };
    if (is_conv(layer)) {
        run.conv = conv_of(t->forward, i, t->images);
        run.conv.input = run.input;
        run.conv.output = run.output;
        run.conv.residual = layer->residual == IQ_NO_VALUE ? NULL : value_at(t, layer->residual);
        run_conv(t, &run, t->forward->steps[i].kernel);
        return;
    }
    const size_t parts = layer->op == IQ_OP_MAX_POOL ? t->images * run.out->height : t->images;
    if (!t->alone)
        iq_pool_run(t->forward->pool, parts, pool_part, &run);
    for (size_t part = 0; t->alone && part < parts; part++)
        pool_part(&run, part, t->thread);
}

/* Threads that go through layers each for itself share the wall's time: the caller's counts for all. */
static void run_layers(const trip *t, size_t from, size_t to)
{
    uint64_t *ns = t->thread == 0 ? t->forward->layer_ns : NULL;
    int64_t before = ns != NULL ? iq_clock_ns() : 0;
    for (size_t i = from; i < to; i++) {
        run_layer(t, i);
        if (ns == NULL)
            continue;
        const int64_t now = iq_clock_ns();
        ns[i] += (uint64_t)(now - before);
        before = now;
    }
}

/* One image of a group through the single layers, by one thread. */
static void image_part(void *user, size_t part, size_t thread)
{
    trip t = *(const trip *)user;
    const uint64_t saved = iq_fp_enter();
    t.first += part;
    t.images = 1;
    t.thread = thread;
    t.alone = true;
    run_layers(&t, 0, t.forward->plan.single_layers);
    iq_fp_leave(saved);
}

/* As many images as there are threads at a time, each by one thread; what is left over is shared by all. */
static void run_single_layers(const trip *group, size_t threads)
{
    trip t = *group;
    const size_t single = t.forward->plan.single_layers, even = threads > 1 ? t.images / threads * threads : 0;
    if (even > 0)
        iq_pool_run(t.forward->pool, even, image_part, &t);
    t.images = 1;
    for (t.first = even; t.first < group->images; t.first++)
        run_layers(&t, 0, single);
}

static void run_group(const trip *group)
{
    const iq_plan *plan = &group->forward->plan;
    if (plan->single_layers > 0)
        run_single_layers(group, iq_pool_threads(group->forward->pool));
    run_layers(group, plan->single_layers, plan->net.count);
}

void iq_forward_run(iq_forward *forward, const float *nhwc, size_t images, float *answer)
{
    const size_t in_floats = iq_value_floats(&forward->plan.values[0]);
    const size_t out_floats = iq_forward_answer_floats(forward);
    const uint64_t saved = iq_fp_enter();
    while (images > 0) {
        const size_t group = images < GROUP_IMAGES ? images : GROUP_IMAGES;
        const trip t = {.forward = forward,
                        .nhwc = nhwc,
                        .answer = answer,
                        .images = group,
                        .alone = iq_pool_threads(forward->pool) == 1};
        run_group(&t);
        nhwc += group * in_floats;
        answer += group * out_floats;
        images -= group;
    }
    iq_fp_leave(saved);
}

size_t iq_forward_group(const iq_forward *forward)
{
    (void)forward;
    return GROUP_IMAGES;
}

void iq_forward_spread(iq_forward *forward, size_t count, iq_pool_fn fn, void *user)
{
    iq_pool_run(forward->pool, count, fn, user);
}

/* Images that layer i meets at once. */
static size_t images_at(const iq_forward *forward, size_t i, size_t group)
{
    return i < forward->plan.single_layers ? 1 : group;
}

/* Kernels are chosen for the largest group: one session's answers come from one set of algorithms.
 * @param fits out: false if there is a layer that the precision cannot compute */
static imgq_status choose_kernels(iq_forward *forward, size_t group, bool *fits, imgq_error *err)
{
    *fits = true;
    const size_t count = forward->plan.net.count;
    size_t wishes = 0;
    iq_pack *wanted = iq_alloc_array(forward->env, count, sizeof *wanted);
    if (wanted == NULL)
        return iq_fail_nomem(err, count * sizeof *wanted);
    for (size_t i = 0; i < count; i++) {
        *fits = *fits && iq_plan_types_fit(&forward->plan, i);
        if (!is_conv(&forward->plan.net.layers[i]))
            continue;
        iq_conv conv = conv_of(forward, i, images_at(forward, i, group));
        /* Only whether there is one matters here. */
        conv.residual = forward->plan.net.layers[i].residual == IQ_NO_VALUE ? NULL : conv.bias;
        forward->steps[i].kernel = iq_dispatch_conv(&forward->engine, &conv);
        *fits = *fits && forward->steps[i].kernel != NULL;
        wanted[wishes++] = (iq_pack){.kernel = forward->steps[i].kernel, .layer = i, .conv = conv};
    }
    imgq_status status = *fits ? iq_packs_get(forward->packs, forward->pool, wanted, wishes, err) : IMGQ_OK;
    for (size_t w = 0; w < wishes && status == IMGQ_OK && *fits; w++) {
        step *s = &forward->steps[wanted[w].layer];
        *(s->kernel->packed_floats != NULL ? &s->packed : &s->weights) = wanted[w].data;
    }
    iq_free(forward->env, wanted);
    return status;
}

/* The most that any layer asks for, at any size of a group. */
static size_t scratch_floats(const iq_forward *forward, size_t group)
{
    size_t most = 0;
    for (size_t i = 0; i < forward->plan.net.count; i++) {
        const iq_conv_kernel *kernel = forward->steps[i].kernel;
        for (size_t images = 1; kernel != NULL && images <= images_at(forward, i, group); images++) {
            const iq_conv conv = conv_of(forward, i, images);
            const size_t own = kernel->own_floats != NULL ? kernel->own_floats(&conv) : 0;
            const size_t shared = kernel->shared_floats != NULL ? kernel->shared_floats(&conv) : 0;
            const size_t floats = iq_divide_up(own, 16) * 16 + shared;
            most = floats > most ? floats : most;
        }
    }
    return most;
}

static imgq_status plan_values(iq_forward *forward, const iq_net *net, const iq_forward_options *options,
                               imgq_error *err)
{
    const iq_plan_style native = {.type = forward->engine.type, .gap = PIXEL_GAP, .single_pixels = SINGLE_PIXELS};
    iq_plan_release(forward->env, &forward->plan);
    return iq_plan_create(forward->env, net, options->height, options->width,
                          forward->engine.set != NULL ? &native : NULL, &forward->plan, err);
}

static imgq_status plan_forward(iq_forward *forward, const iq_net *net, const iq_forward_options *options, size_t group,
                                imgq_error *err)
{
    imgq_env *env = forward->env;
    bool fits = true;
    forward->steps = iq_alloc_array(env, net->count, sizeof *forward->steps);
    if (forward->steps == NULL)
        return iq_fail_nomem(err, net->count * sizeof *forward->steps);
    imgq_status status = IMGQ_OK;
    if (options->packs == NULL)
        status = iq_packs_create(env, net, &forward->own_packs, err);
    forward->packs = options->packs != NULL ? options->packs : forward->own_packs;
    if (status == IMGQ_OK)
        status = plan_values(forward, net, options, err);
    if (status == IMGQ_OK)
        status = choose_kernels(forward, group, &fits, err);
    if (status != IMGQ_OK || fits)
        return status;
    iq_dispatch_highest(&forward->engine, "it has no kernel for some layer of this network");
    status = plan_values(forward, net, options, err);
    if (status == IMGQ_OK)
        status = choose_kernels(forward, group, &fits, err);
    return status;
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
    imgq_status status = iq_dispatch_engine(options->engine, options->isa, &forward->engine, err);
    if (status == IMGQ_OK)
        status = iq_pool_create(env, options->threads, "imgq-forward", &forward->pool, err);
    if (status == IMGQ_OK) {
        iq_dispatch_precision(options->precision, options->isa, options->bf16, &forward->engine);
        status = plan_forward(forward, net, options, group, err);
    }
    if (status == IMGQ_OK)
        status = iq_workspace_create(env, &forward->plan, group, options->threads, scratch_floats(forward, group),
                                     &forward->workspace, err);
    if (status != IMGQ_OK) {
        iq_forward_destroy(forward);
        return status;
    }
    iq_dispatch_prepare(&forward->engine);
    *out = forward;
    return IMGQ_OK;
}

size_t iq_forward_answer_floats(const iq_forward *forward)
{
    return iq_value_floats(&forward->plan.values[forward->plan.net.count]);
}

const char *iq_forward_engine(const iq_forward *forward)
{
    return forward->engine.name;
}

const char *iq_forward_isa(const iq_forward *forward)
{
    static const char *const names[] = {[IQ_ISA_SCALAR] = "plain",
                                        [IQ_ISA_AVX2] = "avx2",
                                        [IQ_ISA_AVX512] = "avx512",
                                        [IQ_ISA_AVX512_BF16] = "avx512-bf16",
                                        [IQ_ISA_AMX] = "amx-bf16"};
    if (forward->engine.bf16 != NULL)
        return names[forward->engine.bf16->isa];
    return forward->engine.set != NULL ? names[forward->engine.set->isa] : "";
}

const char *iq_forward_precision(const iq_forward *forward, const char **why)
{
    *why = forward->engine.why;
    return forward->engine.precision;
}

size_t iq_forward_layers(const iq_forward *forward)
{
    return forward->plan.net.count;
}

iq_forward_layer iq_forward_layer_at(const iq_forward *forward, size_t index, size_t images)
{
    const iq_layer *layer = &forward->plan.net.layers[index];
    const iq_conv conv =
        conv_of(forward, index, images_at(forward, index, images < GROUP_IMAGES ? images : GROUP_IMAGES));
    iq_forward_layer out = {
        .layer = layer, .out_height = conv.out_height, .out_width = conv.out_width, .algorithm = "direct"};
    if (is_conv(layer)) {
        out.macs = (uint64_t)iq_conv_depth(&conv) * conv.out_channels * conv.out_height * conv.out_width;
        out.algorithm = forward->steps[index].kernel->algorithm(&conv);
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
    return iq_packs_bytes(forward->packs);
}

void iq_forward_destroy(iq_forward *forward)
{
    if (forward == NULL)
        return;
    imgq_env *env = forward->env;
    iq_pool_destroy(forward->pool);
    iq_workspace_release(env, &forward->workspace);
    iq_packs_destroy(forward->own_packs);
    iq_free(env, forward->steps);
    iq_plan_release(env, &forward->plan);
    iq_free(env, forward);
    imgq_env_destroy(env);
}
