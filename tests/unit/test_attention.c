/* MultiheadAttention: the kernel against its twin; the operator against attention written
 * out here from its definition, over every combination of its options; what is sliced;
 * which parameters exist; refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/attention.h"
#include "op/op_internal.h"
#include "support/op_call.h"
#include "support/threads.h"

extern const sn_op sn_op_attention;

enum { W_IN, W_Q, W_K, W_V, W_IN_BIAS, W_BIAS_K, W_BIAS_V, W_OUT, W_OUT_BIAS, N_PARAMS };
enum { QUERY, KEY, VALUE, PADDING, MASK, N_IN };

/* ---- the kernel and its twin ------------------------------------------------------------------
 */

static void kernel_agrees_with_its_twin(void **state)
{
    enum { LD = 13, MOST = 20 * LD };
    static float     q[MOST], k[MOST], v[MOST], bias[400], p[400], y[MOST], want_p[400], want[MOST];
    static const int length[] = {0, 1, 2, 5, 16, 19};

    (void)state;
    op_call_fill(q, MOST, 1);
    op_call_fill(k, MOST, 2);
    op_call_fill(v, MOST, 3);
    op_call_fill(bias, 400, 4);
    for (int i = 0; i < 400; i += 7)
        bias[i] = -INFINITY;
    for (size_t l = 0; l < COUNT(length); l++)
        for (size_t s = 0; s < COUNT(length); s++)
            for (int d = 1; d <= 8; d += 3)
                for (int masked = 0; masked < 2; masked++) {
                    const float *b = masked ? bias : NULL;
                    const int    nl = length[l], ns = length[s];

                    memset(y, 0, sizeof y);
                    memset(want, 0, sizeof want);
                    kernel_attention(nl, ns, d, q, LD, k, LD, v, LD - 1, b, p, y, LD);
                    ref_attention(nl, ns, d, q, LD, k, LD, v, LD - 1, b, want_p, want, LD);
                    for (int i = 0; i < nl * ns; i++)
                        assert_true(fabsf(p[i] - want_p[i]) < 1e-6f ||
                                    (isnan(p[i]) && isnan(want_p[i])));
                    for (int i = 0; i < MOST; i++)
                        assert_true(fabsf(y[i] - want[i]) < 1e-6f ||
                                    (isnan(y[i]) && isnan(want[i])));
                }
}

/* ---- attention from its definition ------------------------------------------------------------
 */

enum { MAX_LENGTH = 8, MAX_WIDTH = 8 };

/* One configuration and its inputs. Sizes in the order of PyTorch's documentation. */
struct setting {
    int  l, s, n, heads;
    int  e, kdim, vdim;             /* live widths */
    int  max_e, max_kdim, max_vdim; /* of the weights */
    bool separate, bias, bias_kv, zero, batch_first, batched, nni;
    char padding; /* 0, 'b'ool, 'u'int8 or 'f'loat */
    char mask;    /* 0, 'b'ool, 'u'int8 or 'f'loat of two axes; in capitals: of three */
};

struct inputs {
    float         query[512], key[512], value[512];
    unsigned char padding[64], mask[1024];
    float         padding_f[64], mask_f[1024];
    sn_tensor     tensor[N_IN];
    sn_desc       desc[N_IN];
};

static void connect(struct inputs *in, int i, sn_dtype dtype, sn_shape shape, void *data)
{
    in->tensor[i] = sn_tensor_dense(dtype, &shape, data);
    in->desc[i] = (sn_desc){dtype, shape};
}

static sn_shape seq_shape(const struct setting *t, int length, int width)
{
    if (!t->batched) return SHAPE(length, width);
    return t->batch_first ? SHAPE(t->n, length, width) : SHAPE(length, t->n, width);
}

static void fill_inputs(const struct setting *t, struct inputs *in)
{
    const sn_dtype padding_type = t->padding == 'u' ? SN_U8 : t->padding == 'b' ? SN_BOOL : SN_F32;
    const sn_dtype mask_type = t->mask == 'u' || t->mask == 'U'   ? SN_U8
                               : t->mask == 'b' || t->mask == 'B' ? SN_BOOL
                                                                  : SN_F32;
    const bool     mask3 = strchr("BUF", t->mask) && t->mask;

    memset(in, 0, sizeof *in);
    op_call_fill(in->query, 512, 11);
    op_call_fill(in->key, 512, 12);
    op_call_fill(in->value, 512, 13);
    op_call_fill(in->padding_f, 64, 14);
    op_call_fill(in->mask_f, 1024, 15);
    for (int i = 0; i < 64; i++)
        in->padding[i] = in->padding_f[i] > 0.6f;
    for (int i = 0; i < 64; i++)
        if (in->padding_f[i] < 0.3f) in->padding_f[i] = 0.0f;
    for (int i = 0; i < 1024; i++)
        in->mask[i] = in->mask_f[i] > 0.6f;
    connect(in, QUERY, SN_F32, seq_shape(t, t->l, t->e), in->query);
    connect(in, KEY, SN_F32, seq_shape(t, t->s, t->kdim), in->key);
    connect(in, VALUE, SN_F32, seq_shape(t, t->s, t->vdim), in->value);
    if (t->padding)
        connect(in, PADDING, padding_type, t->batched ? SHAPE(t->n, t->s) : SHAPE(t->s),
                t->padding == 'f' ? (void *)in->padding_f : (void *)in->padding);
    if (t->mask)
        connect(in, MASK, mask_type, mask3 ? SHAPE(t->n * t->heads, t->l, t->s) : SHAPE(t->l, t->s),
                mask_type == SN_F32 ? (void *)in->mask_f : (void *)in->mask);
}

/* Element [l, n, w] of query, key or value. */
static double seq_at(const struct setting *t, const float *x, int length, int width, int l, int n,
                     int w)
{
    return t->batch_first ? x[(n * length + l) * width + w] : x[(l * t->n + n) * width + w];
}

/* Element `c` of row `l` of query (0), key (1) or value (2), projected. */
static double projected(const struct setting *t, const struct op_call *c, const struct inputs *in,
                        int which, int l, int n, int col)
{
    const float *const x[] = {in->query, in->key, in->value};
    const int          width[] = {t->e, t->kdim, t->vdim};
    const int          max_width[] = {t->max_e, t->max_kdim, t->max_vdim};
    const int          length = which ? t->s : t->l;
    const int          stride = t->separate ? max_width[which] : t->max_e;
    const float       *w = t->separate ? c->whole[W_Q + which].data
                                       : (float *)c->whole[W_IN].data + which * t->max_e * t->max_e;
    const float       *bias = c->whole[W_IN_BIAS].data;
    double             sum = bias ? bias[which * t->max_e + col] : 0.0;

    if (which && l == t->s && t->bias_kv)
        return ((const float *)c->whole[which == 1 ? W_BIAS_K : W_BIAS_V].data)[col];
    if (which && l >= t->s) return 0.0;
    for (int i = 0; i < width[which]; i++)
        sum += w[col * stride + i] * seq_at(t, x[which], length, width[which], l, n, i);
    return sum;
}

/* What the masks add to the score of key `s` for query `l`. */
static double masked(const struct setting *t, const struct inputs *in, int n, int h, int l, int s)
{
    const bool mask3 = strchr("BUF", t->mask) && t->mask;
    const bool adds = t->mask == 'f' || t->mask == 'F';
    const int  at = ((mask3 ? (n * t->heads + h) * t->l : 0) + l) * t->s + s;
    const int  key = n * t->s + s;
    double     sum = 0.0;

    if (s >= t->s) return 0.0;
    if (adds) sum += in->mask_f[at];
    if (t->mask && !adds && in->mask[at]) sum -= INFINITY;
    if (t->padding && t->padding != 'f' && in->padding[key]) sum -= INFINITY;
    if (t->padding != 'f') return sum;
    if (!t->nni || !t->mask || adds) return sum + in->padding_f[key];
    return in->padding_f[key] != 0.0f ? -INFINITY : sum; /* the original joins them as bools */
}

/* weights[h][s] of query l of batch element n */
static void weights_of(const struct setting *t, const struct op_call *c, const struct inputs *in,
                       int n, int l, int keys, double weights[][MAX_LENGTH])
{
    const int d = t->e / t->heads;

    for (int h = 0; h < t->heads; h++) {
        double sum = 0.0, max = -INFINITY;

        for (int s = 0; s < keys; s++) {
            double score = 0.0;

            for (int i = h * d; i < (h + 1) * d; i++)
                score += projected(t, c, in, QUERY, l, n, i) * projected(t, c, in, KEY, s, n, i);
            weights[h][s] = score / sqrt(d) + masked(t, in, n, h, l, s);
            max = fmax(max, weights[h][s]);
        }
        for (int s = 0; s < keys; s++)
            sum += weights[h][s] = exp(weights[h][s] - max);
        for (int s = 0; s < keys; s++)
            weights[h][s] /= sum;
    }
}

static void expect(const char *what, double got, double want, int n, int l, int i)
{
    if (!(fabs(got - want) < 1e-5 || (isnan(got) && isnan(want))))
        fail_msg("%s of query %d of batch element %d, [%d]: %g, not %g", what, l, n, i, got, want);
}

static void check_against_definition(const struct setting *t, const struct op_call *c,
                                     const struct inputs *in)
{
    const int    keys = t->s + t->bias_kv + t->zero, d = t->e / t->heads;
    const float *y = c->result[0].data, *mean = c->result[1].data;
    const float *w_out = c->whole[W_OUT].data, *b_out = c->whole[W_OUT_BIAS].data;
    double       weights[MAX_WIDTH][MAX_LENGTH], mixed[MAX_WIDTH];

    for (int n = 0; n < t->n; n++)
        for (int l = 0; l < t->l; l++) {
            weights_of(t, c, in, n, l, keys, weights);
            for (int s = 0; s < keys; s++) {
                double want = 0.0;

                for (int h = 0; h < t->heads; h++)
                    want += weights[h][s] / t->heads;
                expect("weights", mean[(n * t->l + l) * keys + s], want, n, l, s);
            }
            for (int i = 0; i < t->e; i++) {
                mixed[i] = 0.0;
                for (int s = 0; s < keys; s++)
                    mixed[i] += weights[i / d][s] * projected(t, c, in, VALUE, s, n, i);
            }
            for (int o = 0; o < t->e; o++) {
                double want = b_out ? b_out[o] : 0.0;

                for (int i = 0; i < t->e; i++)
                    want += mixed[i] * w_out[o * t->max_e + i];
                expect("output", seq_at(t, y, t->l, t->e, l, n, o), want, n, l, o);
            }
        }
}

/* The variant over packed weights gives the same, then adds the residual and what is not above 0
 * becomes 0. */
static void check_packed(struct op_call *c, const struct inputs *in)
{
    const float      *plain = c->result[0].data;
    const size_t      n = (size_t)sn_shape_count(&c->out[0].shape);
    float             added[512];
    const sn_tensor   residual = sn_tensor_dense(SN_F32, &c->out[0].shape, added);
    const sn_epilogue epilogue = {.residual = &residual, .act = SN_ACT_RELU};

    op_call_fill(added, 512, 16);
    c->call.n_out = 1;
    op_call_run_variant(c, 0, in->tensor, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        expect("packed", ((const float *)c->result[0].data)[i], plain[i], 0, 0, (int)i);
    op_call_run_variant(c, 0, in->tensor, &epilogue, NULL);
    for (size_t i = 0; i < n; i++) {
        const float want = plain[i] + added[i];

        expect("fused", ((const float *)c->result[0].data)[i], want < 0 ? 0 : want, 0, 0, (int)i);
    }
    c->call.n_out = 2;
}

/* "embed_dim = 4 of 4, 8", or without choice if both are equal */
static const char *size_arg(char *buf, size_t n_bytes, const char *name, int live, int max)
{
    if (live == max)
        snprintf(buf, n_bytes, "%s = %d", name, live);
    else
        snprintf(buf, n_bytes, "%s = %d of %d, %d", name, live, live, max);
    return buf;
}

static void run(const struct setting *t)
{
    static struct inputs in;
    struct op_call       c;
    sn_error             err = {0};
    char                 args[512], e[32], k[32], v[32];

    fill_inputs(t, &in);
    size_arg(k, sizeof k, "; kdim", t->kdim, t->max_kdim);
    size_arg(v, sizeof v, "; vdim", t->vdim, t->max_vdim);
    snprintf(args, sizeof args,
             "%s%s%s; num_heads = %d; bias = %s; add_bias_kv = %s; add_zero_attn = %s; "
             "batch_first = %s",
             size_arg(e, sizeof e, "embed_dim", t->e, t->max_e), t->separate ? k : "",
             t->separate ? v : "", t->heads, t->bias ? "true" : "false",
             t->bias_kv ? "true" : "false", t->zero ? "true" : "false",
             t->batch_first ? "true" : "false");
    op_call_init(&c, &sn_op_attention, args, t->nni, SN_EVAL);
    if (op_call_load(&c, &err) || op_call_infer_many(&c, in.desc, N_IN, &err))
        fail_msg("%s: %s: %s", args, err.where, err.text);
    assert_true(sn_shape_equal(&c.out[0].shape, &in.desc[QUERY].shape));
    op_call_run_many(&c, in.tensor);
    check_against_definition(t, &c, &in);
    check_packed(&c, &in);
    op_call_fini(&c);
}

static const struct {
    const char    *sentence;
    struct setting t;
} settings[] = {
    {"packed weights", {.e = 8, .max_e = 8, .bias = true}},
    {"packed weights of a narrower choice", {.e = 4, .max_e = 8, .bias = true}},
    {"the same without biases", {.e = 4, .max_e = 8}},
    {"separate weights",
     {.e = 8, .max_e = 8, .kdim = 5, .vdim = 3, .separate = true, .bias = true}},
    {"separate weights of a narrower choice",
     {.e = 4, .max_e = 8, .kdim = 3, .max_kdim = 5, .vdim = 2, .max_vdim = 7, .separate = true}},
    {"separate weights of equal widths",
     {.e = 4, .max_e = 8, .kdim = 4, .max_kdim = 8, .vdim = 4, .max_vdim = 8, .separate = true}},
    {"appended keys", {.e = 4, .max_e = 8, .bias = true, .bias_kv = true}},
    {"a zero key", {.e = 4, .max_e = 8, .bias = true, .zero = true}},
    {"both, with separate weights",
     {.e = 4, .max_e = 8, .kdim = 3, .vdim = 7, .separate = true, .bias_kv = true, .zero = true}},
    {"nni mode", {.e = 4, .max_e = 8, .bias = true, .nni = true}},
};

/* Every mask with every other, in every order of the axes. */
static void agrees_with_the_definition(void **state)
{
    static const char padding[] = {0, 'b', 'u', 'f'}, mask[] = {0, 'b', 'u', 'f', 'B', 'U', 'F'};
    static const int  size[][4] = {{3, 4, 2, 2}, {1, 1, 1, 1}, {5, 2, 3, 4}, {2, 6, 1, 2}};
    struct setting    t = *(const struct setting *)*state;

    if (!t.kdim) t.kdim = t.e;
    if (!t.vdim) t.vdim = t.e;
    if (!t.max_kdim) t.max_kdim = t.separate ? t.kdim : t.max_e;
    if (!t.max_vdim) t.max_vdim = t.separate ? t.vdim : t.max_e;
    for (size_t p = 0; p < COUNT(padding); p++)
        for (size_t m = 0; m < COUNT(mask); m++)
            for (int order = 0; order < 4; order++)
                for (size_t s = 0; s < COUNT(size); s++) {
                    t.padding = padding[p];
                    t.mask = mask[m];
                    t.batched = order < 2;
                    t.batch_first = order % 2;
                    t.l = size[s][0];
                    t.s = size[s][1];
                    t.n = t.batched ? size[s][2] : 1;
                    t.heads = size[s][3];
                    /* What the original refuses: see the refusals. */
                    if (t.nni && ((!t.batched && t.batch_first) ||
                                  (t.padding == 'f' && (t.mask == 'f' || t.mask == 'F')) ||
                                  t.padding == 'u'))
                        continue;
                    run(&t);
                }
}

static void a_row_that_is_masked_everywhere_is_nan(void **state)
{
    static const unsigned char hide[] = {1, 1, 0, 1};
    struct op_call             c;
    struct inputs              in;
    const struct setting       t = {.l = 2,
                                    .s = 2,
                                    .n = 1,
                                    .e = 4,
                                    .kdim = 4,
                                    .vdim = 4,
                                    .heads = 2,
                                    .batched = true,
                                    .mask = 'b'};

    (void)state;
    fill_inputs(&t, &in);
    memcpy(in.mask, hide, sizeof hide);
    for (int packed = 0; packed < 2; packed++) {
        op_call_init(&c, &sn_op_attention,
                     packed ? "embed_dim = 4; num_heads = 2; need_weights = false"
                            : "embed_dim = 4; num_heads = 2",
                     false, SN_EVAL);
        assert_int_equal(op_call_load(&c, NULL), SN_OK);
        assert_int_equal(op_call_infer_many(&c, in.desc, N_IN, NULL), SN_OK);
        if (packed)
            op_call_run_variant(&c, 0, in.tensor, NULL, NULL);
        else
            op_call_run_many(&c, in.tensor);
        for (int i = 0; i < 4; i++) {
            assert_true(isnan(((const float *)c.result[0].data)[i]));
            assert_true(isfinite(((const float *)c.result[0].data)[4 + i]));
        }
        op_call_fini(&c);
    }
}

/* ---- threads ----------------------------------------------------------------------------------
 */

enum { MANY_L = 37, MANY_S = 61, MANY_N = 2, MANY_E = 96 };

/* A row is a sentence; masks as in struct setting. */
static const struct many {
    const char *sentence, *args;
    char        mask;
    bool        batch_first;
} manies[] = {
    {"threads change no bit", "embed_dim = 96 of 48, 96, 120; num_heads = 3", 0, false},
    {"threads change no bit, a mask for every head, the batch first",
     "embed_dim = 96 of 48, 96, 120; num_heads = 6; batch_first = true", 'F', true},
    {"threads change no bit, appended keys",
     "embed_dim = 96; num_heads = 2; add_bias_kv = true; add_zero_attn = true", 'f', false},
    {"threads change no bit, separate weights",
     "embed_dim = 96 of 96, 104; num_heads = 3; kdim = 96; vdim = 96", 0, false},
};

static sn_shape many_shape(const struct many *t, int length)
{
    return t->batch_first ? SHAPE(MANY_N, length, MANY_E) : SHAPE(length, MANY_N, MANY_E);
}

static void threads_change_no_bit(void **state)
{
    enum { HEADS = 6, N_MASK = MANY_N * HEADS * MANY_L * MANY_S };
    static float       query[MANY_L * MANY_N * MANY_E], key[MANY_S * MANY_N * MANY_E], mask[N_MASK];
    const struct many *t = *state;
    const sn_shape     shape[] = {many_shape(t, MANY_L), many_shape(t, MANY_S),
                              t->mask == 'F' ? SHAPE(MANY_N * HEADS, MANY_L, MANY_S)
                                                 : SHAPE(MANY_L, MANY_S)};
    float *const       data[] = {query, key, key, NULL, mask};
    const size_t       n = (size_t)sn_shape_count(&shape[0]);
    sn_tensor          in[N_IN] = {{0}};
    sn_desc            desc[N_IN] = {{0}};
    const float       *plain, *one;
    struct op_call     c;

    op_call_fill(query, (int64_t)COUNT(query), 1);
    op_call_fill(key, (int64_t)COUNT(key), 2);
    op_call_fill(mask, N_MASK, 3);
    for (int i = 0; i < N_IN; i++) {
        if (i == PADDING || (i == MASK && !t->mask)) continue;
        desc[i] = (sn_desc){SN_F32, shape[i == MASK ? 2 : i > 0]};
        in[i] = sn_tensor_dense(SN_F32, &desc[i].shape, data[i]);
    }
    op_call_init(&c, &sn_op_attention, t->args, false, SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    op_call_temper(&c);
    assert_int_equal(op_call_infer_many(&c, desc, N_IN, NULL), SN_OK);
    op_call_run_many(&c, in);
    plain = c.result[0].data;
    c.call.n_out = 1;
    op_call_run_variant(&c, 0, in, NULL, NULL);
    one = c.result[0].data;
    for (size_t i = 0; i < n; i++)
        expect("packed", one[i], plain[i], 0, 0, (int)i);
    for (c.call.n_threads = 2; c.call.n_threads <= 3; c.call.n_threads++) {
        const sn_parallel threads = threads_of(c.call.n_threads);
        const int         before = threads_parts();

        op_call_run_variant(&c, 0, in, NULL, &threads);
        assert_memory_equal(c.result[0].data, one, n * sizeof *one);
        assert_true(threads_parts() > before);
    }
    op_call_fini(&c);
}

/* Who wants the weights of attention gets them from the plain operator. */
static void packed_attention_has_no_weights(void **state)
{
    const sn_desc in[] = {
        {SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(3, 2, 4)}};
    struct op_call c;

    (void)state;
    op_call_init(&c, &sn_op_attention, "embed_dim = 4; num_heads = 2", false, SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    assert_int_equal(op_call_infer_many(&c, in, 3, NULL), SN_OK);
    assert_false(c.op->variants[0].fits(&c.call));
    c.call.n_out = 1;
    assert_true(c.op->variants[0].fits(&c.call));
    op_call_fini(&c);
}

/* ---- plans rely on it --------------------------------------------------------------------------
 */

static void scratch_memory_does_not_grow_with_the_batch(void **state)
{
    size_t bytes[2], packed[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        const int     n = i ? 64 : 1;
        const sn_desc in[] = {
            {SN_F32, SHAPE(n, 7, 8)}, {SN_F32, SHAPE(n, 5, 8)}, {SN_F32, SHAPE(n, 5, 8)}};
        struct op_call c;

        op_call_init(&c, &sn_op_attention, "embed_dim = 8; num_heads = 2; batch_first = true",
                     false, SN_EVAL);
        assert_int_equal(op_call_load(&c, NULL), SN_OK);
        assert_int_equal(op_call_infer_many(&c, in, 3, NULL), SN_OK);
        bytes[i] = c.call.scratch_bytes;
        packed[i] = c.op->variants[0].scratch_bytes(&c.call);
        op_call_fini(&c);
    }
    assert_true(bytes[0] > 0);
    assert_int_equal(bytes[0], bytes[1]);
    assert_int_equal(packed[0], packed[1]);
}

static void weights_that_nobody_needs_are_absent(void **state)
{
    const sn_desc in[] = {
        {SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(3, 2, 4)}};
    float          x[24];
    sn_tensor      t[3];
    struct op_call c;

    (void)state;
    op_call_fill(x, 24, 1);
    for (int i = 0; i < 3; i++)
        t[i] = sn_tensor_dense(SN_F32, &in[i].shape, x);
    op_call_init(&c, &sn_op_attention, "embed_dim = 4; num_heads = 2; need_weights = false", false,
                 SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    assert_int_equal(op_call_infer_many(&c, in, 3, NULL), SN_OK);
    assert_int_equal(c.out[0].dtype, SN_F32);
    assert_int_equal(c.out[1].dtype, SN_NONE);
    op_call_run_many(&c, t);
    assert_true(isfinite(((const float *)c.result[0].data)[23]));
    op_call_fini(&c);
}

static void cost_counts_projections_and_products(void **state)
{
    const sn_desc in[] = {
        {SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(5, 2, 6)}, {SN_F32, SHAPE(5, 2, 7)}};
    struct op_call c;
    sn_cost        cost;

    (void)state;
    op_call_init(&c, &sn_op_attention,
                 "embed_dim = 4 of 4, 8; num_heads = 2; kdim = 6; vdim = 7; add_zero_attn = true",
                 false, SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    assert_int_equal(op_call_infer_many(&c, in, 3, NULL), SN_OK);
    c.op->cost(&c.call, &cost);
    assert_int_equal(cost.macs,
                     2 * (3 * 4 * 4 + 5 * 6 * 4 + 5 * 7 * 4 + 2 * 3 * 6 * 4 + 3 * 4 * 4));
    assert_int_equal(cost.params, 4 * 4 + 4 * 6 + 4 * 7 + 12 + 4 * 4 + 4);
    op_call_fini(&c);
}

static void the_largest_choice_needs_no_copies(void **state)
{
    struct op_call c;

    (void)state;
    op_call_init(&c, &sn_op_attention, "embed_dim = 8 of 4, 8; num_heads = 2", false, SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    for (size_t k = 0; k < N_PARAMS; k++) {
        sn_slice s;

        if (c.whole[k].dtype == SN_NONE) continue;
        assert_int_equal(c.op->slice(&c.call, k, 0, &c.arg[0].value, &s, NULL), SN_OK);
        for (int axis = 0; axis < s.rank; axis++) {
            assert_int_equal(s.axis[axis].n, 1);
            assert_int_equal(s.axis[axis].piece[0].stop, c.whole[k].shape.dim[axis]);
        }
    }
    op_call_fini(&c);
}

/* ---- which parameters exist ------------------------------------------------------ */

/* clang-format off */
static const struct existence {
    const char *sentence, *args;
    bool        packed; /* or separate */
} existences[] = {
    {"no kdim: packed", "embed_dim = 4 of 4, 8; num_heads = 2", true},
    {"a fixed kdim as large as a fixed embed_dim: packed",
     "embed_dim = 8; num_heads = 2; kdim = 8; vdim = 8", true},
    {"the same with elastic heads: packed",
     "embed_dim = 8; num_heads = 2 of 2, 4; kdim = 8; vdim = 8", true},
    {"another kdim: separate", "embed_dim = 8; num_heads = 2; kdim = 6", false},
    {"another vdim: separate", "embed_dim = 8; num_heads = 2; vdim = 6", false},
    {"a kdim beside an elastic embed_dim: separate",
     "embed_dim = 4 of 4, 8; num_heads = 2; kdim = 8", false},
    {"an elastic vdim: separate", "embed_dim = 8; num_heads = 2; vdim = 4 of 4, 8", false},
    {"asked for: separate", "embed_dim = 8; num_heads = 2; use_separate_proj_weight = true", false},
};
/* clang-format on */

static void existence(void **state)
{
    const struct existence *r = *state;
    struct op_call          c;

    op_call_init(&c, &sn_op_attention, r->args, false, SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    assert_int_equal(c.whole[W_IN].dtype, r->packed ? SN_F32 : SN_NONE);
    for (int k = W_Q; k <= W_V; k++)
        assert_int_equal(c.whole[k].dtype, r->packed ? SN_NONE : SN_F32);
    op_call_fini(&c);
}

/* Alone, equal widths would mean packed weights: the export must say that they are not. */
static void export_keeps_separate_weights_separate(void **state)
{
    static const struct {
        const char *args;
        int         e, kdim;
        bool        want;
    } row[] = {
        {"embed_dim = 4 of 4, 8; num_heads = 2; kdim = 4 of 4, 8; vdim = 4", 4, 4, true},
        {"embed_dim = 4 of 4, 8; num_heads = 2; kdim = 6 of 4, 6; vdim = 4", 4, 6, false},
        {"embed_dim = 4 of 4, 8; num_heads = 2", 4, 4, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(row); i++) {
        const sn_desc  in[] = {{SN_F32, SHAPE(3, 2, row[i].e)},
                               {SN_F32, SHAPE(3, 2, row[i].kdim)},
                               {SN_F32, SHAPE(3, 2, 4)}};
        sn_value       v[SN_MAX_ARGS] = {{0}};
        struct op_call c;
        size_t         a = 0;

        op_call_init(&c, &sn_op_attention, row[i].args, false, SN_EVAL);
        assert_int_equal(op_call_load(&c, NULL), SN_OK);
        assert_int_equal(op_call_infer_many(&c, in, 3, NULL), SN_OK);
        while (strcmp(c.op->args[a].name, "use_separate_proj_weight"))
            a++;
        assert_int_equal(c.op->export_args(&c.call, v, c.mem, NULL), SN_OK);
        assert_int_equal(v[a].kind, SN_KIND_BOOL);
        assert_int_equal(v[a].as.boolean, row[i].want);
        assert_int_equal(v[0].as.integer, 4);
        op_call_fini(&c);
    }
}

/* ---- refusals -------------------------------------------------------------------- */

/* clang-format off */
static const struct refusal {
    const char *sentence, *args;
    bool        nni;
    sn_mode     mode;
    sn_desc     in[N_IN];
    sn_status   code;
    const char *where, *text;
} refusals[] = {
    {"heads that do not divide", "embed_dim = 6; num_heads = 4", false, SN_EVAL, {{0}},
     SN_E_INVALID, "op.embed_dim", "embed_dim 6 is not divisible by num_heads 4"},
    {"largest heads that do not divide, in nni mode",
     "embed_dim = 6 of 4, 6; num_heads = 2 of 2, 4", true, SN_EVAL, {{0}}, SN_E_INVALID,
     "op.embed_dim", "embed_dim 6 is not divisible by num_heads 4"},
    {"sampled heads that do not divide", "embed_dim = 6 of 4, 6; num_heads = 4 of 2, 4", false,
     SN_EVAL, {{SN_F32, SHAPE(3, 2, 6)}, {SN_F32, SHAPE(3, 2, 6)}, {SN_F32, SHAPE(3, 2, 6)}},
     SN_E_INVALID, "op.num_heads", "embed_dim 6 is not divisible by num_heads 4"},
    {"no heads", "embed_dim = 6; num_heads = 0", false, SN_EVAL, {{0}}, SN_E_INVALID,
     "op.num_heads", "0 is too small: it must be at least 1"},
    {"no probability", "embed_dim = 6; num_heads = 2; dropout = 2.0", false, SN_EVAL, {{0}},
     SN_E_INVALID, "op.dropout", "2.0 is no probability between 0 and 1"},
    {"a kdim that is sometimes null", "embed_dim = 4; num_heads = 2; kdim = 4 of null, 4", false,
     SN_EVAL, {{0}}, SN_E_INVALID, "op.kdim",
     "None is no size: the candidates must all be integers"},
    {"a size that no kernel can count", "embed_dim = 4294967296; num_heads = 2", false, SN_EVAL,
     {{0}}, SN_E_LIMIT, "op.embed_dim", "4294967296 is too large, at most 715827882"},
    {"a query of another width", "embed_dim = 4; num_heads = 2", false, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 8)}, {SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(3, 2, 4)}}, SN_E_SHAPE,
     "op.embed_dim", "the last axis of query [3, 2, 8] is not embed_dim, 4"},
    {"a key of another width", "embed_dim = 4; num_heads = 2", false, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(3, 2, 5)}, {SN_F32, SHAPE(3, 2, 4)}}, SN_E_SHAPE,
     "op.kdim", "the last axis of key [3, 2, 5] is not kdim, 4"},
    {"a value of another width", "embed_dim = 4; num_heads = 2", false, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(3, 2, 5)}}, SN_E_SHAPE,
     "op.vdim", "the last axis of value [3, 2, 5] is not vdim, 4"},
    {"a value longer than the key", "embed_dim = 4; num_heads = 2", false, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)}, {SN_F32, SHAPE(5, 2, 4)}}, SN_E_SHAPE,
     "op", "key [4, 2, 4] and value [5, 2, 4] differ in length or batch"},
    {"a key of another batch", "embed_dim = 4; num_heads = 2", false, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(4, 3, 4)}, {SN_F32, SHAPE(4, 3, 4)}}, SN_E_SHAPE,
     "op", "query [3, 2, 4] and key [4, 3, 4] differ in batch"},
    {"a key without a batch", "embed_dim = 4; num_heads = 2", false, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(4, 4)}, {SN_F32, SHAPE(4, 4)}}, SN_E_SHAPE, "op",
     "query [3, 2, 4], key [4, 4] and value [4, 4] must all have 3 axes, or 2 without a batch"},
    {"no value", "embed_dim = 4; num_heads = 2", false, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(3, 2, 4)}}, SN_E_SHAPE, "op",
     "input value is not connected"},
    {"a key of integers", "embed_dim = 4; num_heads = 2", false, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_I64, SHAPE(3, 2, 4)}}, SN_E_DTYPE, "op",
     "input key is I64, it must be F32"},
    {"a padding mask of another shape", "embed_dim = 4; num_heads = 2", false, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)},
      {SN_BOOL, SHAPE(2, 3)}},
     SN_E_SHAPE, "op", "key_padding_mask is [2, 3], it must be [2, 4]"},
    {"a padding mask of bytes, in nni mode", "embed_dim = 4; num_heads = 2", true, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)},
      {SN_U8, SHAPE(2, 4)}},
     SN_E_DTYPE, "op", "key_padding_mask is U8, it must be BOOL or F32"},
    {"a padding mask of integers", "embed_dim = 4; num_heads = 2", false, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)},
      {SN_I64, SHAPE(2, 4)}},
     SN_E_DTYPE, "op", "key_padding_mask is I64, it must be BOOL, U8 or F32"},
    {"an attention mask of another shape", "embed_dim = 4; num_heads = 2", false, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)}, {0},
      {SN_BOOL, SHAPE(4, 3)}},
     SN_E_SHAPE, "op", "attn_mask is [4, 3], it must be [3, 4] or [4, 3, 4]"},
    {"an attention mask of integers", "embed_dim = 4; num_heads = 2", false, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)}, {0},
      {SN_I64, SHAPE(3, 4)}},
     SN_E_DTYPE, "op", "attn_mask is I64, it must be BOOL, U8 or F32"},
    {"two float masks, in nni mode", "embed_dim = 4; num_heads = 2", true, SN_EVAL,
     {{SN_F32, SHAPE(3, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)}, {SN_F32, SHAPE(4, 2, 4)},
      {SN_F32, SHAPE(2, 4)}, {SN_F32, SHAPE(3, 4)}},
     SN_E_DTYPE, "op", "key_padding_mask is F32 next to an attn_mask of F32, it must be BOOL"},
    {"a batch that is first but absent, in nni mode",
     "embed_dim = 4; num_heads = 2; batch_first = true", true, SN_EVAL,
     {{SN_F32, SHAPE(3, 4)}, {SN_F32, SHAPE(3, 4)}, {SN_F32, SHAPE(3, 4)}}, SN_E_SHAPE,
     "op.batch_first", "query [3, 4] has no batch that could be first"},
    {"equal widths of separate weights, in nni mode",
     "embed_dim = 4 of 4, 8; num_heads = 2; kdim = 4 of 4, 8; vdim = 4", true, SN_EVAL, {{0}},
     SN_E_UNSUPPORTED, "op.kdim",
     "kdim, vdim and embed_dim are all 4 while their weights are separate, which the original "
     "refuses"},
    {"random dropout in training mode", "embed_dim = 4; num_heads = 2; dropout = 0.5", false,
     SN_TRAIN, {{0}}, SN_E_UNSUPPORTED, "op.dropout",
     "dropout of 0.5 is random in training mode, only 0 is supported there"},
    {"more scores than can be counted", "embed_dim = 1; num_heads = 1", false, SN_EVAL,
     {{SN_F32, SHAPE(2147483647, 1, 1)}, {SN_F32, SHAPE(2147483640, 1, 1)},
      {SN_F32, SHAPE(2147483640, 1, 1)}},
     SN_E_LIMIT, "op", "query [2147483647, 1, 1] and key [2147483640, 1, 1] are too long together"},
};
/* clang-format on */

static void refusal(void **state)
{
    const struct refusal *r = *state;
    struct op_call        c;
    sn_error              err = {0};
    sn_status             rc;

    op_call_init(&c, &sn_op_attention, r->args, r->nni, r->mode);
    rc = op_call_load(&c, &err);
    if (rc == SN_OK) rc = op_call_infer_many(&c, r->in, N_IN, &err);
    assert_string_equal(err.text, r->text);
    assert_int_equal(rc, r->code);
    assert_string_equal(err.where, r->where);
    op_call_fini(&c);
}

int main(void)
{
    struct CMUnitTest
        tests[COUNT(settings) + COUNT(manies) + COUNT(existences) + COUNT(refusals) + 8] = {
            cmocka_unit_test(kernel_agrees_with_its_twin),
            cmocka_unit_test(a_row_that_is_masked_everywhere_is_nan),
            cmocka_unit_test(scratch_memory_does_not_grow_with_the_batch),
            cmocka_unit_test(weights_that_nobody_needs_are_absent),
            cmocka_unit_test(cost_counts_projections_and_products),
            cmocka_unit_test(the_largest_choice_needs_no_copies),
            cmocka_unit_test(export_keeps_separate_weights_separate),
            cmocka_unit_test(packed_attention_has_no_weights),
        };
    size_t n = 8;

    for (size_t i = 0; i < COUNT(settings); i++)
        tests[n++] = (struct CMUnitTest){settings[i].sentence, agrees_with_the_definition, NULL,
                                         NULL, (void *)&settings[i].t};
    for (size_t i = 0; i < COUNT(manies); i++)
        tests[n++] = (struct CMUnitTest){manies[i].sentence, threads_change_no_bit, NULL, NULL,
                                         (void *)&manies[i]};
    for (size_t i = 0; i < COUNT(existences); i++)
        tests[n++] = (struct CMUnitTest){existences[i].sentence, existence, NULL, NULL,
                                         (void *)&existences[i]};
    for (size_t i = 0; i < COUNT(refusals); i++)
        tests[n++] =
            (struct CMUnitTest){refusals[i].sentence, refusal, NULL, NULL, (void *)&refusals[i]};
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
