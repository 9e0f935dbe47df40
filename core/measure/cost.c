/* cost: multiply-adds, parameters and bytes of a subnet, from shapes alone: runs the stages of
 * compiling up to infer. */
#include <string.h>

#include "base/budget.h"
#include "compile/shapes.h"

static sn_status infer(struct sn_plan *p, const sn_compile_options *options, sn_error *err)
{
    const sn_supernet *net = p->subnet->net;
    struct network     w;
    sn_status          rc;

    rc = plan_check(p, options, err);
    if (rc) return rc;
    if (p->subnet->soft && net->bare) /* blends are made of weights */
        return sn_fail(err, SN_E_INVALID, "weights",
                       "the supernet was loaded without weights, and the subnet follows a "
                       "distribution over them");
    p->module_cost = arena_array(p->work, net->n_modules + 1, sizeof *p->module_cost);
    if (!p->module_cost) return fail_no_memory(err, "plan");
    rc = network_expand(net, p->subnet->decision, p->work, &w, err);
    if (!rc) rc = plan_lower(p, &w, options->in, err);
    return rc ? rc : plan_infer(p, options->in, err);
}

SN_EXPORT sn_status sn_subnet_cost(sn_subnet *subnet, const sn_compile_options *options,
                                   sn_cost *ret_total, sn_cost *ret_by_module, sn_error *err)
{
    sn_compile_options o;
    struct budget      budget;
    sn_plan           *p;
    sn_status          rc;

    p = plan_create(subnet, options, &o, &budget);
    if (!p) return budget_settle(&budget, fail_no_memory(err, "plan"), err);
    rc = infer(p, &o, err);
    arena_limit(p->mem, NULL);
    arena_limit(p->work, NULL);
    rc = budget_settle(&budget, rc, err);
    if (rc == SN_OK) {
        if (ret_total) *ret_total = p->info.cost;
        if (ret_by_module)
            memcpy(ret_by_module, p->module_cost, subnet->net->n_modules * sizeof *ret_by_module);
    }
    sn_plan_unref(p);
    return rc;
}
