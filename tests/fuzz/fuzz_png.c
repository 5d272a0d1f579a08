/* Any bytes into the PNG reader; those that it takes are turned, resized and normalised as well. */
#include "fuzz_image.h"

#include "base/bytes.h"

#include <string.h>

static uint32_t crc32_of(const uint8_t *bytes, size_t len)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

/* A changed byte is mostly refused for its chunk's checksum, which hides all that lies behind. */
static void repair_checksums(uint8_t *bytes, size_t len)
{
    for (size_t at = 8; len - at >= 12;) {
        const size_t size = iq_load_be32(bytes + at);
        if (size > len - at - 12)
            return;
        iq_store_be32(bytes + at + 8 + size, crc32_of(bytes + at + 4, size + 4));
        at += size + 12;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 8 || memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) != 0)
        return -1;
    (void)fuzz_image(bytes, len);
    uint8_t *repaired = malloc(len);
    memcpy(repaired, bytes, len);
    repair_checksums(repaired, len);
    (void)fuzz_image(repaired, len);
    free(repaired);
    return 0;
}
