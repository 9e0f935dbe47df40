/* run: the loop over the tasks of a plan. Allocates nothing: what a task needs is on
 * the stack or at a fixed offset of the caller's scratch memory. */
#include <string.h>

#include "base/share.h"
#include "kernel/packed.h"
#include "plan/plan.h"
#include "tensor/tensor.h"

/* One run, or one lane of it: where the bytes of every value are. */
struct run {
    const sn_plan        *plan;
    const sn_run_options *options;
    const sn_parallel    *parallel; /* of its steps */
    const sn_tensor      *in;
    const sn_tensor      *out;
    char                 *scratch;
    int64_t               batch, first;        /* samples under way, and the first of them */
    int64_t               base[MAX_SPANS + 1]; /* the first sample that a span has values of */
};

static sn_shape shape_at(const struct slot *v, int64_t batch)
{
    sn_shape s = {.rank = v->rank};

    for (int d = 0; d < s.rank; d++)
        s.dim[d] = v->batch_dims & (1u << d) ? v->dim[d] * batch : v->dim[d];
    return s;
}

/* The samples under way, in a tensor of all that its span has. */
static void *part_of(const struct run *r, const struct slot *v, void *all)
{
    int64_t n = (r->first - r->base[v->span]) * (int64_t)sn_dtype_bytes((sn_dtype)v->dtype);

    if (!v->batch_dims || n == 0) return all;
    for (int d = 0; d < v->rank; d++)
        n *= v->dim[d];
    return (char *)all + n;
}

/* Whoever gets a tensor knows its layout, or, working element by element on tensors of one
 * layout, need not know: the strides are those of rows for all of them. */
static sn_tensor tensor_of(const struct run *r, int slot)
{
    const struct slot *v;
    sn_shape           shape;
    void              *data = NULL;

    if (slot == VALUE_ABSENT) return (sn_tensor){.dtype = SN_NONE};
    v = &r->plan->slot[slot];
    switch ((enum place)v->place) {
    case PLACE_INPUT:
        data = r->in[v->port].data;
        break;
    case PLACE_OUTPUT:
        data = r->out[v->port].data;
        break;
    case PLACE_SCRATCH:
        data = r->scratch + v->offset_bytes;
        break;
    case PLACE_NONE: /* an output that nobody reads and nobody makes */
        break;
    }
    shape = shape_at(v, r->batch);
    return sn_tensor_dense((sn_dtype)v->dtype, &shape, data ? part_of(r, v, data) : NULL);
}

static const float *weight_of(const struct run *r, int dist)
{
    return (const float *)(r->scratch + r->plan->dist[dist].offset_bytes);
}

/* Parameters that are only known now: blends of this run, and statistics of its state. */
static void patch_params(const struct run *r, const struct step *s, sn_tensor *live)
{
    memcpy(live, s->call.param, s->module->n_params * sizeof *live);
    for (int i = 0; i < s->n_patches; i++) {
        const struct patch *p = &s->patch[i];
        sn_tensor           state;

        if (p->value >= 0) {
            live[p->param].data = tensor_of(r, p->value).data;
        } else {
            sn_state_at(r->options->state, (size_t)p->state, &state);
            live[p->param].data = (char *)state.data + p->offset_bytes;
        }
    }
}

static void run_op(const struct run *r, const struct task *t, const sn_tensor *in, sn_tensor *out)
{
    sn_tensor      live[SN_MAX_PARAMS];
    const sn_call *call = t->call;
    sn_call        lean;
    sn_io          io = {.size = sizeof io,
                         .in = in,
                         .out = out,
                         .param = call ? call->param : NULL,
                         .scratch = r->scratch + t->offset_bytes,
                         .parallel = r->parallel,
                         .packed = t->packed};

    if (!call) {
        lean = (sn_call){.size = sizeof lean,
                         .where = t->module->where,
                         .mode = r->plan->mode,
                         .nni = r->plan->subnet->net->nni,
                         .whole = t->module->param,
                         .n_in = t->n_in,
                         .n_out = t->n_out,
                         .priv = t->priv,
                         .n_threads = r->plan->n_threads};
        call = &lean;
    }
    if (t->step && t->step->n_patches) {
        patch_params(r, t->step, live);
        io.param = live;
    }
    if (t->variant) {
        const sn_tensor   residual = tensor_of(r, t->residual), gate = tensor_of(r, t->gate);
        const sn_epilogue epilogue = {.scale = t->scale,
                                      .shift = t->shift,
                                      .residual = t->residual != VALUE_ABSENT ? &residual : NULL,
                                      .act = (sn_act)t->act};

        if (t->gate != VALUE_ABSENT) io.gate = &gate;
        t->variant->forward(call, &io, &epilogue);
        return;
    }
    t->module->op->forward(call, &io);
}

static void run_weighted(const struct run *r, const struct step *s, const sn_tensor *in,
                         sn_tensor *out)
{
    const float *weight = weight_of(r, s->dist);
    float        picked[SN_MAX_PORTS];

    for (size_t i = 0; s->item_option && i < s->call.n_in; i++)
        picked[i] = weight[s->item_option[i]];
    combine_sum(in, s->call.n_in, s->item_option ? picked : weight, 1.0f, out);
}

static void run_blend(const struct run *r, const struct step *s, sn_tensor *out)
{
    const float *weight[SN_MAX_STEPS];
    size_t       n_options[SN_MAX_STEPS];

    for (int i = 0; i < s->blend->n_masks; i++) {
        weight[i] = weight_of(r, s->blend->mask[i].dist);
        n_options[i] = r->plan->dist[s->blend->mask[i].dist].n_options;
    }
    blend_run(s->blend, weight, n_options, (float *)(r->scratch + s->offset_bytes), out);
}

/* From one layout to the other. */
struct turn {
    const float *x;
    float       *y;
    int64_t      c, pixels; /* of an image */
    bool         to_last;
};

/* Pixels, counted over all images. */
static void turn_pixels(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct turn *t = cls;

    (void)thread;
    for (int64_t at = from, next; at < to; at = next) {
        const int64_t first = at / t->pixels * t->pixels; /* of this image */
        const float  *x = t->x + first * t->c;
        float        *y = t->y + first * t->c;

        next = first + t->pixels < to ? first + t->pixels : to;
        if (t->to_last)
            kernel_table()->to_nhwc(t->c, t->pixels, at - first, next - first, x, y, t->c);
        else
            kernel_table()->to_nchw(t->c, t->pixels, at - first, next - first, x, t->c, y);
    }
}

/* A copy, from one layout to the other where they differ. */
static void copy_layout(const struct run *r, const struct slot *from, const sn_tensor *in,
                        const struct slot *to, sn_tensor *out)
{
    const sn_shape   *x = &in->shape;
    const struct turn t = {.x = in->data,
                           .y = out->data,
                           .c = x->dim[1],
                           .pixels = x->dim[2] * x->dim[3],
                           .to_last = to->layout == SN_LAYOUT_CHANNELS_LAST};

    if (from->layout == to->layout || x->rank != 4) {
        tensor_copy(in, out);
        return;
    }
    share_run(r->parallel, r->plan->n_threads, x->dim[0] * t.pixels, 1,
              SHARE_TOUCH * (double)sn_shape_count(x), turn_pixels, &t);
}

static void run_task(const struct run *r, const struct task *t)
{
    const struct slot *slot = r->plan->slot;
    const int         *output = t->io + t->n_in;
    sn_tensor          in[SN_MAX_PORTS], out[SN_MAX_PORTS];

    for (int i = 0; i < t->n_in; i++)
        in[i] = tensor_of(r, t->io[i]);
    for (int i = 0; i < t->n_out; i++)
        out[i] = tensor_of(r, output[i]);
    switch ((enum step_kind)t->kind) {
    case STEP_OP:
        run_op(r, t, in, out);
        break;
    case STEP_SUM:
        combine_sum(in, t->n_in, NULL, 1.0f, out);
        break;
    case STEP_MEAN:
        combine_sum(in, t->n_in, NULL, (float)t->n_in, out);
        break;
    case STEP_CONCAT:
        combine_concat(in, t->n_in, slot[output[0]].layout == SN_LAYOUT_CHANNELS_LAST, out);
        break;
    case STEP_WEIGHTED:
        run_weighted(r, t->step, in, out);
        break;
    case STEP_COPY:
        copy_layout(r, &slot[t->io[0]], in, &slot[output[0]], out);
        break;
    case STEP_BLEND:
        run_blend(r, t->step, out);
        break;
    case STEP_DROPPED:
    case STEP_ALIAS:
        break;
    }
}

/* The batch of the given inputs; every input must have the shape of the plan for it. */
static sn_status find_batch(const sn_plan *p, const sn_tensor *in, int64_t *ret_batch,
                            sn_error *err)
{
    int64_t batch = p->info.max_batch ? p->info.max_batch : 1;
    char    got[192], want[192];

    for (size_t i = 0; i < p->info.n_in; i++) {
        const struct slot *v;

        if (p->in_slot[i] == VALUE_ABSENT) continue;
        v = &p->slot[p->in_slot[i]];
        for (int d = 0; d < in[i].shape.rank && in[i].shape.rank == v->rank; d++)
            if ((v->batch_dims & (1u << d)) && in[i].shape.dim[d] < batch)
                batch = in[i].shape.dim[d];
    }
    if (batch < 1 || (p->fixed_batch && batch != p->info.max_batch))
        return sn_fail(err, SN_E_SHAPE, "inputs", "the batch is %lld, the plan was made for %s%lld",
                       (long long)batch, p->fixed_batch ? "exactly " : "1 to ",
                       (long long)p->info.max_batch);
    for (size_t i = 0; i < p->info.n_in; i++) {
        sn_shape shape;

        if (p->in_slot[i] == VALUE_ABSENT) continue;
        shape = shape_at(&p->slot[p->in_slot[i]], batch);
        if (in[i].dtype != p->info.in[i].dtype)
            return sn_fail(err, SN_E_DTYPE, "inputs", "input %zu is %s, the plan was made for %s",
                           i, sn_dtype_name(in[i].dtype), sn_dtype_name(p->info.in[i].dtype));
        if (!sn_shape_equal(&shape, &in[i].shape) || !sn_tensor_is_dense(&in[i]))
            return sn_fail(err, SN_E_SHAPE, "inputs",
                           "input %zu has shape %s, the plan was made for %s, dense", i,
                           sn_shape_text(&in[i].shape, got, sizeof got),
                           sn_shape_text(&shape, want, sizeof want));
    }
    *ret_batch = batch;
    return SN_OK;
}

static sn_status check_probs(const sn_plan *p, const float *const *probs, sn_error *err)
{
    const sn_subnet *s = p->subnet;

    for (size_t i = 0; s->soft && i < s->net->n_choices; i++)
        if (s->decision[i].state == DECISION_SOFT && (!probs || !probs[i]))
            return sn_fail(
                err, SN_E_INVALID, s->net->choice[i].label,
                "choice \"%s\" follows a distribution, and the run has no weights for it",
                s->net->choice[i].label);
    return SN_OK;
}

/* Samples `first` to `end` through all steps up to the end of span k, in parts of equal size;
 * false if stopped. */
static bool run_span(struct run *r, int k, int64_t first, int64_t end)
{
    const sn_plan        *plan = r->plan;
    const sn_run_options *options = r->options;
    const int64_t         most = plan->span[k].samples, n = end - first;
    const int64_t         parts = n / most + (n % most != 0);

    for (int64_t i = 0; i < parts; i++) {
        const int64_t larger = n % parts; /* the first ones, by a sample */
        const int64_t from = first + n / parts * i + (i < larger ? i : larger);
        const int64_t to = from + n / parts + (i < larger);

        r->base[k] = from;
        if (k > 0 && !run_span(r, k - 1, from, to)) return false;
        r->first = from;
        r->batch = to - from;
        for (size_t t = k > 0 ? plan->span[k - 1].end : 0; t < plan->span[k].end; t++) {
            if (options->stop && options->stop(options->stop_cls)) return false;
            run_task(r, &plan->task[t]);
        }
    }
    return true;
}

struct lanes {
    const struct run *run;
    atomic_bool      *stopped;
};

/* Samples [from, to) on one thread, in scratch memory of their own. */
static void run_lane(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct lanes *l = cls;
    struct run          r = *l->run;

    r.parallel = NULL;
    r.scratch += (size_t)thread * r.plan->lane_bytes;
    if (!run_span(&r, r.plan->n_spans - 1, from, to)) atomic_store(l->stopped, true);
}

/* A multiple of the lanes in whole samples, the rest step by step; false if stopped. */
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

SN_EXPORT sn_status sn_plan_forward(const sn_plan *plan, const sn_tensor *in, sn_tensor *out,
                                    const sn_run_options *options, sn_error *err)
{
    struct run r = {.plan = plan,
                    .options = options,
                    .parallel = options->parallel,
                    .in = in,
                    .out = out,
                    .scratch = options->scratch};
    int64_t    batch = 0;
    sn_status  rc = find_batch(plan, in, &batch, err);

    if (!rc) rc = check_probs(plan, options->probs, err);
    if (!rc && plan->needs_state && !options->state)
        rc = sn_fail(err, SN_E_INVALID, "state",
                     "training mode updates running statistics; give it a state of its own");
    if (rc) return rc;
    for (size_t i = 0; i < plan->n_dists; i++)
        dist_weights(&plan->dist[i], options->probs,
                     (float *)(r.scratch + plan->dist[i].offset_bytes));
    if (!run_lanes(&r, batch)) return sn_fail(err, SN_E_STOPPED, "forward", "stopped");
    return SN_OK;
}

SN_EXPORT void sn_plan_outputs(const sn_plan *plan, int64_t batch, sn_desc *ret_out)
{
    for (size_t i = 0; i < plan->info.n_out; i++) {
        ret_out[i] = plan->info.out[i];
        if (plan->out_slot[i] != VALUE_ABSENT)
            ret_out[i].shape = shape_at(&plan->slot[plan->out_slot[i]], batch);
    }
}
