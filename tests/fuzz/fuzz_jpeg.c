/* Any bytes into the JPEG reader; whole and row by row, turned, resized and normalised. */
#include "fuzz_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 3 || bytes[0] != 0xff || bytes[1] != 0xd8 || bytes[2] != 0xff)
        return -1;
    return fuzz_image(bytes, len);
}
