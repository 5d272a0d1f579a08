/* The only file that knows OpenBLAS. */
#include "nn/blas.h"

#include <cblas.h>

#include <string.h>

bool iq_blas_has_small_kernels(void)
{
    static const char *const cores[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
    const char *core = openblas_get_corename();
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++)
        if (strcmp(core, cores[i]) == 0)
            return true;
    return false;
}

void iq_blas_gemm(size_t rows, size_t cols, size_t depth, const float *a, size_t a_step, const float *b, size_t b_step,
                  float *c, size_t c_step, bool add)
{
    const float beta = add ? 1.0f : 0.0f;
    /* A product of one row would pack all of b before using it once. */
    if (rows == 1)
        cblas_sgemv(CblasRowMajor, CblasTrans, (blasint)depth, (blasint)cols, 1.0f, b, (blasint)b_step, a, 1, beta, c,
                    1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)rows, (blasint)cols, (blasint)depth, 1.0f, a,
                    (blasint)a_step, b, (blasint)b_step, beta, c, (blasint)c_step);
}

void iq_blas_use_one_thread(void)
{
    if (openblas_get_num_threads() != 1)
        openblas_set_num_threads(1);
}
