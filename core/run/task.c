/* task: one step of a plan on tensors. Operators divide their work among threads by themselves;
 * concatenations, conversions of layout and elementwise steps are divided here. */
#include <string.h>

#include "kernel/packed.h"
#include "run/blend.h"
#include "run/combine.h"
#include "run/run.h"
#include "tensor/tensor.h"
#include "thread/share.h"

/* The bytes of the samples of this round, in the buffer of its span. */
static void *part_of(const struct run *r, const struct slot *v, void *all)
{
    int64_t n = (r->first - r->base[v->span]) * (int64_t)sn_dtype_bytes((sn_dtype)v->dtype);

    if (!v->batch_dims || n == 0) return all;
    for (int d = 1; d < v->rank; d++) /* axis 0 is the batch: may_divide() in compile/span.c */
        n *= v->dim[d];
    return (char *)all + n;
}

/* Rows `from` to `to` of a tensor, as a matrix. */
static sn_tensor cut_rows(const sn_tensor *t, int64_t from, int64_t to)
{
    const int64_t  n = t->shape.dim[t->shape.rank - 1];
    const sn_shape shape = {.rank = 2, .dim = {to - from, n}};

    return sn_tensor_dense(t->dtype, &shape,
                           (char *)t->data + from * n * (int64_t)sn_dtype_bytes(t->dtype));
}

/* A slot as a tensor. Its strides always claim row-major order [N, C, H, W], also where the bytes
 * are channels last. That is safe because every reader either knows the layout from its variant, or
 * works element by element on tensors of equal layout. */
static sn_tensor tensor_of(const struct run *r, int slot)
{
    const struct slot *v;
    sn_shape           shape;
    sn_tensor          t;
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
    case PLACE_NONE: /* an output that was not produced */
        break;
    }
    shape = run_shape(v, r->batch);
    t = sn_tensor_dense((sn_dtype)v->dtype, &shape, data ? part_of(r, v, data) : NULL);
    return r->row_to ? cut_rows(&t, r->row_from, r->row_to) : t;
}

static const float *weight_of(const struct run *r, int dist)
{
    return (const float *)(r->scratch + r->plan->dist[dist].offset_bytes);
}

/* The parameters of a step, with those that are only known in a run: blends, and running statistics
 * of the caller's state. */
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

static void run_blend(const struct run *r, const struct task *t, sn_tensor *out)
{
    const struct step *s = t->step;
    const float       *weight[SN_MAX_STEPS];
    size_t             n_options[SN_MAX_STEPS];

    for (int i = 0; i < s->blend->n_masks; i++) {
        weight[i] = weight_of(r, s->blend->mask[i].dist);
        n_options[i] = r->plan->dist[s->blend->mask[i].dist].n_options;
    }
    blend_run(s->blend, weight, n_options, (double *)(r->scratch + t->offset_bytes), out);
}

/* A conversion from one layout to the other. */
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

/* The grain of elementwise loops: a cache line, so that no two threads write the same one. */
enum { LINE = SN_ALIGN_BYTES / sizeof(float) };

/* A concatenation along channels. */
struct joined {
    const sn_tensor *in, *out;
    size_t           n_in;
    bool             channels_last;
};

static void join_elements(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct joined *j = cls;

    (void)thread;
    combine_concat(j->in, j->n_in, j->channels_last, from, to, j->out);
}

static void run_concat(const struct run *r, const struct task *t, const sn_tensor *in,
                       const sn_tensor *out)
{
    const bool          last = r->plan->slot[t->io[t->n_in]].layout == SN_LAYOUT_CHANNELS_LAST;
    const struct joined j = {in, out, t->n_in, last};
    const int64_t       n = sn_shape_count(&out->shape);

    share_run(r->parallel, r->plan->n_threads, n, LINE, SHARE_TOUCH * (double)n, join_elements, &j);
}

static void run_on(const struct run *r, const struct task *t, const sn_tensor *in, sn_tensor *out)
{
    const struct slot *slot = r->plan->slot;
    const int         *output = t->io + t->n_in;

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
        run_concat(r, t, in, out);
        break;
    case STEP_WEIGHTED:
        run_weighted(r, t->step, in, out);
        break;
    case STEP_COPY:
        copy_layout(r, &slot[t->io[0]], in, &slot[output[0]], out);
        break;
    case STEP_BLEND:
        run_blend(r, t, out);
        break;
    case STEP_DROPPED:
    case STEP_ALIAS:
        break;
    }
}

/* Does element i of the output depend only on elements i of the inputs? */
static bool is_elementwise(const struct task *t, const sn_tensor *in, const sn_tensor *out)
{
    const bool sum = t->kind == STEP_SUM || t->kind == STEP_MEAN || t->kind == STEP_WEIGHTED;

    if (!sum && (t->kind != STEP_OP || t->variant || t->call->scratch_bytes ||
                 !(t->module->op->flags & SN_OP_POINTWISE)))
        return false;
    for (int i = 0; i < t->n_in; i++)
        if (!sn_shape_equal(&in[i].shape, &out->shape)) return false;
    return true;
}

struct elements {
    const struct run  *run;
    const struct task *task;
    const sn_tensor   *in, *out;
};

static sn_tensor elements_of(const sn_tensor *t, int64_t from, int64_t to)
{
    const sn_shape shape = {.rank = 1, .dim = {to - from}};

    return sn_tensor_dense(t->dtype, &shape, (char *)t->data + from * sn_dtype_bytes(t->dtype));
}

static void run_elements(const void *cls, int64_t from, int64_t to, int thread)
{
    const struct elements *e = cls;
    struct run             alone = *e->run;
    sn_tensor              in[SN_MAX_PORTS], out = elements_of(e->out, from, to);

    (void)thread;
    alone.parallel = NULL;
    for (int i = 0; i < e->task->n_in; i++)
        in[i] = elements_of(&e->in[i], from, to);
    run_on(&alone, e->task, in, &out);
}

void run_task(const struct run *r, const struct task *t)
{
    const int *output = t->io + t->n_in;
    sn_tensor  in[SN_MAX_PORTS], out[SN_MAX_PORTS];

    for (int i = 0; i < t->n_in; i++)
        in[i] = tensor_of(r, t->io[i]);
    for (int i = 0; i < t->n_out; i++)
        out[i] = tensor_of(r, output[i]);
    if (r->parallel && is_elementwise(t, in, out)) {
        const struct elements e = {r, t, in, out};
        const int64_t         n = sn_shape_count(&out->shape);

        share_run(r->parallel, r->plan->n_threads, n, LINE, SHARE_TOUCH * (double)n, run_elements,
                  &e);
    } else {
        run_on(r, t, in, out);
    }
}
