/* body_depthwise: the depthwise kernel, over the vectors of the simd_*.h that was included before.
 */
#include "kernel/packed.h"

#include "kernel/packed/act.h"

#include "kernel/packed/split.h"

#include "kernel/packed/depthwise.h"

#define KERNEL_DEPTHWISE(set)                                                                      \
    void kernel_depthwise_##set(const struct packed_conv *s, long y0, long y1, long c0, long c1)   \
    {                                                                                              \
        depthwise(s, y0, y1, c0, c1);                                                              \
    }
