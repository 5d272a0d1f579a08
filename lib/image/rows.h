/* Where a decoder's rows go: into a whole picture, or through the resizer as they come. */
#ifndef IQ_IMAGE_ROWS_H
#define IQ_IMAGE_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"
#include "image/resize.h"

/** One picture's rows, from top to bottom. The decoder tells the orientation and the size, then writes each row where
 *  iq_rows_place() says and reports it. */
typedef struct iq_rows {
    imgq_env *env;             /* borrowed */
    const imgq_recipe *recipe; /* borrowed, checked; NULL: the whole picture is wanted, and not turned */
    uint8_t *rgb;              /* borrowed, of the recipe's crop */
    uint32_t turn;             /* 1: turned as EXIF says before it is resized */

    uint32_t orientation;   /* EXIF's, 1-8; 0: none */
    uint32_t width, height; /* of the file's picture */
    uint32_t eighths;       /* of that size are the rows; 8: they are all of it */

    uint32_t row_pixels, count, came; /* rows */
    imgq_image *image;                /* owned; whole pictures only */
    iq_resizer *resizer;              /* owned; NULL of whole pictures */
    uint8_t *staged;                  /* owned; [IQ_ROWS_AT_ONCE][row_pixels * 3] on their way to the resizer */
} iq_rows;

/** The smallest number of eighths (1, 2, 4, 8) of the picture that leaves the resize one and a half times the pixels
 *  that it makes, in either direction. Call before iq_rows_begin(), orientation being set. */
uint32_t iq_rows_least_eighths(const iq_rows *rows, uint32_t width, uint32_t height);
/** Takes all memory that the rows need.
 *  @param width, height of the file's picture @param row_pixels, count of the rows that will come
 *  @return IMGQ_OK; IMGQ_E_LIMIT (the resized picture would be too long); IMGQ_E_NOMEM */
imgq_status iq_rows_begin(iq_rows *rows, uint32_t width, uint32_t height, uint32_t eighths, uint32_t row_pixels,
                          uint32_t count, imgq_error *err);
/** Rows that may be written before the next iq_rows_done(), 1 to IQ_ROWS_AT_ONCE; 0: all came. */
uint32_t iq_rows_room(const iq_rows *rows);
/** Where the nth of them belongs, row_pixels * 3 bytes. @param nth below iq_rows_room() */
uint8_t *iq_rows_place(const iq_rows *rows, uint32_t nth);
/** So many rows were written. */
void iq_rows_done(iq_rows *rows, uint32_t count);
/** Frees what is owned but for the image, which is the caller's from now on; also after a failure. */
imgq_image *iq_rows_end(iq_rows *rows);

#endif
