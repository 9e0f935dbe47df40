/* dist: from probabilities of choices to weights of an argument's options. */
#include <string.h>

#include "run/blend.h"

/* Joint weight of a combination: the product over its labels, in label order; options
 * that several combinations give add them up, as nni.retiarii does. */
void dist_weights(const struct dist *d, const float *const *probs, float *weight)
{
    if (!d->slot) {
        memcpy(weight, probs[d->choice], d->n_options * sizeof *weight);
        return;
    }
    memset(weight, 0, d->n_options * sizeof *weight);
    for (size_t c = 0; c < d->n_combos; c++) {
        const uint32_t *index = d->combo_index + c * d->n_soft;
        float           w = 1.0f;

        for (size_t i = 0; i < d->n_soft; i++)
            w *= probs[d->soft[i]][index[i]];
        weight[d->combo_option[c]] += w;
    }
}
