/* softmax over the middle axis of x [outer, n, inner]: subtract the maximum, e^x,
 * divide by the sum. A line of -inf only, or with NaN or +inf, becomes NaN. */
#ifndef KERNEL_SOFTMAX_H
#define KERNEL_SOFTMAX_H

#include <stddef.h>

/* y may be x */
void kernel_softmax(size_t outer, size_t n, size_t inner, const float *x, float *y);
void ref_softmax(size_t outer, size_t n, size_t inner, const float *x, float *y);

#endif
