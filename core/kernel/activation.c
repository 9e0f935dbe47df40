/* Activations in single precision. Comparisons are written so that NaN fails
 * them and passes through. */
#include "kernel/activation.h"

#include <math.h>

static inline float clamp6(float x)
{
    return x < 0.0f ? 0.0f : x > 6.0f ? 6.0f : x;
}

void kernel_relu(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

void kernel_relu6(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = clamp6(x[i]);
}

void kernel_hardsigmoid(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = clamp6(x[i] + 3.0f) / 6.0f;
}

void kernel_hardswish(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * (clamp6(x[i] + 3.0f) / 6.0f);
}

void kernel_sigmoid(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = 1.0f / (1.0f + expf(-x[i]));
}

void kernel_silu(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] / (1.0f + expf(-x[i]));
}

void kernel_tanh(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = tanhf(x[i]);
}

void kernel_gelu(size_t n, const float *x, float *y)
{
    const float sqrt_half = 0.70710678118654752f;

    for (size_t i = 0; i < n; i++)
        y[i] = 0.5f * x[i] * (1.0f + erff(x[i] * sqrt_half));
}

void kernel_gelu_tanh(size_t n, const float *x, float *y)
{
    const float sqrt_2_over_pi = 0.79788456080286536f;

    for (size_t i = 0; i < n; i++) {
        const float inner = x[i] + 0.044715f * x[i] * x[i] * x[i];

        y[i] = 0.5f * x[i] * (1.0f + tanhf(sqrt_2_over_pi * inner));
    }
}
