/* add, mul and average: all inputs together, element by element, from left to right.
 *
 * Shapes are broadcast as in PyTorch: [N, C, H, W] * [N, C, 1, 1] scales channels. */
#include "kernel/eltwise.h"
#include "kernel/packed.h"
#include "op/op_internal.h"
#include "tensor/growth.h"

#include <string.h>

static const sn_arg_def   no_args[] = {{0}};
static const sn_param_def no_params[] = {{0}};

static sn_status elementwise_infer(sn_call *call, sn_error *err)
{
    sn_shape  y = {0};
    sn_status rc;

    for (size_t i = 0; i < call->n_in; i++) {
        if ((rc = op_need_f32(call, i, "x", 0, err))) return rc;
        if (!op_broadcast(&y, &call->in[i].shape, &y))
            return op_fail(err, SN_E_SHAPE, call, NULL,
                           "input %zu of shape %s does not fit to the inputs before it, %s", i,
                           SHAPE_TEXT(&call->in[i].shape), SHAPE_TEXT(&y));
    }
    return op_set_out(call, 0, SN_F32, &y, err);
}

static bool elementwise_grow(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    sn_shape y = call->in[0].shape;

    out[0] = in[0];
    for (size_t i = 1; i < call->n_in; i++)
        if (!growth_broadcast(&y, &out[0], &call->in[i].shape, &in[i])) return false;
    return true;
}

static void elementwise_cost(const sn_call *call, sn_cost *ret_cost)
{
    op_cost(call, 0, 0, ret_cost);
}

/* Strides that walk `t` along the axes of `y`: 0 where it is repeated. */
static void broadcast_strides(const sn_tensor *t, const sn_shape *y, int64_t *ret_stride)
{
    const int missing = y->rank - t->shape.rank;

    for (int i = 0; i < y->rank; i++)
        ret_stride[i] = i < missing || t->shape.dim[i - missing] == 1 ? 0 : t->stride[i - missing];
}

typedef void binary_kernel(int rank, const int64_t *dim, const float *a, const int64_t *stride_a,
                           const float *b, const int64_t *stride_b, float *y);

static void run(const sn_call *call, const sn_io *io, binary_kernel *f)
{
    const sn_tensor *y = &io->out[0], *a = &io->in[0];
    const sn_shape  *shape = &y->shape;
    int64_t          stride_a[SN_MAX_RANK], stride_b[SN_MAX_RANK];

    if (call->n_in == 1) memcpy(y->data, a->data, (size_t)op_count(shape) * sizeof(float));
    for (size_t i = 1; i < call->n_in; i++) {
        broadcast_strides(a, shape, stride_a);
        broadcast_strides(&io->in[i], shape, stride_b);
        f(shape->rank, shape->dim, a->data, stride_a, io->in[i].data, stride_b, y->data);
        a = y; /* the result so far */
    }
}

static void add_forward(const sn_call *call, const sn_io *io)
{
    run(call, io, kernel_add);
}

static void mul_forward(const sn_call *call, const sn_io *io)
{
    run(call, io, kernel_mul);
}

/* PyTorch has no module for it; a subnet that averages several inputs is exported with it. */
static void average_forward(const sn_call *call, const sn_io *io)
{
    const int64_t n = op_count(&io->out[0].shape);
    const float   n_in = (float)call->n_in;
    float        *y = io->out[0].data;

    run(call, io, kernel_add);
    for (int64_t i = 0; i < n; i++)
        y[i] /= n_in;
}

const sn_op sn_op_add = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Add",
    .flags = SN_OP_POINTWISE | SN_OP_ADD | SN_OP_STEADY_SCRATCH,
    .args = no_args,
    .params = no_params,
    .min_in = 1,
    .max_in = -1,
    .n_out = 1,
    .infer = elementwise_infer,
    .cost = elementwise_cost,
    .forward = add_forward,
    .grow = elementwise_grow,
};

/* [N, C, H, W] by [N, C, 1, 1], in either order: squeeze and excite. */
static bool mul_fits_last(const sn_call *call)
{
    const sn_shape *y = &call->out[0].shape;

    if (call->n_in != 2 || y->rank != 4 || y->dim[2] * y->dim[3] == 1) return false;
    for (int i = 0; i < 2; i++) {
        const sn_shape *x = &call->in[i].shape, *by = &call->in[1 - i].shape;

        if (sn_shape_equal(x, y) && by->rank == 4 && by->dim[0] == y->dim[0] &&
            by->dim[1] == y->dim[1] && by->dim[2] * by->dim[3] == 1)
            return true;
    }
    return false;
}

struct scale_run {
    long         images, m, c; /* m pixels of an image */
    const float *x, *scale;
    float       *y;
};

/* Pixels, counted over all images. */
static void scale_pixels(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct scale_run *r = cls;

    (void)thread;
    for (int64_t at = from, end; at < to; at = end) {
        const int64_t image = at / r->m;

        end = (image + 1) * r->m < to ? (image + 1) * r->m : to;
        kernel_table()->scale(end - at, r->c, r->x + at * r->c, r->c, r->scale + image * r->c,
                              r->y + at * r->c, r->c);
    }
}

/* Channels of all images. */
static void scale_channels(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct scale_run *r = cls;

    (void)thread;
    for (int64_t i = 0; i < r->images; i++)
        kernel_table()->scale(r->m, to - from, r->x + i * r->m * r->c + from, r->c,
                              r->scale + i * r->c + from, r->y + i * r->m * r->c + from, r->c);
}

static void mul_forward_last(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    const sn_shape  *shape = &io->out[0].shape;
    const int        by = sn_shape_equal(&io->in[0].shape, shape);
    struct scale_run r = {.images = shape->dim[0],
                          .m = shape->dim[2] * shape->dim[3],
                          .c = shape->dim[1],
                          .x = io->in[1 - by].data,
                          .scale = io->in[by].data,
                          .y = io->out[0].data};
    const double     work = SHARE_TOUCH * (double)op_count(shape);

    (void)epilogue;
    /* Divided as the step before was, so that each thread reads what it wrote. */
    if (op_share_channels(r.images * r.m, r.c))
        op_share(call, io, r.c, KERNEL_PANEL, work, scale_channels, &r);
    else
        op_share(call, io, r.images * r.m, 8, work, scale_pixels, &r);
}

static const sn_variant mul_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "channels last",
        .layout_in = SN_LAYOUT_CHANNELS_LAST,
        .layout = SN_LAYOUT_CHANNELS_LAST,
        .lean = true,
        .fits = mul_fits_last,
        .forward = mul_forward_last,
    },
    {0},
};

const sn_op sn_op_mul = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Mul",
    .flags = SN_OP_POINTWISE | SN_OP_MUL | SN_OP_STEADY_SCRATCH,
    .args = no_args,
    .params = no_params,
    .min_in = 1,
    .max_in = -1,
    .n_out = 1,
    .infer = elementwise_infer,
    .cost = elementwise_cost,
    .forward = mul_forward,
    .variants = mul_variants,
    .grow = elementwise_grow,
};

const sn_op sn_op_average = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Average",
    .flags = SN_OP_POINTWISE | SN_OP_STEADY_SCRATCH,
    .args = no_args,
    .params = no_params,
    .min_in = 1,
    .max_in = -1,
    .n_out = 1,
    .infer = elementwise_infer,
    .cost = elementwise_cost,
    .forward = average_forward,
    .grow = elementwise_grow,
};
