/* conv: two-dimensional convolution of one image.
 *
 *   x [c_in, h, w]                             dense
 *   w [c_out, c_in / groups, kernel_h, kernel_w]  a part of a larger weight: neighbours
 *                                              along an axis are `ld_*` elements apart
 *   y [c_out, out_h, out_w]                    dense, must not overlap x
 *
 * What lies outside x counts as zero: pad_top and pad_left rows and columns before
 * it, and after it as many as out_h and out_w need. */
#ifndef KERNEL_CONV_H
#define KERNEL_CONV_H

#include <stdbool.h>
#include <stddef.h>

struct conv_shape {
    int groups;
    int c_in, h, w;
    int c_out, out_h, out_w;
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int dilation_h, dilation_w;
    int pad_top, pad_left;
};

struct conv_weight {
    const float *data;
    ptrdiff_t    ld_out, ld_in, ld_row; /* columns are neighbours */
    const float *bias;                  /* [c_out], or NULL */
};

/* Depthwise: every output channel reads one input channel. */
bool conv_is_depthwise(const struct conv_shape *s);

/* 1x1, stride 1, no padding: x is the matrix [c_in, h * w] as it lies there. */
bool conv_is_pointwise(const struct conv_shape *s);

/* All kernels but the depthwise one want the k = c_in / groups * kernel_h * kernel_w
 * numbers of an output channel side by side; ld_out is free. */
bool conv_rows_are_dense(const struct conv_shape *s, const struct conv_weight *w);

/* Gather the rows into packed [c_out, k]; returns the weight over them. */
struct conv_weight conv_pack_rows(const struct conv_shape *s, const struct conv_weight *w,
                                  float *packed);

/* Floats that kernel_conv needs; -1 if the number overflows. */
ptrdiff_t kernel_conv_scratch(const struct conv_shape *s);

/* The best of the kernels below. The rows of w are dense unless depthwise. */
void kernel_conv(const struct conv_shape *s, const float *x, const struct conv_weight *w, float *y,
                 float *scratch);

void kernel_conv_im2col(const struct conv_shape *s, const float *x, const struct conv_weight *w,
                        float *y, float *scratch);
void kernel_conv_pointwise(const struct conv_shape *s, const float *x, const struct conv_weight *w,
                           float *y);
void kernel_conv_depthwise(const struct conv_shape *s, const float *x, const struct conv_weight *w,
                           float *y);

/* Their twin: what a convolution is, for any shape and any strides of w. */
void ref_conv(const struct conv_shape *s, const float *x, const struct conv_weight *w, float *y);

/* What an image has beyond its edge. */
enum conv_pad { CONV_PAD_ZEROS, CONV_PAD_REFLECT, CONV_PAD_REPLICATE, CONV_PAD_CIRCULAR };

/* y [c, top + h + bottom, left + w + right] from x [c, h, w]. Reflection needs pads
 * below the size, circular ones up to the size, all of them a size of 1 or more. */
void kernel_pad2d(enum conv_pad mode, int c, int h, int w, int top, int bottom, int left, int right,
                  const float *x, float *y);
void ref_pad2d(enum conv_pad mode, int c, int h, int w, int top, int bottom, int left, int right,
               const float *x, float *y);

#endif
