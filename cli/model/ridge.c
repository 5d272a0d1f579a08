/* With fewer rows than columns the rows' products are the smaller matrix: weights = X' (X X' + lambda I)^-1 Y. */
#include "cli/model/ridge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct fit {
    size_t rows, columns, class_count;
    double *x; /* rows x columns, standardised */
    double *mean, *deviation;
    double *gram;  /* rows x rows; then its Cholesky factor, lower */
    double *alpha; /* rows x class_count */
    double *share; /* of each class among the rows */
} fit;

static void standardise(fit *f, const float *features)
{
    for (size_t c = 0; c < f->columns; c++) {
        double sum = 0, squares = 0;
        for (size_t r = 0; r < f->rows; r++)
            sum += (double)features[r * f->columns + c];
        f->mean[c] = sum / (double)f->rows;
        for (size_t r = 0; r < f->rows; r++) {
            double d = (double)features[r * f->columns + c] - f->mean[c];
            squares += d * d;
        }
        f->deviation[c] = fmax(sqrt(squares / (double)f->rows), 1e-6); /* a dead feature stays nothing */
        for (size_t r = 0; r < f->rows; r++)
            f->x[r * f->columns + c] = ((double)features[r * f->columns + c] - f->mean[c]) / f->deviation[c];
    }
}

static void make_gram(fit *f, double lambda)
{
    for (size_t i = 0; i < f->rows; i++)
        for (size_t j = 0; j <= i; j++) {
            const double *a = f->x + i * f->columns, *b = f->x + j * f->columns;
            double sum = i == j ? lambda : 0;
            for (size_t c = 0; c < f->columns; c++)
                sum += a[c] * b[c];
            f->gram[i * f->rows + j] = sum;
        }
}

/* gram becomes L of L L'; lambda > 0 keeps every pivot positive */
static void factor(fit *f)
{
    for (size_t i = 0; i < f->rows; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = f->gram[i * f->rows + j];
            for (size_t k = 0; k < j; k++)
                sum -= f->gram[i * f->rows + k] * f->gram[j * f->rows + k];
            f->gram[i * f->rows + j] = i == j ? sqrt(fmax(sum, 1e-12)) : sum / f->gram[j * f->rows + j];
        }
}

static void solve(fit *f)
{
    const size_t n = f->rows, m = f->class_count;
    for (size_t c = 0; c < m; c++) {
        for (size_t i = 0; i < n; i++) {
            double sum = f->alpha[i * m + c];
            for (size_t k = 0; k < i; k++)
                sum -= f->gram[i * n + k] * f->alpha[k * m + c];
            f->alpha[i * m + c] = sum / f->gram[i * n + i];
        }
        for (size_t i = n; i-- > 0;) {
            double sum = f->alpha[i * m + c];
            for (size_t k = i + 1; k < n; k++)
                sum -= f->gram[k * n + i] * f->alpha[k * m + c];
            f->alpha[i * m + c] = sum / f->gram[i * n + i];
        }
    }
}

static void make_weights(const fit *f, float *weights, float *bias)
{
    for (size_t k = 0; k < f->class_count; k++) {
        double shift = f->share[k];
        for (size_t c = 0; c < f->columns; c++) {
            double sum = 0;
            for (size_t r = 0; r < f->rows; r++)
                sum += f->x[r * f->columns + c] * f->alpha[r * f->class_count + k];
            sum /= f->deviation[c];
            weights[c * f->class_count + k] = (float)sum;
            shift -= sum * f->mean[c];
        }
        bias[k] = (float)shift;
    }
}

bool ridge_fit(const float *features, const uint32_t *classes, size_t rows, size_t columns, size_t class_count,
               double lambda, float *weights, float *bias)
{
    fit f = {.rows = rows, .columns = columns, .class_count = class_count};
    f.x = malloc(rows * columns * sizeof *f.x);
    f.mean = malloc(2 * columns * sizeof *f.mean);
    f.gram = malloc(rows * rows * sizeof *f.gram);
    f.alpha = calloc(rows * class_count, sizeof *f.alpha);
    f.share = calloc(class_count, sizeof *f.share);
    bool ok = f.x != NULL && f.mean != NULL && f.gram != NULL && f.alpha != NULL && f.share != NULL;
    if (ok) {
        f.deviation = f.mean + columns;
        standardise(&f, features);
        for (size_t r = 0; r < rows; r++)
            f.share[classes[r]] += 1.0 / (double)rows;
        for (size_t r = 0; r < rows; r++)
            for (size_t k = 0; k < class_count; k++)
                f.alpha[r * class_count + k] = (classes[r] == k ? 1 : 0) - f.share[k];
        make_gram(&f, lambda);
        factor(&f);
        solve(&f);
        make_weights(&f, weights, bias);
    }
    free(f.x);
    free(f.mean);
    free(f.gram);
    free(f.alpha);
    free(f.share);
    return ok;
}

size_t ridge_right(const float *features, const uint32_t *classes, size_t rows, size_t columns, size_t class_count,
                   const float *weights, const float *bias)
{
    size_t right = 0;
    for (size_t r = 0; r < rows; r++) {
        double best = -INFINITY;
        size_t best_class = 0;
        for (size_t k = 0; k < class_count; k++) {
            double score = (double)bias[k];
            for (size_t c = 0; c < columns; c++)
                score += (double)features[r * columns + c] * (double)weights[c * class_count + k];
            if (score > best) {
                best = score;
                best_class = k;
            }
        }
        right += best_class == classes[r];
    }
    return right;
}
