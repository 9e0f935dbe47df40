/* ref_conv: what a convolution is, one output at a time. The twin of the kernels in
 * conv.c, conv_depthwise.c and conv_pad.c. */
#include "kernel/conv.h"

void ref_conv(const struct conv_shape *s, const float *x, const struct conv_weight *w, float *y)
{
    const int n_in = s->c_in / s->groups, n_out = s->c_out / s->groups;

    for (int o = 0; o < s->c_out; o++)
        for (int oy = 0; oy < s->out_h; oy++)
            for (int ox = 0; ox < s->out_w; ox++) {
                double sum = w->bias ? w->bias[o] : 0.0;

                for (int c = 0; c < n_in; c++)
                    for (int ky = 0; ky < s->kernel_h; ky++)
                        for (int kx = 0; kx < s->kernel_w; kx++) {
                            const int channel = o / n_out * n_in + c;
                            const int iy = oy * s->stride_h - s->pad_top + ky * s->dilation_h;
                            const int ix = ox * s->stride_w - s->pad_left + kx * s->dilation_w;

                            if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w) continue;
                            sum += (double)x[((ptrdiff_t)channel * s->h + iy) * s->w + ix] *
                                   w->data[o * w->ld_out + c * w->ld_in + ky * w->ld_row + kx];
                        }
                *y++ = (float)sum;
            }
}

/* Walk one step at a time from i into [0, n): as the mode says where an edge leads. */
static int walk(enum conv_pad mode, int i, int n)
{
    const int direction = i < 0 ? -1 : 1;
    int       at = i < 0 ? 0 : n - 1, step = direction;

    for (int left = i < 0 ? -i : i - (n - 1); left > 0; left--) {
        if (mode == CONV_PAD_REPLICATE) break;
        if (mode == CONV_PAD_REFLECT) step = -direction;
        at = (at + step + n) % n;
    }
    return at;
}

void ref_pad2d(enum conv_pad mode, int c, int h, int w, int top, int bottom, int left, int right,
               const float *x, float *y)
{
    for (int i = 0; i < c; i++)
        for (int r = -top; r < h + bottom; r++)
            for (int k = -left; k < w + right; k++) {
                const bool inside_h = r >= 0 && r < h, inside_w = k >= 0 && k < w;

                if (mode == CONV_PAD_ZEROS && !(inside_h && inside_w)) {
                    *y++ = 0.0f;
                    continue;
                }
                *y++ = x[((ptrdiff_t)i * h + (inside_h ? r : walk(mode, r, h))) * w +
                         (inside_w ? k : walk(mode, k, w))];
            }
}
