/* combine: sums, means, weighted sums and joins of whole tensors: steps that are no operators. */
#ifndef RUN_COMBINE_H
#define RUN_COMBINE_H

#include "run/plan.h"

/* Output shape of STEP_SUM, MEAN, CONCAT, WEIGHTED, COPY from its inputs. */
sn_status combine_infer(const struct step *s, const sn_desc *in, sn_desc *out, sn_error *err);

/* How it grows with the batch, as sn_op.grow. */
bool combine_grow(const struct step *s, const sn_growth *in, sn_growth *out);

/* weight[i] for input i; NULL: all 1. */
void combine_sum(const sn_tensor *in, size_t n, const float *weight, float scale, sn_tensor *out);

/* Elements [from, to) of the output, as they lie in memory. */
void combine_concat(const sn_tensor *in, size_t n, bool channels_last, int64_t from, int64_t to,
                    const sn_tensor *out);

#endif
