#define ISA avx512
#include "nn/kernels/winograd_weights_body.h"
