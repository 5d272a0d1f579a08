/* y = gamma * (conv(x) + b - mean) / sqrt(var + eps) + beta is a conv with other weights and another bias. They are
 * computed in double and rounded once. Nothing is kept: kernels are read where the file lies in memory, a few rows at a
 * time. */
#include "model/fold.h"

#include "base/fail.h"
#include "model/told.h"
#include "model/widen.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { RUN = 512, TILE_OUT = 16, TILE_DEPTH = 64 };

/* Always fails: says where the first number is that is none. */
static imgq_status refuse_number(const iq_fold *fold, const iq_tensor_view *view, imgq_error *err)
{
    float value = 0;
    size_t i = 0;
    const size_t count = iq_view_count(view);
    while (i < count && (iq_view_widen(view, i, 1, &value), isfinite(value)))
        i++;
    return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: tensor '%.80s' has %s at index %zu",
                   iq_shown_path(fold->path), view->name, isnan(value) ? "a NaN" : "an infinity", i);
}

static imgq_status refuse_overflow(const iq_fold *fold, const iq_tensor_view *view, imgq_error *err)
{
    return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: tensor '%.80s' overflows when it is scaled",
                   iq_shown_path(fold->path), view->name);
}

static imgq_status check_numbers(const iq_fold *fold, const iq_tensor_view *view, imgq_error *err)
{
    return isfinite(iq_view_largest(view, 0, iq_view_count(view))) ? IMGQ_OK : refuse_number(fold, view, err);
}

/* Channels o .. o + count - 1 of all roles but the kernel; what is not there is 0. */
static void widen_roles(const iq_named_layer *layer, size_t o, size_t count, float values[IQ_ROLES][TILE_DEPTH])
{
    memset(values, 0, IQ_ROLES * sizeof *values);
    for (uint32_t role = IQ_ROLE_BIAS; role < IQ_ROLES; role++)
        if (layer->roles[role] != NULL)
            iq_view_widen(layer->roles[role], o, count, values[role]);
}

imgq_status iq_fold_norm(const iq_fold *fold, const iq_named_layer *layer, size_t channels, double *scale, float *bias,
                         imgq_error *err)
{
    for (uint32_t role = IQ_ROLE_BIAS; role < IQ_ROLES; role++) {
        imgq_status status = layer->roles[role] != NULL ? check_numbers(fold, layer->roles[role], err) : IMGQ_OK;
        if (status != IMGQ_OK)
            return status;
    }
    for (size_t from = 0; from < channels; from += TILE_DEPTH) {
        const size_t count = channels - from < TILE_DEPTH ? channels - from : TILE_DEPTH;
        float values[IQ_ROLES][TILE_DEPTH];
        widen_roles(layer, from, count, values);
        for (size_t c = 0; c < count; c++) {
            const double variance = (double)values[IQ_ROLE_VARIANCE][c];
            if (variance < 0)
                return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: tensor '%.80s' has %g at index %zu: no variance",
                               iq_shown_path(fold->path), layer->roles[IQ_ROLE_VARIANCE]->name, variance, from + c);
            const double s = (double)values[IQ_ROLE_GAMMA][c] / sqrt(variance + (double)fold->bn_eps);
            scale[from + c] = s;
            bias[from + c] = (float)((double)values[IQ_ROLE_BETA][c] +
                                     ((double)values[IQ_ROLE_BIAS][c] - (double)values[IQ_ROLE_MEAN][c]) * s);
            if (!isfinite(bias[from + c]))
                return refuse_overflow(fold, layer->roles[IQ_ROLE_BETA], err);
        }
    }
    return IMGQ_OK;
}

imgq_status iq_fold_bias(const iq_fold *fold, const iq_tensor_view *view, size_t channels, float *bias, imgq_error *err)
{
    iq_view_widen(view, 0, channels, bias);
    return check_numbers(fold, view, err);
}

static float scaled(float value, double scale)
{
    return (float)((double)value * scale);
}

imgq_status iq_fold_check(const iq_fold *fold, const iq_tensor_view *kernel, const iq_fold_shape *shape,
                          const double *scale, float largest, imgq_error *err)
{
    if (!isfinite(largest))
        return refuse_number(fold, kernel, err);
    double most = 1;
    for (size_t o = 0; scale != NULL && o < shape->out; o++)
        most = fmax(most, fabs(scale[o]));
    if (most * (double)largest <= (double)FLT_MAX)
        return IMGQ_OK;
    /* Perhaps the largest weight and the largest scale do not meet. */
    const size_t depth = shape->taps * shape->in;
    for (size_t i = 0; i < depth * shape->out; i++) {
        float value;
        iq_view_widen(kernel, i, 1, &value);
        if (!isfinite(scaled(value, scale[fold->hwio ? i % shape->out : i / depth])))
            return refuse_overflow(fold, kernel, err);
    }
    return IMGQ_OK;
}

/* [row][out] stays [row][out]. */
static void scale_columns(const iq_tensor_view *kernel, size_t rows, size_t out, const double *scale, float *weights)
{
    float run[RUN];
    if (scale == NULL) {
        iq_view_widen(kernel, 0, rows * out, weights);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t from = 0; from < out; from += RUN) {
            const size_t count = out - from < RUN ? out - from : RUN;
            float *to = weights + r * out + from;
            iq_view_widen(kernel, r * out + from, count, run);
            for (size_t c = 0; c < count; c++)
                to[c] = scaled(run[c], scale[from + c]);
        }
}

/* Rows of [out][in][taps] to columns of [taps][in][out]. */
static void turn_tile(const iq_tensor_view *kernel, const iq_fold_shape *shape, const double *scale, size_t o0,
                      size_t outs, size_t j0, size_t js, float *weights)
{
    const size_t depth = shape->in * shape->taps;
    float rows[TILE_OUT][TILE_DEPTH];
    for (size_t o = 0; o < outs; o++)
        iq_view_widen(kernel, (o0 + o) * depth + j0, js, rows[o]);
    for (size_t j = 0; j < js; j++) {
        const size_t tap = (j0 + j) % shape->taps, in = (j0 + j) / shape->taps;
        float *to = weights + (tap * shape->in + in) * shape->out + o0;
        for (size_t o = 0; o < outs; o++)
            to[o] = scale == NULL ? rows[o][j] : scaled(rows[o][j], scale[o0 + o]);
    }
}

void iq_fold_weights(const iq_fold *fold, const iq_tensor_view *kernel, const iq_fold_shape *shape, const double *scale,
                     float *weights)
{
    const size_t depth = shape->in * shape->taps;
    if (fold->hwio) {
        scale_columns(kernel, depth, shape->out, scale, weights);
        return;
    }
    for (size_t j = 0; j < depth; j += TILE_DEPTH)
        for (size_t o = 0; o < shape->out; o += TILE_OUT)
            turn_tile(kernel, shape, scale, o, shape->out - o < TILE_OUT ? shape->out - o : TILE_OUT, j,
                      depth - j < TILE_DEPTH ? depth - j : TILE_DEPTH, weights);
}
