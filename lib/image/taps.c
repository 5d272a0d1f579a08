/* Pillow's taps. Every constant and cast here decides bytes: the taps are computed in double in Pillow's order, then
 * rounded to 22 fractional bits. Built without fused multiply-add for that reason. */
#include "image/taps.h"

#include "base/alloc.h"
#include "base/checked.h"

#include <imgq/image.h>
#include <math.h>
#include <string.h>

static double bilinear(double x)
{
    if (x < 0.0)
        x = -x;
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double bicubic(double x)
{
    const double a = -0.5;
    if (x < 0.0)
        x = -x;
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

void iq_taps_release(imgq_env *env, iq_taps *t)
{
    iq_free(env, t->first);
    iq_free(env, t->length);
    iq_free(env, t->weights);
    *t = (iq_taps){0};
}

/* Weights of output `at` into row; scratch holds `most` doubles. */
static void taps_fill_one(iq_taps *t, uint32_t i, uint32_t at, uint32_t in_size, double scale, double support,
                          double (*filter)(double), double *scratch)
{
    const double filter_scale = scale < 1.0 ? 1.0 : scale;
    const double center = 0.0 + ((double)at + 0.5) * scale;
    const double step = 1.0 / filter_scale;
    double sum = 0.0;
    int64_t low = (int64_t)(center - support + 0.5);
    int64_t high = (int64_t)(center + support + 0.5);
    if (low < 0)
        low = 0;
    if (high > (int64_t)in_size)
        high = in_size;
    int32_t *weights = t->weights + (size_t)i * t->most;
    if (low >= high) { /* behind the picture, in_size having been rounded up to a float: Pillow leaves black */
        t->first[i] = in_size - 1;
        t->length[i] = 1;
        weights[0] = 0;
        return;
    }
    const uint32_t length = (uint32_t)(high - low);
    for (uint32_t x = 0; x < length; x++) {
        scratch[x] = filter(((double)((int64_t)x + low) - center + 0.5) * step);
        sum += scratch[x];
    }
    for (uint32_t x = 0; x < length; x++) {
        const double weight = sum != 0.0 ? scratch[x] / sum : scratch[x];
        weights[x] = (int32_t)((weight < 0 ? -0.5 : 0.5) + weight * (1 << IQ_TAP_BITS));
    }
    t->first[i] = (uint32_t)low;
    t->length[i] = length;
}

/* Pillow adds up the position in double from the first column on, so its rounding errors add up as well. Past the end
 * it leaves black. */
static void taps_fill_nearest(iq_taps *t, uint32_t in_size, uint32_t out_size, uint32_t from)
{
    const double step = (double)(float)in_size / out_size;
    double place = 0.0 + step * 0.5;
    for (uint32_t at = 0; at < from + t->count; at++, place += step) {
        if (at < from)
            continue;
        const int inside = place < (double)in_size;
        t->first[at - from] = inside ? (uint32_t)place : in_size - 1;
        t->length[at - from] = 1;
        t->weights[at - from] = inside ? 1 << IQ_TAP_BITS : 0;
    }
}

static void taps_fill_copies(iq_taps *t, uint32_t from)
{
    for (uint32_t i = 0; i < t->count; i++) {
        t->first[i] = from + i;
        t->length[i] = 1;
        t->weights[i] = 1 << IQ_TAP_BITS;
    }
}

static imgq_status taps_allocate(imgq_env *env, size_t most, uint32_t count, iq_taps *t, imgq_error *err)
{
    size_t cells;
    *t = (iq_taps){0};
    if (iq_mul_size(&cells, most, count))
        return iq_fail_nomem(err, SIZE_MAX);
    *t = (iq_taps){.count = count, .most = (uint32_t)most};
    t->first = iq_alloc_array(env, count, sizeof *t->first);
    t->length = iq_alloc_array(env, count, sizeof *t->length);
    t->weights = iq_alloc_array(env, cells, sizeof *t->weights);
    if (t->first != NULL && t->length != NULL && t->weights != NULL)
        return IMGQ_OK;
    iq_taps_release(env, t);
    return iq_fail_nomem(err, cells * sizeof *t->weights);
}

void iq_taps_mirror(iq_taps *t, uint32_t in_size)
{
    for (uint32_t i = 0; i < t->count; i++) {
        int32_t *weights = t->weights + (size_t)i * t->most;
        t->first[i] = in_size - t->first[i] - t->length[i];
        for (uint32_t low = 0, high = t->length[i] - 1; low < high; low++, high--) {
            const int32_t weight = weights[low];
            weights[low] = weights[high];
            weights[high] = weight;
        }
    }
}

/* Pillow keeps the box in floats: so the cast. */
imgq_status iq_taps_create(imgq_env *env, uint32_t in_size, uint32_t out_size, uint32_t from, uint32_t count,
                           uint32_t filter, iq_taps *t, imgq_error *err)
{
    const double scale = (double)(float)in_size / out_size;
    const double support = (filter == IMGQ_FILTER_BICUBIC ? 2.0 : 1.0) * (scale < 1.0 ? 1.0 : scale);
    const int single = filter == IMGQ_FILTER_NEAREST || in_size == out_size;
    size_t most = single ? 1 : (size_t)ceil(support) * 2 + 1;
    if (most > (size_t)in_size + 1)
        most = (size_t)in_size + 1; /* more inputs than there are never count */
    const imgq_status status = taps_allocate(env, most, count, t, err);
    if (status != IMGQ_OK)
        return status;
    if (single) {
        if (in_size == out_size)
            taps_fill_copies(t, from);
        else
            taps_fill_nearest(t, in_size, out_size, from);
        return IMGQ_OK;
    }
    double *scratch = iq_alloc_array(env, most, sizeof *scratch);
    if (scratch == NULL) {
        iq_taps_release(env, t);
        return iq_fail_nomem(err, most * sizeof *scratch);
    }
    for (uint32_t i = 0; i < count; i++)
        taps_fill_one(t, i, from + i, in_size, scale, support, filter == IMGQ_FILTER_BICUBIC ? bicubic : bilinear,
                      scratch);
    iq_free(env, scratch);
    return IMGQ_OK;
}

void iq_tap_groups_release(imgq_env *env, iq_tap_groups *groups)
{
    iq_free(env, groups->first);
    iq_free(env, groups->length);
    iq_free(env, groups->weights);
    *groups = (iq_tap_groups){0};
}

/* How many groups output i needs, at least `least`, and where they begin so that they end within in_size; 0: nowhere.
 */
static uint32_t groups_place(const iq_taps *t, uint32_t i, uint32_t in_size, uint32_t least, uint32_t *first)
{
    uint32_t groups = (t->length[i] + IQ_TAPS_OF_GROUP - 1) / IQ_TAPS_OF_GROUP;
    if (groups < least)
        groups = least;
    const uint64_t inputs = (uint64_t)groups * IQ_TAPS_OF_GROUP;
    if (inputs > in_size)
        return 0;
    *first = t->first[i] + inputs > in_size ? in_size - (uint32_t)inputs : t->first[i];
    return groups;
}

/* Weight `at` of a group. */
static void pack_pair(uint8_t *group, size_t at, int32_t weight)
{
    const int16_t low = (int16_t)(weight & ((1 << IQ_TAP_LOW_BITS) - 1)), high = (int16_t)(weight >> IQ_TAP_LOW_BITS);
    memcpy(group + at * sizeof low, &low, sizeof low);
    memcpy(group + (IQ_TAPS_OF_GROUP + at) * sizeof high, &high, sizeof high);
}

/* The lower parts are signed: each takes what it has too much from the next. */
static void pack_bytes(uint8_t *group, size_t at, int32_t weight)
{
    const int32_t rounded = weight + 0x8080;
    group[at] = (uint8_t)(weight & 0xFF);
    group[IQ_TAPS_OF_GROUP + at] = (uint8_t)((((rounded >> 8) & 0xFF) - 0x80) & 0xFF);
    group[2 * IQ_TAPS_OF_GROUP + at] = (uint8_t)((rounded >> 16) & 0xFF);
}

static void groups_fill_one(iq_tap_groups *groups, uint32_t i, const iq_taps *t, iq_tap_packing packing)
{
    uint8_t *parts = groups->weights + (size_t)i * groups->most * IQ_GROUP_BYTES;
    const int32_t *weights = t->weights + (size_t)i * t->most;
    const uint32_t shift = t->first[i] - groups->first[i];
    for (uint32_t x = 0; x < t->length[i]; x++) {
        const size_t place = (size_t)x + shift;
        uint8_t *group = parts + place / IQ_TAPS_OF_GROUP * IQ_GROUP_BYTES;
        if (packing == IQ_TAP_PAIRS)
            pack_pair(group, place % IQ_TAPS_OF_GROUP, weights[x]);
        else
            pack_bytes(group, place % IQ_TAPS_OF_GROUP, weights[x]);
    }
}

imgq_status iq_tap_groups_create(imgq_env *env, const iq_taps *t, uint32_t in_size, uint32_t least,
                                 iq_tap_packing packing, iq_tap_groups *groups, imgq_error *err)
{
    size_t cells;
    *groups = (iq_tap_groups){.count = t->count};
    groups->first = iq_alloc_array(env, t->count, sizeof *groups->first);
    groups->length = iq_alloc_array(env, t->count, sizeof *groups->length);
    if (groups->first == NULL || groups->length == NULL) {
        iq_tap_groups_release(env, groups);
        return iq_fail_nomem(err, t->count * sizeof *groups->first);
    }
    for (uint32_t i = 0; i < t->count; i++) {
        groups->length[i] = groups_place(t, i, in_size, least, &groups->first[i]);
        if (groups->length[i] == 0) {
            iq_tap_groups_release(env, groups);
            return IMGQ_OK;
        }
        if (groups->length[i] > groups->most)
            groups->most = groups->length[i];
    }
    if (!iq_mul_size(&cells, groups->most, (size_t)t->count * IQ_GROUP_BYTES))
        groups->weights = iq_alloc_array(env, cells, sizeof *groups->weights);
    if (groups->weights == NULL) {
        const size_t wanted = (size_t)groups->most * t->count * IQ_GROUP_BYTES;
        iq_tap_groups_release(env, groups);
        return iq_fail_nomem(err, wanted);
    }
    for (uint32_t i = 0; i < t->count; i++)
        groups_fill_one(groups, i, t, packing);
    return IMGQ_OK;
}
