/* EXIF orientation: found in the file's own block, and applied as Pillow's ImageOps.exif_transpose() does. */
#ifndef IQ_IMAGE_ORIENT_H
#define IQ_IMAGE_ORIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

/** @param tiff borrowed, the block from its byte-order mark on (behind "Exif\0\0" in a JPEG's APP1)
 *  @return 1-8, or 0 where the block is damaged, says nothing or says another number */
uint32_t iq_orient_parse(const uint8_t *tiff, size_t len);

/** How the turned picture lies in the stored one. */
typedef struct iq_turn {
    bool swap;       /* its columns are the stored rows */
    bool flip_along; /* what is first in a stored row is last in the turned picture, in whichever axis that is */
    bool flip_down;  /* so is the first stored row */
} iq_turn;

/** @param orientation EXIF's; 0 and 1 turn nothing */
iq_turn iq_orient_turn(uint32_t orientation);

/** Turns the pixels by image->orientation and notes that it did; 0 and 1 change nothing.
 *  @return IMGQ_OK; IMGQ_E_NOMEM (the image is as it was) */
imgq_status iq_orient_apply(imgq_image *image, imgq_error *err);

#endif
