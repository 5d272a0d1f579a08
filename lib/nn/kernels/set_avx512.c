/* The table of this instruction set. */
#include "nn/kernels/avx512.h"

#define TILE(n) [n] = iq_conv_tile_##n##_avx512

const iq_kernel_set iq_kernels_avx512 = {
    .isa = IQ_ISA_AVX512,
    .cols = 32,
    .tile = {TILE(1), TILE(2), TILE(3), TILE(4), TILE(5), TILE(6), TILE(7), TILE(8), TILE(14)},
    .chain = {[IQ_RUN] = iq_conv_chain_7_avx512, [IQ_TILE] = iq_conv_chain_14_avx512},
    .strassen_sums = iq_strassen_sums_avx512,
    .lanes = 16,
    .winograd_in = {IQ_WINOGRAD_ROW(in, 2, avx512), IQ_WINOGRAD_ROW(in, 4, avx512)},
    .winograd_out = {IQ_WINOGRAD_ROW(out, 2, avx512), IQ_WINOGRAD_ROW(out, 4, avx512)},
    .largest = iq_largest_avx512,
    .finish = iq_finish_avx512,
};
