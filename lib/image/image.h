/* The image's inside, and what the two decoders are told. */
#ifndef IQ_IMAGE_IMAGE_H
#define IQ_IMAGE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/image.h>

struct imgq_image {
    imgq_env *env; /* shared */
    uint32_t width, height;
    uint32_t orientation; /* EXIF's, 1-8; 0: none */
    uint32_t applied;     /* 1: the pixels were turned by it */
    uint8_t *pixels;      /* owned, height * width * 3 */
};

/** What a decoder must keep to. */
typedef struct iq_decode_rules {
    size_t max_pixels;
    size_t max_progressive_pixels; /* of a JPEG in several scans */
    const uint8_t *background;     /* R G B to composite alpha over; NULL: alpha is dropped */
    int fast;                      /* large JPEGs may be decoded smaller than they are */
} iq_decode_rules;

/** Refuses an empty image and one of more than max_pixels. @param kind "JPEG", "PNG"
 *  @return IMGQ_OK; IMGQ_E_CORRUPT (a side of 0); IMGQ_E_LIMIT */
imgq_status iq_image_check_size(const char *kind, uint32_t width, uint32_t height, size_t max_pixels, imgq_error *err);

/** An image whose pixels are not written yet. @param out owned, imgq_image_destroy(); NULL unless IMGQ_OK
 *  @return IMGQ_OK; IMGQ_E_LIMIT (the bytes do not fit a size_t); IMGQ_E_NOMEM */
imgq_status iq_image_new(imgq_env *env, uint32_t width, uint32_t height, imgq_image **out, imgq_error *err);

#endif
