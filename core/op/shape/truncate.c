/* truncate: the first channels of a tensor.
 *
 *   x [N, C, ...]    ->    y [N, channels, ...], C at least channels
 */
#include "op/op_internal.h"

#include <string.h>

enum { ARG_CHANNELS };

/* clang-format off */
static const sn_arg_def truncate_args[] = {
    {"channels", OP_INT, SN_ARG_CHOICE | SN_ARG_SOFT_REFUSE, NULL, NULL},
    {0},
};
/* clang-format on */
static const sn_param_def no_params[] = {{0}};

static sn_status truncate_check(const sn_call *call, sn_error *err)
{
    return op_check_size(call, ARG_CHANNELS, "channels", 0, err);
}

static sn_status truncate_infer(sn_call *call, sn_error *err)
{
    const int64_t channels = op_int(call, ARG_CHANNELS);
    sn_shape      y = call->in[0].shape;
    sn_status     rc;

    if ((rc = op_need_f32(call, 0, "x", 2, err))) return rc;
    if (channels < 0 || y.dim[1] < channels)
        return op_fail(err, SN_E_SHAPE, call, "channels",
                       "the input %s has %lld channels, of which the first %lld cannot be taken",
                       SHAPE_TEXT(&y), (long long)y.dim[1], (long long)channels);
    y.dim[1] = channels;
    return op_set_out(call, 0, SN_F32, &y, err);
}

static void truncate_cost(const sn_call *call, sn_cost *ret_cost)
{
    op_cost(call, 0, 0, ret_cost);
}

static void truncate_forward(const sn_call *call, const sn_io *io)
{
    const sn_shape *x = &io->in[0].shape, *y = &io->out[0].shape;
    const size_t    from = (size_t)op_count_axes(x, 1, x->rank);
    const size_t    to = (size_t)op_count_axes(y, 1, y->rank);

    (void)call;
    for (int64_t n = 0; to && n < y->dim[0]; n++)
        memcpy((float *)io->out[0].data + (size_t)n * to,
               (const float *)io->in[0].data + (size_t)n * from, to * sizeof(float));
}

static sn_status truncate_export_args(const sn_call *call, sn_value *arg_out, sn_arena *mem,
                                      sn_error *err)
{
    static const int sizes[] = {ARG_CHANNELS, -1};

    (void)mem;
    (void)err;
    op_export_sizes(call, sizes, arg_out);
    return SN_OK;
}

const sn_op sn_op_truncate = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Truncate",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = truncate_args,
    .params = no_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .check = truncate_check,
    .infer = truncate_infer,
    .cost = truncate_cost,
    .forward = truncate_forward,
    .export_args = truncate_export_args,
};
