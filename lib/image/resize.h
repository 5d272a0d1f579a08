/* Pillow's Image.resize() for RGB, byte for byte, or any window of what it gives. */
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
