/* RGB bytes to a PNG file. */
#ifndef CLI_MODEL_PNG_OUT_H
#define CLI_MODEL_PNG_OUT_H

#include <stdbool.h>
#include <stdint.h>

/** @param rgb width * height * 3 bytes @return false: errno says why */
bool png_write(const char *path, const uint8_t *rgb, uint32_t width, uint32_t height);

#endif
