/* bind: what an operator's step reads: plain argument values and live weights.
 *
 * A prefix or a crop is a view into the mapped file. Several pieces on an axis (the
 * rows of q, k and v) need a copy, which the plan owns if a step reads it. Under a distribution
 * the live weight is a blend, made by a step of its own in each run. */
#include <stdlib.h>
#include <string.h>

#include "compile/compile.h"
#include "run/blend.h"
#include "tensor/tensor.h"

static sn_status bind_args(struct sn_plan *p, const struct module *m, sn_arg *arg, sn_error *err)
{
    const struct decision *decision = p->subnet->decision;

    for (size_t a = 0; a < m->n_args; a++) {
        const struct arg_slot *slot = &m->arg[a];

        arg[a] = (sn_arg){.value = slot->super,
                          .super = slot->super,
                          .option = slot->option,
                          .n_options = slot->n_options,
                          .soft = decision_is_soft(decision, slot),
                          .elastic = slot->expr != NULL,
                          .position = slot->position};
        if (!arg[a].soft) {
            const sn_status rc =
                decision_evaluate(p->subnet->net, decision, slot, p->work, &arg[a].value, err);

            if (rc) return rc;
        }
    }
    return SN_OK;
}

static bool is_full(const sn_slice *s, int axis, int64_t size)
{
    return s->axis[axis].n == 1 && s->axis[axis].piece[0].start == 0 &&
           s->axis[axis].piece[0].stop == size;
}

static sn_slice full_slice(const sn_tensor *t)
{
    sn_slice s = {.rank = t->shape.rank};

    for (int d = 0; d < s.rank; d++) {
        s.axis[d].n = 1;
        s.axis[d].piece[0] = (sn_range){0, t->shape.dim[d]};
    }
    return s;
}

/* What an operator, of a plug-in too, says is cut: inside of the tensor, in pieces there is room
 * for. */
static sn_status ask_slice(const struct module *m, const sn_call *call, size_t k, int s,
                           const sn_value *value, sn_slice *ret_slice, sn_error *err)
{
    const sn_shape *whole = &call->param[k].shape;
    sn_status       rc =
        fail_foreign(err, m->op->slice(call, k, s, value, ret_slice, err), m->where, m->type);

    if (rc) return rc;
    if (ret_slice->rank != whole->rank) goto outside;
    for (int d = 0; d < whole->rank; d++) {
        if (ret_slice->axis[d].n < 1 || ret_slice->axis[d].n > SN_MAX_PIECES) goto outside;
        for (int i = 0; i < ret_slice->axis[d].n; i++) {
            const sn_range r = ret_slice->axis[d].piece[i];

            if (r.start < 0 || r.stop < r.start || r.stop > whole->dim[d]) goto outside;
        }
    }
    return SN_OK;
outside:
    return sn_fail(err, SN_E_SHAPE, call->where, "%s cuts \"%s\" where that has nothing", m->type,
                   m->op->params[k].name);
}

/* Narrow `cut` by `by`. Two steps that cut one axis keep what both keep. */
static sn_status narrow(sn_slice *cut, const sn_slice *by, const sn_tensor *whole,
                        const char *where, sn_error *err)
{
    for (int d = 0; d < cut->rank; d++) {
        const sn_range r = by->axis[d].piece[0];
        sn_range      *c = &cut->axis[d].piece[0];

        if (is_full(by, d, whole->shape.dim[d])) continue;
        if (is_full(cut, d, whole->shape.dim[d])) {
            cut->axis[d] = by->axis[d];
            continue;
        }
        if (by->axis[d].n != 1 || cut->axis[d].n != 1)
            return sn_fail(err, SN_E_UNSUPPORTED, where,
                           "two slicing steps cut axis %d of a parameter into pieces", d);
        c->start = r.start > c->start ? r.start : c->start;
        c->stop = r.stop < c->stop ? r.stop : c->stop;
        if (c->stop < c->start) c->stop = c->start;
    }
    return SN_OK;
}

static bool has_pieces(const sn_slice *s)
{
    for (int d = 0; d < s->rank; d++)
        if (s->axis[d].n != 1) return true;
    return false;
}

/* Copy the pieces of `whole` inside `cut` together. */
static float *gather(const sn_tensor *whole, const sn_slice *cut, int64_t count, sn_arena *mem)
{
    char *to = sn_arena_alloc(mem, (size_t)count * sizeof(float) + SN_ALIGN_BYTES);

    if (!to) return NULL;
    to += -(uintptr_t)to & (SN_ALIGN_BYTES - 1);
    tensor_gather(whole, cut, (float *)to);
    return (float *)to;
}

/* The shape of what is left, dense, without its data. */
static sn_tensor gathered(const sn_slice *cut)
{
    sn_shape shape = {.rank = cut->rank};

    for (int d = 0; d < cut->rank; d++)
        for (int k = 0; k < cut->axis[d].n; k++)
            shape.dim[d] += cut->axis[d].piece[k].stop - cut->axis[d].piece[k].start;
    return sn_tensor_dense(SN_F32, &shape, NULL);
}

static sn_status add_gather(struct sn_plan *p, struct step *s, int k, const sn_slice *cut,
                            sn_error *err)
{
    struct gather *list = arena_array(p->work, (size_t)s->n_gathers + 1, sizeof *list);

    if (!list) return fail_no_memory(err, "plan");
    if (s->n_gathers) memcpy(list, s->gather, (size_t)s->n_gathers * sizeof *list);
    list[s->n_gathers++] = (struct gather){.param = k, .cut = *cut};
    s->gather = list;
    return SN_OK;
}

sn_status plan_gather(struct sn_plan *p, sn_arena *mem, const struct step *s, sn_tensor *param,
                      sn_error *err)
{
    for (int i = 0; i < s->n_gathers; i++) {
        const struct gather *g = &s->gather[i];
        const int64_t        count = sn_shape_count(&param[g->param].shape);

        if (s->packed && s->packed[g->param]) continue; /* the variant reads what was prepared */
        param[g->param].data = gather(&s->module->param[g->param], &g->cut, count, mem);
        if (!param[g->param].data) return fail_no_memory(err, s->call.where);
        p->info.packed_bytes += (size_t)count * sizeof(float);
    }
    return SN_OK;
}

/* The slices of one soft step, one for each option of its argument. */
static sn_status bind_mask(struct sn_plan *p, const struct module *m, const sn_call *call, size_t k,
                           int s, struct blend *b, sn_error *err)
{
    struct blend_mask *mask = &b->mask[b->n_masks];
    const sn_tensor   *whole = &call->param[k];
    const int          a = m->op->params[k].step[s];
    const struct dist *d;
    sn_slice          *slice;
    sn_status          rc = plan_dist(p, &m->arg[a], 0, &mask->dist, err);

    if (rc) return rc;
    d = &p->dist[mask->dist];
    slice = arena_array(p->work, d->n_options, sizeof *slice);
    if (!slice) return fail_no_memory(err, m->where);
    for (size_t o = 0; o < d->n_options; o++) {
        rc = ask_slice(m, call, k, s, &d->option[o].value, &slice[o], err);
        if (rc) return rc;
        for (int i = 0; i < slice[o].rank; i++)
            mask->axis[i] = mask->axis[i] || !is_full(&slice[o], i, whole->shape.dim[i]);
    }
    mask->slice = slice;
    b->n_masks++;
    return SN_OK;
}

static sn_status add_blend(struct sn_plan *p, const struct module *m, struct blend *b,
                           sn_tensor *ret_live, int *ret_value, sn_error *err)
{
    const int     v = plan_add_value(p);
    struct step   s = {.kind = STEP_BLEND, .module = m, .blend = b};
    struct value *value;

    if (v < 0) return fail_no_memory(err, m->where);
    value = &p->value[v];
    value->desc = (sn_desc){.dtype = SN_F32, .shape = b->whole.shape};
    value->unit = b->whole.shape;
    s.call.n_out = 1;
    s.out = &v;
    s.scratch_bytes = blend_scratch(b);
    if (!plan_add_step(p, &s)) return fail_no_memory(err, m->where);
    *ret_live = sn_tensor_dense(SN_F32, &b->whole.shape, b->whole.data);
    *ret_value = v;
    return SN_OK;
}

static sn_status bind_param(struct sn_plan *p, struct step *step, const sn_call *call, size_t k,
                            sn_tensor *ret_live, struct patch *patch, sn_error *err)
{
    const struct module *m = step->module;
    const sn_param_def  *def = &m->op->params[k];
    const sn_tensor     *whole = &call->param[k];
    struct blend        *b = NULL;
    sn_slice             cut;
    sn_status            rc;

    *ret_live = *whole;
    *patch = (struct patch){.param = (int)k, .value = -1, .state = -1};
    if (whole->dtype == SN_NONE) return SN_OK;
    cut = full_slice(whole);
    for (int s = 0; s < def->n_steps; s++) {
        const sn_arg *arg = &call->arg[def->step[s]];
        sn_slice      one;

        if (arg->soft && (m->arg[def->step[s]].flags & SN_ARG_SOFT_MASK)) {
            if (!b) b = ARENA_NEW(p->work, struct blend);
            if (!b) return fail_no_memory(err, m->where);
            rc = bind_mask(p, m, call, k, s, b, err);
        } else {
            rc = ask_slice(m, call, k, s, &arg->value, &one, err);
            if (!rc) rc = narrow(&cut, &one, whole, m->where, err);
        }
        if (rc) return rc;
    }
    if (has_pieces(&cut))
        *ret_live = gathered(&cut);
    else if ((rc = sn_tensor_slice(whole, &cut, ret_live, err)))
        return rc;
    if (b) {
        if (!ret_live->data)
            ret_live->data = gather(whole, &cut, sn_shape_count(&ret_live->shape), p->work);
        if (!ret_live->data) return fail_no_memory(err, m->where);
        b->whole = *ret_live;
        return add_blend(p, m, b, ret_live, &patch->value, err);
    }
    if (has_pieces(&cut)) return add_gather(p, step, (int)k, &cut, err);
    if (p->mode == SN_TRAIN && (def->flags & SN_PARAM_STATE) && m->state[k] >= 0) {
        patch->state = m->state[k];
        patch->offset_bytes = (size_t)((char *)ret_live->data - (char *)whole->data);
        p->needs_state = true;
    }
    return SN_OK;
}

sn_status plan_bind(struct sn_plan *p, const struct module *m, struct step *s, sn_error *err)
{
    sn_arg       *arg = arena_array(p->work, m->n_args + 1, sizeof *arg);
    sn_tensor    *live = arena_array(p->work, m->n_params + 1, sizeof *live);
    struct patch *patch = arena_array(p->work, m->n_params + 1, sizeof *patch);
    sn_call       whole;
    sn_status     rc;

    if (!arg || !live || !patch) return fail_no_memory(err, m->where);
    rc = bind_args(p, m, arg, err);
    if (rc) return rc;
    s->call.arg = arg;
    whole = s->call;
    whole.param = m->param;
    for (size_t k = 0; k < m->n_params; k++) {
        rc = bind_param(p, s, &whole, k, &live[k], &patch[s->n_patches], err);
        if (rc) return rc;
        if (patch[s->n_patches].value >= 0 || patch[s->n_patches].state >= 0) s->n_patches++;
    }
    s->call.param = live;
    s->patch = patch;
    return SN_OK;
}
