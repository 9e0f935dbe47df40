/* forward/compute: plans, and their runs. What form the answer will have is not known here.
 *
 * A plan is compiled for the batch rounded up to a power of two, so that a client
 * that sends 13, 14, 15 samples needs one plan and not three; where a network is not the same
 * for every batch, for the batch that came. An empty batch is answered without a run. */
#include <stdlib.h>
#include <string.h>

#include "supernet/train.h"
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

        frame->in[i] = frame->largest[i] =
            (sn_desc){f->request.in[i].dtype, f->request.in[i].shape};
        for (int d = 0; d < frame->in[i].shape.rank; d++)
            if (api_forward_is_batch(port, d)) {
                frame->in[i].shape.dim[d] = f->batch > 0 ? f->batch : 1;
                frame->largest[i].shape.dim[d] = largest_batch(f);
            }
    }
}

static enum problem_code open_plan(struct forward *f, size_t i)
{
    if (f->plan[i]) return P_OK;
    return plan_of(f, f->result->item[i].subnet, &f->frame.options, f->frame.largest, &f->plan[i]);
}

static enum problem_code describe(struct forward *f, struct forward_item *item, const sn_plan *plan)
{
    sn_desc out[SN_MAX_PORTS];

    item->n_out = sn_plan_describe(plan)->n_out;
    item->out = api_call_alloc(f->call, (item->n_out + 1) * sizeof *item->out);
    if (!item->out) return problem(f)->code;
    sn_plan_outputs(plan, f->batch < 0 ? 1 : f->batch, out);
    for (size_t o = 0; o < item->n_out; o++) {
        const int64_t count = sn_shape_count(&out[o].shape);
        size_t        bytes;

        if (count < 0 ||
            __builtin_mul_overflow((size_t)count, sn_dtype_bytes(out[o].dtype), &bytes) ||
            __builtin_add_overflow(item->n_bytes, bytes, &item->n_bytes))
            return api_fail(problem(f), P_LIMIT, "outputs", "they take more than all memory");
        item->out[o] = sn_tensor_dense(out[o].dtype, &out[o].shape, NULL);
    }
    return P_OK;
}

/* The first plan is the worker's, as its scratch memory is. */
static bool may_keep(struct forward *f, size_t i)
{
    const size_t n = sn_plan_describe(f->plan[i])->plan_bytes;

    if (i == 0) return true;
    if (!account_charge(f->call->account, ACCOUNT_REQUESTS, n)) return false;
    f->call->n_charged += n;
    return true;
}

/* The outputs of all answers together, before anything runs: the result holds them at once, and the
 * text of an answer is several times as long. */
static enum problem_code check_outputs(struct forward *f)
{
    const struct forward_result *r = f->result;
    const size_t                 max = f->call->config->max_scratch_bytes;
    size_t                       total = 0;

    for (size_t i = 0; i < r->n_answers; i++)
        if (__builtin_add_overflow(total, r->item[r->answer[i]].n_bytes, &total) || total > max)
            return api_fail(problem(f), P_LIMIT, "outputs",
                            "they take more than the limit of %zu bytes", max);
    return P_OK;
}

/* A subnet that is named twice runs once. */
static enum problem_code list_items(struct forward *f)
{
    struct forward_result *r = f->result = api_forward_result(f->call, f->n_subnets);

    f->plan = api_call_alloc(f->call, f->n_subnets * sizeof *f->plan);
    if (!r || !f->plan) return problem(f)->code;
    r->net = f->call->model->net;
    r->version = f->call->model->version;
    r->several = f->several;
    for (size_t i = 0; i < f->n_subnets; i++)
        api_forward_result_add(r, f->subnet[i]);
    return P_OK;
}

enum problem_code api_forward_describe(struct forward *f)
{
    fill_frame(f);
    if (list_items(f) != P_OK) return problem(f)->code;
    for (size_t i = 0; i < f->result->n_items; i++) {
        if (api_call_stopped(f->call, "before the forward began") != P_OK ||
            open_plan(f, i) != P_OK || describe(f, &f->result->item[i], f->plan[i]) != P_OK)
            return problem(f)->code;
        if (!may_keep(f, i)) f->plan[i] = sn_plan_unref(f->plan[i]);
    }
    return check_outputs(f);
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

/* A fresh copy of the running statistics. Those that the answer says are there all at once. */
static enum problem_code open_state(struct forward *f, size_t i, sn_state **ret_state)
{
    sn_error err = {0};
    size_t   n_bytes = 0;

    if (sn_state_create(f->call->model->net, ret_state, &err) != SN_OK)
        return api_fail_library(problem(f), &err, NULL);
    if (i > 0 && !f->result->with_state) return P_OK;
    for (size_t k = 0; k < sn_state_count(*ret_state); k++) {
        sn_tensor t;

        sn_state_at(*ret_state, k, &t);
        n_bytes += (size_t)sn_shape_count(&t.shape) * sn_dtype_bytes(t.dtype);
    }
    return api_call_charge(f->call, n_bytes, "the statistics of the run");
}

static enum problem_code run_item(struct forward *f, size_t i)
{
    struct api_worker   *worker = f->call->worker;
    struct forward_item *item = &f->result->item[i];
    sn_run_options       options = {
              .size = sizeof options, .probs = f->probs, .parallel = worker->parallel};
    const uint64_t n_shared = worker->n_shared;
    sn_error       err = {0};

    if (open_plan(f, i) != P_OK ||
        scratch(f, sn_plan_describe(f->plan[i])->scratch_bytes, &options.scratch) != P_OK)
        return problem(f)->code;
    if (f->call->req->stop) {
        options.stop = api_budget_stopped;
        options.stop_cls = (void *)f->call->req->stop;
    }
    if (f->train) { /* never the statistics that are served */
        if (open_state(f, i, &item->state) != P_OK) return problem(f)->code;
        options.state = item->state;
    }
    if (sn_plan_forward(f->plan[i], f->request.in, item->out, &options, &err) != SN_OK)
        return api_fail_library(problem(f), &err, NULL);
    if (!f->result->with_state) item->state = sn_state_free(item->state);
    f->plan[i] = sn_plan_unref(f->plan[i]); /* each runs once */
    api_metrics_count_run(&f->call->api->metrics, (uint64_t)(f->batch < 0 ? 1 : f->batch),
                          worker->n_shared > n_shared);
    return P_OK;
}

enum problem_code api_forward_compute(struct forward *f)
{
    if (api_forward_result_alloc(f->call, f->result) != P_OK) return problem(f)->code;
    for (size_t i = 0; i < f->result->n_items; i++)
        if (run_item(f, i) != P_OK) return problem(f)->code;
    return P_OK;
}
