/* What the operators share: reading arguments, slicing like Python, checking shapes. */
#include "op/op_internal.h"
#include "tensor/growth.h"

#include <assert.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- messages ------------------------------------------------------------------ */

sn_status op_fail(sn_error *err, sn_status code, const sn_call *call, const char *arg,
                  const char *fmt, ...)
{
    char    text[sizeof err->text], where[sizeof err->where];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    snprintf(where, sizeof where, "%s%s%s", call->where ? call->where : "", arg ? "." : "",
             arg ? arg : "");
    return sn_fail(err, code, where, "%s", text);
}

/* ---- arguments ------------------------------------------------------------------- */

int64_t op_int(const sn_call *call, int a)
{
    int64_t i = 0;
    bool    ok = sn_value_int(&call->arg[a].value, &i);

    assert(ok);
    return i;
}

double op_float(const sn_call *call, int a)
{
    const sn_value *v = &call->arg[a].value;

    return v->kind == SN_KIND_FLOAT ? v->as.real : (double)op_int(call, a);
}

bool op_bool(const sn_call *call, int a)
{
    return op_float(call, a) != 0.0;
}

const char *op_text(const sn_call *call, int a)
{
    const sn_value *v = &call->arg[a].value;

    return v->kind == SN_KIND_TEXT ? v->as.text : NULL;
}

bool op_ints(const sn_value *v, int n, int64_t *ret_ints)
{
    int64_t one;

    if (sn_value_int(v, &one)) {
        for (int i = 0; i < n; i++)
            ret_ints[i] = one;
        return true;
    }
    if (v->kind != SN_KIND_TUPLE || v->as.tuple.n != (size_t)n) return false;
    for (int i = 0; i < n; i++)
        if (!sn_value_int(&v->as.tuple.item[i], &ret_ints[i])) return false;
    return true;
}

sn_status op_check_size(const sn_call *call, int a, const char *name, int64_t min, sn_error *err)
{
    const sn_arg *arg = &call->arg[a];
    int64_t       n;

    for (size_t i = 0; i <= arg->n_options; i++) {
        const sn_value *v = i < arg->n_options ? &arg->option[i] : &arg->super;

        if (!sn_value_int(v, &n))
            return op_fail(err, SN_E_INVALID, call, name, "%s is no size: it must be an integer",
                           VALUE_TEXT(v));
        if (n < min && !(call->nni && i < arg->n_options))
            return op_fail(err, SN_E_INVALID, call, name,
                           "%lld is too small: it must be at least "
                           "%lld",
                           (long long)n, (long long)min);
    }
    return SN_OK;
}

sn_status op_check_number(const sn_call *call, int a, const char *name, double min, double max,
                          const char *allowed, sn_error *err)
{
    const sn_arg *arg = &call->arg[a];

    for (size_t i = 0; i <= arg->n_options; i++) {
        const sn_value *v = i < arg->n_options ? &arg->option[i] : &arg->super;
        int64_t         n = 0;
        double          x = NAN;

        if (v->kind == SN_KIND_NULL) continue; /* where the argument's kinds allow it */
        if (v->kind == SN_KIND_FLOAT)
            x = v->as.real;
        else if (sn_value_int(v, &n))
            x = (double)n;
        if (!(x >= min && x <= max)) /* not a number is not in any range */
            return op_fail(err, SN_E_INVALID, call, name, "%s is %s", VALUE_TEXT(v), allowed);
    }
    return SN_OK;
}

sn_status op_check_probability(const sn_call *call, int a, const char *name, sn_error *err)
{
    return op_check_number(call, a, name, 0.0, 1.0, "no probability between 0 and 1", err);
}

sn_status op_check_not_negative(const sn_call *call, int a, const char *name, sn_error *err)
{
    return op_check_number(call, a, name, 0.0, (double)FLT_MAX,
                           "outside its range: it must be 0 or more, and finite as F32", err);
}

sn_status op_check_finite(const sn_call *call, int a, const char *name, sn_error *err)
{
    return op_check_number(call, a, name, -(double)FLT_MAX, (double)FLT_MAX,
                           "outside its range: it must be finite as F32", err);
}

sn_status op_axis(const sn_call *call, const char *name, const sn_value *value, int rank,
                  int *ret_axis, sn_error *err)
{
    int64_t axis;

    if (!sn_value_int(value, &axis))
        return op_fail(err, SN_E_INVALID, call, name, "%s is no axis: it must be an integer",
                       VALUE_TEXT(value));
    if (axis < -rank || axis >= rank)
        return op_fail(err, SN_E_SHAPE, call, name, "there is no axis %lld in an input of %d axes",
                       (long long)axis, rank);
    *ret_axis = (int)(axis < 0 ? axis + rank : axis);
    return SN_OK;
}

sn_value op_int_value(int64_t i)
{
    return (sn_value){.kind = SN_KIND_INT, .as.integer = i};
}

void op_export_sizes(const sn_call *call, const int *size_args, sn_value *arg_out)
{
    int64_t i;

    for (; *size_args >= 0; size_args++)
        if (sn_value_int(&call->arg[*size_args].value, &i)) arg_out[*size_args] = op_int_value(i);
}

/* ---- slices ------------------------------------------------------------------------ */

sn_slice op_slice_full(const sn_shape *shape)
{
    sn_slice s = {.rank = shape->rank};

    for (int i = 0; i < shape->rank; i++)
        op_slice_set(&s, i, (sn_range){0, shape->dim[i]});
    return s;
}

static int64_t python_end(int64_t axis_size, int64_t end)
{
    if (end < 0) end = end < -axis_size ? 0 : end + axis_size;
    return end > axis_size ? axis_size : end;
}

sn_range op_python_range(int64_t axis_size, int64_t start, int64_t stop)
{
    sn_range r = {python_end(axis_size, start), python_end(axis_size, stop)};

    if (r.stop < r.start) r.stop = r.start;
    return r;
}

sn_status op_prefix(const sn_call *call, const char *arg, int64_t axis_size, const sn_value *value,
                    sn_range *ret_range, sn_error *err)
{
    int64_t n;

    if (!sn_value_int(value, &n))
        return op_fail(err, SN_E_INVALID, call, arg, "%s is no size: it must be an integer",
                       VALUE_TEXT(value));
    if (!call->nni && (n < 0 || n > axis_size))
        return op_fail(err, SN_E_SHAPE, call, arg, "%lld is outside 0..%lld, what the weight has",
                       (long long)n, (long long)axis_size);
    *ret_range = op_python_range(axis_size, 0, n);
    return SN_OK;
}

/* ---- shapes ------------------------------------------------------------------------- */

sn_status op_need_in(const sn_call *call, size_t i, const char *name, sn_error *err)
{
    if (op_has_in(call, i)) return SN_OK;
    return op_fail(err, SN_E_SHAPE, call, NULL, "input %s is not connected", name);
}

sn_status op_need_f32(const sn_call *call, size_t i, const char *name, int min_rank, sn_error *err)
{
    if (op_need_in(call, i, name, err)) return SN_E_SHAPE;
    if (call->in[i].dtype != SN_F32)
        return op_fail(err, SN_E_DTYPE, call, NULL, "input %s is %s, it must be F32", name,
                       sn_dtype_name(call->in[i].dtype));
    if (call->in[i].shape.rank < min_rank)
        return op_fail(err, SN_E_SHAPE, call, NULL,
                       "input %s %s has too few axes, it needs %d or more", name,
                       SHAPE_TEXT(&call->in[i].shape), min_rank);
    return SN_OK;
}

sn_status op_set_out(sn_call *call, size_t i, sn_dtype dtype, const sn_shape *shape, sn_error *err)
{
    const int64_t n = sn_shape_count(shape);

    if (n < 0 || n > (int64_t)(PTRDIFF_MAX / sn_dtype_bytes(dtype)))
        return op_fail(err, SN_E_LIMIT, call, NULL, "the output would have shape %s",
                       SHAPE_TEXT(shape));
    call->out[i] = (sn_desc){dtype, *shape};
    return SN_OK;
}

sn_status op_need_int(const sn_call *call, const char *what, int64_t value, sn_error *err)
{
    if (value >= INT_MIN && value <= INT_MAX) return SN_OK;
    return op_fail(err, SN_E_LIMIT, call, NULL, "%s is %lld, at most %d is supported", what,
                   (long long)value, INT_MAX);
}

sn_status op_set_scratch(sn_call *call, int64_t a, int64_t b, int64_t c, sn_error *err)
{
    int64_t n;

    if (__builtin_mul_overflow(a, b, &n) || __builtin_mul_overflow(n, c, &n) ||
        n > PTRDIFF_MAX / (int64_t)sizeof(float))
        return op_fail(err, SN_E_LIMIT, call, NULL,
                       "%lld * %lld * %lld temporary numbers are too many", (long long)a,
                       (long long)b, (long long)c);
    call->scratch_bytes = (size_t)n * sizeof(float);
    return SN_OK;
}

int64_t op_count_axes(const sn_shape *shape, int from, int to)
{
    int64_t n = 1;

    for (int i = from; i < to; i++)
        n *= shape->dim[i];
    return n;
}

int64_t op_count(const sn_shape *shape)
{
    return op_count_axes(shape, 0, shape->rank);
}

bool op_broadcast(const sn_shape *a, const sn_shape *b, sn_shape *ret_shape)
{
    sn_shape s = a->rank >= b->rank ? *a : *b;

    for (int i = 1; i <= a->rank && i <= b->rank; i++) {
        const int64_t da = a->dim[a->rank - i], db = b->dim[b->rank - i];

        if (da != db && da != 1 && db != 1) return false;
        s.dim[s.rank - i] = da == 1 ? db : da;
    }
    *ret_shape = s;
    return true;
}

/* ---- forward ------------------------------------------------------------------------- */

bool op_grow_same(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    (void)call;
    out[0] = in[0];
    return true;
}

bool op_grow_images(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    out[0] = in[0];
    return call->in[0].shape.rank == 4 && growth_only(&in[0], 0);
}

bool op_grow_rows(const sn_call *call, const sn_growth *in, sn_growth *out)
{
    out[0] = in[0];
    return in[0].per_sample[call->in[0].shape.rank - 1] == 0;
}

void op_forward_alias(const sn_call *call, const sn_io *io)
{
    const sn_tensor *x = &io->in[0], *y = &io->out[0];

    (void)call;
    if (y->data != x->data)
        memcpy(y->data, x->data, (size_t)op_count(&x->shape) * sn_dtype_bytes(x->dtype));
}

/* ---- cost ---------------------------------------------------------------------------- */

static uint64_t desc_bytes(sn_dtype dtype, const sn_shape *shape)
{
    return dtype == SN_NONE ? 0 : (uint64_t)op_count(shape) * sn_dtype_bytes(dtype);
}

void op_cost(const sn_call *call, size_t n_params, uint64_t macs, sn_cost *ret_cost)
{
    sn_cost c = {.macs = macs};

    for (size_t k = 0; k < n_params; k++) {
        const sn_tensor *p = &call->param[k];

        c.bytes_moved += desc_bytes(p->dtype, &p->shape);
        if (p->dtype != SN_NONE) c.params += (uint64_t)op_count(&p->shape);
    }
    for (size_t i = 0; i < call->n_in; i++)
        c.bytes_moved += desc_bytes(call->in[i].dtype, &call->in[i].shape);
    for (size_t i = 0; i < call->n_out; i++)
        c.bytes_moved += desc_bytes(call->out[i].dtype, &call->out[i].shape);
    *ret_cost = c;
}
