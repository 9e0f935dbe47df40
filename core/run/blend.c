/* blend: the live part of a weight under distributions.
 *
 *     out = whole * mask_1 * mask_2 ...      element by element, of the full size
 *     mask = sum over options v of weight_v * [inside the slice for v]
 *
 * One mask for each slicing step: a joint step ([:e, :e]) is not the product of its
 * marginals, two successive steps ([:a], [:, :b]) are.
 *
 * A weight is not added to each element of its slice, but noted where the slice ends and taken back
 * where it begins; sums from the last element to the first make the mask of it:
 *
 *     0.5 for [:2], 0.25 for [:4], 0.25 for [1:4]
 *     noted  -0.25  0.5  0     0.5         mask  0.75  1  0.5  0.5
 *
 * In double precision: with prefixes nothing is taken back, and with others what is left over of
 * that is far below what a float of the sum shows. */
#include <string.h>

#include "run/blend.h"
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
    return (size_t)most * sizeof(double);
}

/* Note `w` at the corners of all boxes that the pieces of a slice are, from axis d on. */
static void note(const struct blend *b, const struct blend_mask *m, const sn_slice *s, int d,
                 int64_t at, double w, double *mask)
{
    while (d < b->whole.shape.rank && !m->axis[d])
        d++;
    if (d == b->whole.shape.rank) {
        mask[at] += w;
        return;
    }
    at *= b->whole.shape.dim[d];
    for (int k = 0; k < s->axis[d].n; k++) {
        const sn_range r = s->axis[d].piece[k];
        const int64_t  size = b->whole.shape.dim[d], stop = r.stop < size ? r.stop : size;

        if (r.start >= stop) continue;
        note(b, m, s, d + 1, at + stop - 1, w, mask);
        if (r.start > 0) note(b, m, s, d + 1, at + r.start - 1, -w, mask);
    }
}

static void fill_mask(const struct blend *b, const struct blend_mask *m, size_t n_options,
                      const float *weight, double *mask)
{
    const int64_t n = mask_count(b, m);
    int64_t       step = 1;

    memset(mask, 0, (size_t)n * sizeof *mask);
    for (size_t o = 0; o < n_options; o++)
        note(b, m, &m->slice[o], 0, 0, (double)weight[o], mask);
    for (int d = b->whole.shape.rank - 1; d >= 0; d--) {
        const int64_t size = b->whole.shape.dim[d];

        if (!m->axis[d]) continue;
        for (int64_t i = n; i-- > 0;)
            if (i / step % size < size - 1) mask[i] += mask[i + step];
        step *= size;
    }
}

static void multiply(const struct blend *b, const struct blend_mask *m, const double *mask,
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
        y[i] *= (float)mask[from];
        for (int d = rank - 1; d >= 0; d--) {
            from += step[d];
            if (++at[d] < out->shape.dim[d]) break;
            from -= step[d] * out->shape.dim[d];
            at[d] = 0;
        }
    }
}

void blend_run(const struct blend *b, const float *const *weight, const size_t *n_options,
               double *mask, sn_tensor *out)
{
    tensor_copy(&b->whole, out);
    for (int i = 0; i < b->n_masks; i++) {
        fill_mask(b, &b->mask[i], n_options[i], weight[i], mask);
        multiply(b, &b->mask[i], mask, out);
    }
}
