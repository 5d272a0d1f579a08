/* Winograd's transforms for tiles of 4 x 4 pixels. */
#include "nn/kernels/avx2.h"

#include "nn/kernels/vec_avx2.h"

#include "nn/kernels/winograd_body.h"

DEFINE_TRANSFORMS(4, avx2)
