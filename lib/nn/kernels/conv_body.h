/* The core kernel, for any vector: ROWS x 2 sums in registers, weights streamed, activations broadcast from where they
 * lie. The including file has brought vec_*.h. */

enum { VECS = 2, COLS = VECS * LANES };

/* Pixel r of a tile: in the first run, or 7 back in the second. Addresses are written as one of three pointers in each
 * run and a step or two: more pointers than that do not fit into the registers. */
#define PIXEL(r) (at[(r) / 7][(r) % 7 / 3] + (size_t)((r) % 7 % 3) * step)

typedef vec tile_sums[14][VECS];

/* One tap's products are added to the sums of `rows` pixels, from pixel `first` of the tile on. */
INLINE void add_products(tile_sums sum, const float *const input[2], const size_t step, const size_t depth,
                         const float *panel, const float *next, const bool fetches, const float *fetch,
                         const size_t fetch_step, const int first, const int rows)
{
    const float *at[2][3];
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        at[0][i] = input[0] + (first + rows > 3 * i ? (size_t)i * 3 * step : 0);
        at[1][i] = first + rows > 7 ? input[1] + (first + rows > 7 + 3 * i ? (size_t)i * 3 * step : 0) : at[0][i];
    }
#pragma GCC unroll 4
    for (size_t k = 0; k < depth; k++) {
        vec weights[VECS];
        __builtin_prefetch(next, 0, 2);
        next += 64 / sizeof(float);
        if (fetches) {
            __builtin_prefetch(fetch, 0, 2);
            fetch += fetch_step;
        }
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++)
            weights[v] = v_load(panel + v * LANES);
        panel += COLS;
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            const vec x = v_all(PIXEL(first + r)[k]);
#pragma GCC unroll 2
            for (int v = 0; v < VECS; v++)
                sum[r][v] = v_fma(x, weights[v], sum[r][v]);
        }
    }
}

/* Everything is read from the tile before anything is written, and choices are made once for all rows: the compiler
 * must take every store for one that could change the tile. */
INLINE void add_pixels(tile_sums sum, const float *const from[2], const size_t step, const int first, const int rows)
{
    const float *const run[2] = {from[0], from[1]};
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++)
            sum[r][v] = v_add(sum[r][v], v_load(run[(first + r) / 7] + (size_t)((first + r) % 7) * step + v * LANES));
}

INLINE void cut_negatives(tile_sums sum, const int rows)
{
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++)
            sum[r][v] = v_relu(sum[r][v]);
}

INLINE void store_pixels(tile_sums sum, float *const to[2], const size_t step, const int first, const int rows)
{
    float *const run[2] = {to[0], to[1]};
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++)
            v_store(run[(first + r) / 7] + (size_t)((first + r) % 7) * step + v * LANES, sum[r][v]);
}

/* Sums of `rows` pixels, from pixel `first` of the tile on. */
INLINE void tile_rows(const iq_tile *t, const int first, const int rows)
{
    tile_sums sum;
    const float *panel = t->panel, *next = t->next;
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < VECS; v++)
            sum[r][v] = t->bias != NULL ? v_load(t->bias + v * LANES) : v_zero();
    for (size_t tap = 0; tap < t->tap_count; tap++) {
        const float *const input[2] = {t->input[0] + t->taps[tap],
                                       first + rows > 7 ? t->input[1] + t->taps[tap] : NULL};
        add_products(sum, input, t->in_step, t->depth, panel, next, rows <= IQ_RUN + 1, next + t->next_too,
                     64 / sizeof(float), first, rows);
        panel += t->depth * COLS;
        next += t->depth * (64 / sizeof(float));
    }
    if (t->residual[0] != NULL)
        add_pixels(sum, t->residual, t->residual_step, first, rows);
    if (t->relu)
        cut_negatives(sum, rows);
    store_pixels(sum, t->output, t->out_step, first, rows);
}
