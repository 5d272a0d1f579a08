/* Winograd's transforms for any vector. F(2x2) and F(4x4) of a 3x3 window: points 0, 1, -1 (, 2, -2) and infinity, as
 * in Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks". The including file has brought vec_*.h.
 * Vectors are read and written `from` and `to` apart. */

INLINE void in_2(const vec *d, int from, vec *o, int to)
{
    o[0] = v_sub(d[0], d[2 * from]);
    o[to] = v_add(d[from], d[2 * from]);
    o[2 * to] = v_sub(d[2 * from], d[from]);
    o[3 * to] = v_sub(d[from], d[3 * from]);
}

INLINE void in_4(const vec *d, int from, vec *o, int to)
{
    const vec two = v_all(2), four = v_all(4), five = v_all(5);
    const vec d0 = d[0], d1 = d[from], d2 = d[2 * from], d3 = d[3 * from], d4 = d[4 * from], d5 = d[5 * from];
    const vec even = v_fnma(four, d2, d4), odd = v_fnma(four, d1, d3);
    const vec even2 = v_sub(d4, d2), odd2 = v_mul(two, v_sub(d3, d1));
    o[0] = v_fma(four, d0, v_fnma(five, d2, d4));
    o[to] = v_add(even, odd);
    o[2 * to] = v_sub(even, odd);
    o[3 * to] = v_add(even2, odd2);
    o[4 * to] = v_sub(even2, odd2);
    o[5 * to] = v_fma(four, d1, v_fnma(five, d3, d5));
}

INLINE void out_2(const vec *m, int from, vec *o, int to)
{
    o[0] = v_add(v_add(m[0], m[from]), m[2 * from]);
    o[to] = v_sub(v_sub(m[from], m[2 * from]), m[3 * from]);
}

INLINE void out_4(const vec *m, int from, vec *o, int to)
{
    const vec two = v_all(2), four = v_all(4), eight = v_all(8);
    const vec even = v_add(m[from], m[2 * from]), odd = v_sub(m[from], m[2 * from]);
    const vec even2 = v_add(m[3 * from], m[4 * from]), odd2 = v_sub(m[3 * from], m[4 * from]);
    o[0] = v_add(v_add(m[0], even), even2);
    o[to] = v_fma(two, odd2, odd);
    o[2 * to] = v_fma(four, even2, even);
    o[3 * to] = v_add(v_fma(eight, odd2, odd), m[5 * from]);
}

enum { POINTS_MAX = 6 };

INLINE void winograd_in(const float *const *pixels, size_t channels, float *out, size_t point_step, const int tile)
{
    const int side = tile + 2;
    for (size_t c = 0; c < channels; c += LANES) {
        vec half[POINTS_MAX * POINTS_MAX]; /* [line][column], lines transformed */
#pragma GCC unroll 6
        for (int x = 0; x < side; x++) {
            vec column[POINTS_MAX];
#pragma GCC unroll 6
            for (int y = 0; y < side; y++)
                column[y] = v_load(pixels[y * side + x] + c);
            if (tile == 2)
                in_2(column, 1, half + x, side);
            else
                in_4(column, 1, half + x, side);
        }
#pragma GCC unroll 6
        for (int y = 0; y < side; y++) {
            vec line[POINTS_MAX];
            if (tile == 2)
                in_2(half + y * side, 1, line, 1);
            else
                in_4(half + y * side, 1, line, 1);
#pragma GCC unroll 6
            for (int x = 0; x < side; x++)
                v_store(out + (size_t)(y * side + x) * point_step + c, line[x]);
        }
    }
}

INLINE void winograd_out(const float *points, size_t point_step, size_t channels, const float *bias, bool relu,
                         float *out, size_t line_step, size_t pixel_step, size_t height, size_t width, const int tile)
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
                out_4(column, 1, half + x, side);
        }
        for (size_t y = 0; y < height; y++) {
            vec line[4];
            if (tile == 2)
                out_2(half + y * (size_t)side, 1, line, 1);
            else
                out_4(half + y * (size_t)side, 1, line, 1);
#pragma GCC unroll 4
            for (int x = 0; x < tile; x++) {
                if ((size_t)x >= width)
                    break;
                const vec value = v_add(line[x], base);
                v_store(out + y * line_step + (size_t)x * pixel_step + c, relu ? v_relu(value) : value);
            }
        }
    }
}
