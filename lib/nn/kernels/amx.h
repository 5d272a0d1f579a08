/* The kernels of the tile units, for their table set_amx.c alone; contracts in bf16.h. */
#ifndef IQ_NN_KERNELS_AMX_H
#define IQ_NN_KERNELS_AMX_H

#include "nn/kernels/bf16.h"

IQ_BF16_TILE_OF(1, amx);
IQ_BF16_TILE_OF(2, amx);
IQ_BF16_TILE_OF(3, amx);
IQ_BF16_TILE_OF(4, amx);
IQ_BF16_TILE_OF(5, amx);
IQ_BF16_TILE_OF(6, amx);
IQ_BF16_TILE_OF(7, amx);
IQ_BF16_TILE_OF(8, amx);
IQ_BF16_TILE_OF(14, amx);

void iq_bf16_done_amx(void);

extern const iq_bf16_set iq_bf16_amx;

#endif
