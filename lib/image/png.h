/* PNG bytes to RGB through libpng. */
#ifndef IQ_IMAGE_PNG_H
#define IQ_IMAGE_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"
#include "image/rows.h"

/** libpng keeps two rows of up to 8 bytes a pixel, so an image may not be all width. */
enum { IQ_PNG_MAX_SIDE = 1000000 };

/** 1 to 16 bits, every colour type, interlaced or not; 16-bit samples keep their high byte; gamma and profiles are not
 *  applied. Alpha and tRNS are dropped, or composited over the rules' background. Notes eXIf's orientation in rows.
 *  @param bytes borrowed @param rows gets every row; iq_rows_end() is the caller's, after a failure too
 *  @return IMGQ_OK; IMGQ_E_CORRUPT; IMGQ_E_LIMIT; IMGQ_E_NOMEM */
imgq_status iq_png_decode(imgq_env *env, const uint8_t *bytes, size_t len, const iq_decode_rules *rules, iq_rows *rows,
                          imgq_error *err);

#endif
