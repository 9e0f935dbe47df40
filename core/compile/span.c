/* span: how many samples of a batch go through a step at a time.
 *
 * A large batch that goes through one step after another leaves every cache behind, and needs
 * scratch memory for all its samples at once. Where no step looks at more than one sample, some
 * go ahead before the next ones start. Samples shrink on their way through most networks, and
 * weights grow: later steps take more samples at a time, so that each weight is read less often.
 *
 *     4 times  [ 2 times  [ 2 times  [ 1 sample  to 56x56 ]  2 samples to 28x28 ]  4 to 7x7 ]
 *
 * Where there is a sample for every thread, each takes its own through all of it: no step waits,
 * and no cache needs what another has. What is left over they share step by step.
 *
 * No bit depends on it. */
#include "compile/compile.h"

/* Bytes that the largest value of the samples at a time may have: what caches hold. */
enum { STRETCH_BYTES = 2 << 20 };

static bool grows(const struct sn_plan *p, int v)
{
    return v != VALUE_ABSENT && p->value[v].batch_dims;
}

/* Does the operator promise it for this call? */
static bool keeps_samples(const struct step *s)
{
    const sn_op *op = s->module->op;

    if (op->flags & SN_OP_POINTWISE) return true;
    return op->flags & SN_OP_SAMPLES && (!op->samples || op->samples(&s->call));
}

/* Samples stay apart: axis 0 is theirs alone, in whatever comes in and goes out. */
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

/* May some samples go ahead? */
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

/* An output that belongs to all samples: threads that run all steps would write it at once. */
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

/* Samples of `most` that may go through a step at a time. */
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

/* Find the spans from the last to the first. A span takes what all its steps and those after it
 * may take; where that falls to half of what its last step may take, another begins. */
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

/* The span that makes a value and the one that reads it last. */
static void find_span(struct sn_plan *p, struct value *v)
{
    int from = 0;

    while (v->first >= (int)p->span[from].end)
        from++;
    v->span = from;
    while (v->last >= (int)p->span[v->span].end)
        v->span++;
    if (v->span > from) v->first = 0; /* and the spans before run again */
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
