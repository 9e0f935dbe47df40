/* layernorm: the mean first, then the squares around it, which does not cancel for rows far from
 * zero. The mean is taken around the first number, so that of equal numbers it is that number.
 * Sums are of floats in stretches, and of these in a double. */
#include "kernel/layernorm.h"

#include <math.h>

/* Eight sums side by side: shorter chains, smaller rounding errors. */
enum { LANES = 8, STRETCH = 512 };

static float sum_lanes(const float *sum)
{
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

static float stretch_sum(size_t n, const float *x, float centre)
{
    float  sum[LANES] = {0};
    size_t i;

    for (i = 0; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            sum[j] += x[i + j] - centre;
    for (size_t j = 0; j < LANES && i < n; i++, j++)
        sum[j] += x[i] - centre;
    return sum_lanes(sum);
}

static float stretch_squares(size_t n, const float *x, float centre)
{
    float  sum[LANES] = {0};
    size_t i;

    for (i = 0; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            sum[j] += (x[i + j] - centre) * (x[i + j] - centre);
    for (size_t j = 0; j < LANES && i < n; i++, j++)
        sum[j] += (x[i] - centre) * (x[i] - centre);
    return sum_lanes(sum);
}

static double row_sum(size_t n, const float *x, float centre,
                      float (*stretch)(size_t n, const float *x, float centre))
{
    double sum = 0.0;

    for (; n > STRETCH; n -= STRETCH, x += STRETCH)
        sum += stretch(STRETCH, x, centre);
    return sum + stretch(n, x, centre);
}

void kernel_layernorm(size_t m, size_t n, const float *x, const float *weight, const float *bias,
                      float eps, float *y)
{
    for (size_t r = 0; r < m && n > 0; r++, x += n, y += n) {
        const float mean = (float)(x[0] + row_sum(n, x, x[0], stretch_sum) / (double)n);
        const float var = (float)(row_sum(n, x, mean, stretch_squares) / (double)n);
        const float scale = 1.0f / sqrtf(var + eps);

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
