/* The table of this instruction set. */
#include "nn/kernels/avx2.h"

#define TILE(n) [n] = iq_conv_tile_##n##_avx2

const iq_kernel_set iq_kernels_avx2 = {
    .isa = IQ_ISA_AVX2,
    .cols = 16,
    .tile = {TILE(1), TILE(2), TILE(3), TILE(4), TILE(5), TILE(6), TILE(7), TILE(8), TILE(14)},
    .chain = {[IQ_RUN] = iq_conv_chain_7_avx2, [IQ_TILE] = iq_conv_chain_14_avx2},
    .strassen_sums = iq_strassen_sums_avx2,
    .lanes = 8,
    .winograd_in = {IQ_WINOGRAD_ROW(in, 2, avx2), IQ_WINOGRAD_ROW(in, 4, avx2)},
    .winograd_out = {IQ_WINOGRAD_ROW(out, 2, avx2), IQ_WINOGRAD_ROW(out, 4, avx2)},
    .largest = iq_largest_avx2,
    .finish = iq_finish_avx2,
};
