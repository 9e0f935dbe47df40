/* choices_json: JSON values keep their kind (2, 2.0 and true are three values);
 * what equals which candidate is for the library to say. */
#include "v1/choices_json.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "resident/policies.h"
#include "supernet/host.h"
#include "supernet/train.h"

enum { MAX_TUPLE_DEPTH = 4 };

/* Memory for one set of choices, charged while it is read. */
struct reader {
    struct call *call;
    sn_arena    *mem;
    size_t       charged;
};

static void *take(struct reader *r, size_t n)
{
    struct account *a = r->call->account;
    void           *at;

    if (!account_charge(a, ACCOUNT_REQUESTS, n)) {
        api_fail_room(&r->call->problem, a, ACCOUNT_REQUESTS, n, "a set of choices");
        return NULL;
    }
    r->charged += n;
    at = sn_arena_alloc(r->mem, n);
    if (!at) api_fail_memory(&r->call->problem);
    return at;
}

static const char *take_text(struct reader *r, struct json_text string)
{
    char *to = take(r, api_json_room(string));

    if (to) api_json_decode(string, to);
    return to;
}

static enum problem_code value_of(struct reader *r, struct json_text json, int depth,
                                  const char *where, sn_value *ret_value);

static enum problem_code tuple_of(struct reader *r, struct json_text json, int depth,
                                  const char *where, sn_value *ret_value)
{
    struct problem  *p = &r->call->problem;
    struct json_walk w = api_json_walk(json);
    struct json_text item;
    size_t           n = 0;
    sn_value        *at;

    if (depth == MAX_TUPLE_DEPTH)
        return api_fail(p, P_NOT_CANDIDATE, where, "lists are nested too deeply");
    at = take(r, (api_json_count(json) + 1) * sizeof *at);
    if (!at) return p->code;
    while (api_json_item(&w, &item))
        if (value_of(r, item, depth + 1, where, &at[n++]) != P_OK) return p->code;
    ret_value->kind = SN_KIND_TUPLE;
    ret_value->as.tuple.item = at;
    ret_value->as.tuple.n = n;
    return P_OK;
}

static enum problem_code value_of(struct reader *r, struct json_text json, int depth,
                                  const char *where, sn_value *ret_value)
{
    sn_value v = {0};

    switch (api_json_first(json)) {
    case 'n':
        v.kind = SN_KIND_NULL;
        break;
    case 't':
    case 'f':
        v.kind = SN_KIND_BOOL;
        v.as.boolean = *json.at == 't';
        break;
    case '"':
        v.kind = SN_KIND_TEXT;
        v.as.text = take_text(r, json);
        if (!v.as.text) return r->call->problem.code;
        break;
    case '[':
        if (tuple_of(r, json, depth, where, &v) != P_OK) return r->call->problem.code;
        break;
    case '{':
        return api_fail(&r->call->problem, P_NOT_CANDIDATE, where,
                        "an object is no value of a choice");
    default:
        v.kind = SN_KIND_INT;
        if (api_json_integer(json, &v.as.integer)) break;
        v.kind = SN_KIND_FLOAT;
        v.as.real = api_json_real(json);
    }
    *ret_value = v;
    return P_OK;
}

/* Each label of the object once. */
static enum problem_code read_choices(struct reader *r, struct json_text choices, const char *where,
                                      sn_draft *draft)
{
    const sn_supernet *net = r->call->model->net;
    struct problem    *p = &r->call->problem;
    struct json_walk   w = api_json_walk(choices);
    struct json_text   name, json;
    sn_error           err = {0};
    bool              *seen = take(r, sn_supernet_n_choices(net) + 1);

    if (!seen) return p->code;
    while (api_json_member(&w, &name, &json)) {
        const char *label = take_text(r, name);
        char        path[256];
        size_t      i;
        sn_value    value;

        if (!label) return p->code;
        snprintf(path, sizeof path, "%s.%.200s", where, label);
        if (sn_supernet_find_choice(net, label, &i)) {
            if (seen[i]) return api_fail(p, P_SYNTAX, path, "is given twice: a duplicate");
            seen[i] = true;
        }
        if (value_of(r, json, 0, path, &value) != P_OK) return p->code;
        if (sn_draft_set(draft, label, &value, &err) != SN_OK)
            return api_fail_library(p, &err, path);
    }
    return P_OK;
}

enum problem_code api_choices_draft(struct call *call, struct json_text choices, const char *where,
                                    sn_draft **ret_draft)
{
    struct problem *p = &call->problem;
    struct reader   r = {.call = call, .mem = sn_arena_create()};
    sn_draft       *draft = NULL;
    sn_error        err = {0};
    const sn_limits limits = {.size = sizeof limits,
                              .stop = call->req->stop ? api_budget_stopped : NULL,
                              .stop_cls = (void *)call->req->stop};

    if (!r.mem)
        api_fail_memory(p);
    else if (sn_draft_create(call->model->net, &draft, &err) != SN_OK)
        api_fail_library(p, &err, NULL);
    else if (choices.at)
        read_choices(&r, choices, where, draft);
    if (draft) sn_draft_limits(draft, &limits);
    if (p->code == P_OK)
        *ret_draft = draft;
    else
        sn_draft_free(draft);
    sn_arena_free(r.mem);
    account_discharge(call->account, ACCOUNT_REQUESTS, r.charged);
    return p->code;
}

enum problem_code api_completion_parse(struct call *call, struct json_text json, const char *where,
                                       struct completion *ret_completion)
{
    struct problem   *p = &call->problem;
    struct completion c = {.asked = true, .policy = "path"};
    struct json_text  member[2];
    int64_t           seed = 0;

    if (!json.at) {
        *ret_completion = (struct completion){0};
        return P_OK;
    }
    if (api_json_first(json) == '"' && api_json_equals(json, "current")) {
        c.policy = NULL;
    } else if (api_json_first(json) == '{') {
        if (api_body_members(json, where, "policy|seed", member, p) != P_OK ||
            api_body_text(call, member[0], where, "policy", &c.policy) != P_OK ||
            api_body_integer(member[1], where, "seed", 0, INT64_MAX, &seed, p) != P_OK)
            return p->code;
        c.seed = (uint64_t)seed;
        if (!member[1].at && api_random_seed(&c.seed, p) != P_OK) return p->code;
    } else {
        return api_fail(p, P_INVALID, where,
                        "must be \"current\" or an object such as {\"policy\": \"path\"}");
    }
    *ret_completion = c;
    return P_OK;
}

enum problem_code api_random_seed(uint64_t *ret_seed, struct problem *p)
{
    uint64_t seed;

    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return api_fail(p, P_NO_MEMORY, "seed", "the system gives no random numbers: %m");
    *ret_seed = seed >> (64 - API_SEED_BITS);
    return P_OK;
}

/* Decide what is open as the current subnet has it; what that subnet does not use
 * stays open. */
static enum problem_code complete_from_current(struct model *m, sn_draft *draft, const char *where,
                                               struct problem *p)
{
    sn_subnet *current = NULL;
    sn_error   err = {0};

    if (api_choices_find(m, NULL, where, P_UNDECIDED, &current, p) != P_OK) return p->code;
    for (size_t i = 0; i < sn_supernet_n_choices(m->net) && err.code == SN_OK; i++) {
        const sn_value *value = sn_subnet_value(current, i);

        if (value && !sn_draft_get(draft, i))
            sn_draft_set(draft, sn_supernet_choice(m->net, i)->label, value, &err);
    }
    sn_subnet_unref(current);
    return err.code == SN_OK ? P_OK : api_fail_library(p, &err, where);
}

static enum problem_code complete_by_policy(struct call *call, sn_draft *draft,
                                            const struct completion *completion)
{
    struct policy_use use;
    sn_rng            rng;
    sn_error          err = {0};

    if (api_policy_open(call, completion->policy, "policy", &use) != P_OK)
        return call->problem.code;
    sn_rng_seed(&rng, completion->seed);
    if (sn_policy_resample(use.policy, &rng, draft, &err) != SN_OK)
        api_fail_library(&call->problem, &err, NULL);
    api_policy_close(&use);
    return call->problem.code;
}

enum problem_code api_choices_subnet(struct call *call, struct json_text choices, const char *where,
                                     const struct completion *completion, sn_subnet **ret_subnet,
                                     bool *ret_created)
{
    struct problem *p = &call->problem;
    sn_draft       *draft = NULL;

    if (api_choices_draft(call, choices, where, &draft) != P_OK) return p->code;
    if (completion->asked)
        completion->policy ? complete_by_policy(call, draft, completion)
                           : complete_from_current(call->model, draft, "complete", p);
    if (p->code == P_OK) api_model_seal(call->model, draft, ret_subnet, ret_created, p);
    sn_draft_free(draft);
    return p->code;
}

enum problem_code api_choices_find(struct model *m, const char *id, const char *where,
                                   enum problem_code if_unknown, sn_subnet **ret_subnet,
                                   struct problem *p)
{
    sn_subnet *s = id ? api_model_find(m, id) : api_model_current(m);

    if (s) {
        *ret_subnet = s;
        return P_OK;
    }
    if (!id)
        return api_fail(p, P_UNDECIDED, where,
                        "supernet '%s' has no current subnet; POST .../resample or PUT "
                        ".../choices first, or send choices with the request",
                        m->name);
    return api_fail(p, if_unknown, where,
                    "subnet '%.64s' is not remembered by supernet '%s'; POST its choices to "
                    ".../subnets, or send the choices themselves",
                    id, m->name);
}

void api_choices_write(struct api_buf *b, const sn_subnet *subnet)
{
    const sn_supernet *net = sn_subnet_supernet(subnet);
    bool               first = true;

    api_buf_byte(b, '{');
    for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
        const sn_value *value = sn_subnet_value(subnet, i);

        if (!value) continue;
        if (!first) api_buf_text(b, ", ");
        first = false;
        api_buf_string(b, sn_supernet_choice(net, i)->label);
        api_buf_text(b, ": ");
        api_buf_value(b, value);
    }
    api_buf_byte(b, '}');
}

void api_soft_write(struct api_buf *b, const sn_subnet *subnet)
{
    const sn_supernet *net = sn_subnet_supernet(subnet);
    const char        *before = ", \"soft\": [";

    for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
        if (!sn_subnet_is_soft(subnet, i)) continue;
        api_buf_text(b, before);
        api_buf_string(b, sn_supernet_choice(net, i)->label);
        before = ", ";
    }
    if (before[2] == '\0') api_buf_byte(b, ']');
}

void api_memo_write(struct api_buf *b, const sn_supernet *net, const sn_draft *draft)
{
    bool first = true;

    api_buf_byte(b, '{');
    for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
        const sn_value *value = sn_draft_get(draft, i);

        if (!value) continue;
        if (!first) api_buf_text(b, ", ");
        first = false;
        api_buf_string(b, sn_supernet_choice(net, i)->label);
        api_buf_text(b, ": ");
        api_buf_value(b, value);
    }
    api_buf_byte(b, '}');
}
