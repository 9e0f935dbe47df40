/* mean: the average over the axes `dim`, an int or a list of them; with keepdim they
 * stay as axes of size 1. */
#include "kernel/eltwise.h"
#include "op/packed.h"

enum { ARG_DIM, ARG_KEEPDIM };

/* clang-format off */
static const sn_arg_def mean_args[] = {
    {"dim",     OP_INT | OP_TUPLE, SN_ARG_FIXED, NULL,    NULL},
    {"keepdim", OP_BOOL,           SN_ARG_FIXED, "false", NULL},
    {0},
};
/* clang-format on */
static const sn_param_def mean_params[] = {{0}};

struct mean_priv {
    unsigned axes; /* bit i: axis i goes */
};

static sn_status mean_infer(sn_call *call, sn_error *err)
{
    struct mean_priv *priv = call->priv;
    const sn_value   *dim = &call->arg[ARG_DIM].value;
    const sn_value   *item = dim->kind == SN_KIND_TUPLE ? dim->as.tuple.item : dim;
    const size_t      n = dim->kind == SN_KIND_TUPLE ? dim->as.tuple.n : 1;
    const sn_shape   *x = &call->in[0].shape;
    sn_shape          y = {0};
    sn_status         rc;

    if ((rc = op_need_f32(call, 0, "x", 1, err))) return rc;
    if (n == 0) return op_fail(err, SN_E_INVALID, call, "dim", "an empty list names no axis");
    priv->axes = 0;
    for (size_t i = 0; i < n; i++) {
        int axis;

        if ((rc = op_axis(call, "dim", &item[i], x->rank, &axis, err))) return rc;
        if (priv->axes >> axis & 1)
            return op_fail(err, SN_E_INVALID, call, "dim", "%s names axis %d twice",
                           VALUE_TEXT(dim), axis);
        priv->axes |= 1u << axis;
    }
    for (int i = 0; i < x->rank; i++) {
        const bool goes = priv->axes >> i & 1;

        if (!goes || op_bool(call, ARG_KEEPDIM)) y.dim[y.rank++] = goes ? 1 : x->dim[i];
    }
    return op_set_out(call, 0, SN_F32, &y, err);
}

/* What is left keeps its length. */
static bool mean_grow(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    const struct mean_priv *priv = call->priv;
    int                     n = 0;

    for (int i = 0; i < call->in[0].shape.rank; i++) {
        const bool goes = priv->axes >> i & 1;

        if (!goes || op_bool(call, ARG_KEEPDIM))
            out[0].per_sample[n++] = goes ? 0 : in[0].per_sample[i];
    }
    return true;
}

static void mean_cost(const sn_call *call, sn_cost *ret_cost)
{
    op_cost(call, 0, 0, ret_cost);
}

static void mean_forward(const sn_call *call, const sn_io *io)
{
    const struct mean_priv *priv = call->priv;
    const sn_shape         *x = &io->in[0].shape;

    kernel_mean(x->rank, x->dim, priv->axes, io->in[0].data, io->out[0].data);
}

/* Over all pixels of an image. */
static bool mean_fits_last(const sn_call *call)
{
    const struct mean_priv *priv = call->priv;

    return call->in[0].shape.rank == 4 && priv->axes == (1u << 2 | 1u << 3);
}

static void mean_forward_last(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    (void)epilogue;
    op_image_mean(call, io);
}

static const sn_variant mean_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "channels last",
        .layout_in = SN_LAYOUT_CHANNELS_LAST,
        .layout = SN_LAYOUT_CHANNELS_LAST,
        .lean = true,
        .fits = mean_fits_last,
        .scratch_bytes = op_image_mean_scratch,
        .channels = op_image_mean_channels,
        .forward = mean_forward_last,
    },
    {0},
};

const sn_op sn_op_mean = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Mean",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = mean_args,
    .params = mean_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .priv_bytes = sizeof(struct mean_priv),
    .infer = mean_infer,
    .cost = mean_cost,
    .forward = mean_forward,
    .variants = mean_variants,
    .grow = mean_grow,
};
