/* ref_pool: pooling element by element, the twins of pool.c. */
#include <math.h>

#include "kernel/pool.h"

void ref_max_pool(const struct pool_shape *s, const float *x, float *y)
{
    for (ptrdiff_t p = 0; p < s->planes; p++)
        for (int oy = 0; oy < s->out_h; oy++)
            for (int ox = 0; ox < s->out_w; ox++) {
                float max = -INFINITY;

                for (int ky = 0; ky < s->kernel_h; ky++)
                    for (int kx = 0; kx < s->kernel_w; kx++) {
                        const int iy = oy * s->stride_h - s->pad_h + ky * s->dilation_h;
                        const int ix = ox * s->stride_w - s->pad_w + kx * s->dilation_w;
                        float     value;

                        if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w) continue;
                        value = x[(p * s->h + iy) * s->w + ix];
                        if (value > max || isnan(value)) max = value;
                    }
                *y++ = max;
            }
}

void ref_avg_pool(const struct pool_shape *s, bool count_pad, double divisor, const float *x,
                  float *y)
{
    for (ptrdiff_t p = 0; p < s->planes; p++)
        for (int oy = 0; oy < s->out_h; oy++)
            for (int ox = 0; ox < s->out_w; ox++) {
                double sum = 0.0;
                int    n_inside = 0, n_padded = 0;

                for (int ky = 0; ky < s->kernel_h; ky++)
                    for (int kx = 0; kx < s->kernel_w; kx++) {
                        const int iy = oy * s->stride_h - s->pad_h + ky;
                        const int ix = ox * s->stride_w - s->pad_w + kx;

                        if (iy >= s->h + s->pad_h || ix >= s->w + s->pad_w) continue;
                        n_padded++;
                        if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w) continue;
                        n_inside++;
                        sum += x[(p * s->h + iy) * s->w + ix];
                    }
                if (divisor == 0.0)
                    *y++ = n_inside ? (float)(sum / (count_pad ? n_padded : n_inside)) : 0.0f;
                else
                    *y++ = (float)(sum / divisor);
            }
}

void ref_adaptive_avg_pool(ptrdiff_t planes, int h, int w, int out_h, int out_w, const float *x,
                           float *y)
{
    for (ptrdiff_t p = 0; p < planes; p++)
        for (int oy = 0; oy < out_h; oy++)
            for (int ox = 0; ox < out_w; ox++) {
                double sum = 0.0;
                int    n = 0;

                for (int iy = 0; iy < h; iy++)
                    for (int ix = 0; ix < w; ix++) {
                        /* [iy, iy + 1) meets [oy, oy + 1) * h / out_h */
                        if ((iy + 1) * out_h <= oy * h || iy * out_h >= (oy + 1) * h) continue;
                        if ((ix + 1) * out_w <= ox * w || ix * out_w >= (ox + 1) * w) continue;
                        sum += x[(p * h + iy) * w + ix];
                        n++;
                    }
                *y++ = (float)(sum / n);
            }
}
