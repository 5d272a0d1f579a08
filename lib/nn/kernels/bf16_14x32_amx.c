/* 14 pixels x 32 channels on a tile unit. */
#include "nn/kernels/amx.h"

#include "nn/kernels/amx_tiles.h"

#include "nn/kernels/amx_body.h"

DEFINE_TILES(amx)

void iq_bf16_done_amx(void)
{
    TILES_RELEASE();
}
