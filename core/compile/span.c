/* span: how many samples of a batch go through a step at a time.
 *
 * If a large batch goes through one step after another, no step finds its input in a cache, and
 * scratch memory must hold all samples. Where each sample is computed independently, a few samples
 * go through several steps before the next few start. In most networks tensors shrink from step to
 * step and weights grow, so later steps take more samples at a time and read each weight less
 * often.
 *
 *     4 times  [ 2 times  [ 2 times  [ 1 sample  to 56x56 ]  2 samples to 28x28 ]  4 to 7x7 ]
 *
 * Where there is a sample for each thread, each thread takes its own samples through all steps (a
 * lane): no barriers, and no data from another core's cache. Samples that are left over are
 * computed by all threads together, step by step.
 *
 * Results are the same to the last bit. */
#include "compile/compile.h"

/* Most bytes of one value for all samples of a span: about what a cache holds. */
enum { STRETCH_BYTES = 2 << 20 };

static bool grows(const struct sn_plan *p, int v)
{
    return v != VALUE_ABSENT && p->value[v].batch_dims;
}

/* Does the operator promise for this call that samples are independent? */
static bool keeps_samples(const struct step *s)
{
    const sn_op *op = s->module->op;

    if (op->flags & SN_OP_POINTWISE) return true;
    return op->flags & SN_OP_SAMPLES && (!op->samples || op->samples(&s->call));
}

/* Are samples independent in this step, with axis 0 of all its inputs and outputs as the batch? */
static bool is_samplewise(const struct sn_plan *p, const struct step *s)
{
    bool any = s->adds && grows(p, s->residual);

    for (size_t k = 0; k < s->call.n_in; k++)
        any = any || grows(p, s->in[k]);
    if (!any) return true;
    if (s->kind == STEP_OP && !keeps_samples(s)) return false;
    for (size_t k = 0; k < s->call.n_out; k++)
        if (p->value[s->out[k]].desc.dtype != SN_NONE && !grows(p, s->out[k])) return false;
    return true;
}

/* May the batch be divided? */
static bool may_divide(const struct sn_plan *p)
{
    if (p->mode != SN_EVAL || p->n_dists > 0 || p->info.max_batch <= 1) return false;
    for (int v = 0; v < p->n_values; v++) {
        const struct value *value = &p->value[v];

        /* Axis 0 is N itself, and no other axis grows. */
        if (value->desc.dtype != SN_NONE && value->batch_dims &&
            (value->batch_dims != 1 || value->growth.per_sample[0] != 1 ||
             value->desc.shape.dim[0] != p->info.max_batch))
            return false;
    }
    for (size_t i = 0; i < p->n_steps; i++)
        if (!is_samplewise(p, &p->step[i])) return false;
    return true;
}

/* An output without a batch axis: several lanes would write it at the same time. */
static bool shares_output(const struct sn_plan *p)
{
    for (int v = 0; v < p->n_values; v++) {
        const struct value *value = &p->value[v];

        if (value->root == v && value->place == PLACE_OUTPUT && value->desc.dtype != SN_NONE &&
            !value->batch_dims)
            return true;
    }
    return false;
}

static int64_t sample_bytes(const struct sn_plan *p, int v)
{
    const struct value *value = &p->value[v];

    if (value->desc.dtype == SN_NONE || !value->batch_dims) return 0;
    return sn_shape_count(&value->unit) * (int64_t)sn_dtype_bytes(value->desc.dtype);
}

/* How many samples, at most `most`, may go through step `s` at a time. */
static int64_t samples_of(const struct sn_plan *p, const struct step *s, int64_t most)
{
    int64_t largest = 0;

    for (size_t k = 0; k < s->call.n_in + s->call.n_out; k++) {
        const int     v = k < s->call.n_in ? s->in[k] : s->out[k - s->call.n_in];
        const int64_t bytes = v == VALUE_ABSENT ? 0 : sample_bytes(p, v);

        if (bytes > largest) largest = bytes;
    }
    if (largest <= STRETCH_BYTES / most) return most;
    return STRETCH_BYTES > largest ? STRETCH_BYTES / largest : 1;
}

/* Find the spans, from the last step to the first. A span takes as many samples as the most
 * demanding of its steps allows, and no more than the span after it. Where that is half of what the
 * last step of the span allows, a new span begins. */
static void find_spans(struct sn_plan *p, int64_t most)
{
    struct span found[MAX_SPANS] = {{p->n_steps, most}};
    int64_t     last = most;
    int         n = 1;

    for (size_t i = p->n_steps; i-- > 0;) {
        struct span  *span = &found[n - 1];
        const int64_t samples = samples_of(p, &p->step[i], most);

        if (samples >= span->samples) continue;
        if (i + 1 < span->end && 2 * samples <= last && n < MAX_SPANS) {
            span = &found[n++];
            span->end = i + 1;
        }
        if (i + 1 == span->end) last = samples;
        span->samples = samples;
    }
    for (int k = 0; k < n; k++)
        p->span[k] = found[n - 1 - k];
    p->n_spans = n;
}

/* A value belongs to the span of its last reader. If an earlier span makes it, several times, its
 * bytes are needed from the beginning on. */
static void find_span(struct sn_plan *p, struct value *v)
{
    int from = 0;

    while (v->first >= (int)p->span[from].end)
        from++;
    v->span = from;
    while (v->last >= (int)p->span[v->span].end)
        v->span++;
    if (v->span > from) v->first = 0; /* the spans before run again, and must not overwrite it */
}

void plan_spans(struct sn_plan *p)
{
    const int64_t batch = p->info.max_batch ? p->info.max_batch : 1;

    p->n_spans = p->n_lanes = 1;
    p->span[0] = (struct span){p->n_steps, batch};
    if (may_divide(p)) {
        if (batch >= p->n_threads && !shares_output(p)) p->n_lanes = p->n_threads;
        find_spans(p, batch / p->n_lanes + (batch % p->n_lanes != 0));
    }
    for (int i = 0; i < p->n_values; i++) {
        struct value *v = &p->value[i];

        if (v->place == PLACE_INPUT || v->place == PLACE_OUTPUT)
            v->span = p->n_spans;
        else if (v->root == i && v->first >= 0)
            find_span(p, v);
    }
}
