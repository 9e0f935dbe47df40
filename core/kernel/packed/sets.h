/* sets: the kernel tables of packed.h, one for each kind of CPU. */
#ifndef KERNEL_PACKED_SETS_H
#define KERNEL_PACKED_SETS_H

#include "kernel/packed.h"

extern const struct kernel_table kernel_set_c;
#ifdef __x86_64__
extern const struct kernel_table kernel_set_avx2, kernel_set_avx512;
#endif

#endif
