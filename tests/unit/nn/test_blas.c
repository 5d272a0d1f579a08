/* OpenBLAS under our own threads, whichever of its flavours (threads of its own, OpenMP, none) is loaded. */
#include "nn_tests.h"

#if IMGQ_HAVE_OPENBLAS

#include "nn/blas.h"

#include "support/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { SIDE = 448, TURNS = 12 };

static double seconds(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* What other threads of the process computed while this one multiplied, as a share of its own time. */
static void *multiply(void *share)
{
    float *a = calloc((size_t)3 * SIDE * SIDE, sizeof *a), *b = a + (size_t)SIDE * SIDE, *c = b + (size_t)SIDE * SIDE;
    const double all = seconds(RUSAGE_SELF), own = seconds(RUSAGE_THREAD);
    for (int i = 0; i < TURNS; i++) {
        iq_blas_gemm(SIDE, SIDE, SIDE, a, SIDE, b, SIDE, c, SIDE, i % 2 == 1);
        iq_blas_gemm(1, SIDE, SIDE, a, SIDE, b, SIDE, c, SIDE, i % 2 == 1);
    }
    const double own_time = seconds(RUSAGE_THREAD) - own;
    *(double *)share = (seconds(RUSAGE_SELF) - all - own_time) / own_time;
    free(a);
    return NULL;
}

void openblas_computes_in_the_calling_thread_alone(void)
{
    double share = 1;
    pthread_t thread;
    iq_blas_use_one_thread();
    multiply(&share);
    CHECK_NEAR(0, share, 0.3);
    share = 1;
    if (!CHECK(pthread_create(&thread, NULL, multiply, &share) == 0))
        return;
    pthread_join(thread, NULL);
    CHECK_NEAR(0, share, 0.3);
}

#else

void openblas_computes_in_the_calling_thread_alone(void)
{
}

#endif
