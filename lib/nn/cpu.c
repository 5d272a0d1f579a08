/* Denormals cost a hundredfold per operation, and badly scaled weights decay into them: every thread that computes
 * flushes them, and a host's thread gets its own mode back. */
#include "nn/cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Bits of XCR0, which says whose registers the operating system saves. */
static const uint64_t avx_state = 0x06, avx512_state = 0xE6, tile_state = 0x60000;

static uint64_t granted_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* A hypervisor may show a new model without its features, or features without their state: only the bits count. */
iq_isa iq_cpu_isa(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA) || !(c & bit_AVX))
        return IQ_ISA_SCALAR;
    const uint64_t state = granted_state();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2) || (state & avx_state) != avx_state)
        return IQ_ISA_SCALAR;
    const unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((b & avx512) != avx512 || (state & avx512_state) != avx512_state)
        return IQ_ISA_AVX2;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & bit_AVX512BF16) ? IQ_ISA_AVX512_BF16 : IQ_ISA_AVX512;
}

/* Linux saves tiles only for processes that ask: 8 KiB more a thread. From then on all its threads may use them. */
static bool grants_tiles(void)
{
#ifdef __linux__
    enum { ARCH_REQUEST_STATE = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQUEST_STATE, TILE_DATA) == 0;
#else
    return false;
#endif
}

bool iq_cpu_tiles(void)
{
    unsigned a, b, c, d;
    if (iq_cpu_isa() < IQ_ISA_AVX512_BF16 || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return false;
    const unsigned tiles = bit_AMX_TILE | bit_AMX_BF16;
    return (d & tiles) == tiles && (granted_state() & tile_state) == tile_state && grants_tiles();
}

#else

iq_isa iq_cpu_isa(void)
{
    return IQ_ISA_SCALAR;
}

bool iq_cpu_tiles(void)
{
    return false;
}

#endif

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
