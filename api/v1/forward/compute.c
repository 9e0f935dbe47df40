/* forward/compute: plans, and their runs.
 *
 * A plan is compiled for the batch rounded up to a power of two, so that a client
 * that sends 13, 14, 15 samples needs one plan and not three; where a network is not the same
 * for every batch, for the batch that came. An empty batch is answered without a run. */
#include <stdlib.h>
#include <string.h>

#include "v1/forward/forward.h"

static struct problem *problem(struct forward *f)
{
    return &f->call->problem;
}

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
            if (api_forward_is_batch(port, d)) {
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

enum problem_code api_forward_compile(struct forward *f)
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
enum problem_code api_forward_check_outputs(struct forward *f)
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
