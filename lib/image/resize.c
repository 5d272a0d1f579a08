/* Pillow's resampling: two passes of fixed-point taps, columns first, each pass rounded to bytes; nearest apart.
 * Every constant and cast here decides bytes: the taps are computed in double in Pillow's order, then rounded to 22
 * fractional bits. Built without fused multiply-add for that reason. */
#include "image/resize.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/fail.h"

#include <math.h>
#include <string.h>

enum { PRECISION_BITS = 32 - 8 - 2 };

/* For each output column (or row) of a window: which inputs it sums, and their weights. */
typedef struct taps {
    uint32_t *first;  /* [count] */
    uint32_t *length; /* [count] */
    int32_t *weights; /* [count][most] */
    uint32_t count, most;
} taps;

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

static void taps_release(imgq_env *env, taps *t)
{
    iq_free(env, t->first);
    iq_free(env, t->length);
    iq_free(env, t->weights);
}

/* Weights of output `at` into row; scratch holds `most` doubles. */
static void taps_fill_one(taps *t, uint32_t i, uint32_t at, uint32_t in_size, double scale, double support,
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
    const uint32_t length = (uint32_t)(high - low);
    for (uint32_t x = 0; x < length; x++) {
        scratch[x] = filter(((double)((int64_t)x + low) - center + 0.5) * step);
        sum += scratch[x];
    }
    int32_t *weights = t->weights + (size_t)i * t->most;
    for (uint32_t x = 0; x < length; x++) {
        const double weight = sum != 0.0 ? scratch[x] / sum : scratch[x];
        weights[x] = (int32_t)((weight < 0 ? -0.5 : 0.5) + weight * (1 << PRECISION_BITS));
    }
    t->first[i] = (uint32_t)low;
    t->length[i] = length;
}

/* Taps of outputs from..from + count of in_size resized to out_size. Pillow keeps the box in floats: so the cast. */
static imgq_status taps_create(imgq_env *env, uint32_t in_size, uint32_t out_size, uint32_t from, uint32_t count,
                               uint32_t filter, taps *t, imgq_error *err)
{
    const double scale = (double)(float)in_size / out_size;
    const double support = (filter == IMGQ_FILTER_BICUBIC ? 2.0 : 1.0) * (scale < 1.0 ? 1.0 : scale);
    size_t most = (size_t)ceil(support) * 2 + 1, cells;
    if (most > (size_t)in_size + 1)
        most = (size_t)in_size + 1; /* more inputs than there are never count */
    if (iq_mul_size(&cells, most, count))
        return iq_fail_nomem(err, SIZE_MAX);
    *t = (taps){.count = count, .most = (uint32_t)most};
    double *scratch = iq_alloc_array(env, most, sizeof *scratch);
    t->first = iq_alloc_array(env, count, sizeof *t->first);
    t->length = iq_alloc_array(env, count, sizeof *t->length);
    t->weights = iq_alloc_array(env, cells, sizeof *t->weights);
    imgq_status status = IMGQ_OK;
    if (scratch == NULL || t->first == NULL || t->length == NULL || t->weights == NULL)
        status = iq_fail_nomem(err, cells * sizeof *t->weights);
    for (uint32_t i = 0; status == IMGQ_OK && i < count; i++)
        taps_fill_one(t, i, from + i, in_size, scale, support, filter == IMGQ_FILTER_BICUBIC ? bicubic : bilinear,
                      scratch);
    iq_free(env, scratch);
    if (status != IMGQ_OK) {
        taps_release(env, t);
        *t = (taps){0};
    }
    return status;
}

static uint8_t to_byte(int32_t sum)
{
    const int32_t value = sum >> PRECISION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void columns_of_row(uint8_t *restrict out, const uint8_t *restrict in, const taps *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const int32_t *weights = t->weights + (size_t)i * t->most;
        const uint8_t *pixel = in + (size_t)t->first[i] * 3;
        int32_t r = 1 << (PRECISION_BITS - 1), g = r, b = r;
        for (uint32_t x = 0; x < t->length[i]; x++, pixel += 3) {
            r += pixel[0] * weights[x];
            g += pixel[1] * weights[x];
            b += pixel[2] * weights[x];
        }
        out[i * 3 + 0] = to_byte(r);
        out[i * 3 + 1] = to_byte(g);
        out[i * 3 + 2] = to_byte(b);
    }
}

static void add_row(int32_t *restrict sums, const uint8_t *restrict row, int32_t weight, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sums[i] += row[i] * weight;
}

/* What a resize works with: taps of the passes that are needed, and the column pass's rows while they are summed. */
typedef struct passes {
    const imgq_image *image;
    taps columns, rows;
    int has_columns, has_rows;
    size_t left;      /* of the window, where columns are only copied */
    size_t row_bytes; /* of the window */
    uint8_t *ring;    /* [ring_rows][row_bytes]; input row y lies at y % ring_rows */
    size_t ring_rows;
    uint32_t ready; /* input rows before this one went through the column pass, or were not needed */
    int32_t *sums;  /* [row_bytes] */
} passes;

static const uint8_t *source_row(const passes *p, uint32_t y)
{
    return p->image->pixels + (size_t)y * p->image->width * 3;
}

/* Input row y after the column pass. Rows are asked for in windows that only move down. */
static const uint8_t *stretched_row(passes *p, uint32_t y)
{
    if (!p->has_columns)
        return source_row(p, y) + p->left * 3;
    for (; p->ready <= y; p->ready++)
        columns_of_row(p->ring + p->ready % p->ring_rows * p->row_bytes, source_row(p, p->ready), &p->columns);
    return p->ring + y % p->ring_rows * p->row_bytes;
}

static void sum_rows(passes *p, uint32_t i, uint8_t *out)
{
    const int32_t *weights = p->rows.weights + (size_t)i * p->rows.most;
    const uint32_t first = p->rows.first[i];
    for (size_t x = 0; x < p->row_bytes; x++)
        p->sums[x] = 1 << (PRECISION_BITS - 1);
    for (uint32_t y = 0; y < p->rows.length[i]; y++)
        add_row(p->sums, stretched_row(p, first + y), weights[y], p->row_bytes);
    for (size_t x = 0; x < p->row_bytes; x++)
        out[x] = to_byte(p->sums[x]);
}

static imgq_status passes_prepare(passes *p, uint32_t width, uint32_t height, uint32_t filter, const iq_window *window,
                                  imgq_error *err)
{
    imgq_env *env = p->image->env;
    imgq_status status = IMGQ_OK;
    if (p->has_columns)
        status = taps_create(env, p->image->width, width, window->left, window->width, filter, &p->columns, err);
    if (status == IMGQ_OK && p->has_rows)
        status = taps_create(env, p->image->height, height, window->top, window->height, filter, &p->rows, err);
    if (status != IMGQ_OK || !p->has_rows)
        return status;
    p->ready = p->rows.first[0];
    p->ring_rows = p->rows.most;
    p->sums = iq_alloc_array(env, p->row_bytes, sizeof *p->sums);
    if (p->sums != NULL && p->has_columns)
        p->ring = iq_alloc_array(env, p->ring_rows, p->row_bytes);
    if (p->sums == NULL || (p->has_columns && p->ring == NULL))
        return iq_fail_nomem(err, (p->ring_rows + 4) * p->row_bytes);
    return IMGQ_OK;
}

static imgq_status resize_filtered(const imgq_image *image, uint32_t width, uint32_t height, uint32_t filter,
                                   const iq_window *window, uint8_t *rgb, imgq_error *err)
{
    passes p = {.image = image,
                .has_columns = width != image->width,
                .has_rows = height != image->height,
                .left = window->left,
                .row_bytes = (size_t)window->width * 3};
    imgq_status status = passes_prepare(&p, width, height, filter, window, err);
    for (uint32_t i = 0; status == IMGQ_OK && i < window->height; i++) {
        uint8_t *out = rgb + (size_t)i * p.row_bytes;
        if (p.has_rows)
            sum_rows(&p, i, out);
        else if (p.has_columns)
            columns_of_row(out, source_row(&p, window->top + i), &p.columns);
        else
            memcpy(out, source_row(&p, window->top + i) + p.left * 3, p.row_bytes);
    }
    taps_release(image->env, &p.columns);
    taps_release(image->env, &p.rows);
    iq_free(image->env, p.ring);
    iq_free(image->env, p.sums);
    return status;
}

/* Pillow adds up the position in double from the first column on, so its rounding errors add up as well. Past the end
 * it leaves black. Answers in_size for such a place. */
static void nearest_places(uint32_t *places, uint32_t in_size, uint32_t out_size, uint32_t from, uint32_t count)
{
    const double step = (double)(float)in_size / out_size;
    double place = 0.0 + step * 0.5;
    for (uint32_t at = 0; at < from + count; at++, place += step)
        if (at >= from)
            places[at - from] = place < (double)in_size ? (uint32_t)place : in_size;
}

static imgq_status resize_nearest(const imgq_image *image, uint32_t width, uint32_t height, const iq_window *window,
                                  uint8_t *rgb, imgq_error *err)
{
    const size_t count = (size_t)window->width + window->height;
    uint32_t *columns = iq_alloc_array(image->env, count, sizeof *columns);
    if (columns == NULL)
        return iq_fail_nomem(err, count * sizeof *columns);
    uint32_t *rows = columns + window->width;
    nearest_places(columns, image->width, width, window->left, window->width);
    nearest_places(rows, image->height, height, window->top, window->height);
    for (uint32_t y = 0; y < window->height; y++)
        for (uint32_t x = 0; x < window->width; x++, rgb += 3) {
            if (rows[y] < image->height && columns[x] < image->width)
                memcpy(rgb, image->pixels + ((size_t)rows[y] * image->width + columns[x]) * 3, 3);
            else
                memset(rgb, 0, 3);
        }
    iq_free(image->env, columns);
    return IMGQ_OK;
}

imgq_status iq_resize_window(const imgq_image *image, uint32_t width, uint32_t height, uint32_t filter,
                             const iq_window *window, uint8_t *rgb, imgq_error *err)
{
    if (filter == IMGQ_FILTER_NEAREST)
        return resize_nearest(image, width, height, window, rgb, err);
    return resize_filtered(image, width, height, filter, window, rgb, err);
}
