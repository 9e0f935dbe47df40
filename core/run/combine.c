/* combine: sums, means, weighted sums and joins of whole tensors, for structures.
 *
 * A weighted sum goes from left to right, item0 * w0 + item1 * w1 + ..., with torch's
 * broadcasting, as nni.retiarii.oneshot's weighted_sum does. */
#include <stdlib.h>
#include <string.h>

#include "run/combine.h"
#include "tensor/growth.h"

static sn_status fail_formats(const struct step *s, const sn_desc *in, const char *what,
                              sn_error *err)
{
    struct text t = {0};
    sn_status   rc;

    for (size_t i = 0; i < s->call.n_in && i < 10; i++) {
        char shape[192];

        text_printf(&t, "%s%s", i ? ", " : "",
                    in[i].dtype == SN_NONE ? "nothing"
                                           : sn_shape_text(&in[i].shape, shape, sizeof shape));
    }
    if (s->call.n_in > 10) text_printf(&t, " and %zu more", s->call.n_in - 10);
    rc = sn_fail(err, SN_E_SHAPE, s->call.where, "%s: %s", what, t.at ? t.at : "");
    free(t.at);
    return rc;
}

/* Grow `shape` to what it and `other` broadcast to. */
static bool broadcast(sn_shape *shape, const sn_shape *other)
{
    const int rank = shape->rank > other->rank ? shape->rank : other->rank;
    sn_shape  r = {.rank = rank};

    for (int i = 0; i < rank; i++) {
        const int     a = i - (rank - shape->rank), b = i - (rank - other->rank);
        const int64_t x = a < 0 ? 1 : shape->dim[a], y = b < 0 ? 1 : other->dim[b];

        if (x != y && x != 1 && y != 1) return false;
        r.dim[i] = x == 1 ? y : x;
    }
    *shape = r;
    return true;
}

static sn_status concat_shape(const struct step *s, const sn_desc *in, sn_shape *shape,
                              sn_error *err)
{
    for (size_t i = 0; i < s->call.n_in; i++) {
        bool fits = in[i].shape.rank == shape->rank && shape->rank >= 2;

        for (int d = 0; fits && d < shape->rank; d++)
            fits = d == 1 || in[i].shape.dim[d] == in[0].shape.dim[d];
        if (!fits) return fail_formats(s, in, "inputs joined on dimension 1 differ elsewhere", err);
        if (i > 0 && __builtin_add_overflow(shape->dim[1], in[i].shape.dim[1], &shape->dim[1]))
            return fail_formats(s, in, "the joined dimension is too large", err);
    }
    return SN_OK;
}

/* Bytes that can be counted. */
static sn_status check_size(const struct step *s, const sn_shape *shape, sn_error *err)
{
    const int64_t n = sn_shape_count(shape);
    char          text[192];

    if (n >= 0 && n <= PTRDIFF_MAX / (int64_t)sizeof(float)) return SN_OK;
    return sn_fail(err, SN_E_LIMIT, s->call.where, "the result of shape %s is too large",
                   sn_shape_text(shape, text, sizeof text));
}

sn_status combine_infer(const struct step *s, const sn_desc *in, sn_desc *out, sn_error *err)
{
    size_t n_absent = 0;

    for (size_t i = 0; i < s->call.n_in; i++)
        n_absent += in[i].dtype == SN_NONE;
    /* An InputChoice of several inputs needs all of them, as does the Add that an export has in its
     * place. Elsewhere all may be absent: a second output that no candidate of a LayerChoice has.
     */
    if (n_absent && s->call.n_in > 1 && s->module->kind == STRUCT_INPUT_CHOICE)
        return sn_fail(
            err, SN_E_INVALID, s->call.where,
            "some of the inputs that are chosen come from an optional input that was not "
            "given");
    if (n_absent == s->call.n_in) {
        *out = (sn_desc){.dtype = SN_NONE};
        return SN_OK;
    }
    *out = in[0];
    if (s->kind == STEP_COPY) return SN_OK;
    if (n_absent) return fail_formats(s, in, "some of the items to be summed are absent", err);
    for (size_t i = 0; i < s->call.n_in; i++)
        if (in[i].dtype != SN_F32)
            return sn_fail(err, SN_E_DTYPE, s->call.where, "item %zu is %s, only F32 can be summed",
                           i, sn_dtype_name(in[i].dtype));
    if (s->kind == STEP_CONCAT) {
        const sn_status rc = concat_shape(s, in, &out->shape, err);

        return rc ? rc : check_size(s, &out->shape, err);
    }
    for (size_t i = 1; i < s->call.n_in; i++)
        if (s->same_shape ? !sn_shape_equal(&out->shape, &in[i].shape)
                          : !broadcast(&out->shape, &in[i].shape))
            return fail_formats(s, in, "items to be summed have shapes that do not fit", err);
    return check_size(s, &out->shape, err);
}

/* The shape of inputs joined along axis 1: all other axes must agree. */
static bool concat_grow(const struct step *s, const sn_growth *in, sn_growth *out)
{
    *out = in[0];
    for (size_t i = 1; i < s->call.n_in; i++) {
        const int64_t more = in[i].per_sample[1];
        sn_growth     alike = in[i];

        alike.per_sample[1] = in[0].per_sample[1];
        if (!growth_equal(&alike, &in[0]) ||
            __builtin_add_overflow(out->per_sample[1], more, &out->per_sample[1]))
            return false;
    }
    return true;
}

bool combine_grow(const struct step *s, const sn_growth *in, sn_growth *out)
{
    sn_shape y = s->call.in[0].shape;

    if (s->call.out[0].dtype == SN_NONE) return true; /* all inputs are absent, for any batch */
    if (s->kind == STEP_CONCAT) return concat_grow(s, in, out);
    *out = in[0];
    for (size_t i = 1; i < s->call.n_in && s->kind != STEP_COPY; i++)
        if (s->same_shape ? !growth_equal(&in[i], &in[0])
                          : !growth_broadcast(&y, out, &s->call.in[i].shape, &in[i]))
            return false;
    return true;
}

/* y (+)= w * x where x broadcasts to y. */
static void add_broadcast(const sn_tensor *x, float w, bool first, sn_tensor *y)
{
    const int rank = y->shape.rank, shift = rank - x->shape.rank;
    int64_t   at[SN_MAX_RANK] = {0};
    float    *out = y->data;

    for (int64_t n = sn_shape_count(&y->shape), i = 0; i < n; i++) {
        int64_t from = 0;
        float   item;

        for (int d = shift < 0 ? 0 : shift; d < rank; d++)
            if (x->shape.dim[d - shift] != 1) from += at[d] * x->stride[d - shift];
        item = w * ((const float *)x->data)[from];
        out[i] = first ? item : out[i] + item; /* 0 + -0 would lose the sign */
        for (int d = rank - 1; d >= 0 && ++at[d] == y->shape.dim[d]; d--)
            at[d] = 0;
    }
}

void combine_sum(const sn_tensor *in, size_t n, const float *weight, float scale, sn_tensor *out)
{
    const int64_t count = sn_shape_count(&out->shape);
    float        *y = out->data;

    for (size_t i = 0; i < n; i++) {
        const float  w = weight ? weight[i] : 1.0f;
        const float *x = in[i].data;

        if (!sn_shape_equal(&in[i].shape, &out->shape))
            add_broadcast(&in[i], w, i == 0, out);
        else if (i == 0)
            for (int64_t k = 0; k < count; k++)
                y[k] = w * x[k];
        else
            for (int64_t k = 0; k < count; k++)
                y[k] += w * x[k];
    }
    if (scale != 1.0f)
        for (int64_t k = 0; k < count; k++)
            y[k] /= scale;
}

void combine_concat(const sn_tensor *in, size_t n, bool channels_last, int64_t from, int64_t to,
                    const sn_tensor *out)
{
    const sn_shape *shape = &out->shape;
    int64_t         side_by_side = 1, row;

    for (int d = 2; d < shape->rank && !channels_last; d++)
        side_by_side *= shape->dim[d];
    row = shape->dim[1] * side_by_side;
    for (int64_t r = row ? from / row : 0; r * row < to; r++) {
        int64_t at = r * row;

        for (size_t i = 0; i < n; i++) {
            const int64_t width = in[i].shape.dim[1] * side_by_side, end = at + width;
            const int64_t first = at > from ? at : from, last = end < to ? end : to;

            if (first < last)
                memcpy((float *)out->data + first,
                       (const float *)in[i].data + r * width + first - at,
                       (size_t)(last - first) * sizeof(float));
            at = end;
        }
    }
}
