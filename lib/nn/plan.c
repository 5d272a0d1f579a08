/* Shapes forward through the layers, then slots by a scan over the lives of the values. */
#include "nn/plan.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/fail.h"
#include "nn/ops/pool.h"

#include <string.h>

static const size_t side_max = 1u << 14;

static size_t window_count(size_t side, const iq_layer *layer)
{
    const size_t padded = side + 2 * (size_t)layer->pad;
    return layer->stride == 0 || layer->pad >= layer->kernel || padded < layer->kernel
               ? 0
               : (padded - layer->kernel) / layer->stride + 1;
}

static bool same_shape(const iq_value *a, const iq_value *b)
{
    return a->height == b->height && a->width == b->width && a->channels == b->channels;
}

/* The size of layer i's output, or a refusal. */
static imgq_status shape_layer(iq_plan *plan, size_t i, imgq_error *err)
{
    const iq_layer *layer = &plan->net.layers[i];
    iq_value *out = &plan->values[i + 1];
    if (layer->input > i || (layer->residual != IQ_NO_VALUE && layer->residual > i))
        return iq_fail(err, IMGQ_E_INVALID, 0, "layer %zu reads a value that is not made yet", i);
    const iq_value *in = &plan->values[layer->input];
    if (in->channels != layer->in_channels)
        return iq_fail(err, IMGQ_E_INVALID, 0, "layer %zu reads %zu channels and wants %u", i, in->channels,
                       layer->in_channels);
    out->channels = layer->out_channels;
    switch (layer->op) {
    case IQ_OP_CONV:
    case IQ_OP_MAX_POOL:
        out->height = window_count(in->height, layer);
        out->width = window_count(in->width, layer);
        break;
    case IQ_OP_DENSE:
        if (in->height != 1 || in->width != 1)
            return iq_fail(err, IMGQ_E_INVALID, 0, "layer %zu is dense and reads %zu x %zu", i, in->height, in->width);
        out->height = out->width = 1;
        break;
    default:
        out->height = out->width = 1;
        break;
    }
    if (layer->op == IQ_OP_MAX_POOL && layer->kernel > IQ_POOL_KERNEL_MAX)
        return iq_fail(err, IMGQ_E_INVALID, 0, "layer %zu has windows of %u x %u, the limit is %d", i, layer->kernel,
                       layer->kernel, IQ_POOL_KERNEL_MAX);
    if (out->height == 0 || out->width == 0 || out->channels == 0)
        return iq_fail(err, IMGQ_E_INVALID, 0, "nothing is left of %zu x %zu at layer %zu", in->height, in->width, i);
    if (layer->residual != IQ_NO_VALUE && !same_shape(out, &plan->values[layer->residual]))
        return iq_fail(err, IMGQ_E_INVALID, 0, "layer %zu adds a value of another shape", i);
    return IMGQ_OK;
}

/* The last layer that reads value v; the answer is read after all of them. */
static size_t last_reader(const iq_net *net, size_t v)
{
    if (v == net->count)
        return net->count;
    size_t last = 0;
    for (size_t i = 0; i < net->count; i++)
        if (net->layers[i].input == v || net->layers[i].residual == v)
            last = i;
    return last;
}

enum { GAP_BYTES_MIN = 2048 };

/* Values before v have theirs. */
static iq_type type_of(const iq_plan *plan, size_t v, const iq_plan_style *style)
{
    if (v == 0 || v == plan->net.count)
        return IQ_F32;
    const iq_layer *maker = &plan->net.layers[v - 1];
    if (maker->op == IQ_OP_MAX_POOL)
        return plan->values[maker->input].type;
    return maker->op == IQ_OP_CONV ? style->type : IQ_F32;
}

/* The input and the answer are the caller's: packed. */
static void choose_steps(iq_plan *plan, const iq_plan_style *style)
{
    for (size_t v = 0; v <= plan->net.count; v++) {
        iq_value *value = &plan->values[v];
        value->type = type_of(plan, v, style);
        const size_t bytes = iq_type_bytes(value->type);
        const bool has_gap = v > 0 && v < plan->net.count && value->channels * bytes >= GAP_BYTES_MIN &&
                             value->height * value->width > 1;
        value->step = value->channels + (has_gap ? style->gap / bytes : 0);
        if (value->type != IQ_F32)
            value->step += value->step % 2;
    }
}

static void choose_single_layers(iq_plan *plan, const iq_plan_style *style)
{
    if (style->single_pixels == 0)
        return;
    while (plan->single_layers < plan->net.count) {
        const iq_value *made = &plan->values[plan->single_layers + 1];
        if (made->height * made->width < style->single_pixels)
            break;
        plan->single_layers++;
    }
}

/* A layer never writes where it reads: the slots of its inputs come free only after it. */
static imgq_status assign_slots(iq_plan *plan, imgq_error *err)
{
    size_t busy_until[IQ_PLAN_SLOTS_MAX] = {0};
    for (size_t v = 1; v <= plan->net.count; v++) {
        const size_t made_by = v - 1;
        const size_t last = last_reader(&plan->net, v);
        const bool single = made_by < plan->single_layers && last < plan->single_layers;
        uint32_t slot = 0;
        while (slot < plan->slots && (busy_until[slot] >= made_by || plan->slot_is_single[slot] != single))
            slot++;
        if (slot == IQ_PLAN_SLOTS_MAX)
            return iq_fail(err, IMGQ_E_INVALID, 0, "more than %d values live at once", IQ_PLAN_SLOTS_MAX);
        if (slot == plan->slots)
            plan->slots++;
        busy_until[slot] = last;
        plan->slot_is_single[slot] = single;
        plan->values[v].slot = slot;
        const size_t floats = iq_value_floats(&plan->values[v]);
        if (plan->slot_floats[slot] < floats)
            plan->slot_floats[slot] = floats;
    }
    return IMGQ_OK;
}

imgq_status iq_plan_create(imgq_env *env, const iq_net *net, size_t height, size_t width, const iq_plan_style *style,
                           iq_plan *out, imgq_error *err)
{
    memset(out, 0, sizeof *out);
    if (net->count == 0 || height == 0 || width == 0 || height > side_max || width > side_max)
        return iq_fail(err, IMGQ_E_INVALID, 0, "a network of %zu layers on %zu x %zu", net->count, height, width);
    out->net = *net;
    out->values = iq_alloc_array(env, net->count + 1, sizeof *out->values);
    if (out->values == NULL)
        return iq_fail_nomem(err, (net->count + 1) * sizeof *out->values);
    out->values[0] = (iq_value){.height = height, .width = width, .channels = net->in_channels};
    imgq_status status = IMGQ_OK;
    for (size_t i = 0; i < net->count && status == IMGQ_OK; i++)
        status = shape_layer(out, i, err);
    if (status == IMGQ_OK) {
        const iq_plan_style plain = {0};
        choose_steps(out, style != NULL ? style : &plain);
        choose_single_layers(out, style != NULL ? style : &plain);
        status = assign_slots(out, err);
    }
    if (status != IMGQ_OK)
        iq_plan_release(env, out);
    return status;
}

bool iq_plan_types_fit(const iq_plan *plan, size_t layer)
{
    const iq_layer *l = &plan->net.layers[layer];
    const iq_type made = plan->values[layer + 1].type;
    if (l->op == IQ_OP_MAX_POOL && plan->values[l->input].type != made)
        return false;
    return l->residual == IQ_NO_VALUE || plan->values[l->residual].type == made;
}

void iq_plan_release(imgq_env *env, iq_plan *plan)
{
    iq_free(env, plan->values);
    memset(plan, 0, sizeof *plan);
}
