/* Winograd's transforms between pixels of bf16: sums in fp32, points rounded to bf16 for the product. That rounding
 * makes the error, and how much of it comes back depends on where the polynomials are evaluated: F(4x4) at 0, a, -a, b,
 * -b and infinity with a = 21/32 and b = 3/2 errs by 0.4 of what the usual a = 1, b = 2 do. ops/conv_bf16_winograd.c
 * has the same points. The including file has brought winograd_body.h, whose F(2x2) serves, and b_load(), b_store(). */

static const float point_a = 21.0f / 32, point_b = 1.5f;

INLINE void bf16_in_4(const vec *d, int from, vec *o, int to)
{
    const vec a2 = v_all(point_a * point_a), b2 = v_all(point_b * point_b), a = v_all(point_a), b = v_all(point_b);
    const vec both = v_all(point_a * point_a * point_b * point_b), sum = v_all(point_a * point_a + point_b * point_b);
    const vec d0 = d[0], d1 = d[from], d2 = d[2 * from], d3 = d[3 * from], d4 = d[4 * from], d5 = d[5 * from];
    const vec even_a = v_fnma(b2, d2, d4), odd_a = v_fnma(b2, d1, d3);
    const vec even_b = v_fnma(a2, d2, d4), odd_b = v_fnma(a2, d1, d3);
    o[0] = v_fma(both, d0, v_fnma(sum, d2, d4));
    o[to] = v_fma(a, odd_a, even_a);
    o[2 * to] = v_fnma(a, odd_a, even_a);
    o[3 * to] = v_fma(b, odd_b, even_b);
    o[4 * to] = v_fnma(b, odd_b, even_b);
    o[5 * to] = v_fma(both, d1, v_fnma(sum, d3, d5));
}

INLINE void bf16_out_4(const vec *m, int from, vec *o, int to)
{
    const vec a2 = v_all(point_a * point_a), b2 = v_all(point_b * point_b), a = v_all(point_a), b = v_all(point_b);
    const vec a3 = v_all(point_a * point_a * point_a), b3 = v_all(point_b * point_b * point_b);
    const vec even_a = v_add(m[from], m[2 * from]), odd_a = v_sub(m[from], m[2 * from]);
    const vec even_b = v_add(m[3 * from], m[4 * from]), odd_b = v_sub(m[3 * from], m[4 * from]);
    o[0] = v_add(v_add(m[0], even_a), even_b);
    o[to] = v_fma(b, odd_b, v_mul(a, odd_a));
    o[2 * to] = v_fma(b2, even_b, v_mul(a2, even_a));
    o[3 * to] = v_add(v_fma(b3, odd_b, v_mul(a3, odd_a)), m[5 * from]);
}

INLINE void bf16_winograd_in(const uint16_t *const *pixels, size_t channels, uint16_t *out, size_t point_step,
                             const int tile)
{
    const int side = tile + 2;
    for (size_t c = 0; c < channels; c += LANES) {
        vec half[POINTS_MAX * POINTS_MAX]; /* [line][column], lines transformed */
#pragma GCC unroll 6
        for (int x = 0; x < side; x++) {
            vec column[POINTS_MAX];
#pragma GCC unroll 6
            for (int y = 0; y < side; y++)
                column[y] = b_load(pixels[y * side + x] + c);
            if (tile == 2)
                in_2(column, 1, half + x, side);
            else
                bf16_in_4(column, 1, half + x, side);
        }
#pragma GCC unroll 6
        for (int y = 0; y < side; y++) {
            vec line[POINTS_MAX];
            if (tile == 2)
                in_2(half + y * side, 1, line, 1);
            else
                bf16_in_4(half + y * side, 1, line, 1);
#pragma GCC unroll 6
            for (int x = 0; x < side; x++)
                b_store(out + (size_t)(y * side + x) * point_step + c, line[x]);
        }
    }
}

INLINE void bf16_winograd_out(const float *points, size_t point_step, size_t channels, const float *bias, bool relu,
                              uint16_t *out, size_t line_step, size_t pixel_step, size_t height, size_t width,
                              const int tile)
{
    const int side = tile + 2;
    for (size_t c = 0; c < channels; c += LANES) {
        vec half[POINTS_MAX * POINTS_MAX]; /* [line][column], tile lines */
        const vec base = v_load(bias + c);
#pragma GCC unroll 6
        for (int x = 0; x < side; x++) {
            vec column[POINTS_MAX];
#pragma GCC unroll 6
            for (int y = 0; y < side; y++)
                column[y] = v_load(points + (size_t)(y * side + x) * point_step + c);
            if (tile == 2)
                out_2(column, 1, half + x, side);
            else
                bf16_out_4(column, 1, half + x, side);
        }
        for (size_t y = 0; y < height; y++) {
            vec line[4];
            if (tile == 2)
                out_2(half + y * (size_t)side, 1, line, 1);
            else
                bf16_out_4(half + y * (size_t)side, 1, line, 1);
#pragma GCC unroll 4
            for (int x = 0; x < tile; x++) {
                if ((size_t)x >= width)
                    break;
                const vec value = v_add(line[x], base);
                b_store(out + y * line_step + (size_t)x * pixel_step + c, relu ? v_relu(value) : value);
            }
        }
    }
}
