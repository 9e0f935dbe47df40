#include "support/op_call.h"

#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "tensor/tensor.h"

/* ---- text to values ------------------------------------------------------------------- */

static const char *skip_space(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

static const char *parse_value(sn_arena *mem, const char *at, sn_value *v)
{
    static const struct {
        const char *word;
        sn_value    value;
    } words[] = {{"null", {.kind = SN_KIND_NULL}},
                 {"true", {.kind = SN_KIND_BOOL, .as.boolean = true}},
                 {"false", {.kind = SN_KIND_BOOL}}};
    size_t n;
    char  *end;

    at = skip_space(at);
    if (*at == '(') {
        sn_value *item = arena_array(mem, 4, sizeof *item);

        for (n = 0; n < 4 && *at != ')'; n++)
            at = skip_space(parse_value(mem, at + 1, &item[n]));
        *v = (sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, n}};
        return at + 1;
    }
    n = strcspn(at, " ,;)");
    if (isalpha((unsigned char)*at) || *at == '"') {
        char *text;

        for (size_t i = 0; i < COUNT(words); i++)
            if (strlen(words[i].word) == n && strncmp(at, words[i].word, n) == 0) {
                *v = words[i].value;
                return at + n;
            }
        text = *at == '"' ? arena_printf(mem, "%.*s", (int)n - 2, at + 1)
                          : arena_printf(mem, "%.*s", (int)n, at);
        *v = (sn_value){.kind = SN_KIND_TEXT, .as.text = text};
        return at + n;
    }
    if (memchr(at, '.', n) || memchr(at, 'e', n))
        *v = (sn_value){.kind = SN_KIND_FLOAT, .as.real = strtod(at, &end)};
    else
        *v = (sn_value){.kind = SN_KIND_INT, .as.integer = strtoll(at, &end, 10)};
    assert_ptr_equal(end, at + n);
    return end;
}

/* ---- arguments --------------------------------------------------------------------------- */

/* Options are ascending, so the last is the maximum; per component it may be none of them. */
static sn_value super_of(const struct op_call *c, const sn_value *option, size_t n, unsigned flags)
{
    const sn_value *last = &option[n - 1];
    sn_value       *item;

    if (last->kind != SN_KIND_TUPLE || c->call.nni || !(flags & SN_ARG_COMPONENTS)) return *last;
    item = arena_array(c->mem, last->as.tuple.n, sizeof *item);
    for (size_t i = 0; i < last->as.tuple.n; i++) {
        item[i] = option[0].as.tuple.item[i];
        for (size_t k = 1; k < n; k++)
            if (option[k].as.tuple.item[i].as.integer > item[i].as.integer)
                item[i] = option[k].as.tuple.item[i];
    }
    return (sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, last->as.tuple.n}};
}

static void set_arg(struct op_call *c, size_t a, const char *at, int position)
{
    sn_value *option = arena_array(c->mem, 16, sizeof *option);
    size_t    n = 0;
    sn_arg   *arg = &c->arg[a];

    arg->position = position;
    arg->soft = *at == '~';
    at = arg->soft ? at + 1 : skip_space(parse_value(c->mem, at + 1, &arg->value));
    arg->elastic = arg->soft || strncmp(at, "of", 2) == 0;
    if (arg->elastic) {
        if (!arg->soft) at += 2;
        for (n = 0; n < 16; at++) {
            at = skip_space(parse_value(c->mem, at, &option[n++]));
            if (*at != ',') break;
        }
    } else {
        option[n++] = arg->value;
    }
    assert_true(*at == ';' || *at == 0);
    arg->option = option;
    arg->n_options = n;
    arg->super = super_of(c, option, n, c->op->args[a].flags);
    if (arg->soft) arg->value = arg->super;
}

static int64_t int_of(const sn_value *v)
{
    int64_t i = 0;

    sn_value_int(v, &i);
    return i;
}

/* "a // b" and "a / b" over the values of the two arguments. */
static sn_value quotient(const char *expr, const sn_value *a, const sn_value *b)
{
    if (strstr(expr, "//"))
        return (sn_value){.kind = SN_KIND_INT, .as.integer = int_of(a) / int_of(b)};
    return (sn_value){.kind = SN_KIND_FLOAT, .as.real = (double)int_of(a) / (double)int_of(b)};
}

static double number_of(const sn_value *v)
{
    return v->kind == SN_KIND_FLOAT ? v->as.real : (double)v->as.integer;
}

static size_t find_arg(const struct op_call *c, const char *name, size_t n)
{
    for (size_t a = 0; a < c->n_args; a++)
        if (strlen(c->op->args[a].name) == n && strncmp(c->op->args[a].name, name, n) == 0)
            return a;
    fail_msg("%s has no argument %.*s", c->op->type, (int)n, name);
    return 0;
}

/* The derived expressions: "a // b", "a / b" and "a if b == None else c". */
static sn_value derived(const char *expr, const sn_value *left, const sn_value *right)
{
    if (strchr(expr, '/')) return quotient(expr, left, right);
    return right->kind == SN_KIND_NULL ? *left : *right;
}

static void derive(struct op_call *c, size_t a)
{
    const char   *expr = c->op->args[a].fallback, *last = strrchr(expr, ' ') + 1;
    const sn_arg *left = &c->arg[find_arg(c, expr, strcspn(expr, " "))];
    const sn_arg *right = &c->arg[find_arg(c, last, strlen(last))];
    sn_value     *option = arena_array(c->mem, left->n_options * right->n_options, sizeof *option);
    sn_arg       *arg = &c->arg[a];
    size_t        n = 0;

    for (size_t i = 0; i < left->n_options * right->n_options; i++) {
        const sn_value q = derived(expr, &left->option[i / right->n_options],
                                   &right->option[i % right->n_options]);
        size_t         k = n;

        for (size_t j = 0; j < n; j++)
            if (number_of(&option[j]) == number_of(&q)) k = SIZE_MAX;
        if (k == SIZE_MAX) continue;
        for (; k > 0 && number_of(&option[k - 1]) > number_of(&q); k--)
            option[k] = option[k - 1];
        option[k] = q;
        n++;
    }
    *arg = (sn_arg){.option = option,
                    .n_options = n,
                    .super = option[n - 1],
                    .soft = left->soft || right->soft,
                    .elastic = left->elastic || right->elastic,
                    .position = -1};
    arg->value = arg->soft ? arg->super : derived(expr, &left->value, &right->value);
}

void op_call_init(struct op_call *c, const sn_op *op, const char *args, bool nni, sn_mode mode)
{
    bool given[SN_MAX_ARGS] = {false};

    *c = (struct op_call){.op = op, .mem = sn_arena_create()};
    assert_non_null(c->mem);
    while (op->args[c->n_args].name)
        c->n_args++;
    while (op->params[c->n_params].name)
        c->n_params++;
    c->call = (sn_call){.size = sizeof c->call,
                        .where = "op",
                        .mode = mode,
                        .nni = nni,
                        .arg = c->arg,
                        .param = c->whole,
                        .whole = c->whole,
                        .n_in = 1,
                        .n_out = (size_t)op->n_out,
                        .in = c->in,
                        .out = c->out,
                        .n_threads = 1,
                        .priv = sn_arena_alloc(c->mem, op->priv_bytes + 1)};
    for (int position = 0; *(args = skip_space(args)); position++) {
        const char *sign = args + strcspn(args, "=~");
        size_t      n = (size_t)(sign - args), a;

        while (n > 0 && args[n - 1] == ' ')
            n--;
        a = find_arg(c, args, n);
        given[a] = true;
        set_arg(c, a, sign, position);
        args = sign + strcspn(sign, ";");
        args += *args == ';';
    }
    for (size_t a = 0; a < c->n_args; a++)
        if (!given[a] && !(op->args[a].flags & SN_ARG_DERIVED)) {
            assert_non_null(op->args[a].fallback);
            set_arg(c, a, arena_printf(c->mem, "=%s", op->args[a].fallback), -1);
        }
    for (size_t a = 0; a < c->n_args; a++)
        if (!given[a] && op->args[a].flags & SN_ARG_DERIVED) derive(c, a);
}

void op_call_fini(struct op_call *c)
{
    sn_arena_free(c->mem);
}

/* ---- the steps of a life ------------------------------------------------------------------- */

void op_call_fill(float *x, int64_t n, unsigned seed)
{
    sn_rng rng;

    sn_rng_seed(&rng, seed);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(2.0 * sn_rng_unit(&rng) - 1.0);
}

sn_status op_call_load(struct op_call *c, sn_error *err)
{
    sn_status rc = c->op->check ? c->op->check(&c->call, err) : SN_OK;

    for (size_t k = 0; rc == SN_OK && k < c->n_params; k++) {
        const sn_dtype dtype = c->op->params[k].flags & SN_PARAM_I64 ? SN_I64 : SN_F32;
        sn_shape       shape;
        int64_t        n;

        rc = c->op->shape(&c->call, k, &shape, err);
        if (rc != SN_OK || shape.rank < 0) continue;
        n = sn_shape_count(&shape);
        c->whole[k] = sn_tensor_dense(dtype, &shape,
                                      arena_array(c->mem, (size_t)n + 1, sn_dtype_bytes(dtype)));
        if (dtype == SN_F32) op_call_fill(c->whole[k].data, n, (unsigned)k + 1);
    }
    return rc;
}

void op_call_temper(struct op_call *c)
{
    for (size_t k = 0; k < c->n_params; k++)
        if (c->whole[k].dtype == SN_F32 && c->whole[k].shape.rank == 2)
            for (int64_t i = 0; i < sn_shape_count(&c->whole[k].shape); i++)
                ((float *)c->whole[k].data)[i] /= sqrtf((float)c->whole[k].shape.dim[1]);
}

static bool has_pieces(const sn_slice *s)
{
    for (int i = 0; i < s->rank; i++)
        if (s->axis[i].n != 1) return true;
    return false;
}

/* A view; or, of several pieces, a packed copy. */
static sn_status cut(struct op_call *c, sn_tensor *t, const sn_slice *s, sn_error *err)
{
    sn_shape  shape;
    float    *packed;
    sn_status rc;

    if (!has_pieces(s)) return sn_tensor_slice(t, s, t, err);
    if ((rc = slice_shape(&t->shape, s, &shape, err))) return rc;
    packed = arena_array(c->mem, (size_t)sn_shape_count(&shape) + 1, sizeof *packed);
    assert_non_null(packed);
    tensor_gather(t, s, packed);
    *t = sn_tensor_dense(SN_F32, &shape, packed);
    return SN_OK;
}

static sn_status cut_params(struct op_call *c, sn_error *err)
{
    sn_status rc = SN_OK;

    c->call.param = c->whole;
    for (size_t k = 0; k < c->n_params; k++) {
        const sn_param_def *def = &c->op->params[k];

        c->live[k] = c->whole[k];
        for (int s = 0; rc == SN_OK && c->whole[k].dtype != SN_NONE && s < def->n_steps; s++) {
            const int       a = def->step[s];
            sn_slice        slice;
            const sn_range *piece;

            if (c->arg[a].soft && c->op->args[a].flags & SN_ARG_SOFT_MASK) continue;
            rc = c->op->slice(&c->call, k, s, &c->arg[a].value, &slice, err);
            if (rc != SN_OK) break;
            /* A step keeps what it does not cut, however much was cut before. */
            for (int i = 0; i < slice.rank; i++) {
                piece = slice.axis[i].piece;
                if (piece->start == 0 && piece->stop == c->whole[k].shape.dim[i])
                    slice.axis[i].piece[0] = (sn_range){0, c->live[k].shape.dim[i]};
            }
            rc = cut(c, &c->live[k], &slice, err);
        }
    }
    return rc;
}

sn_status op_call_infer_many(struct op_call *c, const sn_desc *in, size_t n_in, sn_error *err)
{
    sn_status rc = cut_params(c, err);

    if (rc != SN_OK) return rc;
    c->call.param = c->live;
    c->call.n_in = n_in;
    for (size_t i = 0; i < n_in; i++)
        c->in[i] = in[i];
    return c->op->infer(&c->call, err);
}

sn_status op_call_infer(struct op_call *c, sn_shape x, sn_error *err)
{
    return op_call_infer_many(c, &(sn_desc){SN_F32, x}, 1, err);
}

static void *aligned(size_t n_bytes)
{
    void *p =
        aligned_alloc(SN_ALIGN_BYTES, (n_bytes + SN_ALIGN_BYTES) / SN_ALIGN_BYTES * SN_ALIGN_BYTES);

    assert_non_null(p);
    memset(p, 0x7f, n_bytes);
    return p;
}

static void make_results(struct op_call *c)
{
    for (size_t i = 0; i < c->call.n_out; i++) {
        const sn_desc *d = &c->out[i];

        c->result[i] = (sn_tensor){.dtype = SN_NONE};
        if (d->dtype == SN_NONE) continue;
        c->result[i] = sn_tensor_dense(
            d->dtype, &d->shape,
            arena_array(c->mem, (size_t)sn_shape_count(&d->shape) + 1, sn_dtype_bytes(d->dtype)));
        assert_non_null(c->result[i].data);
    }
}

void op_call_run_many(struct op_call *c, const sn_tensor *in)
{
    void *scratch = aligned(c->call.scratch_bytes);
    sn_io io = {
        .size = sizeof io, .in = in, .out = c->result, .param = c->live, .scratch = scratch};

    make_results(c);
    c->op->forward(&c->call, &io);
    free(scratch);
}

void op_call_run_variant(struct op_call *c, size_t v, const sn_tensor *in,
                         const sn_epilogue *epilogue, const sn_parallel *parallel)
{
    const sn_variant *variant = &c->op->variants[v];
    const sn_epilogue none = {0};
    void             *packed[SN_MAX_PARAMS] = {0}, *scratch;
    sn_io             io = {.size = sizeof io,
                            .in = in,
                            .out = c->result,
                            .param = c->live,
                            .parallel = parallel,
                            .packed = (const void *const *)packed};

    c->call.whole = c->whole;
    assert_true(variant->fits(&c->call));
    for (size_t k = 0; variant->packed_bytes && k < c->n_params; k++) {
        const size_t n = c->whole[k].dtype == SN_NONE ? 0 : variant->packed_bytes(&c->whole[k], k);

        if (n == 0) continue;
        packed[k] = aligned(n);
        variant->pack(&c->whole[k], k, packed[k]);
    }
    scratch =
        aligned(variant->scratch_bytes ? variant->scratch_bytes(&c->call) : c->call.scratch_bytes);
    io.scratch = scratch;
    make_results(c);
    variant->forward(&c->call, &io, epilogue ? epilogue : &none);
    free(scratch);
    for (size_t k = 0; k < c->n_params; k++)
        free(packed[k]);
}

const float *op_call_run(struct op_call *c, const float *x)
{
    const sn_tensor in = sn_tensor_dense(SN_F32, &c->in[0].shape, (void *)(uintptr_t)x);

    op_call_run_many(c, &in);
    return c->result[0].data;
}
