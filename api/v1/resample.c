/* resample: let a policy decide.
 *
 *     POST .../resample  {"policy": "path", "memo": {"width": 16}, "seed": 7, "count": 3}
 *
 * `memo` holds what is decided beforehand; the answer's memo holds every value,
 * also those of labels that the subnet does not use. `policy` is the name of an instance
 * (policies.c) or of a class; labels that it leaves to a distribution are listed as "soft". The
 * same seed gives the same subnets on every machine, and the answer says which seed it was. */
#include "http/route.h"
#include "resident/policies.h"
#include "v1/choices_json.h"

struct resample_args {
    const char      *policy;
    struct json_text memo;
    uint64_t         seed;
    int64_t          count;
    bool             publish; /* a single subnet, the way `count` was left out or 1 */
};

static enum problem_code parse(struct call *call, struct json_text body,
                               struct resample_args *ret_args)
{
    struct resample_args a = {.policy = "path", .count = 1};
    struct problem      *p = &call->problem;
    struct json_text     member[4];
    int64_t              seed = 0;

    if (api_body_members(body, "body", "policy|memo|seed|count", member, p) != P_OK ||
        api_body_text(call, member[0], "", "policy", &a.policy) != P_OK ||
        api_body_is_object(member[1], "", "memo", p) != P_OK ||
        api_body_integer(member[3], "", "count", 1, (int64_t)call->config->max_subnets, &a.count,
                         p) != P_OK ||
        api_body_integer(member[2], "", "seed", 0, INT64_MAX, &seed, p) != P_OK)
        return p->code;
    a.seed = (uint64_t)seed;
    if (!member[2].at && api_random_seed(&a.seed, p) != P_OK) return p->code;
    a.memo = member[1];
    a.publish = a.count == 1;
    *ret_args = a;
    return P_OK;
}

/* One subnet: what was set beforehand, then the policy, then sealed. */
static enum problem_code draw(struct call *call, const struct resample_args *a, sn_policy *policy,
                              sn_rng *rng, struct api_buf *memo, sn_subnet **ret_subnet)
{
    struct problem *p = &call->problem;
    struct api_buf *b = &call->body;
    sn_draft       *draft = NULL;
    sn_subnet      *subnet = NULL;
    sn_error        err = {0};
    bool            created;

    if (api_choices_draft(call, a->memo, "memo", &draft) != P_OK) return p->code;
    if (sn_policy_resample(policy, rng, draft, &err) != SN_OK)
        api_fail_library(p, &err, NULL);
    else if (api_model_seal(call->model, draft, &subnet, &created, p) == P_OK) {
        memo->n = 0;
        api_memo_write(memo, call->model->net, draft);
        api_buf_printf(b, "{\"id\": \"%s\", \"choices\": ", sn_subnet_id(subnet));
        api_choices_write(b, subnet);
        api_soft_write(b, subnet);
        api_buf_text(b, ", \"memo\": ");
        api_buf_add(b, memo->at, memo->n);
        api_buf_byte(b, '}');
        api_note(call, subnet);
    }
    sn_draft_free(draft);
    sn_subnet_unref(*ret_subnet);
    *ret_subnet = subnet;
    if (memo->failed) return api_fail_buf(p, memo, NULL);
    return b->failed ? api_fail_buf(p, b, NULL) : p->code;
}

enum problem_code api_resample(struct call *call)
{
    struct problem      *p = &call->problem;
    struct api_buf      *b = &call->body;
    struct api_buf       memo = {.account = call->account, .purpose = ACCOUNT_REQUESTS};
    sn_subnet           *last = NULL;
    struct resample_args a = {0};
    struct policy_use    use = {0};
    struct json_text     body;
    sn_rng               rng;

    if (api_body_object(call, &body) != P_OK) return p->code;
    if (parse(call, body, &a) != P_OK || api_policy_open(call, a.policy, "policy", &use) != P_OK)
        goto out;
    sn_rng_seed(&rng, a.seed);
    api_buf_text(b, "{\"subnets\": [");
    for (int64_t i = 0; i < a.count; i++) {
        if (api_call_stopped(call, "after %lld of %lld subnets", (long long)i,
                             (long long)a.count) != P_OK)
            goto out;
        if (i) api_buf_text(b, ",\n  ");
        if (draw(call, &a, use.policy, &rng, &memo, &last) != P_OK) goto out;
    }
    api_buf_text(b, "], \"memo\": "); /* of the last, which is the only one as a rule */
    api_buf_add(b, memo.at, memo.n);
    api_buf_text(b, ", \"policy\": ");
    api_buf_string(b, a.policy);
    api_buf_printf(b, ", \"seed\": %llu, \"version\": %llu}\n", (unsigned long long)a.seed,
                   (unsigned long long)call->model->version);
    if (a.publish && api_body_is_whole(call)) api_model_publish(call->model, last);
out:
    sn_subnet_unref(last);
    if (use.policy) api_policy_close(&use);
    api_buf_fini(&memo);
    return p->code;
}
