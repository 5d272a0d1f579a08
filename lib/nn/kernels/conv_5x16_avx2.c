/* 5 pixels x 16 channels: 10 sums of the 16 registers, 2 of weights, 1 or 2 broadcasts. Larger tiles are done piece by
 * piece; the weights come from the first level's cache then. */
#include "nn/kernels/avx2.h"

#include "nn/kernels/vec_avx2.h"

#include "nn/kernels/conv_body.h"

#define DEFINE_TILE(n)                                                                                                 \
    IQ_TILE_OF(n, avx2)                                                                                                \
    {                                                                                                                  \
        tile_rows(tile, 0, n);                                                                                         \
    }

DEFINE_TILE(1)
DEFINE_TILE(2)
DEFINE_TILE(3)
DEFINE_TILE(4)
DEFINE_TILE(5)
DEFINE_TILE(6)

IQ_TILE_OF(7, avx2)
{
    tile_rows(tile, 0, 4);
    tile_rows(tile, 4, 3);
}

IQ_TILE_OF(8, avx2)
{
    tile_rows(tile, 0, 4);
    tile_rows(tile, 4, 4);
}

IQ_TILE_OF(14, avx2)
{
    tile_rows(tile, 0, 5);
    tile_rows(tile, 5, 5);
    tile_rows(tile, 10, 4);
}
