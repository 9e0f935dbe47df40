/* set_avx512: the kernels for AVX-512. */
#ifdef __x86_64__

#include "kernel/packed/sets.h"
#include "kernel/packed/simd_avx512.h"

#include "kernel/packed/body.h"

const struct kernel_table kernel_set_avx512 = KERNEL_SET(avx512);

#include "kernel/packed/simd_end.h"

#endif
