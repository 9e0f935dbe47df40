/* depthwise: every channel with its own small kernel (a part of set_*.c). A strip is up to STRIP
 * neighbouring output pixels of a row. For one vector of channels all rows of a strip are computed
 * one after the other, so that the input rows they share and the weights stay in the first-level
 * cache; the nine taps of a 3x3 kernel even stay in registers. Where the kernel's width is known at
 * compile time, an input pixel is loaded once per row and used for all outputs that it contributes
 * to; otherwise it is loaded for every tap.
 *
 * Going down the rows makes the hardware prefetch a dozen rows ahead, also those that another core
 * is writing, which that core must then fetch back. So where threads divide rows, 3x3 and 5x5
 * kernels go along each row and prefetch the next one themselves; images of few channels are
 * computed a few rows at a time. */

/* The output rows of a strip, and the input that they read. */
struct strip {
    const float *x; /* input pixel of tap (0, 0) for the first output; may be outside the image */
    long         row, ldx;     /* from row to row of taps, from pixel to pixel */
    long         next;         /* from output row to output row */
    long         from, end;    /* pixels relative to x that are inside the image */
    long         above, below; /* rows of taps relative to x that are inside the image */
    long         taps, step;   /* rows of taps; their distance, and stride_h, in image rows */
    long         stride;
    long         columns, column_step; /* taps of a row; their distance, and stride_w, in pixels */
    long         pixel_step;
    const float *w; /* first tap, first channel */
    long         panel, tap_y, tap_x;
    float       *y;
    long         ldy, next_y;
    long         rows, channels;
    long         under; /* pixels */
    long         along; /* channels of a row before the next row; 0: rows of a vector first */
    const float *scale, *shift, *residual; /* of these channels and pixels, or NULL */
    long         ld_residual, next_residual;
    enum kernel_act act;
};

/* Channels c to `end` of a strip. */
typedef void strip_function(const struct strip *s, long c, long end);

/* Scale, shift, residual and the cheap activations, in registers. */
INLINE void strip_end(const int count, const bool part, const struct strip *s, vec sum[], long c,
                      const float *residual)
{
    const long n = part ? s->channels - c : VL;

    if (s->scale || s->shift) {
        const vec scale = s->scale ? vec_load_n(s->scale + c, n) : vec_set(1.0f);
        const vec shift = s->shift ? vec_load_n(s->shift + c, n) : vec_set(0.0f);

#pragma GCC unroll 8
        for (int t = 0; t < count; t++)
            sum[t] = vec_fma(sum[t], scale, shift);
    }
    if (residual) {
#pragma GCC unroll 8
        for (int t = 0; t < count; t++)
            sum[t] += vec_load_n(residual + t * s->ld_residual, n);
    }
    if (s->act == KERNEL_ACT_RELU || s->act == KERNEL_ACT_RELU6) {
#pragma GCC unroll 8
        for (int t = 0; t < count; t++)
            sum[t] = vec_relu(sum[t]);
    }
    if (s->act == KERNEL_ACT_RELU6) {
#pragma GCC unroll 8
        for (int t = 0; t < count; t++)
            sum[t] = vec_min(vec_set(6.0f), sum[t]);
    } else if (s->act == KERNEL_ACT_HARDSWISH) {
#pragma GCC unroll 8
        for (int t = 0; t < count; t++)
            sum[t] = vec_hardswish(sum[t]);
    }
}

/* Add one row of taps to a strip, from its input pixel `at` on. */
INLINE void strip_taps_row(const int kw, const int stride, const int count, const bool edge,
                           const struct strip *s, long at, long n, const float *row,
                           const vec tap[], vec sum[])
{
    row += at * s->ldx;
#pragma GCC unroll 32
    for (int i = 0; i < (count - 1) * stride + kw; i++) {
        if (edge && (at + i < s->from || at + i >= s->end)) continue;
        const vec x = n < VL ? vec_load_n(row + i * s->ldx, n) : vec_held(row + i * s->ldx);

#pragma GCC unroll 8
        for (int t = 0; t < count; t++)
            if (i >= t * stride && i < t * stride + kw)
                sum[t] = vec_fma(x, tap[i - t * stride], sum[t]);
    }
}

/* `kw` of the taps of a row, from `at` on. */
INLINE void strip_piece(const int kw, const int count, const bool edge, const struct strip *s,
                        long at, long n, const float *row, const float *w, vec sum[])
{
    vec tap[7];

#pragma GCC unroll 7
    for (int i = 0; i < kw; i++)
        tap[i] = vec_held(w + (at + i) * s->tap_x);
    strip_taps_row(kw, 1, count, edge, s, at, n, row, tap, sum);
}

/* A row of any width, if pixels and taps go in equal steps: pieces of 7, 5 and 3 taps; what they
 * leave, and every tap of others, alone. */
INLINE void strip_taps_any(const int count, const bool edge, const struct strip *s, long n,
                           const float *row, const float *w, vec sum[])
{
    long i = 0;

    if (s->pixel_step == s->column_step) {
        for (; s->columns - i >= 10 || s->columns - i == 7; i += 7)
            strip_piece(7, count, edge, s, i, n, row, w, sum);
        for (; s->columns - i == 8 || s->columns - i == 5; i += 5)
            strip_piece(5, count, edge, s, i, n, row, w, sum);
        for (; s->columns - i >= 3; i += 3)
            strip_piece(3, count, edge, s, i, n, row, w, sum);
    }
    for (; i < s->columns; i++) {
        const vec    tap = vec_held(w + i * s->tap_x);
        const float *x = row + i * s->column_step * s->ldx;

#pragma GCC unroll 8
        for (int t = 0; t < count; t++, x += s->pixel_step * s->ldx) {
            const long at = i * s->column_step + t * s->pixel_step;

            if (!edge || (at >= s->from && at < s->end))
                sum[t] = vec_fma(n < VL ? vec_load_n(x, n) : vec_load(x), tap, sum[t]);
        }
    }
}

/* The rows of taps of output row r that lie inside the image. */
INLINE void strip_taps(const struct strip *s, long r, long *ret_first, long *ret_last)
{
    const long above = s->above - r * s->stride, below = s->below - r * s->stride;

    *ret_first = above > 0 ? (above + s->step - 1) / s->step : 0;
    *ret_last = below >= s->taps * s->step ? s->taps
                : below > 0                ? (below + s->step - 1) / s->step
                                           : 0;
}

/* All rows of a strip, VL channels from c on or, with `part`, what is left of them. `held`: the
 * nine taps of a 3x3 kernel stay in registers. */
INLINE void strip_vector(const int kw, const int stride, const int count, const bool edge,
                         const bool held, const bool part, const struct strip *s, long c)
{
    const float *x = s->x + c, *w = s->w + c / KERNEL_PANEL * s->panel + c % KERNEL_PANEL;
    const float *residual = s->residual ? s->residual + c : NULL;
    const long   n = part ? s->channels - c : VL;
    float       *y = s->y + c;
    vec          tap[9];

    if (held) {
#pragma GCC unroll 9
        for (int i = 0; i < 9; i++)
            tap[i] = vec_held(w + i / 3 * s->tap_y + i % 3 * s->tap_x);
    }
    for (long r = 0; r < s->rows; r++) {
        long first, last;
        vec  sum[STRIP];

#pragma GCC unroll 8
        for (int t = 0; t < count; t++)
            sum[t] = vec_set(0.0f);
        strip_taps(s, r, &first, &last);
        if (held) {
#pragma GCC unroll 3
            for (int ky = 0; ky < 3; ky++)
                if (ky >= first && ky < last)
                    strip_taps_row(kw, stride, count, edge, s, 0, part ? n : VL, x + ky * s->row,
                                   tap + 3 * ky, sum);
        } else if (kw == 0) {
            for (long ky = first; ky < last; ky++)
                strip_taps_any(count, edge, s, part ? n : VL, x + ky * s->row, w + ky * s->tap_y,
                               sum);
        } else {
            for (long ky = first; ky < last; ky++) {
                vec now[7];

#pragma GCC unroll 7
                for (int i = 0; i < kw; i++)
                    now[i] = vec_held(w + ky * s->tap_y + i * s->tap_x);
                strip_taps_row(kw, stride, count, edge, s, 0, part ? n : VL, x + ky * s->row, now,
                               sum);
            }
        }
        strip_end(count, part, s, sum, c, residual);
#pragma GCC unroll 8
        for (int t = 0; t < count; t++) {
            if (part)
                vec_store_n(y + t * s->ldy, sum[t], n);
            else
                vec_store(y + t * s->ldy, sum[t]);
        }
        x += s->next;
        y += s->next_y;
        if (residual) residual += s->next_residual;
    }
}

/* Channels from c to `end`, all rows of a vector of them before the next. */
INLINE void strip_down(const int kw, const int stride, const int count, const bool edge,
                       const struct strip *s, long c, long end)
{
    const bool may = TAPS_HELD && kw == 3, square = may && s->taps == 3;

    for (; square && c + VL <= end; c += VL)
        strip_vector(kw, stride, count, edge, may, false, s, c);
    for (; c + VL <= end; c += VL)
        strip_vector(kw, stride, count, edge, false, false, s, c);
    if (c < end) strip_vector(kw, stride, count, edge, false, true, s, c);
}

/* kernel width and stride, or 0 for any; pixels (STRIP_COUNTS: simd_*.h) */
/* clang-format off */
#define STRIPS(_)         \
    STRIP_COUNTS(_, 0, 0) \
    STRIP_COUNTS(_, 3, 1) \
    STRIP_COUNTS(_, 3, 2) \
    STRIP_COUNTS(_, 5, 1) \
    STRIP_COUNTS(_, 5, 2) \
    STRIP_COUNTS(_, 7, 1) \
    STRIP_COUNTS(_, 7, 2)
/* clang-format on */

#define STRIP_FUNCTIONS(kw, stride, count)                                                         \
    OUTLINE void strip_##kw##_##stride##_##count(const struct strip *s, long c, long end)          \
    {                                                                                              \
        strip_down(kw, stride, count, false, s, c, end);                                           \
    }                                                                                              \
    OUTLINE void strip_edge_##kw##_##stride##_##count(const struct strip *s, long c, long end)     \
    {                                                                                              \
        strip_down(kw, stride, count, true, s, c, end);                                            \
    }
STRIPS(STRIP_FUNCTIONS)

/* [kernel width / 2][stride][pixels][at an edge] */
#define STRIP_ROW(kw, stride, count)                                                               \
    [kw / 2][stride][count] = {strip_##kw##_##stride##_##count,                                    \
                               strip_edge_##kw##_##stride##_##count},
static strip_function *const strip_of[4][3][STRIP + 1][2] = {STRIPS(STRIP_ROW)};

/* Dilation: taking every `every`-th output column turns it into a plain convolution over pixels
 * that are so far apart: x[ox * stride + i * dilation], ox = r + j * dilation / stride. Where that
 * is not possible, columns are computed one by one. */
struct strip_columns {
    long every, apart;
    long pixel_step, column_step; /* stride and dilation in pixels so far apart */
};

INLINE struct strip_columns strip_columns(const struct packed_conv *s)
{
    if (s->dilation_w % s->stride_w)
        return (struct strip_columns){1, 1, s->stride_w, s->dilation_w};
    return (struct strip_columns){s->dilation_w / s->stride_w, s->dilation_w, 1, 1};
}

/* Least channels for going along a row: with fewer, calls cost too much, and strips are short
 * instead. */
enum { ALONG_CHANNELS = 6 * KERNEL_PANEL, SHORT_ROWS = 6 };

/* Channels whose part of the rows of taps, `under` pixels wide, half fills the first-level cache.
 */
INLINE long strip_width(const struct packed_conv *s, long under)
{
    const long panels = (24 << 10) / (KERNEL_PANEL * (long)sizeof(float)) / s->kernel_h / under;

    return (panels + 1) * KERNEL_PANEL;
}

/* Is there a function for this width and stride, or only the one for any? */
INLINE bool strip_known(const struct packed_conv *s, struct strip_columns by)
{
    return (s->kernel_w == 3 || s->kernel_w == 5 || s->kernel_w == 7) && by.column_step == 1 &&
           by.pixel_step <= 2;
}

/* Prefetch the input rows that the next output row reads and this one does not. */
INLINE void strip_want(const struct strip *s, long c)
{
    const float *row = s->x + s->next + (s->taps - 1) * s->row + c;

    for (long i = 0; i < s->stride; i++, row -= s->next / s->stride)
        for (long pixel = 0; pixel < s->under; pixel++)
            __builtin_prefetch(row + pixel * s->ldx, 0, 3);
}

/* Row by row, `along` channels of each. */
static void strip_along(strip_function *run, const struct strip *s)
{
    for (long from = 0; from < s->channels; from += s->along) {
        const long   end = s->channels - from < s->along ? s->channels : from + s->along;
        struct strip row = *s;

        row.rows = 1;
        for (long r = 1; r <= s->rows; r++) {
            for (long c = from; r < s->rows && c < end; c += KERNEL_PANEL)
                strip_want(&row, c);
            run(&row, from, end);
            row.x += s->next;
            row.y += s->next_y;
            if (row.residual) row.residual += s->next_residual;
            row.above -= s->stride;
            row.below -= s->stride;
        }
    }
}

/* Rows y0 to y1 and channels c0 to c1 of the columns first, first + by.every, ... */
static void depthwise_columns(const struct packed_conv *s, struct strip_columns by, long first,
                              long y0, long y1, long c0, long c1)
{
    const struct tile_split split = tile_split((s->out_w - first + by.every - 1) / by.every, STRIP);
    const struct kernel_epilogue *e = &s->epilogue;
    const long                    top = y0 * s->stride_h - s->pad_top;
    const bool                    known = strip_known(s, by);
    const bool along = known && s->kernel_w < 7 && s->shared && c1 - c0 >= ALONG_CHANNELS;

    for (long i = 0, ox = first; i < split.higher + split.lower; i++) {
        const int  pixels = split.height + (i < split.higher);
        const long x0 = ox * s->stride_w - s->pad_left, out = y0 * s->out_w + ox;
        const long from = x0 < 0 ? (by.apart - 1 - x0) / by.apart : 0;
        const long end = x0 < s->w ? (s->w - 1 - x0) / by.apart + 1 : 0;
        const long under = (pixels - 1) * by.pixel_step + (s->kernel_w - 1L) * by.column_step + 1;
        /* x may point in front of the image; only pixels inside it are read */
        const struct strip strip = {
            .x = s->x + (top * s->w + x0) * s->ldx + c0,
            .row = s->dilation_h * s->w * s->ldx,
            .ldx = by.apart * s->ldx,
            .next = s->stride_h * s->w * s->ldx,
            .from = from,
            .end = end,
            .above = -top,
            .below = s->h - top,
            .taps = s->kernel_h,
            .step = s->dilation_h,
            .stride = s->stride_h,
            .columns = s->kernel_w,
            .column_step = by.column_step,
            .pixel_step = by.pixel_step,
            .w = s->weight.at + c0 / KERNEL_PANEL * s->weight.panel,
            .panel = s->weight.panel,
            .tap_y = s->weight.tap_y,
            .tap_x = s->weight.tap_x,
            .y = s->y + out * s->ldy + c0,
            .ldy = by.every * s->ldy,
            .next_y = s->out_w * s->ldy,
            .rows = y1 - y0,
            .channels = c1 - c0,
            .under = under,
            .along = along ? strip_width(s, under) : 0,
            .scale = e->scale ? e->scale + c0 : NULL,
            .shift = e->shift ? e->shift + c0 : NULL,
            .residual = e->residual ? e->residual + out * e->ld_residual + c0 : NULL,
            .ld_residual = by.every * e->ld_residual,
            .next_residual = s->out_w * e->ld_residual,
            .act = e->act,
        };

        strip_function *const run = strip_of[known ? s->kernel_w / 2 : 0][known ? by.pixel_step : 0]
                                            [pixels][from > 0 || end < under];

        if (along)
            strip_along(run, &strip);
        else
            run(&strip, 0, strip.channels);
        ox += pixels * by.every;
    }
}

/* Rows y0 to y1 and channels c0 to c1: strip by strip. */
static void depthwise_rows(const struct packed_conv *s, struct strip_columns by, long y0, long y1,
                           long c0, long c1)
{
    const enum kernel_act act = s->epilogue.act;

    for (long first = 0; first < by.every && first < s->out_w; first++)
        depthwise_columns(s, by, first, y0, y1, c0, c1);
    for (long y = y0; act > KERNEL_ACT_HARDSWISH && y < y1; y++) {
        float *row = s->y + y * s->out_w * s->ldy + c0;

        act_of[act](s->out_w, c1 - c0, row, s->ldy, row, s->ldy);
    }
}

static void depthwise(const struct packed_conv *s, long y0, long y1, long c0, long c1)
{
    /* As many rows as half fill the first-level cache under one strip and one vector. */
    const struct strip_columns by = strip_columns(s);
    const long                 pixels = STRIP * by.pixel_step + (s->kernel_w - 1L) * by.column_step;
    const long                 under = (24 << 10) / (KERNEL_PANEL * (long)sizeof(float)) / pixels;
    long                       rows = (under - (s->kernel_h - 1L) * s->dilation_h) / s->stride_h;

    if (rows < 4) rows = 4;
    if (s->shared && c1 - c0 < ALONG_CHANNELS && rows > SHORT_ROWS) rows = SHORT_ROWS;
    for (long y = y0; y < y1; y += rows)
        depthwise_rows(s, by, y, y1 - y < rows ? y1 : y + rows, c0, c1);
}
