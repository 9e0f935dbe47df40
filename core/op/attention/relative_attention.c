/* relative_attention: self-attention whose heads have a fixed size, with learned vectors
 * for the distance of two tokens in the grid of the image (AutoFormer).
 *
 *   x, y                [N, T, e]       T = 1 + tokens of the grid, the class token first
 *   q, k, v.weight      [max_h * d, max_e]  live: the rows of the heads, the first e columns
 *   q, k, v.bias        [max_h * d]
 *   proj.weight, .bias  [max_e, max_h * d], [max_e]
 *   rel_pos_embed_k, _v .embeddings_table_v, _h [2 * rpe_length + 2, d]
 *
 *   score(i, j) = q_i . (k_j + rk(i, j)) * scale,   y_i = sum_j p(i, j) (v_j + rv(i, j))
 *   r(i, j)     = table_v[row distance] + table_h[column distance]
 *
 * Distances are clipped to rpe_length and shifted to 1 .. 2 * rpe_length + 1; index 0 is
 * for the class token. Products with a table are made once for every index, not for every
 * pair of tokens. */
#include <math.h>
#include <string.h>

#include "kernel/eltwise.h"
#include "kernel/gemm.h"
#include "kernel/softmax.h"
#include "op/attention/heads.h"

enum {
    ARG_EMBED,
    ARG_HEADS,
    ARG_HEAD_DIM,
    ARG_ATTN_DROP,
    ARG_PROJ_DROP,
    ARG_QKV_BIAS,
    ARG_QK_SCALE,
    ARG_RPE,
    ARG_RPE_LENGTH
};
enum { W_Q, W_K = 2, W_V = 4, W_PROJ = 6, W_PROJ_BIAS, W_K_TABLES, W_V_TABLES = 10, N_PARAMS = 12 };

#define SIZE (SN_ARG_CHOICE | SN_ARG_SOFT_MASK)
/* clang-format off */
static const sn_arg_def relative_args[] = {
    {"embed_dim",  OP_INT,              SIZE,         NULL,    NULL},
    {"num_heads",  OP_INT,              SIZE,         NULL,    NULL},
    {"head_dim",   OP_INT,              SN_ARG_FIXED, "64",    NULL},
    {"attn_drop",  OP_NUMBER,           SN_ARG_FIXED, "0.0",   NULL},
    {"proj_drop",  OP_NUMBER,           SN_ARG_FIXED, "0.0",   NULL},
    {"qkv_bias",   OP_BOOL,             SN_ARG_FIXED, "false", NULL},
    {"qk_scale",   OP_NUMBER | OP_NULL, SN_ARG_FIXED, "null",  NULL},
    {"rpe",        OP_BOOL,             SN_ARG_FIXED, "false", NULL},
    {"rpe_length", OP_INT,              SN_ARG_FIXED, "14",    NULL},
    {0},
};

static const sn_param_def relative_params[] = {
    {"q.weight",    0, 2, {ARG_HEADS, ARG_EMBED}},
    {"q.bias",      0, 1, {ARG_HEADS}},
    {"k.weight",    0, 2, {ARG_HEADS, ARG_EMBED}},
    {"k.bias",      0, 1, {ARG_HEADS}},
    {"v.weight",    0, 2, {ARG_HEADS, ARG_EMBED}},
    {"v.bias",      0, 1, {ARG_HEADS}},
    {"proj.weight", 0, 2, {ARG_EMBED, ARG_HEADS}},
    {"proj.bias",   0, 1, {ARG_EMBED}},
    {"rel_pos_embed_k.embeddings_table_v", 0, 0, {0}},
    {"rel_pos_embed_k.embeddings_table_h", 0, 0, {0}},
    {"rel_pos_embed_v.embeddings_table_v", 0, 0, {0}},
    {"rel_pos_embed_v.embeddings_table_h", 0, 0, {0}},
    {0},
};
/* clang-format on */

static sn_status relative_check(const sn_call *call, sn_error *err)
{
    static const struct {
        int         arg;
        const char *name;
    } sizes[] = {
        {ARG_EMBED, "embed_dim"},
        {ARG_HEADS, "num_heads"},
        {ARG_HEAD_DIM, "head_dim"},
        {ARG_RPE_LENGTH, "rpe_length"},
    };
    sn_status rc;

    for (size_t i = 0; i < COUNT(sizes); i++)
        if ((rc = op_check_size(call, sizes[i].arg, sizes[i].name, 1, err))) return rc;
    if ((rc = op_check_probability(call, ARG_ATTN_DROP, "attn_drop", err))) return rc;
    if ((rc = op_check_probability(call, ARG_PROJ_DROP, "proj_drop", err))) return rc;
    return op_check_finite(call, ARG_QK_SCALE, "qk_scale", err);
}

static sn_status relative_shape(const sn_call *call, size_t k, sn_shape *ret_shape, sn_error *err)
{
    const int64_t d = op_int(call, ARG_HEAD_DIM), length = op_int(call, ARG_RPE_LENGTH);
    int64_t       embed = 0, heads = 0, inner;
    sn_status     rc;

    sn_value_int(&call->arg[ARG_EMBED].super, &embed);
    sn_value_int(&call->arg[ARG_HEADS].super, &heads);
    if (__builtin_mul_overflow(heads, d, &inner) || length > INT32_MAX / 4)
        return op_fail(err, SN_E_LIMIT, call, NULL,
                       "num_heads, head_dim or rpe_length is too large");
    if ((rc = op_need_int(call, "embed_dim", embed, err))) return rc;
    if ((rc = op_need_int(call, "num_heads times head_dim", inner, err))) return rc;
    if (k < W_PROJ && k % 2 == 0)
        *ret_shape = SHAPE(inner, embed);
    else if (k < W_PROJ)
        *ret_shape = op_bool(call, ARG_QKV_BIAS) ? SHAPE(inner) : SHAPE_ABSENT;
    else if (k == W_PROJ)
        *ret_shape = SHAPE(embed, inner);
    else if (k == W_PROJ_BIAS)
        *ret_shape = SHAPE(embed);
    else
        *ret_shape = op_bool(call, ARG_RPE) ? SHAPE(2 * length + 2, d) : SHAPE_ABSENT;
    return SN_OK;
}

static sn_status relative_slice(const sn_call *call, size_t k, int s, const sn_value *value,
                                sn_slice *ret_slice, sn_error *err)
{
    const sn_shape *whole = &call->param[k].shape;
    const int       arg = relative_params[k].step[s];
    const int       axis = arg == relative_params[k].step[0] ? 0 : 1;
    sn_value        rows = *value;
    sn_range        live;
    int64_t         n = 0;
    sn_status       rc;

    if (arg == ARG_HEADS) {
        sn_value_int(value, &n);
        if (__builtin_mul_overflow(n, op_int(call, ARG_HEAD_DIM), &n)) n = INT64_MAX;
        rows = op_int_value(n);
    }
    rc = op_prefix(call, relative_args[arg].name, whole->dim[axis], &rows, &live, err);
    if (rc) return rc;
    *ret_slice = op_slice_full(whole);
    op_slice_set(ret_slice, axis, live);
    return SN_OK;
}

/* Offsets in the scratch memory, in floats; one element of the batch at a time. */
struct layout {
    int64_t t, d, heads, inner, n_index; /* tokens, size of a head, rows of a table */
    int64_t q, k, v, p, table_v, table_h, n_floats;
};

static bool reserve(struct layout *y, int64_t a, int64_t b, int64_t *ret_at)
{
    int64_t n;

    *ret_at = y->n_floats;
    return !__builtin_mul_overflow(a, b, &n) &&
           !__builtin_add_overflow(y->n_floats, n, &y->n_floats);
}

static bool layout_make(const sn_call *call, struct layout *y)
{
    *y = (struct layout){.t = call->in[0].shape.dim[1],
                         .d = op_int(call, ARG_HEAD_DIM),
                         .inner = call->param[W_Q].shape.dim[0],
                         .n_index = 2 * op_int(call, ARG_RPE_LENGTH) + 2};
    y->heads = y->inner / y->d;
    return reserve(y, y->t, y->inner, &y->q) && reserve(y, y->t, y->inner, &y->k) &&
           reserve(y, y->t, y->inner, &y->v) && reserve(y, y->t, y->t, &y->p) &&
           reserve(y, y->t, y->n_index, &y->table_v) && reserve(y, y->t, y->n_index, &y->table_h);
}

static sn_status check_drop(const sn_call *call, int arg, sn_error *err)
{
    if (call->mode != SN_TRAIN || op_float(call, arg) == 0.0) return SN_OK;
    return op_fail(err, SN_E_UNSUPPORTED, call, relative_args[arg].name,
                   "dropout of %s is random in training mode, only 0 is supported there",
                   VALUE_TEXT(&call->arg[arg].value));
}

static float scale_of(const sn_call *call)
{
    const double given = op_is_null(call, ARG_QK_SCALE) ? 0.0 : op_float(call, ARG_QK_SCALE);

    return (float)(given != 0.0 ? given : 1.0 / sqrt((double)op_int(call, ARG_HEAD_DIM)));
}

/* What the variant over packed weights reads: sizes and live parameters that are not packed. */
struct relative_priv {
    int64_t      d, heads, length; /* length of the tables; -1: none */
    float        scale;
    const float *bias[3], *proj_bias, *value_table[2]; /* biases or NULL */
};

static struct relative_priv priv_of(const sn_call *call)
{
    const sn_tensor     *param = call->param;
    struct relative_priv p = {.d = op_int(call, ARG_HEAD_DIM),
                              .length = op_bool(call, ARG_RPE) ? op_int(call, ARG_RPE_LENGTH) : -1,
                              .scale = scale_of(call),
                              .proj_bias = param[W_PROJ_BIAS].data};

    p.heads = param[W_Q].shape.dim[0] / p.d;
    for (int i = 0; i < 3; i++)
        p.bias[i] =
            op_has_param(call, (size_t)(W_Q + 2 * i + 1)) ? param[W_Q + 2 * i + 1].data : NULL;
    for (int i = 0; i < 2; i++)
        p.value_table[i] = p.length < 0 ? NULL : param[W_V_TABLES + i].data;
    return p;
}

static sn_status relative_infer(sn_call *call, sn_error *err)
{
    struct relative_priv *p = call->priv;
    const int64_t   embed = call->param[W_Q].shape.dim[1], inner = call->param[W_Q].shape.dim[0];
    const sn_shape *x = &call->in[0].shape;
    struct layout   y;
    sn_status       rc;

    if ((rc = check_drop(call, ARG_ATTN_DROP, err))) return rc;
    if ((rc = check_drop(call, ARG_PROJ_DROP, err))) return rc;
    if ((rc = op_need_f32(call, 0, "x", 3, err))) return rc;
    if (x->rank != 3 || x->dim[1] < 1 || x->dim[2] != embed)
        return op_fail(err, SN_E_SHAPE, call, "embed_dim",
                       "the input %s is not a batch of tokens of %lld features", SHAPE_TEXT(x),
                       (long long)embed);
    if (inner < 1 || inner % op_int(call, ARG_HEAD_DIM) != 0)
        return op_fail(err, SN_E_INVALID, call, "num_heads",
                       "the %lld projected features are no whole number of heads of %lld",
                       (long long)inner, (long long)op_int(call, ARG_HEAD_DIM));
    if ((rc = op_need_int(call, "the number of tokens", x->dim[1], err))) return rc;
    *p = priv_of(call);
    if (!layout_make(call, &y))
        return op_fail(err, SN_E_LIMIT, call, NULL, "the input %s has too many tokens",
                       SHAPE_TEXT(x));
    if ((rc = op_set_scratch(call, y.n_floats, 1, 1, err))) return rc;
    return op_set_out(call, 0, SN_F32, x, err);
}

static void relative_cost(const sn_call *call, sn_cost *ret_cost)
{
    const uint64_t t = (uint64_t)call->in[0].shape.dim[1], e = (uint64_t)call->in[0].shape.dim[2];
    const uint64_t inner = (uint64_t)call->param[W_Q].shape.dim[0];
    const uint64_t index = 2 * (uint64_t)op_int(call, ARG_RPE_LENGTH) + 2;
    const uint64_t tables = op_bool(call, ARG_RPE) ? 4 * index : 0;

    op_cost(call, N_PARAMS,
            (uint64_t)call->in[0].shape.dim[0] * t * inner * (4 * e + 2 * t + tables), ret_cost);
}

/* ---- forward --------------------------------------------------------------------------- */

/* y[t, rows of w] = x w^T + b */
static void project(const sn_tensor *w, const sn_tensor *b, int64_t t, const float *x, float *y)
{
    const int n = (int)w->shape.dim[0], k = (int)w->shape.dim[1];

    kernel_gemm_nt((int)t, n, k, x, k, w->data, (int)w->stride[0], y, n, false);
    if (b->dtype != SN_NONE) kernel_add_row((size_t)t, (size_t)n, b->data, y, (size_t)n);
}

/* The rows of the tables for the distance from token i to token j. */
struct distance {
    int64_t row, column;
};

static int64_t clip(int64_t distance, int64_t length)
{
    if (distance > length) distance = length;
    if (distance < -length) distance = -length;
    return distance + length + 1;
}

static struct distance distance_of(int64_t i, int64_t j, int64_t side, int64_t length)
{
    if (i == 0 || j == 0) return (struct distance){0, 0};
    i--;
    j--;
    return (struct distance){clip(j / side - i / side, length), clip(j % side - i % side, length)};
}

/* The side of the grid: the tokens after the first, as a square. */
static int64_t side_of(int64_t t)
{
    return (int64_t)sqrt((double)(t - 1));
}

/* p[t, t] += q . r(i, j) */
static void add_key_distances(const sn_io *io, const struct layout *y, int64_t length, int64_t h,
                              float *scratch)
{
    const float  *q = scratch + y->q + h * y->d;
    float        *by_v = scratch + y->table_v, *by_h = scratch + y->table_h, *p = scratch + y->p;
    const int     t = (int)y->t, n = (int)y->n_index, d = (int)y->d, inner = (int)y->inner;
    const int64_t side = side_of(y->t);

    kernel_gemm_nt(t, n, d, q, inner, io->param[W_K_TABLES].data, d, by_v, n, false);
    kernel_gemm_nt(t, n, d, q, inner, io->param[W_K_TABLES + 1].data, d, by_h, n, false);
    for (int64_t i = 0; i < y->t; i++)
        for (int64_t j = 0; j < y->t; j++) {
            const struct distance r = distance_of(i, j, side, length);

            p[i * y->t + j] += by_v[i * n + r.row] + by_h[i * n + r.column];
        }
}

/* y_i += sum_j p(i, j) r(i, j), the weights first collected by distance. */
static void add_value_distances(const sn_io *io, const struct layout *y, int64_t length, int64_t h,
                                float *scratch)
{
    float        *out = scratch + y->q + h * y->d;
    float        *by_v = scratch + y->table_v, *by_h = scratch + y->table_h;
    const float  *p = scratch + y->p;
    const int     t = (int)y->t, n = (int)y->n_index, d = (int)y->d, inner = (int)y->inner;
    const int64_t side = side_of(y->t);

    memset(by_v, 0, (size_t)(y->t * n) * sizeof *by_v);
    memset(by_h, 0, (size_t)(y->t * n) * sizeof *by_h);
    for (int64_t i = 0; i < y->t; i++)
        for (int64_t j = 0; j < y->t; j++) {
            const struct distance r = distance_of(i, j, side, length);

            by_v[i * n + r.row] += p[i * y->t + j];
            by_h[i * n + r.column] += p[i * y->t + j];
        }
    kernel_gemm_nn(t, d, n, by_v, n, io->param[W_V_TABLES].data, d, out, inner, true);
    kernel_gemm_nn(t, d, n, by_h, n, io->param[W_V_TABLES + 1].data, d, out, inner, true);
}

/* Head h; its output overwrites its queries. */
static void run_head(const sn_call *call, const sn_io *io, const struct layout *y, int64_t h)
{
    const float   scale = scale_of(call);
    const int64_t length = op_int(call, ARG_RPE_LENGTH);
    float        *scratch = io->scratch, *p = scratch + y->p, *q = scratch + y->q + h * y->d;
    const int     t = (int)y->t, d = (int)y->d, inner = (int)y->inner;

    kernel_gemm_nt(t, t, d, q, inner, scratch + y->k + h * d, inner, p, t, false);
    if (op_bool(call, ARG_RPE)) add_key_distances(io, y, length, h, scratch);
    for (int64_t i = 0; i < y->t * y->t; i++)
        p[i] *= scale;
    kernel_softmax((size_t)t, (size_t)t, 1, p, p);
    kernel_gemm_nn(t, d, t, p, t, scratch + y->v + h * d, inner, q, inner, false);
    if (op_bool(call, ARG_RPE)) add_value_distances(io, y, length, h, scratch);
}

static void relative_forward(const sn_call *call, const sn_io *io)
{
    const sn_shape *shape = &io->in[0].shape;
    const int64_t   element = shape->dim[1] * shape->dim[2];
    float          *scratch = io->scratch;
    struct layout   y;

    layout_make(call, &y);
    for (int64_t n = 0; n < shape->dim[0]; n++) {
        const float *x = (const float *)io->in[0].data + n * element;

        project(&io->param[W_Q], &io->param[W_Q + 1], y.t, x, scratch + y.q);
        project(&io->param[W_K], &io->param[W_K + 1], y.t, x, scratch + y.k);
        project(&io->param[W_V], &io->param[W_V + 1], y.t, x, scratch + y.v);
        for (int64_t h = 0; h < y.heads; h++)
            run_head(call, io, &y, h);
        project(&io->param[W_PROJ], &io->param[W_PROJ_BIAS], y.t, scratch + y.q,
                (float *)io->out[0].data + n * element);
    }
}

/* ---- over packed weights --------------------------------------------------------------- */

static size_t relative_packed_bytes(const sn_tensor *whole, size_t k)
{
    const bool is_weight = k <= W_PROJ && k % 2 == 0;

    return op_packed_bytes(whole, is_weight || k == W_K_TABLES || k == W_K_TABLES + 1 ? 0 : k);
}

static struct kernel_panels panels_of(const sn_call *call, const sn_io *io, int k)
{
    const struct kernel_weight w = op_packed_weight(&call->whole[k]);

    return kernel_packed_at(&w, io->packed[k]);
}

/* x [N, t, embed] */
static struct heads heads_of(const struct relative_priv *p, const sn_shape *x)
{
    const int64_t t = x->dim[1], embed = x->dim[2];
    struct heads  h = {.l = t,
                       .s = t,
                       .keys = t,
                       .heads = p->heads,
                       .d = p->d,
                       .width = {embed, embed, embed},
                       .ld = {embed, embed, embed},
                       .scale = p->scale,
                       .width_y = embed,
                       .ld_y = embed};

    if (p->length >= 0) {
        h.relative.side = t > 1 ? side_of(t) : 1;
        h.relative.length = p->length;
    }
    return h;
}

static size_t relative_scratch_packed(const sn_call *call)
{
    const struct heads h = heads_of(call->priv, &call->in[0].shape);

    return heads_scratch(&h, call->n_threads);
}

static bool relative_fits_packed(const sn_call *call)
{
    return relative_scratch_packed(call) > 0;
}

static void relative_forward_packed(const sn_call *call, const sn_io *io,
                                    const sn_epilogue *epilogue)
{
    const struct relative_priv *p = call->priv;
    const int64_t               batch = io->in[0].shape.dim[0];
    struct heads                h = heads_of(p, &io->in[0].shape);

    for (int i = 0; i < 3; i++) {
        h.x[i] = io->in[0].data;
        h.in[i] = (struct heads_projection){panels_of(call, io, W_Q + 2 * i), p->bias[i]};
    }
    for (int i = 0; h.relative.side && i < 2; i++) {
        h.relative.key[i] = panels_of(call, io, W_K_TABLES + i);
        h.relative.value[i] = p->value_table[i];
        h.relative.ld_value = h.d;
    }
    h.out = (struct heads_projection){panels_of(call, io, W_PROJ), p->proj_bias};
    h.y = io->out[0].data;
    h.epilogue = op_packed_epilogue(epilogue, NULL, h.width_y, NULL);
    h.epilogue.ld_residual = h.ld_y;
    for (int64_t n = 0; n < batch; n++) {
        heads_run(&h, call, io);
        for (int i = 0; i < 3; i++)
            h.x[i] += h.l * h.ld[i];
        h.y += h.l * h.ld_y;
        if (h.epilogue.residual) h.epilogue.residual += h.l * h.ld_y;
    }
}

static const sn_variant relative_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "packed",
        .layout = SN_LAYOUT_ROWS,
        .fuses = SN_FUSES_RESIDUAL | SN_FUSES_ACT | SN_FUSES_IN_PLACE,
        .lean = true,
        .fits = relative_fits_packed,
        .packed_bytes = relative_packed_bytes,
        .pack = op_pack,
        .scratch_bytes = relative_scratch_packed,
        .forward = relative_forward_packed,
    },
    {0},
};

static sn_status relative_export_args(const sn_call *call, sn_value *arg_out, sn_arena *mem,
                                      sn_error *err)
{
    (void)mem;
    (void)err;
    arg_out[ARG_EMBED] = op_int_value(call->param[W_Q].shape.dim[1]);
    arg_out[ARG_HEADS] = op_int_value(call->param[W_Q].shape.dim[0] / op_int(call, ARG_HEAD_DIM));
    return SN_OK;
}

const sn_op sn_op_relative_attention = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "RelativePositionSelfAttention",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = relative_args,
    .params = relative_params,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .priv_bytes = sizeof(struct relative_priv),
    .check = relative_check,
    .shape = relative_shape,
    .slice = relative_slice,
    .infer = relative_infer,
    .cost = relative_cost,
    .forward = relative_forward,
    .export_args = relative_export_args,
    .variants = relative_variants,
};
