/* blend: the live part of a weight under distributions.
 *
 *     out = whole * mask_1 * mask_2 ...      element by element, of the full size
 *     mask = sum over options v of weight_v * [inside the slice for v]
 *
 * One mask for each slicing step: a joint step ([:e, :e]) is not the product of its
 * marginals, two successive steps ([:a], [:, :b]) are. */
#include <string.h>

#include "plan/plan.h"
#include "tensor/tensor.h"

static int64_t mask_count(const struct blend *b, const struct blend_mask *m)
{
    int64_t n = 1;

    for (int d = 0; d < b->whole.shape.rank; d++)
        if (m->axis[d]) n *= b->whole.shape.dim[d];
    return n;
}

size_t blend_scratch(const struct blend *b)
{
    int64_t most = 0;

    for (int i = 0; i < b->n_masks; i++) {
        const int64_t n = mask_count(b, &b->mask[i]);

        most = n > most ? n : most;
    }
    return (size_t)most;
}

static bool inside(const sn_slice *s, int axis, int64_t at)
{
    for (int k = 0; k < s->axis[axis].n; k++)
        if (at >= s->axis[axis].piece[k].start && at < s->axis[axis].piece[k].stop) return true;
    return false;
}

static void fill_mask(const struct blend *b, const struct blend_mask *m, size_t n_options,
                      const float *weight, float *mask)
{
    const int     rank = b->whole.shape.rank;
    const int64_t n = mask_count(b, m);
    int64_t       at[SN_MAX_RANK] = {0};

    for (int64_t i = 0; i < n; i++) {
        float sum = 0.0f;

        for (size_t o = 0; o < n_options; o++) {
            bool in = true;

            for (int d = 0; in && d < rank; d++)
                in = !m->axis[d] || inside(&m->slice[o], d, at[d]);
            if (in) sum += weight[o];
        }
        mask[i] = sum;
        for (int d = rank - 1; d >= 0; d--) {
            if (!m->axis[d]) continue;
            if (++at[d] < b->whole.shape.dim[d]) break;
            at[d] = 0;
        }
    }
}

static void multiply(const struct blend *b, const struct blend_mask *m, const float *mask,
                     sn_tensor *out)
{
    const int rank = b->whole.shape.rank;
    int64_t   step[SN_MAX_RANK] = {0}, at[SN_MAX_RANK] = {0}, n = 1, from = 0;
    float    *y = out->data;

    for (int d = rank - 1; d >= 0; d--)
        if (m->axis[d]) {
            step[d] = n;
            n *= b->whole.shape.dim[d];
        }
    for (int64_t count = sn_shape_count(&out->shape), i = 0; i < count; i++) {
        y[i] *= mask[from];
        for (int d = rank - 1; d >= 0; d--) {
            from += step[d];
            if (++at[d] < out->shape.dim[d]) break;
            from -= step[d] * out->shape.dim[d];
            at[d] = 0;
        }
    }
}

void blend_run(const struct blend *b, const float *const *weight, const size_t *n_options,
               float *mask, sn_tensor *out)
{
    tensor_copy(&b->whole, out);
    for (int i = 0; i < b->n_masks; i++) {
        fill_mask(b, &b->mask[i], n_options[i], weight[i], mask);
        multiply(b, &b->mask[i], mask, out);
    }
}
