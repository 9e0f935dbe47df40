/* packed: from operators' tensors to the arguments of the packed kernels. */
#include "op/packed.h"

struct kernel_weight op_packed_weight(const sn_tensor *whole)
{
    const int64_t *dim = whole->shape.dim, *ld = whole->stride;
    const bool     taps = whole->shape.rank == 4;

    return (struct kernel_weight){.data = whole->data,
                                  .n = dim[0],
                                  .k = dim[1],
                                  .kernel_h = taps ? dim[2] : 1,
                                  .kernel_w = taps ? dim[3] : 1,
                                  .ld_n = ld[0],
                                  .ld_k = ld[1],
                                  .ld_y = taps ? ld[2] : 1,
                                  .ld_x = 1};
}

size_t op_packed_bytes(const sn_tensor *whole, size_t k)
{
    struct kernel_weight w;

    if (k != 0) return 0;
    w = op_packed_weight(whole);
    return kernel_pack_bytes(&w);
}

void op_pack(const sn_tensor *whole, size_t k, void *packed)
{
    const struct kernel_weight w = op_packed_weight(whole);

    (void)k;
    kernel_pack(&w, packed);
}

static enum kernel_act kernel_act_of(sn_act act)
{
    static const enum kernel_act map[] = {
        [SN_ACT_NONE] = KERNEL_ACT_NONE,
        [SN_ACT_RELU] = KERNEL_ACT_RELU,
        [SN_ACT_RELU6] = KERNEL_ACT_RELU6,
        [SN_ACT_HARDSWISH] = KERNEL_ACT_HARDSWISH,
        [SN_ACT_HARDSIGMOID] = KERNEL_ACT_HARDSIGMOID,
        [SN_ACT_SILU] = KERNEL_ACT_SILU,
        [SN_ACT_SIGMOID] = KERNEL_ACT_SIGMOID,
        [SN_ACT_TANH] = KERNEL_ACT_TANH,
        [SN_ACT_GELU] = KERNEL_ACT_GELU,
    };

    return map[act];
}

struct kernel_epilogue op_packed_epilogue(const sn_epilogue *e, const float *bias, int64_t n,
                                          float *merged)
{
    struct kernel_epilogue k = {
        .scale = e->scale, .shift = e->shift ? e->shift : bias, .act = kernel_act_of(e->act)};

    if (e->shift && bias) {
        for (int64_t i = 0; i < n; i++)
            merged[i] = bias[i] * e->scale[i] + e->shift[i];
        k.shift = merged;
    }
    if (e->residual) k.residual = e->residual->data;
    return k;
}
