/* flatten, reshape and permute: the same numbers under another shape.
 *
 *   Flatten(start_dim=1, end_dim=-1)   joins the axes start_dim..end_dim
 *   Reshape(shape)                     one entry may be -1 (whatever is left); 0 keeps the
 *                                      axis of the input at that place. Begin with 0 or -1
 *                                      to keep the batch of any size: [0, -1, 64]
 *   Permute(dims)                      axis i of the output is axis dims[i] of the input
 */
#include "kernel/eltwise.h"
#include "op/op_internal.h"
#include "tensor/growth.h"

enum { ARG_START, ARG_END };
/* clang-format off */
static const sn_arg_def flatten_args[] = {
    {"start_dim", OP_INT, SN_ARG_FIXED, "1",  NULL},
    {"end_dim",   OP_INT, SN_ARG_FIXED, "-1", NULL},
    {0},
};
/* clang-format on */

enum { ARG_SHAPE };
/* clang-format off */
static const sn_arg_def reshape_args[] = {
    {"shape", OP_TUPLE, SN_ARG_CHOICE | SN_ARG_SOFT_REFUSE, NULL, NULL},
    {0},
};
/* clang-format on */

enum { ARG_DIMS };
/* clang-format off */
static const sn_arg_def permute_args[] = {
    {"dims", OP_TUPLE, SN_ARG_FIXED, NULL, NULL},
    {0},
};
/* clang-format on */

static const sn_param_def no_params[] = {{0}};

static sn_status flatten_infer(sn_call *call, sn_error *err)
{
    const sn_shape *x = &call->in[0].shape;
    sn_shape        y = {0};
    sn_status       rc;
    int             start, end;

    if ((rc = op_need_in(call, 0, "x", err))) return rc;
    if ((rc = op_axis(call, "start_dim", &call->arg[ARG_START].value, x->rank, &start, err)))
        return rc;
    if ((rc = op_axis(call, "end_dim", &call->arg[ARG_END].value, x->rank, &end, err))) return rc;
    if (start > end)
        return op_fail(err, SN_E_SHAPE, call, "start_dim",
                       "start_dim is axis %d of the input %s, after end_dim, axis %d", start,
                       SHAPE_TEXT(x), end);
    for (int i = 0; i < start; i++)
        y.dim[y.rank++] = x->dim[i];
    y.dim[y.rank++] = op_count_axes(x, start, end + 1);
    for (int i = end + 1; i < x->rank; i++)
        y.dim[y.rank++] = x->dim[i];
    return op_set_out(call, 0, call->in[0].dtype, &y, err);
}

/* At most one of the joined axes may grow with the batch: the product stays linear in N. */
static bool flatten_grow(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    const sn_shape *x = &call->in[0].shape;
    int64_t         count;
    int             start = 0, end = 0, n = 0;

    op_axis(call, "start_dim", &call->arg[ARG_START].value, x->rank, &start, NULL);
    op_axis(call, "end_dim", &call->arg[ARG_END].value, x->rank, &end, NULL);
    for (int i = 0; i < start; i++)
        out[0].per_sample[n++] = in[0].per_sample[i];
    if (!growth_count(x, &in[0], start, end + 1, &count, &out[0].per_sample[n++])) return false;
    for (int i = end + 1; i < x->rank; i++)
        out[0].per_sample[n++] = in[0].per_sample[i];
    return true;
}

/* The entries are integers of at least -1, and at most one is -1. */
static sn_status read_shape(const sn_call *call, const sn_value *v, sn_shape *ret_shape,
                            sn_error *err)
{
    sn_shape shape = {0};
    int      n_open = 0;

    if (v->kind != SN_KIND_TUPLE || v->as.tuple.n > SN_MAX_RANK ||
        !op_ints(v, (int)v->as.tuple.n, shape.dim))
        return op_fail(err, SN_E_INVALID, call, "shape", "%s is no list of at most %d integers",
                       VALUE_TEXT(v), SN_MAX_RANK);
    shape.rank = (int)v->as.tuple.n;
    for (int i = 0; i < shape.rank; i++) {
        n_open += shape.dim[i] == -1;
        if (shape.dim[i] < -1 || n_open > 1)
            return op_fail(err, SN_E_INVALID, call, "shape",
                           "%s is no shape: sizes are positive, 0 keeps an axis, and one may be -1",
                           VALUE_TEXT(v));
    }
    *ret_shape = shape;
    return SN_OK;
}

static sn_status reshape_check(const sn_call *call, sn_error *err)
{
    const sn_arg *arg = &call->arg[ARG_SHAPE];
    sn_shape      shape;
    sn_status     rc = SN_OK;

    for (size_t i = 0; i < arg->n_options && !rc; i++)
        rc = read_shape(call, &arg->option[i], &shape, err);
    return rc;
}

static sn_status reshape_infer(sn_call *call, sn_error *err)
{
    const sn_shape *x = &call->in[0].shape;
    const int64_t   n = op_count(x);
    int64_t         known = 1;
    sn_shape        y;
    sn_status       rc;
    int             open = -1;

    if ((rc = op_need_in(call, 0, "x", err))) return rc;
    if ((rc = read_shape(call, &call->arg[ARG_SHAPE].value, &y, err))) return rc;
    for (int i = 0; i < y.rank; i++) {
        if (y.dim[i] == 0) {
            if (i >= x->rank)
                return op_fail(err, SN_E_SHAPE, call, "shape",
                               "entry %d keeps an axis that the input %s does not have", i,
                               SHAPE_TEXT(x));
            y.dim[i] = x->dim[i];
        }
        if (y.dim[i] == -1)
            open = i;
        else if (known >= 0 && __builtin_mul_overflow(known, y.dim[i], &known))
            known = -1; /* more than any input has */
    }
    if (open >= 0 && known > 0 && n % known == 0) {
        y.dim[open] = n / known;
        known = n;
    }
    if (known != n || (open >= 0 && y.dim[open] < 0))
        return op_fail(err, SN_E_SHAPE, call, "shape",
                       "the input %s of %lld numbers cannot be seen as %s", SHAPE_TEXT(x),
                       (long long)n, VALUE_TEXT(&call->arg[ARG_SHAPE].value));
    return op_set_out(call, 0, call->in[0].dtype, &y, err);
}

/* Either the axis that grows is kept at its place, or the -1 entry takes the growth, if the other
 * entries divide it for every batch. */
static bool reshape_grow(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    const sn_shape *x = &call->in[0].shape;
    int64_t         known = 1, count, per_sample;
    sn_shape        y = {0};
    int             open = -1;

    read_shape(call, &call->arg[ARG_SHAPE].value, &y, NULL);
    if (!growth_count(x, &in[0], 0, x->rank, &count, &per_sample)) return false;
    for (int i = 0; i < y.rank; i++) {
        if (y.dim[i] == 0) out[0].per_sample[i] = in[0].per_sample[i];
        if (growth_any(out)) return growth_equal(&out[0], &in[0]);
        if (y.dim[i] == -1)
            open = i;
        else if (__builtin_mul_overflow(known, y.dim[i] ? y.dim[i] : x->dim[i], &known))
            return false;
    }
    if (open < 0 || known < 1 || per_sample % known != 0 || count % known != 0) return false;
    out[0].per_sample[open] = per_sample / known;
    return true;
}

/* Nothing is computed and nothing moves. */
static void alias_cost(const sn_call *call, sn_cost *ret_cost)
{
    (void)call;
    *ret_cost = (sn_cost){0};
}

struct permute_priv {
    int rank, axis[SN_MAX_RANK];
};

static sn_status permute_infer(sn_call *call, sn_error *err)
{
    struct permute_priv *priv = call->priv;
    const sn_value      *dims = &call->arg[ARG_DIMS].value;
    const sn_shape      *x = &call->in[0].shape;
    sn_shape             y = {.rank = x->rank};
    unsigned             seen = 0;
    sn_status            rc;

    if ((rc = op_need_f32(call, 0, "x", 0, err))) return rc;
    if (dims->kind != SN_KIND_TUPLE || dims->as.tuple.n != (size_t)x->rank)
        return op_fail(err, SN_E_SHAPE, call, "dims", "%s does not name each axis of the input %s",
                       VALUE_TEXT(dims), SHAPE_TEXT(x));
    priv->rank = x->rank;
    for (int i = 0; i < x->rank; i++) {
        if ((rc = op_axis(call, "dims", &dims->as.tuple.item[i], x->rank, &priv->axis[i], err)))
            return rc;
        if (seen >> priv->axis[i] & 1)
            return op_fail(err, SN_E_INVALID, call, "dims", "%s names axis %d twice",
                           VALUE_TEXT(dims), priv->axis[i]);
        seen |= 1u << priv->axis[i];
        y.dim[i] = x->dim[priv->axis[i]];
    }
    return op_set_out(call, 0, SN_F32, &y, err);
}

static bool permute_grow(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    const struct permute_priv *priv = call->priv;

    for (int i = 0; i < priv->rank; i++)
        out[0].per_sample[i] = in[0].per_sample[priv->axis[i]];
    return true;
}

static void permute_cost(const sn_call *call, sn_cost *ret_cost)
{
    op_cost(call, 0, 0, ret_cost);
}

struct permuted {
    sn_shape     y;
    int64_t      stride[SN_MAX_RANK]; /* of x, in the order of y */
    int          axis;                /* the first of y that is longer than 1 */
    const float *from;
    float       *to;
};

/* Positions of that axis. */
static void permute_part(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct permuted *p = cls;
    sn_shape               part = p->y;

    (void)thread;
    part.dim[p->axis] = to - from;
    kernel_copy(part.rank, part.dim, p->from + from * p->stride[p->axis], p->stride,
                p->to + from * op_count_axes(&p->y, p->axis + 1, p->y.rank));
}

static void permute_forward(const sn_call *call, const sn_io *io)
{
    const struct permute_priv *priv = call->priv;
    struct permuted p = {.y = io->out[0].shape, .from = io->in[0].data, .to = io->out[0].data};

    for (int i = 0; i < priv->rank; i++)
        p.stride[i] = io->in[0].stride[priv->axis[i]];
    while (p.axis < p.y.rank - 1 && p.y.dim[p.axis] == 1)
        p.axis++;
    op_share(call, io, p.y.rank ? p.y.dim[p.axis] : 1, 1, SHARE_TOUCH * (double)op_count(&p.y),
             permute_part, &p);
}

const sn_op sn_op_flatten = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Flatten",
    .flags = SN_OP_ALIAS | SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = flatten_args,
    .params = no_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = flatten_infer,
    .cost = alias_cost,
    .forward = op_forward_alias,
    .grow = flatten_grow,
};

const sn_op sn_op_reshape = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Reshape",
    .flags = SN_OP_ALIAS | SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = reshape_args,
    .params = no_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .check = reshape_check,
    .infer = reshape_infer,
    .cost = alias_cost,
    .forward = op_forward_alias,
    .grow = reshape_grow,
};

const sn_op sn_op_permute = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Permute",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = permute_args,
    .params = no_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .priv_bytes = sizeof(struct permute_priv),
    .infer = permute_infer,
    .cost = permute_cost,
    .forward = permute_forward,
    .grow = permute_grow,
};
