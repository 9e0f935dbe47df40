/* export: a subnet to take away.
 *
 *     GET .../export?format=choices|spec|safetensors&subnet=<id>
 *     GET .../export?format=choices|spec|safetensors&policy=<p>   the best that p knows
 *     GET .../export?format=probs&policy=<p>                      {label: {value: weight}}
 *
 * spec and safetensors together are a supernet with nothing left to choose. The best of a
 * policy that knows none (path) is a draw; `seed` makes it the same one again. Values of probs
 * are written as in the space, texts without quotes: {"kernel": {"3": 0.25, "5": 0.75}}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/number.h"
#include "http/route.h"
#include "http/words.h"
#include "resident/policies.h"
#include "supernet/host.h"
#include "supernet/train.h"
#include "v1/choices_json.h"

static const struct format {
    const char *name;
    enum media  media;
    bool        of_policy; /* not of a subnet */
    sn_status (*write)(const sn_subnet *subnet, const sn_sink *sink, sn_error *err);
} formats[] = {
    {"choices", MEDIA_JSON, false, sn_subnet_write_choices},
    {"spec", MEDIA_JSON, false, sn_subnet_write_spec},
    {"safetensors", MEDIA_SAFETENSORS, false, NULL}, /* sent from where they are */
    {"probs", MEDIA_JSON, true, NULL},
};

static const struct format *find_format(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
    return NULL;
}

/* ---- policies ---- */

static enum problem_code seed_rng(struct call *call, sn_rng *ret_rng)
{
    const char *text = api_query_get(&call->query, "seed");
    uint64_t    seed = 0;
    int64_t     given = 0;

    if ((text ? api_whole_number(text, "seed", &given, &call->problem)
              : api_random_seed(&seed, &call->problem)) != P_OK)
        return call->problem.code;
    sn_rng_seed(ret_rng, text ? (uint64_t)given : seed);
    return P_OK;
}

/* The value as a member's name. */
static void put_key(struct api_buf *b, const sn_value *value)
{
    struct api_buf text = {0};

    if (value->kind == SN_KIND_TEXT) {
        api_buf_string(b, value->as.text);
        return;
    }
    api_buf_value(&text, value);
    api_buf_byte(&text, '\0');
    b->failed |= text.failed;
    if (!text.failed) api_buf_string(b, text.at);
    api_buf_fini(&text);
}

static void put_weight(struct api_buf *b, float weight)
{
    char *to = api_buf_reserve(b, API_NUMBER_BYTES);

    if (to) b->n += api_number_float(to, weight);
}

/* One label's weights; labels that the policy has none for are left out. */
static enum problem_code put_probs(struct call *call, sn_policy *policy, sn_rng *rng, size_t i,
                                   bool *first)
{
    const sn_choice *c = sn_supernet_choice(call->model->net, i);
    struct api_buf  *b = &call->body;
    float           *probs = malloc((c->n_candidates + 1) * sizeof *probs);
    sn_error         err = {0};

    if (!probs) return api_fail_memory(&call->problem);
    if (sn_policy_probs(policy, rng, i, probs, &err) == SN_OK) {
        api_buf_text(b, *first ? "" : ",\n ");
        api_buf_string(b, c->label);
        for (size_t k = 0; k < c->n_candidates; k++) {
            api_buf_text(b, k ? ", " : ": {");
            put_key(b, &c->candidate[k]);
            api_buf_text(b, ": ");
            put_weight(b, probs[k]);
        }
        api_buf_byte(b, '}');
        *first = false;
    } else if (err.code != SN_E_UNKNOWN_NAME) {
        api_fail_library(&call->problem, &err, "policy");
    }
    free(probs);
    return call->problem.code;
}

static enum problem_code export_probs(struct call *call)
{
    const char       *name = api_query_get(&call->query, "policy");
    struct problem   *p = &call->problem;
    struct policy_use use;
    sn_rng            rng;
    bool              first = true;

    if (!name) return api_fail(p, P_INVALID, "policy", "is missing: probs are those of a policy");
    if (seed_rng(call, &rng) != P_OK || api_policy_open(call, name, "policy", &use) != P_OK)
        return p->code;
    api_buf_byte(&call->body, '{');
    for (size_t i = 0; i < sn_supernet_n_choices(call->model->net); i++)
        if (put_probs(call, use.policy, &rng, i, &first) != P_OK) break;
    api_buf_text(&call->body, "}\n");
    api_policy_close(&use);
    return p->code;
}

/* The best that the policy knows, sealed. */
static enum problem_code best_of(struct call *call, const char *name, sn_subnet **ret_subnet)
{
    struct problem   *p = &call->problem;
    struct policy_use use;
    sn_draft         *draft = NULL;
    sn_rng            rng;
    sn_error          err = {0};
    bool              created;

    if (seed_rng(call, &rng) != P_OK || api_policy_open(call, name, "policy", &use) != P_OK)
        return p->code;
    if (sn_draft_create(call->model->net, &draft, &err) != SN_OK ||
        sn_policy_best(use.policy, &rng, draft, &err) != SN_OK)
        api_fail_library(p, &err, NULL);
    api_policy_close(&use);
    if (p->code == P_OK) api_model_seal(call->model, draft, ret_subnet, &created, p);
    sn_draft_free(draft);
    return p->code;
}

/* ---- the endpoint ---- */

static enum problem_code find_subnet(struct call *call, sn_subnet **ret_subnet)
{
    struct problem *p = &call->problem;
    const char     *id = api_query_get(&call->query, "subnet");
    const char     *policy = api_query_get(&call->query, "policy");

    if (id && policy)
        return api_fail(p, P_INVALID, "policy", "only one of subnet and policy can be exported");
    if (policy) return best_of(call, policy, ret_subnet);
    if (api_query_get(&call->query, "seed"))
        return api_fail(p, P_INVALID, "seed", "a seed is for a policy, and none is named");
    return api_choices_find(call->model, id, "subnet", P_NO_SUBNET, ret_subnet, p);
}

static size_t read_weights(void *cls, uint64_t at, void *to, size_t n)
{
    return sn_weights_reader_read(cls, at, to, n);
}

static void free_weights(void *cls)
{
    sn_weights_reader_free(cls);
}

/* The weights are read where they are while they are sent. */
static enum problem_code send_weights(struct call *call, sn_subnet *subnet)
{
    struct api_response *ret = call->ret;
    struct account      *a = call->account;
    struct problem      *p = &call->problem;
    sn_weights_reader   *reader = NULL;
    sn_error             err = {0};
    size_t               held;

    if (sn_subnet_read_weights(subnet, &reader, &err) != SN_OK)
        return api_fail_library(p, &err, NULL);
    held = sn_weights_reader_held_bytes(reader);
    if (!account_charge(a, ACCOUNT_REPLIES, held)) {
        sn_weights_reader_free(reader);
        return api_fail_room(p, a, ACCOUNT_REPLIES, held, "the answer");
    }
    ret->source = (struct api_source){read_weights, free_weights, reader};
    ret->account = a;
    ret->n_charged = held;
    ret->n_body = sn_weights_reader_bytes(reader);
    return P_OK;
}

enum problem_code api_export(struct call *call)
{
    struct problem      *p = &call->problem;
    const char          *name = api_query_get(&call->query, "format");
    const struct format *format = find_format(name ? name : "choices");
    const sn_sink        sink = api_buf_sink(&call->body);
    sn_subnet           *subnet = NULL;
    sn_error             err = {0};

    if (!format)
        return api_fail(
            p, P_INVALID, "format",
            "'%s' is no format; there are choices, spec and safetensors, and probs of a policy",
            name);
    call->answer = api_media_negotiate(call->req->accept, &format->media, 1);
    if (call->answer == MEDIA_OTHER)
        return api_fail(p, P_NOT_ACCEPTABLE, "Accept", "'%s' excludes %s, the form of %s",
                        call->req->accept, api_media_name(format->media), format->name);
    if (format->of_policy) {
        if (api_query_get(&call->query, "subnet"))
            return api_fail(p, P_INVALID, "subnet", "probs are those of a policy, not of a subnet");
        return export_probs(call);
    }
    if (find_subnet(call, &subnet) != P_OK) return p->code;
    api_let_go(call);
    api_note(call, subnet);
    if (format->media == MEDIA_SAFETENSORS)
        send_weights(call, subnet);
    else if (format->write(subnet, &sink, &err) != SN_OK)
        api_fail_buf(p, &call->body, &err);
    else if (format->media == MEDIA_JSON)
        api_buf_byte(&call->body, '\n');
    sn_subnet_unref(subnet);
    return p->code;
}
