/* forward/decide: from what a request says to the subnets that it runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supernet/host.h"
#include "supernet/train.h"
#include "v1/forward/forward.h"

static struct problem *problem(struct forward *f)
{
    return &f->call->problem;
}

enum problem_code api_forward_add(struct forward *f, sn_subnet *subnet)
{
    sn_subnet **more;

    /* Each is charged, also those that are remembered: they may be forgotten meanwhile. The first
     * is the worker's, as its scratch memory is. */
    if (f->n_subnets > 0 &&
        api_call_charge(f->call, sn_subnet_bytes(subnet), "the subnets of one call") != P_OK) {
        sn_subnet_unref(subnet);
        return problem(f)->code;
    }
    more = realloc(f->subnet, (f->n_subnets + 1) * sizeof *more);
    if (!more) {
        sn_subnet_unref(subnet);
        return api_fail_memory(problem(f));
    }
    f->subnet = more;
    f->subnet[f->n_subnets++] = subnet;
    return P_OK;
}

static enum problem_code one_id(struct forward *f, const char *id, const char *where,
                                enum problem_code if_unknown)
{
    sn_subnet *subnet;

    if (api_choices_find(f->call->model, id, where, if_unknown, &subnet, problem(f)) != P_OK)
        return problem(f)->code;
    return api_forward_add(f, subnet);
}

static enum problem_code one_choices(struct forward *f, struct json_text choices, const char *where)
{
    const struct completion none = {0};
    sn_subnet              *subnet;
    bool                    created;

    if (api_json_first(choices) != '{')
        return api_fail(problem(f), P_INVALID, where, "must be an object {label: value}, not %s",
                        api_json_kind(choices));
    if (api_choices_subnet(f->call, choices, where, &none, &subnet, &created) != P_OK)
        return problem(f)->code;
    return api_forward_add(f, subnet);
}

static enum problem_code list(struct forward *f, struct json_text list, const char *where)
{
    struct problem  *p = problem(f);
    const size_t     max = f->call->config->max_subnets;
    struct json_walk w;
    struct json_text item;
    size_t           n;

    if (api_json_first(list) != '[')
        return api_fail(p, P_INVALID, where, "must be an array of ids or choices, not %s",
                        api_json_kind(list));
    n = api_json_count(list);
    if (n == 0) return api_fail(p, P_INVALID, where, "is empty");
    if (n > max)
        return api_fail(p, P_LIMIT, where,
                        "%zu subnets are above the limit of %zu, which --max-subnets sets", n, max);
    f->several = true;
    w = api_json_walk(list);
    for (size_t i = 0; api_json_item(&w, &item); i++) {
        char              place[64];
        enum problem_code rc;

        snprintf(place, sizeof place, "%s[%zu]", where, i);
        if (api_call_stopped(f->call, "after %zu of %zu subnets were read", i, n) != P_OK)
            return p->code;
        if (api_json_first(item) == '"') {
            const char *id = api_body_decode(f->call, item);

            rc = id ? one_id(f, id, place, P_UNKNOWN_SUBNET) : p->code;
        } else if (api_json_first(item) == '{') {
            rc = one_choices(f, item, place);
        } else {
            rc = api_fail(p, P_INVALID, place, "must be an id or an object of choices, not %s",
                          api_json_kind(item));
        }
        if (rc != P_OK) return rc;
    }
    return P_OK;
}

/* Distributions need weights, and only a policy or logits have them. */
static enum problem_code check_soft(struct forward *f)
{
    const sn_supernet *net = f->call->model->net;

    for (size_t i = 0; !f->probs && i < f->n_subnets; i++)
        for (size_t k = 0; k < sn_supernet_n_choices(net); k++)
            if (sn_subnet_is_soft(f->subnet[i], k))
                return api_fail(problem(f), P_UNDECIDED, "subnet",
                                "choice '%s' of subnet %s follows a distribution; name a policy or "
                                "send alpha with the request",
                                sn_supernet_choice(net, k)->label, sn_subnet_id(f->subnet[i]));
    return P_OK;
}

static enum problem_code check_version(struct forward *f)
{
    const struct model *m = f->call->model;
    const struct said  *said = &f->request.said[SAID_VERSION];

    if (!api_forward_is_said(&f->request, SAID_VERSION) || (uint64_t)said->number == m->version)
        return P_OK;
    return api_fail(&f->call->problem, P_STALE, api_forward_where(&f->request, SAID_VERSION),
                    "version %lld of supernet '%s' is not served, version %llu is",
                    (long long)said->number, m->name, (unsigned long long)m->version);
}

static enum problem_code read_mode(struct forward *f)
{
    const char *mode = f->request.said[SAID_MODE].text;

    if (!mode) return P_OK;
    if (strcmp(mode, "eval") != 0 && strcmp(mode, "train") != 0)
        return api_fail(&f->call->problem, P_INVALID, api_forward_where(&f->request, SAID_MODE),
                        "'%.200s' is neither eval nor train", mode);
    f->train = mode[0] == 't';
    return P_OK;
}

/* What contradicts itself, wherever its parts were said. */
static enum problem_code check_together(struct forward *f)
{
    struct problem *p = &f->call->problem;
    const bool      decided = api_forward_is_said(&f->request, SAID_POLICY) ||
                         api_forward_is_said(&f->request, SAID_ALPHA);

    if (api_forward_is_said(&f->request, SAID_SUBNET) +
            api_forward_is_said(&f->request, SAID_CHOICES) +
            api_forward_is_said(&f->request, SAID_SUBNETS) >
        1)
        return api_fail(p, P_INVALID,
                        f->request.said[SAID_SUBNET].in == IN_QUERY       ? "subnet"
                        : f->request.said[SAID_CHOICES].in == IN_METADATA ? "__metadata__"
                                                                          : "body",
                        "only one of subnet, choices and subnets can say what to run");
    if (api_forward_is_said(&f->request, SAID_POLICY) &&
        api_forward_is_said(&f->request, SAID_ALPHA))
        return api_fail(p, P_INVALID, "policy", "only one of policy and alpha can decide");
    if (api_forward_is_said(&f->request, SAID_SUBNETS) && decided)
        return api_fail(p, P_INVALID, "subnets", "a policy decides one subnet, not a list");
    if (api_forward_is_said(&f->request, SAID_SEED) &&
        !api_forward_is_said(&f->request, SAID_POLICY))
        return api_fail(p, P_INVALID, api_forward_where(&f->request, SAID_SEED),
                        "a seed is for a policy, and none is named");
    return P_OK;
}

static enum problem_code decide(struct forward *f)
{
    const struct said    *said = f->request.said;
    struct forward_policy how = {.name = said[SAID_POLICY].text,
                                 .id = said[SAID_SUBNET].text,
                                 .alpha = said[SAID_ALPHA].json,
                                 .choices = said[SAID_CHOICES].json,
                                 .has_seed = api_forward_is_said(&f->request, SAID_SEED),
                                 .seed = (uint64_t)said[SAID_SEED].number,
                                 .where_name = api_forward_where(&f->request, SAID_POLICY),
                                 .where_id = api_forward_where(&f->request, SAID_SUBNET),
                                 .where_alpha = api_forward_where(&f->request, SAID_ALPHA),
                                 .where_choices = api_forward_where(&f->request, SAID_CHOICES)};

    /* 404 is for what the URL names. */
    how.if_unknown = said[SAID_SUBNET].in == IN_QUERY ? P_NO_SUBNET : P_UNKNOWN_SUBNET;
    if (check_version(f) != P_OK || read_mode(f) != P_OK || check_together(f) != P_OK)
        return f->call->problem.code;
    if (how.name || how.alpha.at) return api_forward_policy(f, &how);
    if (how.choices.at) return one_choices(f, how.choices, how.where_choices);
    if (api_forward_is_said(&f->request, SAID_SUBNETS))
        return list(f, said[SAID_SUBNETS].json, api_forward_where(&f->request, SAID_SUBNETS));
    return one_id(f, how.id, how.where_id, how.if_unknown); /* NULL: the current one */
}

enum problem_code api_forward_decide(struct forward *f)
{
    return decide(f) == P_OK ? check_soft(f) : problem(f)->code;
}
