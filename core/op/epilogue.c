/* epilogue: scale, shift, residual and activation in one pass over data that is still in the cache.
 */
#include "op/op_internal.h"

kernel_activation *op_activation(sn_act act)
{
    static kernel_activation *const kernel[] = {
        [SN_ACT_RELU] = kernel_relu,           [SN_ACT_RELU6] = kernel_relu6,
        [SN_ACT_HARDSWISH] = kernel_hardswish, [SN_ACT_HARDSIGMOID] = kernel_hardsigmoid,
        [SN_ACT_SILU] = kernel_silu,           [SN_ACT_SIGMOID] = kernel_sigmoid,
        [SN_ACT_TANH] = kernel_tanh,           [SN_ACT_GELU] = kernel_gelu,
    };

    return kernel[act];
}

enum { STRIP = 2048 }; /* floats at a time, so that they stay in the first-level cache */

void op_epilogue(int64_t n, int64_t c, int64_t plane, const sn_epilogue *e, float *y)
{
    kernel_activation *act = op_activation(e->act);
    const float       *residual = e->residual ? e->residual->data : NULL;
    const int64_t      count = n * c * plane;

    if (e->scale) { /* channel by channel */
        for (int64_t row = 0; row < n * c; row++) {
            const float scale = e->scale[row % c], shift = e->shift[row % c];
            float      *at = y + row * plane;

            if (residual)
                for (int64_t i = 0; i < plane; i++)
                    at[i] = at[i] * scale + shift + residual[row * plane + i];
            else
                for (int64_t i = 0; i < plane; i++)
                    at[i] = at[i] * scale + shift;
            if (act) act((size_t)plane, at, at);
        }
        return;
    }
    if (!residual && !act) return;
    for (int64_t at = 0; at < count; at += STRIP) {
        const int64_t part = count - at < STRIP ? count - at : STRIP;

        for (int64_t i = at; residual && i < at + part; i++)
            y[i] += residual[i];
        if (act) act((size_t)part, y + at, y + at);
    }
}
