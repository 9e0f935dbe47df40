/* attention: torch.nn.MultiheadAttention. Masks are added up, as PyTorch has done since 2.0; in
 * the compatibility mode they are joined as in 1.13.
 *
 *   query [L, N, e]   key [S, N, kdim]   value [S, N, vdim]      batch_first: [N, L, e], ...
 *                                                                unbatched:   [L, e], ...
 *   key_padding_mask [N, S]    bool or uint8: True hides a key; float: added to the scores
 *   attn_mask [L, S] or [N * heads, L, S]     bool or uint8: hides; float: added
 *
 *   in_proj_weight [3E, E]     live: rows [0, e), [E, E + e), [2E, 2E + e), columns [:e]
 *   or q [E, E], k [E, K], v [E, V] _proj_weight    live: q[:e, :e], k[:e, :kdim], v[:e, :vdim]
 *   in_proj_bias [3E]          live: the same three pieces
 *   out_proj.weight [E, E], out_proj.bias [E], bias_k and bias_v [1, 1, E]
 *
 *   attn_output as query; attn_output_weights [N, L, S'], the mean over the heads.
 *   S' counts the keys that add_bias_kv and add_zero_attn append after the S given ones.
 *
 * Batch elements are done one after the other, so that scratch memory does not grow with
 * the batch. */
#include "op/attention/attention.h"
#include "tensor/growth.h"

#include <math.h>
#include <string.h>

#include "kernel/attention.h"
#include "kernel/eltwise.h"
#include "kernel/gemm.h"

#define ELASTIC (SN_ARG_CHOICE | SN_ARG_SOFT_MASK)
#define HARD    (SN_ARG_CHOICE | SN_ARG_SOFT_REFUSE)

/* need_weights and use_separate_proj_weight are arguments of PyTorch's function, not of its
 * module: a specification has no other place for them. The last two say what null means. */
/* clang-format off */
static const sn_arg_def attention_args[] = {
    {"embed_dim",                OP_INT,           ELASTIC,      NULL,    NULL},
    {"num_heads",                OP_INT,           HARD,         NULL,    NULL},
    {"dropout",                  OP_NUMBER,        HARD,         "0.0",   NULL},
    {"bias",                     OP_BOOL,          SN_ARG_FIXED, "true",  NULL},
    {"add_bias_kv",              OP_BOOL,          SN_ARG_FIXED, "false", NULL},
    {"add_zero_attn",            OP_BOOL,          SN_ARG_FIXED, "false", NULL},
    {"kdim",                     OP_INT | OP_NULL, ELASTIC,      "null",  NULL},
    {"vdim",                     OP_INT | OP_NULL, ELASTIC,      "null",  NULL},
    {"batch_first",              OP_BOOL,          SN_ARG_FIXED, "false", NULL},
    {"need_weights",             OP_BOOL,          SN_ARG_FIXED, "true",  NULL},
    {"use_separate_proj_weight", OP_BOOL,          SN_ARG_FIXED, "false", NULL},
    {"k_width", OP_INT, ELASTIC | SN_ARG_DERIVED, "embed_dim if kdim == None else kdim", NULL},
    {"v_width", OP_INT, ELASTIC | SN_ARG_DERIVED, "embed_dim if vdim == None else vdim", NULL},
    {0},
};

static const sn_param_def attention_params[] = {
    {"in_proj_weight",  0, 1, {ARG_EMBED}},
    {"q_proj_weight",   0, 1, {ARG_EMBED}},
    {"k_proj_weight",   0, 2, {ARG_EMBED, ARG_K_WIDTH}},
    {"v_proj_weight",   0, 2, {ARG_EMBED, ARG_V_WIDTH}},
    {"in_proj_bias",    0, 1, {ARG_EMBED}},
    {"bias_k",          0, 1, {ARG_EMBED}},
    {"bias_v",          0, 1, {ARG_EMBED}},
    {"out_proj.weight", 0, 1, {ARG_EMBED}},
    {"out_proj.bias",   0, 1, {ARG_EMBED}},
    {0},
};
/* clang-format on */

static const char *const attention_in[] = {"query", "key", "value", "key_padding_mask",
                                           "attn_mask"};
static const char *const attention_out[] = {"attn_output", "attn_output_weights"};

/* ---- load -------------------------------------------------------------------------- */

static int64_t super_int(const sn_call *call, int a)
{
    int64_t i = 0;

    sn_value_int(&call->arg[a].super, &i);
    return i;
}

static bool is_given(const sn_call *call, int a)
{
    return call->arg[a].super.kind != SN_KIND_NULL;
}

/* Is q, k, v one weight? Only if all widths are equal; and a kdim or vdim that is written
 * down and can vary against embed_dim needs weights of its own. */
static bool is_packed(const sn_call *call)
{
    const int64_t embed = super_int(call, ARG_EMBED);

    if (op_bool(call, ARG_SEPARATE)) return false;
    for (int a = ARG_KDIM; a <= ARG_VDIM; a++)
        if (is_given(call, a) &&
            (super_int(call, a) != embed || call->arg[a].elastic || call->arg[ARG_EMBED].elastic))
            return false;
    return true;
}

static sn_status check_width(const sn_call *call, int a, sn_error *err)
{
    int64_t n;

    if (!is_given(call, a)) return SN_OK;
    /* The largest of null and numbers would depend on embed_dim: not defined. */
    for (size_t i = 0; i < call->arg[a].n_options; i++)
        if (!sn_value_int(&call->arg[a].option[i], &n))
            return op_fail(err, SN_E_INVALID, call, attention_args[a].name,
                           "%s is no size: the candidates must all be integers",
                           VALUE_TEXT(&call->arg[a].option[i]));
    return op_check_size(call, a, attention_args[a].name, 1, err);
}

static sn_status attention_check(const sn_call *call, sn_error *err)
{
    const int64_t embed = super_int(call, ARG_EMBED), heads = super_int(call, ARG_HEADS);
    sn_status     rc;

    if ((rc = op_check_size(call, ARG_EMBED, "embed_dim", 1, err))) return rc;
    if ((rc = op_check_size(call, ARG_HEADS, "num_heads", 1, err))) return rc;
    if ((rc = op_check_probability(call, ARG_DROPOUT, "dropout", err))) return rc;
    if ((rc = check_width(call, ARG_KDIM, err))) return rc;
    if ((rc = check_width(call, ARG_VDIM, err))) return rc;
    if (embed > INT32_MAX / 3)
        return op_fail(err, SN_E_LIMIT, call, "embed_dim", "%lld is too large, at most %d",
                       (long long)embed, INT32_MAX / 3);
    if ((rc = op_need_int(call, "kdim", super_int(call, ARG_K_WIDTH), err))) return rc;
    if ((rc = op_need_int(call, "vdim", super_int(call, ARG_V_WIDTH), err))) return rc;
    /* The original builds its largest instance, with every check of an ordinary one. */
    if ((call->nni || !(call->arg[ARG_EMBED].elastic || call->arg[ARG_HEADS].elastic)) &&
        embed % heads != 0)
        return op_fail(err, SN_E_INVALID, call, "embed_dim",
                       "embed_dim %lld is not divisible by num_heads %lld", (long long)embed,
                       (long long)heads);
    return SN_OK;
}

static sn_status attention_shape(const sn_call *call, size_t k, sn_shape *ret_shape, sn_error *err)
{
    const int64_t embed = super_int(call, ARG_EMBED);
    const bool    packed = is_packed(call), bias = op_bool(call, ARG_BIAS);
    const bool    bias_kv = op_bool(call, ARG_BIAS_KV);
    sn_shape      shape = SHAPE_ABSENT;

    (void)err;
    switch (k) {
    case W_IN:
        if (packed) shape = SHAPE(3 * embed, embed);
        break;
    case W_Q:
        if (!packed) shape = SHAPE(embed, embed);
        break;
    case W_K:
        if (!packed) shape = SHAPE(embed, super_int(call, ARG_K_WIDTH));
        break;
    case W_V:
        if (!packed) shape = SHAPE(embed, super_int(call, ARG_V_WIDTH));
        break;
    case W_IN_BIAS:
        if (bias) shape = SHAPE(3 * embed);
        break;
    case W_BIAS_K:
    case W_BIAS_V:
        if (bias_kv) shape = SHAPE(1, 1, embed);
        break;
    case W_OUT:
        shape = SHAPE(embed, embed);
        break;
    case W_OUT_BIAS:
        if (bias) shape = SHAPE(embed);
        break;
    }
    *ret_shape = shape;
    return SN_OK;
}

/* Rows of q, k and v: `live` of each third. All of them are one piece, hence a view. */
static void slice_thirds(sn_slice *s, int64_t third, sn_range live)
{
    if (live.stop == third) return;
    s->axis[0].n = 3;
    for (int i = 0; i < 3; i++)
        s->axis[0].piece[i] = (sn_range){i * third, i * third + live.stop};
}

static sn_status attention_slice(const sn_call *call, size_t k, int s, const sn_value *value,
                                 sn_slice *ret_slice, sn_error *err)
{
    const sn_shape *whole = &call->param[k].shape;
    const int       arg = attention_params[k].step[s], last = whole->rank - 1;
    const bool      thirds = k == W_IN || k == W_IN_BIAS;
    const bool      rows_only = (k == W_K || k == W_V) && arg == ARG_EMBED;
    const int       axis = rows_only ? 0 : last;
    const int64_t   size = thirds ? whole->dim[0] / 3 : whole->dim[axis];
    sn_range        live;
    sn_status       rc;

    if ((rc = op_prefix(call, attention_args[arg].name, size, value, &live, err))) return rc;
    *ret_slice = op_slice_full(whole);
    if (k != W_IN_BIAS) op_slice_set(ret_slice, axis, live);
    if (thirds) slice_thirds(ret_slice, size, live);
    if (k == W_Q || k == W_OUT) op_slice_set(ret_slice, 0, live); /* rows and columns at once */
    return SN_OK;
}

/* ---- shapes -------------------------------------------------------------------------- */

struct attention_seq attention_read(const sn_call *call, const sn_shape *shape)
{
    struct attention_seq s = {.width = shape->dim[shape->rank - 1]};

    if (shape->rank == 2)
        s = (struct attention_seq){shape->dim[0], 1, s.width, s.width, 0};
    else if (op_bool(call, ARG_BATCH_FIRST))
        s = (struct attention_seq){shape->dim[1], shape->dim[0], s.width, s.width,
                                   shape->dim[1] * s.width};
    else
        s = (struct attention_seq){shape->dim[0], shape->dim[1], s.width, shape->dim[1] * s.width,
                                   s.width};
    return s;
}

/* Reserve a * b floats, rounded up so that the next part is aligned. */
static int64_t reserve(struct attention_sizes *y, int64_t a, int64_t b)
{
    const int64_t at = y->n_floats, align = SN_ALIGN_BYTES / sizeof(float);
    int64_t       n;

    if (at < 0) return 0;
    if (__builtin_mul_overflow(a, b, &n) || __builtin_add_overflow(n, align - 1, &n) ||
        __builtin_add_overflow(at, n / align * align, &y->n_floats))
        y->n_floats = -1;
    return at;
}

struct attention_sizes attention_sizes_of(const sn_call *call, const struct attention_seq *query,
                                          const struct attention_seq *key)
{
    struct attention_sizes y = {.embed = op_int(call, ARG_EMBED),
                                .heads = op_int(call, ARG_HEADS),
                                .batch = query->batch,
                                .l = query->length,
                                .s = key->length};

    y.keys = y.s + op_has_param(call, W_BIAS_K) + op_bool(call, ARG_ZERO_ATTN);
    y.q = reserve(&y, y.l, y.embed);
    y.k = reserve(&y, y.keys, y.embed);
    y.v = reserve(&y, y.keys, y.embed);
    y.p = reserve(&y, y.l, y.keys);
    if (op_has_in(call, IN_PADDING) || op_has_in(call, IN_MASK)) y.m = reserve(&y, y.l, y.keys);
    if (y.n_floats > PTRDIFF_MAX / (int64_t)sizeof(float)) y.n_floats = -1;
    return y;
}

/* The inputs against each other and against the live weights. */
static sn_status check_inputs(const sn_call *call, sn_error *err)
{
    const sn_shape      *q = &call->in[IN_QUERY].shape, *k = &call->in[IN_KEY].shape;
    const sn_shape      *v = &call->in[IN_VALUE].shape;
    const int64_t        embed = op_int(call, ARG_EMBED), heads = op_int(call, ARG_HEADS);
    const bool           packed = op_has_param(call, W_IN);
    const int64_t        k_width = call->param[packed ? W_IN : W_K].shape.dim[1];
    const int64_t        v_width = call->param[packed ? W_IN : W_V].shape.dim[1];
    struct attention_seq seq_q, seq_k, seq_v;
    sn_status            rc;

    for (size_t i = IN_QUERY; i <= IN_VALUE; i++)
        if ((rc = op_need_f32(call, i, attention_in[i], 2, err))) return rc;
    if (q->rank > 3 || k->rank != q->rank || v->rank != q->rank)
        return op_fail(err, SN_E_SHAPE, call, NULL,
                       "query %s, key %s and value %s must all have 3 axes, or 2 without a batch",
                       SHAPE_TEXT(q), SHAPE_TEXT(k), SHAPE_TEXT(v));
    if (call->nni && q->rank == 2 && op_bool(call, ARG_BATCH_FIRST))
        return op_fail(err, SN_E_SHAPE, call, "batch_first",
                       "query %s has no batch that could be first", SHAPE_TEXT(q));
    if (q->dim[q->rank - 1] != embed)
        return op_fail(err, SN_E_SHAPE, call, "embed_dim",
                       "the last axis of query %s is not embed_dim, %lld", SHAPE_TEXT(q),
                       (long long)embed);
    if (embed < 1 || heads < 1 || embed % heads != 0)
        return op_fail(err, SN_E_INVALID, call, "num_heads",
                       "embed_dim %lld is not divisible by num_heads %lld", (long long)embed,
                       (long long)heads);
    if (k->dim[k->rank - 1] != k_width)
        return op_fail(err, SN_E_SHAPE, call, "kdim", "the last axis of key %s is not kdim, %lld",
                       SHAPE_TEXT(k), (long long)k_width);
    if (v->dim[v->rank - 1] != v_width)
        return op_fail(err, SN_E_SHAPE, call, "vdim", "the last axis of value %s is not vdim, %lld",
                       SHAPE_TEXT(v), (long long)v_width);
    seq_q = attention_read(call, q);
    seq_k = attention_read(call, k);
    seq_v = attention_read(call, v);
    if (seq_k.length != seq_v.length || seq_k.batch != seq_v.batch)
        return op_fail(err, SN_E_SHAPE, call, NULL, "key %s and value %s differ in length or batch",
                       SHAPE_TEXT(k), SHAPE_TEXT(v));
    if (seq_q.batch != seq_k.batch)
        return op_fail(err, SN_E_SHAPE, call, NULL, "query %s and key %s differ in batch",
                       SHAPE_TEXT(q), SHAPE_TEXT(k));
    if ((rc = op_need_int(call, "query's row", seq_q.row, err))) return rc;
    if ((rc = op_need_int(call, "key's row", seq_k.row, err))) return rc;
    if ((rc = op_need_int(call, "value's row", seq_v.row, err))) return rc;
    if ((rc = op_need_int(call, "query's length", seq_q.length, err))) return rc;
    return op_need_int(call, "key's length", seq_k.length + 2, err);
}

static bool is_dtype(const sn_call *call, int i, sn_dtype a, sn_dtype b, sn_dtype c)
{
    return call->in[i].dtype == a || call->in[i].dtype == b || call->in[i].dtype == c;
}

static sn_status check_masks(const sn_call *call, const struct attention_sizes *y, sn_error *err)
{
    const bool      batched = call->in[IN_QUERY].shape.rank == 3;
    const sn_shape  padding = batched ? SHAPE(y->batch, y->s) : SHAPE(y->s);
    const sn_shape  mask2 = SHAPE(y->l, y->s), mask3 = SHAPE(y->batch * y->heads, y->l, y->s);
    const sn_shape *mask;

    if (op_has_in(call, IN_PADDING)) {
        if (!is_dtype(call, IN_PADDING, SN_BOOL, call->nni ? SN_BOOL : SN_U8, SN_F32))
            return op_fail(err, SN_E_DTYPE, call, NULL, "key_padding_mask is %s, it must be BOOL%s",
                           sn_dtype_name(call->in[IN_PADDING].dtype),
                           call->nni ? " or F32" : ", U8 or F32");
        if (!sn_shape_equal(&call->in[IN_PADDING].shape, &padding))
            return op_fail(err, SN_E_SHAPE, call, NULL, "key_padding_mask is %s, it must be %s",
                           SHAPE_TEXT(&call->in[IN_PADDING].shape), SHAPE_TEXT(&padding));
    }
    if (!op_has_in(call, IN_MASK)) return SN_OK;
    mask = &call->in[IN_MASK].shape;
    if (!is_dtype(call, IN_MASK, SN_BOOL, SN_U8, SN_F32))
        return op_fail(err, SN_E_DTYPE, call, NULL, "attn_mask is %s, it must be BOOL, U8 or F32",
                       sn_dtype_name(call->in[IN_MASK].dtype));
    if (!sn_shape_equal(mask, &mask2) && !sn_shape_equal(mask, &mask3))
        return op_fail(err, SN_E_SHAPE, call, NULL, "attn_mask is %s, it must be %s or %s",
                       SHAPE_TEXT(mask), SHAPE_TEXT(&mask2), SHAPE_TEXT(&mask3));
    if (call->nni && call->in[IN_MASK].dtype == SN_F32 && op_has_in(call, IN_PADDING) &&
        call->in[IN_PADDING].dtype == SN_F32)
        return op_fail(err, SN_E_DTYPE, call, NULL,
                       "key_padding_mask is F32 next to an attn_mask of F32, it must be BOOL");
    return SN_OK;
}

static sn_status attention_infer(sn_call *call, sn_error *err)
{
    const sn_shape        *query = &call->in[IN_QUERY].shape;
    struct attention_seq   seq_q, seq_k;
    struct attention_sizes y;
    sn_shape               weights;
    sn_status              rc;

    if (call->mode == SN_TRAIN && op_float(call, ARG_DROPOUT) != 0.0)
        return op_fail(err, SN_E_UNSUPPORTED, call, "dropout",
                       "dropout of %s is random in training mode, only 0 is supported there",
                       VALUE_TEXT(&call->arg[ARG_DROPOUT].value));
    /* Equal widths make the original ask for the packed weight, though it has none. */
    if (call->nni && op_has_param(call, W_Q) && !call->arg[ARG_EMBED].soft &&
        !call->arg[ARG_K_WIDTH].soft && !call->arg[ARG_V_WIDTH].soft &&
        op_int(call, ARG_K_WIDTH) == op_int(call, ARG_EMBED) &&
        op_int(call, ARG_V_WIDTH) == op_int(call, ARG_EMBED))
        return op_fail(err, SN_E_UNSUPPORTED, call, "kdim",
                       "kdim, vdim and embed_dim are all %lld while their weights are separate, "
                       "which the original refuses",
                       (long long)op_int(call, ARG_EMBED));
    if ((rc = check_inputs(call, err))) return rc;
    seq_q = attention_read(call, query);
    seq_k = attention_read(call, &call->in[IN_KEY].shape);
    y = attention_sizes_of(call, &seq_q, &seq_k);
    if ((rc = check_masks(call, &y, err))) return rc;
    if (y.n_floats < 0)
        return op_fail(err, SN_E_LIMIT, call, NULL, "query %s and key %s are too long together",
                       SHAPE_TEXT(query), SHAPE_TEXT(&call->in[IN_KEY].shape));
    call->scratch_bytes = (size_t)y.n_floats * sizeof(float);
    if ((rc = op_set_out(call, OUT_Y, SN_F32, query, err))) return rc;
    weights = query->rank == 3 ? SHAPE(y.batch, y.l, y.keys) : SHAPE(y.l, y.keys);
    if (op_bool(call, ARG_NEED_WEIGHTS))
        return op_set_out(call, OUT_WEIGHTS, SN_F32, &weights, err);
    call->out[OUT_WEIGHTS] = (sn_desc){.dtype = SN_NONE};
    return SN_OK;
}

/* The batch alone may grow: with it keys, values, and masks that have one of their own. */
static bool attention_grow(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    const int     axis = op_bool(call, ARG_BATCH_FIRST) ? 0 : 1;
    const int64_t more = in[IN_QUERY].per_sample[axis];
    sn_growth     masks = {.per_sample = {more}};

    if (call->in[IN_QUERY].shape.rank != 3) return false;
    for (size_t i = IN_QUERY; i <= IN_VALUE; i++)
        if (!growth_only(&in[i], axis) || in[i].per_sample[axis] != more) return false;
    out[OUT_Y] = in[IN_QUERY];
    if (call->out[OUT_WEIGHTS].dtype != SN_NONE) out[OUT_WEIGHTS] = masks;
    if (op_has_in(call, IN_PADDING) && !growth_equal(&in[IN_PADDING], &masks)) return false;
    if (!op_has_in(call, IN_MASK)) return true;
    masks.per_sample[0] = call->in[IN_MASK].shape.rank == 3 ? more * op_int(call, ARG_HEADS) : 0;
    return growth_equal(&in[IN_MASK], &masks);
}

static void attention_cost(const sn_call *call, sn_cost *ret_cost)
{
    const struct attention_seq   q = attention_read(call, &call->in[IN_QUERY].shape);
    const struct attention_seq   k = attention_read(call, &call->in[IN_KEY].shape);
    const struct attention_seq   v = attention_read(call, &call->in[IN_VALUE].shape);
    const struct attention_sizes y = attention_sizes_of(call, &q, &k);
    const uint64_t               e = (uint64_t)y.embed;
    const uint64_t in = (uint64_t)q.length * e + (uint64_t)k.length * (uint64_t)k.width +
                        (uint64_t)v.length * (uint64_t)v.width;
    const uint64_t mixing = 2 * (uint64_t)y.l * (uint64_t)y.keys;
    const uint64_t out = (uint64_t)y.l * e;

    op_cost(call, N_PARAMS, (uint64_t)y.batch * e * (in + mixing + out), ret_cost);
}

/* ---- forward --------------------------------------------------------------------------- */

/* A part of a parameter as a matrix. */
struct matrix {
    const float *data;
    int          stride;
};

/* Projection `third` (0 q, 1 k, 2 v). */
static struct matrix projection(const sn_io *io, int third, int64_t embed)
{
    const sn_tensor *packed = &io->param[W_IN], *own = &io->param[W_Q + third];

    if (packed->dtype != SN_NONE)
        return (struct matrix){(const float *)packed->data + third * embed * packed->stride[0],
                               (int)packed->stride[0]};
    return (struct matrix){own->data, (int)own->stride[0]};
}

/* y[rows, embed] = batch element n of input i, through its projection */
static void project(const sn_call *call, const sn_io *io, int i, int64_t n, int64_t embed, float *y)
{
    const struct attention_seq x = attention_read(call, &io->in[i].shape);
    const struct matrix        w = projection(io, i, embed);
    const sn_tensor           *bias = &io->param[W_IN_BIAS];

    kernel_gemm_nt((int)x.length, (int)embed, (int)x.width,
                   (const float *)io->in[i].data + n * x.element, (int)x.row, w.data, w.stride, y,
                   (int)embed, false);
    if (bias->dtype != SN_NONE)
        kernel_add_row((size_t)x.length, (size_t)embed, (const float *)bias->data + i * embed, y,
                       (size_t)embed);
}

/* The rows after the S given ones: bias_k or bias_v, then zeros. */
static void append_rows(const sn_io *io, int k, const struct attention_sizes *y, float *rows)
{
    const size_t row = (size_t)y->embed;
    float       *end = rows + (size_t)y->s * row;

    if (io->param[k].dtype != SN_NONE) {
        memcpy(end, io->param[k].data, row * sizeof *end);
        end += row;
    }
    memset(end, 0, (size_t)(rows + (size_t)y->keys * row - end) * sizeof *end);
}

/* What a mask adds to a score. */
static float added(const sn_tensor *mask, int64_t i, bool hides)
{
    if (mask->dtype != SN_F32) return ((const uint8_t *)mask->data)[i] ? -INFINITY : 0.0f;
    if (hides) return ((const float *)mask->data)[i] != 0.0f ? -INFINITY : 0.0f;
    return ((const float *)mask->data)[i];
}

void attention_mask(const sn_call *call, const sn_io *io, const struct attention_sizes *y,
                    int64_t n, int64_t h, int64_t from, int64_t to, float *m)
{
    const sn_tensor *mask = op_has_in(call, IN_MASK) ? &io->in[IN_MASK] : NULL;
    const sn_tensor *padding = op_has_in(call, IN_PADDING) ? &io->in[IN_PADDING] : NULL;
    /* The original joins the two masks first, as bools if the one for queries is. */
    const bool    hides = call->nni && mask && mask->dtype != SN_F32;
    const int64_t first = mask && mask->shape.rank == 3 ? (n * y->heads + h) * y->l : 0;

    m += from * y->keys;
    for (int64_t i = from; i < to; i++, m += y->keys) {
        for (int64_t j = 0; j < y->s; j++) {
            float sum = 0.0f;

            if (mask) sum += added(mask, (first + i) * y->s + j, false);
            if (padding) sum += added(padding, n * y->s + j, hides);
            m[j] = sum;
        }
        for (int64_t j = y->s; j < y->keys; j++)
            m[j] = 0.0f;
    }
}

/* The heads of batch element n, from q, k, v in scratch to their mixture, which takes the
 * place of q. */
static void run_heads(const sn_call *call, const sn_io *io, const struct attention_sizes *y,
                      int64_t n)
{
    float        *scratch = io->scratch, *q = scratch + y->q, *p = scratch + y->p;
    float        *m = scratch + y->m, *mean = NULL;
    const bool    masked = op_has_in(call, IN_MASK) || op_has_in(call, IN_PADDING);
    const bool    own_masks = op_has_in(call, IN_MASK) && io->in[IN_MASK].shape.rank == 3;
    const int     d = (int)(y->embed / y->heads), e = (int)y->embed;
    const int64_t n_scores = y->l * y->keys;

    if (op_bool(call, ARG_NEED_WEIGHTS)) {
        mean = (float *)io->out[OUT_WEIGHTS].data + n * n_scores;
        memset(mean, 0, (size_t)n_scores * sizeof *mean);
    }
    for (int64_t h = 0; h < y->heads; h++) {
        if (masked && (h == 0 || own_masks)) attention_mask(call, io, y, n, h, 0, y->l, m);
        kernel_attention((int)y->l, (int)y->keys, d, q + h * d, e, scratch + y->k + h * d, e,
                         scratch + y->v + h * d, e, masked ? m : NULL, p, q + h * d, e);
        for (int64_t i = 0; mean && i < n_scores; i++)
            mean[i] += p[i];
    }
    for (int64_t i = 0; mean && i < n_scores; i++)
        mean[i] /= (float)y->heads;
}

static void attention_forward(const sn_call *call, const sn_io *io)
{
    const struct attention_seq   query = attention_read(call, &io->in[IN_QUERY].shape);
    const struct attention_seq   key = attention_read(call, &io->in[IN_KEY].shape);
    const struct attention_sizes y = attention_sizes_of(call, &query, &key);
    const sn_tensor             *w = &io->param[W_OUT], *bias = &io->param[W_OUT_BIAS];
    const float                  scale = sqrtf((float)(y.embed / y.heads));
    float                       *scratch = io->scratch;
    const int                    e = (int)y.embed;

    for (int64_t n = 0; n < y.batch; n++) {
        float *out = (float *)io->out[OUT_Y].data + n * query.element;

        project(call, io, IN_QUERY, n, y.embed, scratch + y.q);
        project(call, io, IN_KEY, n, y.embed, scratch + y.k);
        project(call, io, IN_VALUE, n, y.embed, scratch + y.v);
        for (int64_t i = 0; i < y.l * y.embed; i++)
            scratch[y.q + i] /= scale;
        append_rows(io, W_BIAS_K, &y, scratch + y.k);
        append_rows(io, W_BIAS_V, &y, scratch + y.v);
        run_heads(call, io, &y, n);
        kernel_gemm_nt((int)y.l, e, e, scratch + y.q, e, w->data, (int)w->stride[0], out,
                       (int)query.row, false);
        if (bias->dtype != SN_NONE)
            kernel_add_row((size_t)y.l, (size_t)e, bias->data, out, (size_t)query.row);
    }
}

static const sn_variant attention_variants[] = {
    {
        .size = sizeof(sn_variant),
        .name = "packed",
        .layout = SN_LAYOUT_ROWS,
        .fuses = SN_FUSES_RESIDUAL | SN_FUSES_ACT | SN_FUSES_IN_PLACE,
        .fits = attention_fits_packed,
        .packed_bytes = attention_bytes_packed,
        .pack = attention_pack,
        .scratch_bytes = attention_scratch_packed,
        .forward = attention_forward_packed,
    },
    {0},
};

/* An exported network has no choices and decides between packed and separate weights by its plain
 * values; where these say packed but the supernet has separate ones, the export says so. */
static sn_status attention_export_args(const sn_call *call, sn_value *arg_out, sn_arena *mem,
                                       sn_error *err)
{
    static const int sizes[] = {ARG_EMBED, ARG_HEADS, ARG_KDIM, ARG_VDIM, -1};

    (void)mem;
    (void)err;
    op_export_sizes(call, sizes, arg_out);
    arg_out[ARG_SEPARATE] =
        (sn_value){.kind = SN_KIND_BOOL,
                   .as.boolean = op_has_param(call, W_Q) &&
                                 op_int(call, ARG_K_WIDTH) == op_int(call, ARG_EMBED) &&
                                 op_int(call, ARG_V_WIDTH) == op_int(call, ARG_EMBED)};
    return SN_OK;
}

/* Otherwise axis 0 is that of the sequences. */
static bool attention_samples(const sn_call *call)
{
    return call->in[IN_QUERY].shape.rank == 3 && op_bool(call, ARG_BATCH_FIRST);
}

const sn_op sn_op_attention = {
    .size = sizeof(sn_op),
    .abi = SN_OP_ABI,
    .type = "MultiheadAttention",
    .flags = SN_OP_SAMPLES | SN_OP_STEADY_SCRATCH,
    .args = attention_args,
    .params = attention_params,
    .min_in = 3,
    .max_in = 5,
    .in_names = attention_in,
    .n_out = 2,
    .out_names = attention_out,
    .check = attention_check,
    .shape = attention_shape,
    .slice = attention_slice,
    .infer = attention_infer,
    .cost = attention_cost,
    .forward = attention_forward,
    .export_args = attention_export_args,
    .variants = attention_variants,
    .samples = attention_samples,
    .grow = attention_grow,
};
