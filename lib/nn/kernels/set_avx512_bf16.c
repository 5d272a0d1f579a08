/* The table of AVX-512's bf16 kernels. */
#include "nn/kernels/avx512_bf16.h"

#define TILE(n) [n] = iq_bf16_tile_##n##_avx512

const iq_bf16_set iq_bf16_avx512 = {
    .isa = IQ_ISA_AVX512_BF16,
    .cols = 32,
    .tile = {TILE(1), TILE(2), TILE(3), TILE(4), TILE(5), TILE(6), TILE(7), TILE(8), TILE(14)},
    .lanes = 16,
    .winograd_in = {iq_bf16_winograd_in_2x2_avx512, iq_bf16_winograd_in_4x4_avx512},
    .winograd_out = {iq_bf16_winograd_out_2x2_avx512, iq_bf16_winograd_out_4x4_avx512},
    .largest = iq_bf16_largest_avx512,
    .narrow = iq_bf16_narrow_avx512,
};
