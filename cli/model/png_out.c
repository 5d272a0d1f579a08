/* Signature, IHDR, one IDAT by zlib, IEND: a PNG needs no more. */
#include "cli/model/png_out.h"

#include <zlib.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void store_be32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i));
}

static bool write_chunk(FILE *file, const char *kind, const uint8_t *data, size_t len)
{
    uint8_t word[4];
    uLong crc = crc32(crc32(0, (const Bytef *)kind, 4), data, (uInt)len);
    store_be32(word, (uint32_t)len);
    bool ok = fwrite(word, 1, 4, file) == 4 && fwrite(kind, 1, 4, file) == 4 && fwrite(data, 1, len, file) == len;
    store_be32(word, (uint32_t)crc);
    return ok && fwrite(word, 1, 4, file) == 4;
}

/* Each row goes behind a byte that says "not filtered". @return NULL when memory ran out; owned, free() */
static uint8_t *deflate_rows(const uint8_t *rgb, uint32_t width, uint32_t height, size_t *len)
{
    size_t stride = (size_t)width * 3;
    uLongf packed_len = compressBound((stride + 1) * height);
    uint8_t *rows = malloc((stride + 1) * height), *packed = malloc(packed_len);
    for (uint32_t y = 0; rows != NULL && y < height; y++) {
        rows[y * (stride + 1)] = 0;
        memcpy(rows + y * (stride + 1) + 1, rgb + y * stride, stride);
    }
    if (rows == NULL || packed == NULL ||
        compress2(packed, &packed_len, rows, (stride + 1) * height, Z_BEST_SPEED) != Z_OK) {
        free(packed);
        packed = NULL;
    }
    free(rows);
    *len = packed_len;
    return packed;
}

bool png_write(const char *path, const uint8_t *rgb, uint32_t width, uint32_t height)
{
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    uint8_t head[13] = {0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0}; /* 8 bits, RGB */
    size_t len = 0;
    uint8_t *packed = deflate_rows(rgb, width, height, &len);
    FILE *file = packed != NULL ? fopen(path, "wb") : NULL;
    if (packed == NULL)
        errno = ENOMEM;
    store_be32(head, width);
    store_be32(head + 4, height);
    bool ok = file != NULL && fwrite(signature, 1, sizeof signature, file) == sizeof signature &&
              write_chunk(file, "IHDR", head, sizeof head) && write_chunk(file, "IDAT", packed, len) &&
              write_chunk(file, "IEND", head, 0);
    if (file != NULL && fclose(file) != 0)
        ok = false;
    free(packed);
    return ok;
}
