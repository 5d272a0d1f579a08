/* 1x1 convolution by one step of Strassen's recursion, in Winograd's form: pixels go in pairs, channels in halves, and
 * seven products of half the depth and half the width do what eight would. With a pixel a = [a0 a1], its partner
 * b = [b0 b1] and the weights' quarters w00 w01 w10 w11,
 *
 *   x = a0 w00                 y = x + (b0 + b1 - a0) t2      t1 = w01 - w00    t2 = w11 - w01 + w00
 *   z = y + (a0 - b0) t3       p = (b0 + b1) t1               t3 = w11 - w01    t4 = w10 - t2
 *
 *   a's results: x + a1 w10 | y + p + (a0 + a1 - b0 - b1) w11      b's: z + b1 t4 | z + p
 *
 * The weights' sums are made once. Sums stay in registers from product to product: three chains for each tile. A pixel
 * without a partner takes four products, as ever. Partners belong to one image: its bits do not depend on others. */
#include "nn/ops/conv.h"

#include <string.h>

enum {
    LINE_FLOATS = 16,   /* of the cache */
    GAP = 16,           /* floats between lines of sums: powers of two fall into one set of the cache */
    HALF_MIN = 32,      /* channels; below, the sums cost more than the product that they save */
    CHANNELS_MIN = 256, /* in and out together */
    PIXELS_MIN = 96,    /* of all images; fewer do not pay back that there are 7/4 of the weights to read */
    BLOCK_BYTES = 400 * 1024,
    RESIDENT_BYTES = 512 * 1024, /* packed weights so small stay in the second level's cache, and blocks are one tile */
    BLOCK_RUNS_MAX = 64,         /* of either half; even */
    PARTS_MIN = 12,
    PRODUCTS = 7,
    SUMS = 4,
    COLS_MAX = 32
};

typedef struct split {
    size_t runs_per_line, image_runs; /* of IQ_RUN pixels each */
    size_t image_pairs, pairs;        /* of runs */
    size_t image_lone, lone;          /* runs without a partner: 0 or 1 of each image */
    size_t tiles, lone_tiles;         /* of two runs, or one */
    size_t block_tiles, blocks, lone_blocks;
    size_t panels, part_panels, panel_parts; /* of half the channels */
    bool sums_first;                         /* in a phase of their own: several parts read them */
} split;

static size_t half_of(const iq_conv *conv)
{
    return conv->in_channels / 2;
}

static size_t sum_step(const iq_conv *conv)
{
    return half_of(conv) + GAP;
}

static size_t line_pixels(const iq_conv *conv)
{
    return conv->stride == 1 ? conv->out_height * conv->out_width : conv->out_width;
}

static bool strassen_fits(const iq_conv *conv)
{
    return conv->set != NULL && conv->set->chain[IQ_TILE] != NULL && conv->kernel == 1 && conv->pad == 0 &&
           line_pixels(conv) % IQ_RUN == 0 && conv->out_height * conv->out_width > IQ_RUN &&
           conv->in_channels >= 2 * HALF_MIN && conv->in_channels % (2 * LINE_FLOATS) == 0 &&
           conv->out_channels % (2 * COLS_MAX) == 0 && conv->in_channels + conv->out_channels >= CHANNELS_MIN &&
           iq_conv_rows(conv) >= PIXELS_MIN;
}

/* Seven products for eight, each of a quarter of the weights and half the pixels. */
static size_t strassen_cost(const iq_conv *conv)
{
    return PRODUCTS * iq_conv_row_cost(iq_conv_rows(conv) / 2) / 4;
}

static const char *strassen_algorithm(const iq_conv *conv)
{
    (void)conv;
    return "strassen";
}

static split split_of(const iq_conv *conv)
{
    split s;
    s.runs_per_line = line_pixels(conv) / IQ_RUN;
    s.image_runs = conv->out_height * conv->out_width / IQ_RUN;
    s.image_pairs = s.image_runs / 2;
    s.image_lone = s.image_runs % 2;
    s.pairs = conv->images * s.image_pairs;
    s.lone = conv->images * s.image_lone;
    s.tiles = iq_divide_up(s.pairs, 2);
    s.lone_tiles = iq_divide_up(s.lone, 2);
    s.panels = conv->out_channels / 2 / conv->set->cols;
    size_t most = 1;
    if (PRODUCTS * half_of(conv) * conv->out_channels / 2 * sizeof(float) > RESIDENT_BYTES) {
        const size_t tile_bytes = 2 * IQ_TILE * 2 * conv->in_channels * sizeof(float);
        most = BLOCK_BYTES / tile_bytes;
        most = most < 2 ? 2 : most > BLOCK_RUNS_MAX / 2 ? BLOCK_RUNS_MAX / 2 : most;
    }
    s.block_tiles = iq_divide_up(s.tiles, iq_divide_up(s.tiles, most));
    s.blocks = iq_divide_up(s.tiles, s.block_tiles);
    s.lone_blocks = iq_divide_up(s.lone_tiles, s.block_tiles);
    s.part_panels = iq_divide_up(s.panels, iq_divide_up(PARTS_MIN, s.blocks + s.lone_blocks));
    s.panel_parts = iq_divide_up(s.panels, s.part_panels);
    s.sums_first = s.panel_parts > 1;
    return s;
}

static size_t strassen_phases(const iq_conv *conv)
{
    return split_of(conv).sums_first ? 2 : 1;
}

static size_t strassen_parts(const iq_conv *conv, size_t phase)
{
    const split s = split_of(conv);
    const size_t blocks = s.blocks + s.lone_blocks;
    return s.sums_first && phase == 0 ? blocks : blocks * s.panel_parts;
}

static size_t run_sum_floats(const iq_conv *conv)
{
    return SUMS * IQ_RUN * sum_step(conv);
}

static size_t kept_floats(const iq_conv *conv)
{
    return 3 * IQ_TILE * conv->set->cols;
}

static size_t strassen_own_floats(const iq_conv *conv)
{
    const split s = split_of(conv);
    return s.block_tiles * (kept_floats(conv) + (s.sums_first ? 0 : 2 * run_sum_floats(conv)));
}

static size_t strassen_shared_floats(const iq_conv *conv)
{
    const split s = split_of(conv);
    return s.sums_first ? (s.pairs + s.lone) * run_sum_floats(conv) : 0;
}

/* Two runs, and what they are the partners of; or one run alone. */
typedef struct pair {
    const float *input[2];
    size_t pixel[2]; /* of the output */
    float *sums;     /* [SUMS][IQ_RUN][sum_step] */
} pair;

/* What a part works on. */
typedef struct block {
    size_t first, count; /* pairs or lone runs, counted through all images */
    bool is_lone;
    pair pairs[BLOCK_RUNS_MAX];
} block;

static void find_run(const iq_conv *conv, const split *s, size_t image, size_t run, pair *p, size_t which)
{
    const size_t line = run / s->runs_per_line, x = run % s->runs_per_line * IQ_RUN;
    p->pixel[which] = image * s->image_runs * IQ_RUN + run * IQ_RUN;
    p->input[which] =
        conv->input +
        ((image * conv->in_height + line * conv->stride) * conv->in_width + x * conv->stride) * conv->in_step;
}

/* Runs 0 and 2 of an image are partners, 1 and 3, and so on: the pixels of a tile follow each other. */
static void find_pair(const iq_conv *conv, const split *s, size_t index, pair *p)
{
    const size_t i = index % s->image_pairs, image = index / s->image_pairs;
    const bool is_last = i + 1 == s->image_pairs && i % 2 == 0;
    const size_t run = i / 2 * 4 + i % 2;
    find_run(conv, s, image, run, p, 0);
    find_run(conv, s, image, run + (is_last ? 1 : 2), p, 1);
}

static void find_block(const iq_conv *conv, const split *s, size_t index, float *sums, block *b)
{
    b->is_lone = index >= s->blocks;
    const size_t all = b->is_lone ? s->lone : s->pairs;
    b->first = (b->is_lone ? index - s->blocks : index) * s->block_tiles * 2;
    b->count = all - b->first < 2 * s->block_tiles ? all - b->first : 2 * s->block_tiles;
    for (size_t i = 0; i < b->count; i++) {
        pair *p = &b->pairs[i];
        if (b->is_lone)
            find_run(conv, s, b->first + i, s->image_runs - 1, p, 0);
        else
            find_pair(conv, s, b->first + i, p);
        p->sums = sums + ((s->sums_first ? b->first + (b->is_lone ? s->pairs : 0) : 0) + i) * run_sum_floats(conv);
    }
}

static void make_sums(const iq_conv *conv, const block *b)
{
    const size_t pixel = conv->stride * conv->in_step, step = sum_step(conv);
    for (size_t i = 0; i < b->count; i++)
        for (size_t r = 0; r < IQ_RUN; r++) {
            const pair *p = &b->pairs[i];
            conv->set->strassen_sums(p->input[0] + r * pixel, b->is_lone ? NULL : p->input[1] + r * pixel,
                                     half_of(conv), p->sums + r * step, IQ_RUN * step);
        }
}

/* One tile of a block at one panel. */
typedef struct tile {
    const iq_conv *conv;
    const pair *pairs[2]; /* the same twice if there is one alone */
    size_t col;           /* of the left half */
    float *x, *y, *z;
} tile;

enum { S1, S2, S3, S4 };

static void reads_input(const tile *t, iq_link *link, size_t which, size_t half)
{
    link->in_step = t->conv->stride * t->conv->in_step;
    for (size_t i = 0; i < 2; i++)
        link->input[i] = t->pairs[i]->input[which] + half * half_of(t->conv);
}

static void reads_sums(const tile *t, iq_link *link, size_t sum)
{
    link->in_step = sum_step(t->conv);
    for (size_t i = 0; i < 2; i++)
        link->input[i] = t->pairs[i]->sums + sum * IQ_RUN * link->in_step;
}

static void writes(const tile *t, iq_link *link, size_t which, size_t half)
{
    const iq_conv *conv = t->conv;
    const size_t col = t->col + half * conv->out_channels / 2;
    for (size_t i = 0; i < 2; i++) {
        const size_t pixel = t->pairs[i]->pixel[which];
        link->output[i] = conv->output + pixel * conv->out_step + col;
        link->residual[i] = conv->residual != NULL ? conv->residual + pixel * conv->residual_step + col : NULL;
    }
}

/* The links of a tile's chains, in the order of pack()'s panels. @return how many */
static size_t pair_chain(const tile *t, size_t which, iq_chain *c)
{
    iq_link *link = c->links;
    memset(c->links, 0, sizeof c->links);
    switch (which) {
    case 0:
        reads_input(t, &link[0], 0, 0);
        link[0].keep = t->x;
        reads_sums(t, &link[1], S2);
        link[1].keep = t->y;
        reads_sums(t, &link[2], S3);
        link[2].keep = t->z;
        reads_input(t, &link[3], 1, 1);
        writes(t, &link[3], 1, 0);
        return 4;
    case 1:
        reads_sums(t, &link[0], S1);
        link[0].aside = t->z;
        link[0].plus = t->y;
        writes(t, &link[0], 1, 1);
        reads_sums(t, &link[1], S4);
        writes(t, &link[1], 0, 1);
        return 2;
    default:
        reads_input(t, &link[0], 0, 1);
        writes(t, &link[0], 0, 0);
        return 1;
    }
}

static size_t lone_chain(const tile *t, size_t which, iq_chain *c)
{
    iq_link *link = c->links;
    memset(c->links, 0, sizeof c->links);
    switch (which) {
    case 0:
        reads_input(t, &link[0], 0, 0);
        link[0].keep = t->x;
        reads_sums(t, &link[1], S2);
        link[1].keep = t->y;
        return 2;
    case 1:
        reads_sums(t, &link[0], S4);
        link[0].aside = t->y;
        writes(t, &link[0], 0, 1);
        return 1;
    default:
        reads_input(t, &link[0], 0, 1);
        writes(t, &link[0], 0, 0);
        return 1;
    }
}

enum { CHAINS = 3 };

/* Where each chain's panels begin, and the next panel's; a lone run skips b0 + b1. */
static const size_t pair_panels[CHAINS + 1] = {0, 4, 6, PRODUCTS}, lone_panels[CHAINS] = {0, 5, 6};

/* A place that is reached later: while a tile is computed, each of its products fetches a line of each pixel there. */
typedef struct later {
    size_t pixel, col;
} later;

static void fetch_meanwhile(const iq_conv *conv, const later *at, size_t which, iq_chain *c)
{
    const float *output = conv->output + at->pixel * conv->out_step + at->col;
    const float *residual =
        conv->residual != NULL ? conv->residual + at->pixel * conv->residual_step + at->col : output;
    const size_t right = conv->out_channels / 2, line = LINE_FLOATS;
    const float *const lines[PRODUCTS] = {residual,        residual + right,        output,       output + right,
                                          residual + line, residual + right + line, output + line};
    for (size_t l = 0; l < c->count; l++) {
        c->links[l].fetch = lines[pair_panels[which] + l];
        c->links[l].fetch_step = conv->out_step;
    }
}

/* The tile of a block whose first pair is `i`. */
static tile tile_at(const iq_conv *conv, const block *b, size_t i, size_t col, float *kept)
{
    float *at = kept + i / 2 * kept_floats(conv);
    const size_t floats = IQ_TILE * conv->set->cols;
    return (tile){.conv = conv,
                  .pairs = {&b->pairs[i], &b->pairs[i + 1 < b->count ? i + 1 : i]},
                  .col = col,
                  .x = at,
                  .y = at + floats,
                  .z = at + 2 * floats};
}

/* One chain of all tiles of a block, at panel p. */
static void run_chain(const iq_conv *conv, const block *b, float *kept, size_t p, size_t which, const later *then)
{
    const size_t cols = conv->set->cols, width = conv->out_channels / 2, panel = half_of(conv) * cols;
    const float *panels = conv->packed + 2 * width + p * PRODUCTS * panel;
    const float *after = panels + pair_panels[which + 1] * panel; /* the next chain's panels follow */
    const size_t next = (which + 1) % CHAINS;
    const bool is_last = which + 1 == CHAINS && (p + 1) * cols == width;
    const size_t lines = is_last ? 0 : (pair_panels[next + 1] - pair_panels[next]) * panel / LINE_FLOATS;
    iq_chain c = {.depth = half_of(conv),
                  .panels = panels + (b->is_lone ? lone_panels : pair_panels)[which] * panel,
                  .bias = conv->packed + (which == 1 ? width : 0) + p * cols,
                  .residual_step = conv->residual_step,
                  .out_step = conv->out_step,
                  .relu = conv->relu};
    size_t fetched = 0;
    for (size_t i = 0; i < b->count; i += 2) {
        const tile t = tile_at(conv, b, i, p * cols, kept);
        const later at = {b->pairs[i].pixel[0] + then->pixel, then->col};
        c.count = b->is_lone ? lone_chain(&t, which, &c) : pair_chain(&t, which, &c);
        c.start = which + 1 == CHAINS ? t.x : NULL;
        c.next = fetched < lines ? after + fetched * LINE_FLOATS : panels;
        fetched += c.count * c.depth;
        fetch_meanwhile(conv, &at, which, &c);
        conv->set->chain[i + 1 < b->count ? IQ_TILE : IQ_RUN](&c);
    }
}

static void strassen_run(const iq_conv *conv, size_t phase, size_t part, const iq_conv_scratch *scratch)
{
    const split s = split_of(conv);
    block b;
    if (s.sums_first && phase == 0) {
        find_block(conv, &s, part, scratch->shared, &b);
        make_sums(conv, &b);
        return;
    }
    float *kept = scratch->own, *sums = s.sums_first ? scratch->shared : kept + s.block_tiles * kept_floats(conv);
    find_block(conv, &s, part / s.panel_parts, sums, &b);
    if (!s.sums_first)
        make_sums(conv, &b);
    const size_t from = part % s.panel_parts * s.part_panels;
    const size_t to = s.panels - from < s.part_panels ? s.panels : from + s.part_panels;
    for (size_t p = from; p < to; p++) {
        /* The next panel of the same tiles, or the first of the next block's. */
        const bool stays = p + 1 < to;
        const later then = {stays ? 0 : 2 * IQ_TILE * s.block_tiles, (stays ? p + 1 : from) * conv->set->cols};
        for (size_t which = 0; which < CHAINS; which++)
            run_chain(conv, &b, kept, p, which, &then);
    }
}

static size_t strassen_packed_floats(const iq_conv *conv)
{
    return conv->out_channels + PRODUCTS * half_of(conv) * conv->out_channels / 2;
}

/* One line of each product's panel, from the quarters' lines. */
static void pack_line(const iq_conv *conv, const float *above, float *packed)
{
    const size_t cols = conv->set->cols, panel = half_of(conv) * cols, width = conv->out_channels / 2;
    const float *below = above + half_of(conv) * conv->out_channels;
    for (size_t c = 0; c < cols; c++) {
        const double w00 = (double)above[c], w01 = (double)above[width + c];
        const double w10 = (double)below[c], w11 = (double)below[width + c], t2 = w11 - w01 + w00;
        packed[c] = (float)w00;
        packed[panel + c] = (float)t2;
        packed[2 * panel + c] = (float)(w11 - w01);
        packed[3 * panel + c] = (float)(w10 - t2);
        packed[4 * panel + c] = (float)(w01 - w00);
        packed[5 * panel + c] = (float)w11;
        packed[6 * panel + c] = (float)w10;
    }
}

/* Biases of the left half, and what those of the right half are more; then [panel][product][half][cols]. */
static void strassen_pack(const iq_conv *conv, float *packed)
{
    const size_t cols = conv->set->cols, half = half_of(conv), width = conv->out_channels / 2;
    for (size_t c = 0; c < width; c++) {
        packed[c] = conv->bias[c];
        packed[width + c] = conv->bias[width + c] - conv->bias[c];
    }
    packed += 2 * width;
    for (size_t p = 0; p < width / cols; p++, packed += PRODUCTS * half * cols)
        for (size_t k = 0; k < half; k++)
            pack_line(conv, conv->weights + k * conv->out_channels + p * cols, packed + k * cols);
}

const iq_conv_kernel iq_conv_strassen = {
    .engine = "native",
    .algorithm = strassen_algorithm,
    .fits = strassen_fits,
    .cost = strassen_cost,
    .phases = strassen_phases,
    .parts = strassen_parts,
    .own_floats = strassen_own_floats,
    .shared_floats = strassen_shared_floats,
    .packed_floats = strassen_packed_floats,
    .pack = strassen_pack,
    .run = strassen_run,
};
