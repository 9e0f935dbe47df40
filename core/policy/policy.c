/* policy: an instance of a policy class over one supernet. Its state belongs to
 * whoever created it, never to the supernet. */
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

struct sn_policy {
    sn_supernet           *net;
    const sn_policy_class *cls;
    void                  *state;
};

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

SN_EXPORT sn_status sn_policy_create(sn_supernet *net, const char *name, const char *options_json,
                                     sn_policy **ret_policy, sn_error *err)
{
    const sn_policy_class *cls = find_class(net->registry, name);
    sn_policy             *p;
    sn_status              rc;

    if (!cls) return fail_unknown(net->registry, name, err);
    p = calloc(1, sizeof *p);
    if (p) p->state = calloc(1, cls->state_bytes + 1);
    if (!p || !p->state) {
        free(p);
        return fail_no_memory(err, "policy");
    }
    p->cls = cls;
    p->net = sn_supernet_ref(net);
    rc = cls->init ? cls->init(p->state, net, options_json, err) : SN_OK;
    if (rc)
        sn_policy_free(p);
    else
        *ret_policy = p;
    return rc;
}

SN_EXPORT const char *sn_policy_name(const sn_policy *policy)
{
    return policy->cls->name;
}

SN_EXPORT sn_policy *sn_policy_free(sn_policy *policy)
{
    if (policy) {
        if (policy->cls->fini) policy->cls->fini(policy->state);
        free(policy->state);
        sn_supernet_unref(policy->net);
        free(policy);
    }
    return NULL;
}

static sn_status fail_lacks(const sn_policy *p, const char *what, sn_error *err)
{
    return sn_fail(err, SN_E_UNSUPPORTED, "policy", "policy \"%s\" has no %s", p->cls->name, what);
}

SN_EXPORT sn_status sn_policy_resample(sn_policy *policy, sn_rng *rng, sn_draft *draft,
                                       sn_error *err)
{
    return policy->cls->resample(policy->state, policy->net, rng, draft, err);
}

SN_EXPORT sn_status sn_policy_best(sn_policy *policy, sn_rng *rng, sn_draft *draft, sn_error *err)
{
    if (!policy->cls->best) return sn_policy_resample(policy, rng, draft, err);
    return policy->cls->best(policy->state, policy->net, rng, draft, err);
}

SN_EXPORT sn_status sn_policy_probs(sn_policy *policy, sn_rng *rng, size_t choice, float *ret_probs,
                                    sn_error *err)
{
    if (!policy->cls->probs) return fail_lacks(policy, "probabilities", err);
    return policy->cls->probs(policy->state, policy->net, rng, choice, ret_probs, err);
}

SN_EXPORT sn_status sn_policy_update(sn_policy *policy, const char *update_json, sn_error *err)
{
    if (!policy->cls->update) return fail_lacks(policy, "state to update", err);
    return policy->cls->update(policy->state, policy->net, update_json, err);
}

SN_EXPORT sn_status sn_policy_save(const sn_policy *policy, const sn_sink *sink, sn_error *err)
{
    if (!policy->cls->save) return fail_lacks(policy, "state to save", err);
    return policy->cls->save(policy->state, policy->net, sink, err);
}

SN_EXPORT sn_status sn_policy_load(sn_policy *policy, const char *state_json, sn_error *err)
{
    if (!policy->cls->load) return fail_lacks(policy, "state to load", err);
    return policy->cls->load(policy->state, policy->net, state_json, err);
}
