#include "bench/peak.h"

#include <math.h>
#include <time.h>

double bench_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Multiply-adds on registers alone: assembly, because a compiler would leave them out. */
static double fma_seconds(long rounds)
{
    const double start = bench_now();

#ifdef __x86_64__
/* clang-format off */
#define FMA(width, i) "vfmadd231ps %%" width "mm14, %%" width "mm15, %%" width "mm" #i "\n"
#define ROUND(width)                                                                               \
    FMA(width, 0) FMA(width, 1) FMA(width, 2) FMA(width, 3) FMA(width, 4) FMA(width, 5)            \
    FMA(width, 6) FMA(width, 7) FMA(width, 8) FMA(width, 9) FMA(width, 10) FMA(width, 11)
/* clang-format on */
#define CLOBBERED                                                                                  \
    "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
        "xmm11"
    if (__builtin_cpu_supports("avx512f"))
        __asm__ volatile("1:\n" ROUND("z") "dec %0\njnz 1b\nvzeroupper" : "+r"(rounds)::CLOBBERED);
    else if (__builtin_cpu_supports("fma"))
        __asm__ volatile("1:\n" ROUND("y") "dec %0\njnz 1b\nvzeroupper" : "+r"(rounds)::CLOBBERED);
#endif
    return bench_now() - start;
}

double bench_peak(void)
{
    const long rounds = 200000;
    double     best = INFINITY, lanes = 0;

#ifdef __x86_64__
    lanes = __builtin_cpu_supports("avx512f") ? 16 : __builtin_cpu_supports("fma") ? 8 : 0;
#endif
    for (int i = 0; i < 30; i++)
        best = fmin(best, fma_seconds(rounds));
    return (double)rounds * 12 * 2 * lanes / best;
}
