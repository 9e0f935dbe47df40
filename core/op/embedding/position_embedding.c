/* position_embedding: a learned vector for the place of every token is added.
 *
 *   x, y      [N, length, e]
 *   pos_embed [1, length, max_e]    live: the first embed_dim features
 */
#include "op/op_internal.h"

enum { ARG_LENGTH, ARG_EMBED };

/* clang-format off */
static const sn_arg_def position_args[] = {
    {"length",    OP_INT, SN_ARG_FIXED,                     NULL, NULL},
    {"embed_dim", OP_INT, SN_ARG_CHOICE | SN_ARG_SOFT_MASK, NULL, NULL},
    {0},
};
/* clang-format on */
static const sn_param_def position_params[] = {
    {"pos_embed", 0, 1, {ARG_EMBED}},
    {0},
};

static sn_status position_check(const sn_call *call, sn_error *err)
{
    const sn_status rc = op_check_size(call, ARG_LENGTH, "length", 1, err);

    return rc ? rc : op_check_size(call, ARG_EMBED, "embed_dim", 1, err);
}

static sn_status position_shape(const sn_call *call, size_t k, sn_shape *ret_shape, sn_error *err)
{
    int64_t   embed = 0;
    sn_status rc;

    (void)k;
    sn_value_int(&call->arg[ARG_EMBED].super, &embed);
    if ((rc = op_need_int(call, "embed_dim", embed, err))) return rc;
    *ret_shape = SHAPE(1, op_int(call, ARG_LENGTH), embed);
    return SN_OK;
}

static sn_status position_slice(const sn_call *call, size_t k, int s, const sn_value *value,
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

static sn_status position_infer(sn_call *call, sn_error *err)
{
    const sn_shape *live = &call->param[0].shape, *x = &call->in[0].shape;
    sn_status       rc;

    if ((rc = op_need_f32(call, 0, "x", 3, err))) return rc;
    if (x->rank != 3 || x->dim[1] != live->dim[1] || x->dim[2] != live->dim[2])
        return op_fail(err, SN_E_SHAPE, call, "length",
                       "the input %s is not a batch of %lld tokens of %lld features", SHAPE_TEXT(x),
                       (long long)live->dim[1], (long long)live->dim[2]);
    return op_set_out(call, 0, SN_F32, x, err);
}

static void position_cost(const sn_call *call, sn_cost *ret_cost)
{
    op_cost(call, 1, 0, ret_cost);
}

struct positions {
    int64_t      tokens, embed;
    const float *x, *row;
    int64_t      ld_row;
    float       *y;
};

/* Tokens, counted over all samples. */
static void add_positions(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct positions *p = cls;

    (void)thread;
    for (int64_t t = from; t < to; t++) {
        const float *x = p->x + t * p->embed, *row = p->row + t % p->tokens * p->ld_row;
        float       *y = p->y + t * p->embed;

        for (int64_t e = 0; e < p->embed; e++)
            y[e] = x[e] + row[e];
    }
}

static void position_forward(const sn_call *call, const sn_io *io)
{
    const sn_shape        *x = &io->in[0].shape;
    const sn_tensor       *pos = &io->param[0];
    const struct positions p = {.tokens = x->dim[1],
                                .embed = x->dim[2],
                                .x = io->in[0].data,
                                .row = pos->data,
                                .ld_row = pos->stride[1],
                                .y = io->out[0].data};

    op_share(call, io, x->dim[0] * x->dim[1], 1, SHARE_TOUCH * (double)sn_shape_count(x),
             add_positions, &p);
}

static sn_status position_export_args(const sn_call *call, sn_value *arg_out, sn_arena *mem,
                                      sn_error *err)
{
    (void)mem;
    (void)err;
    arg_out[ARG_LENGTH] = op_int_value(call->param[0].shape.dim[1]);
    arg_out[ARG_EMBED] = op_int_value(call->param[0].shape.dim[2]);
    return SN_OK;
}

const sn_op sn_op_position_embedding = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "AbsolutePositionEmbedding",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = position_args,
    .params = position_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .check = position_check,
    .shape = position_shape,
    .slice = position_slice,
    .infer = position_infer,
    .cost = position_cost,
    .forward = position_forward,
    .export_args = position_export_args,
};
