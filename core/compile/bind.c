/* bind: the data of what steps read, when inference and cost are done: parameters of which several
 * pieces are live are copied together, running statistics are those of a run's state. What is a
 * view is part of the call since it was lowered. */
#include "compile/compile.h"
#include "live/operand.h"

/* The live part of params[k] is a view into the whole, and not what a blend makes. */
static bool is_view(const struct step *s, size_t k)
{
    for (int i = 0; i < s->n_gathers; i++)
        if (s->gather[i].param == (int)k) return false;
    for (int i = 0; i < s->n_patches; i++)
        if (s->patch[i].param == (int)k) return false;
    return true;
}

/* In training mode a run updates the statistics of its own state. */
static sn_status bind_state(struct sn_plan *p, struct step *s, sn_error *err)
{
    const struct module *m = s->module;

    for (size_t k = 0; k < m->n_params; k++) {
        const sn_tensor *live = &s->call.param[k], *whole = &m->param[k];
        struct patch     patch = {.param = (int)k, .value = -1, .state = m->state[k]};

        if (live->dtype == SN_NONE || !(m->op->params[k].flags & SN_PARAM_STATE) ||
            patch.state < 0 || !is_view(s, k))
            continue;
        patch.offset_bytes = (size_t)((char *)live->data - (char *)whole->data);
        s->patch = plan_append(p, s->patch, s->n_patches++, &patch, sizeof patch);
        if (!s->patch) return fail_no_memory(err, m->where);
        p->needs_state = true;
    }
    return SN_OK;
}

/* A blend masks what no distribution cuts, in every run. */
static sn_status bind_blend(struct sn_plan *p, struct step *s, sn_error *err)
{
    struct blend *b;

    if (s->n_gathers == 0) return SN_OK;
    b = ARENA_NEW(p->work, struct blend);
    if (!b) return fail_no_memory(err, s->module->where);
    *b = *s->blend;
    b->whole.data = operand_gather(&s->module->param[s->gather->param], &s->gather->cut,
                                   sn_shape_count(&b->whole.shape), p->work);
    if (!b->whole.data) return fail_no_memory(err, s->module->where);
    s->blend = b;
    s->n_gathers = 0;
    return SN_OK;
}

sn_status plan_bind(struct sn_plan *p, sn_error *err)
{
    sn_status rc = SN_OK;

    for (size_t i = 0; !rc && i < p->n_steps; i++) {
        struct step *s = &p->step[i];

        if (s->kind == STEP_BLEND)
            rc = bind_blend(p, s, err);
        else if (p->mode == SN_TRAIN && s->module->op)
            rc = bind_state(p, s, err);
    }
    return rc;
}

sn_status plan_gather(struct sn_plan *p, sn_arena *mem, const struct step *s, sn_tensor *param,
                      sn_error *err)
{
    for (int i = 0; i < s->n_gathers; i++) {
        const struct gather *g = &s->gather[i];
        const int64_t        count = sn_shape_count(&param[g->param].shape);

        if (s->packed && s->packed[g->param]) continue; /* the variant reads what was prepared */
        param[g->param].data = operand_gather(&s->module->param[g->param], &g->cut, count, mem);
        if (!param[g->param].data) return fail_no_memory(err, s->call.where);
        p->info.packed_bytes += (size_t)count * sizeof(float);
    }
    return SN_OK;
}
