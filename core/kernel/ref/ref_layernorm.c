/* Twin of layernorm, in double precision. */
#include <math.h>

#include "kernel/layernorm.h"

void ref_layernorm(size_t m, size_t n, const float *x, const float *weight, const float *bias,
                   float eps, float *y)
{
    for (size_t r = 0; r < m; r++) {
        double mean = 0.0, variance = 0.0;

        for (size_t i = 0; i < n; i++)
            mean += x[r * n + i] / (double)n;
        for (size_t i = 0; i < n; i++)
            variance += (x[r * n + i] - mean) * (x[r * n + i] - mean) / (double)n;
        for (size_t i = 0; i < n; i++)
            y[r * n + i] =
                (float)((x[r * n + i] - mean) / sqrt(variance + eps) * (weight ? weight[i] : 1.0) +
                        (bias ? bias[i] : 0.0));
    }
}
