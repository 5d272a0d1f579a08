/* Convolution of bf16 values as sums over taps and pairs of channels: activations are read where they lie, or, where
 * windows see the border, or the input is of floats, from a copy with a border of zeros. Values of two terms each are
 * three such sums in one. */
#include "nn/bf16.h"
#include "nn/ops/conv.h"

#include <string.h>

enum {
    TAPS_SIDE_MAX = 16,
    PRODUCTS_MAX = 3,
    LINE_BYTES = 64,             /* of the cache */
    BLOCK_BYTES = 400 * 1024,    /* of all pixels that stay in the second level's cache while all weights pass by */
    RESIDENT_BYTES = 256 * 1024, /* weights so small stay there instead, and blocks are one tile */
    BLOCK_RUNS_MAX = 64,
    PARTS_MIN = 12,    /* fewer blocks than that are cut by channels too */
    FAR_CHANNELS = 512 /* pixels in a power of two of bytes from here on fall into one set of the cache */
};

/* What the tiles see: windows in lines of pixels. */
typedef struct grid {
    const uint16_t *input;
    size_t lines_per_image, width; /* of the output */
    size_t image_step, line_step, pixel_step;
    size_t tap_count, depth; /* depth in pairs */
    ptrdiff_t taps[PRODUCTS_MAX * TAPS_SIDE_MAX * TAPS_SIDE_MAX];
} grid;

typedef struct split {
    size_t runs_per_line, runs, block_runs, blocks;
    size_t panels, part_panels, panel_parts;
    bool weights_stay; /* in the second level's cache */
} split;

typedef struct run {
    const uint16_t *input;
    size_t pixel, count;
} run;

static bool reads_in_place(const iq_conv *conv)
{
    return conv->kernel == 1 && conv->pad == 0 && conv->in_type != IQ_F32;
}

/* Two terms: both factors are sums of two, and three of the four products count: first x first, first x second,
 * second x first. Each is a tap of its own. */
static size_t products_of(const iq_conv *conv)
{
    return conv->out_type == IQ_BF16_TWO ? PRODUCTS_MAX : 1;
}

/* 16-bit elements of one of an output's or input's elements. */
static size_t terms_of(const iq_conv *conv)
{
    return conv->out_type == IQ_BF16_TWO ? 2 : 1;
}

/* Such a convolution knows no lines: all pixels of all images are one. */
static bool is_flat(const iq_conv *conv)
{
    return reads_in_place(conv) && conv->stride == 1;
}

static bool direct_fits(const iq_conv *conv)
{
    return conv->bf16 != NULL && conv->kernel <= TAPS_SIDE_MAX && conv->out_type == IQ_BF16 &&
           (conv->in_type == IQ_F32 || (conv->in_type == IQ_BF16 && conv->in_channels % 2 == 0));
}

static bool two_fits(const iq_conv *conv)
{
    return conv->bf16 != NULL && conv->bf16->has_planes && conv->kernel <= TAPS_SIDE_MAX &&
           conv->out_type == IQ_BF16_TWO &&
           (conv->in_type == IQ_F32 || (conv->in_type == IQ_BF16_TWO && conv->in_channels % 2 == 0));
}

static const char *direct_algorithm(const iq_conv *conv)
{
    return reads_in_place(conv) ? "bf16 direct" : "bf16 border + direct";
}

static const char *two_algorithm(const iq_conv *conv)
{
    return reads_in_place(conv) ? "2 x bf16 direct" : "2 x bf16 border + direct";
}

/* Whether a line of a window is one stretch: pixels without a gap, and every window's begins at a pair. */
static bool is_stretched(const iq_conv *conv)
{
    return conv->in_channels * conv->stride % 2 == 0 && conv->in_channels < FAR_CHANNELS;
}

static size_t bordered_step(const iq_conv *conv)
{
    const size_t even = conv->in_channels + conv->in_channels % 2;
    return is_stretched(conv) ? conv->in_channels : conv->in_channels < FAR_CHANNELS ? even : even + 32;
}

static size_t bordered_line(const iq_conv *conv)
{
    return ((conv->in_width + 2 * conv->pad) * bordered_step(conv) + 1) / 2 * 2;
}

/* First terms of a line, then the second ones. */
static size_t bordered_line_terms(const iq_conv *conv)
{
    return bordered_line(conv) * terms_of(conv);
}

static size_t bordered_lines(const iq_conv *conv)
{
    return conv->in_height + 2 * conv->pad;
}

/* A window's stretches, and the weights that belong to each: an odd number of them has one zero more. */
static size_t stretch_count(const iq_conv *conv)
{
    return is_stretched(conv) && !reads_in_place(conv) ? conv->kernel : conv->kernel * conv->kernel;
}

static size_t stretch_depth(const iq_conv *conv)
{
    return iq_conv_depth(conv) / stretch_count(conv);
}

/* All taps of the window, once for each product. */
static void set_taps(const iq_conv *conv, grid *g, size_t line, size_t step, size_t plane)
{
    const size_t products = products_of(conv), per_line = stretch_count(conv) / conv->kernel;
    for (size_t y = 0; y < conv->kernel; y++)
        for (size_t x = 0; x < per_line; x++)
            for (size_t p = 0; p < products; p++)
                g->taps[(y * per_line + x) * products + p] =
                    (ptrdiff_t)(y * line + x * step + (p == PRODUCTS_MAX - 1 ? plane : 0));
}

static grid grid_of(const iq_conv *conv, const void *bordered)
{
    const size_t terms = terms_of(conv);
    grid g = {.lines_per_image = conv->out_height,
              .width = conv->out_width,
              .tap_count = stretch_count(conv) * products_of(conv),
              .depth = (stretch_depth(conv) + 1) / 2};
    if (is_flat(conv)) {
        g.lines_per_image = 1;
        g.width = iq_conv_rows(conv);
    }
    if (reads_in_place(conv)) {
        g.input = (const void *)conv->input;
        g.pixel_step = conv->stride * conv->in_step * terms;
        g.line_step = conv->stride * conv->in_width * conv->in_step * terms;
        g.image_step = conv->in_height * conv->in_width * conv->in_step * terms;
        set_taps(conv, &g, 0, 0, conv->in_step);
        return g;
    }
    const size_t step = bordered_step(conv), line = bordered_line_terms(conv);
    g.input = bordered;
    g.pixel_step = conv->stride * step;
    g.line_step = conv->stride * line;
    g.image_step = bordered_lines(conv) * line;
    set_taps(conv, &g, line, step, bordered_line(conv));
    return g;
}

static split split_of(const iq_conv *conv)
{
    split s;
    const size_t width = is_flat(conv) ? iq_conv_rows(conv) : conv->out_width;
    const size_t lines = is_flat(conv) ? 1 : conv->images * conv->out_height;
    s.runs_per_line = iq_divide_up(width, IQ_RUN);
    s.runs = s.runs_per_line * lines;
    s.panels = iq_divide_up(conv->out_channels, conv->bf16->cols);
    size_t most = 2;
    s.weights_stay = iq_conv_depth(conv) * conv->out_channels * sizeof(uint16_t) <= RESIDENT_BYTES;
    if (!s.weights_stay) {
        const size_t out = conv->out_channels * (conv->residual != NULL ? 2 : 1);
        const size_t in = conv->in_channels * conv->stride * conv->stride;
        most = BLOCK_BYTES / (IQ_RUN * (in + out) * sizeof(uint16_t)) / 2 * 2;
        most = most < 2 ? 2 : most > BLOCK_RUNS_MAX ? BLOCK_RUNS_MAX : most;
        if (s.runs <= 8)
            most = 8;
    }
    s.block_runs = iq_divide_up(iq_divide_up(s.runs, iq_divide_up(s.runs, most)), 2) * 2;
    s.blocks = iq_divide_up(s.runs, s.block_runs);
    s.part_panels = iq_divide_up(s.panels, iq_divide_up(PARTS_MIN, s.blocks));
    s.panel_parts = iq_divide_up(s.panels, s.part_panels);
    return s;
}

static size_t direct_phases(const iq_conv *conv)
{
    return reads_in_place(conv) ? 1 : 2;
}

static bool is_copy(const iq_conv *conv, size_t phase)
{
    return phase == 0 && !reads_in_place(conv);
}

static size_t direct_parts(const iq_conv *conv, size_t phase)
{
    if (is_copy(conv, phase))
        return conv->images * bordered_lines(conv);
    const split s = split_of(conv);
    return s.blocks * s.panel_parts;
}

/* The last stretch may be read one element too far. */
static size_t direct_shared_floats(const iq_conv *conv)
{
    return reads_in_place(conv) ? 0 : conv->images * bordered_lines(conv) * bordered_line_terms(conv) / 2 + 1;
}

static void copy_pixels(const iq_conv *conv, size_t first, size_t pixels, size_t term, uint16_t *out, size_t step)
{
    const size_t channels = conv->in_channels;
    if (conv->in_type == IQ_F32) {
        const float *in = conv->input + first * conv->in_step;
        const bool dense = step == channels && conv->in_step == channels;
        for (size_t x = 0; x < (dense ? 1 : pixels); x++)
            conv->bf16->narrow(in + x * conv->in_step, dense ? pixels * channels : channels, out + x * step);
        return;
    }
    const size_t in_step = conv->in_step * terms_of(conv);
    const uint16_t *in = (const uint16_t *)(const void *)conv->input + first * in_step + term * conv->in_step;
    for (size_t x = 0; x < pixels; x++)
        memcpy(out + x * step, in + x * in_step, channels * sizeof *out);
}

/* The second terms of floats whose first ones are there. */
static void copy_second(const iq_conv *conv, size_t first, size_t pixels, const uint16_t *terms, uint16_t *out,
                        size_t step)
{
    const float *in = conv->input + first * conv->in_step;
    for (size_t x = 0; x < pixels; x++)
        for (size_t c = 0; c < conv->in_channels; c++)
            out[x * step + c] = iq_bf16_second(in[x * conv->in_step + c], terms[x * step + c]);
}

/* One line of one image. */
static void copy_line(const iq_conv *conv, size_t index, uint16_t *bordered)
{
    const size_t step = bordered_step(conv), line = bordered_line(conv), y = index % bordered_lines(conv);
    const size_t whole = bordered_line_terms(conv);
    uint16_t *out = bordered + index * whole;
    if (index + 1 == conv->images * bordered_lines(conv))
        memset(out + whole, 0, 2 * sizeof *out);
    if (y < conv->pad || y - conv->pad >= conv->in_height) {
        memset(out, 0, whole * sizeof *out);
        return;
    }
    const size_t from = (index / bordered_lines(conv) * conv->in_height + y - conv->pad) * conv->in_width;
    const size_t left = conv->pad * step, pixels = conv->in_width * step;
    for (size_t term = 0; term < terms_of(conv); term++, out += line) {
        memset(out, 0, left * sizeof *out);
        if (step != conv->in_channels)
            memset(out + left, 0, pixels * sizeof *out);
        if (term == 1 && conv->in_type == IQ_F32)
            copy_second(conv, from, conv->in_width, out + left - line, out + left, step);
        else
            copy_pixels(conv, from, conv->in_width, term, out + left, step);
        memset(out + left + pixels, 0, (line - left - pixels) * sizeof *out);
    }
}

static void find_runs(const grid *g, size_t runs_per_line, size_t first, size_t count, run *runs)
{
    for (size_t i = 0; i < count; i++) {
        const size_t line = (first + i) / runs_per_line, x = (first + i) % runs_per_line * IQ_RUN;
        runs[i].input = g->input + line / g->lines_per_image * g->image_step +
                        line % g->lines_per_image * g->line_step + x * g->pixel_step;
        runs[i].pixel = line * g->width + x;
        runs[i].count = g->width - x < IQ_RUN ? g->width - x : IQ_RUN;
    }
}

/* The last panel may hold fewer channels than a tile: its sums are finished here. */
static void narrow_tile(const iq_conv *conv, iq_bf16_tile *tile, const run *runs, size_t count, size_t col)
{
    _Alignas(64) float aside[IQ_TILE * 64];
    const size_t cols = conv->bf16->cols, wanted = conv->out_channels - col, terms = terms_of(conv);
    const uint16_t *residual = (const void *)conv->residual;
    uint16_t *output = (void *)conv->output;
    tile->sums[0] = aside;
    tile->sums[1] = aside + IQ_RUN * cols;
    tile->out_step = cols;
    conv->bf16->tile[count](tile);
    for (size_t i = 0; i < count; i++) {
        const size_t pixel = i < IQ_RUN ? runs[0].pixel + i : runs[1].pixel + i - IQ_RUN;
        for (size_t c = 0; c < wanted; c++) {
            float value = aside[i * cols + c];
            if (residual != NULL) {
                const uint16_t *added = residual + pixel * conv->residual_step * terms + col + c;
                value += terms == 2 ? iq_bf16_float(added[0]) + iq_bf16_float(added[conv->residual_step])
                                    : iq_bf16_float(added[0]);
            }
            value = conv->relu && 0.0f > value ? 0.0f : value;
            uint16_t *out = output + pixel * conv->out_step * terms + col + c;
            out[0] = iq_bf16_of(value);
            if (terms == 2)
                out[conv->out_step] = iq_bf16_second(value, out[0]);
        }
    }
}

static void one_tile(const iq_conv *conv, iq_bf16_tile *tile, const run *runs, size_t count, size_t col)
{
    const size_t last = count > IQ_RUN ? 1 : 0;
    tile->input[0] = runs[0].input;
    tile->input[1] = runs[last].input;
    if (conv->out_channels - col < conv->bf16->cols) {
        narrow_tile(conv, tile, runs, count, col);
        return;
    }
    const size_t terms = terms_of(conv);
    const uint16_t *residual = (const void *)conv->residual;
    uint16_t *output = (void *)conv->output;
    tile->sums[0] = tile->sums[1] = NULL;
    tile->relu = conv->relu;
    tile->residual_step = conv->residual_step * terms;
    tile->residual_plane = terms == 2 ? conv->residual_step : 0;
    tile->residual[0] = residual != NULL ? residual + runs[0].pixel * tile->residual_step + col : NULL;
    tile->residual[1] = residual != NULL ? residual + runs[last].pixel * tile->residual_step + col : NULL;
    tile->out_step = conv->out_step * terms;
    tile->out_plane = terms == 2 ? conv->out_step : 0;
    tile->output[0] = output + runs[0].pixel * tile->out_step + col;
    tile->output[1] = output + runs[last].pixel * tile->out_step + col;
    conv->bf16->tile[count](tile);
}

/* What the next block will touch: fetched while this one is computed, by the tiles that need not fetch weights. */
typedef struct ahead {
    const uint8_t *residual, *output;
    size_t lines; /* of each */
} ahead;

static ahead next_block(const iq_conv *conv, const split *s, size_t pixel)
{
    const size_t bytes = iq_type_bytes(conv->out_type);
    ahead a = {0};
    if (pixel >= iq_conv_rows(conv))
        return a;
    a.residual = conv->residual != NULL ? (const uint8_t *)conv->residual + pixel * conv->residual_step * bytes : NULL;
    a.output = (const uint8_t *)conv->output + pixel * conv->out_step * bytes;
    a.lines = s->block_runs * IQ_RUN * conv->out_step * bytes / LINE_BYTES;
    return a;
}

static const void *line_ahead(const ahead *a, size_t line, const void *otherwise)
{
    if (a->residual != NULL) {
        if (line < a->lines)
            return a->residual + line * LINE_BYTES;
        line -= a->lines;
    }
    return line < a->lines ? a->output + line * LINE_BYTES : otherwise;
}

/* All panels' biases come first. */
static const uint16_t *panels_of(const iq_conv *conv, size_t panels)
{
    return (const void *)(conv->packed + panels * conv->bf16->cols);
}

static void direct_run(const iq_conv *conv, size_t phase, size_t part, const iq_conv_scratch *scratch)
{
    if (is_copy(conv, phase)) {
        copy_line(conv, part, (void *)scratch->shared);
        return;
    }
    const grid g = grid_of(conv, scratch->shared);
    const split s = split_of(conv);
    run runs[BLOCK_RUNS_MAX];
    const size_t first = part / s.panel_parts * s.block_runs;
    const size_t count = s.runs - first < s.block_runs ? s.runs - first : s.block_runs;
    find_runs(&g, s.runs_per_line, first, count, runs);
    const size_t cols = conv->bf16->cols, steps = g.tap_count * g.depth, panel_size = steps * cols * 2;
    const size_t from = part % s.panel_parts * s.part_panels;
    const size_t to = s.panels - from < s.part_panels ? s.panels : from + s.part_panels;
    const uint16_t *panels = panels_of(conv, s.panels);
    uint32_t shape = 0;
    iq_bf16_tile tile = {
        .in_step = g.pixel_step, .taps = g.taps, .tap_count = g.tap_count, .depth = g.depth, .shape = &shape};
    const ahead next = next_block(conv, &s, runs[count - 1].pixel + runs[count - 1].count);
    size_t spare = 0; /* lines of it so far */
    for (size_t p = from; p < to; p++) {
        tile.bias = conv->packed + p * cols;
        tile.panel = panels + p * panel_size;
        /* A line for each step: first the next panel's, then the next block's. */
        const size_t lines = s.weights_stay ? 0 : panel_size * 2 / LINE_BYTES;
        const uint16_t *after = p + 1 < s.panels ? tile.panel + panel_size : tile.panel;
        size_t fetched = 0;
        for (size_t r = 0; r < count;) {
            const size_t both = runs[r].count + (r + 1 < count ? runs[r + 1].count : 0);
            const bool pair = both > IQ_RUN && runs[r].count == IQ_RUN && conv->bf16->tile[both] != NULL;
            if (fetched < lines) {
                tile.next = after + fetched * LINE_BYTES / 2;
                fetched += steps;
            } else {
                tile.next = line_ahead(&next, spare, tile.panel);
                spare += steps;
            }
            one_tile(conv, &tile, runs + r, pair ? both : runs[r].count, p * cols);
            r += pair ? 2 : 1;
        }
    }
    if (conv->bf16->done != NULL)
        conv->bf16->done();
}

static size_t direct_packed_floats(const iq_conv *conv)
{
    const size_t pairs = stretch_count(conv) * products_of(conv) * ((stretch_depth(conv) + 1) / 2);
    return iq_divide_up(conv->out_channels, conv->bf16->cols) * conv->bf16->cols * (1 + pairs);
}

/* The biases, then panels of [stretch][product][pair][cols][2]; what does not exist is zeros. The second product is
 * that of the weights' second terms. */
static void direct_pack(const iq_conv *conv, float *packed)
{
    const size_t cols = conv->bf16->cols, panels = iq_divide_up(conv->out_channels, cols);
    const size_t stretches = stretch_count(conv), depth = stretch_depth(conv), products = products_of(conv);
    memset(packed, 0, direct_packed_floats(conv) * sizeof *packed);
    memcpy(packed, conv->bias, conv->out_channels * sizeof *packed);
    uint16_t *out = (void *)(packed + panels * cols);
    for (size_t p = 0; p < panels; p++) {
        const size_t left = conv->out_channels - p * cols, wanted = left < cols ? left : cols;
        for (size_t s = 0; s < stretches * products; s++, out += (depth + 1) / 2 * cols * 2)
            for (size_t d = 0; d < depth; d++) {
                const float *from = conv->weights + (s / products * depth + d) * conv->out_channels + p * cols;
                uint16_t *to = out + d / 2 * cols * 2 + d % 2;
                for (size_t c = 0; c < wanted; c++) {
                    const uint16_t first = iq_bf16_of(from[c]);
                    to[2 * c] = s % products == 1 ? iq_bf16_second(from[c], first) : first;
                }
            }
    }
}

const iq_conv_kernel iq_conv_bf16_direct = {
    .engine = "native",
    .type = IQ_BF16,
    .algorithm = direct_algorithm,
    .fits = direct_fits,
    .phases = direct_phases,
    .parts = direct_parts,
    .shared_floats = direct_shared_floats,
    .packed_floats = direct_packed_floats,
    .pack = direct_pack,
    .run = direct_run,
};

const iq_conv_kernel iq_conv_bf16_two = {
    .engine = "native",
    .type = IQ_BF16_TWO,
    .algorithm = two_algorithm,
    .fits = two_fits,
    .phases = direct_phases,
    .parts = direct_parts,
    .shared_floats = direct_shared_floats,
    .packed_floats = direct_packed_floats,
    .pack = direct_pack,
    .run = direct_run,
};
