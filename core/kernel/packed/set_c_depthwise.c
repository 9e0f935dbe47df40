/* set_c_depthwise: a part of set_c.c that is compiled apart, for it takes as long as the rest. */
#include "kernel/packed/sets.h"
#include "kernel/packed/simd_c.h"

#include "kernel/packed/body_depthwise.h"

KERNEL_DEPTHWISE(c)
