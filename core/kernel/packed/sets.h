/* sets: the kernel tables of packed.h, one for each kind of CPU. */
#ifndef KERNEL_PACKED_SETS_H
#define KERNEL_PACKED_SETS_H

#include "kernel/packed.h"

extern const struct kernel_table kernel_set_c;
#ifdef __x86_64__
extern const struct kernel_table kernel_set_avx2, kernel_set_avx512;
#endif

/* Depthwise kernels are compiled apart (set_*_depthwise.c), so that the sets take half as long. */
typedef void     kernel_depthwise(const struct packed_conv *s, long y0, long y1, long c0, long c1);
kernel_depthwise kernel_depthwise_c, kernel_depthwise_avx2, kernel_depthwise_avx512;

#endif
