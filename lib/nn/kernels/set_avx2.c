/* The table of this instruction set. */
#include "nn/kernels/avx2.h"

#define TILE(n) [n] = iq_conv_tile_##n##_avx2

const iq_kernel_set iq_kernels_avx2 = {
    .isa = IQ_ISA_AVX2,
    .cols = 16,
    .tile = {TILE(1), TILE(2), TILE(3), TILE(4), TILE(5), TILE(6), TILE(7), TILE(8), TILE(14)},
    .lanes = 8,
    .winograd_in = {iq_winograd_in_2x2_avx2, iq_winograd_in_4x4_avx2},
    .winograd_out = {iq_winograd_out_2x2_avx2, iq_winograd_out_4x4_avx2},
    .largest = iq_largest_avx2,
};
