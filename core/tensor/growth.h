/* growth: how shapes depend on the batch N.
 *
 * Axis i of a tensor has per_sample[i] * N + c elements. Its shape is known for one batch, so two
 * axes are equal for every batch if they are equal there and grow alike. All shapes that are
 * compared here are of the same batch. */
#ifndef TENSOR_GROWTH_H
#define TENSOR_GROWTH_H

#include "base/base.h"
#include "supernet/op.h"

bool growth_any(const sn_growth *g);
bool growth_equal(const sn_growth *a, const sn_growth *b);

/* Does no axis but `axis` grow? */
bool growth_only(const sn_growth *g, int axis);

/* Extend (y, grows), what came before, by broadcasting to x as PyTorch does; false if the two do
 * not fit, or fit for some batches only. */
bool growth_broadcast(sn_shape *y, sn_growth *grows, const sn_shape *x, const sn_growth *x_grows);

/* Elements of the axes [from, to) at this batch, and how many more with each sample; false if that
 * is not linear, or too large. */
bool growth_count(const sn_shape *shape, const sn_growth *g, int from, int to, int64_t *ret_count,
                  int64_t *ret_per_sample);

#endif
