/* The processor: what it can do, and the thread's floating-point mode during a forward pass (round to nearest,
 * denormals are zero, nothing traps). */
#ifndef IQ_NN_CPU_H
#define IQ_NN_CPU_H

#include <stdbool.h>
#include <stdint.h>

/** Each contains those before it. AVX2: with FMA. AVX-512: F, BW, DQ and VL. */
typedef enum iq_isa {
    IQ_ISA_SCALAR = 0,
    IQ_ISA_AVX2 = 1,
    IQ_ISA_AVX512 = 2,
    IQ_ISA_AVX512_BF16 = 3,
    IQ_ISA_AMX = 4
} iq_isa;

/** The best that processor and operating system grant, but for IQ_ISA_AMX. */
iq_isa iq_cpu_isa(void);
/** Whether there are tile units for bf16 (IQ_ISA_AMX), and the operating system grants them to this process when asked.
 */
bool iq_cpu_tiles(void);

/** @return what iq_fp_leave() restores, flags included */
uint64_t iq_fp_enter(void);
void iq_fp_leave(uint64_t saved);

#endif
