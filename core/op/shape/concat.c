/* concat: the inputs one after the other along the axis `dim`; all other axes agree.
 *
 *   x_i [outer, n_i, inner]   ->   y [outer, sum of n_i, inner]      any element type
 */
#include "op/op_internal.h"
#include "tensor/growth.h"

#include <string.h>

enum { ARG_DIM };

/* clang-format off */
static const sn_arg_def concat_args[] = {
    {"dim", OP_INT, SN_ARG_FIXED, "1", NULL},
    {0},
};
/* clang-format on */
static const sn_param_def concat_params[] = {{0}};

struct concat_priv {
    int axis;
};

static sn_status concat_infer(sn_call *call, sn_error *err)
{
    struct concat_priv *priv = call->priv;
    sn_shape            y = call->in[0].shape;
    sn_status           rc;

    for (size_t i = 0; i < call->n_in; i++)
        if ((rc = op_need_in(call, i, "x", err))) return rc;
    if ((rc = op_axis(call, "dim", &call->arg[ARG_DIM].value, y.rank, &priv->axis, err))) return rc;
    for (size_t i = 1; i < call->n_in; i++) {
        sn_shape x = call->in[i].shape;
        int64_t  n;

        if (call->in[i].dtype != call->in[0].dtype)
            return op_fail(err, SN_E_DTYPE, call, NULL, "input %zu is %s, the first one %s", i,
                           sn_dtype_name(call->in[i].dtype), sn_dtype_name(call->in[0].dtype));
        n = x.rank == y.rank ? x.dim[priv->axis] : 0;
        if (x.rank == y.rank) x.dim[priv->axis] = y.dim[priv->axis];
        if (!sn_shape_equal(&x, &y))
            return op_fail(err, SN_E_SHAPE, call, NULL,
                           "input %zu of shape %s differs from the first, %s, outside axis %d", i,
                           SHAPE_TEXT(&call->in[i].shape), SHAPE_TEXT(&call->in[0].shape),
                           priv->axis);
        if (__builtin_add_overflow(y.dim[priv->axis], n, &y.dim[priv->axis]))
            return op_fail(err, SN_E_LIMIT, call, NULL, "the inputs are too large together");
    }
    return op_set_out(call, 0, call->in[0].dtype, &y, err);
}

/* Lengths along the axis add up; the other axes are equal for every batch. */
static bool concat_grow(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    const int axis = ((const struct concat_priv *)call->priv)->axis;

    out[0] = in[0];
    for (size_t i = 1; i < call->n_in; i++) {
        sn_growth alike = in[i];

        alike.per_sample[axis] = in[0].per_sample[axis];
        if (!growth_equal(&alike, &in[0]) ||
            __builtin_add_overflow(out[0].per_sample[axis], in[i].per_sample[axis],
                                   &out[0].per_sample[axis]))
            return false;
    }
    return true;
}

static void concat_cost(const sn_call *call, sn_cost *ret_cost)
{
    op_cost(call, 0, 0, ret_cost);
}

static void concat_forward(const sn_call *call, const sn_io *io)
{
    const struct concat_priv *priv = call->priv;
    const sn_shape           *shape = &io->out[0].shape;
    const size_t              n_outer = (size_t)op_count_axes(shape, 0, priv->axis);
    const size_t              element = sn_dtype_bytes(io->out[0].dtype);
    char                     *y = io->out[0].data;

    for (size_t o = 0; o < n_outer; o++)
        for (size_t i = 0; i < call->n_in; i++) {
            const sn_shape *x = &io->in[i].shape;
            const size_t    n_bytes = (size_t)op_count_axes(x, priv->axis, x->rank) * element;

            if (n_bytes) memcpy(y, (const char *)io->in[i].data + o * n_bytes, n_bytes);
            y += n_bytes;
        }
}

/* ---- channels last: the pixels of all inputs are interleaved --------------------------------- */

static bool concat_fits_last(const sn_call *call)
{
    return call->out[0].dtype == SN_F32 && call->out[0].shape.rank == 4 &&
           ((const struct concat_priv *)call->priv)->axis == 1;
}

struct concat_run {
    const sn_call *call;
    const sn_io   *io;
};

/* Pixels of all images. */
static void concat_pixels(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct concat_run *r = cls;
    const int64_t            step = r->io->out[0].shape.dim[1];
    float                   *y = r->io->out[0].data;

    (void)thread;
    for (size_t i = 0; i < r->call->n_in; i++) {
        const int64_t c = r->io->in[i].shape.dim[1];
        const float  *x = r->io->in[i].data;

        for (int64_t at = from; c > 0 && at < to; at++)
            memcpy(y + at * step, x + at * c, (size_t)c * sizeof *y);
        y += c;
    }
}

static void concat_forward_last(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    const sn_shape         *shape = &io->out[0].shape;
    const struct concat_run r = {call, io};

    (void)epilogue;
    op_share(call, io, shape->dim[0] * shape->dim[2] * shape->dim[3], 8,
             SHARE_TOUCH * (double)op_count(shape), concat_pixels, &r);
}

static const sn_variant concat_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "channels last",
        .layout_in = SN_LAYOUT_CHANNELS_LAST,
        .layout = SN_LAYOUT_CHANNELS_LAST,
        .lean = true,
        .fits = concat_fits_last,
        .forward = concat_forward_last,
    },
    {0},
};

const sn_op sn_op_concat = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Concat",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = concat_args,
    .params = concat_params,
    .min_in = 1,
    .max_in = -1,
    .n_out = 1,
    .priv_bytes = sizeof(struct concat_priv),
    .infer = concat_infer,
    .cost = concat_cost,
    .forward = concat_forward,
    .variants = concat_variants,
    .grow = concat_grow,
};
