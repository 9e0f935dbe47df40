/* view: move the pointer, keep the strides. */
#include <assert.h>

#include "tensor/tensor.h"

SN_EXPORT sn_tensor sn_tensor_dense(sn_dtype dtype, const sn_shape *shape, void *data)
{
    sn_tensor t = {.dtype = dtype, .shape = *shape, .data = data};
    int64_t   step = 1;

    for (int i = shape->rank - 1; i >= 0 && i < SN_MAX_RANK; i--) {
        t.stride[i] = step;
        /* Only an empty tensor can overflow here, and nobody walks through one. */
        if (__builtin_mul_overflow(step, shape->dim[i], &step)) step = 0;
    }
    return t;
}

SN_EXPORT bool sn_tensor_is_dense(const sn_tensor *t)
{
    const int64_t n = sn_shape_count(&t->shape);
    int64_t       step = 1;

    if (n <= 0) return n == 0;
    for (int i = t->shape.rank - 1; i >= 0; i--) {
        if (t->shape.dim[i] != 1 && t->stride[i] != step) return false;
        step *= t->shape.dim[i];
    }
    return true;
}

sn_status slice_shape(const sn_shape *whole, const sn_slice *s, sn_shape *ret_shape, sn_error *err)
{
    sn_shape shape = {.rank = s->rank};

    if (s->rank != whole->rank)
        return sn_fail(err, SN_E_SHAPE, "", "the slice has %d axes, the tensor %d", s->rank,
                       whole->rank);
    if (s->rank < 0 || s->rank > SN_MAX_RANK)
        return sn_fail(err, SN_E_SHAPE, "", "a tensor cannot have %d axes", s->rank);
    for (int i = 0; i < s->rank; i++) {
        if (s->axis[i].n < 1 || s->axis[i].n > SN_MAX_PIECES)
            return sn_fail(err, SN_E_UNSUPPORTED, "", "axis %d has %d pieces, allowed are 1 to %d",
                           i, s->axis[i].n, SN_MAX_PIECES);
        for (int k = 0; k < s->axis[i].n; k++) {
            const sn_range r = s->axis[i].piece[k];

            if (r.start < 0 || r.start > r.stop || r.stop > whole->dim[i])
                return sn_fail(err, SN_E_SHAPE, "", "axis %d: [%lld, %lld) is not within [0, %lld)",
                               i, (long long)r.start, (long long)r.stop, (long long)whole->dim[i]);
            if (__builtin_add_overflow(shape.dim[i], r.stop - r.start, &shape.dim[i]))
                return sn_fail(err, SN_E_SHAPE, "", "axis %d: the pieces are too long", i);
        }
    }
    *ret_shape = shape;
    return SN_OK;
}

SN_EXPORT sn_status sn_tensor_slice(const sn_tensor *t, const sn_slice *s, sn_tensor *ret_view,
                                    sn_error *err)
{
    sn_tensor view = *t;
    int64_t   offset = 0;
    sn_status rc;

    rc = slice_shape(&t->shape, s, &view.shape, err);
    if (rc != SN_OK) return rc;
    for (int i = 0; i < s->rank; i++) {
        if (s->axis[i].n != 1)
            return sn_fail(err, SN_E_UNSUPPORTED, "", "axis %d has %d pieces: that is no view", i,
                           s->axis[i].n);
        offset += s->axis[i].piece[0].start * t->stride[i];
    }
    /* An empty view points at the start: its first element would be outside. */
    if (t->data && sn_shape_count(&view.shape) > 0)
        view.data = (char *)t->data + offset * (int64_t)sn_dtype_bytes(t->dtype);
    *ret_view = view;
    return SN_OK;
}
