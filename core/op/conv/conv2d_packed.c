/* conv2d_packed: the variants of Conv2d over packed weights, with channels-last outputs: pointwise,
 * dense, depthwise and grouped ones; one that reads images as planes; and Winograd's for 3x3. Other
 * paddings than zeros run as the variant "rows" (conv2d.c).
 *
 * Threads divide the positions (output pixels) of all images or, where these are few, the channels.
 */
#include "op/conv/conv2d.h"
#include "op/packed.h"

/* Which kernel. The values of Winograd's are m of F(m x m, 3x3). */
enum way { WAY_POSITIONS, WAY_PLANES, WAY_WINOGRAD2 = 2, WAY_WINOGRAD4 = 4 };

static bool is_winograd(enum way way)
{
    return way >= WAY_WINOGRAD2;
}

/* One forward; read by all threads. */
struct packed_run {
    struct packed_conv s; /* of the first image */
    int64_t            images;
    long               c_out;
    bool               depthwise;
    enum way           way;
    bool   by_channels;  /* threads divide channels; otherwise units: positions, rows or tiles */
    long   units;        /* of one image */
    char  *scratch;      /* of the first thread */
    size_t scratch_step; /* bytes from one thread to the next */
};

static bool is_pointwise(const struct conv_shape *s)
{
    return conv_is_pointwise(s) && s->groups == 1;
}

/* Depthwise: output channels for each input channel; 0 if it is not depthwise. */
static int64_t multiplier(const struct conv_shape *s)
{
    return s->groups == s->c_in && s->groups > 1 ? s->c_out / s->groups : 0;
}

static struct packed_conv conv_of(const struct conv_shape *s)
{
    return (struct packed_conv){.h = s->h,
                                .w = s->w,
                                .c = s->c_in / s->groups,
                                .out_h = s->out_h,
                                .out_w = s->out_w,
                                .kernel_h = s->kernel_h,
                                .kernel_w = s->kernel_w,
                                .stride_h = s->stride_h,
                                .stride_w = s->stride_w,
                                .dilation_h = s->dilation_h,
                                .dilation_w = s->dilation_w,
                                .pad_top = s->pad_top,
                                .pad_left = s->pad_left,
                                .group = s->groups > 1 && !multiplier(s) ? s->c_out / s->groups : 0,
                                .ldx = s->c_in,
                                .ldy = s->c_out};
}

/* Bytes of an image with every channel repeated, for depthwise convolutions with several output
 * channels for each input channel. Cannot overflow: pixels and channels are ints. */
static size_t repeated_bytes(const struct conv_shape *s)
{
    return multiplier(s) < 2 ? 0 : sizeof(float) * (size_t)(s->h * s->w) * (size_t)s->c_out;
}

/* ---- which calls fit ------------------------------------------------------------------- */

bool conv2d_fits_packed(const sn_call *call)
{
    const struct conv2d_priv *p = call->priv;

    return call->in[0].shape.rank == 4 && !p->margins && repeated_bytes(&p->shape) <= PTRDIFF_MAX;
}

/* For few channels: a channels-last pixel would be too short to load alone. Not for kernels as
 * large as the patches of a transformer, whose rows are long enough. */
bool conv2d_fits_planes(const sn_call *call)
{
    const struct conv2d_priv *p = call->priv;

    return call->in[0].shape.rank == 4 && !p->margins && p->shape.groups == 1 &&
           p->shape.c_in <= 4 && p->shape.c_in * p->shape.kernel_h * p->shape.kernel_w <= 256 &&
           p->shape.dilation_h == 1 && p->shape.dilation_w == 1 && !conv_is_pointwise(&p->shape);
}

/* A 3x3 weight that is no crop, with enough channels to pay for the transforms. */
static bool may_winograd(const sn_call *call)
{
    const struct conv2d_priv *p = call->priv;
    const struct conv_shape  *s = &p->shape;
    const sn_shape           *whole = &call->whole[CONV2D_WEIGHT_PARAM].shape;

    return call->in[0].shape.rank == 4 && !p->margins && s->groups == 1 && s->kernel_h == 3 &&
           s->kernel_w == 3 && whole->dim[2] == 3 && whole->dim[3] == 3 && s->stride_h == 1 &&
           s->stride_w == 1 && s->dilation_h == 1 && s->dilation_w == 1 && s->c_in >= 16 &&
           s->c_out >= 16;
}

/* Tiles of 4x4 outputs save more, unless too many of their pixels hang over the edge. */
static bool wants_winograd4(const sn_call *call)
{
    const struct conv_shape *s = &((const struct conv2d_priv *)call->priv)->shape;
    const int64_t            tiles = (int64_t)((s->out_h + 3) / 4) * ((s->out_w + 3) / 4);

    return 16 * tiles <= (int64_t)s->out_h * s->out_w * 5 / 4;
}

bool conv2d_fits_winograd4(const sn_call *call)
{
    return may_winograd(call) && wants_winograd4(call);
}

bool conv2d_fits_winograd2(const sn_call *call)
{
    return may_winograd(call) && !wants_winograd4(call);
}

/* ---- weights and scratch memory -------------------------------------------------------- */

static size_t winograd_bytes(const sn_tensor *whole, size_t k, int m)
{
    struct kernel_weight w;

    if (k != CONV2D_WEIGHT_PARAM) return 0;
    w = op_packed_weight(whole);
    return w.kernel_h == 3 && w.kernel_w == 3 ? kernel_winograd_pack_bytes(&w, m) : 0;
}

size_t conv2d_bytes_winograd2(const sn_tensor *whole, size_t k)
{
    return winograd_bytes(whole, k, 2);
}

size_t conv2d_bytes_winograd4(const sn_tensor *whole, size_t k)
{
    return winograd_bytes(whole, k, 4);
}

void conv2d_pack_winograd2(const sn_tensor *whole, size_t k, void *packed)
{
    const struct kernel_weight w = op_packed_weight(whole);

    (void)k;
    kernel_winograd_pack(&w, 2, packed);
}

void conv2d_pack_winograd4(const sn_tensor *whole, size_t k, void *packed)
{
    const struct kernel_weight w = op_packed_weight(whole);

    (void)k;
    kernel_winograd_pack(&w, 4, packed);
}

/* Scratch memory begins with the merged shifts; then comes the kernel's, for each thread. */
static size_t merged_bytes(const struct conv_shape *s)
{
    const size_t n = (size_t)s->c_out * sizeof(float);

    return (n + SN_ALIGN_BYTES - 1) & ~(size_t)(SN_ALIGN_BYTES - 1);
}

/* Bytes of kernel scratch from one thread's to the next. */
static size_t kernel_step(const sn_call *call, enum way way)
{
    const struct conv_shape *shape = &((const struct conv2d_priv *)call->priv)->shape;
    const struct packed_conv s = conv_of(shape);

    return op_thread_step(call, is_winograd(way)
                                    ? packed_winograd_scratch(&s, shape->c_out, (int)way)
                                : way == WAY_PLANES ? packed_planes_scratch(&s)
                                                    : packed_conv_scratch(&s));
}

static size_t scratch_bytes(const sn_call *call, enum way way)
{
    const struct conv_shape *s = &((const struct conv2d_priv *)call->priv)->shape;

    return merged_bytes(s) + (size_t)call->n_threads * kernel_step(call, way) +
           (way == WAY_POSITIONS ? repeated_bytes(s) : 0);
}

/* Bytes from one thread's gated panels (a copy of the weights times the gate of one image) to the
 * next. */
static size_t gated_step(const sn_call *call)
{
    const struct conv_shape *s = &((const struct conv2d_priv *)call->priv)->shape;
    const size_t             panels = ((size_t)s->c_out + KERNEL_PANEL - 1) / KERNEL_PANEL;

    return op_thread_step(call, panels * KERNEL_PANEL * (size_t)s->c_in * sizeof(float));
}

/* Multiply the weights [c_out, c_in] by the gate instead of the image [pixels, c_in], if they are
 * fewer. */
size_t conv2d_gated_packed(const sn_call *call)
{
    const struct conv_shape *s = &((const struct conv2d_priv *)call->priv)->shape;
    const bool               fewer = (int64_t)s->out_h * s->out_w > s->c_out;

    return conv2d_fits_packed(call) && is_pointwise(s) && fewer
               ? (size_t)call->n_threads * gated_step(call)
               : 0;
}

size_t conv2d_scratch_packed(const sn_call *call)
{
    return scratch_bytes(call, WAY_POSITIONS);
}

size_t conv2d_scratch_planes(const sn_call *call)
{
    return scratch_bytes(call, WAY_PLANES);
}

size_t conv2d_scratch_winograd2(const sn_call *call)
{
    return scratch_bytes(call, WAY_WINOGRAD2);
}

size_t conv2d_scratch_winograd4(const sn_call *call)
{
    return scratch_bytes(call, WAY_WINOGRAD4);
}

/* The packed weight from the first tap of the kernel's centre crop on. Winograd's has no crop, and
 * (m + 2)^2 taps. */
static struct kernel_panels panels_of(const sn_call *call, const sn_io *io, enum way way)
{
    const struct conv2d_priv *p = call->priv;
    struct kernel_weight      w = op_packed_weight(&call->whole[CONV2D_WEIGHT_PARAM]);

    if (is_winograd(way)) w.kernel_h = w.kernel_w = (long)way + 2;
    return kernel_panels_from(kernel_packed_at(&w, io->packed[CONV2D_WEIGHT_PARAM]), 0, 0,
                              p->crop_y, p->crop_x);
}

/* ---- how parts are divided ---- */

/* Should threads divide the channels of an image of this size? Around a depthwise convolution also
 * for larger images than in op_share_channels(): a thread goes on with the channels that it has
 * expanded, and needs no border rows from other threads. Only for whole panels, so that no two
 * threads write one cache line. */
static bool is_wide(int64_t pixels, int64_t channels)
{
    enum { MOST = 200 };

    return op_share_channels(pixels, channels) ||
           (pixels <= MOST && channels > pixels && channels % KERNEL_PANEL == 0);
}

/* An expansion: small enough that every thread may read all of the input, and the output has many
 * more channels. */
static bool expands(const struct packed_conv *s, int64_t pixels, long c_out)
{
    enum { MOST = 32 << 10 };

    return pixels * s->c <= MOST && c_out >= 2 * s->c && is_wide(pixels, c_out);
}

static bool by_channels(const struct packed_run *r, bool pointwise)
{
    const struct packed_conv *s = &r->s;
    const int64_t             pixels = r->images * s->out_h * s->out_w;

    /* Winograd's weights are read once for a tile, not for a position. */
    if (is_winograd(r->way)) return op_share_channels(r->images * r->units, r->c_out);
    return op_share_channels(pixels, r->c_out) || (pointwise && expands(s, pixels, r->c_out)) ||
           (r->depthwise && is_wide(r->images * s->h * s->w, r->c_out));
}

/* Not with a bias, which may be merged with a shift in temporary memory: chains must not use any.
 */
sn_channels conv2d_channels_packed(const sn_call *call)
{
    const struct conv2d_priv *p = call->priv;
    const bool                pointwise = is_pointwise(&p->shape);
    const struct packed_run   r = {.s = conv_of(&p->shape),
                                   .images = 1,
                                   .c_out = p->shape.c_out,
                                   .depthwise = multiplier(&p->shape) > 0,
                                   .way = WAY_POSITIONS};

    if (p->bias || !(pointwise || multiplier(&p->shape) == 1) || !by_channels(&r, pointwise))
        return SN_CHANNELS_NONE;
    return pointwise ? SN_CHANNELS_OF_ALL : SN_CHANNELS_OF_SAME;
}

/* Touch every cache line of rows y0 to y1, columns x0 to x1 of a matrix, in address order. The
 * hardware drops prefetches beyond a few outstanding misses, so what other cores wrote last is
 * loaded before the kernel needs it. */
static void load_lines(const float *x, long ld, long y0, long y1, long x0, long x1)
{
    enum { LINE = 64 / sizeof(float) };

    for (long y = y0; y < y1; y++)
        for (long i = x0; i < x1; i += LINE)
            (void)*(const volatile float *)(x + y * ld + i);
}

/* ---- run ----------------------------------------------------------------------------------- */

/* Before a part [from, to) of n: load that part of the input which other threads have probably
 * written in the step before. */
static void load_others(const struct packed_run *r, long m, int64_t from, int64_t to, int64_t n)
{
    enum { MOST = 96 << 10 }; /* no more than a cache holds */
    const struct packed_conv *s = &r->s;
    const double              own0 = (double)from / (double)n, own1 = (double)to / (double)n;
    const long                y0 = r->by_channels ? 0 : from, y1 = r->by_channels ? m : to;

    if ((y1 - y0) * s->c > MOST) return;
    if (is_wide(m, s->c)) {
        load_lines(s->x, s->ldx, y0, y1, 0, (long)(own0 * (double)s->c));
        load_lines(s->x, s->ldx, y0, y1, (long)(own1 * (double)s->c), s->c);
    } else if (r->by_channels) {
        load_lines(s->x, s->ldx, y0, (long)(own0 * (double)m), 0, s->c);
        load_lines(s->x, s->ldx, (long)(own1 * (double)m), y1, 0, s->c);
    }
}

/* 1x1: all images together are one matrix [positions, channels]. */
static void run_pointwise(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct packed_run  *r = cls;
    const struct packed_conv *s = &r->s;
    const long                m = r->images * r->units;
    const struct packed_gemm  g = {.k = s->c,
                                   .x = s->x,
                                   .ldx = s->ldx,
                                   .w = s->weight,
                                   .y = s->y,
                                   .ldy = s->ldy,
                                   .epilogue = s->epilogue};

    const int64_t n = r->by_channels ? r->c_out : m;

    (void)thread;
    if (to - from < n) load_others(r, m, from, to, n);
    if (r->by_channels)
        kernel_table()->gemm(&g, 0, m, from, to);
    else
        kernel_table()->gemm(&g, from, to, 0, r->c_out);
}

static void next_image(struct packed_conv *s, long c_out)
{
    const long y = s->out_h * s->out_w * c_out;

    s->x += s->h * s->w * s->ldx;
    s->y += y;
    if (s->epilogue.residual) s->epilogue.residual += y;
}

/* The end of the threads' scratch memory, where that of gates and repeated images begins. */
static void *behind_threads(const sn_call *call, const struct packed_run *r)
{
    return r->scratch + (size_t)call->n_threads * r->scratch_step;
}

/* ---- squeeze and excite: each image with weights of its own ----
 *
 * Each thread makes its own copy of the gated weights that it reads, even if others make the same:
 * overwriting lines that another core has in its cache would take longer. */

struct gated_run {
    struct packed_run r; /* of one image */
    const float      *gate;
    char             *panels; /* of the first thread */
    size_t            panels_step;
};

static void run_gated_part(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct gated_run *g = cls;
    struct packed_run       r = g->r;
    const long              c0 = r.by_channels ? from : 0, c1 = r.by_channels ? to : r.c_out;

    r.s.weight =
        kernel_table()->scale_panels(&g->r.s.weight, r.s.c, c0, c1, g->gate,
                                     (float *)(g->panels + (size_t)thread * g->panels_step));
    run_pointwise(&r, from, to, thread);
}

static void run_gated(const sn_call *call, const sn_io *io, const struct packed_run *all,
                      double work)
{
    struct gated_run g = {.r = *all,
                          .gate = io->gate->data,
                          .panels = behind_threads(call, all),
                          .panels_step = gated_step(call)};

    g.r.images = 1;
    for (int64_t i = 0; i < all->images; i++) {
        op_share(call, io, g.r.by_channels ? all->c_out : all->units,
                 g.r.by_channels ? KERNEL_PANEL : 1, work / (double)all->images, run_gated_part,
                 &g);
        next_image(&g.r.s, all->c_out);
        g.gate += all->s.c;
    }
}

/* Call the kernel for units u0 to u1, channels c0 to c1. */
static void run_units(const struct packed_run *r, const struct packed_conv *s, long u0, long u1,
                      long c0, long c1, void *scratch)
{
    const struct kernel_table *kernel = kernel_table();

    if (is_winograd(r->way)) {
        kernel->winograd(s, (int)r->way, u0, u1, c0, c1, scratch);
    } else if (r->way == WAY_PLANES) {
        kernel->planes(s, u0, u1, c0, c1, scratch);
    } else if (r->depthwise) {
        kernel->depthwise(s, u0, u1, c0, c1);
    } else {
        kernel->conv(s, u0, u1, c0, c1, scratch);
    }
}

/* Load image rows y0 to y1 as load_lines() does, clipped to the image and to what a cache holds. */
static void load_rows(const struct packed_conv *s, long y0, long y1)
{
    enum { MOST = 32 << 10 };
    const long row = s->w * s->ldx;
    const long from = y0 < 0 ? 0 : y0, end = y1 < s->h ? y1 : s->h;

    if (from < end)
        load_lines(s->x + from * row, 0, 0, 1, 0,
                   (end - from) * row < MOST ? (end - from) * row : MOST);
}

/* Load the border rows that output rows u0 to u1 read from other threads' parts. */
static void load_margins(const struct packed_conv *s, long u0, long u1)
{
    const long under = (s->kernel_h - 1L) * s->dilation_h + 1;

    if (u0 > 0) load_rows(s, u0 * s->stride_h - s->pad_top, u0 * s->stride_h);
    if (u1 < s->out_h) load_rows(s, u1 * s->stride_h, (u1 - 1) * s->stride_h - s->pad_top + under);
}

/* Depthwise and planes kernels take one image at a time; the others take all. */
static void run_images(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct packed_run *r = cls;
    struct packed_conv       s = r->s;
    void                    *scratch = r->scratch + (size_t)thread * r->scratch_step;
    const bool               together = !r->depthwise && r->way != WAY_PLANES;
    const int64_t            units = together ? r->images * r->units : r->units;

    for (int64_t first = 0; first < r->images * r->units; first += units) {
        const int64_t u0 = from > first ? from - first : 0;
        const int64_t u1 = to - first < units ? to - first : units;

        if (r->depthwise && !r->by_channels && u0 < u1) load_margins(&s, u0, u1);
        s.shared = !r->by_channels && u1 - u0 < units;
        if (r->by_channels)
            run_units(r, &s, 0, units, from, to, scratch);
        else if (u0 < u1)
            run_units(r, &s, u0, u1, 0, r->c_out, scratch);
        next_image(&s, r->c_out);
    }
}

/* ---- more channels of the output for each of the input: each image repeats them ---- */

struct repeated_run {
    const float *x;
    long         times;
    float       *at;
};

static void repeat_part(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct repeated_run *r = cls;

    (void)thread;
    kernel_table()->repeat(to - from, r->times, r->x + from, r->at + from * r->times);
}

static void run_repeated(const sn_call *call, const sn_io *io, const struct packed_run *all,
                         long times, double work)
{
    const int64_t       n = all->s.h * all->s.w * all->s.ldx;
    struct repeated_run repeated = {.x = all->s.x, .times = times, .at = behind_threads(call, all)};
    struct packed_run   r = *all;

    r.images = 1;
    r.by_channels = op_share_channels(r.s.out_h * r.s.out_w, r.c_out);
    for (int64_t i = 0; i < all->images; i++) {
        op_share(call, io, n, KERNEL_PANEL, SHARE_TOUCH * (double)n, repeat_part, &repeated);
        repeated.x += n;
        r.s.x = repeated.at;
        r.s.ldx = all->s.ldx * times;
        op_share(call, io, r.by_channels ? r.c_out : r.units, r.by_channels ? KERNEL_PANEL : 1,
                 work / (double)all->images, run_images, &r);
        next_image(&r.s, r.c_out);
    }
}

static void run(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue, enum way way)
{
    const struct conv2d_priv *p = call->priv;
    const struct conv_shape  *shape = &p->shape;
    const bool                pointwise = is_pointwise(shape);
    struct packed_run         r = {.s = conv_of(shape),
                                   .images = io->in[0].shape.dim[0],
                                   .c_out = shape->c_out,
                                   .depthwise = multiplier(shape) > 0,
                                   .way = way,
                                   .scratch = (char *)io->scratch + merged_bytes(shape),
                                   .scratch_step = kernel_step(call, way)};
    struct packed_conv       *s = &r.s;
    double                    work;

    s->x = io->in[0].data;
    s->y = io->out[0].data;
    s->weight = panels_of(call, io, way);
    s->epilogue = op_packed_epilogue(epilogue, p->bias, r.c_out, io->scratch);
    s->epilogue.ld_residual = r.c_out;
    r.units = is_winograd(way)                   ? packed_winograd_tiles(s, (int)way)
              : r.depthwise || way == WAY_PLANES ? s->out_h
                                                 : s->out_h * s->out_w;
    r.by_channels = by_channels(&r, pointwise);
    work = (double)r.images * (double)(s->out_h * s->out_w) * (double)r.c_out *
           (double)(s->c * s->kernel_h * s->kernel_w);
    /* In multiply-adds of a dense kernel: depthwise ones take three times as long; with few pixels,
     * loading the weights takes longer than computing. */
    if (r.depthwise) work *= 3;
    if (r.images * s->out_h * s->out_w < 8) work *= 8;
    if (io->gate) {
        run_gated(call, io, &r, work);
        return;
    }
    if (multiplier(shape) > 1) {
        run_repeated(call, io, &r, multiplier(shape), work);
        return;
    }
    op_share(call, io, r.by_channels ? r.c_out : r.images * r.units,
             r.by_channels ? KERNEL_PANEL
             : pointwise   ? 8
                           : 1,
             work, pointwise ? run_pointwise : run_images, &r);
}

void conv2d_forward_packed(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    run(call, io, epilogue, WAY_POSITIONS);
}

void conv2d_forward_planes(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    run(call, io, epilogue, WAY_PLANES);
}

void conv2d_forward_winograd2(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    run(call, io, epilogue, WAY_WINOGRAD2);
}

void conv2d_forward_winograd4(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    run(call, io, epilogue, WAY_WINOGRAD4);
}
