/* planes: a convolution of few channels that reads the image as planes [C, H, W]: the first layer
 * of a network (a part of set_*.c). The input rows of an output row are copied with their padding;
 * then every tap of every channel is one step of a tile, whose numbers of x are `stride` apart. */

/* Layout of the scratch memory. `at` has for each tap of each channel its offset in `rows` from the
 * first pixel, and the offset of its weights in a panel. */
struct planes_scratch {
    long  *at;   /* [kernel_h * kernel_w * c][2] */
    float *rows; /* [kernel_h][c][width]: image row i in slot i % kernel_h */
    long   width;
};

static struct planes_scratch planes_begin(const struct packed_conv *s, void *scratch)
{
    struct planes_scratch t = {.at = scratch, .width = planes_width(s)};

    t.rows = (float *)((char *)scratch +
                       round_up(2L * s->kernel_h * s->kernel_w * s->c * (long)sizeof(long), 64));
    return t;
}

/* Copy image row y of every channel between its margins; zeros outside the image. */
static void planes_copy(const struct packed_conv *s, const struct planes_scratch *t, long y)
{
    float *to = t->rows + ((y % s->kernel_h + s->kernel_h) % s->kernel_h) * s->c * t->width;

    for (long c = 0; c < s->c; c++, to += t->width) {
        memset(to, 0, (size_t)t->width * sizeof(float));
        if (y >= 0 && y < s->h)
            memcpy(to + s->pad_left, s->x + (c * s->h + y) * s->w, (size_t)s->w * sizeof(float));
    }
}

/* A tile of mr neighbouring pixels by nv vectors. */
INLINE void planes_tile(const int mr, const int nv, const struct tile_run *r, long stride)
{
    const float *x[TILE_ROWS];
    vec          c[TILE_ROWS][TILE_ROW_VECS];

#pragma GCC unroll 8
    for (int i = 0; i < mr; i++) {
        x[i] = r->x + i * stride;
#pragma GCC unroll 8
        for (int j = 0; j < nv; j++)
            c[i][j] = vec_set(0.0f);
    }
    for (long tap = 0; tap < r->taps; tap++)
        tile_step(mr, nv, TILE_WHOLE, c, x, r->tap[2 * tap], r->w + r->tap[2 * tap + 1], r->panel);
    tile_end(mr, nv, c, r, r->y, r->residual);
}

typedef void planes_function(const struct tile_run *r, long stride);

#define PLANES(mr, nv)                                                                             \
    OUTLINE void planes_##mr##x##nv(const struct tile_run *r, long stride)                         \
    {                                                                                              \
        planes_tile(mr, nv, r, stride);                                                            \
    }
TILES(PLANES)

#define PLANES_ENTRY(mr, nv) [nv][mr] = planes_##mr##x##nv,
static planes_function *const planes_of[TILE_ROW_VECS + 1][TILE_ROWS + 1] = {TILES(PLANES_ENTRY)};

/* Row y of the output, whose input rows have been copied. */
static void planes_row(const struct packed_conv *s, const struct planes_scratch *t, long y, long n0,
                       long n1)
{
    long *at = t->at;
    int   take;

    for (long ky = 0; ky < s->kernel_h; ky++) {
        const long row = y * s->stride_h - s->pad_top + ky;
        const long slot = (row % s->kernel_h + s->kernel_h) % s->kernel_h;

        for (long kx = 0; kx < s->kernel_w; kx++)
            for (long c = 0; c < s->c; c++) {
                *at++ = (slot * s->c + c) * t->width + kx;
                *at++ = ky * s->weight.tap_y + kx * s->weight.tap_x + c * KERNEL_PANEL;
            }
    }
    for (long n = n0; n < n1; n += take * VL) {
        struct tile_run   r = {.ldy = s->ldy, .tap = t->at, .taps = (at - t->at) / 2};
        struct tile_split split;

        take = tile_take((n1 - n + VL - 1) / VL);
        split = tile_split(s->out_w, tile_rows[take]);
        tile_channels(&r, &s->weight, &s->epilogue, n);
        r.x = t->rows;
        r.y = s->y + y * s->out_w * s->ldy + n;
        r.last = n + take * VL <= n1 ? VL : n1 - n - (take - 1) * VL;
        if (s->epilogue.residual)
            r.residual = s->epilogue.residual + y * s->out_w * s->epilogue.ld_residual + n;
        for (long i = 0; i < split.higher + split.lower; i++) {
            const int pixels = split.height + (i < split.higher);

            planes_of[take][pixels](&r, s->stride_w);
            r.x += pixels * s->stride_w;
            r.y += pixels * s->ldy;
            if (r.residual) r.residual += pixels * s->epilogue.ld_residual;
        }
    }
}

static void planes(const struct packed_conv *s, long y0, long y1, long n0, long n1, void *scratch)
{
    const struct planes_scratch t = planes_begin(s, scratch);
    long                        copied = y0 * s->stride_h - s->pad_top; /* rows before it */

    for (long y = y0; y < y1; y++) {
        const long first = y * s->stride_h - s->pad_top;

        if (copied < first) copied = first;
        for (; copied < first + s->kernel_h; copied++)
            planes_copy(s, &t, copied);
        planes_row(s, &t, y, n0, n1);
    }
}
