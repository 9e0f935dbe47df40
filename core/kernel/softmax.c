/* softmax in single precision, each line in three passes. */
#include "kernel/softmax.h"

#include <math.h>

/* The common case: a line is contiguous. */
static void softmax_row(size_t n, const float *x, float *y)
{
    float max = -INFINITY, sum = 0.0f;

    for (size_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++) {
        y[i] = expf(x[i] - max);
        sum += y[i];
    }
    for (size_t i = 0; i < n; i++)
        y[i] /= sum;
}

static void softmax_strided(size_t n, size_t stride, const float *x, float *y)
{
    float max = -INFINITY, sum = 0.0f;

    for (size_t i = 0; i < n; i++)
        max = x[i * stride] > max ? x[i * stride] : max;
    for (size_t i = 0; i < n; i++) {
        y[i * stride] = expf(x[i * stride] - max);
        sum += y[i * stride];
    }
    for (size_t i = 0; i < n; i++)
        y[i * stride] /= sum;
}

void kernel_softmax(size_t outer, size_t n, size_t inner, const float *x, float *y)
{
    for (size_t o = 0; o < outer; o++) {
        const size_t at = o * n * inner;

        if (inner == 1)
            softmax_row(n, x + at, y + at);
        else
            for (size_t i = 0; i < inner; i++)
                softmax_strided(n, inner, x + at + i, y + at + i);
    }
}
