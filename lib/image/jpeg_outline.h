/* A look over a JPEG's markers before libjpeg sees them: how many scans it has, and where its EXIF block is. */
#ifndef IQ_IMAGE_JPEG_OUTLINE_H
#define IQ_IMAGE_JPEG_OUTLINE_H

#include <stddef.h>
#include <stdint.h>

typedef struct iq_jpeg_outline {
    size_t scans;        /* up to the end marker; what lies behind it is no part of the image */
    const uint8_t *exif; /* borrowed from the file, behind "Exif\0\0"; NULL: none */
    size_t exif_len;
} iq_jpeg_outline;

/** Reads every byte at most once, allocates nothing, and never fails: what is damaged is libjpeg's to refuse. */
iq_jpeg_outline iq_jpeg_outline_read(const uint8_t *bytes, size_t len);

#endif
