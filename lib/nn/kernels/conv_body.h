/* The core kernel, for any vector: ROWS x 2 sums in registers, weights streamed, activations broadcast from where they
 * lie. The including file has brought vec_*.h. */

enum { VECS = 2, COLS = VECS * LANES };

/* Pixel r of a tile: in the first run, or 7 back in the second. Addresses are written as one of three pointers in each
 * run and a step or two: more pointers than that do not fit into the registers. */
#define PIXEL(r) (at[(r) / 7][(r) % 7 / 3] + (size_t)((r) % 7 % 3) * step)

/* Sums of `rows` pixels, from pixel `first` of the tile on. */
INLINE void tile_rows(const iq_tile *t, const int first, const int rows)
{
    vec sum[14][VECS];
    const size_t step = t->in_step, depth = t->depth, next_too = t->next_too;
    const float *panel = t->panel, *next = t->next;
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < VECS; v++)
            sum[r][v] = t->bias != NULL ? v_load(t->bias + v * LANES) : v_zero();
    for (size_t tap = 0; tap < t->tap_count; tap++) {
        const float *at[2][3];
#pragma GCC unroll 3
        for (int i = 0; i < 3; i++) {
            at[0][i] = t->input[0] + t->taps[tap] + (first + rows > 3 * i ? (size_t)i * 3 * step : 0);
            at[1][i] = first + rows > 7
                           ? t->input[1] + t->taps[tap] + (first + rows > 7 + 3 * i ? (size_t)i * 3 * step : 0)
                           : at[0][i];
        }
#pragma GCC unroll 4
        for (size_t k = 0; k < depth; k++) {
            vec weights[VECS];
            __builtin_prefetch(next, 0, 2);
            if (rows <= IQ_RUN + 1)
                __builtin_prefetch(next + next_too, 0, 2);
            next += 64 / sizeof(float);
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
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        const int run = (first + r) / 7;
        const size_t pixel = (size_t)((first + r) % 7);
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++) {
            vec value = sum[r][v];
            if (t->residual[0] != NULL)
                value = v_add(value, v_load(t->residual[run] + pixel * t->residual_step + v * LANES));
            if (t->relu)
                value = v_relu(value);
            v_store(t->output[run] + pixel * t->out_step + v * LANES, value);
        }
    }
}
