/* train.h - for whoever trains shared weights or a policy: choices that a distribution decides,
 * policies that learn, running statistics. */
#ifndef SUPERNET_TRAIN_H
#define SUPERNET_TRAIN_H

#include "supernet/supernet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- choices that a distribution decides ---------------------------------- */

/* Leave one choice to a distribution whose weights come with each run. */
sn_status sn_draft_soften(sn_draft *draft, const char *label, sn_error *err);
bool      sn_draft_is_soft(const sn_draft *draft, size_t choice);

/* A choice without a value (sn_subnet_value) is soft, or it decides about nothing that is left. */
bool sn_subnet_is_active(const sn_subnet *subnet, size_t choice);
bool sn_subnet_is_soft(const sn_subnet *subnet, size_t choice);

/* ---- policies that learn -------------------------------------------------- */

sn_status sn_policy_probs(sn_policy *policy, sn_rng *rng, size_t choice, float *ret_probs,
                          sn_error *err);
sn_status sn_policy_update(sn_policy *policy, const char *update_json, sn_error *err);
sn_status sn_policy_save(const sn_policy *policy, const sn_sink *sink, sn_error *err);
sn_status sn_policy_load(sn_policy *policy, const char *state_json, sn_error *err);

/* ---- running statistics --------------------------------------------------- */

/* A private copy of the running statistics, for training mode. */
sn_status   sn_state_create(sn_supernet *net, sn_state **ret_state, sn_error *err);
size_t      sn_state_count(const sn_state *state);
const char *sn_state_at(const sn_state *state, size_t i,
                        sn_tensor *ret_tensor); /* NULL past the end */
sn_state   *sn_state_free(sn_state *state);

#ifdef __cplusplus
}
#endif
#endif
