/* pool: the largest or the mean number of each window, a vector of channels at a time (a part of
 * set_*.c). Separable: for a piece of an output row, first each input column is reduced over the
 * rows of the window, once for all windows that share it; then each window over its columns. */

/* Most input columns of a piece: 8 KB of vectors. A window that is wider is computed alone. */
enum { POOL_COLUMNS = 128 };

/* The elements of a window of one axis that are inside [0, size). */
INLINE void pool_clip(long start, int kernel, int dilation, long size, long *ret_from,
                      long *ret_end)
{
    long from = start < 0 ? -start : 0, end = start < size ? size - start : 0;

    if (dilation > 1) {
        from = (from + dilation - 1) / dilation;
        end = (end + dilation - 1) / dilation;
    }
    *ret_from = from;
    *ret_end = end < kernel ? end : kernel;
}

/* One window of the piece. */
struct pool_window {
    long  at;        /* its first column: of the image, inside or not */
    long  from, end; /* taps inside the image */
    float by;        /* a mean: one by the number of elements */
};

/* A piece: neighbouring windows of one output row. */
struct pool_piece {
    const struct packed_pool *s;
    long                      y;             /* the input row of the first tap */
    long                      from, end;     /* rows of taps inside the image */
    long                      left, columns; /* input columns of all the windows */
    long                      out, count;    /* pixels of the output */
    struct pool_window        window[POOL_COLUMNS];
};

/* How to count the elements of a mean: see packed.h. */
struct pool_mean {
    bool  count_pad;
    int   pad_bottom, pad_right;
    float divisor;
};

/* The larger; NaN if either is. vec_max() gives b if one is NaN, which is wrong only if a is. */
INLINE vec pool_join(const bool most, vec a, vec b)
{
    return most ? vec_select((ivec)(a == a), vec_max(a, b), a) : a + b;
}

INLINE vec pool_load(const float *x, long n)
{
    return n < VL ? vec_load_n(x, n) : vec_load(x);
}

/* Reduce `count` vectors of n numbers, `step` numbers apart. */
INLINE vec pool_stretch(const bool most, const float *x, long step, long count, long n)
{
    vec v = vec_set(most ? -INFINITY : 0.0f);

    for (; count > 0; count--, x += step)
        v = pool_join(most, v, pool_load(x, n));
    return v;
}

/* The same, for any count: three, as usual, without a loop; many in stretches, as a long sum in
 * one go would lose digits. */
INLINE vec pool_along(const bool most, const float *x, long step, long count, long n)
{
    enum { STRETCH = 64 };
    vec v;

    if (count == 3)
        return pool_join(most, pool_join(most, pool_load(x, n), pool_load(x + step, n)),
                         pool_load(x + 2 * step, n));
    if (count <= STRETCH) return pool_stretch(most, x, step, count, n);
    v = pool_stretch(most, x, step, STRETCH, n);
    for (count -= STRETCH; count > 0; count -= STRETCH) {
        x += STRETCH * step;
        v = pool_join(most, v, pool_stretch(most, x, step, count < STRETCH ? count : STRETCH, n));
    }
    return v;
}

/* Channels c and on of the windows, fewer than VL if n says so. */
INLINE void pool_channels(const bool most, const struct pool_piece *p, long c, long n)
{
    const struct packed_pool *s = p->s;
    const long                row = s->w * s->ldx, down = s->dilation_h * row;
    const float *x = s->x + (p->y + p->from * s->dilation_h) * row + p->left * s->ldx + c;
    float       *y = s->y + p->out * s->ldy + c;
    float        column[POOL_COLUMNS * VL] __attribute__((aligned(64)));

    for (long i = 0; i < p->columns; i++, x += s->ldx)
        vec_store(column + i * VL, pool_along(most, x, down, p->end - p->from, n));
    for (long o = 0; o < p->count; o++, y += s->ldy) {
        const struct pool_window *w = &p->window[o];
        const long                at = w->at + w->from * s->dilation_w - p->left;
        vec v = pool_along(most, column + at * VL, s->dilation_w * VL, w->end - w->from, VL);

        if (!most) v *= vec_set(w->by);
        if (n < VL)
            vec_store_n(y, v, n);
        else
            vec_store(y, v);
    }
}

/* The same for one window that is too wide. */
INLINE void pool_wide(const bool most, const struct pool_piece *p, long c, long n)
{
    const struct packed_pool *s = p->s;
    const struct pool_window *w = &p->window[0];
    const long                row = s->w * s->ldx, down = s->dilation_h * row;
    const float *x = s->x + (p->y + p->from * s->dilation_h) * row + w->at * s->ldx + c;
    vec          v = vec_set(most ? -INFINITY : 0.0f);

    for (long j = w->from; j < w->end; j++)
        v = pool_join(most, v,
                      pool_along(most, x + j * s->dilation_w * s->ldx, down, p->end - p->from, n));
    vec_store_n(s->y + p->out * s->ldy + c, most ? v : v * vec_set(w->by), n);
}

/* One by the number of elements of a window. */
INLINE float pool_factor(const struct pool_mean *mean, const struct pool_piece *p,
                         const struct pool_window *w)
{
    const struct packed_pool *s = p->s;
    const long                bottom = s->h + mean->pad_bottom - p->y;
    const long                right = s->w + mean->pad_right - w->at;
    long                      rows = p->end - p->from, columns = w->end - w->from;

    if (mean->divisor != 0.0f) return 1.0f / mean->divisor;
    if (mean->count_pad) {
        rows = s->kernel_h < bottom ? s->kernel_h : bottom;
        columns = s->kernel_w < right ? s->kernel_w : right;
    }
    return rows > 0 && columns > 0 ? 1.0f / ((float)rows * (float)columns) : 0.0f;
}

/* A piece of as many windows as fit, from output column `ox` on; false if not even one fits. */
INLINE bool pool_take(struct pool_piece *p, const struct pool_mean *mean, long ox)
{
    const struct packed_pool *s = p->s;
    const long                first = ox * s->stride_w - s->pad_left;
    const long                span = (s->kernel_w - 1L) * s->dilation_w + 1;
    long                      right = 0;

    p->left = first > 0 ? first : 0;
    for (p->count = 0; p->count < POOL_COLUMNS && ox + p->count < s->out_w; p->count++) {
        struct pool_window *w = &p->window[p->count];
        const long          at = first + p->count * s->stride_w;

        if (p->count > 0 && at + span - first > POOL_COLUMNS) break;
        w->at = at;
        pool_clip(at, s->kernel_w, s->dilation_w, s->w, &w->from, &w->end);
        if (mean) w->by = pool_factor(mean, p, w);
        right = at + span < s->w ? at + span : s->w;
    }
    p->columns = right > p->left ? right - p->left : 0;
    return span <= POOL_COLUMNS;
}

INLINE void pool_rows(const bool most, const struct packed_pool *s, const struct pool_mean *mean,
                      long y0, long y1)
{
    struct pool_piece p = {.s = s};

    for (long y = y0; y < y1; y++) {
        p.y = y * s->stride_h - s->pad_top;
        pool_clip(p.y, s->kernel_h, s->dilation_h, s->h, &p.from, &p.end);
        for (long ox = 0; ox < s->out_w; ox += p.count) {
            const bool fits = pool_take(&p, mean, ox);
            long       c = 0;

            p.out = y * s->out_w + ox;
            for (; fits && c + VL <= s->c; c += VL)
                pool_channels(most, &p, c, VL);
            if (fits && c < s->c) pool_channels(most, &p, c, s->c - c);
            for (; !fits && c < s->c; c += VL)
                pool_wide(most, &p, c, s->c - c < VL ? s->c - c : VL);
        }
    }
}

static void max_pool(const struct packed_pool *s, long y0, long y1)
{
    pool_rows(true, s, NULL, y0, y1);
}

static void avg_pool(const struct packed_pool *s, bool count_pad, int pad_bottom, int pad_right,
                     float divisor, long y0, long y1)
{
    const struct pool_mean mean = {count_pad, pad_bottom, pad_right, divisor};

    pool_rows(false, s, &mean, y0, y1);
}
