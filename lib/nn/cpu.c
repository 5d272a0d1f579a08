/* Denormals cost a hundredfold per operation, and badly scaled weights decay into them: every thread that computes
 * flushes them, and a host's thread gets its own mode back. */
#include "nn/cpu.h"

#if defined(__x86_64__) || defined(__SSE__)

/* MXCSR: flush-to-zero, denormals-are-zero, all exceptions masked, round to nearest. */
static const uint32_t forward_mode = 0x8000 | 0x0040 | 0x1F80;

uint64_t iq_fp_enter(void)
{
    const uint32_t saved = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(forward_mode);
    return saved;
}

void iq_fp_leave(uint64_t saved)
{
    __builtin_ia32_ldmxcsr((uint32_t)saved);
}

#elif defined(__aarch64__)

/* FPCR: flush-to-zero, everything else as after reset. */
static const uint64_t forward_mode = UINT64_C(1) << 24;

uint64_t iq_fp_enter(void)
{
    uint64_t saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" : : "r"(forward_mode));
    return saved;
}

void iq_fp_leave(uint64_t saved)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(saved));
}

#else

uint64_t iq_fp_enter(void)
{
    return 0;
}

void iq_fp_leave(uint64_t saved)
{
    (void)saved;
}

#endif
