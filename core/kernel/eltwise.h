/* eltwise: element by element over strided tensors, and sums along axes.
 *
 * A tensor is given by `rank`, dim[rank] and one stride in elements per axis; stride 0
 * repeats an axis (broadcasting). What is not strided is dense and row-major. */
#ifndef KERNEL_ELTWISE_H
#define KERNEL_ELTWISE_H

#include <stddef.h>
#include <stdint.h>

enum { KERNEL_MAX_RANK = 8 };

/* y[m, n] += row[n], row stride ldy */
void kernel_add_row(size_t m, size_t n, const float *row, float *y, size_t ldy);

/* y = x: a permutation, a repetition or a part of x. */
void kernel_copy(int rank, const int64_t *dim, const float *x, const int64_t *stride_x, float *y);
void ref_copy(int rank, const int64_t *dim, const float *x, const int64_t *stride_x, float *y);

/* y = a + b, y = a * b; y may be a or b where that is dense too. */
void kernel_add(int rank, const int64_t *dim, const float *a, const int64_t *stride_a,
                const float *b, const int64_t *stride_b, float *y);
void kernel_mul(int rank, const int64_t *dim, const float *a, const int64_t *stride_a,
                const float *b, const int64_t *stride_b, float *y);
void ref_add(int rank, const int64_t *dim, const float *a, const int64_t *stride_a, const float *b,
             const int64_t *stride_b, float *y);
void ref_mul(int rank, const int64_t *dim, const float *a, const int64_t *stride_a, const float *b,
             const int64_t *stride_b, float *y);

/* The mean of a dense x over the axes whose bit is set in `axes`; y is dense without them. */
void kernel_mean(int rank, const int64_t *dim, unsigned axes, const float *x, float *y);
void ref_mean(int rank, const int64_t *dim, unsigned axes, const float *x, float *y);

#endif
