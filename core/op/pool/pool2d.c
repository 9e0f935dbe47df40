/* pool2d: MaxPool2d, AvgPool2d and AdaptiveAvgPool2d.
 *
 *   x [N, C, H, W], or [C, H, W]    y [N, C, H', W']
 *
 * No parameters. Sizes may be choices; a distribution over them is refused, since
 * outputs of different shapes cannot be blended. */
#include <limits.h>

#include "kernel/pool.h"
#include "op/packed.h"
#include "op/window.h"

struct pool_priv {
    struct pool_shape shape; /* planes: the channels of one image */
    double            divisor;
    bool              count_pad;
};

static const sn_param_def no_params[] = {{NULL, 0, 0, {0}}};

/* ---- what max and mean share ---------------------------------------------------------- */

/* Indices of the arguments; -1: the operator has none. */
struct pool_args {
    int kernel, stride, padding, dilation, ceil;
};

static sn_status check_padding(const sn_call *call, int64_t pad, int64_t kernel, sn_status code,
                               sn_error *err)
{
    if (pad <= kernel / 2) return SN_OK;
    return op_fail(err, code, call, "padding", "%lld is more than half of the kernel of %lld",
                   (long long)pad, (long long)kernel);
}

static sn_status check_windows(const sn_call *call, const struct pool_args *a, sn_error *err)
{
    sn_status rc = window_check_options(call, "kernel_size", a->kernel, 1, err);

    if (rc == SN_OK) rc = window_check_options(call, "stride", a->stride, 1, err);
    if (rc == SN_OK) rc = window_check_options(call, "padding", a->padding, 0, err);
    if (rc == SN_OK && a->dilation >= 0)
        rc = window_check_options(call, "dilation", a->dilation, 1, err);
    if (rc == SN_OK && call->arg[a->kernel].n_options == 1 &&
        call->arg[a->padding].n_options == 1) {
        int64_t kernel[WINDOW_AXES], pad[WINDOW_AXES];

        rc = window_pair(call, "kernel_size", &call->arg[a->kernel].super, 1, kernel, err);
        if (rc == SN_OK)
            rc = window_pair(call, "padding", &call->arg[a->padding].super, 0, pad, err);
        for (int i = 0; rc == SN_OK && i < WINDOW_AXES; i++)
            rc = check_padding(call, pad[i], kernel[i], SN_E_INVALID, err);
    }
    return rc;
}

static sn_status infer_windows(sn_call *call, const struct pool_args *a,
                               struct pool_shape *ret_pool, sn_error *err)
{
    struct window_image x;
    sn_shape            y;
    int64_t   kernel[WINDOW_AXES], stride[WINDOW_AXES], pad[WINDOW_AXES], dilation[] = {1, 1};
    int64_t   out[WINDOW_AXES];
    sn_status rc = window_image(call, &x, err);

    if (rc == SN_OK)
        rc = window_pair(call, "kernel_size", &call->arg[a->kernel].value, 1, kernel, err);
    if (rc == SN_OK)
        rc = window_pair(call, op_is_null(call, a->stride) ? "kernel_size" : "stride",
                         &call->arg[op_is_null(call, a->stride) ? a->kernel : a->stride].value, 1,
                         stride, err);
    if (rc == SN_OK) rc = window_pair(call, "padding", &call->arg[a->padding].value, 0, pad, err);
    if (rc == SN_OK && a->dilation >= 0)
        rc = window_pair(call, "dilation", &call->arg[a->dilation].value, 1, dilation, err);
    if (rc != SN_OK) return rc;
    for (int i = 0; i < WINDOW_AXES; i++) {
        const int64_t size = i == WINDOW_H ? x.h : x.w;

        rc = check_padding(call, pad[i], kernel[i], SN_E_SHAPE, err);
        if (rc != SN_OK) return rc;
        out[i] = window_count_pool(size, pad[i], kernel[i], stride[i], dilation[i],
                                   op_bool(call, a->ceil));
        if (out[i] < 1)
            return op_fail(err, SN_E_SHAPE, call, "kernel_size",
                           "no window of %lld with dilation %lld fits into %lld elements with "
                           "padding %lld",
                           (long long)kernel[i], (long long)dilation[i], (long long)size,
                           (long long)pad[i]);
        rc = op_need_int(call, "a dimension of the output", out[i], err);
        if (rc == SN_OK)
            rc = op_need_int(call, "a dimension of the padded input", size + pad[i], err);
        if (rc != SN_OK) return rc;
    }
    *ret_pool = (struct pool_shape){.planes = (ptrdiff_t)x.c,
                                    .h = (int)x.h,
                                    .w = (int)x.w,
                                    .out_h = (int)out[WINDOW_H],
                                    .out_w = (int)out[WINDOW_W],
                                    .kernel_h = (int)kernel[WINDOW_H],
                                    .kernel_w = (int)kernel[WINDOW_W],
                                    .stride_h = (int)stride[WINDOW_H],
                                    .stride_w = (int)stride[WINDOW_W],
                                    .pad_h = (int)pad[WINDOW_H],
                                    .pad_w = (int)pad[WINDOW_W],
                                    .dilation_h = (int)dilation[WINDOW_H],
                                    .dilation_w = (int)dilation[WINDOW_W]};
    y = window_shape(&x, x.c, out[WINDOW_H], out[WINDOW_W]);
    return op_set_out(call, 0, SN_F32, &y, err);
}

/* The planes of all images of this run. */
static struct pool_shape whole_batch(const sn_io *io, struct pool_shape shape)
{
    if (io->in[0].shape.rank == 4) shape.planes *= (ptrdiff_t)io->in[0].shape.dim[0];
    return shape;
}

/* An addition or comparison for each element of each window. */
static void pool_cost(const sn_call *call, sn_cost *ret_cost)
{
    const struct pool_priv *p = call->priv;

    op_cost(call, 0,
            (uint64_t)op_count(&call->out[0].shape) * (uint64_t)p->shape.kernel_h *
                (uint64_t)p->shape.kernel_w,
            ret_cost);
}

enum {
    INT = SN_KINDS(SN_KIND_INT),
    PAIR = SN_KINDS(SN_KIND_INT) | SN_KINDS(SN_KIND_TUPLE),
    BOOL = SN_KINDS(SN_KIND_BOOL),
    NONE = SN_KINDS(SN_KIND_NULL),
    SIZE = SN_ARG_CHOICE | SN_ARG_SOFT_REFUSE | SN_ARG_COMPONENTS
};

/* ---- channels last ----------------------------------------------------------------------- */

static bool fits_last(const sn_call *call)
{
    return call->in[0].shape.rank == 4;
}

static struct packed_pool packed_of(const struct pool_shape *s)
{
    return (struct packed_pool){.h = s->h,
                                .w = s->w,
                                .c = s->planes,
                                .out_h = s->out_h,
                                .out_w = s->out_w,
                                .kernel_h = s->kernel_h,
                                .kernel_w = s->kernel_w,
                                .stride_h = s->stride_h,
                                .stride_w = s->stride_w,
                                .dilation_h = s->dilation_h,
                                .dilation_w = s->dilation_w,
                                .pad_top = s->pad_h,
                                .pad_left = s->pad_w,
                                .ldx = s->planes,
                                .ldy = s->planes};
}

/* Rows of the output from `from` to `to`, counted over all images. */
struct rows_run {
    struct packed_pool      s;       /* of the first image */
    const struct pool_priv *average; /* NULL: the largest */
};

static void run_rows(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct rows_run *r = cls;
    struct packed_pool     s = r->s;

    (void)thread;
    for (int64_t i = from / s.out_h, y; i * s.out_h < to; i++) {
        y = i * s.out_h;
        s.x = r->s.x + i * s.h * s.w * s.c;
        s.y = r->s.y + y * s.out_w * s.c;
        const long y0 = from > y ? from - y : 0, y1 = to - y < s.out_h ? to - y : s.out_h;

        if (r->average)
            kernel_table()->avg_pool(&s, r->average->count_pad, r->average->shape.pad_h,
                                     r->average->shape.pad_w, (float)r->average->divisor, y0, y1);
        else
            kernel_table()->max_pool(&s, y0, y1);
    }
}

static void pool_forward_last(const sn_call *call, const sn_io *io, const struct pool_priv *p,
                              bool average)
{
    struct rows_run r = {.s = packed_of(&p->shape), .average = average ? p : NULL};
    const int64_t   rows = io->in[0].shape.dim[0] * r.s.out_h;

    r.s.x = io->in[0].data;
    r.s.y = io->out[0].data;
    /* In multiply-adds of a product: comparing or adding a loaded number takes a few. */
    op_share(call, io, rows, 1,
             4.0 * (double)(rows * r.s.out_w * r.s.c) * (double)(r.s.kernel_h * r.s.kernel_w),
             run_rows, &r);
}

/* ---- MaxPool2d -------------------------------------------------------------------------- */

enum { MAX_KERNEL, MAX_STRIDE, MAX_PADDING, MAX_DILATION, MAX_INDICES, MAX_CEIL };

static const struct pool_args max_args = {MAX_KERNEL, MAX_STRIDE, MAX_PADDING, MAX_DILATION,
                                          MAX_CEIL};

static sn_status maxpool2d_check(const sn_call *call, sn_error *err)
{
    if (op_bool(call, MAX_INDICES))
        return op_fail(err, SN_E_UNSUPPORTED, call, "return_indices",
                       "True is not supported: there is one output, the largest values");
    return check_windows(call, &max_args, err);
}

static sn_status maxpool2d_infer(sn_call *call, sn_error *err)
{
    struct pool_priv *p = call->priv;

    return infer_windows(call, &max_args, &p->shape, err);
}

static void maxpool2d_forward(const sn_call *call, const sn_io *io)
{
    const struct pool_priv *p = call->priv;
    const struct pool_shape s = whole_batch(io, p->shape);

    kernel_max_pool(&s, io->in[0].data, io->out[0].data);
}

static void maxpool2d_forward_last(const sn_call *call, const sn_io *io,
                                   const sn_epilogue *epilogue)
{
    (void)epilogue;
    pool_forward_last(call, io, call->priv, false);
}

static const sn_variant maxpool2d_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "channels last",
        .layout_in = SN_LAYOUT_CHANNELS_LAST,
        .layout = SN_LAYOUT_CHANNELS_LAST,
        .lean = true,
        .fits = fits_last,
        .forward = maxpool2d_forward_last,
    },
    {0},
};

static const sn_arg_def maxpool2d_args[] = {
    [MAX_KERNEL] = {"kernel_size", PAIR, SIZE, NULL, NULL},
    [MAX_STRIDE] = {"stride", PAIR | NONE, SIZE, "null", NULL},
    [MAX_PADDING] = {"padding", PAIR, SIZE, "0", NULL},
    [MAX_DILATION] = {"dilation", PAIR, SIZE, "1", NULL},
    [MAX_INDICES] = {"return_indices", BOOL, SN_ARG_FIXED, "false", NULL},
    [MAX_CEIL] = {"ceil_mode", BOOL, SN_ARG_FIXED, "false", NULL},
    [MAX_CEIL + 1] = {NULL, 0, 0, NULL, NULL},
};

const sn_op sn_op_maxpool2d = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "MaxPool2d",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = maxpool2d_args,
    .params = no_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .priv_bytes = sizeof(struct pool_priv),
    .check = maxpool2d_check,
    .infer = maxpool2d_infer,
    .cost = pool_cost,
    .forward = maxpool2d_forward,
    .variants = maxpool2d_variants,
    .grow = op_grow_images,
};

/* ---- AvgPool2d -------------------------------------------------------------------------- */

enum { AVG_KERNEL, AVG_STRIDE, AVG_PADDING, AVG_CEIL, AVG_COUNT_PAD, AVG_DIVISOR };

static const struct pool_args avg_args = {AVG_KERNEL, AVG_STRIDE, AVG_PADDING, -1, AVG_CEIL};

static sn_status avgpool2d_check(const sn_call *call, sn_error *err)
{
    if (!op_is_null(call, AVG_DIVISOR) && op_int(call, AVG_DIVISOR) == 0)
        return op_fail(err, SN_E_INVALID, call, "divisor_override",
                       "0 cannot divide: leave it null");
    return check_windows(call, &avg_args, err);
}

static sn_status avgpool2d_infer(sn_call *call, sn_error *err)
{
    struct pool_priv *p = call->priv;

    p->count_pad = op_bool(call, AVG_COUNT_PAD);
    p->divisor = op_is_null(call, AVG_DIVISOR) ? 0.0 : (double)op_int(call, AVG_DIVISOR);
    return infer_windows(call, &avg_args, &p->shape, err);
}

static void avgpool2d_forward(const sn_call *call, const sn_io *io)
{
    const struct pool_priv *p = call->priv;
    const struct pool_shape s = whole_batch(io, p->shape);

    kernel_avg_pool(&s, p->count_pad, p->divisor, io->in[0].data, io->out[0].data);
}

static void avgpool2d_forward_last(const sn_call *call, const sn_io *io,
                                   const sn_epilogue *epilogue)
{
    (void)epilogue;
    pool_forward_last(call, io, call->priv, true);
}

static const sn_variant avgpool2d_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "channels last",
        .layout_in = SN_LAYOUT_CHANNELS_LAST,
        .layout = SN_LAYOUT_CHANNELS_LAST,
        .lean = true,
        .fits = fits_last,
        .forward = avgpool2d_forward_last,
    },
    {0},
};

static const sn_arg_def avgpool2d_args[] = {
    [AVG_KERNEL] = {"kernel_size", PAIR, SIZE, NULL, NULL},
    [AVG_STRIDE] = {"stride", PAIR | NONE, SIZE, "null", NULL},
    [AVG_PADDING] = {"padding", PAIR, SIZE, "0", NULL},
    [AVG_CEIL] = {"ceil_mode", BOOL, SN_ARG_FIXED, "false", NULL},
    [AVG_COUNT_PAD] = {"count_include_pad", BOOL, SN_ARG_FIXED, "true", NULL},
    [AVG_DIVISOR] = {"divisor_override", INT | NONE, SN_ARG_FIXED, "null", NULL},
    [AVG_DIVISOR + 1] = {NULL, 0, 0, NULL, NULL},
};

const sn_op sn_op_avgpool2d = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "AvgPool2d",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = avgpool2d_args,
    .params = no_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .priv_bytes = sizeof(struct pool_priv),
    .check = avgpool2d_check,
    .infer = avgpool2d_infer,
    .cost = pool_cost,
    .forward = avgpool2d_forward,
    .variants = avgpool2d_variants,
    .grow = op_grow_images,
};

/* ---- AdaptiveAvgPool2d ------------------------------------------------------------------ */

enum { ADAPTIVE_SIZE };

/* An int, or a pair with null for an axis that keeps its size (0 here). */
static sn_status adaptive_size(const sn_call *call, const sn_value *v, int64_t *ret_size,
                               sn_error *err)
{
    const bool      is_pair = v->kind == SN_KIND_TUPLE && v->as.tuple.n == WINDOW_AXES;
    const sn_value *item[] = {is_pair ? &v->as.tuple.item[0] : v,
                              is_pair ? &v->as.tuple.item[1] : v};

    for (int i = 0; i < WINDOW_AXES; i++) {
        int64_t n = 0;

        if (item[i]->kind != SN_KIND_NULL && (!sn_value_int(item[i], &n) || n < 1 || n > INT_MAX))
            return op_fail(
                err, SN_E_INVALID, call, "output_size",
                "%s must be an integer from 1, or a pair of them with null for an axis that "
                "keeps its size",
                VALUE_TEXT(v));
        ret_size[i] = n;
    }
    return SN_OK;
}

static sn_status adaptiveavgpool2d_check(const sn_call *call, sn_error *err)
{
    int64_t   size[WINDOW_AXES];
    sn_status rc = SN_OK;

    for (size_t i = 0; rc == SN_OK && i < call->arg[ADAPTIVE_SIZE].n_options; i++)
        rc = adaptive_size(call, &call->arg[ADAPTIVE_SIZE].option[i], size, err);
    return rc;
}

static sn_status adaptiveavgpool2d_infer(sn_call *call, sn_error *err)
{
    struct pool_priv   *p = call->priv;
    struct window_image x;
    sn_shape            y;
    int64_t             size[WINDOW_AXES];
    sn_status           rc = window_image(call, &x, err);

    if (rc == SN_OK) rc = adaptive_size(call, &call->arg[ADAPTIVE_SIZE].value, size, err);
    if (rc != SN_OK) return rc;
    if (size[WINDOW_H] == 0) size[WINDOW_H] = x.h;
    if (size[WINDOW_W] == 0) size[WINDOW_W] = x.w;
    p->shape = (struct pool_shape){
        .planes = (ptrdiff_t)x.c,
        .h = (int)x.h,
        .w = (int)x.w,
        .out_h = (int)size[WINDOW_H],
        .out_w = (int)size[WINDOW_W],
        /* For the cost: the largest parts that are averaged. */
        .kernel_h = (int)((x.h + size[WINDOW_H] - 1) / size[WINDOW_H]),
        .kernel_w = (int)((x.w + size[WINDOW_W] - 1) / size[WINDOW_W]),
    };
    y = window_shape(&x, x.c, size[WINDOW_H], size[WINDOW_W]);
    return op_set_out(call, 0, SN_F32, &y, err);
}

static void adaptiveavgpool2d_forward(const sn_call *call, const sn_io *io)
{
    const struct pool_priv *p = call->priv;
    const struct pool_shape s = whole_batch(io, p->shape);

    kernel_adaptive_avg_pool(s.planes, s.h, s.w, s.out_h, s.out_w, io->in[0].data, io->out[0].data);
}

/* To a single pixel: the mean of all. */
static bool adaptive_fits_last(const sn_call *call)
{
    const struct pool_priv *p = call->priv;

    return fits_last(call) && p->shape.out_h == 1 && p->shape.out_w == 1;
}

static void adaptive_forward_last(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    (void)epilogue;
    op_image_mean(call, io);
}

static const sn_variant adaptiveavgpool2d_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "channels last",
        .layout_in = SN_LAYOUT_CHANNELS_LAST,
        .layout = SN_LAYOUT_CHANNELS_LAST,
        .lean = true,
        .fits = adaptive_fits_last,
        .scratch_bytes = op_image_mean_scratch,
        .channels = op_image_mean_channels,
        .forward = adaptive_forward_last,
    },
    {0},
};

static const sn_arg_def adaptiveavgpool2d_args[] = {
    [ADAPTIVE_SIZE] = {"output_size", PAIR | NONE, SN_ARG_CHOICE | SN_ARG_SOFT_REFUSE, NULL, NULL},
    [ADAPTIVE_SIZE + 1] = {NULL, 0, 0, NULL, NULL},
};

const sn_op sn_op_adaptiveavgpool2d = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "AdaptiveAvgPool2d",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = adaptiveavgpool2d_args,
    .params = no_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .priv_bytes = sizeof(struct pool_priv),
    .check = adaptiveavgpool2d_check,
    .infer = adaptiveavgpool2d_infer,
    .cost = pool_cost,
    .forward = adaptiveavgpool2d_forward,
    .variants = adaptiveavgpool2d_variants,
    .grow = op_grow_images,
};
