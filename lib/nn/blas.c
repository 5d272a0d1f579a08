/* The only file that knows OpenBLAS. */
#include "nn/blas.h"

#include <cblas.h>

#include <string.h>

/* OpenBLAS made with OpenMP asks it for the threads of each calling thread: openblas_set_num_threads() counts for one
 * thread alone there, and changes what others work with meanwhile. These are there when OpenMP is. */
extern int omp_get_max_threads(void) __attribute__((weak));
extern void omp_set_num_threads(int count) __attribute__((weak));

bool iq_blas_has_small_kernels(void)
{
    static const char *const cores[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
    const char *core = openblas_get_corename();
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++)
        if (strcmp(core, cores[i]) == 0)
            return true;
    return false;
}

/* @return what leave() restores; 0: nothing */
static int enter_one_thread(void)
{
    if (openblas_get_parallel() != OPENBLAS_OPENMP || omp_get_max_threads == NULL || omp_set_num_threads == NULL)
        return 0;
    const int before = omp_get_max_threads();
    if (before == 1)
        return 0;
    omp_set_num_threads(1);
    return before;
}

static void leave(int before)
{
    if (before > 0)
        omp_set_num_threads(before);
}

void iq_blas_gemm(size_t rows, size_t cols, size_t depth, const float *a, size_t a_step, const float *b, size_t b_step,
                  float *c, size_t c_step, bool add)
{
    const float beta = add ? 1.0f : 0.0f;
    const int before = enter_one_thread();
    /* A product of one row would pack all of b before using it once. */
    if (rows == 1)
        cblas_sgemv(CblasRowMajor, CblasTrans, (blasint)depth, (blasint)cols, 1.0f, b, (blasint)b_step, a, 1, beta, c,
                    1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)rows, (blasint)cols, (blasint)depth, 1.0f, a,
                    (blasint)a_step, b, (blasint)b_step, beta, c, (blasint)c_step);
    leave(before);
}

void iq_blas_use_one_thread(void)
{
    if (openblas_get_parallel() == OPENBLAS_THREAD && openblas_get_num_threads() != 1)
        openblas_set_num_threads(1);
}
