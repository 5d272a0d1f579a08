/* A caller's recipe, checked once so that what uses it need not. */
#ifndef IQ_IMAGE_RECIPE_H
#define IQ_IMAGE_RECIPE_H

#include <stdint.h>

#include <imgq/image.h>

#include "image/resize.h"

/** @param out every field sane: sizes above 0, crop inside the resize, a known filter, no division by 0
 *  @return IMGQ_OK; IMGQ_E_INVALID (names the field); IMGQ_E_UNSUPPORTED (a field newer than this library is set) */
imgq_status iq_recipe_read(imgq_recipe *out, const imgq_recipe *given, imgq_error *err);
/** The caller's buffer must be exactly what is written, in bytes or floats. @return IMGQ_OK; IMGQ_E_INVALID */
imgq_status iq_check_count(uint32_t width, uint32_t height, size_t count, imgq_error *err);
/** What a picture of width x height is resized to. @param recipe as iq_recipe_read() left it
 *  @return IMGQ_OK; IMGQ_E_LIMIT (the long side would be over 2^24) */
imgq_status iq_recipe_resized_size(const imgq_recipe *recipe, uint32_t width, uint32_t height, uint32_t *resized_width,
                                   uint32_t *resized_height, imgq_error *err);
/** Which part of the resized picture is kept. */
iq_window iq_recipe_window(const imgq_recipe *recipe, uint32_t resized_width, uint32_t resized_height);

#endif
