/* set_avx2: the kernels for AVX2 and FMA. */
#ifdef __x86_64__

#include "kernel/packed/sets.h"
#include "kernel/packed/simd_avx2.h"

#include "kernel/packed/body.h"

const struct kernel_table kernel_set_avx2 = KERNEL_SET(avx2);

#include "kernel/packed/simd_end.h"

#endif
