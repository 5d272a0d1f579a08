/* What kind of file the first bytes announce; its name never counts. */
#ifndef IQ_IMAGE_SNIFF_H
#define IQ_IMAGE_SNIFF_H

#include <stddef.h>
#include <stdint.h>

typedef enum iq_kind {
    IQ_KIND_UNKNOWN = 0,
    IQ_KIND_JPEG,
    IQ_KIND_PNG,
    IQ_KIND_REFUSED, /* known by name, not read here */
} iq_kind;

/** @param name set to a static text ("JPEG", "HEIC") unless IQ_KIND_UNKNOWN */
iq_kind iq_sniff(const uint8_t *bytes, size_t len, const char **name);

#endif
