/* table: which set of kernels this CPU runs. */
#include "kernel/packed/sets.h"

/* Best first. __builtin_cpu_supports asks the CPU and the operating system, once a process. */
const struct kernel_table *kernel_table_at(int i)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && i-- == 0)
        return &kernel_set_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && i-- == 0)
        return &kernel_set_avx2;
#endif
    return i == 0 ? &kernel_set_c : NULL;
}

const struct kernel_table *kernel_table(void)
{
    return kernel_table_at(0);
}
