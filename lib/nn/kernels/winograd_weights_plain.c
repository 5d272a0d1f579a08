#define ISA plain
#include "nn/kernels/winograd_weights_body.h"
