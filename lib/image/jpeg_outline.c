/* Walks a JPEG's markers as libjpeg does: segments by their length, entropy-coded data to its next real marker. */
#include "image/jpeg_outline.h"

#include "base/bytes.h"

#include <stdbool.h>
#include <string.h>

enum { SOI = 0xd8, EOI = 0xd9, SOS = 0xda, APP1 = 0xe1, RST0 = 0xd0, TEM = 0x01 };

static bool stands_alone(uint8_t marker)
{
    return marker == TEM || (marker >= RST0 && marker <= SOI);
}

iq_jpeg_outline iq_jpeg_outline_read(const uint8_t *bytes, size_t len)
{
    iq_jpeg_outline outline = {0};
    size_t at = 0;
    for (;;) {
        /* Bytes that are no marker, stuffed zeros and restart markers are all passed here. */
        const uint8_t *mark = at < len ? memchr(bytes + at, 0xff, len - at) : NULL;
        if (mark == NULL)
            return outline;
        at = (size_t)(mark - bytes) + 1;
        while (at < len && bytes[at] == 0xff)
            at++;
        if (at == len)
            return outline;
        const uint8_t marker = bytes[at++];
        if (marker == 0 || stands_alone(marker))
            continue;
        if (marker == EOI)
            return outline;
        if (marker == SOS)
            outline.scans++;
        if (len - at < 2)
            return outline;
        const size_t segment = iq_load_be16(bytes + at);
        if (segment < 2 || segment > len - at)
            return outline;
        if (marker == APP1 && outline.exif == NULL && outline.scans == 0 && segment >= 8 &&
            memcmp(bytes + at + 2, "Exif\0", 5) == 0) {
            outline.exif = bytes + at + 8;
            outline.exif_len = segment - 8;
        }
        at += segment;
    }
}
