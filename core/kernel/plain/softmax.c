/* softmax in single precision, each line in three passes; a long sum needs a double. */
#include "kernel/softmax.h"

#include <math.h>

#include "kernel/packed.h"

static void softmax_strided(size_t n, size_t stride, const float *x, float *y)
{
    float  max = -INFINITY;
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        max = x[i * stride] > max ? x[i * stride] : max;
    for (size_t i = 0; i < n; i++) {
        y[i * stride] = expf(x[i * stride] - max);
        sum += y[i * stride];
    }
    for (size_t i = 0; i < n; i++)
        y[i * stride] /= (float)sum;
}

void kernel_softmax(size_t outer, size_t n, size_t inner, const float *x, float *y)
{
    if (inner == 1) { /* the common case: lines are contiguous */
        kernel_table()->softmax((long)outer, (long)n, x, (long)n, y, (long)n);
        return;
    }
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++)
            softmax_strided(n, inner, x + o * n * inner + i, y + o * n * inner + i);
}
