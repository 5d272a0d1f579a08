/* Reads one number out of an EXIF block without trusting any other, and turns pixels by it. */
#include "image/orient.h"

#include "base/alloc.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4, ENTRY_SIZE = 12 };

static uint32_t load(const uint8_t *p, uint32_t type, bool big)
{
    switch (type) {
    case TYPE_SHORT:
        return big ? iq_load_be16(p) : iq_load_le16(p);
    case TYPE_LONG:
        return big ? iq_load_be32(p) : iq_load_le32(p);
    default:
        return 0;
    }
}

uint32_t iq_orient_parse(const uint8_t *tiff, size_t len)
{
    if (len < 8 || (memcmp(tiff, "II", 2) != 0 && memcmp(tiff, "MM", 2) != 0))
        return 0;
    const bool big = tiff[0] == 'M';
    const size_t start = load(tiff + 4, TYPE_LONG, big);
    if (load(tiff + 2, TYPE_SHORT, big) != 42 || start > len || len - start < 2)
        return 0;
    const size_t claimed = load(tiff + start, TYPE_SHORT, big);
    const size_t there = (len - start - 2) / ENTRY_SIZE;
    uint32_t orientation = 0;
    for (size_t i = 0; i < claimed && i < there; i++) {
        const uint8_t *entry = tiff + start + 2 + i * ENTRY_SIZE;
        if (load(entry, TYPE_SHORT, big) == TAG_ORIENTATION && load(entry + 4, TYPE_LONG, big) == 1)
            orientation =
                load(entry + 8, load(entry + 2, TYPE_SHORT, big), big); /* the last one counts, as in Pillow */
    }
    return orientation <= 8 ? orientation : 0;
}

iq_turn iq_orient_turn(uint32_t orientation)
{
    return (iq_turn){
        .swap = orientation >= 5, /* 6: 90 degrees clockwise; 8: counter-clockwise; 5, 7: mirrored as well */
        .flip_along = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8,
        .flip_down = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7,
    };
}

/* Where the turned image's pixel (0, 0) lies in the source, and how far a step to the right and down goes there. */
typedef struct walk {
    ptrdiff_t first, right, down;
} walk;

static walk walk_of(uint32_t orientation, ptrdiff_t w, ptrdiff_t h)
{
    const iq_turn turn = iq_orient_turn(orientation);
    const ptrdiff_t along = turn.flip_along ? -1 : 1, down = turn.flip_down ? -w : w;
    const ptrdiff_t first = (turn.flip_along ? w - 1 : 0) + (turn.flip_down ? (h - 1) * w : 0);
    return turn.swap ? (walk){first, down, along} : (walk){first, along, down};
}

imgq_status iq_orient_apply(imgq_image *image, imgq_error *err)
{
    const uint32_t orientation = image->orientation;
    if (orientation < 2)
        return IMGQ_OK;
    const size_t size = (size_t)image->width * image->height * 3;
    const uint32_t width = orientation < 5 ? image->width : image->height;
    const uint32_t height = orientation < 5 ? image->height : image->width;
    const walk steps = walk_of(orientation, image->width, image->height);
    uint8_t *turned = iq_alloc_aligned(image->env, size, 64);
    if (turned == NULL)
        return iq_fail_nomem(err, size);
    uint8_t *to = turned;
    for (uint32_t y = 0; y < height; y++) {
        ptrdiff_t from = steps.first + (ptrdiff_t)y * steps.down;
        for (uint32_t x = 0; x < width; x++, from += steps.right, to += 3)
            memcpy(to, image->pixels + from * 3, 3);
    }
    iq_free(image->env, image->pixels);
    image->pixels = turned;
    image->width = width;
    image->height = height;
    image->applied = 1;
    return IMGQ_OK;
}
