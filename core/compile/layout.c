/* layout: every value gets a layout, and a step that needs another one gets a conversion before it.
 * Variants of convolutions use channels last; elementwise steps take the layout of their input;
 * steps without a variant use rows, as do outputs of the plan. */
#include <string.h>

#include "base/budget.h"
#include "compile/compile.h"

struct converter {
    struct sn_plan *p;
    struct step    *from; /* the steps so far */
    int            *twin; /* [cap] a value in the other layout, -1: not made yet */
    int             cap;
};

/* Both layouts are the same bytes. */
static bool is_either(const sn_shape *s)
{
    return s->rank != 4 || s->dim[1] == 1 || (s->dim[2] == 1 && s->dim[3] == 1);
}

/* Value `v` in layout `want`: itself, or a copy that a step before makes. */
static sn_status in_layout(struct converter *c, int *v, sn_layout want, const struct module *m,
                           sn_error *err)
{
    struct sn_plan *p = c->p;
    struct step     s = {.kind = STEP_COPY, .module = m};
    int             to;

    if (*v == VALUE_ABSENT || p->value[*v].desc.dtype == SN_NONE) return SN_OK;
    if (p->value[*v].layout == want || is_either(&p->value[*v].desc.shape)) return SN_OK;
    if (c->twin[*v] < 0) {
        to = plan_add_value(p);
        if (to < 0) return fail_no_memory(err, "plan");
        p->value[to] = p->value[*v];
        p->value[to].root = to;
        p->value[to].place = PLACE_NONE;
        p->value[to].layout = want;
        s.call.n_in = s.call.n_out = 1;
        s.in = v;
        s.out = &to;
        if (!plan_add_step(p, &s)) return fail_no_memory(err, "plan");
        c->twin[*v] = to;
    }
    *v = c->twin[*v];
    return SN_OK;
}

/* Elementwise: the inputs and the one output have the same shape. */
static bool is_pointwise(const struct sn_plan *p, const struct step *s)
{
    const sn_shape *shape = &p->value[s->out[0]].desc.shape;

    if (s->call.n_out != 1 || s->call.n_in < 1) return false;
    if (s->kind == STEP_OP && !(s->module->op->flags & SN_OP_POINTWISE)) return false;
    if (s->kind == STEP_CONCAT || s->kind == STEP_BLEND || s->kind == STEP_COPY) return false;
    for (size_t k = 0; k < s->call.n_in; k++)
        if (s->in[k] == VALUE_ABSENT || !sn_shape_equal(&p->value[s->in[k]].desc.shape, shape))
            return false;
    return true;
}

/* Channels last if any input is; the other inputs are converted. */
static sn_layout common_layout(const struct sn_plan *p, const struct step *s)
{
    for (size_t k = 0; k < s->call.n_in; k++)
        if (s->in[k] != VALUE_ABSENT && p->value[s->in[k]].layout == SN_LAYOUT_CHANNELS_LAST &&
            !is_either(&p->value[s->in[k]].desc.shape))
            return SN_LAYOUT_CHANNELS_LAST;
    return SN_LAYOUT_ROWS;
}

/* The slots of a module do not change once they are filled, so plans share them. */
static sn_status prepare(struct sn_plan *p, struct step *s, sn_error *err)
{
    const struct module *m = s->module;
    const size_t         v = (size_t)(s->variant - m->op->variants);
    sn_status            rc = SN_OK;

    if (!budget_ask(arena_budget(p->work))) return plan_spend(p, s, 0, err);
    for (size_t k = 0; rc == SN_OK && k < m->n_params; k++)
        rc = pack_get(m, p->subnet->net, v, k, err);
    s->packed = (const void *const *)&m->packed[v * m->n_params];
    s->scratch_bytes = plan_scratch(p, s);
    return rc;
}

/* Append `s` to the new list, behind the conversions that it needs. */
static sn_status convert(struct converter *c, struct step *s, sn_error *err)
{
    struct sn_plan *p = c->p;
    int             in[SN_MAX_PORTS];
    sn_layout       want = SN_LAYOUT_ROWS, from;
    sn_status       rc = SN_OK;

    if (s->kind == STEP_DROPPED) return SN_OK;
    for (size_t k = 0; k < s->call.n_in; k++)
        in[k] = s->in[k];
    if (s->kind == STEP_ALIAS) { /* reshaping is only defined on rows */
        if (sn_shape_equal(&p->value[in[0]].desc.shape, &p->value[s->out[0]].desc.shape))
            want = p->value[in[0]].layout;
    } else if (s->variant) {
        want = s->variant->layout;
        rc = prepare(p, s, err);
    } else if (is_pointwise(p, s) || s->kind == STEP_CONCAT) {
        want = common_layout(p, s);
    }
    from = s->variant ? s->variant->layout_in : want;
    for (size_t k = 0; rc == SN_OK && k < s->call.n_in; k++)
        rc = in_layout(c, &in[k], from, s->module, err);
    if (rc == SN_OK && s->adds) rc = in_layout(c, &s->residual, want, s->module, err);
    if (rc != SN_OK) return rc;
    for (size_t k = 0; k < s->call.n_out; k++)
        if (p->value[s->out[k]].desc.shape.rank == 4) p->value[s->out[k]].layout = want;
    if (s->kind == STEP_ALIAS) p->value[s->out[0]].root = p->value[in[0]].root;
    s->in = in;
    return plan_add_step(p, s) ? SN_OK : fail_no_memory(err, s->call.where);
}

sn_status plan_layout(struct sn_plan *p, sn_error *err)
{
    sn_arena        *work = sn_arena_create();
    struct converter c = {.p = p, .from = p->step, .cap = 2 * p->n_values};
    const size_t     n = p->n_steps;
    sn_status        rc = SN_OK;

    c.twin = work ? arena_array(work, (size_t)c.cap + 1, sizeof *c.twin) : NULL;
    if (!c.twin) {
        sn_arena_free(work);
        return fail_no_memory(err, "plan");
    }
    memset(c.twin, -1, (size_t)c.cap * sizeof *c.twin); /* a twin has no twin: 2 n are enough */
    p->step = NULL;
    p->n_steps = p->cap_steps = 0;
    for (size_t i = 0; rc == SN_OK && i < n; i++) {
        rc = plan_ask(p, 256, err);
        if (rc == SN_OK) rc = convert(&c, &c.from[i], err);
    }
    for (size_t i = 0; rc == SN_OK && i < p->info.n_out; i++)
        rc = in_layout(&c, &((int *)p->output)[i], SN_LAYOUT_ROWS, p->subnet->net->root, err);
    sn_arena_free(work);
    return rc;
}
