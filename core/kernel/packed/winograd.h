/* winograd: 3x3 convolution, stride 1, by F(m x m, 3x3), m = 2 or 4 (a part of set_*.c).
 *
 *   y = A^T [(G w G^T) . (B^T x B)] A
 *
 * for every tile of m x m outputs; kernel_winograd_pack made G w G^T. Between the two
 * transforms stand (m + 2)^2 products [tiles, c] [n, c]^T: 2.25 or 4 times fewer
 * multiplications than the direct sum, for a larger rounding error. */

enum { WINOGRAD_MAX = 6 };

/* One column (or row) of B^T x, in place. */
INLINE void winograd_in(const int m, vec d[WINOGRAD_MAX])
{
    const vec d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3];

    if (m == 2) {
        d[0] = d0 - d2;
        d[1] = d1 + d2;
        d[2] = d2 - d1;
        d[3] = d1 - d3;
    } else {
        const vec d4 = d[4], d5 = d[5], two = vec_set(2.0f), four = vec_set(4.0f);
        const vec even = d4 - four * d2, odd = d3 - four * d1;
        const vec near = d4 - d2, far = two * (d3 - d1);

        d[0] = four * d0 - vec_set(5.0f) * d2 + d4;
        d[1] = even + odd;
        d[2] = even - odd;
        d[3] = near + far;
        d[4] = near - far;
        d[5] = four * d1 - vec_set(5.0f) * d3 + d5;
    }
}

/* One column (or row) of A^T p, in place: the first m numbers. */
INLINE void winograd_out(const int m, vec p[WINOGRAD_MAX])
{
    const vec sum = p[1] + p[2], difference = p[1] - p[2];

    if (m == 2) {
        p[0] = p[0] + sum;
        p[1] = difference - p[3];
    } else {
        const vec sum2 = p[3] + p[4], difference2 = p[3] - p[4], last = p[5];

        p[0] = p[0] + sum + sum2;
        p[1] = vec_fma(vec_set(2.0f), difference2, difference);
        p[2] = vec_fma(vec_set(4.0f), sum2, sum);
        p[3] = vec_fma(vec_set(8.0f), difference2, difference) + last;
    }
}

/* VL channels of a tile, or with `part` fewer: its pixels are at[i] + j * ld, or, where it hangs
 * over an edge, edge[i * (m + 2) + j]. */
INLINE void winograd_vector_in(const int m, const bool part, const float *const *at, long ld,
                               const float *const *edge, long c, long n, float *v, long step)
{
    vec d[WINOGRAD_MAX][WINOGRAD_MAX];

#pragma GCC unroll 6
    for (int j = 0; j < m + 2; j++) {
        vec column[WINOGRAD_MAX];

#pragma GCC unroll 6
        for (int i = 0; i < m + 2; i++) {
            const float *x = (edge ? edge[i * (m + 2) + j] : at[i] + j * ld) + c;

            column[i] = part ? vec_load_n(x, n) : vec_load(x);
        }
        winograd_in(m, column);
#pragma GCC unroll 6
        for (int i = 0; i < m + 2; i++)
            d[i][j] = column[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < m + 2; i++) {
        winograd_in(m, d[i]);
#pragma GCC unroll 6
        for (int j = 0; j < m + 2; j++)
            vec_store(v + (i * (m + 2) + j) * step + c, d[i][j]); /* padded to a panel */
    }
}

/* A tile of image x under its (m + 2)^2 pixels, transformed: v[(i * (m + 2) + j) * step + c]. */
INLINE void winograd_tile_in(const int m, const struct packed_conv *s, const float *image, long ty,
                             long tx, const float *zero, float *v, long step)
{
    const long   y0 = ty * m - s->pad_top, x0 = tx * m - s->pad_left;
    const bool   inside = y0 >= 0 && y0 + m + 2 <= s->h && x0 >= 0 && x0 + m + 2 <= s->w;
    const float *at[WINOGRAD_MAX], *edge[WINOGRAD_MAX * WINOGRAD_MAX];
    long         c = 0;

    for (int i = 0; inside && i < m + 2; i++)
        at[i] = image + ((y0 + i) * s->w + x0) * s->ldx;
    for (int i = 0; !inside && i < (m + 2) * (m + 2); i++) {
        const long y = y0 + i / (m + 2), x = x0 + i % (m + 2);

        edge[i] = y >= 0 && y < s->h && x >= 0 && x < s->w ? image + (y * s->w + x) * s->ldx : zero;
    }
    for (; inside && c + VL <= s->c; c += VL)
        winograd_vector_in(m, false, at, s->ldx, NULL, c, VL, v, step);
    for (; !inside && c + VL <= s->c; c += VL)
        winograd_vector_in(m, false, NULL, 0, edge, c, VL, v, step);
    if (c < s->c && inside)
        winograd_vector_in(m, true, at, s->ldx, NULL, c, s->c - c, v, step);
    else if (c < s->c)
        winograd_vector_in(m, true, NULL, 0, edge, c, s->c - c, v, step);
}

/* VL channels from c on (fewer: n) of a tile of products p, transformed back into the pixels of y
 * that exist: `rows` by `columns`, m by m of a `whole` tile. */
INLINE void winograd_vector_out(const int m, const bool whole, const struct packed_conv *s,
                                const float *p, long step, float *y, const float *residual, long c,
                                long n, long rows, long columns)
{
    const struct kernel_epilogue *e = &s->epilogue;
    const vec                     factor = e->scale ? vec_load_n(e->scale + c, n) : vec_set(1.0f);
    const vec                     shift = e->shift ? vec_load_n(e->shift + c, n) : vec_set(0.0f);
    const long                    line = s->out_w * s->ldy, ld_line = s->out_w * e->ld_residual;
    vec                           d[WINOGRAD_MAX][WINOGRAD_MAX];

#pragma GCC unroll 6
    for (int j = 0; j < m + 2; j++) {
        vec column[WINOGRAD_MAX];

#pragma GCC unroll 6
        for (int i = 0; i < m + 2; i++)
            column[i] = vec_load(p + (i * (m + 2) + j) * step);
        winograd_out(m, column);
#pragma GCC unroll 6
        for (int i = 0; i < m; i++)
            d[i][j] = column[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < m; i++) {
        if (!whole && i >= rows) break;
        winograd_out(m, d[i]);
#pragma GCC unroll 6
        for (int j = 0; j < m; j++) {
            vec v = vec_fma(d[i][j], factor, shift);

            if (!whole && j >= columns) break;
            if (residual) v += vec_load_n(residual + i * ld_line + j * e->ld_residual + c, n);
            if (e->act == KERNEL_ACT_RELU) v = vec_relu(v);
            if (whole)
                vec_store(y + i * line + j * s->ldy + c, v);
            else
                vec_store_n(y + i * line + j * s->ldy + c, v, n);
        }
    }
}

/* A tile of products p [n0 to n1], transformed back into the image that begins at pixel `first`. */
INLINE void winograd_tile_out(const int m, const struct packed_conv *s, long first, long ty,
                              long tx, long n0, long n1, const float *p, long step)
{
    const struct kernel_epilogue *e = &s->epilogue;
    const long                    rows = s->out_h - ty * m < m ? s->out_h - ty * m : m;
    const long                    columns = s->out_w - tx * m < m ? s->out_w - tx * m : m;
    const long                    pixel = first + ty * m * s->out_w + tx * m;
    float                        *y = s->y + pixel * s->ldy;
    const float *residual = e->residual ? e->residual + pixel * e->ld_residual : NULL;
    long         c = n0;

    for (; rows == m && columns == m && c + VL <= n1; c += VL, p += VL)
        winograd_vector_out(m, true, s, p, step, y, residual, c, VL, m, m);
    for (; c < n1; c += VL, p += VL)
        winograd_vector_out(m, false, s, p, step, y, residual, c, n1 - c < VL ? n1 - c : VL, rows,
                            columns);
    for (long i = 0; e->act > KERNEL_ACT_RELU && i < rows; i++) {
        float *at = y + i * s->out_w * s->ldy + n0;

        act_of[e->act](columns, n1 - n0, at, s->ldy, at, s->ldy);
    }
}

INLINE void winograd_run(const int m, const struct packed_conv *s, long t0, long t1, long n0,
                         long n1, float *scratch)
{
    const long across = (s->out_w + m - 1) / m, down = (s->out_h + m - 1) / m;
    const long taps = (m + 2) * (m + 2);
    const long c = round_up(s->c, KERNEL_PANEL), n = round_up(n1 - n0, KERNEL_PANEL);
    const long most = winograd_block(s->c, n1 - n0, m), blocks = (t1 - t0 + most - 1) / most;
    const long block = blocks ? (t1 - t0 + blocks - 1) / blocks : 1;
    /* The matrices of the taps start at different sets of the cache. */
    const long   step_v = block * c + KERNEL_PANEL, step_p = block * n + KERNEL_PANEL;
    const float *w = s->weight.at + n0 / KERNEL_PANEL * s->weight.panel;
    float       *zero = scratch, *v = zero + c, *p = v + taps * step_v;

    memset(zero, 0, (size_t)c * sizeof(float));
    for (long t = t0; t < t1; t += block) {
        const long count = t1 - t < block ? t1 - t : block;

        for (long i = t; i < t + count; i++)
            winograd_tile_in(m, s, s->x + i / across / down * s->h * s->w * s->ldx,
                             i / across % down, i % across, zero, v + (i - t) * c, step_v);
        for (long tap = 0; tap < taps; tap++) {
            const long               after = (tap + 1) % taps;
            const struct packed_gemm product = {
                .k = s->c,
                .x = v + tap * step_v,
                .ldx = c,
                .w = {.at = w + tap / (m + 2) * s->weight.tap_y + tap % (m + 2) * s->weight.tap_x,
                      .panel = s->weight.panel},
                .next = w + after / (m + 2) * s->weight.tap_y + after % (m + 2) * s->weight.tap_x,
                .y = p + tap * step_p,
                .ldy = n,
            };

            gemm(&product, 0, count, 0, n);
        }
        for (long i = t; i < t + count; i++)
            winograd_tile_out(m, s, i / across / down * s->out_h * s->out_w, i / across % down,
                              i % across, n0, n1, p + (i - t) * n, step_p);
    }
}

static void winograd(const struct packed_conv *s, int m, long t0, long t1, long n0, long n1,
                     void *scratch)
{
    if (m == 2)
        winograd_run(2, s, t0, t1, n0, n1, scratch);
    else
        winograd_run(4, s, t0, t1, n0, n1, scratch);
}
