/* Pillow's resampling: two passes of fixed-point taps, columns first, each pass rounded to bytes; nearest apart.
 * Input rows stream through a ring that holds those of one output row, so that they stay in the cache between the
 * passes. Built without fused multiply-add: nearest adds up a double. */
#include "image/resize.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "image/taps.h"

#include <string.h>

/* What a resize works with: taps of the passes that are needed, and the column pass's rows while they are summed. */
typedef struct passes {
    const imgq_image *image;
    const iq_resample_kernels *kernels;
    iq_taps columns, rows;
    iq_tap_groups groups; /* of columns, where the kernel wants them and the image is wide enough */
    int has_columns, has_rows;
    size_t left;      /* of the window, where columns are only copied */
    size_t row_bytes; /* of the window */
    uint8_t *ring;    /* [ring_rows][row_bytes]; input row y lies at y % ring_rows */
    size_t ring_rows;
    uint32_t ready;         /* input rows before this one went through the column pass, or were not needed */
    uint32_t end;           /* input rows from here on are not needed */
    const uint8_t **summed; /* [rows.most], rows of one output row */
} passes;

static const uint8_t *source_row(const passes *p, uint32_t y)
{
    return p->image->pixels + (size_t)y * p->image->width * 3;
}

/* Some input rows from y on through the column pass. */
static void stretch_rows(const passes *p, uint8_t *const *out, uint32_t y, uint32_t count)
{
    const uint8_t *in[IQ_ROWS_AT_ONCE];
    for (uint32_t i = 0; i < count; i++)
        in[i] = source_row(p, y + i);
    if (p->groups.count > 0)
        p->kernels->columns(out, in, count, &p->columns, &p->groups);
    else
        iq_columns_plain(out, in, count, &p->columns, NULL);
}

static uint32_t rows_at_once(uint32_t y, uint32_t end)
{
    return end - y < IQ_ROWS_AT_ONCE ? end - y : IQ_ROWS_AT_ONCE;
}

/* Input row y after the column pass. Rows are asked for in windows that only move down; the ring has room for those
 * that come early. */
static const uint8_t *stretched_row(passes *p, uint32_t y)
{
    if (!p->has_columns)
        return source_row(p, y) + p->left * 3;
    while (p->ready <= y) {
        uint8_t *out[IQ_ROWS_AT_ONCE];
        const uint32_t count = rows_at_once(p->ready, p->end);
        for (uint32_t i = 0; i < count; i++)
            out[i] = p->ring + (p->ready + i) % p->ring_rows * p->row_bytes;
        stretch_rows(p, out, p->ready, count);
        p->ready += count;
    }
    return p->ring + y % p->ring_rows * p->row_bytes;
}

static void sum_rows(passes *p, uint32_t i, uint8_t *out)
{
    const uint32_t length = p->rows.length[i];
    for (uint32_t y = 0; y < length; y++)
        p->summed[y] = stretched_row(p, p->rows.first[i] + y);
    p->kernels->rows(out, p->summed, p->rows.weights + (size_t)i * p->rows.most, length, p->row_bytes);
}

static imgq_status prepare_columns(passes *p, uint32_t width, uint32_t filter, const iq_window *window, imgq_error *err)
{
    imgq_env *env = p->image->env;
    imgq_status status =
        iq_taps_create(env, p->image->width, width, window->left, window->width, filter, &p->columns, err);
    if (status == IMGQ_OK && p->kernels->columns != NULL)
        status = iq_tap_groups_create(env, &p->columns, p->image->width, IQ_LEAST_GROUPS, p->kernels->packing,
                                      &p->groups, err);
    return status;
}

static imgq_status prepare_rows(passes *p, uint32_t height, uint32_t filter, const iq_window *window, imgq_error *err)
{
    imgq_env *env = p->image->env;
    const imgq_status status =
        iq_taps_create(env, p->image->height, height, window->top, window->height, filter, &p->rows, err);
    if (status != IMGQ_OK)
        return status;
    p->ready = p->rows.first[0];
    p->end = p->rows.first[window->height - 1] + p->rows.length[window->height - 1];
    p->ring_rows = (size_t)p->rows.most + IQ_ROWS_AT_ONCE - 1;
    p->summed = iq_alloc_array(env, p->rows.most, sizeof *p->summed);
    if (p->summed != NULL && p->has_columns)
        p->ring = iq_alloc_array(env, p->ring_rows, p->row_bytes);
    if (p->summed == NULL || (p->has_columns && p->ring == NULL))
        return iq_fail_nomem(err, p->ring_rows * p->row_bytes);
    return IMGQ_OK;
}

/* The image is as high as the result: no row pass. */
static void copy_rows(const passes *p, const iq_window *window, uint8_t *rgb)
{
    for (uint32_t i = 0, count; i < window->height; i += count) {
        uint8_t *out[IQ_ROWS_AT_ONCE];
        count = rows_at_once(i, window->height);
        for (uint32_t k = 0; k < count; k++)
            out[k] = rgb + ((size_t)i + k) * p->row_bytes;
        if (p->has_columns)
            stretch_rows(p, out, window->top + i, count);
        for (uint32_t k = 0; !p->has_columns && k < count; k++)
            memcpy(out[k], source_row(p, window->top + i + k) + p->left * 3, p->row_bytes);
    }
}

static imgq_status resize_filtered(const imgq_image *image, uint32_t width, uint32_t height, uint32_t filter,
                                   const iq_window *window, const iq_resample_kernels *kernels, uint8_t *rgb,
                                   imgq_error *err)
{
    passes p = {.image = image,
                .kernels = kernels,
                .has_columns = width != image->width,
                .has_rows = height != image->height,
                .left = window->left,
                .row_bytes = (size_t)window->width * 3};
    imgq_status status = IMGQ_OK;
    if (p.has_columns)
        status = prepare_columns(&p, width, filter, window, err);
    if (status == IMGQ_OK && p.has_rows)
        status = prepare_rows(&p, height, filter, window, err);
    if (status == IMGQ_OK && !p.has_rows)
        copy_rows(&p, window, rgb);
    for (uint32_t i = 0; status == IMGQ_OK && p.has_rows && i < window->height; i++)
        sum_rows(&p, i, rgb + (size_t)i * p.row_bytes);
    iq_taps_release(image->env, &p.columns);
    iq_taps_release(image->env, &p.rows);
    iq_tap_groups_release(image->env, &p.groups);
    iq_free(image->env, p.ring);
    iq_free(image->env, p.summed);
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

imgq_status iq_resize_window_with(const iq_resample_kernels *kernels, const imgq_image *image, uint32_t width,
                                  uint32_t height, uint32_t filter, const iq_window *window, uint8_t *rgb,
                                  imgq_error *err)
{
    if (filter == IMGQ_FILTER_NEAREST)
        return resize_nearest(image, width, height, window, rgb, err);
    return resize_filtered(image, width, height, filter, window, kernels, rgb, err);
}

imgq_status iq_resize_window(const imgq_image *image, uint32_t width, uint32_t height, uint32_t filter,
                             const iq_window *window, uint8_t *rgb, imgq_error *err)
{
    return iq_resize_window_with(iq_resample_kernels_best(), image, width, height, filter, window, rgb, err);
}
