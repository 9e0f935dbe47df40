/* set_avx512: the kernels for AVX-512. Only this file is compiled for it; the rest of the
 * program runs anywhere. */
#ifdef __x86_64__

#include "kernel/packed/sets.h"
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,prfchw"))),                 \
    apply_to = function)
#else
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,prfchw")
#endif

#include "kernel/packed/simd_avx512.h"

#include "kernel/packed/body.h"

const struct kernel_table kernel_set_avx512 = KERNEL_SET("avx512");

#ifdef __clang__
#pragma clang attribute pop
#endif

#endif
