/* norm2d: moments in double precision, scale and shift in single. */
#include "kernel/norm2d.h"

/* Four sums side by side, so that an addition need not wait for the one before. */
enum { LANES = 4 };

static double sum_of(ptrdiff_t n, const float *x)
{
    double    sum[LANES] = {0};
    ptrdiff_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            sum[l] += x[i + l];
    for (; i < n; i++)
        sum[0] += x[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static double sum_of_squares(ptrdiff_t n, const float *x, double mean)
{
    double    sum[LANES] = {0};
    ptrdiff_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            sum[l] += (x[i + l] - mean) * (x[i + l] - mean);
    for (; i < n; i++)
        sum[0] += (x[i] - mean) * (x[i] - mean);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Two passes: subtracting the mean first keeps the variance exact where the mean is
 * large beside it. */
void kernel_moments(ptrdiff_t n, ptrdiff_t plane, ptrdiff_t stride, const float *x,
                    double *ret_mean, double *ret_var)
{
    double mean = 0.0, var = 0.0;

    for (ptrdiff_t i = 0; i < n; i++)
        mean += sum_of(plane, x + i * stride);
    mean /= (double)n * (double)plane;
    for (ptrdiff_t i = 0; i < n; i++)
        var += sum_of_squares(plane, x + i * stride, mean);
    *ret_mean = mean;
    *ret_var = var / ((double)n * (double)plane);
}

/* Four floats at any address. */
typedef float vec4 __attribute__((vector_size(16), aligned(4), may_alias));

void kernel_scale_shift(ptrdiff_t n, ptrdiff_t c, ptrdiff_t plane, const float *x,
                        const float *scale, const float *shift, float *y)
{
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t j = 0; j < c; j++, x += plane, y += plane) {
            const float a = scale[j], b = shift[j];
            ptrdiff_t   k = 0;

            for (; k + 4 <= plane; k += 4)
                *(vec4 *)(y + k) = *(const vec4 *)(x + k) * a + b;
            for (; k < plane; k++)
                y[k] = x[k] * a + b;
        }
}

void kernel_normalise(ptrdiff_t n, ptrdiff_t c, ptrdiff_t plane, const float *x,
                      const float *centre, const float *scale, const float *shift, float *y)
{
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t j = 0; j < c; j++, x += plane, y += plane) {
            const float m = centre[j], a = scale[j], b = shift[j];
            ptrdiff_t   k = 0;

            for (; k + 4 <= plane; k += 4)
                *(vec4 *)(y + k) = (*(const vec4 *)(x + k) - m) * a + b;
            for (; k < plane; k++)
                y[k] = (x[k] - m) * a + b;
        }
}
