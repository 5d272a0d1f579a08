/* Winograd's filtering on values of bf16: transforms are summed in fp32, points rounded to bf16 for the product, and
 * its sums stay fp32 until they are pixels again. Unlike conv_winograd.c, all tiles are full ones, of which the last of
 * a line may lie over its end, and all columns of a chunk are multiplied before any becomes pixels. */
#include "nn/bf16.h"
#include "nn/ops/conv.h"

#include <string.h>

enum {
    CHUNK_BYTES = 900 * 1024, /* of points before and after the product */
    CHUNK_TILES_MIN = 28,
    ALONE_CHUNKS = 12, /* with so many chunks each is one part; with fewer, threads share each */
    PANEL_PARTS_MIN_COLS = 64,
    IN_GAP = 32, /* elements between tiles: powers of two fall into one set of the cache */
    OUT_GAP = 16,
    SIDE_MAX = 6,
    WEIGHT_TILES = 8, /* reading the weights costs about what so many tiles cost */
    CHANNELS_MAX = 4096
};

/* A pixel of what lies outside the input. */
static const uint16_t zeros[CHANNELS_MAX];

typedef struct shape {
    size_t tile, side, points;
    size_t tiles_high, tiles_wide, tiles; /* tiles: of all images */
    size_t in_gap, out_gap;               /* elements from tile to tile: of bf16, of fp32 */
    size_t chunk, chunks;                 /* tiles in each but the last, and how many */
} shape;

static shape shape_of(const iq_conv *conv, size_t tile)
{
    shape s = {.tile = tile, .side = tile + 2, .points = (tile + 2) * (tile + 2)};
    s.tiles_high = iq_divide_up(conv->out_height, tile);
    s.tiles_wide = iq_divide_up(conv->out_width, tile);
    s.tiles = conv->images * s.tiles_high * s.tiles_wide;
    s.in_gap = conv->in_channels + IN_GAP;
    s.out_gap = conv->out_channels + OUT_GAP;
    size_t most = CHUNK_BYTES / (s.points * (s.in_gap * sizeof(uint16_t) + s.out_gap * sizeof(float)));
    most = most < CHUNK_TILES_MIN ? CHUNK_TILES_MIN : most / IQ_TILE * IQ_TILE;
    s.chunk = s.tiles < most + IQ_RUN ? s.tiles : most;
    s.chunks = iq_divide_up(s.tiles, s.chunk);
    return s;
}

static bool can_do(const iq_conv *conv)
{
    return conv->bf16 != NULL && conv->bf16->lanes != 0 && conv->in_type == IQ_BF16 && conv->out_type == IQ_BF16 &&
           conv->kernel == 3 && conv->stride == 1 && conv->residual == NULL && conv->in_channels <= CHANNELS_MAX &&
           conv->in_channels % conv->bf16->lanes == 0 && conv->out_channels % conv->bf16->cols == 0;
}

/* What an algorithm costs, in products of one pixel and one tap. */
static size_t cost(const iq_conv *conv, size_t tile)
{
    const size_t tiles = conv->images * iq_divide_up(conv->out_height, tile) * iq_divide_up(conv->out_width, tile);
    return (tile + 2) * (tile + 2) * (tiles + WEIGHT_TILES);
}

static bool fits_2(const iq_conv *conv)
{
    return can_do(conv) && cost(conv, 2) < 9 * (iq_conv_rows(conv) + WEIGHT_TILES);
}

static bool fits_4(const iq_conv *conv)
{
    return fits_2(conv) && cost(conv, 4) < cost(conv, 2);
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
    return s->points * s->chunk * (s->in_gap / 2 + s->out_gap);
}

typedef struct memory {
    uint16_t *before;
    float *after;
} memory;

static memory cut(const shape *s, float *scratch)
{
    return (memory){.before = (void *)scratch, .after = scratch + s->points * s->chunk * s->in_gap / 2};
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
    const uint16_t *pixels[SIDE_MAX * SIDE_MAX];
    const uint16_t *image =
        (const uint16_t *)(const void *)conv->input + at.image * conv->in_height * conv->in_width * conv->in_step;
    for (size_t y = 0; y < s->side; y++)
        for (size_t x = 0; x < s->side; x++) {
            const size_t in_y = at.y + y - conv->pad, in_x = at.x + x - conv->pad; /* below 0: very large */
            pixels[y * s->side + x] = in_y < conv->in_height && in_x < conv->in_width
                                          ? image + (in_y * conv->in_width + in_x) * conv->in_step
                                          : zeros;
        }
    conv->bf16->winograd_in[s->tile / 4](pixels, conv->in_channels, m->before + i * s->in_gap, s->chunk * s->in_gap);
}

static void tile_out(const iq_conv *conv, const shape *s, const memory *m, size_t chunk, size_t i)
{
    const place at = place_of(s, chunk * s->chunk + i);
    const size_t height = conv->out_height - at.y < s->tile ? conv->out_height - at.y : s->tile;
    const size_t width = conv->out_width - at.x < s->tile ? conv->out_width - at.x : s->tile;
    const size_t pixel = (at.image * conv->out_height + at.y) * conv->out_width + at.x;
    conv->bf16->winograd_out[s->tile / 4](m->after + i * s->out_gap, s->chunk * s->out_gap, conv->out_channels,
                                          conv->packed, conv->relu,
                                          (uint16_t *)(void *)conv->output + pixel * conv->out_step,
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

static void product(const iq_conv *conv, const shape *s, const memory *m, size_t rows, size_t part)
{
    static const ptrdiff_t tap = 0;
    const size_t cols = conv->bf16->cols, panels = conv->out_channels / cols, depth = conv->in_channels;
    const size_t point = part / panel_parts(conv), share = iq_divide_up(panels, panel_parts(conv));
    const size_t from = part % panel_parts(conv) * share, to = panels - from < share ? panels : from + share;
    const uint16_t *weights =
        (const uint16_t *)(const void *)(conv->packed + conv->out_channels) + point * panels * depth * cols;
    const uint16_t *before = m->before + point * s->chunk * s->in_gap;
    float *after = m->after + point * s->chunk * s->out_gap;
    iq_bf16_tile tile = {
        .in_step = s->in_gap, .taps = &tap, .tap_count = 1, .depth = depth / 2, .out_step = s->out_gap};
    for (size_t p = from; p < to; p++) {
        tile.panel = weights + p * depth * cols;
        const size_t lines = depth * cols / 32;
        const bool is_last = point + 1 == s->points && p + 1 == panels;
        size_t fetched = 0;
        for (size_t r = 0, n; r < rows; r += n) {
            n = next_rows(rows - r);
            tile.next = fetched < lines && !is_last ? tile.panel + depth * cols + fetched * 32 : tile.panel;
            fetched += depth / 2;
            tile.input[0] = before + r * s->in_gap;
            tile.input[1] = tile.input[0] + IQ_RUN * s->in_gap;
            tile.sums[0] = after + r * s->out_gap + p * cols;
            tile.sums[1] = tile.sums[0] + IQ_RUN * s->out_gap;
            conv->bf16->tile[n](&tile);
        }
    }
}

static void run(const iq_conv *conv, size_t phase, size_t part, const iq_conv_scratch *scratch, size_t tile)
{
    const shape s = shape_of(conv, tile);
    const memory m = cut(&s, is_alone(&s) ? scratch->own : scratch->shared);
    if (is_alone(&s)) {
        const size_t tiles = chunk_tiles(&s, part);
        for (size_t i = 0; i < tiles; i++)
            tile_in(conv, &s, &m, part, i);
        for (size_t p = 0; p < s.points * panel_parts(conv); p++)
            product(conv, &s, &m, tiles, p);
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
        product(conv, &s, &m, chunk_tiles(&s, chunk), part);
        break;
    case PHASE_OUT:
        tile_out(conv, &s, &m, chunk, part);
        break;
    }
}

/* [point][panel][in / 2][cols][2] of one layer, by G g G' in double. */
static void pack(const iq_conv *conv, float *packed, size_t tile)
{
    static const double to_2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
    /* At 0, a, -a, b, -b, infinity: see kernels/bf16_winograd_body.h. */
    static const double a = 21. / 32, b = 1.5;
    const double at_0 = 1 / (a * a * b * b), at_a = 1 / (2 * a * a * (a * a - b * b)),
                 at_b = 1 / (2 * b * b * (b * b - a * a));
    const double to_4[6][3] = {{at_0, 0, 0},
                               {at_a, at_a * a, at_a * a * a},
                               {at_a, -at_a * a, at_a * a * a},
                               {at_b, at_b * b, at_b * b * b},
                               {at_b, -at_b * b, at_b * b * b},
                               {0, 0, 1}};
    const double(*g)[3] = tile == 2 ? to_2 : to_4;
    const size_t side = tile + 2, cols = conv->bf16->cols, in = conv->in_channels, out = conv->out_channels;
    memcpy(packed, conv->bias, out * sizeof *packed);
    uint16_t *points = (void *)(packed + out);
    for (size_t i = 0; i < in; i++) {
        for (size_t o = 0; o < out; o += 16) {
            double half[SIDE_MAX][3][16];
            for (size_t y = 0; y < side; y++)
                for (size_t x = 0; x < 3; x++)
                    for (size_t c = 0; c < 16; c++) {
                        const float *w = conv->weights + (x * in + i) * out + o + c;
                        half[y][x][c] = g[y][0] * (double)w[0] + g[y][1] * (double)w[3 * in * out] +
                                        g[y][2] * (double)w[6 * in * out];
                    }
            uint16_t *at = points + ((o / cols * (in / 2) + i / 2) * cols + o % cols) * 2 + i % 2;
            for (size_t y = 0; y < side; y++)
                for (size_t x = 0; x < side; x++)
                    for (size_t c = 0; c < 16; c++)
                        at[(y * side + x) * in * out + 2 * c] = iq_bf16_of(
                            (float)(g[x][0] * half[y][0][c] + g[x][1] * half[y][1][c] + g[x][2] * half[y][2][c]));
        }
    }
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

#define DEFINE_KERNEL(n)                                                                                               \
    static const char *algorithm_##n(const iq_conv *conv)                                                              \
    {                                                                                                                  \
        (void)conv;                                                                                                    \
        return "bf16 winograd " #n "x" #n;                                                                             \
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
        return conv->out_channels * (1 + (n + 2) * (n + 2) * conv->in_channels / 2);                                   \
    }                                                                                                                  \
    static void pack_##n(const iq_conv *conv, float *packed)                                                           \
    {                                                                                                                  \
        pack(conv, packed, n);                                                                                         \
    }                                                                                                                  \
    static void run_##n(const iq_conv *conv, size_t phase, size_t part, const iq_conv_scratch *scratch)                \
    {                                                                                                                  \
        run(conv, phase, part, scratch, n);                                                                            \
    }                                                                                                                  \
    const iq_conv_kernel iq_conv_bf16_winograd_##n = {                                                                 \
        .engine = "native",                                                                                            \
        .type = IQ_BF16,                                                                                               \
        .algorithm = algorithm_##n,                                                                                    \
        .fits = fits_##n,                                                                                              \
        .phases = phases_##n,                                                                                          \
        .parts = parts_##n,                                                                                            \
        .own_floats = own_floats_##n,                                                                                  \
        .shared_floats = shared_floats_##n,                                                                            \
        .packed_floats = packed_floats_##n,                                                                            \
        .pack = pack_##n,                                                                                              \
        .run = run_##n,                                                                                                \
    }

DEFINE_KERNEL(2);
DEFINE_KERNEL(4);
