/* policy: an instance of a policy class over one supernet. Its state belongs to
 * whoever created it, never to the supernet. */
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "model/model.h"
#include "supernet/host.h"
#include "supernet/op.h"
#include "supernet/train.h"

enum { POLICY_BYTES = 256 << 20 };

/* The state lies behind it: what a class is given leads back to the budget of its instance. */
struct sn_policy {
    sn_supernet           *net;
    const sn_policy_class *cls;
    struct budget          budget;
    _Alignas(16) unsigned char state[];
};

static struct sn_policy *of_state(const void *state)
{
    return (struct sn_policy *)((uintptr_t)state - offsetof(struct sn_policy, state));
}

SN_EXPORT bool sn_policy_charge(void *state, size_t n_bytes)
{
    return budget_take(&of_state(state)->budget, n_bytes);
}

SN_EXPORT void sn_policy_discharge(void *state, size_t n_bytes)
{
    budget_give(&of_state(state)->budget, n_bytes);
}

SN_EXPORT bool sn_policy_go_on(const void *state, uint64_t n_steps)
{
    return budget_spend(&of_state(state)->budget, n_steps);
}

SN_EXPORT void sn_policy_limits(sn_policy *policy, const sn_limits *limits)
{
    const size_t held = policy->budget.n_bytes;
    sn_limits    l;

    options_read(&l, sizeof l, limits);
    policy->budget =
        budget_of(l.stop, l.stop_cls, l.memory_limit_bytes ? l.memory_limit_bytes : POLICY_BYTES,
                  l.step_limit);
    policy->budget.n_bytes = held;
    if (policy->budget.limit_bytes < held) policy->budget.limit_bytes = held;
}

SN_EXPORT size_t sn_policy_bytes(const sn_policy *policy)
{
    return policy->budget.n_bytes;
}

/* Steps are counted by the call. */
static void begin(sn_policy *p)
{
    p->budget.n_steps = p->budget.ask_at = 0;
    p->budget.end = BUDGET_OPEN;
}

/* What a call returned, in the words of the library. */
static sn_status settle(sn_policy *p, sn_status rc, sn_error *err)
{
    return budget_settle(&p->budget, fail_foreign(err, rc, "policy", p->cls->name), err);
}

static const sn_policy_class *find_class(const sn_registry *reg, const char *name)
{
    const sn_policy_class *cls;

    for (size_t i = 0; (cls = sn_registry_policy_at(reg, i)); i++)
        if (!strcmp(cls->name, name)) return cls;
    return NULL;
}

static sn_status fail_unknown(const sn_registry *reg, const char *name, sn_error *err)
{
    const sn_policy_class *cls;
    struct text            t = {0};
    sn_status              rc;

    for (size_t i = 0; (cls = sn_registry_policy_at(reg, i)); i++)
        text_printf(&t, "%s%s", i ? ", " : "", cls->name);
    rc = sn_fail(err, SN_E_UNKNOWN_NAME, "policy", "no policy is named \"%s\"; there are %s", name,
                 t.at ? t.at : "none");
    free(t.at);
    return rc;
}

SN_EXPORT sn_status sn_policy_create_with(sn_supernet *net, const char *name,
                                          const char *options_json, const sn_limits *limits,
                                          sn_policy **ret_policy, sn_error *err)
{
    const sn_policy_class *cls = find_class(net->registry, name);
    size_t                 n_bytes;
    sn_policy             *p;
    sn_status              rc;

    if (!cls) return fail_unknown(net->registry, name, err);
    if (__builtin_add_overflow(sizeof *p + 1, cls->state_bytes, &n_bytes))
        return fail_no_memory(err, "policy");
    p = calloc(1, n_bytes);
    if (!p) return fail_no_memory(err, "policy");
    p->cls = cls;
    p->net = sn_supernet_ref(net);
    p->budget.n_bytes = n_bytes;
    sn_policy_limits(p, limits);
    rc = cls->init ? cls->init(p->state, net, options_json, err) : SN_OK;
    rc = settle(p, rc, err);
    if (rc)
        sn_policy_free(p);
    else
        *ret_policy = p;
    return rc;
}

SN_EXPORT sn_status sn_policy_create(sn_supernet *net, const char *name, const char *options_json,
                                     sn_policy **ret_policy, sn_error *err)
{
    return sn_policy_create_with(net, name, options_json, NULL, ret_policy, err);
}

SN_EXPORT const char *sn_policy_name(const sn_policy *policy)
{
    return policy->cls->name;
}

SN_EXPORT sn_policy *sn_policy_free(sn_policy *policy)
{
    if (policy) {
        if (policy->cls->fini) policy->cls->fini(policy->state);
        sn_supernet_unref(policy->net);
        free(policy);
    }
    return NULL;
}

static sn_status fail_lacks(const sn_policy *p, const char *what, sn_error *err)
{
    return sn_fail(err, SN_E_UNSUPPORTED, "policy", "policy \"%s\" has no %s", p->cls->name, what);
}

typedef sn_status decide(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                         sn_error *err);

/* Let it decide; a draft whose policy fails is open again where it was. */
static sn_status run_decide(sn_policy *p, decide *f, sn_rng *rng, sn_draft *draft, sn_error *err)
{
    const sn_supernet *net = p->net;
    bool              *open = malloc(net->n_choices + 1);
    sn_status          rc;

    if (!open) return fail_no_memory(err, "policy");
    for (size_t i = 0; i < net->n_choices; i++)
        open[i] = !sn_draft_get(draft, i) && !sn_draft_is_soft(draft, i);
    begin(p);
    rc = settle(p, f(p->state, net, rng, draft, err), err);
    for (size_t i = 0; rc != SN_OK && i < net->n_choices; i++)
        if (open[i]) sn_draft_clear(draft, net->choice[i].label, NULL);
    free(open);
    return rc;
}

SN_EXPORT sn_status sn_policy_resample(sn_policy *policy, sn_rng *rng, sn_draft *draft,
                                       sn_error *err)
{
    return run_decide(policy, policy->cls->resample, rng, draft, err);
}

SN_EXPORT sn_status sn_policy_best(sn_policy *policy, sn_rng *rng, sn_draft *draft, sn_error *err)
{
    if (!policy->cls->best) return sn_policy_resample(policy, rng, draft, err);
    return run_decide(policy, policy->cls->best, rng, draft, err);
}

SN_EXPORT sn_status sn_policy_probs(sn_policy *policy, sn_rng *rng, size_t choice, float *ret_probs,
                                    sn_error *err)
{
    if (!policy->cls->probs) return fail_lacks(policy, "probabilities", err);
    begin(policy);
    return settle(policy,
                  policy->cls->probs(policy->state, policy->net, rng, choice, ret_probs, err), err);
}

SN_EXPORT sn_status sn_policy_update(sn_policy *policy, const char *update_json, sn_error *err)
{
    if (!policy->cls->update) return fail_lacks(policy, "state to update", err);
    if (!update_json) return sn_fail(err, SN_E_INVALID, "policy", "there is no update");
    begin(policy);
    return settle(policy, policy->cls->update(policy->state, policy->net, update_json, err), err);
}

SN_EXPORT sn_status sn_policy_save(const sn_policy *policy, const sn_sink *sink, sn_error *err)
{
    if (!policy->cls->save) return fail_lacks(policy, "state to save", err);
    begin((sn_policy *)policy); /* its budget is no part of what is saved */
    return settle((sn_policy *)policy, policy->cls->save(policy->state, policy->net, sink, err),
                  err);
}

SN_EXPORT sn_status sn_policy_load(sn_policy *policy, const char *state_json, sn_error *err)
{
    if (!policy->cls->load) return fail_lacks(policy, "state to load", err);
    if (!state_json) return sn_fail(err, SN_E_INVALID, "policy", "there is no state");
    begin(policy);
    return settle(policy, policy->cls->load(policy->state, policy->net, state_json, err), err);
}

SN_EXPORT bool sn_policy_is_movable(const sn_policy *policy)
{
    return policy->cls->movable;
}

SN_EXPORT sn_status sn_policy_move(sn_policy *policy, sn_supernet *net, sn_error *err)
{
    sn_supernet *const old = policy->net;

    if (!policy->cls->movable)
        return sn_fail(err, SN_E_UNSUPPORTED, "policy", "policy \"%s\" cannot be moved",
                       policy->cls->name);
    if (net->registry != old->registry || memcmp(net->digest, old->digest, sizeof net->digest) != 0)
        return sn_fail(err, SN_E_INVALID, "policy", "the supernet is of another document");
    policy->net = sn_supernet_ref(net);
    sn_supernet_unref(old);
    return SN_OK;
}
