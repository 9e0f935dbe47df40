/* set_avx512_depthwise: a part of set_avx512.c that is compiled apart, for it takes as long as the
 * rest. */
#ifdef __x86_64__

#include "kernel/packed/sets.h"
#include "kernel/packed/simd_avx512.h"

#include "kernel/packed/body_depthwise.h"

KERNEL_DEPTHWISE(avx512)

#include "kernel/packed/simd_end.h"

#endif
