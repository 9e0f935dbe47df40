/* identity and dropout: y = x. Dropout does nothing when a network is only used; in
 * training mode it would be random, which is refused unless p is 0. */
#include "op/op_internal.h"

enum { ARG_P, ARG_INPLACE };

static const sn_arg_def   identity_args[] = {{0}};
static const sn_param_def no_params[] = {{0}};
/* clang-format off */
static const sn_arg_def dropout_args[] = {
    {"p",       OP_NUMBER, SN_ARG_CHOICE | SN_ARG_SOFT_FULL, "0.5",   NULL},
    {"inplace", OP_BOOL,   SN_ARG_FIXED,                     "false", NULL},
    {0},
};
/* clang-format on */

static sn_status identity_infer(sn_call *call, sn_error *err)
{
    sn_status rc = op_need_in(call, 0, "x", err);

    return rc ? rc : op_set_out(call, 0, call->in[0].dtype, &call->in[0].shape, err);
}

static sn_status dropout_check(const sn_call *call, sn_error *err)
{
    return op_check_probability(call, ARG_P, "p", err);
}

static sn_status dropout_infer(sn_call *call, sn_error *err)
{
    if (call->mode == SN_TRAIN && op_float(call, ARG_P) != 0.0)
        return op_fail(err, SN_E_UNSUPPORTED, call, "p",
                       "dropout of %s is random in training mode, only 0 is supported there",
                       VALUE_TEXT(&call->arg[ARG_P].value));
    return identity_infer(call, err);
}

/* Nothing is computed and nothing moves. */
static void alias_cost(const sn_call *call, sn_cost *ret_cost)
{
    (void)call;
    *ret_cost = (sn_cost){0};
}

const sn_op sn_op_identity = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Identity",
    .flags = SN_OP_ALIAS | SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = identity_args,
    .params = no_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = identity_infer,
    .cost = alias_cost,
    .forward = op_forward_alias,
    .grow = op_grow_same,
};

const sn_op sn_op_dropout = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Dropout",
    .flags = SN_OP_ALIAS | SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = dropout_args,
    .params = no_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .check = dropout_check,
    .infer = dropout_infer,
    .cost = alias_cost,
    .forward = op_forward_alias,
    .grow = op_grow_same,
};
