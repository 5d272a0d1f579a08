/* Weights of 3 x 3 convolutions to Winograd's points, when they are packed. */
#ifndef IQ_NN_KERNELS_WINOGRAD_WEIGHTS_H
#define IQ_NN_KERNELS_WINOGRAD_WEIGHTS_H

#include <stddef.h>

#include "nn/cpu.h"

/** G g G' of each pair of channels, in double, every sum in one order and rounded once: the same bits everywhere.
 *  @param weights [3][3][in][out] @param out a multiple of cols, cols of 16
 *  @param points  written: [side x side][out / cols][in][cols] */
typedef void (*iq_winograd_weights_fn)(const float *weights, size_t in, size_t out, size_t cols, float *points);

#define IQ_WINOGRAD_WEIGHTS_OF(tile, isa)                                                                              \
    void iq_winograd_weights_##tile##_##isa(const float *weights, size_t in, size_t out, size_t cols, float *points)

IQ_WINOGRAD_WEIGHTS_OF(2x2, plain);
IQ_WINOGRAD_WEIGHTS_OF(4x4, plain);
#if defined(__x86_64__)
IQ_WINOGRAD_WEIGHTS_OF(2x2, avx2);
IQ_WINOGRAD_WEIGHTS_OF(4x4, avx2);
IQ_WINOGRAD_WEIGHTS_OF(2x2, avx512);
IQ_WINOGRAD_WEIGHTS_OF(4x4, avx512);
#endif

/** @param isa  that the machine has @param tile 2 or 4 */
iq_winograd_weights_fn iq_winograd_weights(iq_isa isa, size_t tile);

#endif
