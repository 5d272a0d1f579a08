/* Any bytes into the PNG reader; those that it takes are turned, resized and normalised as well. */
#include "fuzz_image.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 8 || memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) != 0)
        return -1;
    return fuzz_image(bytes, len);
}
