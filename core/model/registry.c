/* registry: operators and policies by name, the built-in ones first. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "model/build.h"
#include "model/registry.h"
#include "op/builtin.h"
#include "policy/builtin.h"

/* `list` with room for one more pointer than n; NULL when memory is out. */
static void *grow(void *list, size_t n)
{
    if (n & (n - 1)) return list; /* doubles at powers of two */
    return realloc(list, 2 * (n ? n : 1) * sizeof(void *));
}

/* ---- operators: what the rest of the library relies on ------------------------------- */

static sn_status check_args(const sn_op *op, size_t *ret_n, sn_error *err)
{
    size_t n = 0;

    for (; op->args && op->args[n].name; n++) {
        if (n == SN_MAX_ARGS)
            return sn_fail(err, SN_E_LIMIT, op->type, "the operator has more than %d arguments",
                           SN_MAX_ARGS);
        if (!op->args[n].kinds)
            return sn_fail(err, SN_E_INVALID, op->type,
                           "the argument \"%s\" allows no kind of value", op->args[n].name);
        if (op->args[n].flags & SN_ARG_DERIVED && !op->args[n].fallback)
            return sn_fail(err, SN_E_INVALID, op->type,
                           "the derived argument \"%s\" has no expression", op->args[n].name);
        for (size_t i = 0; i < n; i++)
            if (strcmp(op->args[i].name, op->args[n].name) == 0)
                return sn_fail(err, SN_E_INVALID, op->type, "there are two arguments \"%s\"",
                               op->args[n].name);
        if (strcmp(op->args[n].name, "type") == 0 || strcmp(op->args[n].name, "name") == 0 ||
            strcmp(op->args[n].name, "inputs") == 0)
            return sn_fail(err, SN_E_INVALID, op->type,
                           "no argument can be called \"%s\", a member of every module",
                           op->args[n].name);
    }
    *ret_n = n;
    return SN_OK;
}

static sn_status check_params(const sn_op *op, size_t n_args, sn_error *err)
{
    for (size_t k = 0; op->params && op->params[k].name; k++) {
        const sn_param_def *p = &op->params[k];

        if (k == SN_MAX_PARAMS)
            return sn_fail(err, SN_E_LIMIT, op->type, "the operator has more than %d parameters",
                           SN_MAX_PARAMS);
        if (p->n_steps < 0 || p->n_steps > SN_MAX_STEPS)
            return sn_fail(err, SN_E_LIMIT, op->type, "the parameter \"%s\" has %d slicing steps",
                           p->name, p->n_steps);
        for (int s = 0; s < p->n_steps; s++)
            if (p->step[s] < 0 || (size_t)p->step[s] >= n_args)
                return sn_fail(err, SN_E_INVALID, op->type,
                               "a slicing step of \"%s\" names argument %d of %zu", p->name,
                               p->step[s], n_args);
        if (p->n_steps > 0 && !op->slice)
            return sn_fail(err, SN_E_INVALID, op->type,
                           "the parameter \"%s\" needs the function slice", p->name);
        if (!op->shape)
            return sn_fail(err, SN_E_INVALID, op->type,
                           "the parameter \"%s\" needs the function shape", p->name);
    }
    return SN_OK;
}

static sn_status check_op(const sn_registry *reg, const sn_op *op, sn_error *err)
{
    size_t    n_args = 0;
    sn_status rc;

    /* size and abi come first in every version of the table: nothing else is read before. */
    if (op->abi != SN_OP_ABI || op->size < sizeof *op)
        return sn_fail(err, SN_E_UNSUPPORTED, "operator",
                       "the operator was built for version %u of the interface, and this library "
                       "has version %d: build it again",
                       op->abi, SN_OP_ABI);
    if (!op->type || !*op->type)
        return sn_fail(err, SN_E_INVALID, "operator", "an operator needs a type");
    for (size_t i = 0; i < reg->n_ops; i++)
        if (strcmp(reg->op[i]->type, op->type) == 0)
            return sn_fail(err, SN_E_INVALID, op->type,
                           "there is an operator of this type already");
    for (size_t i = 0; structure_at(i); i++)
        if (strcmp(structure_at(i)->type, op->type) == 0)
            return sn_fail(err, SN_E_INVALID, op->type,
                           "there is a container of this type already");
    if (op->min_in < 0 || op->min_in > SN_MAX_PORTS || op->max_in > SN_MAX_PORTS ||
        (op->max_in >= 0 && op->max_in < op->min_in) || op->n_out < 1 || op->n_out > SN_MAX_PORTS)
        return sn_fail(err, SN_E_INVALID, op->type, "%d to %d inputs and %d outputs are impossible",
                       op->min_in, op->max_in, op->n_out);
    if (op->in_names && op->max_in < 0)
        return sn_fail(err, SN_E_INVALID, op->type, "any number of inputs cannot have names");
    if (!op->infer || (!op->forward && !(op->flags & SN_OP_ALIAS)))
        return sn_fail(err, SN_E_INVALID, op->type, "the functions infer and forward are needed");
    rc = check_args(op, &n_args, err);
    return rc == SN_OK ? check_params(op, n_args, err) : rc;
}

SN_EXPORT sn_status sn_registry_add_op(sn_registry *reg, const sn_op *op, sn_error *err)
{
    const sn_op **list;
    sn_status     rc = check_op(reg, op, err);

    if (rc != SN_OK) return rc;
    list = grow((void *)reg->op, reg->n_ops);
    if (!list) return fail_no_memory(err, op->type);
    reg->op = list;
    reg->op[reg->n_ops++] = op;
    return SN_OK;
}

/* ---- policies ---------------------------------------------------------------------------- */

SN_EXPORT sn_status sn_registry_add_policy(sn_registry *reg, const sn_policy_class *cls,
                                           sn_error *err)
{
    const sn_policy_class **list;

    if (cls->abi != SN_POLICY_ABI || cls->size < sizeof *cls)
        return sn_fail(err, SN_E_UNSUPPORTED, "policy",
                       "the policy was built for version %u of the interface, and this library "
                       "has version %d: build it again",
                       cls->abi, SN_POLICY_ABI);
    if (!cls->name || !*cls->name)
        return sn_fail(err, SN_E_INVALID, "policy", "a policy needs a name");
    for (size_t i = 0; i < reg->n_policies; i++)
        if (strcmp(reg->policy[i]->name, cls->name) == 0)
            return sn_fail(err, SN_E_INVALID, cls->name, "there is a policy of this name already");
    if (!cls->resample)
        return sn_fail(err, SN_E_INVALID, cls->name, "the function resample is needed");
    list = grow((void *)reg->policy, reg->n_policies);
    if (!list) return fail_no_memory(err, cls->name);
    reg->policy = list;
    reg->policy[reg->n_policies++] = cls;
    return SN_OK;
}

/* ---- the registry -------------------------------------------------------------------------- */

static sn_registry *registry_free(sn_registry *reg)
{
    if (reg) {
        free((void *)reg->op);
        free((void *)reg->policy);
        plugin_close_all(reg);
        free(reg);
    }
    return NULL;
}

SN_EXPORT sn_status sn_registry_create(sn_registry **ret_registry, sn_error *err)
{
    sn_registry           *reg = calloc(1, sizeof *reg);
    const sn_op           *op;
    const sn_policy_class *cls;
    sn_status              rc = SN_OK;

    if (!reg) return fail_no_memory(err, "registry");
    atomic_init(&reg->n_refs, 1);
    for (size_t i = 0; rc == SN_OK && (op = builtin_op_at(i)); i++)
        rc = sn_registry_add_op(reg, op, err);
    for (size_t i = 0; rc == SN_OK && (cls = builtin_policy_at(i)); i++)
        rc = sn_registry_add_policy(reg, cls, err);
    if (rc != SN_OK) {
        registry_free(reg);
        return rc;
    }
    *ret_registry = reg;
    return SN_OK;
}

SN_EXPORT const sn_op *sn_registry_op_at(const sn_registry *reg, size_t i)
{
    return i < reg->n_ops ? reg->op[i] : NULL;
}

SN_EXPORT const sn_policy_class *sn_registry_policy_at(const sn_registry *reg, size_t i)
{
    return i < reg->n_policies ? reg->policy[i] : NULL;
}

SN_EXPORT sn_registry *sn_registry_ref(sn_registry *reg)
{
    if (reg) ref_take(&reg->n_refs);
    return reg;
}

SN_EXPORT sn_registry *sn_registry_unref(sn_registry *reg)
{
    return reg && ref_drop(&reg->n_refs) ? registry_free(reg) : NULL;
}
