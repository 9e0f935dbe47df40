/* Twins of the element-wise kernels: one element at a time, every index computed. */
#include "kernel/eltwise.h"

static int64_t count(int rank, const int64_t *dim)
{
    int64_t n = 1;

    for (int i = 0; i < rank; i++)
        n *= dim[i];
    return n;
}

/* Offset of the i-th element in row-major order. */
static int64_t offset_of(int64_t i, int rank, const int64_t *dim, const int64_t *stride)
{
    int64_t offset = 0;

    for (int axis = rank - 1; axis >= 0; axis--) {
        offset += i % dim[axis] * stride[axis];
        i /= dim[axis];
    }
    return offset;
}

void ref_copy(int rank, const int64_t *dim, const float *x, const int64_t *stride_x, float *y)
{
    for (int64_t i = 0; i < count(rank, dim); i++)
        y[i] = x[offset_of(i, rank, dim, stride_x)];
}

void ref_add(int rank, const int64_t *dim, const float *a, const int64_t *stride_a, const float *b,
             const int64_t *stride_b, float *y)
{
    for (int64_t i = 0; i < count(rank, dim); i++)
        y[i] = a[offset_of(i, rank, dim, stride_a)] + b[offset_of(i, rank, dim, stride_b)];
}

void ref_mul(int rank, const int64_t *dim, const float *a, const int64_t *stride_a, const float *b,
             const int64_t *stride_b, float *y)
{
    for (int64_t i = 0; i < count(rank, dim); i++)
        y[i] = a[offset_of(i, rank, dim, stride_a)] * b[offset_of(i, rank, dim, stride_b)];
}

void ref_mean(int rank, const int64_t *dim, unsigned axes, const float *x, float *y)
{
    int64_t kept[KERNEL_MAX_RANK], stride[KERNEL_MAX_RANK], n_out = 1;

    for (int i = rank - 1; i >= 0; i--) {
        kept[i] = axes >> i & 1 ? 1 : dim[i];
        stride[i] = axes >> i & 1 ? 0 : n_out;
        n_out *= kept[i];
    }
    for (int64_t o = 0; o < n_out; o++) {
        double  sum = 0.0;
        int64_t n = 0;

        for (int64_t i = 0; i < count(rank, dim); i++)
            if (offset_of(i, rank, dim, stride) == o) {
                sum += x[i];
                n++;
            }
        y[o] = (float)(sum / (double)n);
    }
}
