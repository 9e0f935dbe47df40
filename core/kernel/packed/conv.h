/* conv: dense convolution as a product whose rows are found through pointers (indirect
 * convolution): for every output position and tap there is a pointer to the input pixel, or to
 * zeros where that is outside the image. No im2col copy. (A part of set_*.c.) */

/* Layout of the scratch memory. */
struct conv_scratch {
    float        *zero;
    long         *tap;  /* [taps]: offset of its weights in a panel */
    long         *step; /* [taps]: offset in x from the pixel of tap 0 */
    const float **rows; /* the pointers: for each tile [taps][height] */
    float        *edge; /* copies of merged taps across an edge: [CONV_ROWS * kernel_h][kw * c] */
};

/* How taps are added: one by one, or a kernel row at a time as one long tap of kernel_w * c numbers
 * (merged). */
struct conv_taps {
    bool merged;
    long taps, k;
};

static struct conv_taps conv_begin(const struct packed_conv *s, struct conv_scratch *t, void *at)
{
    const bool       may = conv_may_merge(s);
    const long       zero = s->group > 0 ? s->ldx : s->c * (may ? s->kernel_w : 1);
    const long       taps = (long)s->kernel_h * s->kernel_w;
    char            *p = at;
    struct conv_taps ret = {.taps = taps, .k = s->c};

    t->zero = (float *)p;
    p += round_up(zero * (long)sizeof(float), 64);
    t->tap = (long *)p;
    p += round_up(taps * (long)sizeof(long), 64);
    t->step = (long *)p;
    p += round_up(taps * (long)sizeof(long), 64);
    t->rows = (const float **)p;
    p += round_up(taps * CONV_ROWS * (long)sizeof(float *), 64);
    t->edge = (float *)p;

    memset(t->zero, 0, (size_t)zero * sizeof(float));
    if (may && s->ldx == s->c && s->weight.tap_x == s->c * KERNEL_PANEL) {
        ret = (struct conv_taps){true, s->kernel_h, s->c * s->kernel_w};
        for (long y = 0; y < s->kernel_h; y++) {
            t->tap[y] = y * s->weight.tap_y;
            t->step[y] = y * s->dilation_h * s->w * s->ldx;
        }
    } else {
        for (long i = 0; i < taps; i++) {
            const long y = i / s->kernel_w, x = i % s->kernel_w;

            t->tap[i] = y * s->weight.tap_y + x * s->weight.tap_x;
            t->step[i] = (y * s->dilation_h * s->w + x * s->dilation_w) * s->ldx;
        }
    }
    return ret;
}

/* A memcpy() of a few numbers, without the call. */
INLINE void conv_copy(long n, const float *from, float *to)
{
    for (; n > VL; n -= VL, from += VL, to += VL)
        vec_store(to, vec_load(from));
    vec_store_n(to, vec_load_n(from, n), n);
}

/* Pointers for one position, where some taps may be outside the image: to[tap * height]. (y0, x0)
 * of image x is the pixel of tap 0, and may be outside too. */
static void conv_list(const struct packed_conv *s, const struct conv_scratch *t, const float *x,
                      long y0, long x0, long height, const float **to)
{
    for (int ky = 0; ky < s->kernel_h; ky++) {
        const long iy = y0 + (long)ky * s->dilation_h;

        for (int kx = 0; kx < s->kernel_w; kx++, to += height) {
            const long ix = x0 + (long)kx * s->dilation_w;

            *to = iy >= 0 && iy < s->h && ix >= 0 && ix < s->w ? x + (iy * s->w + ix) * s->ldx
                                                               : t->zero;
        }
    }
}

/* The same for merged taps: a kernel row is contiguous in x, or is copied to `edge`, which is
 * advanced. */
static void conv_list_merged(const struct packed_conv *s, const struct conv_scratch *t,
                             const float *x, long y0, long x0, long height, const float **to,
                             float **edge)
{
    for (int ky = 0; ky < s->kernel_h; ky++, to += height) {
        const long   y = y0 + (long)ky * s->dilation_h;
        const float *row = x + y * s->w * s->c;

        if (y < 0 || y >= s->h || x0 >= s->w || x0 + s->kernel_w <= 0) {
            *to = t->zero;
        } else if (x0 >= 0 && x0 + s->kernel_w <= s->w) {
            *to = row + x0 * s->c;
        } else {
            *to = *edge;
            for (long i = x0; i < x0 + s->kernel_w; i++, *edge += s->c)
                conv_copy(s->c, i >= 0 && i < s->w ? row + i * s->c : t->zero, *edge);
        }
    }
}

/* Pointers for `count` neighbouring positions whose taps are all inside the image; `first` is the
 * pixel of tap 0 of the first. */
INLINE void conv_list_inside(const struct packed_conv *s, const struct conv_scratch *t,
                             const float *first, long count, long taps, long height,
                             const float **to)
{
    const long apart = s->stride_w * s->ldx;

    for (long tap = 0; tap < taps; tap++, to += height)
        for (long i = 0; i < count; i++)
            to[i] = first + t->step[tap] + i * apart;
}

/* Pointers for all tiles of this split, from position m on. */
static void conv_list_all(const struct packed_conv *s, const struct conv_scratch *t,
                          struct conv_taps taps, long m, struct tile_split split)
{
    /* The last pixel of tap 0 with all other taps inside the image, and the output columns [from,
     * end) for which they are. */
    const long    last_y = s->h - 1 - (s->kernel_h - 1L) * s->dilation_h;
    const long    last_x = s->w - 1 - (s->kernel_w - 1L) * s->dilation_w;
    const long    from = (s->pad_left + s->stride_w - 1L) / s->stride_w;
    const long    last = last_x + s->pad_left < 0 ? -1 : (last_x + s->pad_left) / s->stride_w;
    const long    end = last < s->out_w ? last + 1 : s->out_w;
    const float **to = t->rows;
    float        *edge = t->edge;
    const float  *x = s->x + m / (s->out_h * s->out_w) * s->h * s->w * s->ldx;
    long          oy = m / s->out_w % s->out_h, ox = m % s->out_w;

    for (long tile = 0; tile < split.higher + split.lower; tile++) {
        const long height = split.height + (tile < split.higher);

        for (long i = 0, count; i < height; i += count) {
            const long y0 = oy * s->stride_h - s->pad_top, x0 = ox * s->stride_w - s->pad_left;

            count = 1;
            if (y0 >= 0 && y0 <= last_y && ox >= from && ox < end) {
                count = end - ox < height - i ? end - ox : height - i;
                conv_list_inside(s, t, x + (y0 * s->w + x0) * s->ldx, count, taps.taps, height,
                                 to + i);
            } else if (taps.merged) {
                conv_list_merged(s, t, x, y0, x0, height, to + i, &edge);
            } else {
                conv_list(s, t, x, y0, x0, height, to + i);
            }
            ox += count;
            if (ox < s->out_w) continue;
            ox = 0;
            if (++oy < s->out_h) continue;
            oy = 0;
            x += s->h * s->w * s->ldx;
        }
        to += height * taps.taps;
    }
}

/* Positions of a block: as many as there is room for in `rows`, or as tile_parts_run() takes. */
INLINE long conv_block(long m, long k)
{
    const long rows = tile_in_parts(k, TILE_NV) ? TILE_PART_ROWS : CONV_ROWS;
    const long blocks = (m + rows - 1) / rows;

    return blocks > 0 ? (m + blocks - 1) / blocks : 1;
}

/* The next tile: `take` vectors from the one that contains channel n, for channels up to `end`. All
 * are of one group (except groups of four channels, several of which share a vector), and a tile
 * that begins inside a panel ends with it. Of a pixel it reads the channels from `k_from` on. */
struct conv_tile {
    long                  from, end, k_from, last; /* last: lanes of the last vector */
    int                   take;
    tile_function *const *of;
};

INLINE struct conv_tile conv_tile(const struct packed_conv *s, long n, long n1, long rows)
{
    const bool       fours = s->group == 4 && s->c == 4;
    const long       next = s->group > 0 && !fours ? (n / s->group + 1) * s->group : n1;
    struct conv_tile t = {.from = n / VL * VL, .end = next < n1 ? next : n1};
    const int        left = (int)(KERNEL_PANEL - t.from % KERNEL_PANEL) / VL;

    t.take = fours ? 1 : tile_take((t.end - t.from + VL - 1) / VL);
    if (t.take > left && left < PANEL_VECS) t.take = left;
    if (t.from + t.take * VL < t.end) t.end = t.from + t.take * VL;
    t.k_from = fours ? t.from : s->group > 0 ? n / s->group * s->c : 0;
    t.last = t.end - t.from - (t.take - 1) * VL;
    t.of = fours ? tile_fours : tile_listed[tile_width(t.take, t.last, rows)][t.take];
    return t;
}

static void conv(const struct packed_conv *s, long m0, long m1, long n0, long n1, void *scratch)
{
    struct conv_scratch    t;
    const struct conv_taps taps = conv_begin(s, &t, scratch);
    const long             block = conv_block(m1 - m0, taps.taps * taps.k);

    for (long m = m0; m < m1; m += block) {
        const long rows = m1 - m < block ? m1 - m : block;
        int        listed = 0;

        for (long n = n0, end; n < n1; n = end) {
            const struct conv_tile  tile = conv_tile(s, n, n1, rows);
            const struct tile_split split = tile_split(rows, tile_rows[tile.take]);
            struct tile_run         r = {
                        .ldy = s->ldy, .k = taps.k, .taps = taps.taps, .list_taps = taps.taps};

            end = tile.end;
            if (listed != tile_rows[tile.take]) /* the pointers are for tiles of another height */
                conv_list_all(s, &t, taps, m, split);
            listed = tile_rows[tile.take];
            tile_channels(&r, &s->weight, &s->epilogue, tile.from);
            r.k_from = tile.k_from;
            r.rows = t.rows;
            r.tap = t.tap;
            r.y = s->y + m * s->ldy + tile.from;
            r.residual = s->epilogue.residual
                             ? s->epilogue.residual + m * s->epilogue.ld_residual + tile.from
                             : NULL;
            r.first = n - tile.from;
            r.last = tile.last;
            if (end < n1) {
                r.next = s->weight.at + end / KERNEL_PANEL * r.panel;
                r.next_end = r.next + taps.taps * taps.k * KERNEL_PANEL;
            }
            tile_sums_run(&r, tile.take, tile.of, split);
        }
    }
}
