/* dist: the distributions of a plan: which options of an argument the soft choices lead to, and
 * the blends of parameters whose slices follow one: made by a step of their own in each run. */
#include <string.h>

#include "base/hash.h"
#include "compile/shapes.h"
#include "live/operand.h"
#include "run/blend.h"

/* Numbers that all distributions of a plan are made of: each run goes through them. */
enum { MAX_COMBOS = 1 << 22 };

static sn_status fill_combos(struct sn_plan *p, const struct arg_slot *slot, struct dist *d,
                             sn_error *err)
{
    const struct decision *decision = p->subnet->decision;
    const size_t           n = slot->n_leaves;
    bool                  *soft = arena_array(p->work, n + 1, sizeof *soft);
    const sn_value       **value = arena_array(p->work, n + 1, sizeof *value);
    size_t                *choice = arena_array(p->work, n + 1, sizeof *choice);
    sn_option             *option;
    uint32_t              *combo_option, *combo_index;
    sn_status              rc;

    if (!soft || !value || !choice) return fail_no_memory(err, slot->where);
    for (size_t i = 0; i < n; i++) {
        soft[i] = decision[slot->leaf[i]].state == DECISION_SOFT;
        if (soft[i])
            choice[d->n_soft++] = slot->leaf[i];
        else
            value[i] = &decision[slot->leaf[i]].value;
    }
    rc = expr_combos(slot->expr, soft, value, p->work, &option, &d->n_options, &combo_option,
                     &combo_index, &d->n_combos, err);
    if (rc) return rc;
    p->n_combos += d->n_combos * (d->n_soft + 2);
    if (p->n_combos > MAX_COMBOS)
        return sn_fail(err, SN_E_LIMIT, slot->where,
                       "\"%.300s\" has %zu combinations of candidates, too many for every run to "
                       "weigh beside those of the arguments before it",
                       expr_text(slot->expr), d->n_combos);
    d->soft = choice;
    d->option = option;
    d->combo_option = combo_option;
    d->combo_index = combo_index;
    return SN_OK;
}

sn_status plan_dist(struct sn_plan *p, const struct arg_slot *slot, size_t choice, int *ret_dist,
                    sn_error *err)
{
    struct dist    d = {.slot = slot, .choice = choice};
    const uint64_t of = slot ? (uintptr_t)slot : choice;
    int           *last =
        &p->dists.last[hash_bytes(arena_hash_key(p->work), &of, sizeof of) & (p->dists.n - 1)];

    for (int i = *last; i >= 0; i = p->dist[i].before)
        if (p->dist[i].slot == slot && (slot || p->dist[i].choice == choice)) {
            *ret_dist = i;
            return SN_OK;
        }
    d.before = *last;
    if (slot) {
        const sn_status rc = fill_combos(p, slot, &d, err);

        if (rc) return rc;
    } else {
        d.n_options = p->subnet->net->choice[choice].n_candidates;
    }
    if (p->n_dists == p->cap_dists) {
        const size_t cap = p->cap_dists ? 2 * p->cap_dists : 16;
        struct dist *grown = arena_array(p->work, cap, sizeof *grown);

        if (!grown) return fail_no_memory(err, "plan");
        if (p->n_dists) memcpy(grown, p->dist, p->n_dists * sizeof *grown);
        p->dist = grown;
        p->cap_dists = cap;
    }
    *ret_dist = *last = (int)p->n_dists;
    p->dist[p->n_dists++] = d;
    return SN_OK;
}

/* ---- blends ------------------------------------------------------------------------------ */

/* The slices of one soft step, one for each option of its argument. */
static sn_status add_mask(struct sn_plan *p, const struct module *m, const sn_call *whole, size_t k,
                          int s, struct blend *b, sn_error *err)
{
    struct blend_mask *mask = &b->mask[b->n_masks];
    const int          a = m->op->params[k].step[s];
    const struct dist *d;
    sn_slice          *slice;
    sn_status          rc = plan_dist(p, &m->arg[a], 0, &mask->dist, err);

    if (rc) return rc;
    d = &p->dist[mask->dist];
    slice = arena_array(p->work, d->n_options, sizeof *slice);
    if (!slice) return fail_no_memory(err, m->where);
    for (size_t o = 0; o < d->n_options; o++) {
        rc = operand_slice(m, whole, k, s, &d->option[o].value, &slice[o], err);
        if (rc) return rc;
        for (int i = 0; i < slice[o].rank; i++)
            mask->axis[i] =
                mask->axis[i] || !operand_is_full(&slice[o], i, whole->param[k].shape.dim[i]);
    }
    mask->slice = slice;
    b->n_masks++;
    return SN_OK;
}

/* The step that makes a blend, and the value that it makes. */
static sn_status add_blend_step(struct sn_plan *p, struct step *s, int *ret_value, sn_error *err)
{
    const sn_shape *shape = &s->blend->whole.shape;
    const int       v = plan_add_value(p);
    struct value   *value;

    if (v < 0) return fail_no_memory(err, s->module->where);
    value = &p->value[v];
    value->desc = (sn_desc){.dtype = SN_F32, .shape = *shape};
    value->unit = *shape;
    s->call.n_out = 1;
    s->out = &v;
    s->scratch_bytes = blend_scratch(s->blend);
    if (!plan_add_step(p, s)) return fail_no_memory(err, s->module->where);
    *ret_value = v;
    return SN_OK;
}

sn_status plan_blend(struct sn_plan *p, const struct module *m, const sn_call *whole, size_t k,
                     const struct live_param *live, int *ret_value, sn_error *err)
{
    const struct gather pieces = {.param = (int)k, .cut = live->cut};
    struct blend       *b = ARENA_NEW(p->work, struct blend);
    struct step         s = {.kind = STEP_BLEND, .module = m, .blend = b};

    if (!b) return fail_no_memory(err, m->where);
    b->whole = live->tensor;
    for (int i = 0; i < live->n_masks; i++) {
        const sn_status rc = add_mask(p, m, whole, k, live->mask[i], b, err);

        if (rc) return rc;
    }
    if (live->in_pieces) s.gather = plan_append(p, NULL, s.n_gathers++, &pieces, sizeof pieces);
    if (live->in_pieces && !s.gather) return fail_no_memory(err, m->where);
    return add_blend_step(p, &s, ret_value, err);
}
