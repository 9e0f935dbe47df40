/* forward/policy: what runs is for a policy to say.
 *
 *     {"policy": "p", "choices": {...}, "seed": 7}    choices fix some labels; the policy decides
 *                                                     the rest, or leaves it to a distribution
 *     {"alpha": {"width": [0.1, 0]}, "choices": {...}}  softmax of these logits, for this request
 *     {"policy" or "alpha", "subnet": id}             the weights of a subnet that is soft already
 *
 * The policy is held while it decides and gives its weights, not while the subnet runs. The
 * weights are inputs of the run: new ones compile nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resident/policies.h"
#include "supernet/train.h"
#include "v1/forward/forward.h"

static enum problem_code open_inline(struct forward *f, struct json_text alpha, const char *where,
                                     struct policy_use *ret_use)
{
    struct problem *p = &f->call->problem;
    const char     *text = api_body_document(f->call, "{\"alpha\": ", alpha, "}");
    char            place[256];

    if (!text) return p->code;
    if (api_policy_open_own(f->call, "differentiable", text, ret_use) != P_OK &&
        api_problem_status(p->code) == 422) { /* about a label of alpha, or all of it */
        snprintf(place, sizeof place, "%s.%.160s", where, p->where);
        snprintf(p->where, sizeof p->where, "%s", strcmp(p->where, "alpha") ? place : where);
    }
    return p->code;
}

/* Inline logits soften what they name, and nothing else. */
static enum problem_code soften(struct forward *f, struct json_text alpha, const char *where,
                                sn_draft *draft)
{
    struct problem  *p = &f->call->problem;
    struct json_walk w = api_json_walk(alpha);
    struct json_text name, logits;
    sn_error         err = {0};

    while (api_json_member(&w, &name, &logits)) {
        const char *label = api_body_decode(f->call, name);
        char        place[256];
        size_t      i;

        if (!label) return p->code;
        snprintf(place, sizeof place, "%s.%.160s", where, label);
        if (sn_supernet_find_choice(f->call->model->net, label, &i) && sn_draft_get(draft, i))
            return api_fail(p, P_INVALID, place, "'%s' is set by choices as well", label);
        if (sn_draft_soften(draft, label, &err) != SN_OK) return api_fail_library(p, &err, place);
    }
    return P_OK;
}

/* Decide and seal. */
static enum problem_code decide(struct forward *f, const struct forward_policy *how,
                                struct policy_use *use, sn_rng *rng, sn_subnet **ret_subnet)
{
    struct problem *p = &f->call->problem;
    sn_draft       *draft = NULL;
    sn_error        err = {0};
    bool            created;

    if (api_choices_draft(f->call, how->choices, how->where_choices, &draft) != P_OK)
        return p->code;
    if (how->alpha.at)
        soften(f, how->alpha, how->where_alpha, draft);
    else if (sn_policy_resample(use->policy, rng, draft, &err) != SN_OK)
        api_fail_library(p, &err, NULL);
    if (p->code == P_OK) api_model_seal(f->call->model, draft, ret_subnet, &created, p);
    sn_draft_free(draft);
    return p->code;
}

/* The weights of every soft choice. */
static enum problem_code weigh(struct forward *f, const sn_subnet *subnet, struct policy_use *use,
                               sn_rng *rng)
{
    const sn_supernet *net = f->call->model->net;
    struct problem    *p = &f->call->problem;
    const size_t       n = sn_supernet_n_choices(net);
    sn_error           err = {0};
    size_t             n_weights = 0;
    float             *at;

    for (size_t i = 0; i < n; i++)
        if (sn_subnet_is_soft(subnet, i)) n_weights += sn_supernet_choice(net, i)->n_candidates;
    f->probs = calloc(n + 1, sizeof *f->probs);
    f->weights_of_probs = at = calloc(n_weights + 1, sizeof *at);
    if (!f->probs || !at) return api_fail_memory(p);
    for (size_t i = 0; i < n; i++) {
        if (!sn_subnet_is_soft(subnet, i)) continue;
        if (sn_policy_probs(use->policy, rng, i, at, &err) != SN_OK)
            return api_fail_library(p, &err, NULL);
        f->probs[i] = at;
        at += sn_supernet_choice(net, i)->n_candidates;
    }
    return P_OK;
}

/* Labels of a soft subnet that inline logits do not name would follow logits of nobody, and logits
 * of what a subnet has decided would pass for something. */
static enum problem_code check_alpha(struct forward *f, const struct forward_policy *how,
                                     const sn_subnet *subnet)
{
    const sn_supernet *net = f->call->model->net;
    struct json_walk   w;
    struct json_text   name, logits;
    bool              *named;

    if (!how->alpha.at) return P_OK;
    named = api_call_alloc(f->call, sn_supernet_n_choices(net) + 1);
    if (!named) return f->call->problem.code;
    w = api_json_walk(how->alpha);
    while (api_json_member(&w, &name, &logits)) {
        const char *label = api_body_decode(f->call, name);
        size_t      i;

        if (!label) return f->call->problem.code;
        if (!sn_supernet_find_choice(net, label, &i)) continue;
        if (how->id && sn_subnet_value(subnet, i))
            return api_fail(&f->call->problem, P_INVALID, how->where_alpha,
                            "'%.128s' is decided in subnet %s, so that logits change nothing; send "
                            "choices without it",
                            label, sn_subnet_id(subnet));
        named[i] = true;
    }
    for (size_t i = 0; i < sn_supernet_n_choices(net); i++)
        if (sn_subnet_is_soft(subnet, i) && !named[i])
            return api_fail(&f->call->problem, P_UNDECIDED, how->where_alpha,
                            "choice '%s' of the subnet follows a distribution; it needs logits",
                            sn_supernet_choice(net, i)->label);
    return P_OK;
}

enum problem_code api_forward_policy(struct forward *f, const struct forward_policy *how)
{
    struct problem   *p = &f->call->problem;
    struct policy_use use;
    sn_subnet        *subnet = NULL;
    uint64_t          seed = how->seed;
    sn_rng            rng;

    if (how->alpha.at && api_json_first(how->alpha) != '{')
        return api_fail(p, P_INVALID, how->where_alpha, "must be an object {label: [logits]}");
    if (how->choices.at && api_json_first(how->choices) != '{')
        return api_fail(p, P_INVALID, how->where_choices, "must be an object {label: value}");
    if (!how->has_seed && api_random_seed(&seed, p) != P_OK) return p->code;
    sn_rng_seed(&rng, seed);
    if ((how->alpha.at ? open_inline(f, how->alpha, how->where_alpha, &use)
                       : api_policy_open(f->call, how->name, how->where_name, &use)) != P_OK)
        return p->code;
    if ((how->id
             ? api_choices_find(f->call->model, how->id, how->where_id, how->if_unknown, &subnet, p)
             : decide(f, how, &use, &rng, &subnet)) == P_OK &&
        check_alpha(f, how, subnet) == P_OK)
        weigh(f, subnet, &use, &rng);
    api_policy_close(&use);
    if (p->code != P_OK) {
        sn_subnet_unref(subnet);
        return p->code;
    }
    return api_forward_add(f, subnet);
}
