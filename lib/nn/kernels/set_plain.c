/* The table of what any machine runs: no tiles, those are OpenBLAS's. */
#include "nn/kernels/plain.h"

const iq_kernel_set iq_kernels_plain = {
    .isa = IQ_ISA_SCALAR,
    .lanes = 4,
    .winograd_in = {IQ_WINOGRAD_ROW(in, 2, plain), IQ_WINOGRAD_ROW(in, 4, plain)},
    .winograd_out = {IQ_WINOGRAD_ROW(out, 2, plain), IQ_WINOGRAD_ROW(out, 4, plain)},
    .largest = iq_largest_plain,
    .finish = iq_finish_plain,
};
