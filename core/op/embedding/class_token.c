/* class_token: a learned token before those of the image.
 *
 *   x         [N, T, e]
 *   cls_token [1, 1, max_e]    live: the first embed_dim features
 *   y         [N, 1 + T, e]
 */
#include "op/op_internal.h"

#include <string.h>

enum { ARG_EMBED };

static const sn_arg_def class_token_args[] = {
    {"embed_dim", OP_INT, SN_ARG_CHOICE | SN_ARG_SOFT_MASK, NULL, NULL},
    {0},
};
static const sn_param_def class_token_params[] = {
    {"cls_token", 0, 1, {ARG_EMBED}},
    {0},
};

static sn_status class_token_check(const sn_call *call, sn_error *err)
{
    return op_check_size(call, ARG_EMBED, "embed_dim", 1, err);
}

static sn_status class_token_shape(const sn_call *call, size_t k, sn_shape *ret_shape,
                                   sn_error *err)
{
    int64_t   embed = 0;
    sn_status rc;

    (void)k;
    sn_value_int(&call->arg[ARG_EMBED].super, &embed);
    if ((rc = op_need_int(call, "embed_dim", embed, err))) return rc;
    *ret_shape = SHAPE(1, 1, embed);
    return SN_OK;
}

static sn_status class_token_slice(const sn_call *call, size_t k, int s, const sn_value *value,
                                   sn_slice *ret_slice, sn_error *err)
{
    sn_range  live;
    sn_status rc = op_prefix(call, "embed_dim", call->param[k].shape.dim[2], value, &live, err);

    (void)s;
    if (rc) return rc;
    *ret_slice = op_slice_full(&call->param[k].shape);
    op_slice_set(ret_slice, 2, live);
    return SN_OK;
}

static sn_status class_token_infer(sn_call *call, sn_error *err)
{
    const int64_t embed = call->param[0].shape.dim[2];
    sn_shape      y = call->in[0].shape;
    sn_status     rc;

    if ((rc = op_need_f32(call, 0, "x", 3, err))) return rc;
    if (y.rank != 3 || y.dim[2] != embed)
        return op_fail(err, SN_E_SHAPE, call, "embed_dim",
                       "the input %s is not a batch of tokens of %lld features", SHAPE_TEXT(&y),
                       (long long)embed);
    if (__builtin_add_overflow(y.dim[1], 1, &y.dim[1]))
        return op_fail(err, SN_E_LIMIT, call, NULL, "the input has too many tokens");
    return op_set_out(call, 0, SN_F32, &y, err);
}

static void class_token_cost(const sn_call *call, sn_cost *ret_cost)
{
    op_cost(call, 1, 0, ret_cost);
}

static void class_token_forward(const sn_call *call, const sn_io *io)
{
    const sn_shape *x = &io->in[0].shape;
    const size_t    e = (size_t)x->dim[2], image = (size_t)x->dim[1] * e;
    const float    *from = io->in[0].data;
    float          *y = io->out[0].data;

    (void)call;
    for (int64_t n = 0; n < x->dim[0]; n++, from += image) {
        memcpy(y, io->param[0].data, e * sizeof *y);
        if (image) memcpy(y + e, from, image * sizeof *y);
        y += e + image;
    }
}

static sn_status class_token_export_args(const sn_call *call, sn_value *arg_out, sn_arena *mem,
                                         sn_error *err)
{
    (void)mem;
    (void)err;
    arg_out[ARG_EMBED] = op_int_value(call->param[0].shape.dim[2]);
    return SN_OK;
}

const sn_op sn_op_class_token = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "ClassToken",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = class_token_args,
    .params = class_token_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .check = class_token_check,
    .shape = class_token_shape,
    .slice = class_token_slice,
    .infer = class_token_infer,
    .cost = class_token_cost,
    .forward = class_token_forward,
    .export_args = class_token_export_args,
};
