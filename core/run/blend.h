/* blend: distributions in a run: weights of options, and weighted averages of slices of a weight.
 */
#ifndef RUN_BLEND_H
#define RUN_BLEND_H

#include "run/plan.h"

/* weight[n_options] of a distribution from the probabilities of its soft choices. */
void dist_weights(const struct dist *d, const float *const *probs, float *weight);

/* Bytes that the masks of a blend need as temporary memory. */
size_t blend_scratch(const struct blend *b);
void   blend_run(const struct blend *b, const float *const *weight, const size_t *n_options,
                 double *mask, sn_tensor *out);

#endif
