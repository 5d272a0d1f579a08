/* Magic bytes of what is read here, and of what people send instead. */
#include "image/sniff.h"

#include "base/bytes.h"

#include <stdbool.h>
#include <string.h>

typedef struct magic {
    const char *name;
    uint8_t len;
    const char *bytes;
} magic;

static const magic refused[] = {
    {"GIF", 6, "GIF87a"},
    {"GIF", 6, "GIF89a"},
    {"TIFF", 4, "II*\0"},
    {"TIFF", 4, "MM\0*"},
    {"TIFF", 4, "II+\0"}, /* BigTIFF */
    {"TIFF", 4, "MM\0+"},
    {"JPEG XL", 2, "\xff\x0a"},
    {"JPEG XL", 12, "\0\0\0\x0cJXL \x0d\x0a\x87\x0a"},
    {"JPEG 2000", 12, "\0\0\0\x0cjP  \x0d\x0a\x87\x0a"},
    {"JPEG 2000", 4, "\xff\x4f\xff\x51"},
    {"Photoshop's PSD", 4, "8BPS"},
    {"ICO", 4, "\0\0\1\0"},
    {"PDF", 5, "%PDF-"},
    {"SVG", 4, "<svg"},
    {"XML", 5, "<?xml"},
    {"HTML", 9, "<!DOCTYPE"},
    {"HTML", 9, "<!doctype"},
    {"HTML", 5, "<html"},
};

static bool has(const uint8_t *bytes, size_t len, size_t offset, const char *magic_bytes, size_t magic_len)
{
    return len >= offset + magic_len && memcmp(bytes + offset, magic_bytes, magic_len) == 0;
}

/* ISO base media: the brand, or one that the file says it is compatible with, names the picture's codec. */
static const char *name_of_ftyp(const uint8_t *bytes, size_t len)
{
    static const char *const heic[] = {"heic", "heix", "hevc", "hevx", "heim", "heis", "hevm", "hevs"};
    if (!has(bytes, len, 4, "ftyp", 4) || len < 12)
        return NULL;
    size_t end = iq_load_be32(bytes);
    if (end > len)
        end = len;
    bool heif = false;
    for (size_t at = 8; at + 4 <= end && at < 8 + 4 * 32; at += at == 8 ? 8 : 4) {
        if (memcmp(bytes + at, "avif", 4) == 0 || memcmp(bytes + at, "avis", 4) == 0)
            return "AVIF";
        for (size_t i = 0; i < sizeof heic / sizeof *heic; i++)
            if (memcmp(bytes + at, heic[i], 4) == 0)
                return "HEIC";
        if (memcmp(bytes + at, "mif1", 4) == 0 || memcmp(bytes + at, "msf1", 4) == 0)
            heif = true;
    }
    return heif ? "HEIF" : "MP4 or QuickTime";
}

/* Two letters are no proof, so the header's own size must be one that exists. */
static bool is_bmp(const uint8_t *bytes, size_t len)
{
    if (len < 18 || memcmp(bytes, "BM", 2) != 0)
        return false;
    const uint32_t header = iq_load_le32(bytes + 14);
    return header == 12 || header == 16 || header == 40 || header == 52 || header == 56 || header == 64 ||
           header == 108 || header == 124;
}

iq_kind iq_sniff(const uint8_t *bytes, size_t len, const char **name)
{
    if (has(bytes, len, 0, "\xff\xd8\xff", 3)) {
        *name = "JPEG";
        return IQ_KIND_JPEG;
    }
    if (has(bytes, len, 0, "\x89PNG\r\n\x1a\n", 8)) {
        *name = "PNG";
        return IQ_KIND_PNG;
    }
    *name = name_of_ftyp(bytes, len);
    if (*name == NULL && has(bytes, len, 0, "RIFF", 4) && has(bytes, len, 8, "WEBP", 4))
        *name = "WebP";
    if (*name == NULL && is_bmp(bytes, len))
        *name = "BMP";
    for (size_t i = 0; *name == NULL && i < sizeof refused / sizeof *refused; i++)
        if (has(bytes, len, 0, refused[i].bytes, refused[i].len))
            *name = refused[i].name;
    return *name != NULL ? IQ_KIND_REFUSED : IQ_KIND_UNKNOWN;
}
