/* JPEG bytes to rows of RGB. libjpeg reports by longjmp: everything that must outlive a jump stands in the reader,
 * which the caller's frame holds, and nothing in the frames jumped over needs cleaning up. */
#include "image/jpeg.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "image/jpeg_memory.h"
#include "image/jpeg_outline.h"
#include "image/orient.h"

#include <jerror.h>
#include <jpeglib.h>

#include <inttypes.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

typedef struct jpeg_reader {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    iq_jpeg_memory memory;
    jmp_buf jump;
    imgq_env *env;
    const uint8_t *bytes;
    size_t len;
    const iq_decode_rules *rules;
    size_t scans;   /* that the file announces */
    size_t allowed; /* that its size allows */
    iq_rows *rows;
    imgq_status status; /* of the jump */
    imgq_error *err;
} jpeg_reader;

/* libjpeg's codes by what the caller can do about them; all others mean that the file is damaged. */
static imgq_status status_of(int code)
{
    switch (code) {
    case JERR_OUT_OF_MEMORY:
        return IMGQ_E_NOMEM;
    case JERR_IMAGE_TOO_BIG:
    case JERR_WIDTH_OVERFLOW:
        return IMGQ_E_LIMIT;
    case JERR_SOF_UNSUPPORTED:
    case JERR_BAD_PRECISION:
    case JERR_ARITH_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_CCIR601_NOTIMPL:
        return IMGQ_E_FORMAT;
    default:
        return IMGQ_E_CORRUPT;
    }
}

static void on_error(j_common_ptr cinfo)
{
    jpeg_reader *reader = cinfo->client_data;
    char text[JMSG_LENGTH_MAX];
    reader->status = status_of(reader->errors.msg_code);
    cinfo->err->format_message(cinfo, text);
    if (reader->status == IMGQ_E_NOMEM)
        (void)iq_fail(reader->err, IMGQ_E_NOMEM, 0, "decode JPEG: memory ran out after %zu bytes of work space",
                      reader->memory.used);
    else if (reader->status == IMGQ_E_CORRUPT)
        (void)iq_fail(reader->err, IMGQ_E_CORRUPT, 0, "JPEG is damaged: %s", text);
    else
        (void)iq_fail(reader->err, reader->status, 0, "JPEG is %s: %s",
                      reader->status == IMGQ_E_LIMIT ? "over a limit" : "not of a kind that is read here", text);
    longjmp(reader->jump, 1);
}

/* Warnings tell of damage that Pillow decodes over as well. */
static void on_message(j_common_ptr cinfo, int level)
{
    if (level < 0)
        cinfo->err->num_warnings++;
}

static void on_output(j_common_ptr cinfo)
{
    (void)cinfo;
}

/* The outline's count has been checked; this holds the limit should libjpeg see more scans than it did. */
static void on_progress(j_common_ptr cinfo)
{
    jpeg_reader *reader = cinfo->client_data;
    if ((size_t)reader->cinfo.input_scan_number <= reader->allowed)
        return;
    reader->status = iq_fail(reader->err, IMGQ_E_LIMIT, 0, "JPEG of more than %zu scans", reader->allowed);
    longjmp(reader->jump, 1);
}

static void source_nothing(j_decompress_ptr cinfo)
{
    (void)cinfo;
}

/* All bytes were there from the start. To suspend is what Pillow does as well; it then says "truncated", as we do. */
static boolean source_fill(j_decompress_ptr cinfo)
{
    (void)cinfo;
    return FALSE;
}

static void source_skip(j_decompress_ptr cinfo, long count)
{
    struct jpeg_source_mgr *source = cinfo->src;
    if (count <= 0)
        return;
    const size_t step = (unsigned long)count < source->bytes_in_buffer ? (size_t)count : source->bytes_in_buffer;
    source->next_input_byte += step;
    source->bytes_in_buffer -= step;
}

static void open_reader(jpeg_reader *reader)
{
    /* Two MiB do for all that is allocated before the size is known and checked. */
    const size_t until_size_is_known = (size_t)2 << 20;
    jpeg_create_decompress(&reader->cinfo);
    iq_jpeg_memory_install(&reader->memory, reader->env, until_size_is_known, (j_common_ptr)&reader->cinfo);
    reader->source = (struct jpeg_source_mgr){
        .next_input_byte = reader->bytes,
        .bytes_in_buffer = reader->len,
        .init_source = source_nothing,
        .fill_input_buffer = source_fill,
        .skip_input_data = source_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = source_nothing,
    };
    reader->progress.progress_monitor = on_progress;
    reader->cinfo.src = &reader->source;
    reader->cinfo.progress = &reader->progress;
}

static imgq_status cut_short(const jpeg_reader *reader)
{
    return iq_fail(reader->err, IMGQ_E_CORRUPT, 0, "JPEG is cut short: it ends after %zu bytes", reader->len);
}

static imgq_status read_header(jpeg_reader *reader)
{
    int found;
    do {
        found = jpeg_read_header(&reader->cinfo, FALSE);
    } while (found == JPEG_HEADER_TABLES_ONLY);
    if (found != JPEG_HEADER_OK)
        return cut_short(reader);
    const int components = reader->cinfo.num_components;
    if (components != 1 && components != 3 && components != 4)
        return iq_fail(reader->err, IMGQ_E_FORMAT, 0, "JPEG of %d components; 1, 3 and 4 are read here", components);
    return IMGQ_OK;
}

static imgq_status check_limits(jpeg_reader *reader)
{
    struct jpeg_decompress_struct *cinfo = &reader->cinfo; /* jpeg_has_multiple_scans() knows no const */
    const size_t max_pixels = reader->rules->max_pixels;
    imgq_status status = iq_image_check_size("JPEG", cinfo->image_width, cinfo->image_height, max_pixels, reader->err);
    if (status != IMGQ_OK)
        return status;
    const uint64_t pixels = (uint64_t)cinfo->image_width * cinfo->image_height;
    const bool several = jpeg_has_multiple_scans(cinfo);
    if (several && pixels > reader->rules->max_progressive_pixels)
        return iq_fail(reader->err, IMGQ_E_LIMIT, 0, "JPEG in several scans of %u x %u pixels, the limit is %zu pixels",
                       cinfo->image_width, cinfo->image_height, reader->rules->max_progressive_pixels);
    const size_t most = several && reader->rules->max_progressive_pixels < max_pixels
                            ? reader->rules->max_progressive_pixels
                            : max_pixels;
    const double work = (double)IQ_JPEG_SCANS_AT_LIMIT * (double)most / (double)pixels;
    reader->allowed = work < IQ_JPEG_MAX_SCANS ? (size_t)work : IQ_JPEG_MAX_SCANS;
    /* A sequential one holds each component in one scan. libjpeg would decode more, up to four components in each. */
    const size_t components = (size_t)cinfo->num_components;
    if (several && !cinfo->progressive_mode && reader->allowed > components)
        reader->allowed = components;
    if (reader->scans > reader->allowed)
        return iq_fail(reader->err, IMGQ_E_LIMIT, 0, "JPEG of %zu scans over %u x %u pixels, the limit is %zu scans",
                       reader->scans, cinfo->image_width, cinfo->image_height, reader->allowed);
    return IMGQ_OK;
}

/* What libjpeg can need at most: all coefficients of an image padded to whole units (of up to four blocks a side), and
 * some hundred rows. */
static size_t work_space(const struct jpeg_decompress_struct *cinfo)
{
    const size_t width = (size_t)cinfo->image_width + 32, height = (size_t)cinfo->image_height + 32;
    const size_t components = (size_t)cinfo->num_components;
    const size_t coefficients = width * height * components * sizeof(JCOEF);
    return ((size_t)2 << 20) + coefficients + width * components * 256;
}

static imgq_status read_rgb(jpeg_reader *reader)
{
    for (uint32_t room; (room = iq_rows_room(reader->rows)) > 0;) {
        JSAMPROW rows[IQ_ROWS_AT_ONCE];
        for (uint32_t i = 0; i < room; i++)
            rows[i] = iq_rows_place(reader->rows, i);
        const JDIMENSION came = jpeg_read_scanlines(&reader->cinfo, rows, room);
        if (came == 0)
            return cut_short(reader);
        iq_rows_done(reader->rows, came);
    }
    return IMGQ_OK;
}

/* a * b / 255, rounded as Pillow's MULDIV255 */
static uint8_t mul_div_255(unsigned a, unsigned b)
{
    const unsigned product = a * b + 128;
    return (uint8_t)((product + (product >> 8)) >> 8);
}

/* Pillow takes every CMYK JPEG for an inverted one, as Adobe writes them, with or without Adobe's marker. */
static void cmyk_row_to_rgb(uint8_t *rgb, const uint8_t *cmyk, size_t width)
{
    for (size_t x = 0; x < width; x++, rgb += 3, cmyk += 4)
        for (size_t c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(cmyk[3] - mul_div_255(255u - cmyk[c], cmyk[3]));
}

static imgq_status read_cmyk(jpeg_reader *reader)
{
    struct jpeg_decompress_struct *cinfo = &reader->cinfo;
    JSAMPARRAY row = cinfo->mem->alloc_sarray((j_common_ptr)cinfo, JPOOL_IMAGE, cinfo->output_width * 4, 1);
    while (iq_rows_room(reader->rows) > 0) {
        if (jpeg_read_scanlines(cinfo, row, 1) == 0)
            return cut_short(reader);
        cmyk_row_to_rgb(iq_rows_place(reader->rows, 0), row[0], cinfo->output_width);
        iq_rows_done(reader->rows, 1);
    }
    return IMGQ_OK;
}

static imgq_status begin_rows(jpeg_reader *reader)
{
    struct jpeg_decompress_struct *cinfo = &reader->cinfo;
    /* All else stays as libjpeg sets it: the slow integer transform, smooth upsampling and block smoothing. */
    cinfo->out_color_space = cinfo->num_components == 4 ? JCS_CMYK : JCS_RGB;
    const uint32_t eighths =
        reader->rules->fast ? iq_rows_least_eighths(reader->rows, cinfo->image_width, cinfo->image_height) : 8;
    cinfo->scale_num = eighths;
    cinfo->scale_denom = 8;
    jpeg_calc_output_dimensions(cinfo);
    return iq_rows_begin(reader->rows, cinfo->image_width, cinfo->image_height, eighths, cinfo->output_width,
                         cinfo->output_height, reader->err);
}

static imgq_status read_steps(jpeg_reader *reader)
{
    struct jpeg_decompress_struct *cinfo = &reader->cinfo;
    open_reader(reader);
    imgq_status status = read_header(reader);
    if (status == IMGQ_OK)
        status = check_limits(reader);
    if (status == IMGQ_OK)
        status = begin_rows(reader);
    if (status != IMGQ_OK)
        return status;
    reader->memory.max = work_space(cinfo);
    if (!jpeg_start_decompress(cinfo))
        return cut_short(reader);
    status = cinfo->num_components == 4 ? read_cmyk(reader) : read_rgb(reader);
    /* All rows are there. As in Pillow, what follows them may be missing, but must not be nonsense (that jumps). */
    if (status == IMGQ_OK)
        (void)jpeg_finish_decompress(cinfo);
    return status;
}

static imgq_status read_guarded(jpeg_reader *reader)
{
    if (setjmp(reader->jump) != 0)
        return reader->status;
    return read_steps(reader);
}

imgq_status iq_jpeg_decode(imgq_env *env, const uint8_t *bytes, size_t len, const iq_decode_rules *rules, iq_rows *rows,
                           imgq_error *err)
{
    const iq_jpeg_outline outline = iq_jpeg_outline_read(bytes, len);
    jpeg_reader reader = {.env = env,
                          .bytes = bytes,
                          .len = len,
                          .rules = rules,
                          .scans = outline.scans,
                          .allowed = SIZE_MAX,
                          .rows = rows,
                          .err = err};
    if (outline.exif != NULL)
        rows->orientation = iq_orient_parse(outline.exif, outline.exif_len);
    reader.cinfo.err = jpeg_std_error(&reader.errors);
    reader.cinfo.client_data = &reader;
    reader.errors.error_exit = on_error;
    reader.errors.emit_message = on_message;
    reader.errors.output_message = on_output;

    const imgq_status status = read_guarded(&reader);
    jpeg_destroy_decompress(&reader.cinfo);
    return status;
}
