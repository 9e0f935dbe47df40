/* choices_json: JSON values keep their kind (2, 2.0 and true are three values);
 * what equals which candidate is for the library to say. */
#include "choices_json.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "policies.h"

enum { MAX_TUPLE_DEPTH = 4 };

static enum problem_code value_of(const json_t *json, sn_arena *mem, int depth, const char *where,
                                  sn_value *ret_value, struct problem *p)
{
    sn_value v = {0}, *item;

    switch (json_typeof(json)) {
    case JSON_NULL:
        v.kind = SN_KIND_NULL;
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        v.kind = SN_KIND_BOOL;
        v.as.boolean = json_is_true(json);
        break;
    case JSON_INTEGER:
        v.kind = SN_KIND_INT;
        v.as.integer = json_integer_value(json);
        break;
    case JSON_REAL:
        v.kind = SN_KIND_FLOAT;
        v.as.real = json_real_value(json);
        break;
    case JSON_STRING:
        v.kind = SN_KIND_TEXT;
        v.as.text = json_string_value(json);
        break;
    case JSON_ARRAY:
        if (depth == MAX_TUPLE_DEPTH)
            return api_fail(p, P_NOT_CANDIDATE, where, "lists are nested too deeply");
        item = sn_arena_alloc(mem, (json_array_size(json) + 1) * sizeof *item);
        if (!item) return api_fail_memory(p);
        for (size_t i = 0; i < json_array_size(json); i++)
            if (value_of(json_array_get(json, i), mem, depth + 1, where, &item[i], p) != P_OK)
                return p->code;
        v.kind = SN_KIND_TUPLE;
        v.as.tuple.item = item;
        v.as.tuple.n = json_array_size(json);
        break;
    case JSON_OBJECT:
        return api_fail(p, P_NOT_CANDIDATE, where, "an object is no value of a choice");
    }
    *ret_value = v;
    return P_OK;
}

enum problem_code api_choices_draft(sn_supernet *net, const json_t *choices, const char *where,
                                    sn_draft **ret_draft, struct problem *p)
{
    sn_arena   *mem = sn_arena_create();
    sn_draft   *draft = NULL;
    sn_error    err = {0};
    const char *label;
    json_t     *json;

    if (!mem) return api_fail_memory(p);
    if (sn_draft_create(net, &draft, &err) != SN_OK) {
        api_fail_library(p, &err, NULL);
        goto out;
    }
    json_object_foreach((json_t *)choices, label, json)
    {
        char     path[256];
        sn_value value;

        snprintf(path, sizeof path, "%s.%s", where, label);
        if (value_of(json, mem, 0, path, &value, p) != P_OK) goto out;
        if (sn_draft_set(draft, label, &value, &err) != SN_OK) {
            api_fail_library(p, &err, path);
            goto out;
        }
    }
    *ret_draft = draft;
    draft = NULL;
out:
    sn_draft_free(draft);
    sn_arena_free(mem);
    return p->code;
}

enum problem_code api_completion_parse(const json_t *json, const char *where,
                                       struct completion *ret_completion, struct problem *p)
{
    struct completion c = {.asked = true, .policy = "path"};
    int64_t           seed = 0;
    bool              given;

    if (!json) {
        *ret_completion = (struct completion){0};
        return P_OK;
    }
    if (json_is_string(json) && strcmp(json_string_value(json), "current") == 0) {
        c.policy = NULL;
    } else if (json_is_object(json)) {
        if (api_body_members(json, where, "policy|seed", p) != P_OK ||
            api_body_text(json, where, "policy", &c.policy, p) != P_OK ||
            api_body_integer(json, where, "seed", 0, INT64_MAX, &seed, &given, p) != P_OK)
            return p->code;
        c.seed = (uint64_t)seed;
        if (!given && api_random_seed(&c.seed, p) != P_OK) return p->code;
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

enum problem_code api_choices_seal(struct model *m, const sn_draft *draft, sn_subnet **ret_subnet,
                                   bool *ret_created, struct problem *p)
{
    sn_error   err = {0};
    sn_subnet *sealed = NULL;

    if (sn_draft_seal(draft, &sealed, &err) != SN_OK) return api_fail_library(p, &err, NULL);
    api_model_remember(m, sealed, ret_subnet, ret_created, p);
    sn_subnet_unref(sealed);
    return p->code;
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

enum problem_code api_choices_subnet(struct call *call, const json_t *choices, const char *where,
                                     const struct completion *completion, sn_subnet **ret_subnet,
                                     bool *ret_created)
{
    struct problem *p = &call->problem;
    sn_draft       *draft = NULL;

    if (api_choices_draft(call->model->net, choices, where, &draft, p) != P_OK) return p->code;
    if (completion->asked)
        completion->policy ? complete_by_policy(call, draft, completion)
                           : complete_from_current(call->model, draft, "complete", p);
    if (p->code == P_OK) api_choices_seal(call->model, draft, ret_subnet, ret_created, p);
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

void api_note(struct call *call, const sn_subnet *subnet)
{
    if (subnet)
        snprintf(call->ret->note, sizeof call->ret->note, "model=%s subnet=%s", call->model->name,
                 sn_subnet_id(subnet));
    else
        snprintf(call->ret->note, sizeof call->ret->note, "model=%s", call->model->name);
}
