/* norm2d: normalisation along channels.
 *
 *   x [n, c, plane]   dense; plane is the product of all axes after the channels
 *   y [n, c, plane]   may be x */
#ifndef KERNEL_NORM2D_H
#define KERNEL_NORM2D_H

#include <stddef.h>

/* Mean and biased variance of the n blocks of `plane` numbers that are `stride`
 * apart: of one channel with stride c * plane, of a group of channels with n = 1. */
void kernel_moments(ptrdiff_t n, ptrdiff_t plane, ptrdiff_t stride, const float *x,
                    double *ret_mean, double *ret_var);

/* y[i, j, :] = x[i, j, :] * scale[j] + shift[j] */
void kernel_scale_shift(ptrdiff_t n, ptrdiff_t c, ptrdiff_t plane, const float *x,
                        const float *scale, const float *shift, float *y);

/* y[i, j, :] = (x[i, j, :] - centre[j]) * scale[j] + shift[j]: where x is its own centre the result
 * is the shift to the bit, which a scale of 1 / sqrt(eps) and two roundings would not give. */
void kernel_normalise(ptrdiff_t n, ptrdiff_t c, ptrdiff_t plane, const float *x,
                      const float *centre, const float *scale, const float *shift, float *y);

/* Their twins. */
void ref_moments(ptrdiff_t n, ptrdiff_t plane, ptrdiff_t stride, const float *x, double *ret_mean,
                 double *ret_var);
void ref_scale_shift(ptrdiff_t n, ptrdiff_t c, ptrdiff_t plane, const float *x, const float *scale,
                     const float *shift, float *y);
void ref_normalise(ptrdiff_t n, ptrdiff_t c, ptrdiff_t plane, const float *x, const float *centre,
                   const float *scale, const float *shift, float *y);

#endif
