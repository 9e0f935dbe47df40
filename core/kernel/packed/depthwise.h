/* depthwise: every channel with its own small kernel (a part of set_*.c). A strip of up to
 * STRIP pixels of an output row is computed at once, a vector of channels at a time: each
 * input pixel is loaded once and used for all outputs it lies under. */

/* One strip: the rows of x under it (clipped at top and bottom), channels in steps of VL. */
struct strip {
    const float    *x; /* pixel under the first tap of the first pixel; may lie outside */
    long            row, ldx;
    long            rows;      /* of taps */
    long            from, end; /* pixels relative to x that are inside the image */
    const float    *w;         /* first of those taps, first channel */
    long            panel, tap_y, tap_x;
    float          *y;
    long            ldy;
    long            channels;
    const float    *scale, *shift, *residual; /* of these channels and pixels, or NULL */
    long            ld_residual;
    enum kernel_act act;
};

typedef void strip_function(const struct strip *s);

/* Scale, shift, residual and the cheap activations, in registers. */
INLINE void strip_end(const int count, const bool part, const struct strip *s, vec sum[], long c)
{
    const long n = part ? s->channels - c : VL;

    if (s->scale || s->shift) {
        const vec scale = s->scale ? vec_load_n(s->scale + c, n) : vec_set(1.0f);
        const vec shift = s->shift ? vec_load_n(s->shift + c, n) : vec_set(0.0f);

#pragma GCC unroll 8
        for (int t = 0; t < count; t++)
            sum[t] = vec_fma(sum[t], scale, shift);
    }
    if (s->residual) {
#pragma GCC unroll 8
        for (int t = 0; t < count; t++)
            sum[t] += vec_load_n(s->residual + t * s->ld_residual + c, n);
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

INLINE void strip_vector(const int kw, const int stride, const int count, const bool edge,
                         const bool part, const struct strip *s, long c)
{
    const float *w = s->w + c / KERNEL_PANEL * s->panel + c % KERNEL_PANEL;
    const long   n = s->channels - c;
    vec          sum[STRIP];

#pragma GCC unroll 8
    for (int t = 0; t < count; t++)
        sum[t] = vec_set(0.0f);
    for (long y = 0; y < s->rows; y++, w += s->tap_y) {
        const float *row = s->x + y * s->row + c;
        vec          tap[7];

#pragma GCC unroll 7
        for (int i = 0; i < kw; i++)
            tap[i] = vec_held(w + i * s->tap_x);
#pragma GCC unroll 32
        for (int i = 0; i < (count - 1) * stride + kw; i++) {
            if (edge && (i < s->from || i >= s->end)) continue;
            const vec x = part ? vec_load_n(row + i * s->ldx, n) : vec_held(row + i * s->ldx);

#pragma GCC unroll 8
            for (int t = 0; t < count; t++)
                if (i >= t * stride && i < t * stride + kw)
                    sum[t] = vec_fma(x, tap[i - t * stride], sum[t]);
        }
    }
    strip_end(count, part, s, sum, c);
#pragma GCC unroll 8
    for (int t = 0; t < count; t++) {
        if (part)
            vec_store_n(s->y + t * s->ldy + c, sum[t], n);
        else
            vec_store(s->y + t * s->ldy + c, sum[t]);
    }
}

INLINE void strip_channels(const int kw, const int stride, const int count, const bool edge,
                           const struct strip *s)
{
    long c = 0;

    for (; c + VL <= s->channels; c += VL)
        strip_vector(kw, stride, count, edge, false, s, c);
    if (c < s->channels) strip_vector(kw, stride, count, edge, true, s, c);
}

/* kernel width, stride, pixels (STRIP_COUNTS: simd_*.h) */
#define STRIPS(_)                                                                                  \
    STRIP_COUNTS(_, 3, 1)                                                                          \
    STRIP_COUNTS(_, 3, 2)                                                                          \
    STRIP_COUNTS(_, 5, 1) STRIP_COUNTS(_, 5, 2) STRIP_COUNTS(_, 7, 1) STRIP_COUNTS(_, 7, 2)

#define STRIP_FUNCTIONS(kw, stride, count)                                                         \
    OUTLINE void strip_##kw##_##stride##_##count(const struct strip *s)                            \
    {                                                                                              \
        strip_channels(kw, stride, count, false, s);                                               \
    }                                                                                              \
    OUTLINE void strip_edge_##kw##_##stride##_##count(const struct strip *s)                       \
    {                                                                                              \
        strip_channels(kw, stride, count, true, s);                                                \
    }
STRIPS(STRIP_FUNCTIONS)

/* [kernel width / 2][stride][pixels][at an edge] */
#define STRIP_ROW(kw, stride, count)                                                               \
    [kw / 2][stride][count] = {strip_##kw##_##stride##_##count,                                    \
                               strip_edge_##kw##_##stride##_##count},
static strip_function *const strip_of[4][3][STRIP + 1][2] = {STRIPS(STRIP_ROW)};

/* One pixel with a kernel of any width and dilation. */
static void strip_any(const struct strip *s, int kw, int dilation)
{
    for (long c = 0; c < s->channels; c += VL) {
        const float *w = s->w + c / KERNEL_PANEL * s->panel + c % KERNEL_PANEL;
        const long   n = s->channels - c < VL ? s->channels - c : VL;
        vec          sum = vec_set(0.0f);

        for (long y = 0; y < s->rows; y++)
            for (long i = 0; i < kw; i++)
                if (i * dilation >= s->from && i * dilation < s->end)
                    sum = vec_fma(vec_load_n(s->x + y * s->row + i * dilation * s->ldx + c, n),
                                  vec_load(w + y * s->tap_y + i * s->tap_x), sum);
        if (n == VL)
            strip_end(1, false, s, &sum, c);
        else
            strip_end(1, true, s, &sum, c);
        vec_store_n(s->y + c, sum, n);
    }
}

/* Channels c to c + count of one row of the output: its strips, then what is left to do
 * while they are in the first-level cache. */
static void depthwise_row(const struct packed_conv *s, long oy, long c, long count, float *sums)
{
    const bool fast = (s->kernel_w == 3 || s->kernel_w == 5 || s->kernel_w == 7) &&
                      s->dilation_w == 1 && s->stride_w <= 2;
    const long                    y0 = oy * s->stride_h - s->pad_top;
    long                          first = 0, last = s->kernel_h;
    const struct tile_split       split = tile_split(s->out_w, fast ? STRIP : 1);
    const struct kernel_epilogue *e = &s->epilogue;
    float                        *y = s->y + oy * s->out_w * s->ldy + c;

    while (first < last && y0 + first * s->dilation_h < 0)
        first++;
    while (last > first && y0 + (last - 1) * s->dilation_h >= s->h)
        last--;
    for (long i = 0, ox = 0; i < split.higher + split.lower; i++) {
        const int  pixels = split.height + (i < split.higher);
        const long x0 = ox * s->stride_w - s->pad_left;
        const long under = (pixels - 1) * s->stride_w + (s->kernel_w - 1L) * s->dilation_w + 1;
        const bool edge = x0 < 0 || x0 + under > s->w;
        /* x may point in front of the image; only pixels inside it are read */
        const struct strip strip = {
            .x = s->x + ((y0 + first * s->dilation_h) * s->w + x0) * s->ldx + c,
            .row = s->dilation_h * s->w * s->ldx,
            .ldx = s->ldx,
            .rows = last - first,
            .from = -x0,
            .end = s->w - x0,
            .w = s->weight.at + c / KERNEL_PANEL * s->weight.panel + first * s->weight.tap_y,
            .panel = s->weight.panel,
            .tap_y = s->weight.tap_y,
            .tap_x = s->weight.tap_x,
            .y = y + ox * s->ldy,
            .ldy = s->ldy,
            .channels = count,
            .scale = e->scale ? e->scale + c : NULL,
            .shift = e->shift ? e->shift + c : NULL,
            .residual =
                e->residual ? e->residual + (oy * s->out_w + ox) * e->ld_residual + c : NULL,
            .ld_residual = e->ld_residual,
            .act = e->act,
        };

        if (fast)
            strip_of[s->kernel_w / 2][s->stride_w][pixels][edge](&strip);
        else
            strip_any(&strip, s->kernel_w, s->dilation_w);
        ox += pixels;
    }
    if (e->act > KERNEL_ACT_HARDSWISH) act_of[e->act](s->out_w, count, y, s->ldy, y, s->ldy);
    for (long j = 0; sums && j < count; j += VL) {
        const long n = count - j < VL ? count - j : VL;
        vec        sum = vec_set(0.0f);

        for (long ox = 0; ox < s->out_w; ox++)
            sum += vec_load_n(y + ox * s->ldy + j, n);
        vec_store_n(sums + j, sum, n);
    }
}

static void depthwise(const struct packed_conv *s, long y0, long y1, long c0, long c1,
                      float *row_sum, long ld_sum)
{
    /* What the strips of a row share, input and weights, half fills the first-level cache. */
    const long pixels = (STRIP * s->stride_w + 2L * s->kernel_w) * s->kernel_h;
    long       chunk = (24 << 10) / (long)sizeof(float) / pixels / KERNEL_PANEL * KERNEL_PANEL;

    if (chunk < KERNEL_PANEL) chunk = KERNEL_PANEL;
    for (long y = y0; y < y1; y++)
        for (long c = c0; c < c1; c += chunk)
            depthwise_row(s, y, c, c1 - c < chunk ? c1 - c : chunk,
                          row_sum ? row_sum + y * ld_sum + c : NULL);
}
