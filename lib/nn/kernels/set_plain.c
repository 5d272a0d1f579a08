/* The table of what any machine runs: no tiles, those are OpenBLAS's. */
#include "nn/kernels/plain.h"

const iq_kernel_set iq_kernels_plain = {
    .isa = IQ_ISA_SCALAR,
    .lanes = 4,
    .winograd_in = {iq_winograd_in_2x2_plain, iq_winograd_in_4x4_plain},
    .winograd_out = {iq_winograd_out_2x2_plain, iq_winograd_out_4x4_plain},
    .largest = iq_largest_plain,
};
