/* Activations, one function each, over the vectors of this CPU (packed.h). */
#include "kernel/activation.h"

#include "kernel/packed.h"

#define ACTIVATION(name, which)                                                                    \
    void kernel_##name(size_t n, const float *x, float *y)                                         \
    {                                                                                              \
        kernel_table()->act(which, n, x, y);                                                       \
    }

ACTIVATION(relu, KERNEL_ACT_RELU)
ACTIVATION(relu6, KERNEL_ACT_RELU6)
ACTIVATION(hardsigmoid, KERNEL_ACT_HARDSIGMOID)
ACTIVATION(hardswish, KERNEL_ACT_HARDSWISH)
ACTIVATION(sigmoid, KERNEL_ACT_SIGMOID)
ACTIVATION(silu, KERNEL_ACT_SILU)
ACTIVATION(tanh, KERNEL_ACT_TANH)
ACTIVATION(gelu, KERNEL_ACT_GELU)
ACTIVATION(gelu_tanh, KERNEL_ACT_GELU_TANH)
