/* linear: y = x W^T + b over the last axis, any axes before it.
 *
 *   x      [..., in]            in  = in_features,  the live part of max_in
 *   weight [max_out, max_in]    live: weight[:out, :in]   (prefixes, a view)
 *   bias   [max_out]            live: bias[:out]
 *   y      [..., out]           out = out_features
 */
#include "kernel/eltwise.h"
#include "kernel/gemm.h"
#include "op/op_internal.h"
#include "op/packed.h"

enum { ARG_IN, ARG_OUT, ARG_BIAS };
enum { W_WEIGHT, W_BIAS, N_PARAMS };

/* clang-format off */
static const sn_arg_def linear_args[] = {
    {"in_features",  OP_INT,  SN_ARG_CHOICE | SN_ARG_SOFT_MASK, NULL,   NULL},
    {"out_features", OP_INT,  SN_ARG_CHOICE | SN_ARG_SOFT_MASK, NULL,   NULL},
    {"bias",         OP_BOOL, SN_ARG_FIXED,                     "true", NULL},
    {0},
};
/* clang-format on */

static const sn_param_def linear_params[] = {
    {"weight", 0, 2, {ARG_OUT, ARG_IN}},
    {"bias", 0, 1, {ARG_OUT}},
    {0},
};

static sn_status linear_check(const sn_call *call, sn_error *err)
{
    sn_status rc = op_check_size(call, ARG_IN, "in_features", 0, err);

    return rc ? rc : op_check_size(call, ARG_OUT, "out_features", 0, err);
}

static sn_status linear_shape(const sn_call *call, size_t k, sn_shape *ret_shape, sn_error *err)
{
    int64_t   n_in = 0, n_out = 0;
    sn_status rc;

    sn_value_int(&call->arg[ARG_IN].super, &n_in);
    sn_value_int(&call->arg[ARG_OUT].super, &n_out);
    if ((rc = op_need_int(call, "in_features", n_in, err))) return rc;
    if ((rc = op_need_int(call, "out_features", n_out, err))) return rc;
    if (k == W_WEIGHT)
        *ret_shape = SHAPE(n_out, n_in);
    else
        *ret_shape = op_bool(call, ARG_BIAS) ? SHAPE(n_out) : SHAPE_ABSENT;
    return SN_OK;
}

static sn_status linear_slice(const sn_call *call, size_t k, int s, const sn_value *value,
                              sn_slice *ret_slice, sn_error *err)
{
    const int       arg = linear_params[k].step[s], axis = arg == ARG_IN ? 1 : 0;
    const sn_shape *whole = &call->param[k].shape;
    sn_range        live;
    sn_status       rc;

    rc = op_prefix(call, linear_args[arg].name, whole->dim[axis], value, &live, err);
    if (rc) return rc;
    *ret_slice = op_slice_full(whole);
    op_slice_set(ret_slice, axis, live);
    return SN_OK;
}

/* The live part, for the variant over packed weights. */
struct linear_priv {
    int64_t      n, k;
    const float *bias;
};

/* The live weight says the widths: in nni mode they need not be the arguments. */
static sn_status linear_infer(sn_call *call, sn_error *err)
{
    const sn_shape     *w = &call->param[W_WEIGHT].shape, *x = &call->in[0].shape;
    struct linear_priv *p = call->priv;
    sn_shape            y;
    sn_status           rc;
    int                 last;

    if ((rc = op_need_f32(call, 0, "x", 1, err))) return rc;
    last = x->rank - 1;
    if (x->dim[last] != w->dim[1])
        return op_fail(err, SN_E_SHAPE, call, "in_features",
                       "the last axis of the input %s is %lld, in_features is %lld", SHAPE_TEXT(x),
                       (long long)x->dim[last], (long long)w->dim[1]);
    *p = (struct linear_priv){w->dim[0], w->dim[1], call->param[W_BIAS].data};
    y = *x;
    y.dim[last] = w->dim[0];
    if ((rc = op_set_out(call, 0, SN_F32, &y, err))) return rc;
    return op_need_int(call, "the number of rows", op_count_axes(x, 0, last), err);
}

static void linear_cost(const sn_call *call, sn_cost *ret_cost)
{
    const uint64_t n_in = (uint64_t)call->param[W_WEIGHT].shape.dim[1];

    op_cost(call, N_PARAMS, (uint64_t)op_count(&call->out[0].shape) * n_in, ret_cost);
}

static void linear_forward(const sn_call *call, const sn_io *io)
{
    const sn_tensor *w = &io->param[W_WEIGHT], *b = &io->param[W_BIAS];
    const int        n = (int)w->shape.dim[0], k = (int)w->shape.dim[1];
    const int        m = (int)op_count_axes(&io->in[0].shape, 0, io->in[0].shape.rank - 1);

    (void)call;
    /* The live weight is not copied: its row stride is still max_in. */
    kernel_gemm_nt(m, n, k, io->in[0].data, k, w->data, (int)w->stride[0], io->out[0].data, n,
                   false);
    if (b->dtype != SN_NONE)
        kernel_add_row((size_t)m, (size_t)n, b->data, io->out[0].data, (size_t)n);
}

/* Rows of the last axis; the epilogue knows no channels here unless x is [N, C]. */
static bool linear_has_rows(const sn_call *call)
{
    return call->in[0].shape.rank >= 1;
}

static size_t linear_scratch_packed(const sn_call *call)
{
    (void)call;
    return 0;
}

struct linear_run {
    struct packed_gemm g;
    int64_t            m, n;
    bool               by_channels; /* few rows: threads divide output channels */
};

static void linear_part(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct linear_run *r = cls;

    (void)thread;
    if (r->by_channels)
        kernel_table()->gemm(&r->g, 0, r->m, from, to);
    else
        kernel_table()->gemm(&r->g, from, to, 0, r->n);
}

static void linear_forward_packed(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    const struct linear_priv  *p = call->priv;
    const struct kernel_weight w = op_packed_weight(&call->whole[W_WEIGHT]);
    const int64_t              m = op_count_axes(&io->in[0].shape, 0, io->in[0].shape.rank - 1);
    struct linear_run          r = {
                 .g = {.k = p->k, .ldx = p->k, .x = io->in[0].data, .y = io->out[0].data, .ldy = p->n},
                 .m = m,
                 .n = p->n,
                 .by_channels = op_share_channels(m, p->n)};

    r.g.w = kernel_packed_at(&w, io->packed[W_WEIGHT]);
    /* No scale comes here, so bias and shift need no merging. */
    r.g.epilogue = op_packed_epilogue(epilogue, p->bias, p->n, NULL);
    r.g.epilogue.ld_residual = p->n;
    /* With few rows, loading the weights takes longer than computing. */
    op_share(call, io, r.by_channels ? p->n : m, r.by_channels ? KERNEL_PANEL : 1,
             (m < 8 ? 8.0 : 1.0) * (double)m * (double)p->n * (double)p->k, linear_part, &r);
}

static const sn_variant linear_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "packed",
        .layout = SN_LAYOUT_ROWS,
        .fuses = SN_FUSES_RESIDUAL | SN_FUSES_ACT | SN_FUSES_IN_PLACE,
        .lean = true,
        .fits = linear_has_rows,
        .packed_bytes = op_packed_bytes,
        .pack = op_pack,
        .scratch_bytes = linear_scratch_packed,
        .forward = linear_forward_packed,
    },
    {0},
};

static sn_status linear_export_args(const sn_call *call, sn_value *arg_out, sn_arena *mem,
                                    sn_error *err)
{
    (void)mem;
    (void)err;
    arg_out[ARG_IN] = op_int_value(call->param[W_WEIGHT].shape.dim[1]);
    arg_out[ARG_OUT] = op_int_value(call->param[W_WEIGHT].shape.dim[0]);
    return SN_OK;
}

const sn_op sn_op_linear = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "Linear",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = linear_args,
    .params = linear_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .priv_bytes = sizeof(struct linear_priv),
    .check = linear_check,
    .shape = linear_shape,
    .slice = linear_slice,
    .infer = linear_infer,
    .cost = linear_cost,
    .forward = linear_forward,
    .export_args = linear_export_args,
    .variants = linear_variants,
    .rows = linear_has_rows,
    .grow = op_grow_rows,
};
