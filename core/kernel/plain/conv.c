/* conv: general convolution as a matrix product.
 *
 * A column of the matrix `col` holds what one output pixel sees, so that
 *     y[c_out, pixels] = w[c_out, k] col[k, pixels],   k = c_in * kernel_h * kernel_w
 * for each group. Columns are built for a strip of output rows at a time: the strip
 * stays in the cache, and scratch memory does not grow with the image. */
#include "kernel/conv.h"

#include <assert.h>
#include <string.h>

#include "kernel/gemm.h"

enum {
    STRIP_FLOATS = 1 << 18, /* 1 MB of columns, */
    STRIP_PIXELS = 64       /* but at least so many, or the product gets too thin */
};

bool conv_is_depthwise(const struct conv_shape *s)
{
    return s->groups == s->c_in && s->groups > 1;
}

bool conv_is_pointwise(const struct conv_shape *s)
{
    return s->kernel_h == 1 && s->kernel_w == 1 && s->stride_h == 1 && s->stride_w == 1 &&
           s->pad_top == 0 && s->pad_left == 0 && s->out_h == s->h && s->out_w == s->w;
}

static int row_length(const struct conv_shape *s)
{
    return s->c_in / s->groups * s->kernel_h * s->kernel_w;
}

bool conv_rows_are_dense(const struct conv_shape *s, const struct conv_weight *w)
{
    /* A stride along an axis of size 1 is never used. */
    return (s->kernel_h == 1 || w->ld_row == s->kernel_w) &&
           (s->c_in / s->groups == 1 || w->ld_in == (ptrdiff_t)s->kernel_h * s->kernel_w);
}

struct conv_weight conv_pack_rows(const struct conv_shape *s, const struct conv_weight *w,
                                  float *packed)
{
    const int c_in = s->c_in / s->groups;
    float    *to = packed;

    for (int o = 0; o < s->c_out; o++)
        for (int c = 0; c < c_in; c++)
            for (int ky = 0; ky < s->kernel_h; ky++, to += s->kernel_w)
                memcpy(to, w->data + o * w->ld_out + c * w->ld_in + ky * w->ld_row,
                       (size_t)s->kernel_w * sizeof *to);
    return (struct conv_weight){.data = packed,
                                .ld_out = row_length(s),
                                .ld_in = (ptrdiff_t)s->kernel_h * s->kernel_w,
                                .ld_row = s->kernel_w,
                                .bias = w->bias};
}

/* Output rows whose columns are built together. */
static int strip_rows(const struct conv_shape *s)
{
    ptrdiff_t pixels = STRIP_FLOATS / row_length(s), rows;

    if (pixels < STRIP_PIXELS) pixels = STRIP_PIXELS;
    rows = pixels / s->out_w;
    return rows < 1 ? 1 : rows < s->out_h ? (int)rows : s->out_h;
}

ptrdiff_t kernel_conv_scratch(const struct conv_shape *s)
{
    ptrdiff_t n;

    if (conv_is_depthwise(s) || conv_is_pointwise(s)) return 0;
    if (__builtin_mul_overflow((ptrdiff_t)row_length(s), (ptrdiff_t)s->out_w, &n) ||
        __builtin_mul_overflow(n, (ptrdiff_t)strip_rows(s), &n))
        return -1;
    return n;
}

/* Every row of y starts as its bias; false: there is none, y is still undefined. */
static bool start_with_bias(const float *bias, int n_rows, ptrdiff_t n, float *y)
{
    if (!bias) return false;
    for (int o = 0; o < n_rows; o++)
        for (ptrdiff_t i = 0; i < n; i++)
            y[o * n + i] = bias[o];
    return true;
}

/* What one tap sees of one row of x, for each pixel of an output row: to [out_w]. */
static void gather_row(const struct conv_shape *s, const float *x, int kx, float *to)
{
    const ptrdiff_t offset = (ptrdiff_t)kx * s->dilation_w - s->pad_left;

    if (s->stride_w == 1) {
        ptrdiff_t first = offset < 0 ? -offset : 0, last = s->w - offset;

        if (first > s->out_w) first = s->out_w;
        if (last > s->out_w) last = s->out_w;
        if (last < first) last = first;
        memset(to, 0, (size_t)first * sizeof *to);
        memcpy(to + first, x + offset + first, (size_t)(last - first) * sizeof *to);
        memset(to + last, 0, (size_t)(s->out_w - last) * sizeof *to);
        return;
    }
    for (int i = 0; i < s->out_w; i++) {
        const ptrdiff_t at = offset + (ptrdiff_t)i * s->stride_w;

        to[i] = at >= 0 && at < s->w ? x[at] : 0.0f;
    }
}

/* Columns of the output rows [first, last) of one group: col [k, (last - first) * out_w]. */
static void gather(const struct conv_shape *s, const float *x, int first, int last, float *col)
{
    const int c_in = s->c_in / s->groups;
    float    *to = col;

    for (int c = 0; c < c_in; c++)
        for (int ky = 0; ky < s->kernel_h; ky++)
            for (int kx = 0; kx < s->kernel_w; kx++)
                for (int oy = first; oy < last; oy++, to += s->out_w) {
                    const ptrdiff_t iy =
                        (ptrdiff_t)oy * s->stride_h - s->pad_top + (ptrdiff_t)ky * s->dilation_h;

                    if (iy >= 0 && iy < s->h)
                        gather_row(s, x + ((ptrdiff_t)c * s->h + iy) * s->w, kx, to);
                    else
                        memset(to, 0, (size_t)s->out_w * sizeof *to);
                }
}

void kernel_conv_im2col(const struct conv_shape *s, const float *x, const struct conv_weight *w,
                        float *y, float *scratch)
{
    const int       k = row_length(s), rows = strip_rows(s), n_out = s->c_out / s->groups;
    const ptrdiff_t x_group = (ptrdiff_t)(s->c_in / s->groups) * s->h * s->w;
    const ptrdiff_t plane = (ptrdiff_t)s->out_h * s->out_w;
    const bool      accumulate = start_with_bias(w->bias, s->c_out, plane, y);

    assert(conv_rows_are_dense(s, w));
    for (int g = 0; g < s->groups; g++)
        for (int first = 0; first < s->out_h; first += rows) {
            const int last = s->out_h - first < rows ? s->out_h : first + rows;
            const int n = (last - first) * s->out_w;

            gather(s, x + g * x_group, first, last, scratch);
            kernel_gemm_nn(n_out, n, k, w->data + g * n_out * w->ld_out, (int)w->ld_out, scratch, n,
                           y + g * n_out * plane + (ptrdiff_t)first * s->out_w, (int)plane,
                           accumulate);
        }
}

void kernel_conv_pointwise(const struct conv_shape *s, const float *x, const struct conv_weight *w,
                           float *y)
{
    const int  k = s->c_in / s->groups, n_out = s->c_out / s->groups, plane = s->h * s->w;
    const bool accumulate = start_with_bias(w->bias, s->c_out, plane, y);

    assert(conv_rows_are_dense(s, w));
    for (int g = 0; g < s->groups; g++)
        kernel_gemm_nn(n_out, plane, k, w->data + g * n_out * w->ld_out, (int)w->ld_out,
                       x + (ptrdiff_t)g * k * plane, plane, y + (ptrdiff_t)g * n_out * plane, plane,
                       accumulate);
}

void kernel_conv(const struct conv_shape *s, const float *x, const struct conv_weight *w, float *y,
                 float *scratch)
{
    if (conv_is_depthwise(s))
        kernel_conv_depthwise(s, x, w, y);
    else if (conv_is_pointwise(s))
        kernel_conv_pointwise(s, x, w, y);
    else
        kernel_conv_im2col(s, x, w, y, scratch);
}
