/* The forward pass of ResNet-50 v1 with batch norms that are measured on the way: layer by layer for all pictures, so
 * that a layer's statistics are known before the next one runs. Plain C: it runs once, for seconds. */
#include "cli/model/backbone.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/files.h"
#include "cli/common/signals.h"
#include "cli/model/drawing.h"

enum { PANEL = 16, ROWS = 4, THREADS_MAX = 64, POOLED_SIDE = 56 };
#define LAST_GAMMA 0.2F
#define EPSILON 1.001e-5

static const int blocks[4] = {3, 4, 6, 3};

/* The picture's feature maps, one behind the other: count x side x side x channels. */
typedef struct maps {
    size_t side, channels;
    float *data;
} maps;

typedef struct making {
    demo_backbone *backbone;
    size_t next; /* conv to be made */
    demo_random random;
    size_t count, threads;
    void (*progress)(void *user, size_t done);
    void *user;
} making;

typedef struct conv {
    size_t kernel, stride, padding, in_channels, out_channels;
    const float *weights; /* HWIO */
    float *panels;        /* the same, in panels of 16 output channels */
} conv;

/* One pass over all pictures, shared by threads; each takes pictures until none is left. */
typedef struct pass {
    making *m;
    void (*run)(struct pass *pass, size_t picture, size_t thread);
    const conv *c;
    const maps *in, *add;
    maps *out;
    const float *scale, *shift; /* of normalise */
    float *scratch[THREADS_MAX];
    double *sums[THREADS_MAX]; /* 2 x channels: sum and sum of squares */
    size_t next;
    pthread_mutex_t lock; /* guards next */
} pass;

typedef struct worker {
    pass *p;
    size_t thread;
} worker;

/* --- threads --- */

static void *work(void *user)
{
    const worker *w = user;
    pass *p = w->p;
    for (;;) {
        pthread_mutex_lock(&p->lock);
        size_t picture = p->next++;
        pthread_mutex_unlock(&p->lock);
        if (picture >= p->m->count)
            return NULL;
        p->run(p, picture, w->thread);
    }
}

static void run_pass(pass *p)
{
    pthread_t threads[THREADS_MAX];
    worker workers[THREADS_MAX];
    size_t started = 1;
    p->next = 0;
    pthread_mutex_init(&p->lock, NULL);
    workers[0] = (worker){p, 0};
    for (; started < p->m->threads; started++) {
        workers[started] = (worker){p, started};
        if (pthread_create(&threads[started], NULL, work, &workers[started]) != 0)
            break; /* fewer threads do the same */
    }
    (void)work(&workers[0]);
    for (size_t i = 1; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&p->lock);
}

/* --- convolution --- */

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

/* 4 rows times a panel of 16 columns; rows past the last are computed from the last and thrown away. */
FOR_EACH_CPU static void multiply_tile(const float *const rows[ROWS], const float *panel, size_t depth,
                                       float out[ROWS][PANEL])
{
    float sum[ROWS][PANEL] = {{0}};
    for (size_t k = 0; k < depth; k++)
        for (int r = 0; r < ROWS; r++)
            for (int c = 0; c < PANEL; c++)
                sum[r][c] += rows[r][k] * panel[k * PANEL + (size_t)c];
    memcpy(out, sum, sizeof sum);
}

/* out (count x channels) = rows (count x depth) x panels */
static void multiply(const float *rows, size_t count, size_t depth, const float *panels, size_t channels, float *out)
{
    for (size_t column = 0; column < channels; column += PANEL)
        for (size_t row = 0; row < count; row += ROWS) {
            const float *at[ROWS];
            float tile[ROWS][PANEL];
            for (size_t r = 0; r < ROWS; r++)
                at[r] = rows + (row + r < count ? row + r : count - 1) * depth;
            multiply_tile(at, panels + column * depth, depth, tile);
            for (size_t r = 0; r < ROWS && row + r < count; r++)
                memcpy(out + (row + r) * channels + column, tile[r], sizeof tile[r]);
        }
}

/* The input pixels under the kernel at each output pixel, one row each. */
static void gather(const conv *c, const float *in, size_t in_side, size_t out_side, float *rows)
{
    const size_t run = c->in_channels;
    for (size_t y = 0; y < out_side; y++)
        for (size_t x = 0; x < out_side; x++)
            for (size_t ky = 0; ky < c->kernel; ky++)
                for (size_t kx = 0; kx < c->kernel; kx++, rows += run) {
                    size_t iy = y * c->stride + ky, ix = x * c->stride + kx;
                    bool inside =
                        iy >= c->padding && ix >= c->padding && iy - c->padding < in_side && ix - c->padding < in_side;
                    if (inside)
                        memcpy(rows, in + ((iy - c->padding) * in_side + ix - c->padding) * run, run * sizeof *rows);
                    else
                        memset(rows, 0, run * sizeof *rows);
                }
}

static void convolve(pass *p, size_t picture, size_t thread)
{
    const conv *c = p->c;
    const size_t pixels = p->out->side * p->out->side, channels = c->out_channels;
    const float *in = p->in->data + picture * p->in->side * p->in->side * p->in->channels;
    float *out = p->out->data + picture * pixels * channels;
    double *sums = p->sums[thread];
    if (c->kernel > 1 || c->stride > 1) {
        gather(c, in, p->in->side, p->out->side, p->scratch[thread]);
        in = p->scratch[thread];
    }
    multiply(in, pixels, c->kernel * c->kernel * c->in_channels, c->panels, channels, out);
    for (size_t i = 0; i < pixels; i++)
        for (size_t k = 0; k < channels; k++) {
            double value = (double)out[i * channels + k];
            sums[k] += value;
            sums[channels + k] += value * value;
        }
}

/* out = relu(out * scale + shift + add); add NULL: none; a shortcut's own pass (add == out) takes no relu */
static void normalise(pass *p, size_t picture, size_t thread)
{
    (void)thread;
    const size_t channels = p->out->channels, count = p->out->side * p->out->side * channels;
    float *out = p->out->data + picture * count;
    const float *add = p->add != NULL && p->add != p->out ? p->add->data + picture * count : NULL;
    const float floor = p->add != p->out ? 0 : -INFINITY;
    for (size_t i = 0; i < count; i += channels)
        for (size_t c = 0; c < channels; c++) {
            float value = out[i + c] * p->scale[c] + p->shift[c] + (add != NULL ? add[i + c] : 0);
            out[i + c] = value < floor ? floor : value;
        }
}

/* --- tensors --- */

static imgq_status fail_nomem(imgq_error *err, size_t bytes)
{
    return cli_fail(err, IMGQ_E_NOMEM, 0, "memory ran out at %zu bytes for the demonstration's network", bytes);
}

static imgq_status add_tensor(making *m, const char *layer, const char *kind, const size_t *shape, size_t rank,
                              float **data, imgq_error *err)
{
    demo_tensor *t = &m->backbone->tensors[m->next++];
    snprintf(t->name, sizeof t->name, "%s_%s", layer, kind);
    t->rank = rank;
    t->count = 1;
    for (size_t i = 0; i < rank; i++) {
        t->shape[i] = shape[i];
        t->count *= shape[i];
    }
    *data = t->data = malloc(t->count * sizeof *t->data);
    return t->data != NULL ? IMGQ_OK : fail_nomem(err, t->count * sizeof *t->data);
}

static imgq_status make_kernel(making *m, const char *name, conv *c, imgq_error *err)
{
    const size_t depth = c->kernel * c->kernel * c->in_channels;
    const double deviation = sqrt(2.0 / (double)depth);
    float *weights = NULL;
    imgq_status status = add_tensor(
        m, name, "conv/kernel", (size_t[]){c->kernel, c->kernel, c->in_channels, c->out_channels}, 4, &weights, err);
    if (status != IMGQ_OK)
        return status;
    for (size_t i = 0; i < depth * c->out_channels; i++)
        weights[i] = (float)(deviation * demo_random_normal(&m->random));
    c->weights = weights;
    c->panels = malloc(depth * c->out_channels * sizeof *c->panels);
    if (c->panels == NULL)
        return fail_nomem(err, depth * c->out_channels * sizeof *c->panels);
    for (size_t k = 0; k < depth; k++)
        for (size_t n = 0; n < c->out_channels; n++)
            c->panels[(n / PANEL * depth + k) * PANEL + n % PANEL] = weights[k * c->out_channels + n];
    return IMGQ_OK;
}

/* Mean and variance of the layer's outputs become its batch norm, and what it comes to: out * scale + shift. */
static imgq_status make_norm(making *m, const char *name, float gamma, const pass *p, float *scale, float *shift,
                             imgq_error *err)
{
    static const char *const kinds[] = {"bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"};
    const size_t channels = p->out->channels;
    const double count = (double)(m->count * p->out->side * p->out->side);
    float *values[4];
    for (size_t i = 0; i < 4; i++) {
        imgq_status status = add_tensor(m, name, kinds[i], &channels, 1, &values[i], err);
        if (status != IMGQ_OK)
            return status;
    }
    for (size_t k = 0; k < channels; k++) {
        double sum = 0, squares = 0;
        for (size_t t = 0; t < m->threads; t++) {
            sum += p->sums[t][k];
            squares += p->sums[t][channels + k];
        }
        double mean = sum / count, variance = fmax(squares / count - mean * mean, 1e-6);
        values[0][k] = gamma;
        values[1][k] = 0;
        values[2][k] = (float)mean;
        values[3][k] = (float)variance;
        scale[k] = (float)((double)gamma / sqrt(variance + EPSILON));
        shift[k] = (float)(-mean * (double)scale[k]);
    }
    return IMGQ_OK;
}

/* --- layers --- */

static imgq_status make_maps(const making *m, maps *out, size_t side, size_t channels, imgq_error *err)
{
    const size_t bytes = m->count * side * side * channels * sizeof *out->data;
    *out = (maps){side, channels, malloc(bytes)};
    return out->data != NULL ? IMGQ_OK : fail_nomem(err, bytes);
}

static imgq_status make_scratch(making *m, const conv *c, pass *p, imgq_error *err)
{
    size_t rows = p->out->side * p->out->side * c->kernel * c->kernel * c->in_channels;
    for (size_t t = 0; t < m->threads; t++) {
        p->sums[t] = calloc(2 * c->out_channels, sizeof *p->sums[t]);
        p->scratch[t] = c->kernel > 1 || c->stride > 1 ? malloc(rows * sizeof *p->scratch[t]) : NULL;
        if (p->sums[t] == NULL || (p->scratch[t] == NULL && (c->kernel > 1 || c->stride > 1)))
            return fail_nomem(err, rows * sizeof *p->scratch[t]);
    }
    return IMGQ_OK;
}

/* One convolution and its batch norm. @param add as normalise() @param out made here, owned by the caller */
static imgq_status make_layer(making *m, const char *name, conv c, float gamma, const maps *in, const maps *add,
                              bool rectified, maps *out, imgq_error *err)
{
    const size_t side = (in->side + 2 * c.padding - c.kernel) / c.stride + 1;
    pass p = {.m = m, .run = convolve, .c = &c, .in = in, .out = out};
    float *scale = malloc(2 * c.out_channels * sizeof *scale);
    imgq_status status = scale == NULL ? fail_nomem(err, 2 * c.out_channels * sizeof *scale) : IMGQ_OK;
    if (status == IMGQ_OK)
        status = make_maps(m, out, side, c.out_channels, err);
    if (status == IMGQ_OK)
        status = make_kernel(m, name, &c, err);
    if (status == IMGQ_OK)
        status = make_scratch(m, &c, &p, err);
    if (status == IMGQ_OK) {
        run_pass(&p);
        status = make_norm(m, name, gamma, &p, scale, scale + c.out_channels, err);
    }
    if (status == IMGQ_OK) {
        p.run = normalise;
        p.scale = scale;
        p.shift = scale + c.out_channels;
        p.add = rectified ? add : out;
        run_pass(&p);
        if (m->progress != NULL)
            m->progress(m->user, m->next / 5);
        if (cli_signals_caught() != 0)
            status = cli_fail(err, IMGQ_E_CANCELLED, 0, "interrupted");
    }
    for (size_t t = 0; t < m->threads; t++) {
        free(p.sums[t]);
        free(p.scratch[t]);
    }
    free(c.panels);
    free(scale);
    return status;
}

static imgq_status make_block(making *m, int stage, int block, maps *x, imgq_error *err)
{
    char name[4][32];
    const size_t width = (size_t)64 << stage, wide = 4 * width, stride = block == 0 && stage > 0 ? 2 : 1;
    maps a = {0}, b = {0}, out = {0}, shortcut = {0};
    imgq_status status = IMGQ_OK;
    for (int i = 0; i < 4; i++)
        snprintf(name[i], sizeof name[i], "conv%d_block%d_%d", stage + 2, block + 1, i);
    if (block == 0)
        status = make_layer(m, name[0], (conv){1, stride, 0, x->channels, wide, NULL, NULL}, 1, x, NULL, false,
                            &shortcut, err);
    if (status == IMGQ_OK)
        status =
            make_layer(m, name[1], (conv){1, stride, 0, x->channels, width, NULL, NULL}, 1, x, NULL, true, &a, err);
    if (status == IMGQ_OK)
        status = make_layer(m, name[2], (conv){3, 1, 1, width, width, NULL, NULL}, 1, &a, NULL, true, &b, err);
    free(a.data);
    if (status == IMGQ_OK)
        status = make_layer(m, name[3], (conv){1, 1, 0, width, wide, NULL, NULL}, LAST_GAMMA, &b,
                            block == 0 ? &shortcut : x, true, &out, err);
    free(b.data);
    free(shortcut.data);
    free(x->data);
    *x = out;
    return status;
}

/* 3 x 3, stride 2; the border counts as 0, which no rectified value is below. */
static void pool(const making *m, const maps *in, maps *out)
{
    for (size_t n = 0; n < m->count; n++)
        for (size_t y = 0; y < out->side; y++)
            for (size_t x = 0; x < out->side; x++)
                for (size_t c = 0; c < in->channels; c++) {
                    float best = 0;
                    for (size_t ky = 0; ky < 3; ky++)
                        for (size_t kx = 0; kx < 3; kx++) {
                            size_t iy = 2 * y + ky, ix = 2 * x + kx;
                            if (iy < 1 || ix < 1 || iy > in->side || ix > in->side)
                                continue;
                            best =
                                fmaxf(best, in->data[((n * in->side + iy - 1) * in->side + ix - 1) * in->channels + c]);
                        }
                    out->data[((n * out->side + y) * out->side + x) * in->channels + c] = best;
                }
}

imgq_status backbone_make(demo_backbone *backbone, uint64_t seed, const float *inputs, size_t count, size_t threads,
                          void (*progress)(void *user, size_t done), void *user, imgq_error *err)
{
    making m = {.backbone = backbone,
                .random = {seed},
                .count = count,
                .progress = progress,
                .user = user,
                .threads = threads < 1             ? 1
                           : threads > THREADS_MAX ? THREADS_MAX
                                                   : threads};
    const maps pictures = {DRAWING_SIDE, 3, (float *)(uintptr_t)inputs}; /* read only */
    maps stem = {0}, x = {0};
    memset(backbone, 0, sizeof *backbone);
    imgq_status status =
        make_layer(&m, "conv1", (conv){7, 2, 3, 3, 64, NULL, NULL}, 1, &pictures, NULL, true, &stem, err);
    if (status == IMGQ_OK)
        status = make_maps(&m, &x, POOLED_SIDE, 64, err);
    if (status == IMGQ_OK)
        pool(&m, &stem, &x);
    free(stem.data);
    for (int stage = 0; stage < 4; stage++)
        for (int block = 0; status == IMGQ_OK && block < blocks[stage]; block++)
            status = make_block(&m, stage, block, &x, err);
    free(x.data);
    if (status != IMGQ_OK)
        backbone_release(backbone);
    return status;
}

void backbone_release(demo_backbone *backbone)
{
    for (size_t i = 0; i < BACKBONE_TENSORS; i++) {
        free(backbone->tensors[i].data);
        backbone->tensors[i].data = NULL;
    }
}
