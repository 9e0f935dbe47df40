/* pool: the largest or the mean number of each window of an image.
 *
 *   x [planes, h, w]           dense
 *   y [planes, out_h, out_w]   dense, must not overlap x
 *
 * A window starts at out * stride - pad and may hang over every edge, but has at
 * least one element inside x. */
#ifndef KERNEL_POOL_H
#define KERNEL_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool_shape {
    ptrdiff_t planes;
    int       h, w, out_h, out_w;
    int       kernel_h, kernel_w;
    int       stride_h, stride_w;
    int       pad_h, pad_w;           /* before the first row and column, */
    int       dilation_h, dilation_w; /* and, for the mean, after the last */
};

/* Not a number wins over every number. */
void kernel_max_pool(const struct pool_shape *s, const float *x, float *y);

/* The sum over a window by `divisor`, or if that is 0 by the number of its elements:
 * inside x, or with `count_pad` inside x and its padding. Dilation is not used; a
 * window without any element gives 0. */
void kernel_avg_pool(const struct pool_shape *s, bool count_pad, double divisor, const float *x,
                     float *y);

/* Output i averages [i * h / out_h, (i + 1) * h / out_h), rounded outwards. */
void kernel_adaptive_avg_pool(ptrdiff_t planes, int h, int w, int out_h, int out_w, const float *x,
                              float *y);

/* Their twins. */
void ref_max_pool(const struct pool_shape *s, const float *x, float *y);
void ref_avg_pool(const struct pool_shape *s, bool count_pad, double divisor, const float *x,
                  float *y);
void ref_adaptive_avg_pool(ptrdiff_t planes, int h, int w, int out_h, int out_w, const float *x,
                           float *y);

#endif
