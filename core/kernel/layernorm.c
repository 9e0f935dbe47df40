/* layernorm: the mean first, then the squares around it, which does not cancel for rows far from
 * zero. In doubles, so that the mean of equal numbers is that number. */
#include "kernel/layernorm.h"

#include <math.h>

/* Eight sums side by side, so that an addition need not wait for the one before. */
enum { LANES = 8 };

static double sum_lanes(const double *sum)
{
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

static double row_mean(size_t n, const float *x)
{
    double sum[LANES] = {0};
    size_t i;

    for (i = 0; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            sum[j] += x[i + j];
    for (size_t j = 0; i < n; i++, j++)
        sum[j] += x[i];
    return sum_lanes(sum) / (double)n;
}

static double row_variance(size_t n, const float *x, double mean)
{
    double sum[LANES] = {0};
    size_t i;

    for (i = 0; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            sum[j] += (x[i + j] - mean) * (x[i + j] - mean);
    for (size_t j = 0; i < n; i++, j++)
        sum[j] += (x[i] - mean) * (x[i] - mean);
    return sum_lanes(sum) / (double)n;
}

void kernel_layernorm(size_t m, size_t n, const float *x, const float *weight, const float *bias,
                      float eps, float *y)
{
    for (size_t r = 0; r < m; r++, x += n, y += n) {
        const float mean = (float)row_mean(n, x);
        const float scale = 1.0f / sqrtf((float)row_variance(n, x, mean) + eps);

        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * scale;
        if (weight)
            for (size_t i = 0; i < n; i++)
                y[i] *= weight[i];
        if (bias)
            for (size_t i = 0; i < n; i++)
                y[i] += bias[i];
    }
}
