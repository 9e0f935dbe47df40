/* select: how each operator runs: as the first of its variants that fits, or else by forward. */
#include "compile/compile.h"
#include "tensor/growth.h"

bool plan_readers(const struct sn_plan *p, sn_arena *work, struct readers *ret)
{
    struct readers r = {.n = arena_array(work, (size_t)p->n_values + 1, sizeof *r.n),
                        .step = arena_array(work, (size_t)p->n_values + 1, sizeof *r.step),
                        .made = arena_array(work, (size_t)p->n_values + 1, sizeof *r.made)};

    if (!r.n || !r.step || !r.made) return false;
    for (int v = 0; v < p->n_values; v++)
        r.made[v] = -1;
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct step *s = &p->step[i];

        for (size_t k = 0; k < s->call.n_out; k++)
            r.made[s->out[k]] = (int)i;
        for (size_t k = 0; k < s->call.n_in; k++)
            if (s->in[k] != VALUE_ABSENT) {
                r.n[s->in[k]]++;
                r.step[s->in[k]] = (int)i;
            }
        for (int k = 0; k < s->n_patches; k++)
            if (s->patch[k].value >= 0)
                r.n[s->patch[k].value] +=
                    2; /* counts twice: not the single reader that fusing needs */
    }
    for (size_t i = 0; i < p->info.n_out; i++)
        if (p->output[i] != VALUE_ABSENT) r.n[p->output[i]] += 2;
    *ret = r;
    return true;
}

/* Variants of elementwise operators compare the shapes of the largest batch; these must be equal
 * for every batch. */
static bool agree_on_batch(const struct sn_plan *p, const struct step *s)
{
    const sn_growth *growth = &p->value[s->out[0]].growth;

    if (!(s->module->op->flags & SN_OP_POINTWISE)) return true;
    for (size_t k = 0; k < s->call.n_in; k++)
        if (s->in[k] != VALUE_ABSENT && !growth_equal(&p->value[s->in[k]].growth, growth))
            return false;
    return true;
}

/* Trailing outputs that nobody reads are left out of the variant's call. */
static const sn_variant *choose(const struct sn_plan *p, struct step *s, const struct readers *r)
{
    const sn_op *op = s->module->op;
    sn_call      call = s->call;

    /* A blended or private parameter is not the one that was prepared. */
    if (s->kind != STEP_OP || s->n_patches || s->call.mode != SN_EVAL || !agree_on_batch(p, s))
        return NULL;
    while (call.n_out > 1 && r->n[s->out[call.n_out - 1]] == 0)
        call.n_out--;
    for (size_t v = 0; op->variants && op->variants[v].name; v++)
        if ((p->winograd || !op->variants[v].winograd) && op->variants[v].fits(&call)) {
            s->call.n_out = call.n_out;
            return &op->variants[v];
        }
    return NULL;
}

/* A sum of outputs that were not produced, such as attention weights that nobody asked for, is not
 * produced either. */
static void drop_absent(struct sn_plan *p)
{
    for (size_t i = 0; i < p->n_steps; i++) {
        struct step *s = &p->step[i];

        if ((s->kind == STEP_SUM || s->kind == STEP_MEAN || s->kind == STEP_CONCAT ||
             s->kind == STEP_WEIGHTED) &&
            p->value[s->out[0]].desc.dtype == SN_NONE)
            s->kind = STEP_DROPPED;
    }
}

enum { SELECT_STEPS = 24 };

sn_status plan_select(struct sn_plan *p, sn_error *err)
{
    sn_arena      *work = sn_arena_create();
    struct readers r;
    sn_status      rc = SN_OK;

    drop_absent(p);
    if (!work || !plan_readers(p, work, &r)) {
        sn_arena_free(work);
        return fail_no_memory(err, "plan");
    }
    for (size_t i = 0; rc == SN_OK && i < p->n_steps; i++) {
        struct step *s = &p->step[i];

        rc = plan_spend(p, s, SELECT_STEPS, err);
        if (rc == SN_OK) s->variant = choose(p, s, &r);
    }
    sn_arena_free(work);
    return rc;
}
