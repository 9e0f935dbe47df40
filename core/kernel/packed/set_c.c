/* set_c: the kernels in plain C, for any CPU; the twin of the other sets. */
#include "kernel/packed/sets.h"
#include "kernel/packed/simd_c.h"

#include "kernel/packed/body.h"

const struct kernel_table kernel_set_c = KERNEL_SET(c);
