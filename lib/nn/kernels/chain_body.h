/* Strassen's products, for any vector: sums go from one product to the next in registers. The including file has
 * brought vec_*.h and conv_body.h. */

INLINE void add_tile(tile_sums sum, const float *from, const int first, const int rows)
{
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++)
            sum[r][v] = v_add(sum[r][v], v_load(from + (first + r) * COLS + v * LANES));
}

INLINE void store_tile(tile_sums sum, float *to, const int first, const int rows)
{
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++)
            v_store(to + (first + r) * COLS + v * LANES, sum[r][v]);
}

/* sum + aside + residual, to the output; the sums stay. */
INLINE void write_output(tile_sums sum, const iq_chain *c, const iq_link *link, const int first, const int rows)
{
    const float *const aside = link->aside, *const residual[2] = {link->residual[0], link->residual[1]};
    float *const output[2] = {link->output[0], link->output[1]};
    const size_t residual_step = c->residual_step, out_step = c->out_step;
    const bool relu = c->relu;
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        const int run = (first + r) / 7;
        const size_t pixel = (size_t)((first + r) % 7);
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++) {
            vec value = sum[r][v];
            if (aside != NULL)
                value = v_add(value, v_load(aside + (first + r) * COLS + v * LANES));
            if (residual[0] != NULL)
                value = v_add(value, v_load(residual[run] + pixel * residual_step + v * LANES));
            if (relu)
                value = v_relu(value);
            v_store(output[run] + pixel * out_step + v * LANES, value);
        }
    }
}

/* What follows a product: the sums are kept, written out, added to. */
INLINE void after_link(tile_sums sum, const iq_chain *c, const iq_link *link, const int first, const int rows)
{
    const float *plus = link->plus;
    if (link->keep != NULL)
        store_tile(sum, link->keep, first, rows);
    if (plus != NULL) {
        write_output(sum, c, link, first, rows);
        add_tile(sum, plus, first, rows);
    } else if (link->output[0] != NULL) {
        if (link->aside != NULL)
            add_tile(sum, link->aside, first, rows);
        if (link->residual[0] != NULL)
            add_pixels(sum, link->residual, c->residual_step, first, rows);
        if (c->relu)
            cut_negatives(sum, rows);
        store_pixels(sum, link->output, c->out_step, first, rows);
    }
}

INLINE void chain_rows(const iq_chain *c, const int first, const int rows)
{
    tile_sums sum;
    const float *panel = c->panels, *next = c->next;
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++)
            sum[r][v] = c->start != NULL  ? v_load(c->start + (first + r) * COLS + v * LANES)
                        : c->bias != NULL ? v_load(c->bias + v * LANES)
                                          : v_zero();
    for (size_t l = 0; l < c->count; l++) {
        const iq_link *link = &c->links[l];
        add_products(sum, link->input, link->in_step, c->depth, panel, next, true, link->fetch, link->fetch_step, first,
                     rows);
        panel += c->depth * COLS;
        next += c->depth * (64 / sizeof(float));
        after_link(sum, c, link, first, rows);
    }
}

/* Four rows of sums of a pixel's halves and its partner's. */
INLINE void strassen_sums(const float *a, const float *b, size_t half, float *sums_of, size_t step)
{
    for (size_t k = 0; k < half; k += LANES) {
        const vec a0 = v_load(a + k), a1 = v_load(a + half + k);
        if (b == NULL) {
            v_store(sums_of + step + k, v_sub(v_zero(), a0));
            v_store(sums_of + 3 * step + k, v_add(a1, a0));
            continue;
        }
        const vec b0 = v_load(b + k), s1 = v_add(b0, v_load(b + half + k)), s2 = v_sub(s1, a0);
        v_store(sums_of + k, s1);
        v_store(sums_of + step + k, s2);
        v_store(sums_of + 2 * step + k, v_sub(a0, b0));
        v_store(sums_of + 3 * step + k, v_sub(a1, s2));
    }
}
