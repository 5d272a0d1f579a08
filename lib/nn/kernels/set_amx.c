/* The table of the tile units. No Winograd: products cost them less than transforms would. What is no product is
 * AVX-512's, which every such processor has. */
#include "nn/kernels/amx.h"
#include "nn/kernels/avx512_bf16.h"

#define TILE(n) [n] = iq_bf16_tile_##n##_amx

const iq_bf16_set iq_bf16_amx = {
    .isa = IQ_ISA_AMX,
    .cols = 32,
    .tile = {TILE(1), TILE(2), TILE(3), TILE(4), TILE(5), TILE(6), TILE(7), TILE(8), TILE(14)},
    .has_planes = true,
    .done = iq_bf16_done_amx,
    .largest = iq_bf16_largest_avx512,
    .narrow = iq_bf16_narrow_avx512,
};
