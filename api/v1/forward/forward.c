/* forward: one input through one subnet or several.
 *
 * A plan is compiled for the batch rounded up to a power of two, so that a client
 * that sends 13, 14, 15 samples needs one plan and not three; where a network is not the same
 * for every batch, for the batch that came. An empty batch is answered without a run. */
#include "v1/forward/forward.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/route.h"
#include "http/tensor_json.h"
#include "resident/visit.h"

static struct problem *problem(struct forward *f)
{
    return &f->call->problem;
}

/* ---- subnets ---- */

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

enum problem_code api_forward_one_id(struct forward *f, const char *id, const char *where,
                                     enum problem_code if_unknown)
{
    sn_subnet *subnet;

    if (api_choices_find(f->call->model, id, where, if_unknown, &subnet, problem(f)) != P_OK)
        return problem(f)->code;
    return api_forward_add(f, subnet);
}

enum problem_code api_forward_one_choices(struct forward *f, struct json_text choices,
                                          const char *where)
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

enum problem_code api_forward_list(struct forward *f, struct json_text list, const char *where)
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

            rc = id ? api_forward_one_id(f, id, place, P_UNKNOWN_SUBNET) : p->code;
        } else if (api_json_first(item) == '{') {
            rc = api_forward_one_choices(f, item, place);
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

/* ---- inputs ---- */

/* What a symbol stands for, once the first input has said it. */
struct symbols {
    size_t n;
    struct {
        const char *name, *input;
        int64_t     dim;
    } at[SN_MAX_PORTS * SN_MAX_RANK];
};

static enum problem_code bind_symbol(struct forward *f, struct symbols *s, const char *name,
                                     const char *input, int64_t dim)
{
    char place[160];

    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->at[i].name, name) == 0) {
            if (s->at[i].dim == dim) return P_OK;
            snprintf(place, sizeof place, "inputs.%.128s", input);
            return api_fail(problem(f), P_SHAPE, place, "%s is %lld here, but %lld in '%s'", name,
                            (long long)dim, (long long)s->at[i].dim, s->at[i].input);
        }
    s->at[s->n].name = name;
    s->at[s->n].input = input;
    s->at[s->n++].dim = dim;
    if (strcmp(name, "N") == 0) f->batch = dim;
    return P_OK;
}

static bool is_batch(const sn_port *port, int d)
{
    return d < port->desc.shape.rank && port->symbol[d] && strcmp(port->symbol[d], "N") == 0;
}

static enum problem_code bind_input(struct forward *f, struct symbols *s, const sn_port *port,
                                    const sn_tensor *t)
{
    struct problem *p = problem(f);
    char            place[160], want[256], got[256];
    bool            fits = t->shape.rank == port->desc.shape.rank;

    snprintf(place, sizeof place, "inputs.%.128s", port->name);
    if (t->dtype == SN_NONE) {
        if (port->optional) return P_OK;
        return api_fail(p, P_INVALID, place, "is missing; its shape is %s",
                        api_port_shape_text(port, want, sizeof want));
    }
    if (t->dtype != port->desc.dtype)
        return api_fail(p, P_DTYPE, place, "expected %s, got %s", sn_dtype_name(port->desc.dtype),
                        sn_dtype_name(t->dtype));
    for (int d = 0; d < t->shape.rank; d++)
        if (t->shape.dim[d] <= 0 && !(fits && t->shape.dim[d] == 0 && is_batch(port, d)))
            return api_fail(p, P_SHAPE, place,
                            "axis %d is empty; the shape is %s, of which only N may be 0", d,
                            api_port_shape_text(port, want, sizeof want));
    for (int d = 0; fits && d < t->shape.rank; d++)
        fits = port->desc.shape.dim[d] < 0 || port->desc.shape.dim[d] == t->shape.dim[d];
    if (!fits)
        return api_fail(p, P_SHAPE, place, "expected %s, got %s",
                        api_port_shape_text(port, want, sizeof want),
                        sn_shape_text(&t->shape, got, sizeof got));
    for (int d = 0; d < t->shape.rank; d++)
        if (port->desc.shape.dim[d] < 0 && port->symbol[d] &&
            bind_symbol(f, s, port->symbol[d], port->name, t->shape.dim[d]) != P_OK)
            return p->code;
    return P_OK;
}

static enum problem_code bind(struct forward *f)
{
    const struct api_config *config = f->call->config;
    const sn_supernet       *net = f->call->model->net;
    struct symbols           symbols = {0};

    f->batch = -1;
    for (size_t i = 0; i < sn_supernet_n_inputs(net); i++)
        if (bind_input(f, &symbols, sn_supernet_input(net, i), &f->in[i]) != P_OK)
            return problem(f)->code;
    if (f->batch > config->max_batch)
        return api_fail(problem(f), P_LIMIT, "inputs", "a batch of %lld is above the limit of %lld",
                        (long long)f->batch, (long long)config->max_batch);
    return P_OK;
}

/* ---- plans ---- */

/* Plans of training mode are of one use, so they do not push served ones out of the cache. */
static enum problem_code plan_of(struct forward *f, sn_subnet *subnet,
                                 const sn_compile_options *options, const sn_desc *largest,
                                 sn_plan **ret_plan)
{
    if (f->train) return api_plan_compile(f->call->model, subnet, options, ret_plan, problem(f));
    return api_plan_cache_get(&f->call->api->plans, f->call->model, subnet, options, largest,
                              ret_plan, problem(f));
}

static int64_t largest_batch(const struct forward *f)
{
    const int64_t max = f->call->config->max_batch;
    int64_t       n = 1; /* also for an empty batch: plans begin with one sample */

    while (n < f->batch)
        n *= 2;
    return n < max ? n : max;
}

static sn_exactness exactness_of(const struct api_config *config)
{
    if (config->exact) return SN_EXACTNESS_DIRECT;
    return config->winograd ? SN_EXACTNESS_WINOGRAD : SN_EXACTNESS_SPEC;
}

static void fill_frame(struct forward *f)
{
    const struct api_config *config = f->call->config;
    const sn_supernet       *net = f->call->model->net;
    struct frame            *frame = &f->frame;

    frame->options = (sn_compile_options){
        .size = sizeof frame->options,
        .in = frame->in,
        .n_in = sn_supernet_n_inputs(net),
        .mode = f->train ? SN_TRAIN : SN_EVAL,
        .exactness = exactness_of(config),
        .n_threads = config->n_threads,
        .scratch_limit_bytes = config->max_scratch_bytes,
        .stop = f->call->req->stop ? api_budget_stopped : NULL,
        .stop_cls = (void *)f->call->req->stop,
    };
    for (size_t i = 0; i < frame->options.n_in; i++) {
        const sn_port *port = sn_supernet_input(net, i);

        frame->in[i] = frame->largest[i] = (sn_desc){f->in[i].dtype, f->in[i].shape};
        for (int d = 0; d < frame->in[i].shape.rank; d++)
            if (is_batch(port, d)) {
                frame->in[i].shape.dim[d] = f->batch > 0 ? f->batch : 1;
                frame->largest[i].shape.dim[d] = largest_batch(f);
            }
    }
}

static enum problem_code open_plan(struct forward *f, size_t i)
{
    struct run *r = &f->run[i];

    if (r->plan) return P_OK;
    return plan_of(f, f->subnet[i], &f->frame.options, f->frame.largest, &r->plan);
}

static enum problem_code describe(struct forward *f, size_t i)
{
    struct run *r = &f->run[i];

    r->n_out = sn_plan_describe(r->plan)->n_out;
    r->out = api_call_alloc(f->call, (r->n_out + 1) * sizeof *r->out);
    if (!r->out) return problem(f)->code;
    sn_plan_outputs(r->plan, f->batch < 0 ? 1 : f->batch, r->out);
    for (size_t o = 0; o < r->n_out; o++) {
        const int64_t count = sn_shape_count(&r->out[o].shape);
        size_t        bytes;

        if (count < 0 ||
            __builtin_mul_overflow((size_t)count, sn_dtype_bytes(r->out[o].dtype), &bytes) ||
            __builtin_add_overflow(r->n_bytes, bytes, &r->n_bytes))
            return api_fail(problem(f), P_LIMIT, "outputs", "they take more than all memory");
    }
    return P_OK;
}

/* The first plan is the worker's, as its scratch memory is. */
static bool may_keep(struct forward *f, size_t i)
{
    const size_t n = sn_plan_describe(f->run[i].plan)->plan_bytes;

    if (i == 0) return true;
    if (!account_charge(f->call->account, ACCOUNT_REQUESTS, n)) return false;
    f->call->n_charged += n;
    return true;
}

static enum problem_code compile(struct forward *f)
{
    fill_frame(f);
    f->run = api_call_alloc(f->call, f->n_subnets * sizeof *f->run);
    if (!f->run) return problem(f)->code;
    for (size_t i = 0; i < f->n_subnets; i++) {
        if (api_call_stopped(f->call, "before the forward began") != P_OK ||
            open_plan(f, i) != P_OK || describe(f, i) != P_OK)
            return problem(f)->code;
        if (!may_keep(f, i)) f->run[i].plan = sn_plan_unref(f->run[i].plan);
    }
    return P_OK;
}

/* The worker's scratch memory, grown if it must be. */
static enum problem_code scratch(struct forward *f, size_t n_bytes, void **ret_scratch)
{
    struct api_worker *w = f->call->worker;
    size_t             rounded;

    if (__builtin_add_overflow(n_bytes, (size_t)SN_ALIGN_BYTES - 1, &rounded))
        return api_fail_memory(problem(f));
    rounded &= ~((size_t)SN_ALIGN_BYTES - 1);
    if (rounded > w->n_scratch) {
        struct account *a = f->call->account;

        if (!w->account) w->account = a;
        if (!account_charge(a, ACCOUNT_SCRATCH, rounded - w->n_scratch))
            return api_fail_room(problem(f), a, ACCOUNT_SCRATCH, rounded, "scratch memory");
        free(w->scratch);
        w->scratch = aligned_alloc(SN_ALIGN_BYTES, rounded);
        if (!w->scratch) {
            account_discharge(a, ACCOUNT_SCRATCH, rounded);
            w->n_scratch = 0;
            return api_fail_memory(problem(f));
        }
        w->n_scratch = rounded;
    }
    *ret_scratch = w->scratch;
    return P_OK;
}

/* All outputs together, before anything runs: the answer holds them at once. */
static enum problem_code check_outputs(struct forward *f)
{
    const size_t max = f->call->config->max_scratch_bytes;
    sn_desc      desc[SN_MAX_PORTS];
    size_t       total = 0, n, bytes;

    for (size_t i = 0; i < f->n_subnets; i++) {
        if (api_forward_outputs(f, i, desc, &n, &bytes) != P_OK) return problem(f)->code;
        if (__builtin_add_overflow(total, bytes, &total) || total > max)
            return api_fail(problem(f), P_LIMIT, "outputs",
                            "they take more than the limit of %zu bytes", max);
    }
    return P_OK;
}

enum problem_code api_forward_outputs(struct forward *f, size_t i, sn_desc *ret_out, size_t *ret_n,
                                      size_t *ret_bytes)
{
    const struct run *r = &f->run[i];

    memcpy(ret_out, r->out, r->n_out * sizeof *r->out);
    *ret_n = r->n_out;
    *ret_bytes = r->n_bytes;
    return P_OK;
}

/* A fresh copy of the running statistics; one at a time, all of one size. */
static enum problem_code open_state(struct forward *f)
{
    const bool first = !f->state;
    sn_error   err = {0};
    size_t     n_bytes = 0;

    f->state = sn_state_free(f->state);
    if (sn_state_create(f->call->model->net, &f->state, &err) != SN_OK)
        return api_fail_library(problem(f), &err, NULL);
    for (size_t i = 0; first && i < sn_state_count(f->state); i++) {
        sn_tensor t;

        sn_state_at(f->state, i, &t);
        n_bytes += (size_t)sn_shape_count(&t.shape) * sn_dtype_bytes(t.dtype);
    }
    return api_call_charge(f->call, n_bytes, "the statistics of the run");
}

enum problem_code api_forward_run(struct forward *f, size_t i, sn_tensor *out)
{
    struct api_worker *worker = f->call->worker;
    sn_run_options     options = {
            .size = sizeof options, .probs = f->probs, .parallel = worker->parallel};
    const uint64_t n_shared = worker->n_shared;
    sn_error       err = {0};

    if (open_plan(f, i) != P_OK ||
        scratch(f, sn_plan_describe(f->run[i].plan)->scratch_bytes, &options.scratch) != P_OK)
        return problem(f)->code;
    if (f->call->req->stop) {
        options.stop = api_budget_stopped;
        options.stop_cls = (void *)f->call->req->stop;
    }
    if (f->train) { /* never the statistics that are served */
        if (open_state(f) != P_OK) return problem(f)->code;
        options.state = f->state;
    }
    if (sn_plan_forward(f->run[i].plan, f->in, out, &options, &err) != SN_OK)
        return api_fail_library(problem(f), &err, NULL);
    f->run[i].plan = sn_plan_unref(f->run[i].plan); /* each runs once */
    api_metrics_count_run(&f->call->api->metrics, (uint64_t)(f->batch < 0 ? 1 : f->batch),
                          worker->n_shared > n_shared);
    return P_OK;
}

static void fini(struct forward *f)
{
    for (size_t i = 0; i < f->n_subnets; i++) {
        if (f->run) sn_plan_unref(f->run[i].plan);
        sn_subnet_unref(f->subnet[i]);
    }
    for (size_t i = 0; i < SN_MAX_PORTS; i++)
        api_buf_fini(&f->owned[i]);
    sn_state_free(f->state);
    free(f->probs);
    free(f->weights_of_probs);
    free(f->subnet);
    sn_weights_unref(f->weights);
}

enum problem_code api_forward(struct call *call)
{
    struct forward f = {.call = call};
    const bool     binary = api_media_of(call->req) == MEDIA_SAFETENSORS;

    if ((binary ? api_forward_read_binary(&f) : api_forward_read_json(&f)) == P_OK &&
        api_forward_say_query(&f) == P_OK && api_forward_decide(&f) == P_OK &&
        check_soft(&f) == P_OK && bind(&f) == P_OK) {
        api_note(call, f.subnet[0]);
        api_let_go(call); /* the policy has spoken, if one was asked; running may take long */
        if (compile(&f) == P_OK && check_outputs(&f) == P_OK)
            call->answer == MEDIA_SAFETENSORS ? api_forward_write_binary(&f)
                                              : api_forward_write_json(&f);
    }
    fini(&f);
    return call->problem.code;
}
