/* forward/json: the form for people and curl.
 *
 *     {"inputs": {"image": [[[[0, 0.5, ...]]]]},
 *      "subnet": id | "choices": {...} | "subnets": [id or choices, ...], "version": 1}
 *      or what forward/policy.c takes: "policy": p | "alpha": {...}, "seed": 7
 *  -> {"results": [{"subnet": id, "version": 1, "outputs": {"logits": [[...]]}}]}
 *
 * Inputs go straight from text to tensors; the few other members are checked, and read
 * where they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/tensor_json.h"
#include "v1/forward/forward.h"

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
typedef enum problem_code member_reader(struct forward *f, struct json_cursor *c,
                                        struct json_text name, void *cls);

static enum problem_code read_object(struct forward *f, struct json_cursor *c,
                                     member_reader *member, void *cls)
{
    struct problem *p = &f->call->problem;

    if (!api_json_eat(c, '{')) return api_json_expected(c, "'{'", p);
    if (api_json_eat(c, '}')) return P_OK;
    do {
        struct json_text name;

        if (read_key(c, &name, p) != P_OK || member(f, c, name, cls) != P_OK) return p->code;
    } while (api_json_eat(c, ','));
    return api_json_eat(c, '}') ? P_OK : api_json_expected(c, "',' or '}'", p);
}

static enum problem_code no_such_input(struct forward *f, struct json_text text)
{
    const char        *name = api_body_decode(f->call, text);
    const sn_supernet *net = f->call->model->net;
    char               place[160], known[512] = "";
    size_t             n = 0;

    if (!name) return f->call->problem.code;
    for (size_t i = 0; i < sn_supernet_n_inputs(net) && n < sizeof known; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s'%s'", i ? ", " : "",
                              sn_supernet_input(net, i)->name);
    snprintf(place, sizeof place, "inputs.%.128s", name);
    return api_fail(&f->call->problem, P_UNKNOWN_NAME, place,
                    "the supernet has no such input; it has %s", known);
}

static enum problem_code read_input(struct forward *f, struct json_cursor *c, struct json_text name,
                                    void *cls)
{
    const sn_supernet *net = f->call->model->net;
    char               place[160];
    size_t             i = 0;

    (void)cls;
    while (i < sn_supernet_n_inputs(net) && !api_json_equals(name, sn_supernet_input(net, i)->name))
        i++;
    if (i == sn_supernet_n_inputs(net)) return no_such_input(f, name);
    snprintf(place, sizeof place, "inputs.%.128s", sn_supernet_input(net, i)->name);
    if (f->in[i].dtype != SN_NONE)
        return api_fail(&f->call->problem, P_SYNTAX, place, "is given twice");
    f->owned[i] = (struct api_buf){
        .account = f->call->account, .purpose = ACCOUNT_REQUESTS, .stop = f->call->req->stop};
    return api_tensor_json_read(c, sn_supernet_input(net, i), place, &f->owned[i], &f->in[i],
                                &f->call->problem);
}

/* Members other than "inputs" say how to run. */
static enum problem_code read_member(struct forward *f, struct json_cursor *c,
                                     struct json_text name, void *cls)
{
    bool            *has_inputs = cls;
    struct problem  *p = &f->call->problem;
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
        return read_object(f, c, read_input, NULL);
    }
    return api_json_read(c, &value, p) == P_OK ? api_forward_say_json(f, name, value) : p->code;
}

enum problem_code api_forward_read_json(struct forward *f)
{
    const char        *body = f->call->req->body;
    struct json_cursor c = {body, body, body + f->call->req->n_body, NULL, f->call->req->stop};
    struct problem    *p = &f->call->problem;
    bool               has_inputs = false;

    if (f->call->req->n_body == 0)
        return api_fail(p, P_SYNTAX, "body",
                        "is empty; expected {\"inputs\": {name: nested arrays}}");
    if (read_object(f, &c, read_member, &has_inputs) == P_OK) {
        api_json_space(&c);
        if (c.at != c.end) api_json_expected(&c, "the end of the body", p);
    }
    return p->code;
}

/* The running statistics as this run has left them; the counts of batches are no F32. */
static enum problem_code write_state(struct forward *f)
{
    struct api_buf *b = &f->call->body;
    bool            first = true;

    api_buf_text(b, ", \"state\": {");
    for (size_t i = 0; i < sn_state_count(f->state); i++) {
        sn_tensor   t;
        const char *name = sn_state_at(f->state, i, &t);

        if (t.dtype != SN_F32) continue;
        if (!first) api_buf_text(b, ", ");
        first = false;
        api_buf_string(b, name);
        api_buf_text(b, ": ");
        if (api_tensor_json_write(b, &t, name, &f->call->problem) != P_OK)
            return f->call->problem.code;
    }
    api_buf_text(b, "}");
    return P_OK;
}

/* The outputs of one subnet, one after the other in one block of memory. */
static enum problem_code write_result(struct forward *f, size_t i)
{
    const sn_supernet *net = f->call->model->net;
    struct problem    *p = &f->call->problem;
    struct api_buf    *b = &f->call->body;
    sn_desc            desc[SN_MAX_PORTS];
    sn_tensor          out[SN_MAX_PORTS];
    size_t             n, n_bytes, at = 0;
    char              *data;

    if (api_forward_outputs(f, i, desc, &n, &n_bytes) != P_OK) return p->code;
    n_bytes += n * SN_ALIGN_BYTES;
    if (!account_charge(b->account, b->purpose, n_bytes))
        return api_fail_room(p, b->account, b->purpose, n_bytes, "the outputs of a subnet");
    data = malloc(n_bytes);
    if (!data) {
        account_discharge(b->account, b->purpose, n_bytes);
        return api_fail_memory(p);
    }
    for (size_t o = 0; o < n; o++) {
        out[o] = sn_tensor_dense(desc[o].dtype, &desc[o].shape, data + at);
        at += (size_t)sn_shape_count(&desc[o].shape) * sn_dtype_bytes(desc[o].dtype);
        at = (at + 15) & ~(size_t)15;
    }
    if (api_forward_run(f, i, out) != P_OK) goto out;
    api_buf_printf(b, "{\"subnet\": \"%s\", \"version\": %llu, \"outputs\": {",
                   sn_subnet_id(f->subnet[i]), (unsigned long long)f->call->model->version);
    for (size_t o = 0; o < n; o++) {
        char place[160];

        snprintf(place, sizeof place, "outputs.%.128s", sn_supernet_output(net, o)->name);
        if (o) api_buf_text(b, ", ");
        api_buf_string(b, sn_supernet_output(net, o)->name);
        api_buf_text(b, ": ");
        if (api_tensor_json_write(b, &out[o], place, p) != P_OK) goto out;
    }
    api_buf_text(b, "}");
    if (f->train && write_state(f) != P_OK) goto out;
    api_buf_text(b, "}");
out:
    free(data);
    account_discharge(b->account, b->purpose, n_bytes);
    return p->code;
}

enum problem_code api_forward_write_json(struct forward *f)
{
    api_buf_text(&f->call->body, "{\"results\": [");
    for (size_t i = 0; i < f->n_subnets; i++) {
        if (i) api_buf_text(&f->call->body, ",\n  ");
        if (write_result(f, i) != P_OK) return f->call->problem.code;
    }
    api_buf_text(&f->call->body, "]}\n");
    return P_OK;
}
