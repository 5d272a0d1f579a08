/* Convolution of bf16 values as sums over taps and pairs of channels: activations are read where they lie, or, where
 * windows see the border, or the input is of floats, from a copy with a border of zeros. */
#include "nn/bf16.h"
#include "nn/ops/conv.h"

#include <string.h>

enum {
    TAPS_SIDE_MAX = 16,
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
    ptrdiff_t taps[TAPS_SIDE_MAX * TAPS_SIDE_MAX];
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
    return conv->kernel == 1 && conv->pad == 0 && conv->in_type == IQ_BF16;
}

/* Such a convolution knows no lines: all pixels of all images are one. */
static bool is_flat(const iq_conv *conv)
{
    return reads_in_place(conv) && conv->stride == 1;
}

static bool direct_fits(const iq_conv *conv)
{
    return conv->bf16 != NULL && conv->kernel <= TAPS_SIDE_MAX && conv->out_type == IQ_BF16 &&
           (conv->in_type == IQ_F32 || conv->in_channels % 2 == 0);
}

static const char *direct_algorithm(const iq_conv *conv)
{
    return reads_in_place(conv) ? "bf16 direct" : "bf16 border + direct";
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

static grid grid_of(const iq_conv *conv, const void *bordered)
{
    grid g = {.lines_per_image = conv->out_height,
              .width = conv->out_width,
              .tap_count = stretch_count(conv),
              .depth = (stretch_depth(conv) + 1) / 2};
    if (is_flat(conv)) {
        g.lines_per_image = 1;
        g.width = iq_conv_rows(conv);
    }
    if (reads_in_place(conv)) {
        g.input = (const void *)conv->input;
        g.pixel_step = conv->stride * conv->in_step;
        g.line_step = conv->stride * conv->in_width * conv->in_step;
        g.image_step = conv->in_height * conv->in_width * conv->in_step;
        return g;
    }
    const size_t step = bordered_step(conv), line = bordered_line(conv), per_line = g.tap_count / conv->kernel;
    g.input = bordered;
    g.pixel_step = conv->stride * step;
    g.line_step = conv->stride * line;
    g.image_step = bordered_lines(conv) * line;
    for (size_t y = 0; y < conv->kernel; y++)
        for (size_t x = 0; x < per_line; x++)
            g.taps[y * per_line + x] = (ptrdiff_t)(y * line + x * step);
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
    return reads_in_place(conv) ? 0 : conv->images * bordered_lines(conv) * bordered_line(conv) / 2 + 1;
}

static void copy_pixels(const iq_conv *conv, size_t first, size_t pixels, uint16_t *out, size_t step)
{
    const size_t channels = conv->in_channels;
    if (conv->in_type == IQ_F32) {
        const float *in = conv->input + first * conv->in_step;
        const bool dense = step == channels && conv->in_step == channels;
        for (size_t x = 0; x < (dense ? 1 : pixels); x++)
            conv->bf16->narrow(in + x * conv->in_step, dense ? pixels * channels : channels, out + x * step);
        return;
    }
    const uint16_t *in = (const uint16_t *)(const void *)conv->input + first * conv->in_step;
    for (size_t x = 0; x < pixels; x++)
        memcpy(out + x * step, in + x * conv->in_step, channels * sizeof *out);
}

/* One line of one image. */
static void copy_line(const iq_conv *conv, size_t index, uint16_t *bordered)
{
    const size_t step = bordered_step(conv), line = bordered_line(conv), y = index % bordered_lines(conv);
    uint16_t *out = bordered + index * line;
    if (index + 1 == conv->images * bordered_lines(conv))
        memset(out + line, 0, 2 * sizeof *out);
    if (y < conv->pad || y - conv->pad >= conv->in_height) {
        memset(out, 0, line * sizeof *out);
        return;
    }
    const size_t from = (index / bordered_lines(conv) * conv->in_height + y - conv->pad) * conv->in_width;
    const size_t left = conv->pad * step, pixels = conv->in_width * step;
    memset(out, 0, left * sizeof *out);
    if (step != conv->in_channels)
        memset(out + left, 0, pixels * sizeof *out);
    copy_pixels(conv, from, conv->in_width, out + left, step);
    memset(out + left + pixels, 0, (line - left - pixels) * sizeof *out);
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
    const size_t cols = conv->bf16->cols, wanted = conv->out_channels - col;
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
            if (residual != NULL)
                value += iq_bf16_float(residual[pixel * conv->residual_step + col + c]);
            output[pixel * conv->out_step + col + c] = iq_bf16_of(conv->relu && 0.0f > value ? 0.0f : value);
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
    const uint16_t *residual = (const void *)conv->residual;
    uint16_t *output = (void *)conv->output;
    tile->sums[0] = tile->sums[1] = NULL;
    tile->relu = conv->relu;
    tile->residual_step = conv->residual_step;
    tile->residual[0] = residual != NULL ? residual + runs[0].pixel * conv->residual_step + col : NULL;
    tile->residual[1] = residual != NULL ? residual + runs[last].pixel * conv->residual_step + col : NULL;
    tile->output[0] = output + runs[0].pixel * conv->out_step + col;
    tile->output[1] = output + runs[last].pixel * conv->out_step + col;
    tile->out_step = conv->out_step;
    conv->bf16->tile[count](tile);
}

/* What the next block will touch: fetched while this one is computed, by the tiles that need not fetch weights. */
typedef struct ahead {
    const uint8_t *residual, *output;
    size_t lines; /* of each */
} ahead;

static ahead next_block(const iq_conv *conv, const split *s, size_t pixel)
{
    ahead a = {0};
    if (pixel >= iq_conv_rows(conv))
        return a;
    a.residual = conv->residual != NULL ? (const uint8_t *)conv->residual + pixel * conv->residual_step * 2 : NULL;
    a.output = (const uint8_t *)conv->output + pixel * conv->out_step * 2;
    a.lines = s->block_runs * IQ_RUN * conv->out_step * 2 / LINE_BYTES;
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
    iq_bf16_tile tile = {.in_step = g.pixel_step, .taps = g.taps, .tap_count = g.tap_count, .depth = g.depth};
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
}

static size_t direct_packed_floats(const iq_conv *conv)
{
    const size_t pairs = stretch_count(conv) * ((stretch_depth(conv) + 1) / 2);
    return iq_divide_up(conv->out_channels, conv->bf16->cols) * conv->bf16->cols * (1 + pairs);
}

/* The biases, then panels of [stretch][pair][cols][2]; what does not exist is zeros. */
static void direct_pack(const iq_conv *conv, float *packed)
{
    const size_t cols = conv->bf16->cols, panels = iq_divide_up(conv->out_channels, cols);
    const size_t stretches = stretch_count(conv), depth = stretch_depth(conv);
    memset(packed, 0, direct_packed_floats(conv) * sizeof *packed);
    memcpy(packed, conv->bias, conv->out_channels * sizeof *packed);
    uint16_t *out = (void *)(packed + panels * cols);
    for (size_t p = 0; p < panels; p++) {
        const size_t left = conv->out_channels - p * cols, wanted = left < cols ? left : cols;
        for (size_t s = 0; s < stretches; s++, out += (depth + 1) / 2 * cols * 2)
            for (size_t d = 0; d < depth; d++) {
                const float *from = conv->weights + (s * depth + d) * conv->out_channels + p * cols;
                for (size_t c = 0; c < wanted; c++)
                    out[(d / 2 * cols + c) * 2 + d % 2] = iq_bf16_of(from[c]);
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
