/* 3x3 convolution with stride 1 by Winograd's minimal filtering: tiles of pixels become (tile + 2)^2 points, at each
 * point the channels are multiplied as matrices, and the points become pixels again. F(4x4) multiplies 4 times less
 * than the definition, F(2x2) 2.25 times; their weights are 4 and 1.8 times as many.
 *
 * A side that is no multiple of the tile ends in tiles one pixel shorter: 14 is 4 + 4 + 3 + 3. Short tiles take the
 * weights of full ones, but do without some of the points. So tiles are sorted into four classes, in this order over
 * all images: short columns, full, short lines, both short; then the tiles that have a point are always neighbours, and
 * each point's matrix product has only their rows.
 *
 * Tiles go through in chunks whose points stay in the cache. */
#include "nn/ops/winograd.h"

#include "nn/kernels/winograd_weights.h"

#include <string.h>

enum {
    CHUNK_BYTES = 300 * 1024,   /* of points before the product, beside which weights and results stay in the cache */
    FAR_WEIGHT_BYTES = 4 << 20, /* larger weights come from far away for each chunk: it is worth so many tiles */
    FAR_TILES_MIN = 32,
    ALONE_CHUNKS = 4,         /* with so many chunks each is one part; with fewer, threads share each */
    GROUP_BYTES = 200 * 1024, /* of points after the product, where a chunk is one part */
    SHARED_COLS = 64,         /* columns of a part, where threads share a chunk */
    POINT_GAP = 16,           /* floats between tiles: powers of two fall into one set of the cache */
    SIDE_MAX = IQ_WINOGRAD_MAX + 2,
    CLASSES = 4,
    PACK_COLS = 16, /* output channels whose weights are transformed at once */
    CHANNELS_MAX = 4096
};

/* A pixel of what lies outside the input. */
static const float zeros[CHANNELS_MAX];

/* Whose products they are. */
typedef struct way {
    size_t (*panel_cols)(const iq_conv *conv); /* 0: it cannot */
    void (*product)(const iq_winograd_product *product);
    size_t tiles_min; /* of a chunk whose weights stay near */
} way;

/* One direction of the output: full tiles, then short ones. */
typedef struct axis {
    size_t full, tiles;
} axis;

typedef struct shape {
    size_t tile, side, points;
    axis high, wide;
    size_t first[CLASSES + 1];           /* tile of each class, of all images */
    size_t in_gap, out_gap;              /* floats from tile to tile */
    size_t chunk, chunks;                /* tiles in each but the last, and how many */
    size_t panels, group_panels, groups; /* columns that are multiplied between two transforms */
} shape;

static axis axis_of(size_t pixels, size_t tile)
{
    axis a = {.tiles = iq_divide_up(pixels, tile)};
    const size_t missing = a.tiles * tile - pixels;
    a.full = missing < a.tiles ? a.tiles - missing : 0;
    return a;
}

static bool lines_are_short(size_t class)
{
    return class >= 2;
}

static bool columns_are_short(size_t class)
{
    return class == 0 || class == 3;
}

/* Tiles of a class in one image: lines x columns. */
static size_t class_lines(const shape *s, size_t class)
{
    return lines_are_short(class) ? s->high.tiles - s->high.full : s->high.full;
}

static size_t class_columns(const shape *s, size_t class)
{
    return columns_are_short(class) ? s->wide.tiles - s->wide.full : s->wide.full;
}

static shape sort_tiles(const iq_conv *conv, size_t tile)
{
    shape s = {.tile = tile, .side = tile + 2, .points = (tile + 2) * (tile + 2)};
    s.high = axis_of(conv->out_height, tile);
    s.wide = axis_of(conv->out_width, tile);
    for (size_t c = 0; c < CLASSES; c++)
        s.first[c + 1] = s.first[c] + conv->images * class_lines(&s, c) * class_columns(&s, c);
    return s;
}

static bool is_alone(const shape *s)
{
    return s->chunks >= ALONE_CHUNKS;
}

static shape shape_of(const iq_conv *conv, const way *how, size_t tile)
{
    shape s = sort_tiles(conv, tile);
    const size_t tiles = s.first[CLASSES], cols = how->panel_cols(conv);
    s.in_gap = conv->in_channels + POINT_GAP;
    const bool far = s.points * conv->in_channels * conv->out_channels * sizeof(float) > FAR_WEIGHT_BYTES;
    const size_t least = far ? FAR_TILES_MIN : how->tiles_min;
    size_t most = CHUNK_BYTES / (s.points * s.in_gap * sizeof(float)) / IQ_TILE * IQ_TILE;
    most = most < least ? least : most;
    s.chunks = iq_divide_up(tiles, most);
    s.chunk = iq_divide_up(tiles, s.chunks);
    s.panels = conv->out_channels / cols;
    const size_t bytes = s.points * s.chunk * cols * sizeof(float);
    s.group_panels = is_alone(&s) ? GROUP_BYTES / bytes : SHARED_COLS / cols;
    s.group_panels = s.group_panels < 1 ? 1 : s.group_panels;
    s.group_panels = iq_divide_up(s.panels, iq_divide_up(s.panels, s.group_panels));
    s.groups = iq_divide_up(s.panels, s.group_panels);
    s.out_gap = s.group_panels * cols + POINT_GAP;
    return s;
}

static bool can_do(const iq_conv *conv, const way *how)
{
    return conv->set != NULL && conv->kernel == 3 && conv->stride == 1 && conv->residual == NULL &&
           conv->in_channels <= CHANNELS_MAX && conv->in_channels % conv->set->lanes == 0 &&
           conv->out_channels % PACK_COLS == 0 && how->panel_cols(conv) > 0 &&
           conv->out_channels % how->panel_cols(conv) == 0;
}

/* The rows, tiles from .. to - 1 of all, that a point's product has. */
typedef struct range {
    size_t from, to;
} range;

static range rows_of(const shape *s, size_t point)
{
    const bool full_lines = point / s->side == s->tile, full_columns = point % s->side == s->tile;
    return (range){s->first[full_columns ? 1 : 0], s->first[full_lines ? 2 : full_columns ? 3 : CLASSES]};
}

static size_t cost(const iq_conv *conv, size_t tile)
{
    const shape s = sort_tiles(conv, tile);
    size_t sum = 0;
    for (size_t point = 0; point < s.points; point++) {
        const range rows = rows_of(&s, point);
        sum += rows.to > rows.from ? iq_conv_row_cost(rows.to - rows.from) : 0;
    }
    return sum;
}

enum { PHASE_IN = 0, PHASE_PRODUCT = 1, PHASES = 2 };

static size_t phases(const iq_conv *conv, const way *how, size_t tile)
{
    const shape s = shape_of(conv, how, tile);
    return is_alone(&s) ? 1 : PHASES * s.chunks;
}

static range chunk_rows(const shape *s, size_t chunk)
{
    const size_t from = chunk * s->chunk, end = s->first[CLASSES];
    return (range){from, end - from < s->chunk ? end : from + s->chunk};
}

static size_t parts(const iq_conv *conv, const way *how, size_t phase, size_t tile)
{
    const shape s = shape_of(conv, how, tile);
    if (is_alone(&s))
        return s.chunks;
    const range rows = chunk_rows(&s, phase / PHASES);
    return phase % PHASES == PHASE_PRODUCT ? s.groups : rows.to - rows.from;
}

/* Points of one chunk before the product, and of one group of columns after it. */
static size_t before_floats(const shape *s)
{
    return s->points * s->chunk * s->in_gap;
}

static size_t after_floats(const shape *s)
{
    return s->points * s->chunk * s->out_gap;
}

/* Where a tile lies: its image, its first output pixel and its size. */
typedef struct place {
    size_t class, image, y, x, height, width;
} place;

static size_t start_of(const axis *a, bool is_short, size_t index, size_t tile)
{
    return is_short ? a->full * tile + index * (tile - 1) : index * tile;
}

static place place_of(const shape *s, size_t tile)
{
    place at = {.class = 0};
    while (tile >= s->first[at.class + 1])
        at.class ++;
    const size_t columns = class_columns(s, at.class), in_image = class_lines(s, at.class) * columns;
    const size_t index = tile - s->first[at.class];
    at.image = index / in_image;
    at.y = start_of(&s->high, lines_are_short(at.class), index % in_image / columns, s->tile);
    at.x = start_of(&s->wide, columns_are_short(at.class), index % columns, s->tile);
    at.height = s->tile - lines_are_short(at.class);
    at.width = s->tile - columns_are_short(at.class);
    return at;
}

/* Tile `tile` to row `row` of the chunk's points. */
static void tile_in(const iq_conv *conv, const shape *s, size_t tile, float *before, size_t row)
{
    const place at = place_of(s, tile);
    const float *pixels[SIDE_MAX * SIDE_MAX], **next = pixels;
    const float *image = conv->input + at.image * conv->in_height * conv->in_width * conv->in_step;
    for (size_t y = 0; y < at.height + 2; y++)
        for (size_t x = 0; x < at.width + 2; x++) {
            const size_t in_y = at.y + y - conv->pad, in_x = at.x + x - conv->pad; /* below 0: very large */
            *next++ = in_y < conv->in_height && in_x < conv->in_width
                          ? image + (in_y * conv->in_width + in_x) * conv->in_step
                          : zeros;
        }
    conv->set->winograd_in[s->tile == 2 ? IQ_WINOGRAD_2 : IQ_WINOGRAD_4][lines_are_short(at.class)][columns_are_short(
        at.class)](pixels, conv->in_channels, before + row * s->in_gap, s->chunk * s->in_gap);
}

/* And back, `cols` channels from `col` on. */
static void tile_out(const iq_conv *conv, const shape *s, size_t tile, const float *after, size_t row, size_t col,
                     size_t cols)
{
    const place at = place_of(s, tile);
    const size_t height = conv->out_height - at.y < at.height ? conv->out_height - at.y : at.height;
    const size_t width = conv->out_width - at.x < at.width ? conv->out_width - at.x : at.width;
    const size_t pixel = (at.image * conv->out_height + at.y) * conv->out_width + at.x;
    conv->set->winograd_out[s->tile == 2 ? IQ_WINOGRAD_2
                                         : IQ_WINOGRAD_4][lines_are_short(at.class)][columns_are_short(at.class)](
        after + row * s->out_gap, s->chunk * s->out_gap, cols, conv->packed + col, conv->relu,
        conv->output + pixel * conv->out_step + col, conv->out_width * conv->out_step, conv->out_step, height, width);
}

/* The next tile of a product's rows: so cut that no small one is left over. */
static size_t next_rows(size_t left)
{
    if (left == IQ_TILE || left >= IQ_TILE + 4)
        return IQ_TILE;
    const size_t tiles = iq_divide_up(left, IQ_RUN + 1);
    return iq_divide_up(left, tiles);
}

static size_t native_cols(const iq_conv *conv)
{
    return conv->set->cols;
}

/* While one panel is multiplied the next is fetched: a line for each step, or two where there is but one small tile. */
static void native_product(const iq_winograd_product *product)
{
    static const ptrdiff_t tap = 0;
    const iq_kernel_set *set = product->conv->set;
    const size_t cols = product->cols, depth = product->conv->in_channels, lines = depth * cols / 16;
    iq_tile tile = {
        .in_step = product->before_step, .taps = &tap, .tap_count = 1, .depth = depth, .out_step = product->after_step};
    tile.next_too = product->rows <= IQ_RUN + 1 && lines > depth ? depth * 16 : 0;
    for (size_t p = 0; p < product->panels; p++) {
        const float *next = p + 1 < product->panels ? product->weights + (p + 1) * depth * cols : product->next;
        size_t fetched = 0;
        tile.panel = product->weights + p * depth * cols;
        for (size_t r = 0, n; r < product->rows; r += n, fetched += depth) {
            n = next_rows(product->rows - r);
            tile.next = fetched < lines ? next + fetched * 16 : tile.panel;
            tile.input[0] = product->before + r * product->before_step;
            tile.input[1] = tile.input[0] + IQ_RUN * product->before_step;
            tile.output[0] = product->after + r * product->after_step + p * cols;
            tile.output[1] = tile.output[0] + IQ_RUN * product->after_step;
            set->tile[n](&tile);
        }
    }
}

static const way native = {native_cols, native_product, IQ_TILE};
#if IMGQ_HAVE_OPENBLAS
static const way openblas = {iq_openblas_panel_cols, iq_openblas_winograd_product, 28};
#endif

/* All points of some panels, then the pixels of their channels. */
static void multiply_group(const iq_conv *conv, const way *how, const shape *s, size_t chunk, size_t group,
                           const float *before, float *after)
{
    const size_t cols = how->panel_cols(conv), panel = conv->in_channels * cols, from = group * s->group_panels;
    const range all = chunk_rows(s, chunk);
    iq_winograd_product product = {
        .conv = conv,
        .before_step = s->in_gap,
        .weights = conv->packed + conv->out_channels + from * panel,
        .panels = s->panels - from < s->group_panels ? s->panels - from : s->group_panels,
        .cols = cols,
        .after_step = s->out_gap,
    };
    for (size_t point = 0; point < s->points; point++, product.weights += s->panels * panel) {
        range rows = rows_of(s, point);
        rows.from = rows.from > all.from ? rows.from : all.from;
        rows.to = rows.to < all.to ? rows.to : all.to;
        if (rows.from >= rows.to)
            continue;
        const size_t row = point * s->chunk + rows.from - all.from;
        product.next = product.weights + (point + 1 < s->points ? s->panels * panel : 0);
        product.before = before + row * s->in_gap;
        product.after = after + row * s->out_gap;
        product.rows = rows.to - rows.from;
        how->product(&product);
    }
    for (size_t tile = all.from; tile < all.to; tile++)
        tile_out(conv, s, tile, after, tile - all.from, from * cols, product.panels * cols);
}

static void run(const iq_conv *conv, const way *how, size_t phase, size_t part, const iq_conv_scratch *scratch,
                size_t tile)
{
    const shape s = shape_of(conv, how, tile);
    if (is_alone(&s)) {
        const range rows = chunk_rows(&s, part);
        float *before = scratch->own + after_floats(&s);
        for (size_t i = rows.from; i < rows.to; i++)
            tile_in(conv, &s, i, before, i - rows.from);
        for (size_t group = 0; group < s.groups; group++)
            multiply_group(conv, how, &s, part, group, before, scratch->own);
    } else if (phase % PHASES == PHASE_IN) {
        tile_in(conv, &s, chunk_rows(&s, phase / PHASES).from + part, scratch->shared, part);
    } else {
        multiply_group(conv, how, &s, phase / PHASES, part, scratch->shared, scratch->own);
    }
}

/* The biases, then [point][panel][in][cols]. */
static void pack(const iq_conv *conv, const way *how, float *packed, size_t tile)
{
    memcpy(packed, conv->bias, conv->out_channels * sizeof *packed);
    iq_winograd_weights(conv->set->isa, tile)(conv->weights, conv->in_channels, conv->out_channels,
                                              how->panel_cols(conv), packed + conv->out_channels);
}

static size_t own_floats(const iq_conv *conv, const way *how, size_t tile)
{
    const shape s = shape_of(conv, how, tile);
    return after_floats(&s) + (is_alone(&s) ? before_floats(&s) : 0);
}

static size_t shared_floats(const iq_conv *conv, const way *how, size_t tile)
{
    const shape s = shape_of(conv, how, tile);
    return is_alone(&s) ? 0 : before_floats(&s);
}

#define DEFINE_TILE(n)                                                                                                 \
    static const char *algorithm_##n(const iq_conv *conv)                                                              \
    {                                                                                                                  \
        (void)conv;                                                                                                    \
        return "winograd " #n "x" #n;                                                                                  \
    }                                                                                                                  \
    static size_t cost_##n(const iq_conv *conv)                                                                        \
    {                                                                                                                  \
        return cost(conv, n);                                                                                          \
    }                                                                                                                  \
    static size_t packed_floats_##n(const iq_conv *conv)                                                               \
    {                                                                                                                  \
        return conv->out_channels * (1 + (n + 2) * (n + 2) * conv->in_channels);                                       \
    }

#define DEFINE_KERNEL(name, way, n)                                                                                    \
    static bool way##_fits_##n(const iq_conv *conv)                                                                    \
    {                                                                                                                  \
        return can_do(conv, &way);                                                                                     \
    }                                                                                                                  \
    static size_t way##_phases_##n(const iq_conv *conv)                                                                \
    {                                                                                                                  \
        return phases(conv, &way, n);                                                                                  \
    }                                                                                                                  \
    static size_t way##_parts_##n(const iq_conv *conv, size_t phase)                                                   \
    {                                                                                                                  \
        return parts(conv, &way, phase, n);                                                                            \
    }                                                                                                                  \
    static size_t way##_own_floats_##n(const iq_conv *conv)                                                            \
    {                                                                                                                  \
        return own_floats(conv, &way, n);                                                                              \
    }                                                                                                                  \
    static size_t way##_shared_floats_##n(const iq_conv *conv)                                                         \
    {                                                                                                                  \
        return shared_floats(conv, &way, n);                                                                           \
    }                                                                                                                  \
    static void way##_pack_##n(const iq_conv *conv, float *packed)                                                     \
    {                                                                                                                  \
        pack(conv, &way, packed, n);                                                                                   \
    }                                                                                                                  \
    static void way##_run_##n(const iq_conv *conv, size_t phase, size_t part, const iq_conv_scratch *scratch)          \
    {                                                                                                                  \
        run(conv, &way, phase, part, scratch, n);                                                                      \
    }                                                                                                                  \
    const iq_conv_kernel name = {                                                                                      \
        .engine = #way,                                                                                                \
        .algorithm = algorithm_##n,                                                                                    \
        .fits = way##_fits_##n,                                                                                        \
        .cost = cost_##n,                                                                                              \
        .phases = way##_phases_##n,                                                                                    \
        .parts = way##_parts_##n,                                                                                      \
        .own_floats = way##_own_floats_##n,                                                                            \
        .shared_floats = way##_shared_floats_##n,                                                                      \
        .packed_floats = packed_floats_##n,                                                                            \
        .pack = way##_pack_##n,                                                                                        \
        .run = way##_run_##n,                                                                                          \
    }

DEFINE_TILE(2)
DEFINE_TILE(4)
DEFINE_KERNEL(iq_conv_winograd_2, native, 2);
DEFINE_KERNEL(iq_conv_winograd_4, native, 4);
#if IMGQ_HAVE_OPENBLAS
DEFINE_KERNEL(iq_conv_openblas_winograd_2, openblas, 2);
DEFINE_KERNEL(iq_conv_openblas_winograd_4, openblas, 4);
#endif
