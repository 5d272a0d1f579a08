/* Pillow's resampling: two passes of fixed-point taps, columns first, each pass rounded to bytes. Input rows stream
 * through a ring that holds those of one output row, so that they stay in the cache between the passes.
 *
 * A turned picture is never built. Its taps are Pillow's for the turned picture; sums of integers do not ask for an
 * order, so a mirrored axis is the same taps mirrored. Where EXIF swaps the axes, the turned picture's columns are the
 * stored one's rows: then the ring holds whole rows, is summed first, and what comes out is a column of the result. */
#include "image/resize.h"

#include "base/alloc.h"
#include "base/env.h"
#include "base/fail.h"
#include "image/orient.h"
#include "image/taps.h"

#include <string.h>

struct iq_resizer {
    imgq_env *env; /* shared */
    const iq_resample_kernels *kernels;
    iq_taps along, down;  /* along a row that comes in, and down from row to row */
    iq_tap_groups groups; /* of along, where the kernel wants them and the rows are long enough */
    iq_turn turn;
    uint8_t *rgb;     /* borrowed, the window */
    size_t out_bytes; /* of a row of it */
    uint8_t *ring;    /* [ring_rows][ring_bytes]; input row y lies at y % ring_rows */
    size_t ring_rows, ring_bytes;
    const uint8_t **summed; /* [down.most], rows of one output */
    uint8_t *batch;         /* axes swapped: [IQ_ROWS_AT_ONCE][ring_bytes], rows on their way to the second pass */
    uint8_t *columns;       /* and [IQ_ROWS_AT_ONCE][along.count * 3], columns of the result */
    uint32_t batched;
    uint32_t came;    /* input rows */
    uint32_t emitted; /* outputs of down */
};

/* Outputs are made as their inputs come: from the last on where the picture is turned upside down. */
static uint32_t output_at(const iq_resizer *r, uint32_t nth)
{
    return r->turn.flip_down ? r->down.count - 1 - nth : nth;
}

static void sum_along(const iq_resizer *r, uint8_t *const *out, const uint8_t *const *in, uint32_t count)
{
    if (r->groups.count > 0)
        r->kernels->columns(out, in, count, &r->along, &r->groups);
    else
        iq_columns_plain(out, in, count, &r->along, NULL);
}

static void fill_ring(iq_resizer *r, const uint8_t *const *rows, uint32_t count)
{
    uint8_t *out[IQ_ROWS_AT_ONCE];
    for (uint32_t i = 0; i < count; i++)
        out[i] = r->ring + (r->came + i) % r->ring_rows * r->ring_bytes;
    if (!r->turn.swap)
        sum_along(r, out, rows, count);
    for (uint32_t i = 0; r->turn.swap && i < count; i++)
        memcpy(out[i], rows[i], r->ring_bytes);
    r->came += count;
}

/* The batch's rows are the last `batched` of the outputs emitted. */
static void write_columns(iq_resizer *r)
{
    const size_t bytes = (size_t)r->along.count * 3;
    const uint8_t *in[IQ_ROWS_AT_ONCE];
    uint8_t *out[IQ_ROWS_AT_ONCE];
    for (uint32_t i = 0; i < r->batched; i++) {
        in[i] = r->batch + i * r->ring_bytes;
        out[i] = r->columns + i * bytes;
    }
    sum_along(r, out, in, r->batched);
    for (uint32_t i = 0; i < r->batched; i++) {
        uint8_t *to = r->rgb + (size_t)output_at(r, r->emitted - r->batched + i) * 3;
        for (uint32_t y = 0; y < r->along.count; y++, to += r->out_bytes)
            memcpy(to, out[i] + (size_t)y * 3, 3);
    }
    r->batched = 0;
}

static void emit(iq_resizer *r)
{
    const uint32_t i = output_at(r, r->emitted), length = r->down.length[i];
    for (uint32_t y = 0; y < length; y++)
        r->summed[y] = r->ring + (r->down.first[i] + y) % r->ring_rows * r->ring_bytes;
    uint8_t *out = r->turn.swap ? r->batch + r->batched * r->ring_bytes : r->rgb + i * r->out_bytes;
    r->kernels->rows(out, r->summed, r->down.weights + (size_t)i * r->down.most, length, r->ring_bytes);
    r->emitted++;
    if (r->turn.swap && (++r->batched == IQ_ROWS_AT_ONCE || r->emitted == r->down.count))
        write_columns(r);
}

void iq_resizer_push(iq_resizer *r, const uint8_t *const *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count && r->emitted < r->down.count;) {
        const uint32_t first = r->down.first[output_at(r, r->emitted)];
        if (r->came < first) { /* above all that is wanted, or between it */
            r->came++;
            i++;
            continue;
        }
        /* The ring holds fewer rows than one output sums, and has room for these. */
        fill_ring(r, rows + i, count - i);
        i = count;
        while (r->emitted < r->down.count) {
            const uint32_t next = output_at(r, r->emitted);
            if (r->down.first[next] + r->down.length[next] > r->came)
                break;
            emit(r);
        }
    }
}

/* Taps of the turned picture's two axes, put where the rows that come in have them. */
static imgq_status prepare_taps(iq_resizer *r, const iq_resize_plan *plan, imgq_error *err)
{
    const iq_window *window = &plan->window;
    const uint32_t in_width = r->turn.swap ? plan->in_height : plan->in_width;
    const uint32_t in_height = r->turn.swap ? plan->in_width : plan->in_height;
    iq_taps *columns = r->turn.swap ? &r->down : &r->along, *rows = r->turn.swap ? &r->along : &r->down;
    imgq_status status =
        iq_taps_create(r->env, in_width, plan->width, window->left, window->width, plan->filter, columns, err);
    if (status == IMGQ_OK)
        status = iq_taps_create(r->env, in_height, plan->height, window->top, window->height, plan->filter, rows, err);
    if (status != IMGQ_OK)
        return status;
    if (r->turn.flip_along)
        iq_taps_mirror(&r->along, plan->in_width);
    if (r->turn.flip_down)
        iq_taps_mirror(&r->down, plan->in_height);
    if (r->kernels->columns != NULL)
        status = iq_tap_groups_create(r->env, &r->along, plan->in_width, IQ_LEAST_GROUPS, r->kernels->packing,
                                      &r->groups, err);
    return status;
}

static imgq_status prepare_rows(iq_resizer *r, const iq_resize_plan *plan, imgq_error *err)
{
    const size_t columns_bytes = (size_t)r->along.count * 3;
    r->ring_rows = (size_t)r->down.most + IQ_ROWS_AT_ONCE - 1;
    r->ring_bytes = r->turn.swap ? (size_t)plan->in_width * 3 : columns_bytes;
    r->summed = iq_alloc_array(r->env, r->down.most, sizeof *r->summed);
    r->ring = iq_alloc_array(r->env, r->ring_rows, r->ring_bytes);
    if (r->turn.swap) {
        r->batch = iq_alloc_array(r->env, IQ_ROWS_AT_ONCE, r->ring_bytes);
        r->columns = iq_alloc_array(r->env, IQ_ROWS_AT_ONCE, columns_bytes);
    }
    if (r->summed == NULL || r->ring == NULL || (r->turn.swap && (r->batch == NULL || r->columns == NULL)))
        return iq_fail_nomem(err, r->ring_rows * r->ring_bytes);
    return IMGQ_OK;
}

imgq_status iq_resizer_create(imgq_env *env, const iq_resample_kernels *kernels, const iq_resize_plan *plan,
                              uint8_t *rgb, iq_resizer **out, imgq_error *err)
{
    *out = NULL;
    iq_resizer *r = iq_alloc_array(env, 1, sizeof *r);
    if (r == NULL)
        return iq_fail_nomem(err, sizeof *r);
    r->env = iq_env_hold(env);
    r->kernels = kernels;
    r->turn = iq_orient_turn(plan->orientation);
    r->rgb = rgb;
    r->out_bytes = (size_t)plan->window.width * 3;
    imgq_status status = prepare_taps(r, plan, err);
    if (status == IMGQ_OK)
        status = prepare_rows(r, plan, err);
    if (status == IMGQ_OK)
        *out = r;
    else
        iq_resizer_destroy(r);
    return status;
}

void iq_resizer_destroy(iq_resizer *r)
{
    if (r == NULL)
        return;
    imgq_env *env = r->env;
    iq_taps_release(env, &r->along);
    iq_taps_release(env, &r->down);
    iq_tap_groups_release(env, &r->groups);
    iq_free(env, r->summed);
    iq_free(env, r->ring);
    iq_free(env, r->batch);
    iq_free(env, r->columns);
    iq_free(env, r);
    imgq_env_destroy(env);
}

imgq_status iq_resize_window_with(const iq_resample_kernels *kernels, const imgq_image *image, uint32_t width,
                                  uint32_t height, uint32_t filter, const iq_window *window, uint8_t *rgb,
                                  imgq_error *err)
{
    const iq_resize_plan plan = {.in_width = image->width,
                                 .in_height = image->height,
                                 .width = width,
                                 .height = height,
                                 .filter = filter,
                                 .window = *window};
    iq_resizer *resizer;
    const imgq_status status = iq_resizer_create(image->env, kernels, &plan, rgb, &resizer, err);
    for (uint32_t y = 0; status == IMGQ_OK && y < image->height; y += IQ_ROWS_AT_ONCE) {
        const uint32_t left = image->height - y, count = left < IQ_ROWS_AT_ONCE ? left : IQ_ROWS_AT_ONCE;
        const uint8_t *rows[IQ_ROWS_AT_ONCE];
        for (uint32_t i = 0; i < count; i++)
            rows[i] = image->pixels + (size_t)(y + i) * image->width * 3;
        iq_resizer_push(resizer, rows, count);
    }
    iq_resizer_destroy(resizer);
    return status;
}

imgq_status iq_resize_window(const imgq_image *image, uint32_t width, uint32_t height, uint32_t filter,
                             const iq_window *window, uint8_t *rgb, imgq_error *err)
{
    return iq_resize_window_with(iq_resample_kernels_best(), image, width, height, filter, window, rgb, err);
}
