/* What is asked of OpenBLAS. */
#ifndef IQ_NN_BLAS_H
#define IQ_NN_BLAS_H

#include <stdbool.h>
#include <stddef.h>

/** OpenBLAS multiplies matrices of up to so many products without packing them first, where it has kernels for that. */
enum { IQ_BLAS_SMALL_PRODUCTS = 100 * 100 * 100 };

/** Whether it has them for this processor. Always the same answer. */
bool iq_blas_has_small_kernels(void);
/** c[rows x cols] = a[rows x depth] * b[depth x cols], or that is added to c; row-major, a_step and so on are floats
 *  from row to row. Computed in the calling thread alone. */
void iq_blas_gemm(size_t rows, size_t cols, size_t depth, const float *a, size_t a_step, const float *b, size_t b_step,
                  float *c, size_t c_step, bool add);
/** Once before the first product: our own threads share the work. OpenBLAS with threads of its own has one for each call
 *  from now on, for the whole process; with OpenMP's, only our calls are held to one. */
void iq_blas_use_one_thread(void);

#endif
