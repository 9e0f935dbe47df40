/* activation: y[i] = f(x[i]), as PyTorch computes it. NaN stays NaN; y may be x. */
#ifndef KERNEL_ACTIVATION_H
#define KERNEL_ACTIVATION_H

#include <stddef.h>

typedef void kernel_activation(size_t n, const float *x, float *y);

kernel_activation kernel_relu;        /* max(x, 0) */
kernel_activation kernel_relu6;       /* min(max(x, 0), 6) */
kernel_activation kernel_hardsigmoid; /* relu6(x + 3) / 6 */
kernel_activation kernel_hardswish;   /* x relu6(x + 3) / 6 */
kernel_activation kernel_sigmoid;     /* 1 / (1 + e^-x) */
kernel_activation kernel_silu;        /* x sigmoid(x) */
kernel_activation kernel_tanh;
kernel_activation kernel_gelu;      /* x/2 (1 + erf(x / sqrt 2)) */
kernel_activation kernel_gelu_tanh; /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */

/* The twins, in double precision. */
kernel_activation ref_relu;
kernel_activation ref_relu6;
kernel_activation ref_hardsigmoid;
kernel_activation ref_hardswish;
kernel_activation ref_sigmoid;
kernel_activation ref_silu;
kernel_activation ref_tanh;
kernel_activation ref_gelu;
kernel_activation ref_gelu_tanh;

#endif
