/* Pillow's Image.resize() for RGB, byte for byte, or any window of what it gives. Rows come in one after the other, so
 * that a decoder needs no memory for a whole picture. */
#ifndef IQ_IMAGE_RESIZE_H
#define IQ_IMAGE_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"
#include "image/kernels/resample.h"

/** A rectangle of the resized image. */
typedef struct iq_window {
    uint32_t left, top, width, height;
} iq_window;

typedef struct iq_resize_plan {
    uint32_t in_width, in_height; /* of the rows that come in */
    uint32_t orientation;         /* EXIF's, 1-8: they are turned by it before they are resized; 0: as 1 */
    uint32_t width, height;       /* of the picture turned and resized */
    uint32_t filter;              /* IMGQ_FILTER_... */
    iq_window window;             /* of that: what is kept; not empty, inside it */
} iq_resize_plan;

typedef struct iq_resizer iq_resizer;

/** All memory that the resize needs: the taps, the rows of one output row, and a few.
 *  @param rgb borrowed until destroy, window's height * width * 3 bytes, written as rows come
 *  @param out owned, iq_resizer_destroy(); NULL unless IMGQ_OK
 *  @return IMGQ_OK; IMGQ_E_NOMEM */
imgq_status iq_resizer_create(imgq_env *env, const iq_resample_kernels *kernels, const iq_resize_plan *plan,
                              uint8_t *rgb, iq_resizer **out, imgq_error *err);
/** The next rows from the top on, borrowed. After the in_height-th the window is complete; those that it does not need
 *  cost nothing. Four at a time are fastest. @param count 1 to IQ_ROWS_AT_ONCE */
void iq_resizer_push(iq_resizer *resizer, const uint8_t *const *rows, uint32_t count);
/** NULL is a no-op. */
void iq_resizer_destroy(iq_resizer *resizer);

/** Resize to width x height and keep the window; rows and columns outside it are not computed.
 *  @param filter IMGQ_FILTER_... @param window not empty, inside the resized image
 *  @param rgb window's height * width * 3 bytes, must not overlap the image
 *  @return IMGQ_OK; IMGQ_E_NOMEM (a few rows of work space were not to be had) */
imgq_status iq_resize_window(const imgq_image *image, uint32_t width, uint32_t height, uint32_t filter,
                             const iq_window *window, uint8_t *rgb, imgq_error *err);
/** The same through kernels of one's choice. */
imgq_status iq_resize_window_with(const iq_resample_kernels *kernels, const imgq_image *image, uint32_t width,
                                  uint32_t height, uint32_t filter, const iq_window *window, uint8_t *rgb,
                                  imgq_error *err);

#endif
