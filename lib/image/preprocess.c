/* From an image to what a network reads: the resize, the crop and the numbers that a recipe names. */
#include "base/checked.h"
#include "base/fail.h"
#include "image/recipe.h"
#include "image/resize.h"

#include <inttypes.h>

static imgq_status check_filter(uint32_t filter, imgq_error *err)
{
    if (filter == IMGQ_FILTER_NEAREST || filter == IMGQ_FILTER_BILINEAR || filter == IMGQ_FILTER_BICUBIC)
        return IMGQ_OK;
    return iq_fail(err, IMGQ_E_INVALID, 0, "resize with filter %" PRIu32 "; nearest is 0, bilinear 2, bicubic 3",
                   filter);
}

imgq_status iq_check_count(uint32_t width, uint32_t height, size_t count, imgq_error *err)
{
    size_t wanted;
    if (iq_mul_size(&wanted, width, height) || iq_mul_size(&wanted, wanted, 3) || wanted != count)
        return iq_fail(err, IMGQ_E_INVALID, 0, "%zu values for %" PRIu32 " x %" PRIu32 " pixels of three", count, width,
                       height);
    return IMGQ_OK;
}

imgq_status imgq_image_resize(const imgq_image *image, uint32_t width, uint32_t height, uint32_t filter, uint8_t *rgb,
                              size_t rgb_size, imgq_error *err)
{
    if (image == NULL || rgb == NULL || width == 0 || height == 0)
        return iq_fail(err, IMGQ_E_INVALID, 0, "resize an image to %" PRIu32 " x %" PRIu32 " pixels", width, height);
    imgq_status status = check_filter(filter, err);
    if (status == IMGQ_OK)
        status = iq_check_count(width, height, rgb_size, err);
    if (status != IMGQ_OK)
        return status;
    return iq_resize_window(image, width, height, filter, &(iq_window){.width = width, .height = height}, rgb, err);
}

/* torchvision: the long side is truncated, int(size * long / short). A picture all length has no useful crop, and
 * Pillow's own arithmetic is exact up to here only. */
enum { MAX_RESIZED_SIDE = 1 << 24 };

imgq_status iq_recipe_resized_size(const imgq_recipe *recipe, uint32_t width, uint32_t height, uint32_t *resized_width,
                                   uint32_t *resized_height, imgq_error *err)
{
    *resized_width = recipe->resize_width;
    *resized_height = recipe->resize_height;
    if (recipe->resize_short == 0)
        return IMGQ_OK;
    const uint32_t longer = width > height ? width : height, shorter = width > height ? height : width;
    const uint64_t side = (uint64_t)recipe->resize_short * longer / shorter;
    if (side > MAX_RESIZED_SIDE)
        return iq_fail(err, IMGQ_E_LIMIT, 0,
                       "image of %" PRIu32 " x %" PRIu32 " pixels, its long side would become %" PRIu64
                       ", the limit is %d",
                       width, height, side, MAX_RESIZED_SIDE);
    *resized_width = width > height ? (uint32_t)side : recipe->resize_short;
    *resized_height = width > height ? recipe->resize_short : (uint32_t)side;
    return IMGQ_OK;
}

/* Half of what the crop leaves over; an odd rest goes to the even neighbour, as Python rounds. */
static uint32_t crop_offset(uint32_t size, uint32_t crop)
{
    const uint32_t rest = size - crop, half = rest / 2;
    return rest % 2 == 1 && half % 2 == 1 ? half + 1 : half;
}

iq_window iq_recipe_window(const imgq_recipe *recipe, uint32_t resized_width, uint32_t resized_height)
{
    return (iq_window){.left = crop_offset(resized_width, recipe->crop_width),
                       .top = crop_offset(resized_height, recipe->crop_height),
                       .width = recipe->crop_width,
                       .height = recipe->crop_height};
}

imgq_status imgq_image_resample(const imgq_image *image, const imgq_recipe *recipe, uint8_t *rgb, size_t rgb_size,
                                imgq_error *err)
{
    imgq_recipe r;
    uint32_t width = 0, height = 0;
    if (image == NULL || recipe == NULL || rgb == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "resample an image: image, recipe and rgb are needed");
    imgq_status status = iq_recipe_read(&r, recipe, err);
    if (status == IMGQ_OK)
        status = iq_check_count(r.crop_width, r.crop_height, rgb_size, err);
    if (status == IMGQ_OK)
        status = iq_recipe_resized_size(&r, image->width, image->height, &width, &height, err);
    if (status != IMGQ_OK)
        return status;
    const iq_window window = iq_recipe_window(&r, width, height);
    return iq_resize_window(image, width, height, r.filter, &window, rgb, err);
}

imgq_status imgq_image_preprocess(const imgq_image *image, const imgq_recipe *recipe, float *nhwc, size_t count,
                                  imgq_error *err)
{
    if (nhwc == NULL)
        return iq_fail(err, IMGQ_E_INVALID, 0, "preprocess an image: nhwc is needed");
    /* The bytes take the last quarter of the floats' own memory: each is read before a float is written over it. */
    uint8_t *rgb = (uint8_t *)nhwc + count * 3;
    imgq_status status = imgq_image_resample(image, recipe, rgb, count, err);
    if (status == IMGQ_OK)
        status = imgq_recipe_normalise(recipe, rgb, count, nhwc, count, err);
    return status;
}
