/* run: a batch goes through the tasks of a plan, span by span (plan.h), a few samples at a time.
 * Allocates nothing: what a task needs is on the stack or at a fixed offset of the caller's scratch
 * memory. */
#include "run/run.h"
#include "run/blend.h"
#include "run/state.h"

#include <stdio.h>

#include "run/fence.h"
#include "tensor/tensor.h"
#include "thread/balance.h"
#include "thread/share.h"

sn_shape run_shape(const struct slot *v, int64_t batch)
{
    sn_shape s = {.rank = v->rank};

    for (int d = 0; d < s.rank; d++)
        s.dim[d] = v->dim[d] + (v->batch_dims ? v->dim[v->rank + d] * batch : 0);
    return s;
}

static sn_status check_tensor(const char *what, size_t i, const sn_tensor *t, sn_dtype dtype,
                              const sn_shape *shape, sn_error *err)
{
    char got[192], want[192], where[16];

    snprintf(where, sizeof where, "%ss", what);
    if (t->dtype != dtype)
        return sn_fail(err, SN_E_DTYPE, where, "%s %zu is %s, the plan was made for %s", what, i,
                       sn_dtype_name(t->dtype), sn_dtype_name(dtype));
    if (!sn_shape_equal(shape, &t->shape) || !sn_tensor_is_dense(t))
        return sn_fail(
            err, SN_E_SHAPE, where, "%s %zu has shape %s, the plan was made for %s, dense", what, i,
            sn_shape_text(&t->shape, got, sizeof got), sn_shape_text(shape, want, sizeof want));
    if (!t->data && sn_shape_count(shape) > 0)
        return sn_fail(err, SN_E_INVALID, where, "%s %zu has no data", what, i);
    if ((uintptr_t)t->data % sn_dtype_bytes(dtype))
        return sn_fail(err, SN_E_INVALID, where, "%s %zu is at %p, not aligned to its numbers",
                       what, i, t->data);
    return SN_OK;
}

/* The batch of the given inputs; every input must have the shape of the plan for it. */
static sn_status find_batch(const sn_plan *p, const sn_tensor *in, int64_t *ret_batch,
                            sn_error *err)
{
    int64_t   batch = p->info.max_batch ? p->info.max_batch : 1;
    sn_status rc = SN_OK;

    for (size_t i = 0; i < p->info.n_in; i++) {
        const struct slot *v;

        if (p->in_slot[i] == VALUE_ABSENT) continue;
        v = &p->slot[p->in_slot[i]];
        for (int d = 0; d < in[i].shape.rank && in[i].shape.rank == v->rank; d++)
            if ((v->batch_dims & (1u << d)) && in[i].shape.dim[d] < batch)
                batch = in[i].shape.dim[d];
    }
    if (batch < 0)
        return sn_fail(err, SN_E_SHAPE, "inputs",
                       "the batch is %lld, the plan was made for 0 to %lld", (long long)batch,
                       (long long)p->info.max_batch);
    for (size_t i = 0; rc == SN_OK && i < p->info.n_in; i++) {
        sn_shape shape;

        if (p->in_slot[i] == VALUE_ABSENT) continue;
        shape = run_shape(&p->slot[p->in_slot[i]], batch);
        rc = check_tensor("input", i, &in[i], p->info.in[i].dtype, &shape, err);
    }
    *ret_batch = batch;
    return rc;
}

/* Do they share memory? Of shapes that were checked. */
static bool overlap(const sn_tensor *a, const sn_tensor *b)
{
    const uintptr_t x = (uintptr_t)a->data, y = (uintptr_t)b->data;
    const size_t    x_bytes = (size_t)sn_shape_count(&a->shape) * sn_dtype_bytes(a->dtype);
    const size_t    y_bytes = (size_t)sn_shape_count(&b->shape) * sn_dtype_bytes(b->dtype);

    return x_bytes > 0 && y_bytes > 0 && x < y + y_bytes && y < x + x_bytes;
}

static bool has_output(const sn_plan *p, size_t i)
{
    return p->out_slot[i] != VALUE_ABSENT && p->info.out[i].dtype != SN_NONE;
}

/* Outputs must not share memory with inputs or with each other: a step may write an output before a
 * later step reads an input. */
static sn_status check_apart(const sn_plan *p, const sn_tensor *in, const sn_tensor *out,
                             sn_error *err)
{
    for (size_t i = 0; i < p->info.n_out; i++) {
        if (!has_output(p, i)) continue;
        for (size_t k = 0; k < p->info.n_in; k++)
            if (p->in_slot[k] != VALUE_ABSENT && overlap(&out[i], &in[k]))
                return sn_fail(err, SN_E_INVALID, "outputs",
                               "output %zu shares memory with input %zu", i, k);
        for (size_t k = 0; k < i; k++)
            if (has_output(p, k) && overlap(&out[i], &out[k]))
                return sn_fail(err, SN_E_INVALID, "outputs",
                               "output %zu shares memory with output %zu", i, k);
    }
    return SN_OK;
}

/* Outputs and scratch memory. */
static sn_status check_memory(const sn_plan *p, int64_t batch, const sn_tensor *out,
                              const void *scratch, sn_error *err)
{
    sn_status rc = SN_OK;

    for (size_t i = 0; rc == SN_OK && i < p->info.n_out; i++) {
        sn_shape shape;

        if (!has_output(p, i)) continue;
        shape = run_shape(&p->slot[p->out_slot[i]], batch);
        rc = check_tensor("output", i, &out[i], p->info.out[i].dtype, &shape, err);
    }
    if (rc != SN_OK || p->info.scratch_bytes == 0 || batch == 0) return rc;
    if (!scratch || (uintptr_t)scratch % SN_ALIGN_BYTES)
        return sn_fail(err, SN_E_INVALID, "scratch",
                       "a run needs %zu bytes of scratch memory at a multiple of %d, not %p",
                       p->info.scratch_bytes, SN_ALIGN_BYTES, scratch);
    return SN_OK;
}

/* An empty batch needs no run, provided that every output is empty too. */
static sn_status check_empty(const sn_plan *p, sn_error *err)
{
    char text[192];

    for (size_t i = 0; i < p->info.n_out; i++) {
        sn_shape shape;

        if (!has_output(p, i)) continue;
        shape = run_shape(&p->slot[p->out_slot[i]], 0);
        if (sn_shape_count(&shape) != 0)
            return sn_fail(err, SN_E_SHAPE, "inputs",
                           "the batch is 0, and output %zu would still have shape %s", i,
                           sn_shape_text(&shape, text, sizeof text));
    }
    return SN_OK;
}

/* Every soft choice needs one weight for each of its candidates; `n` may be NULL. */
static sn_status check_probs(const sn_plan *p, const float *const *probs, const size_t *n,
                             sn_error *err)
{
    const sn_subnet *s = p->subnet;

    for (size_t i = 0; s->soft && i < s->net->n_choices; i++) {
        const sn_choice *c = &s->net->choice[i];

        if (s->decision[i].state != DECISION_SOFT) continue;
        if (!probs || !probs[i])
            return sn_fail(
                err, SN_E_INVALID, c->label,
                "choice \"%s\" follows a distribution, and the run has no weights for it",
                c->label);
        if (n && n[i] != c->n_candidates)
            return sn_fail(err, SN_E_INVALID, c->label,
                           "choice \"%s\" has %zu candidates, and the run has %zu weights for it",
                           c->label, c->n_candidates, n[i]);
    }
    return SN_OK;
}

/* Chains of rows with fewer rows than this run step by step: in a chain every thread reads all
 * weights, which pays only with many rows; products of few rows are divided by channels
 * (op_share_channels). */
enum { CHAIN_ROWS = 128 };

struct chain {
    const struct run  *run;
    const struct task *task;
};

static void run_rows(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct chain *c = cls;
    struct run          r = *c->run;

    (void)thread;
    r.parallel = NULL;
    r.row_from = from;
    r.row_to = to;
    for (const struct task *t = c->task; t < c->task + c->task->chain; t++)
        run_task(&r, t);
}

static bool run_chain_of_rows(const struct run *r, const struct task *t)
{
    const struct chain c = {r, t};
    const sn_shape     first = run_shape(&r->plan->slot[t->io[t->n_in]], r->batch);
    double             numbers = 0.0;
    int64_t            rows = 1;

    for (int d = 0; d < first.rank - 1; d++)
        rows *= first.dim[d];
    if (!r->parallel || rows < CHAIN_ROWS) return false;
    for (const struct task *at = t; at < t + t->chain; at++) {
        const sn_shape s = run_shape(&r->plan->slot[at->io[at->n_in]], r->batch);

        numbers += (double)sn_shape_count(&s);
    }
    share_run(r->parallel, r->plan->n_threads, rows, 1, SHARE_TOUCH * numbers, run_rows, &c);
    return true;
}

static void run_channels(const void *cls, const sn_parallel *alone)
{
    const struct chain *c = cls;
    struct run          r = *c->run;

    r.parallel = alone;
    for (const struct task *t = c->task; t < c->task + c->task->chain; t++)
        run_task(&r, t);
}

/* The work is that of the first step, a 1x1 convolution: each output reads k channels. */
static bool run_chain_of_channels(const struct run *r, const struct task *t)
{
    const struct chain c = {r, t};
    const sn_shape     made = run_shape(&r->plan->slot[t->io[t->n_in]], r->batch);
    const double       k = (double)r->plan->slot[t->io[0]].dim[1];

    return share_each(r->parallel, r->plan->n_threads, (double)sn_shape_count(&made) * k,
                      run_channels, &c);
}

/* Run the steps of a chain without barriers in between; false if it is better run step by step:
 * nothing was done. */
static bool run_chain(const struct run *r, const struct task *t)
{
    return t->chain_of_channels ? run_chain_of_channels(r, t) : run_chain_of_rows(r, t);
}

/* Run samples `first` to `end` through all steps up to the end of span k, in rounds of about equal
 * size; false if stopped. */
static bool run_span(struct run *r, int k, int64_t first, int64_t end)
{
    const sn_plan        *plan = r->plan;
    const sn_run_options *options = r->options;
    const int64_t         most = plan->span[k].samples, n = end - first;
    const int64_t         parts = n / most + (n % most != 0);

    for (int64_t i = 0; i < parts; i++) {
        const int64_t larger = n % parts; /* so many rounds, the first ones, have one sample more */
        const int64_t from = first + n / parts * i + (i < larger ? i : larger);
        const int64_t to = from + n / parts + (i < larger);

        r->base[k] = from;
        if (k > 0 && !run_span(r, k - 1, from, to)) return false;
        r->first = from;
        r->batch = to - from;
        for (size_t t = k > 0 ? plan->span[k - 1].end : 0; t < plan->span[k].end; t++) {
            if (options->stop && options->stop(options->stop_cls)) return false;
            if (plan->task[t].chain && run_chain(r, &plan->task[t]))
                t += (size_t)plan->task[t].chain - 1;
            else
                run_task(r, &plan->task[t]);
        }
    }
    return true;
}

struct lanes {
    const struct run *run;
    atomic_bool      *stopped;
};

/* One lane: samples [from, to) on one thread, in its own part of the scratch memory. */
static void run_lane(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct lanes *l = cls;
    struct run          r = *l->run;

    r.parallel = NULL;
    r.scratch += (size_t)thread * r.plan->lane_bytes;
    if (!run_span(&r, r.plan->n_spans - 1, from, to)) atomic_store(l->stopped, true);
}

/* Lanes take equal numbers of samples; what is left over runs on all threads, step by step. False
 * if stopped. */
static bool run_lanes(struct run *r, int64_t batch)
{
    const sn_plan     *plan = r->plan;
    const int          threads = r->parallel ? r->parallel->n_threads : 1;
    const int          n = threads < plan->n_lanes ? threads : plan->n_lanes;
    const int64_t      whole = n > 1 ? batch - batch % n : 0;
    atomic_bool        stopped = false;
    const struct lanes lanes = {r, &stopped};

    if (whole > 0)
        share_run(r->parallel, n, whole, 1,
                  (double)plan->info.cost.macs / (double)plan->info.max_batch * (double)whole,
                  run_lane, &lanes);
    return !stopped && run_span(r, plan->n_spans - 1, whole, batch);
}

static bool run_steps_of(struct run *r, int64_t batch)
{
    const sn_plan *p = r->plan;

    for (size_t i = 0; i < p->n_dists; i++)
        dist_weights(&p->dist[i], r->options->probs,
                     (float *)(r->scratch + p->dist[i].offset_bytes));
    return run_lanes(r, batch);
}

SN_EXPORT sn_status sn_plan_forward(const sn_plan *plan, const sn_tensor *in, sn_tensor *out,
                                    const sn_run_options *options, sn_error *err)
{
    sn_run_options o;
    struct run     r = {.plan = plan, .options = &o, .in = in, .out = out};
    char           none = 0; /* stands in for scratch memory where none is needed: offsets are 0 */
    int64_t        batch = 0;
    bool           stopped;
    sn_status      rc = find_batch(plan, in, &batch, err);

    options_read(&o, sizeof o, options);
    r.parallel = o.parallel;
    r.scratch = plan->info.scratch_bytes ? o.scratch : &none;
    if (!rc) rc = check_memory(plan, batch, out, o.scratch, err);
    if (!rc) rc = check_apart(plan, in, out, err);
    if (!rc && batch == 0) return check_empty(plan, err);
    if (!rc) rc = check_probs(plan, o.probs, o.n_probs, err);
    if (!rc && plan->needs_state && !o.state)
        rc = sn_fail(err, SN_E_INVALID, "state",
                     "training mode updates running statistics; give it a state of its own");
    if (!rc && plan->needs_state && !state_is_of(o.state, plan->subnet->net))
        rc = sn_fail(err, SN_E_INVALID, "state", "the state is that of another supernet");
    if (rc) return rc;
    stopped = !fence_run(&r, batch, run_steps_of);
    if (o.parallel && o.parallel->balance) balance_learn(o.parallel->balance, stopped);
    if (stopped) return sn_fail(err, SN_E_STOPPED, "forward", "stopped");
    return supernet_check_lost(plan->subnet->net, err);
}

SN_EXPORT void sn_plan_outputs(const sn_plan *plan, int64_t batch, sn_desc *ret_out)
{
    for (size_t i = 0; i < plan->info.n_out; i++) {
        ret_out[i] = plan->info.out[i];
        if (plan->out_slot[i] != VALUE_ABSENT)
            ret_out[i].shape = run_shape(&plan->slot[plan->out_slot[i]], batch);
    }
}
