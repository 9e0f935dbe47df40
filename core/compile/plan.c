/* plan: compile in the order of run/plan.h; describe; reference count. */
#include <string.h>

#include "base/budget.h"
#include "compile/compile.h"

static sn_status describe(struct sn_plan *p, const sn_desc *in, sn_error *err)
{
    sn_desc *desc = arena_array(p->mem, p->info.n_in + p->info.n_out + 1, sizeof *desc);

    if (!desc) return fail_no_memory(err, "plan");
    for (size_t i = 0; i < p->info.n_in; i++)
        desc[i] = in[i];
    for (size_t i = 0; i < p->info.n_out; i++)
        desc[p->info.n_in + i] = p->output[i] == VALUE_ABSENT ? (sn_desc){.dtype = SN_NONE}
                                                              : p->value[p->output[i]].desc;
    p->info.in = desc;
    p->info.out = desc + p->info.n_in;
    p->info.n_steps = p->n_steps;
    return SN_OK;
}

sn_status plan_check(const struct sn_plan *p, const sn_compile_options *options, sn_error *err)
{
    const sn_supernet *net = p->subnet->net;

    if (options->n_in != net->n_inputs)
        return sn_fail(err, SN_E_INVALID, "inputs", "%zu inputs are given, the supernet has %zu",
                       options->n_in, net->n_inputs);
    if (options->n_in > 0 && !options->in)
        return sn_fail(err, SN_E_INVALID, "inputs", "no inputs are described");
    if (options->mode != SN_EVAL && options->mode != SN_TRAIN)
        return sn_fail(err, SN_E_INVALID, "mode", "%d is neither SN_EVAL nor SN_TRAIN",
                       (int)options->mode);
    if ((unsigned)options->exactness > SN_EXACTNESS_WINOGRAD)
        return sn_fail(err, SN_E_INVALID, "exactness", "%d is no sn_exactness",
                       (int)options->exactness);
    return SN_OK;
}

static sn_status compile(struct sn_plan *p, const sn_compile_options *options, sn_error *err)
{
    const sn_supernet *net = p->subnet->net;
    struct network     w;
    sn_status          rc;

    if (net->bare)
        return sn_fail(err, SN_E_INVALID, "weights", "the supernet was loaded without weights");
    rc = plan_check(p, options, err);
    if (!rc) rc = network_expand(net, p->subnet->decision, p->work, &w, err);
    if (!rc) rc = plan_lower(p, &w, options->in, err);
    if (!rc) rc = plan_infer(p, options->in, err);
    if (!rc) rc = plan_bind(p, err);
    if (!rc) rc = plan_select(p, err);
    if (!rc) rc = plan_fuse(p, err);
    if (!rc) rc = plan_layout(p, err);
    if (!rc) rc = plan_lives(p, err);
    if (!rc) {
        plan_spans(p);
        plan_chain(p);
    }
    if (!rc) rc = plan_memory(p, err);
    if (!rc && p->scratch_limit_bytes && p->info.scratch_bytes > p->scratch_limit_bytes)
        rc = sn_fail(err, SN_E_LIMIT, "inputs",
                     "one forward needs %zu bytes of activations, the limit is %zu",
                     p->info.scratch_bytes, p->scratch_limit_bytes);
    if (!rc) rc = describe(p, options->in, err);
    if (!rc) rc = plan_seal(p, err);
    return rc ? rc : supernet_check_lost(net, err); /* packing reads weights */
}

sn_plan *plan_create(sn_subnet *subnet, const sn_compile_options *options, sn_compile_options *o,
                     struct budget *budget)
{
    sn_arena *mem = arena_create_tight(), *work = sn_arena_create();
    sn_plan  *p = mem && work ? ARENA_NEW(mem, sn_plan) : NULL;

    options_read(o, sizeof *o, options);
    *budget = budget_of(o->stop, o->stop_cls, o->memory_limit_bytes, o->step_limit);
    if (!p || !arena_limit(mem, budget) || !arena_limit(work, budget)) {
        sn_arena_free(mem);
        sn_arena_free(work);
        return NULL;
    }
    atomic_init(&p->n_refs, 1);
    p->mem = mem;
    p->work = work;
    p->mode = o->mode;
    p->n_threads = o->n_threads > 1 ? o->n_threads : 1;
    p->scratch_limit_bytes = o->scratch_limit_bytes;
    p->winograd = o->exactness == SN_EXACTNESS_SPEC ? subnet->net->winograd
                                                    : o->exactness == SN_EXACTNESS_WINOGRAD;
    p->subnet = sn_subnet_ref(subnet);
    p->info.n_in = subnet->net->n_inputs;
    p->info.n_out = subnet->net->n_outputs;
    return p;
}

sn_status plan_spend(struct sn_plan *p, const struct step *s, uint64_t n_steps, sn_error *err)
{
    return budget_step(arena_budget(p->work), n_steps, s->call.where ? s->call.where : "plan", err);
}

SN_EXPORT sn_status sn_plan_compile(sn_subnet *subnet, const sn_compile_options *options,
                                    sn_plan **ret_plan, sn_error *err)
{
    sn_compile_options o;
    struct budget      budget;
    sn_plan           *p;
    sn_status          rc;

    p = plan_create(subnet, options, &o, &budget);
    if (!p) return budget_settle(&budget, fail_no_memory(err, "plan"), err);
    rc = compile(p, &o, err);
    arena_limit(p->mem, NULL);
    if (p->work) arena_limit(p->work, NULL);
    rc = budget_settle(&budget, rc, err);
    if (rc)
        sn_plan_unref(p);
    else
        *ret_plan = p;
    return rc;
}

SN_EXPORT const sn_plan_info *sn_plan_describe(const sn_plan *plan)
{
    return &plan->info;
}

SN_EXPORT bool sn_plan_step_at(const sn_plan *plan, size_t i, sn_step_info *ret_step)
{
    static const char *const kinds[] = {
        [STEP_SUM] = "sum",         [STEP_MEAN] = "mean",
        [STEP_CONCAT] = "concat",   [STEP_WEIGHTED] = "weighted sum",
        [STEP_COPY] = "copy",       [STEP_BLEND] = "blend",
        [STEP_DROPPED] = "dropped", [STEP_ALIAS] = "alias"};
    const struct task *t;

    if (i >= plan->n_tasks) return false;
    t = &plan->task[i];
    *ret_step = (sn_step_info){.module = (size_t)t->module->index,
                               .what = t->kind == STEP_OP ? t->module->type : kinds[t->kind],
                               .variant = t->variant ? t->variant->name : NULL};
    return true;
}

SN_EXPORT sn_subnet *sn_plan_subnet(const sn_plan *plan)
{
    return plan->subnet;
}

SN_EXPORT sn_plan *sn_plan_ref(sn_plan *plan)
{
    ref_take(&plan->n_refs);
    return plan;
}

SN_EXPORT sn_plan *sn_plan_unref(sn_plan *plan)
{
    if (plan && ref_drop(&plan->n_refs)) {
        sn_subnet_unref(plan->subnet);
        sn_arena_free(plan->work);
        sn_arena_free(plan->mem);
    }
    return NULL;
}
