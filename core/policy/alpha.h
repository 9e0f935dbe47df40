/* alpha: architecture logits, one per candidate of every used choice, for the policies
 * that learn a distribution. Equal labels are one choice, so they share their logits. */
#ifndef POLICY_ALPHA_H
#define POLICY_ALPHA_H

#include <jansson.h>

#include "base/base.h"

struct alpha {
    void   *policy; /* its limits; set before alpha_init() */
    size_t  n_choices, n_all;
    float **logit; /* by choice: n_candidates; NULL for choices that nothing uses */
    float **room;  /* where they are, or would be: also of edges */
    float  *all;   /* [n_all] */
};

/* Normal logits of standard deviation 1e-3, as nni.retiarii starts them. */
sn_status alpha_init(struct alpha *a, const sn_supernet *net, uint64_t seed, sn_error *err);
void      alpha_fini(struct alpha *a);

/* Take {"label": [logits]}: all of it or, on an error, nothing. */
sn_status alpha_update(struct alpha *a, const sn_supernet *net, const json_t *labels,
                       sn_error *err);

/* {"label": [logits]}, exact for float32; after a failure `t` is free. */
sn_status alpha_write(const struct alpha *a, const sn_supernet *net, struct text *t,
                      const sn_sink *sink, sn_error *err);

/* softmax((logits + noise) / temperature); noise may be NULL. */
void alpha_softmax(const struct alpha *a, size_t choice, size_t n, const float *noise,
                   float temperature, float *ret_probs);

/* softmax(logits) of a choice; SN_E_UNKNOWN_NAME for one that has none. */
sn_status alpha_probs(const struct alpha *a, const sn_supernet *net, size_t choice,
                      float *ret_probs, sn_error *err);

/* Draw one candidate from softmax(logits), or n_chosen different ones without putting back;
 * one of a choice of any number. */
sn_status alpha_draw(const struct alpha *a, const sn_supernet *net, size_t choice, sn_rng *rng,
                     sn_draft *draft, sn_error *err);

/* Decide every open used choice by its largest logits: the first maximal candidate, or
 * the n_chosen largest in ascending order (all, where the choice takes any number). */
sn_status alpha_best(const struct alpha *a, const sn_supernet *net, sn_draft *draft, sn_error *err);

/* Leave every open used choice to its distribution. */
sn_status alpha_soften(const struct alpha *a, const sn_supernet *net, sn_draft *draft,
                       sn_error *err);

/* Standard normal, Box and Muller. */
double alpha_normal(sn_rng *rng);

/* Standard Gumbel: the largest of logits with such noise falls as their softmax says. */
double alpha_gumbel(sn_rng *rng);

#endif
