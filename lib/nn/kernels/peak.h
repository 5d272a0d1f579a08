/* Loops that do nothing but fp32 multiply-adds on registers: what a processor can do at best. */
#ifndef IQ_NN_KERNELS_PEAK_H
#define IQ_NN_KERNELS_PEAK_H

#include <stddef.h>

/** One loop, for one instruction set. */
typedef struct iq_peak_kernel {
    const char *isa;
    int (*fits)(void);          /* non-zero: processor and operating system grant it */
    size_t flops;               /* of one turn, an FMA counting as two */
    float (*run)(size_t turns); /* the sum of all registers, so that no compiler leaves the work out */
} iq_peak_kernel;

extern const iq_peak_kernel iq_peak_amx; /* of bf16 products on tiles; iq_cpu_tiles() is asked */
extern const iq_peak_kernel iq_peak_avx512;
extern const iq_peak_kernel iq_peak_avx512_bf16; /* of bf16 products, summed in fp32 */
extern const iq_peak_kernel iq_peak_avx2;
extern const iq_peak_kernel iq_peak_plain;

#endif
