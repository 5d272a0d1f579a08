/* Winograd's transforms for any vector: F(2x2) and F(4x4) of a 3x3 window, after Lavin and Gray, "Fast Algorithms for
 * Convolutional Neural Networks". Points are 0, 1, -1 (, 2, -2) and infinity. A tile that is one
 * pixel shorter does without the last finite one: its input transform makes up for the factor that the weights, made
 * for the full tile, then have too much. So short tiles share their points' weights and matrix products with full ones.
 * The including file has brought vec_*.h. Vectors are read and written `from` and `to` apart. */

/* Of F(2): its own and, with the weights of F(2), a single pixel. */
INLINE void in_2(const vec *d, int from, vec *o, int to)
{
    o[0] = v_sub(d[0], d[2 * from]);
    o[to] = v_add(d[from], d[2 * from]);
    o[2 * to] = v_sub(d[2 * from], d[from]);
    o[3 * to] = v_sub(d[from], d[3 * from]);
}

INLINE void in_2_short(const vec *d, int from, vec *o, int to)
{
    o[0] = v_sub(d[0], d[from]);
    o[to] = v_add(d[from], d[from]);
    o[3 * to] = v_sub(d[from], d[2 * from]);
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

INLINE void in_4_short(const vec *d, int from, vec *o, int to)
{
    const vec two = v_all(2), three = v_all(3), four = v_all(4);
    const vec d0 = d[0], d1 = d[from], d2 = d[2 * from], d3 = d[3 * from], d4 = d[4 * from];
    const vec d31 = v_sub(d3, d1);
    o[0] = v_fma(four, v_sub(d0, d2), v_mul(two, d31));
    o[to] = v_mul(three, v_sub(v_fnma(two, d1, d3), d2));
    o[2 * to] = v_fnma(three, d2, v_fma(two, d1, d3));
    o[3 * to] = v_mul(four, d31);
    o[5 * to] = v_fnma(two, d31, v_sub(d4, d2));
}

INLINE void out_2(const vec *m, int from, vec *o, int to)
{
    o[0] = v_add(v_add(m[0], m[from]), m[2 * from]);
    o[to] = v_sub(v_sub(m[from], m[2 * from]), m[3 * from]);
}

INLINE void out_2_short(const vec *m, int from, vec *o)
{
    o[0] = v_sub(v_add(m[0], m[from]), m[3 * from]);
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

INLINE void out_4_short(const vec *m, int from, vec *o, int to)
{
    const vec two = v_all(2), four = v_all(4);
    const vec even = v_add(m[from], m[2 * from]), odd = v_sub(m[from], m[2 * from]);
    o[0] = v_add(v_add(m[0], even), m[3 * from]);
    o[to] = v_fma(two, m[3 * from], odd);
    o[2 * to] = v_add(v_fma(four, m[3 * from], even), m[5 * from]);
}

INLINE void in_line(const vec *d, int from, vec *o, int to, const int tile, const bool is_short)
{
    if (tile == 2 && is_short)
        in_2_short(d, from, o, to);
    else if (tile == 2)
        in_2(d, from, o, to);
    else if (is_short)
        in_4_short(d, from, o, to);
    else
        in_4(d, from, o, to);
}

INLINE void out_line(const vec *m, int from, vec *o, int to, const int tile, const bool is_short)
{
    if (tile == 2 && is_short)
        out_2_short(m, from, o);
    else if (tile == 2)
        out_2(m, from, o, to);
    else if (is_short)
        out_4_short(m, from, o, to);
    else
        out_4(m, from, o, to);
}

enum { POINTS_MAX = 6 };

/* Of the points in a line of tile + 2, `tile` is the one that a short tile does without. */
INLINE bool has_point(int point, const int tile, const bool is_short)
{
    return !is_short || point != tile;
}

INLINE void winograd_in(const float *const *pixels, size_t channels, float *out, size_t point_step, const int tile,
                        const bool short_y, const bool short_x)
{
    const int side = tile + 2, height = side - short_y, width = side - short_x;
    for (size_t c = 0; c < channels; c += LANES) {
        vec half[POINTS_MAX * POINTS_MAX]; /* [point of y][pixel of x] */
#pragma GCC unroll 6
        for (int x = 0; x < width; x++) {
            vec column[POINTS_MAX];
#pragma GCC unroll 6
            for (int y = 0; y < height; y++)
                column[y] = v_load(pixels[y * width + x] + c);
            in_line(column, 1, half + x, side, tile, short_y);
        }
#pragma GCC unroll 6
        for (int y = 0; y < side; y++) {
            vec line[POINTS_MAX];
            if (!has_point(y, tile, short_y))
                continue;
            in_line(half + y * side, 1, line, 1, tile, short_x);
#pragma GCC unroll 6
            for (int x = 0; x < side; x++)
                if (has_point(x, tile, short_x))
                    v_store(out + (size_t)(y * side + x) * point_step + c, line[x]);
        }
    }
}

INLINE void winograd_out(const float *points, size_t point_step, size_t channels, const float *bias, bool relu,
                         float *out, size_t line_step, size_t pixel_step, size_t height, size_t width, const int tile,
                         const bool short_y, const bool short_x)
{
    const int side = tile + 2;
    for (size_t c = 0; c < channels; c += LANES) {
        vec half[POINTS_MAX * POINTS_MAX]; /* [pixel of y][point of x] */
        const vec base = v_load(bias + c);
#pragma GCC unroll 6
        for (int x = 0; x < side; x++) {
            vec column[POINTS_MAX];
            if (!has_point(x, tile, short_x))
                continue;
#pragma GCC unroll 6
            for (int y = 0; y < side; y++)
                if (has_point(y, tile, short_y))
                    column[y] = v_load(points + (size_t)(y * side + x) * point_step + c);
            out_line(column, 1, half + x, side, tile, short_y);
        }
        for (size_t y = 0; y < height; y++) {
            vec line[4];
            out_line(half + y * (size_t)side, 1, line, 1, tile, short_x);
#pragma GCC unroll 4
            for (int x = 0; x < tile - short_x; x++) {
                if ((size_t)x >= width)
                    break;
                const vec value = v_add(line[x], base);
                v_store(out + y * line_step + (size_t)x * pixel_step + c, relu ? v_relu(value) : value);
            }
        }
    }
}

#define DEFINE_TRANSFORMS_OF(tile, y, x, isa)                                                                          \
    IQ_WINOGRAD_IN_OF(tile, y, x, isa)                                                                                 \
    {                                                                                                                  \
        winograd_in(pixels, channels, out, point_step, tile, y, x);                                                    \
    }                                                                                                                  \
    IQ_WINOGRAD_OUT_OF(tile, y, x, isa)                                                                                \
    {                                                                                                                  \
        winograd_out(points, point_step, channels, bias, relu, out, line_step, pixel_step, height, width, tile, y, x); \
    }

/* Full and short, in both directions. */
#define DEFINE_TRANSFORMS(tile, isa)                                                                                   \
    DEFINE_TRANSFORMS_OF(tile, 0, 0, isa)                                                                              \
    DEFINE_TRANSFORMS_OF(tile, 0, 1, isa)                                                                              \
    DEFINE_TRANSFORMS_OF(tile, 1, 0, isa)                                                                              \
    DEFINE_TRANSFORMS_OF(tile, 1, 1, isa)
