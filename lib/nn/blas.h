/* The two things that are asked of OpenBLAS. */
#ifndef IQ_NN_BLAS_H
#define IQ_NN_BLAS_H

#include <stddef.h>

/** c[rows x cols] = a[rows x depth] * b[depth x cols]; row-major, a_step and so on are floats from row to row. Computed
 *  in the calling thread alone. */
void iq_blas_gemm(size_t rows, size_t cols, size_t depth, const float *a, size_t a_step, const float *b, size_t b_step,
                  float *c, size_t c_step);
/** One thread per call from now on, for the whole process: our own threads share the work. */
void iq_blas_use_one_thread(void);

#endif
