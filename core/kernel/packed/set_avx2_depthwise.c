/* set_avx2_depthwise: a part of set_avx2.c that is compiled apart, for it takes as long as the
 * rest. */
#ifdef __x86_64__

#include "kernel/packed/sets.h"
#include "kernel/packed/simd_avx2.h"

#include "kernel/packed/body_depthwise.h"

KERNEL_DEPTHWISE(avx2)

#include "kernel/packed/simd_end.h"

#endif
