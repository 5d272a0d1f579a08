/* The only file that knows OpenBLAS. */
#include "nn/blas.h"

#include <cblas.h>

void iq_blas_gemm(size_t rows, size_t cols, size_t depth, const float *a, size_t a_step, const float *b, size_t b_step,
                  float *c, size_t c_step)
{
    /* A product of one row would pack all of b before using it once. */
    if (rows == 1)
        cblas_sgemv(CblasRowMajor, CblasTrans, (blasint)depth, (blasint)cols, 1.0f, b, (blasint)b_step, a, 1, 0.0f, c,
                    1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)rows, (blasint)cols, (blasint)depth, 1.0f, a,
                    (blasint)a_step, b, (blasint)b_step, 0.0f, c, (blasint)c_step);
}

void iq_blas_use_one_thread(void)
{
    if (openblas_get_num_threads() != 1)
        openblas_set_num_threads(1);
}
