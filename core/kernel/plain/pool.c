/* pool: windows are clipped to the image first, so that the loops over their elements
 * have no branches for edges. */
#include "kernel/pool.h"

#include <math.h>

struct span {
    ptrdiff_t first, last; /* [first, last) of the image */
    ptrdiff_t n_padded;    /* elements of the window inside the image and its padding */
};

static ptrdiff_t at_most(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

/* Window `i` along an axis of `size` elements. */
static struct span clip(int i, int size, int kernel, int stride, int pad, int dilation)
{
    ptrdiff_t first = (ptrdiff_t)i * stride - pad, last;

    if (dilation == 1) {
        last = at_most(first + kernel, (ptrdiff_t)size + pad);
        return (struct span){first > 0 ? first : 0, at_most(last, size), last - first};
    }
    last = first + (ptrdiff_t)(kernel - 1) * dilation + 1;
    if (first < 0) first += (-first + dilation - 1) / dilation * dilation;
    return (struct span){first, at_most(last, size), 0};
}

void kernel_max_pool(const struct pool_shape *s, const float *x, float *y)
{
    for (ptrdiff_t p = 0; p < s->planes; p++, x += (ptrdiff_t)s->h * s->w)
        for (int oy = 0; oy < s->out_h; oy++) {
            const struct span v = clip(oy, s->h, s->kernel_h, s->stride_h, s->pad_h, s->dilation_h);

            for (int ox = 0; ox < s->out_w; ox++) {
                const struct span u =
                    clip(ox, s->w, s->kernel_w, s->stride_w, s->pad_w, s->dilation_w);
                float max = -INFINITY;

                for (ptrdiff_t iy = v.first; iy < v.last; iy += s->dilation_h)
                    for (ptrdiff_t ix = u.first; ix < u.last; ix += s->dilation_w) {
                        const float value = x[iy * s->w + ix];

                        if (value > max || value != value) max = value;
                    }
                *y++ = max;
            }
        }
}

static double sum_of(const float *x, int w, struct span v, struct span u)
{
    double sum = 0.0;

    for (ptrdiff_t iy = v.first; iy < v.last; iy++)
        for (ptrdiff_t ix = u.first; ix < u.last; ix++)
            sum += x[iy * w + ix];
    return sum;
}

void kernel_avg_pool(const struct pool_shape *s, bool count_pad, double divisor, const float *x,
                     float *y)
{
    for (ptrdiff_t p = 0; p < s->planes; p++, x += (ptrdiff_t)s->h * s->w)
        for (int oy = 0; oy < s->out_h; oy++) {
            const struct span v = clip(oy, s->h, s->kernel_h, s->stride_h, s->pad_h, 1);

            for (int ox = 0; ox < s->out_w; ox++) {
                const struct span u = clip(ox, s->w, s->kernel_w, s->stride_w, s->pad_w, 1);
                const ptrdiff_t   n =
                    count_pad ? v.n_padded * u.n_padded : (v.last - v.first) * (u.last - u.first);

                if (v.first >= v.last || u.first >= u.last)
                    *y++ = 0.0f;
                else
                    *y++ = (float)(sum_of(x, s->w, v, u) / (divisor != 0.0 ? divisor : (double)n));
            }
        }
}

/* floor(i * size / n) and ceil((i + 1) * size / n) */
static struct span part(int i, int size, int n)
{
    const ptrdiff_t first = (ptrdiff_t)i * size / n;
    const ptrdiff_t last = ((ptrdiff_t)(i + 1) * size + n - 1) / n;

    return (struct span){first, last, last - first};
}

void kernel_adaptive_avg_pool(ptrdiff_t planes, int h, int w, int out_h, int out_w, const float *x,
                              float *y)
{
    for (ptrdiff_t p = 0; p < planes; p++, x += (ptrdiff_t)h * w)
        for (int oy = 0; oy < out_h; oy++)
            for (int ox = 0; ox < out_w; ox++) {
                const struct span v = part(oy, h, out_h), u = part(ox, w, out_w);

                *y++ = (float)(sum_of(x, w, v, u) / (double)(v.n_padded * u.n_padded));
            }
}
