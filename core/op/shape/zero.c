/* zero: nothing, in the shape of something: the operator "none" of NAS-Bench-201.
 *
 *   x [N, C_in, ...]    ->    y [N, C_out, ...], with stride s every s-th row and column
 *
 * Where the original multiplies by 0, so that a NaN stays one, this is always 0. */
#include "op/op_internal.h"

#include <string.h>

enum { ARG_IN, ARG_OUT, ARG_STRIDE };

/* clang-format off */
static const sn_arg_def zero_args[] = {
    {"C_in",   OP_INT, SN_ARG_CHOICE | SN_ARG_SOFT_FULL,   NULL, NULL},
    {"C_out",  OP_INT, SN_ARG_CHOICE | SN_ARG_SOFT_FULL,   NULL, NULL},
    {"stride", OP_INT, SN_ARG_CHOICE | SN_ARG_SOFT_REFUSE, "1",  NULL},
    {0},
};
/* clang-format on */
static const sn_param_def no_params[] = {{0}};

static sn_status zero_check(const sn_call *call, sn_error *err)
{
    sn_status rc = op_check_size(call, ARG_IN, "C_in", 0, err);

    if (!rc) rc = op_check_size(call, ARG_OUT, "C_out", 0, err);
    return rc ? rc : op_check_size(call, ARG_STRIDE, "stride", 1, err);
}

static sn_status zero_infer(sn_call *call, sn_error *err)
{
    const int64_t stride = op_int(call, ARG_STRIDE), n_in = op_int(call, ARG_IN);
    sn_shape      y = call->in[0].shape;
    sn_status     rc;

    if ((rc = op_need_f32(call, 0, "x", 2, err))) return rc;
    if (y.dim[1] != n_in)
        return op_fail(err, SN_E_SHAPE, call, "C_in",
                       "the input %s has %lld channels, C_in is %lld", SHAPE_TEXT(&y),
                       (long long)y.dim[1], (long long)n_in);
    y.dim[1] = op_int(call, ARG_OUT);
    for (int i = 2; i < y.rank && stride > 0; i++)
        y.dim[i] = y.dim[i] / stride + (y.dim[i] % stride != 0);
    return op_set_out(call, 0, SN_F32, &y, err);
}

static void zero_cost(const sn_call *call, sn_cost *ret_cost)
{
    op_cost(call, 0, 0, ret_cost);
}

static void zero_forward(const sn_call *call, const sn_io *io)
{
    const size_t n = (size_t)op_count(&io->out[0].shape);

    (void)call;
    if (n) memset(io->out[0].data, 0, n * sizeof(float));
}

static sn_status zero_export_args(const sn_call *call, sn_value *arg_out, sn_arena *mem,
                                  sn_error *err)
{
    static const int sizes[] = {ARG_IN, ARG_OUT, ARG_STRIDE, -1};

    (void)mem;
    (void)err;
    op_export_sizes(call, sizes, arg_out);
    return SN_OK;
}

const sn_op sn_op_zero = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Zero",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = zero_args,
    .params = no_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .check = zero_check,
    .infer = zero_infer,
    .cost = zero_cost,
    .forward = zero_forward,
    .export_args = zero_export_args,
};
