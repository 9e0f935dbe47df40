/* stretch: how many samples of a batch go through all steps at a time.
 *
 * A large batch that goes through one step after another leaves every cache behind, and needs
 * scratch memory for all its samples at once. Where no step looks at more than one sample, some
 * go all the way before the next ones start; small networks take all together, so that each
 * weight is read once. No bit depends on it. */
#include "plan/plan.h"

/* Bytes that the largest value of the samples at a time may have: what caches hold. */
enum { STRETCH_BYTES = 2 << 20 };

static bool grows(const struct sn_plan *p, int v)
{
    return v != VALUE_ABSENT && p->value[v].batch_dims;
}

/* Samples stay apart: axis 0 is theirs alone, in whatever comes in and goes out. */
static bool is_samplewise(const struct sn_plan *p, const struct step *s)
{
    bool any = s->adds && grows(p, s->residual);

    for (size_t k = 0; k < s->call.n_in; k++)
        any = any || grows(p, s->in[k]);
    if (!any) return true;
    if (s->kind == STEP_OP && !(s->module->op->flags & (SN_OP_POINTWISE | SN_OP_SAMPLES)))
        return false;
    for (size_t k = 0; k < s->call.n_out; k++)
        if (p->value[s->out[k]].desc.dtype != SN_NONE && !grows(p, s->out[k])) return false;
    return true;
}

static int64_t unit_bytes(const struct value *v)
{
    return sn_shape_count(&v->unit) * (int64_t)sn_dtype_bytes(v->desc.dtype);
}

void plan_stretch(struct sn_plan *p)
{
    int64_t largest = 1;

    p->stretch = p->info.max_batch;
    if (p->fixed_batch || p->mode != SN_EVAL || p->n_dists > 0 || p->info.max_batch <= 1) return;
    for (int v = 0; v < p->n_values; v++) {
        const struct value *value = &p->value[v];

        if (value->desc.dtype == SN_NONE || !value->batch_dims) continue;
        if (value->batch_dims != 1 || value->unit.dim[0] != 1) return;
        if (unit_bytes(value) > largest) largest = unit_bytes(value);
    }
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->step[i].kind != STEP_DROPPED && !is_samplewise(p, &p->step[i])) return;
    if (largest < STRETCH_BYTES / p->stretch) return;
    p->stretch = STRETCH_BYTES / largest > 1 ? STRETCH_BYTES / largest : 1;
}
