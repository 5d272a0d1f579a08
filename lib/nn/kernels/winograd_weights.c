/* Which instruction set transforms weights. */
#include "nn/kernels/winograd_weights.h"

iq_winograd_weights_fn iq_winograd_weights(iq_isa isa, size_t tile)
{
#if defined(__x86_64__)
    if (isa >= IQ_ISA_AVX512)
        return tile == 2 ? iq_winograd_weights_2x2_avx512 : iq_winograd_weights_4x4_avx512;
    if (isa >= IQ_ISA_AVX2)
        return tile == 2 ? iq_winograd_weights_2x2_avx2 : iq_winograd_weights_4x4_avx2;
#endif
    (void)isa;
    return tile == 2 ? iq_winograd_weights_2x2_plain : iq_winograd_weights_4x4_plain;
}
