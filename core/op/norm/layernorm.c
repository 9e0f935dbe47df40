/* layernorm: the last axes to mean 0 and variance 1, then weight and bias.
 *
 *   x            [..., normalized_shape]
 *   weight, bias [max_shape]    live: a prefix of every axis
 *
 * A distribution over normalized_shape is ignored, as in the original: all features. */
#include "kernel/layernorm.h"
#include "kernel/packed.h"

#include "kernel/eltwise.h"
#include "op/op_internal.h"

enum { ARG_SHAPE, ARG_EPS, ARG_AFFINE };
enum { W_WEIGHT, W_BIAS, N_PARAMS };

#define SHAPE_FLAGS (SN_ARG_CHOICE | SN_ARG_SOFT_FULL | SN_ARG_COMPONENTS | SN_ARG_COMPONENTS_NNI)
/* clang-format off */
static const sn_arg_def layernorm_args[] = {
    {"normalized_shape",   OP_INT | OP_TUPLE, SHAPE_FLAGS,  NULL,    NULL},
    {"eps",                OP_NUMBER,         SN_ARG_FIXED, "1e-05", NULL},
    {"elementwise_affine", OP_BOOL,           SN_ARG_FIXED, "true",  NULL},
    {0},
};
/* clang-format on */

static const sn_param_def layernorm_params[] = {
    {"weight", 0, 1, {ARG_SHAPE}},
    {"bias", 0, 1, {ARG_SHAPE}},
    {0},
};

/* An int or a tuple of ints as a shape. */
static sn_status read_shape(const sn_call *call, const sn_value *v, sn_shape *ret_shape,
                            sn_error *err)
{
    const size_t n = v->kind == SN_KIND_TUPLE ? v->as.tuple.n : 1;
    sn_shape     shape = {.rank = (int)n};

    if (n < 1 || n > SN_MAX_RANK || !op_ints(v, (int)n, shape.dim))
        return op_fail(err, SN_E_INVALID, call, "normalized_shape",
                       "%s is no shape: it must be an integer or 1 to %d integers", VALUE_TEXT(v),
                       SN_MAX_RANK);
    *ret_shape = shape;
    return SN_OK;
}

/* All values have one rank: a prefix of every axis must be defined. */
static sn_status layernorm_check(const sn_call *call, sn_error *err)
{
    const sn_arg *arg = &call->arg[ARG_SHAPE];
    sn_shape      super, shape;
    sn_status     rc;

    if ((rc = op_check_not_negative(call, ARG_EPS, "eps", err))) return rc;
    if ((rc = read_shape(call, &arg->super, &super, err))) return rc;
    if (sn_shape_count(&super) < 0)
        return op_fail(err, SN_E_INVALID, call, "normalized_shape", "%s is no shape",
                       VALUE_TEXT(&arg->super));
    for (size_t i = 0; i < arg->n_options; i++) {
        if ((rc = read_shape(call, &arg->option[i], &shape, err))) return rc;
        if (shape.rank != super.rank || (!call->nni && sn_shape_count(&shape) < 0))
            return op_fail(err, SN_E_INVALID, call, "normalized_shape", "%s does not fit in %s",
                           VALUE_TEXT(&arg->option[i]), VALUE_TEXT(&arg->super));
    }
    return SN_OK;
}

static sn_status layernorm_shape(const sn_call *call, size_t k, sn_shape *ret_shape, sn_error *err)
{
    (void)k;
    if (op_bool(call, ARG_AFFINE))
        return read_shape(call, &call->arg[ARG_SHAPE].super, ret_shape, err);
    *ret_shape = SHAPE_ABSENT;
    return SN_OK;
}

static sn_status layernorm_slice(const sn_call *call, size_t k, int s, const sn_value *value,
                                 sn_slice *ret_slice, sn_error *err)
{
    const sn_shape *whole = &call->param[k].shape;
    sn_shape        live;
    sn_status       rc;

    (void)s;
    if ((rc = read_shape(call, value, &live, err))) return rc;
    if (live.rank != whole->rank)
        return op_fail(err, SN_E_SHAPE, call, "normalized_shape", "%s does not fit in %s",
                       VALUE_TEXT(value), SHAPE_TEXT(whole));
    *ret_slice = op_slice_full(whole);
    for (int i = 0; i < live.rank; i++) {
        const sn_value size = op_int_value(live.dim[i]);
        sn_range       r;

        rc = op_prefix(call, "normalized_shape", whole->dim[i], &size, &r, err);
        if (rc) return rc;
        op_slice_set(ret_slice, i, r);
    }
    return SN_OK;
}

/* For the variant over rows. */
struct layernorm_priv {
    const float *weight, *bias; /* NULL: without */
    float        eps;
};

static sn_status layernorm_infer(sn_call *call, sn_error *err)
{
    struct layernorm_priv *p = call->priv;
    const sn_shape        *x = &call->in[0].shape;
    sn_shape               live;
    sn_status              rc;

    if ((rc = read_shape(call, &call->arg[ARG_SHAPE].value, &live, err))) return rc;
    if ((rc = op_need_f32(call, 0, "x", live.rank, err))) return rc;
    for (int i = 0; i < live.rank; i++)
        if (x->dim[x->rank - live.rank + i] != live.dim[i])
            return op_fail(err, SN_E_SHAPE, call, "normalized_shape",
                           "the input %s does not end in the normalized shape %s", SHAPE_TEXT(x),
                           SHAPE_TEXT(&live));
    for (size_t k = 0; k < N_PARAMS; k++)
        if (op_has_param(call, k) && !sn_shape_equal(&call->param[k].shape, &live))
            return op_fail(err, SN_E_SHAPE, call, "normalized_shape",
                           "the normalized shape is %s, but the live %s is %s", SHAPE_TEXT(&live),
                           layernorm_params[k].name, SHAPE_TEXT(&call->param[k].shape));
    *p = (struct layernorm_priv){call->param[W_WEIGHT].data, call->param[W_BIAS].data,
                                 (float)op_float(call, ARG_EPS)};
    if ((rc = op_set_out(call, 0, SN_F32, x, err))) return rc;
    /* Of several axes the live part need not be dense: it is packed for the kernel. */
    if (live.rank == 1 || !op_bool(call, ARG_AFFINE)) return SN_OK;
    return op_set_scratch(call, N_PARAMS, op_count(&live), 1, err);
}

/* All axes but the normalized ones may grow. */
static bool layernorm_grow(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    const sn_value *shape = &call->arg[ARG_SHAPE].value;
    const int       rank = call->in[0].shape.rank;
    const int       n = shape->kind == SN_KIND_TUPLE ? (int)shape->as.tuple.n : 1;

    out[0] = in[0];
    for (int i = rank - n; i < rank; i++)
        if (in[0].per_sample[i]) return false;
    return true;
}

static void layernorm_cost(const sn_call *call, sn_cost *ret_cost)
{
    op_cost(call, N_PARAMS, 0, ret_cost);
}

/* The live part of a parameter, dense; NULL without affine parameters. */
static const float *dense(const sn_tensor *p, float *scratch)
{
    if (p->dtype == SN_NONE) return NULL;
    if (p->shape.rank == 1) return p->data;
    kernel_copy(p->shape.rank, p->shape.dim, p->data, p->stride, scratch);
    return scratch;
}

static void layernorm_forward(const sn_call *call, const sn_io *io)
{
    const sn_value *shape = &call->arg[ARG_SHAPE].value;
    const sn_shape *x = &io->in[0].shape;
    const int       first = x->rank - (shape->kind == SN_KIND_TUPLE ? (int)shape->as.tuple.n : 1);
    const size_t    n = (size_t)op_count_axes(x, first, x->rank);
    float          *scratch = io->scratch;
    const float    *weight = dense(&io->param[W_WEIGHT], scratch);
    const float    *bias = dense(&io->param[W_BIAS], scratch ? scratch + n : NULL);

    kernel_layernorm((size_t)op_count_axes(x, 0, first), n, io->in[0].data, weight, bias,
                     (float)op_float(call, ARG_EPS), io->out[0].data);
}

/* Over the last axis, where the live part of a parameter is dense. */
static bool layernorm_over_rows(const sn_call *call)
{
    const sn_value *shape = &call->arg[ARG_SHAPE].value;

    return shape->kind != SN_KIND_TUPLE || shape->as.tuple.n == 1;
}

struct rows_run {
    const struct layernorm_priv *p;
    const float                 *x;
    float                       *y;
    long                         n;
};

static void run_rows(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct rows_run *r = cls;

    (void)thread;
    kernel_table()->layernorm(to - from, r->n, r->x + from * r->n, r->n, r->p->weight, r->p->bias,
                              r->p->eps, r->y + from * r->n, r->n);
}

static void layernorm_forward_rows(const sn_call *call, const sn_io *io,
                                   const sn_epilogue *epilogue)
{
    const sn_shape       *x = &io->in[0].shape;
    const int64_t         m = op_count_axes(x, 0, x->rank - 1);
    const struct rows_run r = {call->priv, io->in[0].data, io->out[0].data, x->dim[x->rank - 1]};

    (void)epilogue;
    /* In multiply-adds of a product: three passes over a row cost about twenty for each number. */
    op_share(call, io, m, 1, 20.0 * (double)m * (double)r.n, run_rows, &r);
}

static size_t layernorm_scratch_rows(const sn_call *call)
{
    (void)call;
    return 0;
}

static const sn_variant layernorm_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "rows",
        .layout = SN_LAYOUT_ROWS,
        .lean = true,
        .fits = layernorm_over_rows,
        .scratch_bytes = layernorm_scratch_rows,
        .forward = layernorm_forward_rows,
    },
    {0},
};

const sn_op sn_op_layernorm = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "LayerNorm",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = layernorm_args,
    .params = layernorm_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .priv_bytes = sizeof(struct layernorm_priv),
    .check = layernorm_check,
    .shape = layernorm_shape,
    .slice = layernorm_slice,
    .infer = layernorm_infer,
    .cost = layernorm_cost,
    .forward = layernorm_forward,
    .variants = layernorm_variants,
    .rows = layernorm_over_rows,
    .grow = layernorm_grow,
};
