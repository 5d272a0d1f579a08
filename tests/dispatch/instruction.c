/* instruction SET: runs one instruction of that set. An emulated processor without it must trap, or what runs on that
 * emulator proves nothing. */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *set = argc > 1 ? argv[1] : "";
#if defined(__x86_64__)
    if (strcmp(set, "sse4") == 0)
        __asm__ volatile("pmulld %%xmm0, %%xmm0" ::: "xmm0");
    else if (strcmp(set, "avx") == 0)
        __asm__ volatile("vaddps %%ymm0, %%ymm0, %%ymm0" ::: "xmm0");
    else if (strcmp(set, "avx2") == 0)
        __asm__ volatile("vpaddd %%ymm0, %%ymm0, %%ymm0" ::: "xmm0");
    else if (strcmp(set, "fma") == 0)
        __asm__ volatile("vfmadd213ps %%ymm0, %%ymm0, %%ymm0" ::: "xmm0");
    else if (strcmp(set, "avx512f") == 0)
        __asm__ volatile("vpaddd %%zmm0, %%zmm0, %%zmm0" ::: "xmm0");
    else
        return 2;
    printf("%s ran\n", set);
    return 0;
#else
    (void)set;
    return 2;
#endif
}
