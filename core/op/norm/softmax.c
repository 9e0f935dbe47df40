/* softmax: y = e^x / sum of e^x along the axis `dim`. */
#include "kernel/softmax.h"

#include "op/op_internal.h"

enum { ARG_DIM };

/* clang-format off */
static const sn_arg_def softmax_args[] = {
    {"dim", OP_INT, SN_ARG_FIXED, NULL, NULL},
    {0},
};
/* clang-format on */
static const sn_param_def softmax_params[] = {{0}};

struct softmax_priv {
    int axis;
};

static sn_status softmax_infer(sn_call *call, sn_error *err)
{
    struct softmax_priv *priv = call->priv;
    const sn_shape      *x = &call->in[0].shape;
    sn_status            rc;

    if ((rc = op_need_f32(call, 0, "x", 1, err))) return rc;
    if ((rc = op_axis(call, "dim", &call->arg[ARG_DIM].value, x->rank, &priv->axis, err)))
        return rc;
    return op_set_out(call, 0, SN_F32, x, err);
}

static void softmax_cost(const sn_call *call, sn_cost *ret_cost)
{
    op_cost(call, 0, 0, ret_cost);
}

static void softmax_forward(const sn_call *call, const sn_io *io)
{
    const struct softmax_priv *priv = call->priv;
    const sn_shape            *x = &io->in[0].shape;

    kernel_softmax((size_t)op_count_axes(x, 0, priv->axis), (size_t)x->dim[priv->axis],
                   (size_t)op_count_axes(x, priv->axis + 1, x->rank), io->in[0].data,
                   io->out[0].data);
}

static bool softmax_samples(const sn_call *call)
{
    return ((const struct softmax_priv *)call->priv)->axis > 0;
}

const sn_op sn_op_softmax = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Softmax",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = softmax_args,
    .params = softmax_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .priv_bytes = sizeof(struct softmax_priv),
    .infer = softmax_infer,
    .cost = softmax_cost,
    .forward = softmax_forward,
    .samples = softmax_samples,
    .grow = op_grow_same,
};
