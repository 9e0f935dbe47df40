/* ref_norm2d: the twins of norm2d.c. */
#include "kernel/norm2d.h"

void ref_moments(ptrdiff_t n, ptrdiff_t plane, ptrdiff_t stride, const float *x, double *ret_mean,
                 double *ret_var)
{
    const double count = (double)n * (double)plane;
    double       mean = 0.0, var = 0.0;

    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t k = 0; k < plane; k++)
            mean += x[i * stride + k] / count;
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t k = 0; k < plane; k++)
            var += (x[i * stride + k] - mean) * (x[i * stride + k] - mean) / count;
    *ret_mean = mean;
    *ret_var = var;
}

void ref_scale_shift(ptrdiff_t n, ptrdiff_t c, ptrdiff_t plane, const float *x, const float *scale,
                     const float *shift, float *y)
{
    for (ptrdiff_t i = 0; i < n * c * plane; i++)
        y[i] = x[i] * scale[i / plane % c] + shift[i / plane % c];
}

void ref_normalise(ptrdiff_t n, ptrdiff_t c, ptrdiff_t plane, const float *x, const float *centre,
                   const float *scale, const float *shift, float *y)
{
    for (ptrdiff_t i = 0; i < n * c * plane; i++) {
        const ptrdiff_t j = i / plane % c;

        y[i] = (float)(((double)x[i] - centre[j]) * scale[j] + shift[j]);
    }
}
