/* y = gamma * (conv(x) + b - mean) / sqrt(var + eps) + beta is a conv with other weights and another bias. They are
 * computed in double and rounded once. */
#include "model/fold.h"

#include "base/bytes.h"
#include "base/fail.h"
#include "model/told.h"

#include <math.h>
#include <string.h>

enum { CHANNELS_MAX = 2048, TILE = 16 };

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Exact: every half is a float. */
static float widen_half(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = (half >> 10) & 31, fraction = half & 1023;
    if (exponent == 31)
        return float_of_bits(sign | 0x7F800000 | fraction << 13);
    if (exponent == 0)
        return float_of_bits(sign | 0x3F800000) * (float)fraction * 0x1p-24f;
    return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static size_t view_count(const iq_tensor_view *view)
{
    return view->bytes / (view->dtype == IQ_DTYPE_F32 ? 4 : 2);
}

/* An OR over all exponents: the compiler makes vectors of it, which a loop that stops early prevents. */
static bool all_finite(const float *values, size_t count)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bad |= (bits & 0x7F800000) == 0x7F800000;
    }
    return bad == 0;
}

/* All values as floats; a NaN or an infinity is refused with its place. */
static imgq_status widen(const iq_fold *fold, const iq_tensor_view *view, float *out, imgq_error *err)
{
    const size_t count = view_count(view);
    if (view->dtype == IQ_DTYPE_F16) {
        for (size_t i = 0; i < count; i++)
            out[i] = widen_half(iq_load_le16(view->data + 2 * i));
    } else if (view->dtype == IQ_DTYPE_BF16) {
        for (size_t i = 0; i < count; i++)
            out[i] = float_of_bits((uint32_t)iq_load_le16(view->data + 2 * i) << 16);
    } else {
        for (size_t i = 0; i < count; i++)
            out[i] = float_of_bits(iq_load_le32(view->data + 4 * i));
    }
    const size_t unchecked = all_finite(out, count) ? count : 0;
    for (size_t i = unchecked; i < count; i++)
        if (!isfinite(out[i]))
            return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: tensor '%.80s' has %s at index %zu",
                           iq_shown_path(fold->path), view->name, isnan(out[i]) ? "a NaN" : "an infinity", i);
    return IMGQ_OK;
}

/* scale[o] and shift[o] of the layer's batch norm; the conv's own bias goes into shift. */
static imgq_status read_norm(const iq_fold *fold, const iq_named_layer *layer, size_t channels, double *scale,
                             double *shift, imgq_error *err)
{
    float(*values)[CHANNELS_MAX] = (float(*)[CHANNELS_MAX])fold->scratch;
    memset(values, 0, IQ_ROLES * sizeof *values);
    for (uint32_t role = IQ_ROLE_BIAS; role < IQ_ROLES; role++) {
        if (layer->roles[role] == NULL)
            continue;
        imgq_status status = widen(fold, layer->roles[role], values[role], err);
        if (status != IMGQ_OK)
            return status;
    }
    for (size_t o = 0; o < channels; o++) {
        if (values[IQ_ROLE_VARIANCE][o] < 0)
            return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: tensor '%.80s' has %g at index %zu: no variance",
                           iq_shown_path(fold->path), layer->roles[IQ_ROLE_VARIANCE]->name,
                           (double)values[IQ_ROLE_VARIANCE][o], o);
        scale[o] = (double)values[IQ_ROLE_GAMMA][o] / sqrt((double)values[IQ_ROLE_VARIANCE][o] + (double)fold->bn_eps);
        shift[o] = (double)values[IQ_ROLE_BETA][o] +
                   ((double)values[IQ_ROLE_BIAS][o] - (double)values[IQ_ROLE_MEAN][o]) * scale[o];
    }
    return IMGQ_OK;
}

static void scale_columns(const float *from, size_t rows, size_t cols, const double *scale, float *to)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            to[r * cols + c] = (float)((double)from[r * cols + c] * scale[c]);
}

/* from[o][i * taps + t] to to[t * in + i][o], tile by tile so that both sides stay in the cache.
 * @param scale NULL: 1 */
static void scale_and_turn(const float *from, size_t out, size_t in, size_t taps, const double *scale, float *to)
{
    const size_t depth = in * taps;
    for (size_t j0 = 0; j0 < depth; j0 += TILE) {
        const size_t j1 = j0 + TILE < depth ? j0 + TILE : depth;
        for (size_t o0 = 0; o0 < out; o0 += TILE) {
            const size_t o1 = o0 + TILE < out ? o0 + TILE : out;
            for (size_t j = j0; j < j1; j++) {
                float *row = to + (j % taps * in + j / taps) * out;
                for (size_t o = o0; o < o1; o++)
                    row[o] = scale == NULL ? from[o * depth + j] : (float)((double)from[o * depth + j] * scale[o]);
            }
        }
    }
}

static imgq_status check_folded(const iq_fold *fold, const iq_tensor_view *view, const float *values, size_t count,
                                imgq_error *err)
{
    if (all_finite(values, count))
        return IMGQ_OK;
    return iq_fail(err, IMGQ_E_CORRUPT, 0, "read model %s: tensor '%.80s' overflows when it is scaled",
                   iq_shown_path(fold->path), view->name);
}

imgq_status iq_fold_conv(const iq_fold *fold, const iq_named_layer *layer, const iq_resnet50_conv *conv, float *weights,
                         float *bias, imgq_error *err)
{
    double scale[CHANNELS_MAX], shift[CHANNELS_MAX];
    const size_t out = conv->out_channels, in = conv->in_channels, taps = (size_t)conv->kernel * conv->kernel;
    imgq_status status = read_norm(fold, layer, out, scale, shift, err);
    if (status == IMGQ_OK)
        status = widen(fold, layer->roles[IQ_ROLE_KERNEL], fold->scratch, err);
    if (status != IMGQ_OK)
        return status;
    if (fold->hwio)
        scale_columns(fold->scratch, taps * in, out, scale, weights);
    else
        scale_and_turn(fold->scratch, out, in, taps, scale, weights);
    for (size_t o = 0; o < out; o++)
        bias[o] = (float)shift[o];
    status = check_folded(fold, layer->roles[IQ_ROLE_KERNEL], weights, taps * in * out, err);
    return status == IMGQ_OK ? check_folded(fold, layer->roles[IQ_ROLE_BETA], bias, out, err) : status;
}

imgq_status iq_fold_head(const iq_fold *fold, const iq_named_layer *layer, uint32_t classes, float *weights,
                         float *bias, imgq_error *err)
{
    imgq_status status = widen(fold, layer->roles[IQ_ROLE_BIAS], bias, err);
    if (status == IMGQ_OK)
        status = widen(fold, layer->roles[IQ_ROLE_KERNEL], fold->hwio ? weights : fold->scratch, err);
    if (status != IMGQ_OK || fold->hwio)
        return status;
    scale_and_turn(fold->scratch, classes, IQ_RESNET50_FEATURES, 1, NULL, weights);
    return IMGQ_OK;
}
