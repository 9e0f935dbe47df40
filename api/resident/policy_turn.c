/* policy_turn: see policy_turn.h. Before a call as much is charged as it may take at most, if there
 * is that much; behind it what the policy really holds stays charged. */
#include "resident/policy_turn.h"
#include "supernet/host.h"

static sn_limits limits_of(const struct budget *b, size_t memory_limit_bytes)
{
    return (sn_limits){.size = sizeof(sn_limits),
                       .stop = b->stop ? api_budget_stopped : NULL,
                       .stop_cls = (void *)b->stop,
                       .memory_limit_bytes = memory_limit_bytes ? memory_limit_bytes : 1};
}

/* One try with at most `most` bytes. */
static sn_status create(const struct budget *b, sn_supernet *net, const char *cls,
                        const char *options, size_t most, size_t *ret_got, sn_policy **ret_policy,
                        sn_error *err)
{
    const size_t got =
        account_reserve(b->account, ACCOUNT_POLICIES, most, most > BUDGET_USUAL ? 1 : 2);
    const sn_limits limits = limits_of(b, got);
    const sn_status rc = sn_policy_create_with(net, cls, options, &limits, ret_policy, err);

    account_settle(b->account, ACCOUNT_POLICIES, got,
                   rc == SN_OK ? sn_policy_bytes(*ret_policy) : 0);
    *ret_got = got;
    return rc;
}

enum problem_code api_policy_create(const struct budget *b, sn_supernet *net, const char *cls,
                                    const char *options, sn_policy **ret_policy,
                                    size_t *ret_charged, struct problem *p)
{
    sn_policy *policy = NULL;
    sn_error   err = {0};
    size_t     got;
    sn_status  rc = create(b, net, cls, options, BUDGET_USUAL, &got, &policy, &err);

    if (rc == SN_E_LIMIT) { /* most are small; what is not does not keep others waiting before */
        err = (sn_error){0};
        rc = create(b, net, cls, options, POLICY_BYTES, &got, &policy, &err);
    }
    if (rc != SN_OK)
        return api_fail_budget(p, b, ACCOUNT_POLICIES, got, POLICY_BYTES, &err, "the policy");
    sn_policy_limits(policy, NULL); /* the flag does not outlive the call */
    *ret_charged = sn_policy_bytes(policy);
    *ret_policy = policy;
    return P_OK;
}

struct policy_turn api_policy_begin(const struct budget *b, sn_policy *policy, size_t *charged,
                                    size_t more)
{
    const size_t       got = account_reserve(b->account, ACCOUNT_POLICIES, more, 2);
    const sn_limits    limits = limits_of(b, *charged + got);
    struct policy_turn t = {b, policy, charged, more, got};

    sn_policy_limits(policy, &limits);
    return t;
}

void api_policy_end(struct policy_turn *t)
{
    const size_t held = sn_policy_bytes(t->policy);

    sn_policy_limits(t->policy, NULL);
    account_settle(t->budget->account, ACCOUNT_POLICIES, *t->charged + t->got, held);
    *t->charged = held;
}

enum problem_code api_fail_policy(struct problem *p, const struct policy_turn *t,
                                  const sn_error *err, const char *where)
{
    if (where && err->code != SN_E_LIMIT) return api_fail_library(p, err, where);
    return api_fail_budget(p, t->budget, ACCOUNT_POLICIES, t->got, t->most, err, "the policy");
}

sn_policy *api_policy_destroy(struct account *a, sn_policy *policy, size_t charged)
{
    sn_policy_free(policy);
    account_discharge(a, ACCOUNT_POLICIES, charged);
    return NULL;
}
