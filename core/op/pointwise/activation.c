/* activations: y[i] = f(x[i]), any shape. */
#include "kernel/activation.h"
#include "op/op_internal.h"

#include <string.h>

/* Accepted because PyTorch has it; a plan decides by itself where results are put. */
/* clang-format off */
static const sn_arg_def inplace_args[] = {
    {"inplace", OP_BOOL, SN_ARG_FIXED, "false", NULL},
    {0},
};
/* clang-format on */

enum { ARG_APPROXIMATE };
/* clang-format off */
static const sn_arg_def gelu_args[] = {
    {"approximate", OP_TEXT, SN_ARG_FIXED, "\"none\"", "none|tanh"},
    {0},
};
/* clang-format on */

static const sn_arg_def   no_args[] = {{0}};
static const sn_param_def no_params[] = {{0}};

static sn_status activation_infer(sn_call *call, sn_error *err)
{
    sn_status rc = op_need_f32(call, 0, "x", 0, err);

    return rc ? rc : op_set_out(call, 0, SN_F32, &call->in[0].shape, err);
}

static void activation_cost(const sn_call *call, sn_cost *ret_cost)
{
    op_cost(call, 0, 0, ret_cost);
}

static void run(kernel_activation *f, const sn_io *io)
{
    f((size_t)op_count(&io->in[0].shape), io->in[0].data, io->out[0].data);
}

#define ACTIVATION(id, type_name, arg_table, which)                                                \
    static sn_act id##_act(const sn_call *call)                                                    \
    {                                                                                              \
        (void)call;                                                                                \
        return which;                                                                              \
    }                                                                                              \
    static void id##_forward(const sn_call *call, const sn_io *io)                                 \
    {                                                                                              \
        (void)call;                                                                                \
        run(op_activation(which), io);                                                             \
    }                                                                                              \
    ACTIVATION_TABLE(id, type_name, arg_table)

#define ACTIVATION_TABLE(id, type_name, arg_table)                                                 \
    const sn_op sn_op_##id = {                                                                     \
        .size = sizeof(sn_op),                                                                     \
        .abi = SN_OP_ABI,                                                                          \
        .type = type_name,                                                                         \
        .flags = SN_OP_POINTWISE | SN_OP_STEADY_SCRATCH,                                           \
        .args = arg_table,                                                                         \
        .params = no_params,                                                                       \
        .min_in = 1,                                                                               \
        .max_in = 1,                                                                               \
        .n_out = 1,                                                                                \
        .infer = activation_infer,                                                                 \
        .cost = activation_cost,                                                                   \
        .forward = id##_forward,                                                                   \
        .act = id##_act,                                                                           \
    };

ACTIVATION(relu, "ReLU", inplace_args, SN_ACT_RELU)
ACTIVATION(relu6, "ReLU6", inplace_args, SN_ACT_RELU6)
ACTIVATION(hardswish, "Hardswish", inplace_args, SN_ACT_HARDSWISH)
ACTIVATION(hardsigmoid, "Hardsigmoid", inplace_args, SN_ACT_HARDSIGMOID)
ACTIVATION(silu, "SiLU", inplace_args, SN_ACT_SILU)
ACTIVATION(sigmoid, "Sigmoid", no_args, SN_ACT_SIGMOID)
ACTIVATION(tanh, "Tanh", no_args, SN_ACT_TANH)

/* The approximation is no part of any epilogue. */
static sn_act gelu_act(const sn_call *call)
{
    return strcmp(op_text(call, ARG_APPROXIMATE), "tanh") ? SN_ACT_GELU : SN_ACT_NONE;
}

static void gelu_forward(const sn_call *call, const sn_io *io)
{
    run(gelu_act(call) == SN_ACT_GELU ? kernel_gelu : kernel_gelu_tanh, io);
}

ACTIVATION_TABLE(gelu, "GELU", gelu_args)
