/* window: pairs and window counts, for convolution and pooling. */
#include "op/window.h"

#include <limits.h>

sn_status window_pair(const sn_call *call, const char *name, const sn_value *v, int64_t min,
                      int64_t *ret_pair, sn_error *err)
{
    int64_t pair[WINDOW_AXES];

    if (!op_ints(v, WINDOW_AXES, pair))
        return op_fail(err, SN_E_INVALID, call, name, "%s is neither an integer nor a pair of them",
                       VALUE_TEXT(v));
    for (int i = 0; i < WINDOW_AXES; i++) {
        if (pair[i] < min)
            return op_fail(err, SN_E_INVALID, call, name, "%s must be at least %lld", VALUE_TEXT(v),
                           (long long)min);
        if (pair[i] > INT_MAX)
            return op_fail(err, SN_E_LIMIT, call, name, "%s is larger than %d", VALUE_TEXT(v),
                           INT_MAX);
    }
    ret_pair[WINDOW_H] = pair[WINDOW_H];
    ret_pair[WINDOW_W] = pair[WINDOW_W];
    return SN_OK;
}

sn_status window_check_options(const sn_call *call, const char *name, int a, int64_t min,
                               sn_error *err)
{
    int64_t pair[WINDOW_AXES];

    for (size_t i = 0; i < call->arg[a].n_options; i++) {
        const sn_value *v = &call->arg[a].option[i];
        const sn_status rc =
            v->kind == SN_KIND_NULL ? SN_OK : window_pair(call, name, v, min, pair, err);

        if (rc != SN_OK) return rc;
    }
    return SN_OK;
}

sn_status window_image(const sn_call *call, struct window_image *ret_image, sn_error *err)
{
    const sn_shape *x;
    sn_status       rc = op_need_f32(call, 0, "x", 3, err);
    bool            batched;

    if (rc != SN_OK) return rc;
    x = &call->in[0].shape;
    if (x->rank > 4)
        return op_fail(err, SN_E_SHAPE, call, NULL,
                       "input x %s must be [N, C, H, W], or [C, H, W] for a single image",
                       SHAPE_TEXT(x));
    batched = x->rank == 4;
    for (int i = 0; i < x->rank; i++) {
        if (x->dim[i] < 1 && !(batched && i == 0))
            return op_fail(err, SN_E_SHAPE, call, NULL, "input x %s has no elements",
                           SHAPE_TEXT(x));
        if ((rc = op_need_int(call, "a dimension of input x", x->dim[i], err)) != SN_OK) return rc;
    }
    *ret_image = (struct window_image){.n = batched ? x->dim[0] : 1,
                                       .c = x->dim[x->rank - 3],
                                       .h = x->dim[x->rank - 2],
                                       .w = x->dim[x->rank - 1],
                                       .batched = batched};
    return SN_OK;
}

sn_shape window_shape(const struct window_image *image, int64_t c, int64_t h, int64_t w)
{
    return image->batched ? SHAPE(image->n, c, h, w) : SHAPE(c, h, w);
}

/* The first and the last element of a window are `extent - 1` apart. */
static int64_t extent(int64_t kernel, int64_t dilation)
{
    return dilation * (kernel - 1) + 1;
}

int64_t window_count(int64_t size, int64_t kernel, int64_t stride, int64_t dilation)
{
    const int64_t room = size - extent(kernel, dilation);

    return room < 0 ? 0 : room / stride + 1;
}

int64_t window_count_pool(int64_t size, int64_t pad, int64_t kernel, int64_t stride,
                          int64_t dilation, bool ceil)
{
    int64_t room = size + 2 * pad - extent(kernel, dilation) + (ceil ? stride - 1 : 0), n;

    /* Floor division also below zero: a window that is too large by less than a
     * stride fits 0 times, not once. */
    n = (room >= 0 ? room / stride : -((-room + stride - 1) / stride)) + 1;
    if (ceil && (n - 1) * stride >= size + pad) n--;
    return n < 0 ? 0 : n;
}

sn_status window_pair_value(int64_t h, int64_t w, sn_arena *mem, sn_value *ret_value,
                            const sn_call *call, sn_error *err)
{
    sn_value *item;

    if (h == w) {
        *ret_value = op_int_value(h);
        return SN_OK;
    }
    item = arena_array(mem, WINDOW_AXES, sizeof *item);
    if (!item) return fail_no_memory(err, call->where);
    item[WINDOW_H] = op_int_value(h);
    item[WINDOW_W] = op_int_value(w);
    *ret_value = (sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, WINDOW_AXES}};
    return SN_OK;
}
