/* Maxima for any vector. The including file has brought vec_*.h. */

INLINE void largest(const float *const *pixels, size_t count, size_t channels, float *out)
{
    size_t c = 0;
    for (; c + LANES <= channels; c += LANES) {
        vec best = v_load(pixels[0] + c);
        for (size_t p = 1; p < count; p++)
            best = v_larger(best, v_load(pixels[p] + c));
        v_store(out + c, best);
    }
    for (; c < channels; c++) {
        float best = pixels[0][c];
        for (size_t p = 1; p < count; p++) {
            const float value = pixels[p][c];
            best = (best < value) | (value != value) ? value : best;
        }
        out[c] = best;
    }
}
