/* forward/read_json: the form for people and curl.
 *
 *     {"inputs": {"image": [[[[0, 0.5, ...]]]]},
 *      "subnet": id | "choices": {...} | "subnets": [id or choices, ...], "version": 1}
 *      or what forward/policy.c takes: "policy": p | "alpha": {...}, "seed": 7
 *
 * Inputs go straight from text to tensors; the few other members are checked, and read
 * where they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/tensor_json.h"
#include "resident/model.h"
#include "v1/forward/request.h"

/* A member's name, and the ':' behind it. */
static enum problem_code read_key(struct json_cursor *c, struct json_text *ret_key,
                                  struct problem *p)
{
    api_json_space(c);
    if (c->at == c->end || *c->at != '"') return api_json_expected(c, "a name in quotes", p);
    if (api_json_read(c, ret_key, p) != P_OK) return p->code;
    return api_json_eat(c, ':') ? P_OK : api_json_expected(c, "':'", p);
}

/* Call `member` for each member of the object at the cursor, which it must consume. */
typedef enum problem_code member_reader(struct forward_request *r, struct json_cursor *c,
                                        struct json_text name, void *cls);

static enum problem_code read_object(struct forward_request *r, struct json_cursor *c,
                                     member_reader *member, void *cls)
{
    struct problem *p = &r->call->problem;

    if (!api_json_eat(c, '{')) return api_json_expected(c, "'{'", p);
    if (api_json_eat(c, '}')) return P_OK;
    do {
        struct json_text name;

        if (read_key(c, &name, p) != P_OK || member(r, c, name, cls) != P_OK) return p->code;
    } while (api_json_eat(c, ','));
    return api_json_eat(c, '}') ? P_OK : api_json_expected(c, "',' or '}'", p);
}

static enum problem_code no_such_input(struct forward_request *r, struct json_text text)
{
    const char        *name = api_body_decode(r->call, text);
    const sn_supernet *net = r->call->model->net;
    char               place[160], known[512] = "";
    size_t             n = 0;

    if (!name) return r->call->problem.code;
    for (size_t i = 0; i < sn_supernet_n_inputs(net) && n < sizeof known; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s'%s'", i ? ", " : "",
                              sn_supernet_input(net, i)->name);
    snprintf(place, sizeof place, "inputs.%.128s", name);
    return api_fail(&r->call->problem, P_UNKNOWN_NAME, place,
                    "the supernet has no such input; it has %s", known);
}

static enum problem_code read_input(struct forward_request *r, struct json_cursor *c,
                                    struct json_text name, void *cls)
{
    const sn_supernet *net = r->call->model->net;
    char               place[160];
    size_t             i = 0;

    (void)cls;
    while (i < sn_supernet_n_inputs(net) && !api_json_equals(name, sn_supernet_input(net, i)->name))
        i++;
    if (i == sn_supernet_n_inputs(net)) return no_such_input(r, name);
    snprintf(place, sizeof place, "inputs.%.128s", sn_supernet_input(net, i)->name);
    if (r->in[i].dtype != SN_NONE)
        return api_fail(&r->call->problem, P_SYNTAX, place, "is given twice");
    r->owned[i] = (struct api_buf){
        .account = r->call->account, .purpose = ACCOUNT_REQUESTS, .stop = r->call->req->stop};
    return api_tensor_json_read(c, sn_supernet_input(net, i), place, &r->owned[i], &r->in[i],
                                &r->call->problem);
}

/* Members other than "inputs" say how to run. */
static enum problem_code read_member(struct forward_request *r, struct json_cursor *c,
                                     struct json_text name, void *cls)
{
    bool            *has_inputs = cls;
    struct problem  *p = &r->call->problem;
    struct json_text value;

    if (api_json_equals(name, "inputs")) {
        if (*has_inputs) return api_fail(p, P_SYNTAX, "body", "'inputs' is given twice");
        *has_inputs = true;
        api_json_space(c);
        if (c->at < c->end && *c->at != '{')
            return api_json_read(c, &value, p) != P_OK
                       ? p->code
                       : api_fail(p, P_INVALID, "inputs",
                                  "must be an object {name: nested arrays}, not %s",
                                  api_json_kind(value));
        return read_object(r, c, read_input, NULL);
    }
    return api_json_read(c, &value, p) == P_OK ? api_forward_say_json(r, name, value) : p->code;
}

enum problem_code api_forward_read_json(struct forward_request *r)
{
    const char        *body = r->call->req->body;
    struct json_cursor c = {body, body, body + r->call->req->n_body, NULL, r->call->req->stop};
    struct problem    *p = &r->call->problem;
    bool               has_inputs = false;

    if (r->call->req->n_body == 0)
        return api_fail(p, P_SYNTAX, "body",
                        "is empty; expected {\"inputs\": {name: nested arrays}}");
    if (read_object(r, &c, read_member, &has_inputs) == P_OK) {
        api_json_space(&c);
        if (c.at != c.end) api_json_expected(&c, "the end of the body", p);
    }
    return p->code;
}
