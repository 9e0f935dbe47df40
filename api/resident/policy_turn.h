/* policy_turn: policies of the library, with their memory charged. */
#ifndef API_RESIDENT_POLICY_TURN_H
#define API_RESIDENT_POLICY_TURN_H

#include "http/budget.h"

/* A new one. *ret_charged is what it holds, for the calls below. */
enum problem_code api_policy_create(const struct budget *b, sn_supernet *net, const char *cls,
                                    const char *options, sn_policy **ret_policy,
                                    size_t *ret_charged, struct problem *p);

/* Around calls of the library: they may take up to `more` bytes, and stop. */
struct policy_turn {
    const struct budget *budget;
    sn_policy           *policy;
    size_t              *charged, most, got;
};
enum { POLICY_DRAWS = 4 << 20, POLICY_LEARNS = 16 << 20, POLICY_BYTES = 256 << 20 };

struct policy_turn api_policy_begin(const struct budget *b, sn_policy *policy, size_t *charged,
                                    size_t more);
void               api_policy_end(struct policy_turn *t);

/* Why a call in between failed. */
enum problem_code api_fail_policy(struct problem *p, const struct policy_turn *t,
                                  const sn_error *err, const char *where);

/* Ends the policy and its charge; NULL. */
sn_policy *api_policy_destroy(struct account *a, sn_policy *policy, size_t charged);

#endif
