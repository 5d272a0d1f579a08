/* Rows to a whole picture, or to the resizer four at a time. */
#include "image/rows.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "image/orient.h"
#include "image/recipe.h"

/* Halves. Twice the pixels would keep a picture of 12 megapixels from 1/8 of its size, and at 1/4 nothing is won over
 * Pillow's draft mode, which keeps one. */
enum { LEAST_OVERSAMPLING = 3 };

uint32_t iq_rows_least_eighths(const iq_rows *rows, uint32_t width, uint32_t height)
{
    const iq_turn turn = iq_orient_turn(rows->turn ? rows->orientation : 0);
    uint32_t across, down;
    if (rows->recipe == NULL || iq_recipe_resized_size(rows->recipe, turn.swap ? height : width,
                                                       turn.swap ? width : height, &across, &down, NULL) != IMGQ_OK)
        return 8;
    const uint64_t wide = (uint64_t)(turn.swap ? down : across) * LEAST_OVERSAMPLING * 4;
    const uint64_t high = (uint64_t)(turn.swap ? across : down) * LEAST_OVERSAMPLING * 4;
    uint32_t eighths = 1;
    while (eighths < 8 && ((uint64_t)width * eighths < wide || (uint64_t)height * eighths < high))
        eighths *= 2;
    return eighths;
}

static imgq_status begin_resize(iq_rows *rows, imgq_error *err)
{
    const imgq_recipe *recipe = rows->recipe;
    iq_resize_plan plan = {.in_width = rows->row_pixels,
                           .in_height = rows->count,
                           .orientation = rows->turn ? rows->orientation : 0,
                           .filter = recipe->filter};
    const bool swap = iq_orient_turn(plan.orientation).swap;
    imgq_status status = iq_recipe_resized_size(recipe, swap ? rows->height : rows->width,
                                                swap ? rows->width : rows->height, &plan.width, &plan.height, err);
    if (status != IMGQ_OK)
        return status;
    plan.window = iq_recipe_window(recipe, plan.width, plan.height);
    status = iq_resizer_create(rows->env, iq_resample_kernels_best(), &plan, rows->rgb, &rows->resizer, err);
    if (status != IMGQ_OK)
        return status;
    rows->staged = iq_alloc_array(rows->env, IQ_ROWS_AT_ONCE, (size_t)rows->row_pixels * 3);
    return rows->staged != NULL ? IMGQ_OK : iq_fail_nomem(err, (size_t)rows->row_pixels * 3 * IQ_ROWS_AT_ONCE);
}

imgq_status iq_rows_begin(iq_rows *rows, uint32_t width, uint32_t height, uint32_t eighths, uint32_t row_pixels,
                          uint32_t count, imgq_error *err)
{
    rows->width = width;
    rows->height = height;
    rows->eighths = eighths;
    rows->row_pixels = row_pixels;
    rows->count = count;
    if (rows->recipe != NULL)
        return begin_resize(rows, err);
    return iq_image_new(rows->env, row_pixels, count, &rows->image, err);
}

uint32_t iq_rows_room(const iq_rows *rows)
{
    const uint32_t left = rows->count - rows->came, room = IQ_ROWS_AT_ONCE - rows->came % IQ_ROWS_AT_ONCE;
    return left < room ? left : room;
}

uint8_t *iq_rows_place(const iq_rows *rows, uint32_t nth)
{
    const size_t at = (size_t)rows->came + nth, bytes = (size_t)rows->row_pixels * 3;
    return rows->image != NULL ? rows->image->pixels + at * bytes : rows->staged + at % IQ_ROWS_AT_ONCE * bytes;
}

void iq_rows_done(iq_rows *rows, uint32_t count)
{
    const uint8_t *in[IQ_ROWS_AT_ONCE];
    rows->came += count;
    if (rows->resizer == NULL || (rows->came % IQ_ROWS_AT_ONCE != 0 && rows->came < rows->count))
        return;
    const uint32_t staged = (rows->came - 1) % IQ_ROWS_AT_ONCE + 1;
    for (uint32_t i = 0; i < staged; i++)
        in[i] = rows->staged + (size_t)i * rows->row_pixels * 3;
    iq_resizer_push(rows->resizer, in, staged);
}

imgq_image *iq_rows_end(iq_rows *rows)
{
    imgq_image *image = rows->image;
    iq_resizer_destroy(rows->resizer);
    iq_free(rows->env, rows->staged);
    rows->image = NULL;
    rows->resizer = NULL;
    rows->staged = NULL;
    return image;
}
