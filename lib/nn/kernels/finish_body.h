/* What comes after a product's sums, for any vector. The including file has brought vec_*.h. */

INLINE void finish_row(float *values, const float *residual, const float *bias, size_t cols, const bool add,
                       const bool relu)
{
    size_t c = 0;
    for (; c + LANES <= cols; c += LANES) {
        vec value = v_add(v_load(values + c), v_load(bias + c));
        if (add)
            value = v_add(value, v_load(residual + c));
        v_store(values + c, relu ? v_relu(value) : value);
    }
    for (; c < cols; c++) {
        float value = values[c] + bias[c];
        if (add)
            value += residual[c];
        values[c] = relu && 0.0f > value ? 0.0f : value;
    }
}

INLINE void finish(float *values, size_t step, const float *residual, size_t residual_step, const float *bias,
                   size_t rows, size_t cols, bool relu)
{
    for (size_t r = 0; r < rows; r++, values += step) {
        if (residual == NULL) {
            if (relu)
                finish_row(values, NULL, bias, cols, false, true);
            else
                finish_row(values, NULL, bias, cols, false, false);
            continue;
        }
        if (relu)
            finish_row(values, residual, bias, cols, true, true);
        else
            finish_row(values, residual, bias, cols, true, false);
        residual += residual_step;
    }
}
