/* layernorm: every row of x [m, n] to mean 0 and (biased) variance 1, then times
 * weight [n] plus bias [n]; both may be NULL. y may be x. */
#ifndef KERNEL_LAYERNORM_H
#define KERNEL_LAYERNORM_H

#include <stddef.h>

void kernel_layernorm(size_t m, size_t n, const float *x, const float *weight, const float *bias,
                      float eps, float *y);
void ref_layernorm(size_t m, size_t n, const float *x, const float *weight, const float *bias,
                   float eps, float *y);

#endif
