/* Which sets there are, best first. */
#include "nn/kernels/set.h"
#include "nn/kernels/bf16.h"

#include "nn/kernels/plain.h"

#if defined(__x86_64__)
#include "nn/kernels/amx.h"
#include "nn/kernels/avx2.h"
#include "nn/kernels/avx512.h"
#include "nn/kernels/avx512_bf16.h"

static const iq_kernel_set *const sets[] = {&iq_kernels_avx512, &iq_kernels_avx2};
static const iq_bf16_set *const bf16_sets[] = {&iq_bf16_amx, &iq_bf16_avx512};

const iq_kernel_set *iq_kernels_best(iq_isa at_most)
{
    const iq_isa has = iq_cpu_isa();
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (sets[i]->isa <= has && sets[i]->isa <= at_most)
            return sets[i];
    return NULL;
}

const iq_bf16_set *iq_bf16_best(iq_isa at_most)
{
    const iq_isa has = iq_cpu_isa();
    for (size_t i = 0; i < sizeof bf16_sets / sizeof *bf16_sets; i++)
        if (bf16_sets[i]->isa <= at_most &&
            (bf16_sets[i]->isa <= has || (bf16_sets[i]->isa == IQ_ISA_AMX && iq_cpu_tiles())))
            return bf16_sets[i];
    return NULL;
}

#else

const iq_kernel_set *iq_kernels_best(iq_isa at_most)
{
    (void)at_most;
    return NULL;
}

const iq_bf16_set *iq_bf16_best(iq_isa at_most)
{
    (void)at_most;
    return NULL;
}

#endif

const iq_kernel_set *iq_kernels_vectors(iq_isa at_most)
{
    const iq_kernel_set *best = iq_kernels_best(at_most);
    return best != NULL ? best : &iq_kernels_plain;
}
