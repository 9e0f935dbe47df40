/* conv_depthwise: convolution where every output channel reads one input channel.
 *
 * There is no sum over channels to make a matrix product of. The taps are the outer
 * loops, so that the innermost one runs along a row of x and y without branches. The
 * weight is read where it lies, also the centre of a larger kernel. */
#include <string.h>

#include "kernel/conv.h"

/* Four floats at any address. */
typedef float vec4 __attribute__((vector_size(16), aligned(4), may_alias));

/* y[i] += tap * x[i] */
static void add_row(float tap, const float *x, float *y, ptrdiff_t n)
{
    ptrdiff_t i = 0;

    for (; i + 4 <= n; i += 4)
        *(vec4 *)(y + i) += tap * *(const vec4 *)(x + i);
    for (; i < n; i++)
        y[i] += tap * x[i];
}

/* One row of x under one row of the kernel: row [kernel_w], y [out_w]. */
static void add_kernel_row(const struct conv_shape *s, const float *x, const float *row, float *y)
{
    for (int kx = 0; kx < s->kernel_w; kx++) {
        const ptrdiff_t offset = (ptrdiff_t)kx * s->dilation_w - s->pad_left;
        const ptrdiff_t step = s->stride_w;
        /* Pixels i with 0 <= offset + i * step < w. */
        const ptrdiff_t first = offset < 0 ? (-offset + step - 1) / step : 0;
        ptrdiff_t       last = s->w > offset ? (s->w - offset + step - 1) / step : 0;

        if (last > s->out_w) last = s->out_w;
        if (last <= first) continue;
        if (step == 1)
            add_row(row[kx], x + offset + first, y + first, last - first);
        else
            for (ptrdiff_t i = first; i < last; i++)
                y[i] += row[kx] * x[offset + i * step];
    }
}

void kernel_conv_depthwise(const struct conv_shape *s, const float *x, const struct conv_weight *w,
                           float *y)
{
    const int n_out = s->c_out / s->groups; /* output channels of each input channel */

    for (int o = 0; o < s->c_out; o++) {
        const float *xc = x + (ptrdiff_t)(o / n_out) * s->h * s->w;
        const float *wc = w->data + o * w->ld_out;
        const float  bias = w->bias ? w->bias[o] : 0.0f;

        for (int oy = 0; oy < s->out_h; oy++, y += s->out_w) {
            for (int i = 0; i < s->out_w; i++)
                y[i] = bias;
            for (int ky = 0; ky < s->kernel_h; ky++) {
                const ptrdiff_t iy =
                    (ptrdiff_t)oy * s->stride_h - s->pad_top + (ptrdiff_t)ky * s->dilation_h;

                if (iy >= 0 && iy < s->h) add_kernel_row(s, xc + iy * s->w, wc + ky * w->ld_row, y);
            }
        }
    }
}
