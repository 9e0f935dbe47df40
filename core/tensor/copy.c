/* copy: strided and multi-piece copies.
 *
 * A strided copy walks over runs: the trailing axes that are contiguous on both
 * sides are one run, and an odometer counts through the axes before them. */
#include <assert.h>
#include <string.h>

#include "tensor/tensor.h"

typedef void (*copy_run)(void *dst, const void *src, size_t n, size_t src_bytes);

static void run_equal(void *dst, const void *src, size_t n, size_t src_bytes)
{
    memcpy(dst, src, n * src_bytes);
}

static void run_half(void *dst, const void *src, size_t n, size_t src_bytes)
{
    const uint16_t *from = src;
    float          *to = dst;

    (void)src_bytes;
    for (size_t i = 0; i < n; i++)
        to[i] = half_to_float(from[i]);
}

static void run_bfloat(void *dst, const void *src, size_t n, size_t src_bytes)
{
    const uint16_t *from = src;
    float          *to = dst;

    (void)src_bytes;
    for (size_t i = 0; i < n; i++)
        to[i] = bfloat_to_float(from[i]);
}

static copy_run find_run(sn_dtype from, sn_dtype to)
{
    if (from == to) return run_equal;
    if (from == SN_F16 && to == SN_F32) return run_half;
    if (from == SN_BF16 && to == SN_F32) return run_bfloat;
    return NULL;
}

void tensor_copy(const sn_tensor *src, const sn_tensor *dst)
{
    const copy_run copy = find_run(src->dtype, dst->dtype);
    const size_t   src_bytes = sn_dtype_bytes(src->dtype), dst_bytes = sn_dtype_bytes(dst->dtype);
    const int64_t *dim = src->shape.dim;
    int64_t        index[SN_MAX_RANK] = {0}, from = 0, to = 0, run = 1;
    int            outer = src->shape.rank, axis;

    assert(copy && sn_shape_equal(&src->shape, &dst->shape));
    if (sn_shape_count(&src->shape) == 0) return;

    while (outer > 0 && (dim[outer - 1] == 1 ||
                         (src->stride[outer - 1] == run && dst->stride[outer - 1] == run)))
        run *= dim[--outer];

    do {
        copy((char *)dst->data + to * (int64_t)dst_bytes,
             (const char *)src->data + from * (int64_t)src_bytes, (size_t)run, src_bytes);
        for (axis = outer - 1; axis >= 0; axis--) { /* the odometer: carry while it is full */
            from += src->stride[axis];
            to += dst->stride[axis];
            if (++index[axis] < dim[axis]) break;
            from -= dim[axis] * src->stride[axis];
            to -= dim[axis] * dst->stride[axis];
            index[axis] = 0;
        }
    } while (axis >= 0);
}

/* Everything below one position of the axes before `axis`; from `inner` on, a
 * range of that axis is contiguous, `run` elements for each step. */
static float *gather(const sn_tensor *t, const sn_slice *s, int axis, int inner, int64_t run,
                     const float *src, float *dst)
{
    if (axis == t->shape.rank) {
        *dst = *src;
        return dst + 1;
    }
    for (int k = 0; k < s->axis[axis].n; k++) {
        const sn_range r = s->axis[axis].piece[k];

        if (axis == inner) {
            const size_t n = (size_t)((r.stop - r.start) * run);

            if (n > 0) memcpy(dst, src + r.start * run, n * sizeof *dst);
            dst += n;
            continue;
        }
        for (int64_t i = r.start; i < r.stop; i++)
            dst = gather(t, s, axis + 1, inner, run, src + i * t->stride[axis], dst);
    }
    return dst;
}

void tensor_gather(const sn_tensor *whole, const sn_slice *s, float *dst)
{
    const int rank = whole->shape.rank;
    int       inner = rank; /* past the end: not even the last axis is contiguous */
    int64_t   step = 1;

    assert(whole->dtype == SN_F32 && s->rank == rank);
    for (int i = rank - 1; i >= 0 && whole->stride[i] == step; i--) {
        const sn_range r = s->axis[i].piece[0];

        inner = i;
        if (s->axis[i].n != 1 || r.start != 0 || r.stop != whole->shape.dim[i])
            break; /* a part of this axis: the axis before it is not contiguous any more */
        step *= whole->shape.dim[i];
    }
    gather(whole, s, 0, inner, inner < rank ? whole->stride[inner] : 0, whole->data, dst);
}
