/* 14 pixels x 32 channels: 28 sums, 2 registers of weights, 1 or 2 broadcasts. */
#include "nn/kernels/avx512.h"

#include "nn/kernels/vec_avx512.h"

#include "nn/kernels/conv_body.h"

#define DEFINE_TILE(n)                                                                                                 \
    IQ_TILE_OF(n, avx512)                                                                                              \
    {                                                                                                                  \
        tile_rows(tile, 0, n);                                                                                         \
    }

DEFINE_TILE(1)
DEFINE_TILE(2)
DEFINE_TILE(3)
DEFINE_TILE(4)
DEFINE_TILE(5)
DEFINE_TILE(6)
DEFINE_TILE(7)
DEFINE_TILE(8)
DEFINE_TILE(14)
