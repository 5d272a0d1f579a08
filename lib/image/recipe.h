/* A caller's recipe, checked once so that what uses it need not. */
#ifndef IQ_IMAGE_RECIPE_H
#define IQ_IMAGE_RECIPE_H

#include <imgq/image.h>

/** @param out every field sane: sizes above 0, crop inside the resize, a known filter, no division by 0
 *  @return IMGQ_OK; IMGQ_E_INVALID (names the field); IMGQ_E_UNSUPPORTED (a field newer than this library is set) */
imgq_status iq_recipe_read(imgq_recipe *out, const imgq_recipe *given, imgq_error *err);

#endif
