/* 3x3 convolution with stride 1 by Winograd's minimal filtering: tiles of pixels become (tile + 2)^2 points, at each
 * point the channels are multiplied as matrices, and the points become pixels again. F(4x4) multiplies 4 times less
 * than the definition, F(2x2) 2.25 times; their weights are 4 and 1.8 times as many. Tiles go through in chunks whose
 * points stay in the cache. */
#include "nn/ops/winograd.h"

#include "nn/kernels/winograd_weights.h"

#include <string.h>

enum {
    CHUNK_BYTES = 900 * 1024, /* of points before and after the product */
    CHUNK_TILES_MIN = 28,
    ALONE_CHUNKS = 12, /* with so many chunks each is one part; with fewer, threads share each */
    PANEL_PARTS_MIN_COLS = 64,
    POINT_GAP = 16, /* floats between tiles: powers of two fall into one set of the cache */
    SIDE_MAX = 6,
    PACK_COLS = 16,   /* output channels whose weights are transformed at once */
    WEIGHT_TILES = 8, /* reading the weights costs about what so many tiles cost */
    CHANNELS_MAX = 4096
};

/* A pixel of what lies outside the input. */
static const float zeros[CHANNELS_MAX];

typedef struct shape {
    size_t tile, side, points;
    size_t tiles_high, tiles_wide, tiles; /* tiles: of all images */
    size_t in_gap, out_gap;               /* floats from tile to tile */
    size_t chunk, chunks;                 /* tiles in each but the last, and how many */
} shape;

/* Whose products they are. */
typedef struct way {
    size_t (*panel_cols)(const iq_conv *conv); /* 0: it cannot */
    void (*product)(const iq_winograd_product *product);
} way;

static shape shape_of(const iq_conv *conv, size_t tile)
{
    shape s = {.tile = tile, .side = tile + 2, .points = (tile + 2) * (tile + 2)};
    s.tiles_high = iq_divide_up(conv->out_height, tile);
    s.tiles_wide = iq_divide_up(conv->out_width, tile);
    s.tiles = conv->images * s.tiles_high * s.tiles_wide;
    s.in_gap = conv->in_channels + POINT_GAP;
    s.out_gap = conv->out_channels + POINT_GAP;
    size_t most = CHUNK_BYTES / (s.points * (s.in_gap + s.out_gap) * sizeof(float));
    most = most < CHUNK_TILES_MIN ? CHUNK_TILES_MIN : most / IQ_TILE * IQ_TILE;
    s.chunk = s.tiles < most + IQ_RUN ? s.tiles : most;
    s.chunks = iq_divide_up(s.tiles, s.chunk);
    return s;
}

static bool can_do(const iq_conv *conv, const way *how)
{
    return conv->set != NULL && conv->kernel == 3 && conv->stride == 1 && conv->residual == NULL &&
           conv->in_channels <= CHANNELS_MAX && conv->in_channels % conv->set->lanes == 0 &&
           conv->out_channels % PACK_COLS == 0 && how->panel_cols(conv) > 0 &&
           conv->out_channels % how->panel_cols(conv) == 0;
}

/* What an algorithm costs, in products of one pixel and one tap. */
static size_t cost(const iq_conv *conv, size_t tile)
{
    const size_t tiles = conv->images * iq_divide_up(conv->out_height, tile) * iq_divide_up(conv->out_width, tile);
    return (tile + 2) * (tile + 2) * (tiles + WEIGHT_TILES);
}

static bool fits(const iq_conv *conv, const way *how, size_t tile)
{
    return can_do(conv, how) && cost(conv, 2) < 9 * (iq_conv_rows(conv) + WEIGHT_TILES) &&
           (tile == 2 || cost(conv, 4) < cost(conv, 2));
}

static bool is_alone(const shape *s)
{
    return s->chunks >= ALONE_CHUNKS;
}

enum { PHASE_IN = 0, PHASE_PRODUCT = 1, PHASE_OUT = 2, PHASES = 3 };

static size_t phases(const iq_conv *conv, size_t tile)
{
    const shape s = shape_of(conv, tile);
    return is_alone(&s) ? 1 : PHASES * s.chunks;
}

static size_t chunk_tiles(const shape *s, size_t chunk)
{
    return s->tiles - chunk * s->chunk < s->chunk ? s->tiles - chunk * s->chunk : s->chunk;
}

/* Columns of a product's part: all, if the points alone make enough parts. */
static size_t panel_parts(const iq_conv *conv)
{
    return conv->out_channels > 2 * PANEL_PARTS_MIN_COLS ? 2 : 1;
}

static size_t parts(const iq_conv *conv, size_t phase, size_t tile)
{
    const shape s = shape_of(conv, tile);
    if (is_alone(&s))
        return s.chunks;
    return phase % PHASES == PHASE_PRODUCT ? s.points * panel_parts(conv) : chunk_tiles(&s, phase / PHASES);
}

/* Points of one chunk before and after the product. */
static size_t chunk_floats(const shape *s)
{
    return s->points * s->chunk * (s->in_gap + s->out_gap);
}

typedef struct memory {
    float *before, *after;
} memory;

static memory cut(const shape *s, float *scratch)
{
    return (memory){.before = scratch, .after = scratch + s->points * s->chunk * s->in_gap};
}

/* Where a tile lies: its image and its first output pixel. */
typedef struct place {
    size_t image, y, x;
} place;

static place place_of(const shape *s, size_t tile)
{
    const size_t in_image = tile % (s->tiles_high * s->tiles_wide);
    return (place){tile / (s->tiles_high * s->tiles_wide), in_image / s->tiles_wide * s->tile,
                   in_image % s->tiles_wide * s->tile};
}

static void tile_in(const iq_conv *conv, const shape *s, const memory *m, size_t chunk, size_t i)
{
    const place at = place_of(s, chunk * s->chunk + i);
    const float *pixels[SIDE_MAX * SIDE_MAX];
    const float *image = conv->input + at.image * conv->in_height * conv->in_width * conv->in_step;
    for (size_t y = 0; y < s->side; y++)
        for (size_t x = 0; x < s->side; x++) {
            const size_t in_y = at.y + y - conv->pad, in_x = at.x + x - conv->pad; /* below 0: very large */
            pixels[y * s->side + x] = in_y < conv->in_height && in_x < conv->in_width
                                          ? image + (in_y * conv->in_width + in_x) * conv->in_step
                                          : zeros;
        }
    conv->set->winograd_in[s->tile / 4](pixels, conv->in_channels, m->before + i * s->in_gap, s->chunk * s->in_gap);
}

static void tile_out(const iq_conv *conv, const shape *s, const memory *m, size_t chunk, size_t i)
{
    const place at = place_of(s, chunk * s->chunk + i);
    const size_t height = conv->out_height - at.y < s->tile ? conv->out_height - at.y : s->tile;
    const size_t width = conv->out_width - at.x < s->tile ? conv->out_width - at.x : s->tile;
    const size_t pixel = (at.image * conv->out_height + at.y) * conv->out_width + at.x;
    conv->set->winograd_out[s->tile / 4](m->after + i * s->out_gap, s->chunk * s->out_gap, conv->out_channels,
                                         conv->packed, conv->relu, conv->output + pixel * conv->out_step,
                                         conv->out_width * conv->out_step, conv->out_step, height, width);
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

static void native_product(const iq_winograd_product *product)
{
    static const ptrdiff_t tap = 0;
    const iq_kernel_set *set = product->conv->set;
    const size_t cols = product->cols, depth = product->conv->in_channels;
    iq_tile tile = {
        .in_step = product->before_step, .taps = &tap, .tap_count = 1, .depth = depth, .out_step = product->after_step};
    for (size_t p = 0; p < product->panels; p++) {
        tile.panel = product->weights + p * depth * cols;
        const size_t lines = depth * cols / 16;
        const bool is_last = product->is_last && p + 1 == product->panels;
        size_t fetched = 0;
        for (size_t r = 0, n; r < product->rows; r += n) {
            n = next_rows(product->rows - r);
            tile.next = fetched < lines && !is_last ? tile.panel + depth * cols + fetched * 16 : tile.panel;
            fetched += depth;
            tile.input[0] = product->before + r * product->before_step;
            tile.input[1] = tile.input[0] + IQ_RUN * product->before_step;
            tile.output[0] = product->after + r * product->after_step + p * cols;
            tile.output[1] = tile.output[0] + IQ_RUN * product->after_step;
            set->tile[n](&tile);
        }
    }
}

static const way native = {native_cols, native_product};
#if IMGQ_HAVE_OPENBLAS
static const way openblas = {iq_openblas_panel_cols, iq_openblas_winograd_product};
#endif

static void multiply(const iq_conv *conv, const way *how, const shape *s, const memory *m, size_t rows, size_t part)
{
    const size_t cols = how->panel_cols(conv), panels = conv->out_channels / cols;
    const size_t point = part / panel_parts(conv), share = iq_divide_up(panels, panel_parts(conv));
    const size_t from = part % panel_parts(conv) * share, to = panels - from < share ? panels : from + share;
    const iq_winograd_product product = {
        .conv = conv,
        .before = m->before + point * s->chunk * s->in_gap,
        .before_step = s->in_gap,
        .weights = conv->packed + conv->out_channels + (point * panels + from) * conv->in_channels * cols,
        .panels = to - from,
        .cols = cols,
        .after = m->after + point * s->chunk * s->out_gap + from * cols,
        .after_step = s->out_gap,
        .rows = rows,
        .is_last = point + 1 == s->points && to == panels,
    };
    how->product(&product);
}

static void run(const iq_conv *conv, const way *how, size_t phase, size_t part, const iq_conv_scratch *scratch,
                size_t tile)
{
    const shape s = shape_of(conv, tile);
    const memory m = cut(&s, is_alone(&s) ? scratch->own : scratch->shared);
    if (is_alone(&s)) {
        const size_t tiles = chunk_tiles(&s, part);
        for (size_t i = 0; i < tiles; i++)
            tile_in(conv, &s, &m, part, i);
        for (size_t p = 0; p < s.points * panel_parts(conv); p++)
            multiply(conv, how, &s, &m, tiles, p);
        for (size_t i = 0; i < tiles; i++)
            tile_out(conv, &s, &m, part, i);
        return;
    }
    const size_t chunk = phase / PHASES;
    switch (phase % PHASES) {
    case PHASE_IN:
        tile_in(conv, &s, &m, chunk, part);
        break;
    case PHASE_PRODUCT:
        multiply(conv, how, &s, &m, chunk_tiles(&s, chunk), part);
        break;
    case PHASE_OUT:
        tile_out(conv, &s, &m, chunk, part);
        break;
    }
}

/* The biases, then [point][panel][in][cols]. */
static void pack(const iq_conv *conv, const way *how, float *packed, size_t tile)
{
    memcpy(packed, conv->bias, conv->out_channels * sizeof *packed);
    iq_winograd_weights(conv->set->isa, tile)(conv->weights, conv->in_channels, conv->out_channels,
                                              how->panel_cols(conv), packed + conv->out_channels);
}

static size_t own_floats(const iq_conv *conv, size_t tile)
{
    const shape s = shape_of(conv, tile);
    return is_alone(&s) ? chunk_floats(&s) : 0;
}

static size_t shared_floats(const iq_conv *conv, size_t tile)
{
    const shape s = shape_of(conv, tile);
    return is_alone(&s) ? 0 : chunk_floats(&s);
}

#define DEFINE_TILE(n)                                                                                                 \
    static const char *algorithm_##n(const iq_conv *conv)                                                              \
    {                                                                                                                  \
        (void)conv;                                                                                                    \
        return "winograd " #n "x" #n;                                                                                  \
    }                                                                                                                  \
    static size_t phases_##n(const iq_conv *conv)                                                                      \
    {                                                                                                                  \
        return phases(conv, n);                                                                                        \
    }                                                                                                                  \
    static size_t parts_##n(const iq_conv *conv, size_t phase)                                                         \
    {                                                                                                                  \
        return parts(conv, phase, n);                                                                                  \
    }                                                                                                                  \
    static size_t own_floats_##n(const iq_conv *conv)                                                                  \
    {                                                                                                                  \
        return own_floats(conv, n);                                                                                    \
    }                                                                                                                  \
    static size_t shared_floats_##n(const iq_conv *conv)                                                               \
    {                                                                                                                  \
        return shared_floats(conv, n);                                                                                 \
    }                                                                                                                  \
    static size_t packed_floats_##n(const iq_conv *conv)                                                               \
    {                                                                                                                  \
        return conv->out_channels * (1 + (n + 2) * (n + 2) * conv->in_channels);                                       \
    }

#define DEFINE_KERNEL(name, way, n)                                                                                    \
    static bool way##_fits_##n(const iq_conv *conv)                                                                    \
    {                                                                                                                  \
        return fits(conv, &way, n);                                                                                    \
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
        .phases = phases_##n,                                                                                          \
        .parts = parts_##n,                                                                                            \
        .own_floats = own_floats_##n,                                                                                  \
        .shared_floats = shared_floats_##n,                                                                            \
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
