/* pool: the largest or the mean number of each window, all channels of a pixel at a time
 * (a part of set_*.c). */

/* The elements of a window of one axis that are inside [0, size). */
INLINE void pool_clip(long start, int kernel, int dilation, long size, long *ret_from,
                      long *ret_end)
{
    long from = start < 0 ? (-start + dilation - 1) / dilation : 0;
    long end = start >= size ? 0 : (size - 1 - start) / dilation + 1;

    *ret_from = from;
    *ret_end = end < kernel ? end : kernel;
}

/* One window: `most` picks the largest, otherwise the sum is multiplied by `by`. */
INLINE void pool_window(const struct packed_pool *s, long y0, long x0, const bool most, float by,
                        const long in[4], float *to)
{
    for (long c = 0; c < s->c; c += VL) {
        const long n = s->c - c < VL ? s->c - c : VL;
        vec        v = vec_set(most ? -INFINITY : 0.0f);

        for (long i = in[0]; i < in[1]; i++)
            for (long j = in[2]; j < in[3]; j++) {
                const vec x = vec_load_n(
                    s->x + ((y0 + i * s->dilation_h) * s->w + x0 + j * s->dilation_w) * s->ldx + c,
                    n);

                /* vec_max gives x if one is no number: right, unless it is v that is none. */
                v = most ? vec_select((ivec)(v == v), vec_max(v, x), v) : v + x;
            }
        vec_store_n(to + c, most ? v : v * vec_set(by), n);
    }
}

static void max_pool(const struct packed_pool *s, long y0, long y1)
{
    for (long y = y0; y < y1; y++)
        for (long x = 0; x < s->out_w; x++) {
            const long at_y = y * s->stride_h - s->pad_top, at_x = x * s->stride_w - s->pad_left;
            long       in[4];

            pool_clip(at_y, s->kernel_h, s->dilation_h, s->h, &in[0], &in[1]);
            pool_clip(at_x, s->kernel_w, s->dilation_w, s->w, &in[2], &in[3]);
            pool_window(s, at_y, at_x, true, 1.0f, in, s->y + (y * s->out_w + x) * s->ldy);
        }
}

static void avg_pool(const struct packed_pool *s, bool count_pad, int pad_bottom, int pad_right,
                     float divisor, long y0, long y1)
{
    const long most_h = s->h + pad_bottom, most_w = s->w + pad_right;

    for (long y = y0; y < y1; y++)
        for (long x = 0; x < s->out_w; x++) {
            const long at_y = y * s->stride_h - s->pad_top, at_x = x * s->stride_w - s->pad_left;
            long       in[4], count;

            pool_clip(at_y, s->kernel_h, 1, s->h, &in[0], &in[1]);
            pool_clip(at_x, s->kernel_w, 1, s->w, &in[2], &in[3]);
            if (count_pad)
                count = ((at_y + s->kernel_h < most_h ? at_y + s->kernel_h : most_h) - at_y) *
                        ((at_x + s->kernel_w < most_w ? at_x + s->kernel_w : most_w) - at_x);
            else
                count = in[1] > in[0] && in[3] > in[2] ? (in[1] - in[0]) * (in[3] - in[2]) : 0;
            pool_window(s, at_y, at_x, false,
                        divisor != 0.0f ? 1.0f / divisor
                        : count > 0     ? 1.0f / (float)count
                                        : 0.0f,
                        in, s->y + (y * s->out_w + x) * s->ldy);
        }
}
