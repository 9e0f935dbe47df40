/* budget: who pays for what a call makes, and who may stop it. */
#ifndef API_HTTP_BUDGET_H
#define API_HTTP_BUDGET_H

#include "account.h"
#include "http/problem.h"

struct budget {
    struct account    *account;
    const atomic_bool *stop; /* NULL: nobody */
};

/* Bytes that a call is offered first, before it may take all there is. */
enum { BUDGET_USUAL = 8 << 20 };

/* What the library asks; `cls` is the flag. */
bool api_budget_stopped(void *cls);

/* SN_E_LIMIT of a call that was given `got` bytes, and would have been given `most`: the call's own
 * limit, or the account's, now or for ever. Other errors as api_fail_library(). */
enum problem_code api_fail_budget(struct problem *p, const struct budget *b,
                                  enum account_purpose purpose, size_t got, size_t most,
                                  const sn_error *err, const char *what);

/* ---- policies: sn_policy with its memory charged ---- */

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
