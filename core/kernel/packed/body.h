/* body: all kernels, over the vectors of the simd_*.h that was included before. */
#include "kernel/packed.h"
#include "kernel/packed/scratch.h"

#include "kernel/packed/act.h"

#include "kernel/packed/split.h"

#include "kernel/packed/tile.h"

#include "kernel/packed/gemm.h"

#include "kernel/packed/conv.h"
#include "kernel/packed/planes.h"
#include "kernel/packed/pool.h"
#include "kernel/packed/rows.h"
#include "kernel/packed/turn.h"
#include "kernel/packed/winograd.h"

#include "kernel/packed/attention.h"

#define KERNEL_SET(set)                                                                            \
    {                                                                                              \
        .name = #set, .gemm = gemm, .conv = conv, .depthwise = kernel_depthwise_##set,             \
        .planes = planes, .winograd = winograd, .attention_pack_keys = attention_pack_keys,        \
        .attention_pack_values = attention_pack_values, .attention = attention, .act = act,        \
        .epilogue = epilogue, .scale = scale, .scale_panels = scale_panels, .mean = mean,          \
        .max_pool = max_pool, .avg_pool = avg_pool, .layernorm = layernorm,                        \
        .groupnorm = groupnorm, .softmax = softmax, .to_nhwc = to_nhwc, .to_nchw = to_nchw,        \
        .repeat = repeat                                                                           \
    }
