/* Strided element-wise loops. Neighbouring axes that every operand crosses with one
 * stride are joined first, so that most calls end as one or two plain loops over
 * memory; the innermost axis then runs with stride 1 or 0 where it can. */
#include "kernel/eltwise.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { MAX_OPERANDS = 3 };

/* An iteration space with the strides of up to three operands. */
struct loop {
    int     rank, n;
    int64_t dim[KERNEL_MAX_RANK];
    int64_t stride[MAX_OPERANDS][KERNEL_MAX_RANK];
};

static void dense_strides(int rank, const int64_t *dim, int64_t *ret_stride)
{
    int64_t stride = 1;

    for (int i = rank - 1; i >= 0; i--) {
        ret_stride[i] = stride;
        stride *= dim[i];
    }
}

/* Is axis `i` the continuation of the last axis of `l` for every operand? */
static bool joins(const struct loop *l, const int64_t *const *stride, int i, int64_t n)
{
    if (l->rank == 0) return false;
    for (int k = 0; k < l->n; k++)
        if (l->stride[k][l->rank - 1] != stride[k][i] * n) return false;
    return true;
}

/* Axes of size 1 are dropped, axes that join are joined; at least one axis is left. */
static struct loop loop_make(int rank, const int64_t *dim, int n, const int64_t *const *stride)
{
    struct loop l = {.n = n};

    for (int i = 0; i < rank; i++) {
        if (dim[i] == 1) continue;
        if (joins(&l, stride, i, dim[i]))
            l.dim[l.rank - 1] *= dim[i];
        else
            l.dim[l.rank++] = dim[i];
        for (int k = 0; k < n; k++)
            l.stride[k][l.rank - 1] = stride[k][i];
    }
    if (l.rank == 0) l.dim[l.rank++] = 1;
    return l;
}

static bool loop_empty(const struct loop *l)
{
    for (int i = 0; i < l->rank; i++)
        if (l->dim[i] <= 0) return true;
    return false;
}

/* The next row of the outer axes: moves the offsets; false after the last. */
static bool loop_next(const struct loop *l, int64_t *index, int64_t *offset)
{
    for (int i = l->rank - 2; i >= 0; i--) {
        for (int k = 0; k < l->n; k++)
            offset[k] += l->stride[k][i];
        if (++index[i] < l->dim[i]) return true;
        for (int k = 0; k < l->n; k++)
            offset[k] -= l->stride[k][i] * l->dim[i];
        index[i] = 0;
    }
    return false;
}

void kernel_add_row(size_t m, size_t n, const float *row, float *y, size_t ldy)
{
    for (size_t i = 0; i < m; i++, y += ldy)
        for (size_t j = 0; j < n; j++)
            y[j] += row[j];
}

static void copy_row(int64_t n, const float *x, int64_t sx, float *y)
{
    if (sx == 1)
        memcpy(y, x, (size_t)n * sizeof *y);
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = x[i * sx];
}

void kernel_copy(int rank, const int64_t *dim, const float *x, const int64_t *stride_x, float *y)
{
    int64_t        stride_y[KERNEL_MAX_RANK];
    const int64_t *strides[] = {stride_x, stride_y};
    struct loop    l;
    int64_t        index[KERNEL_MAX_RANK] = {0}, offset[2] = {0};
    int            last;

    dense_strides(rank, dim, stride_y);
    l = loop_make(rank, dim, 2, strides);
    last = l.rank - 1;
    for (bool more = !loop_empty(&l); more; more = loop_next(&l, index, offset))
        copy_row(l.dim[last], x + offset[0], l.stride[0][last], y + offset[1]);
}

/* A row of y = a op b: the cases that matter have loops of their own. */
#define ROW(name, op)                                                                              \
    static void name(int64_t n, const float *a, int64_t sa, const float *b, int64_t sb, float *y)  \
    {                                                                                              \
        if (sa == 1 && sb == 1) {                                                                  \
            for (int64_t i = 0; i < n; i++)                                                        \
                y[i] = a[i] op b[i];                                                               \
        } else if (sa == 1 && sb == 0) {                                                           \
            const float scalar = *b;                                                               \
                                                                                                   \
            for (int64_t i = 0; i < n; i++)                                                        \
                y[i] = a[i] op scalar;                                                             \
        } else {                                                                                   \
            for (int64_t i = 0; i < n; i++)                                                        \
                y[i] = a[i * sa] op b[i * sb];                                                     \
        }                                                                                          \
    }
ROW(add_row, +)
ROW(mul_row, *)

typedef void binary_row(int64_t n, const float *a, int64_t sa, const float *b, int64_t sb,
                        float *y);

static void binary(binary_row *row, int rank, const int64_t *dim, const float *a,
                   const int64_t *stride_a, const float *b, const int64_t *stride_b, float *y)
{
    int64_t        stride_y[KERNEL_MAX_RANK];
    const int64_t *strides[] = {stride_a, stride_b, stride_y};
    struct loop    l;
    int64_t        index[KERNEL_MAX_RANK] = {0}, offset[3] = {0};
    int            last;

    dense_strides(rank, dim, stride_y);
    l = loop_make(rank, dim, 3, strides);
    last = l.rank - 1;
    for (bool more = !loop_empty(&l); more; more = loop_next(&l, index, offset))
        row(l.dim[last], a + offset[0], l.stride[0][last], b + offset[1], l.stride[1][last],
            y + offset[2]);
}

void kernel_add(int rank, const int64_t *dim, const float *a, const int64_t *stride_a,
                const float *b, const int64_t *stride_b, float *y)
{
    binary(add_row, rank, dim, a, stride_a, b, stride_b, y);
}

void kernel_mul(int rank, const int64_t *dim, const float *a, const int64_t *stride_a,
                const float *b, const int64_t *stride_b, float *y)
{
    binary(mul_row, rank, dim, a, stride_a, b, stride_b, y);
}

/* Eight sums side by side: shorter chains, smaller rounding errors. */
static float stretch_sum(int64_t n, const float *x)
{
    enum { LANES = 8 };
    float   sum[LANES] = {0};
    int64_t i;

    for (i = 0; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            sum[j] += x[i + j];
    for (int j = 0; j < LANES && i < n; i++, j++)
        sum[j] += x[i];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

/* All stretches in a double: the error does not grow with the length. */
static double row_sum(int64_t n, const float *x)
{
    enum { STRETCH = 512 };
    double sum = 0.0;

    for (; n > STRETCH; n -= STRETCH, x += STRETCH)
        sum += stretch_sum(STRETCH, x);
    return sum + stretch_sum(n, x);
}

/* Some of the axes of a tensor. */
struct axes {
    int     rank;
    int64_t dim[KERNEL_MAX_RANK], stride[KERNEL_MAX_RANK];
};

/* The next index along all of them: moves the offset; false after the last. */
static bool axes_next(const struct axes *a, int64_t *index, int64_t *offset)
{
    for (int i = a->rank - 1; i >= 0; i--) {
        *offset += a->stride[i];
        if (++index[i] < a->dim[i]) return true;
        *offset -= a->stride[i] * a->dim[i];
        index[i] = 0;
    }
    return false;
}

/* What goes ends in rows. */
static double sum_rows(const struct axes *gone, const float *x)
{
    struct axes   outer = *gone;
    const int64_t n = outer.rank ? outer.dim[--outer.rank] : 1;
    int64_t       index[KERNEL_MAX_RANK] = {0}, offset = 0;
    double        sum = 0.0;

    do
        sum += row_sum(n, x + offset);
    while (axes_next(&outer, index, &offset));
    return sum;
}

/* n results side by side, to be divided by n_each. */
static void mean_columns(const struct axes *gone, int64_t n, double n_each, const float *x,
                         float *y)
{
    enum { COLUMNS = 256 };

    for (int64_t from = 0; from < n; from += COLUMNS) {
        const int64_t count = n - from < COLUMNS ? n - from : COLUMNS;
        int64_t       index[KERNEL_MAX_RANK] = {0}, offset = from;
        double        sum[COLUMNS] = {0};

        do
            for (int64_t i = 0; i < count; i++)
                sum[i] += x[offset + i];
        while (axes_next(gone, index, &offset));
        for (int64_t i = 0; i < count; i++)
            y[from + i] = (float)(sum[i] / n_each);
    }
}

/* Neighbouring axes that both go or both stay are one. */
static void add_axis(struct axes *a, bool joins, int64_t dim, int64_t stride)
{
    if (joins) dim *= a->dim[--a->rank];
    a->dim[a->rank] = dim;
    a->stride[a->rank++] = stride;
}

void kernel_mean(int rank, const int64_t *dim, unsigned axes, const float *x, float *y)
{
    struct axes kept = {0}, gone = {0};
    int64_t     stride[KERNEL_MAX_RANK], index[KERNEL_MAX_RANK] = {0}, offset = 0;
    int64_t     n_each = 1, n_out = 1, n_row = 1; /* how many numbers go into one, come out */
    int         last = -1;                        /* whether the axis before goes; -1: none */

    dense_strides(rank, dim, stride);
    for (int i = 0; i < rank; i++) {
        const int goes = (int)(axes >> i & 1);

        *(goes ? &n_each : &n_out) *= dim[i];
        if (dim[i] == 1) continue;
        add_axis(goes ? &gone : &kept, goes == last, dim[i], stride[i]);
        last = goes;
    }
    /* The mean of nothing is 0 / 0 = NaN, as in PyTorch. */
    for (int64_t i = 0; n_each == 0 && i < n_out; i++)
        y[i] = NAN;
    if (n_each == 0 || n_out == 0) return;
    if (last == 0) n_row = kept.dim[--kept.rank];
    do {
        if (last == 0)
            mean_columns(&gone, n_row, (double)n_each, x + offset, y);
        else
            *y = (float)(sum_rows(&gone, x + offset) / (double)n_each);
        y += n_row;
    } while (axes_next(&kept, index, &offset));
}
