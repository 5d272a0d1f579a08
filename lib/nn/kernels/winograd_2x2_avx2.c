/* Winograd's transforms for tiles of 2 x 2 pixels. */
#include "nn/kernels/avx2.h"

#include "nn/kernels/vec_avx2.h"

#include "nn/kernels/winograd_body.h"

DEFINE_TRANSFORMS(2, avx2)
