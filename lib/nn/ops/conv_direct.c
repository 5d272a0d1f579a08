/* Convolution as sums over taps, with the native core kernel: activations are read where they lie, or, where windows
 * see the border, from a copy with a border of zeros. */
#include "nn/ops/conv.h"

#include <string.h>

enum {
    TAPS_SIDE_MAX = 16,
    LINE_FLOATS = 16,            /* of the cache */
    BLOCK_BYTES = 400 * 1024,    /* of all pixels that stay in the second level's cache while all weights pass by */
    RESIDENT_BYTES = 256 * 1024, /* weights so small stay there instead, and blocks are one tile */
    BLOCK_RUNS_MAX = 64,
    PARTS_MIN = 12,    /* fewer blocks than that are cut by channels too */
    FAR_CHANNELS = 256 /* pixels in a power of two of floats from here on fall into one set of the cache */
};

/* What the tiles see: windows in lines of pixels. */
typedef struct grid {
    const float *input;
    size_t lines_per_image, width; /* of the output */
    size_t image_step, line_step, pixel_step;
    size_t tap_count, depth;
    ptrdiff_t taps[TAPS_SIDE_MAX * TAPS_SIDE_MAX];
} grid;

typedef struct split {
    size_t runs_per_line, runs, block_runs, blocks;
    size_t panels, part_panels, panel_parts;
    bool weights_stay; /* in the second level's cache */
} split;

typedef struct run {
    const float *input;
    size_t pixel, count;
} run;

static bool reads_in_place(const iq_conv *conv)
{
    return conv->kernel == 1 && conv->pad == 0;
}

/* Such a convolution knows no lines: all pixels of all images are one. */
static bool is_flat(const iq_conv *conv)
{
    return reads_in_place(conv) && conv->stride == 1;
}

static bool direct_fits(const iq_conv *conv)
{
    return conv->set != NULL && conv->kernel <= TAPS_SIDE_MAX;
}

static size_t direct_cost(const iq_conv *conv)
{
    return iq_conv_plain_cost(conv);
}

static const char *direct_algorithm(const iq_conv *conv)
{
    return reads_in_place(conv) ? "direct" : "border + direct";
}

static size_t bordered_step(const iq_conv *conv)
{
    return conv->in_channels < FAR_CHANNELS ? conv->in_channels : conv->in_channels + 16;
}

static size_t bordered_line_floats(const iq_conv *conv)
{
    return (conv->in_width + 2 * conv->pad) * bordered_step(conv);
}

static size_t bordered_lines(const iq_conv *conv)
{
    return conv->in_height + 2 * conv->pad;
}

static grid grid_of(const iq_conv *conv, const float *bordered)
{
    grid g;
    if (is_flat(conv)) {
        g.lines_per_image = 1;
        g.width = iq_conv_rows(conv);
        g.image_step = g.line_step = 0;
    } else {
        g.lines_per_image = conv->out_height;
        g.width = conv->out_width;
    }
    if (reads_in_place(conv)) {
        g.input = conv->input;
        g.pixel_step = conv->stride * conv->in_step;
        g.line_step = conv->stride * conv->in_width * conv->in_step;
        g.image_step = conv->in_height * conv->in_width * conv->in_step;
        g.tap_count = 1;
        g.taps[0] = 0;
        g.depth = conv->in_channels;
        return g;
    }
    const size_t step = bordered_step(conv), line = bordered_line_floats(conv);
    g.input = bordered;
    g.pixel_step = conv->stride * step;
    g.line_step = conv->stride * line;
    g.image_step = bordered_lines(conv) * line;
    /* Neighbouring pixels without a gap are one stretch. */
    const size_t per_line = step == conv->in_channels ? 1 : conv->kernel;
    g.depth = conv->in_channels * (conv->kernel / per_line);
    g.tap_count = conv->kernel * per_line;
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
    const size_t depth = iq_conv_depth(conv);
    s.runs_per_line = iq_divide_up(width, IQ_RUN);
    s.runs = s.runs_per_line * lines;
    s.panels = iq_divide_up(conv->out_channels, conv->set->cols);
    size_t most = 2;
    s.weights_stay = depth * conv->out_channels * sizeof(float) <= RESIDENT_BYTES;
    if (!s.weights_stay) {
        const size_t out_floats = conv->out_channels * (conv->residual != NULL ? 2 : 1);
        const size_t in_floats = conv->in_channels * conv->stride * conv->stride;
        most = BLOCK_BYTES / (IQ_RUN * (in_floats + out_floats) * sizeof(float)) / 2 * 2;
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

static size_t direct_shared_floats(const iq_conv *conv)
{
    return reads_in_place(conv) ? 0 : conv->images * bordered_lines(conv) * bordered_line_floats(conv);
}

/* One line of one image. */
static void copy_line(const iq_conv *conv, size_t index, float *bordered)
{
    const size_t step = bordered_step(conv), floats = bordered_line_floats(conv), y = index % bordered_lines(conv);
    float *out = bordered + index * floats;
    if (y < conv->pad || y - conv->pad >= conv->in_height) {
        memset(out, 0, floats * sizeof *out);
        return;
    }
    const size_t from = (index / bordered_lines(conv) * conv->in_height + y - conv->pad) * conv->in_width;
    const float *in = conv->input + from * conv->in_step;
    memset(out, 0, conv->pad * step * sizeof *out);
    out += conv->pad * step;
    if (step == conv->in_step) {
        memcpy(out, in,
               ((conv->in_width - 1) * step + conv->in_channels) * sizeof *out); /* the last gap may not be there */
    } else {
        for (size_t x = 0; x < conv->in_width; x++)
            memcpy(out + x * step, in + x * conv->in_step, conv->in_channels * sizeof *out);
    }
    memset(out + conv->in_width * step, 0, conv->pad * step * sizeof *out);
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

/* The last panel may hold fewer channels than a tile: it is computed aside. */
static void narrow_tile(const iq_conv *conv, iq_tile *tile, const run *runs, size_t count, size_t col)
{
    _Alignas(64) float aside[IQ_TILE * 64];
    const size_t cols = conv->set->cols, wanted = conv->out_channels - col;
    tile->residual[0] = tile->residual[1] = NULL;
    tile->relu = false;
    tile->output[0] = aside;
    tile->output[1] = aside + IQ_RUN * cols;
    tile->out_step = cols;
    conv->set->tile[count](tile);
    for (size_t i = 0; i < count; i++) {
        const size_t pixel = i < IQ_RUN ? runs[0].pixel + i : runs[1].pixel + i - IQ_RUN;
        for (size_t c = 0; c < wanted; c++) {
            float value = aside[i * cols + c];
            if (conv->residual != NULL)
                value += conv->residual[pixel * conv->residual_step + col + c];
            conv->output[pixel * conv->out_step + col + c] = conv->relu && 0.0f > value ? 0.0f : value;
        }
    }
}

static void one_tile(const iq_conv *conv, iq_tile *tile, const run *runs, size_t count, size_t col)
{
    const size_t last = count > IQ_RUN ? 1 : 0;
    tile->input[0] = runs[0].input;
    tile->input[1] = runs[last].input;
    if (conv->out_channels - col < conv->set->cols) {
        narrow_tile(conv, tile, runs, count, col);
        return;
    }
    tile->relu = conv->relu;
    tile->residual_step = conv->residual_step;
    tile->residual[0] = tile->residual[1] = NULL;
    if (conv->residual != NULL) {
        tile->residual[0] = conv->residual + runs[0].pixel * conv->residual_step + col;
        tile->residual[1] = conv->residual + runs[last].pixel * conv->residual_step + col;
    }
    tile->output[0] = conv->output + runs[0].pixel * conv->out_step + col;
    tile->output[1] = conv->output + runs[last].pixel * conv->out_step + col;
    tile->out_step = conv->out_step;
    conv->set->tile[count](tile);
}

/* What the next block will touch: fetched while this one is computed, by the tiles that need not fetch weights. */
typedef struct ahead {
    const float *residual, *output;
    size_t lines; /* of each */
} ahead;

static ahead next_block(const iq_conv *conv, const split *s, size_t pixel)
{
    ahead a = {0};
    if (pixel >= iq_conv_rows(conv))
        return a;
    a.residual = conv->residual != NULL ? conv->residual + pixel * conv->residual_step : NULL;
    a.output = conv->output + pixel * conv->out_step;
    a.lines = s->block_runs * IQ_RUN * conv->out_step / LINE_FLOATS;
    return a;
}

static const float *line_ahead(const ahead *a, size_t line, const float *otherwise)
{
    if (a->residual != NULL) {
        if (line < a->lines)
            return a->residual + line * LINE_FLOATS;
        line -= a->lines;
    }
    return line < a->lines ? a->output + line * LINE_FLOATS : otherwise;
}

static void direct_run(const iq_conv *conv, size_t phase, size_t part, const iq_conv_scratch *scratch)
{
    if (is_copy(conv, phase)) {
        copy_line(conv, part, scratch->shared);
        return;
    }
    const grid g = grid_of(conv, scratch->shared);
    const split s = split_of(conv);
    run runs[BLOCK_RUNS_MAX];
    const size_t first = part / s.panel_parts * s.block_runs;
    const size_t count = s.runs - first < s.block_runs ? s.runs - first : s.block_runs;
    find_runs(&g, s.runs_per_line, first, count, runs);
    const size_t cols = conv->set->cols, panel_floats = g.tap_count * g.depth * cols;
    const size_t from = part % s.panel_parts * s.part_panels;
    const size_t to = s.panels - from < s.part_panels ? s.panels : from + s.part_panels;
    iq_tile tile = {.in_step = g.pixel_step, .taps = g.taps, .tap_count = g.tap_count, .depth = g.depth};
    const ahead next = next_block(conv, &s, runs[count - 1].pixel + runs[count - 1].count);
    size_t spare = 0; /* lines of it so far */
    for (size_t p = from; p < to; p++) {
        tile.bias = conv->packed + p * cols;
        tile.panel = conv->packed + s.panels * cols + p * panel_floats;
        /* A line for each step: first the next panel's, then the next block's. */
        const size_t per_tile = g.tap_count * g.depth, lines = s.weights_stay ? 0 : panel_floats / LINE_FLOATS;
        const float *after = p + 1 < s.panels ? tile.panel + panel_floats : tile.panel;
        size_t fetched = 0;
        for (size_t r = 0; r < count;) {
            const size_t both = runs[r].count + (r + 1 < count ? runs[r + 1].count : 0);
            const bool pair = both > IQ_RUN && runs[r].count == IQ_RUN && conv->set->tile[both] != NULL;
            if (fetched < lines) {
                tile.next = after + fetched * LINE_FLOATS;
                fetched += per_tile;
            } else {
                tile.next = line_ahead(&next, spare, tile.panel);
                spare += per_tile;
            }
            one_tile(conv, &tile, runs + r, pair ? both : runs[r].count, p * cols);
            r += pair ? 2 : 1;
        }
    }
}

static size_t direct_packed_floats(const iq_conv *conv)
{
    return iq_divide_up(conv->out_channels, conv->set->cols) * conv->set->cols * (1 + iq_conv_depth(conv));
}

/* The biases, then panels of [depth][cols]; channels that do not exist are zeros. */
static void direct_pack(const iq_conv *conv, float *packed)
{
    const size_t cols = conv->set->cols, panels = iq_divide_up(conv->out_channels, cols);
    const size_t depth = iq_conv_depth(conv);
    memset(packed, 0, panels * cols * sizeof *packed);
    memcpy(packed, conv->bias, conv->out_channels * sizeof *packed);
    packed += panels * cols;
    for (size_t p = 0; p < panels; p++) {
        const size_t left = conv->out_channels - p * cols, wanted = left < cols ? left : cols;
        for (size_t d = 0; d < depth; d++, packed += cols) {
            memcpy(packed, conv->weights + d * conv->out_channels + p * cols, wanted * sizeof *packed);
            memset(packed + wanted, 0, (cols - wanted) * sizeof *packed);
        }
    }
}

const iq_conv_kernel iq_conv_direct = {
    .engine = "native",
    .algorithm = direct_algorithm,
    .fits = direct_fits,
    .cost = direct_cost,
    .phases = direct_phases,
    .parts = direct_parts,
    .shared_floats = direct_shared_floats,
    .packed_floats = direct_packed_floats,
    .pack = direct_pack,
    .run = direct_run,
};
