/* PNG bytes to rows of RGB. libpng reports through on_error(), which jumps: what must outlive a jump stands in the
 * reader, in the caller's frame. */
#include "image/png.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/fail.h"
#include "image/orient.h"

#include <png.h>

#include <inttypes.h>
#include <setjmp.h>
#include <string.h>

enum { SIGNATURE_SIZE = 8, CHUNK_HEAD = 8 /* length and type */, CHUNK_TAIL = 4 /* checksum */ };

typedef struct png_reader {
    png_structp png;
    png_infop info;
    jmp_buf jump;
    imgq_env *env;
    const uint8_t *bytes;
    size_t len, at;
    size_t cut_chunk; /* where the head of an IDAT stands that promises more than there is; 0: none */
    const uint8_t *exif;
    size_t exif_len;
    const iq_decode_rules *rules;
    iq_rows *out;
    uint8_t *interlaced;      /* owned: all rows of an interlaced image as they fill up; NULL of others */
    size_t channels;          /* of a row that libpng hands out, 1 byte each */
    size_t rows, rows_wanted; /* that came out of the data so far, counted over all passes */
    uint8_t palette[256][4];  /* R G B A; empty unless has_palette */
    int has_palette;
    size_t not_given;   /* bytes that the allocator refused last; 0: none */
    imgq_status status; /* of the jump */
    imgq_error *err;
} png_reader;

/* From then on errors are no errors: Pillow takes a file that lacks only what follows the pixels. */
static int has_all_rows(const png_reader *reader)
{
    return reader->rows > 0 && reader->rows == reader->rows_wanted;
}

static _Noreturn void on_error(png_structp png, png_const_charp text)
{
    png_reader *reader = png_get_error_ptr(png);
    if (reader->not_given > 0)
        reader->status = iq_fail_nomem(reader->err, reader->not_given);
    else if (reader->status == IMGQ_OK && !has_all_rows(reader))
        reader->status = iq_fail(reader->err, IMGQ_E_CORRUPT, 0, "PNG is damaged: %s", text);
    longjmp(reader->jump, 1);
}

/* Warnings tell of damage that Pillow decodes over as well. */
static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t size)
{
    png_reader *reader = png_get_mem_ptr(png);
    void *block = iq_alloc(reader->env, size);
    if (block == NULL)
        reader->not_given = size; /* libpng's own words for it could not be told from those for damage */
    return block;
}

static void on_free(png_structp png, png_voidp block)
{
    png_reader *reader = png_get_mem_ptr(png);
    iq_free(reader->env, block);
}

static void on_read(png_structp png, png_bytep out, size_t count)
{
    png_reader *reader = png_get_io_ptr(png);
    if (count > reader->len - reader->at) {
        if (!has_all_rows(reader))
            reader->status =
                iq_fail(reader->err, IMGQ_E_CORRUPT, 0, "PNG is cut short: it ends after %zu bytes", reader->len);
        png_error(png, "cut short");
    }
    memcpy(out, reader->bytes + reader->at, count);
    /* libpng would ask for all that the head promises at once, and get none of what is there. */
    if (reader->cut_chunk > 0 && reader->at == reader->cut_chunk && count == CHUNK_HEAD)
        iq_store_be32(out, (uint32_t)(reader->len - reader->at - CHUNK_HEAD));
    reader->at += count;
}

/* Looks at chunk heads only, one jump each. */
static void find_chunks(png_reader *reader)
{
    size_t at = SIGNATURE_SIZE;
    while (reader->len - at >= CHUNK_HEAD) {
        const size_t size = iq_load_be32(reader->bytes + at), left = reader->len - at - CHUNK_HEAD;
        const uint8_t *type = reader->bytes + at + 4;
        if (size > left && memcmp(type, "IDAT", 4) == 0)
            reader->cut_chunk = at;
        if (size > left || left - size < CHUNK_TAIL || memcmp(type, "IEND", 4) == 0)
            return;
        if (reader->exif == NULL && memcmp(type, "eXIf", 4) == 0) {
            reader->exif = type + 4;
            reader->exif_len = size;
        }
        at += CHUNK_HEAD + size + CHUNK_TAIL;
    }
}

/* The size stands at a fixed place, so nothing of libpng is needed to refuse it. */
static imgq_status check_limits(const png_reader *reader)
{
    const uint8_t *head = reader->bytes + SIGNATURE_SIZE;
    if (reader->len < SIGNATURE_SIZE + 16)
        return iq_fail(reader->err, IMGQ_E_CORRUPT, 0, "PNG is cut short: it ends after %zu bytes", reader->len);
    if (iq_load_be32(head) != 13 || memcmp(head + 4, "IHDR", 4) != 0)
        return iq_fail(reader->err, IMGQ_E_CORRUPT, 0, "PNG is damaged: it does not begin with IHDR");
    const uint32_t width = iq_load_be32(head + 8), height = iq_load_be32(head + 12);
    imgq_status status = iq_image_check_size("PNG", width, height, reader->rules->max_pixels, reader->err);
    if (status == IMGQ_OK && (width > IQ_PNG_MAX_SIDE || height > IQ_PNG_MAX_SIDE))
        return iq_fail(reader->err, IMGQ_E_LIMIT, 0, "PNG of %" PRIu32 " x %" PRIu32 " pixels, the limit is %d a side",
                       width, height, IQ_PNG_MAX_SIDE);
    return status;
}

static void open_reader(png_reader *reader)
{
    reader->png =
        png_create_read_struct_2(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning, reader, on_malloc, on_free);
    if (reader->png != NULL)
        reader->info = png_create_info_struct(reader->png);
    if (reader->info == NULL) {
        if (reader->not_given > 0)
            reader->status = iq_fail_nomem(reader->err, reader->not_given);
        else
            reader->status = iq_fail(reader->err, IMGQ_E_INTERNAL, 0, "libpng %s does not open", PNG_LIBPNG_VER_STRING);
        longjmp(reader->jump, 1);
    }
    png_structp png = reader->png;
    png_set_read_fn(png, reader, on_read);
    png_set_user_limits(png, IQ_PNG_MAX_SIDE, IQ_PNG_MAX_SIDE);
    /* Text, profiles and times are skipped unread: nothing in them can cost memory or change a pixel. */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_benign_errors(png, 1);
    /* As Pillow: a wrong checksum before the pixels is an error, one of the pixels themselves is not looked at. */
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
}

/* Pillow's palette begins as a gray ramp, so an index past the file's entries is a gray; so it is here. */
static void load_palette(png_reader *reader)
{
    png_colorp colours = NULL;
    png_bytep alphas = NULL;
    int count = 0, alpha_count = 0;
    (void)png_get_PLTE(reader->png, reader->info, &colours, &count);
    (void)png_get_tRNS(reader->png, reader->info, &alphas, &alpha_count, NULL);
    for (int i = 0; i < 256; i++) {
        uint8_t *entry = reader->palette[i];
        memset(entry, i, 3);
        if (i < count)
            memcpy(entry, &(uint8_t[]){colours[i].red, colours[i].green, colours[i].blue}, 3);
        entry[3] = alphas != NULL && i < alpha_count ? alphas[i] : 255;
    }
    reader->has_palette = 1;
}

/* One sample over an opaque one, rounded as Pillow's alpha_composite(): 7 bits more than a byte, then by 255. */
static uint8_t blend(unsigned over, unsigned under, unsigned alpha)
{
    const uint32_t sum = over * (alpha << 7) + under * ((255 - alpha) << 7) + (0x80 << 7);
    return (uint8_t)((((sum >> 8) + sum) >> 8) >> 7);
}

static void write_pixel(uint8_t *rgb, const uint8_t *colour, unsigned alpha, const uint8_t *background)
{
    if (background == NULL || alpha == 255) {
        memcpy(rgb, colour, 3);
        return;
    }
    for (size_t c = 0; c < 3; c++)
        rgb[c] = alpha == 0 ? background[c] : blend(colour[c], background[c], alpha);
}

static void hand_on(const png_reader *reader, const uint8_t *samples)
{
    uint8_t *rgb = iq_rows_place(reader->out, 0);
    const uint8_t *background = reader->rules->background;
    const size_t width = reader->out->width, channels = reader->channels;
    for (size_t x = 0; x < width; x++, rgb += 3, samples += channels) {
        if (reader->has_palette)
            write_pixel(rgb, reader->palette[samples[0]], reader->palette[samples[0]][3], background);
        else if (channels < 3)
            write_pixel(rgb, (const uint8_t[]){samples[0], samples[0], samples[0]}, channels == 2 ? samples[1] : 255u,
                        background);
        else
            write_pixel(rgb, samples, channels == 4 ? samples[3] : 255u, background);
    }
    iq_rows_done(reader->out, 1);
}

/* libpng calls this with each row it has decoded, transforms and all, before it looks at what follows the row. */
static void on_row(png_structp png, png_row_infop info, png_bytep samples)
{
    png_reader *reader = png_get_error_ptr(png);
    (void)info;
    if (reader->interlaced == NULL)
        hand_on(reader, samples);
    reader->rows++;
}

/* @return passes over the image */
static int set_transforms(png_reader *reader)
{
    png_structp png = reader->png;
    const int colour = png_get_color_type(png, reader->info), depth = png_get_bit_depth(png, reader->info);
    if (colour == PNG_COLOR_TYPE_PALETTE) {
        load_palette(reader);
        png_set_packing(png);
    } else if (reader->rules->background != NULL && png_get_valid(png, reader->info, PNG_INFO_tRNS)) {
        png_set_tRNS_to_alpha(png); /* compares whole samples, before they are cut to 8 bits */
    } else if (depth < 8) {
        png_set_expand_gray_1_2_4_to_8(png);
    }
    if (depth == 16)
        png_set_strip_16(png);
    png_set_read_user_transform_fn(png, on_row);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, reader->info);
    reader->channels = png_get_channels(png, reader->info);
    if (png_get_rowbytes(png, reader->info) != reader->channels * reader->out->width)
        png_error(png, "row size");
    return passes;
}

/* Rows that libpng decodes; a pass without a column, or without a row, has none. */
static size_t count_rows(int width, int height, int passes)
{
    int rows = 0;
    for (int pass = 0; passes > 1 && pass < passes; pass++)
        if (PNG_PASS_COLS(width, pass) > 0)
            rows += PNG_PASS_ROWS(height, pass);
    return (size_t)(passes > 1 ? rows : height);
}

static void read_rows(png_reader *reader)
{
    const size_t height = reader->out->height;
    const int passes = set_transforms(reader);
    const size_t row_size = reader->out->width * reader->channels;
    reader->rows_wanted = count_rows((int)reader->out->width, (int)height, passes);
    if (passes > 1) {
        /* Each pass fills in some pixels of a row, so all rows stay until the last one. */
        reader->interlaced = iq_alloc_array(reader->env, height, row_size);
        if (reader->interlaced == NULL) {
            reader->status = iq_fail_nomem(reader->err, height * row_size);
            longjmp(reader->jump, 1);
        }
    }
    for (int pass = 0; pass < passes; pass++)
        for (size_t y = 0; y < height; y++)
            png_read_row(reader->png, reader->interlaced != NULL ? reader->interlaced + y * row_size : NULL, NULL);
}

static imgq_status read_guarded(png_reader *reader)
{
    if (setjmp(reader->jump) != 0)
        return reader->status;
    open_reader(reader);
    png_read_info(reader->png, reader->info);
    png_set_crc_action(reader->png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
    const uint32_t width = png_get_image_width(reader->png, reader->info);
    const uint32_t height = png_get_image_height(reader->png, reader->info);
    const imgq_status status = iq_rows_begin(reader->out, width, height, 8, width, height, reader->err);
    if (status == IMGQ_OK)
        read_rows(reader);
    return status;
}

imgq_status iq_png_decode(imgq_env *env, const uint8_t *bytes, size_t len, const iq_decode_rules *rules, iq_rows *rows,
                          imgq_error *err)
{
    png_reader reader = {.env = env, .bytes = bytes, .len = len, .rules = rules, .out = rows, .err = err};
    imgq_status status = check_limits(&reader);
    if (status != IMGQ_OK)
        return status;
    find_chunks(&reader);
    if (reader.exif != NULL)
        rows->orientation = iq_orient_parse(reader.exif, reader.exif_len);
    status = read_guarded(&reader);
    png_destroy_read_struct(&reader.png, &reader.info, NULL);
    for (size_t y = 0; status == IMGQ_OK && reader.interlaced != NULL && y < rows->height; y++)
        hand_on(&reader, reader.interlaced + y * rows->width * reader.channels);
    iq_free(env, reader.interlaced);
    return status;
}
