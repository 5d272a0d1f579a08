/* JPEG bytes to RGB through libjpeg-turbo, with Pillow's settings. */
#ifndef IQ_IMAGE_JPEG_H
#define IQ_IMAGE_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"
#include "image/rows.h"

/** Entropy-coded passes over one image that are decoded at most, whatever its size. */
enum { IQ_JPEG_MAX_SCANS = 1000 };
/** And scans x pixels may be at most this many times the limit of pixels, of a JPEG in several scans the limit for
 * those: 20 scans of the largest image allowed. */
enum { IQ_JPEG_SCANS_AT_LIMIT = 20 };

/** Pixels, scans and memory are checked before they are spent: libjpeg gets at most about 2 bytes per pixel and
 *  component for a progressive image, a few rows for another. Notes the EXIF orientation in rows.
 *  @param bytes borrowed @param rows gets every row; iq_rows_end() is the caller's, after a failure too
 *  @return IMGQ_OK; IMGQ_E_CORRUPT; IMGQ_E_FORMAT (lossless, 12 bits, 2 components); IMGQ_E_LIMIT; IMGQ_E_NOMEM */
imgq_status iq_jpeg_decode(imgq_env *env, const uint8_t *bytes, size_t len, const iq_decode_rules *rules, iq_rows *rows,
                           imgq_error *err);

#endif
