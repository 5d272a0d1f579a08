#define ISA avx2
#include "nn/kernels/winograd_weights_body.h"
