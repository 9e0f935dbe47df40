/* registry: operators and policies by name, in the order in which they were added. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "registry/registry.h"
#include "supernet/engine.h"

/* `list` with room for one more pointer than n; NULL when memory is out. */
static void *grow(void *list, size_t n)
{
    if (n & (n - 1)) return list; /* doubles at powers of two */
    return realloc(list, 2 * (n ? n : 1) * sizeof(void *));
}

/* ---- operators: what the rest of the library relies on ------------------------------- */

static sn_status check_args(const sn_op *op, size_t *ret_n, sn_error *err)
{
    const unsigned all_kinds = SN_KINDS(SN_KIND_TUPLE + 1) - 1;
    size_t         n = 0;

    for (; op->args && op->args[n].name; n++) {
        if (n == SN_MAX_ARGS)
            return sn_fail(err, SN_E_LIMIT, op->type, "the operator has more than %d arguments",
                           SN_MAX_ARGS);
        if (!*op->args[n].name)
            return sn_fail(err, SN_E_INVALID, op->type, "argument %zu has an empty name", n);
        if (!(op->args[n].kinds & all_kinds))
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
        if (!*p->name)
            return sn_fail(err, SN_E_INVALID, op->type, "parameter %zu has an empty name", k);
        for (size_t i = 0; i < k; i++)
            if (strcmp(op->params[i].name, p->name) == 0)
                return sn_fail(err, SN_E_INVALID, op->type, "there are two parameters \"%s\"",
                               p->name);
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

static sn_status check_names(const sn_op *op, const char *const *names, int n, const char *what,
                             sn_error *err)
{
    for (int i = 0; names && i < n; i++)
        if (!names[i] || !*names[i])
            return sn_fail(err, SN_E_INVALID, op->type, "%s %d has no name", what, i);
    return SN_OK;
}

/* A flag may change what a table means: one that nobody here knows is no hint to be ignored. */
static sn_status check_flags(const sn_op *op, sn_error *err)
{
    const unsigned of_op = SN_OP_ALIAS | SN_OP_POINTWISE | SN_OP_ADD | SN_OP_MUL | SN_OP_SAMPLES |
                           SN_OP_STEADY_SCRATCH;
    const unsigned of_arg = SN_ARG_CHOICE | SN_ARG_SOFT_MASK | SN_ARG_SOFT_FULL |
                            SN_ARG_SOFT_REFUSE | SN_ARG_COMPONENTS | SN_ARG_DERIVED |
                            SN_ARG_COMPONENTS_NNI;
    const unsigned of_param = SN_PARAM_STATE | SN_PARAM_I64 | SN_PARAM_UNUSED;
    unsigned       unknown = op->flags & ~of_op;
    const char    *what = "the operator";

    for (size_t i = 0; !unknown && op->args && op->args[i].name; i++) {
        unknown = op->args[i].flags & ~of_arg;
        what = op->args[i].name;
    }
    for (size_t k = 0; !unknown && op->params && op->params[k].name; k++) {
        unknown = op->params[k].flags & ~of_param;
        what = op->params[k].name;
    }
    if (!unknown) return SN_OK;
    return sn_fail(err, SN_E_UNSUPPORTED, op->type,
                   "%s has the flags 0x%x, which this library does not know", what, unknown);
}

static sn_status check_op(const sn_registry *reg, const sn_op *op, sn_error *err)
{
    size_t    n_args = 0;
    sn_status rc;

    if (!op->type || !*op->type)
        return sn_fail(err, SN_E_INVALID, "operator", "an operator needs a type");
    for (size_t i = 0; i < reg->n_ops; i++)
        if (strcmp(reg->op[i]->type, op->type) == 0)
            return sn_fail(err, SN_E_INVALID, op->type,
                           "there is an operator of this type already");
    for (size_t i = 0; reg->container[i].type; i++)
        if (strcmp(reg->container[i].type, op->type) == 0)
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
    rc = check_names(op, op->in_names, op->max_in, "input", err);
    if (rc == SN_OK) rc = check_names(op, op->out_names, op->n_out, "output", err);
    if (rc == SN_OK) rc = check_args(op, &n_args, err);
    if (rc == SN_OK) rc = check_params(op, n_args, err);
    return rc == SN_OK ? check_flags(op, err) : rc;
}

/* What the first version of a table had: without that it is none. */
enum {
    LEAST_OP = offsetof(sn_op, variants),
    LEAST_VARIANT = offsetof(sn_variant, forward) + sizeof(((sn_variant *)0)->forward),
    LEAST_POLICY = offsetof(sn_policy_class, best)
};

/* size and abi come first in every version of a table: nothing else is read before. */
static sn_status check_table(const char *what, size_t size, size_t least, uint32_t abi,
                             uint32_t ours, sn_error *err)
{
    if (abi != ours)
        return sn_fail(err, SN_E_UNSUPPORTED, what,
                       "the %s was built for version %u of the interface, and this library has "
                       "version %u: build it again",
                       what, abi, ours);
    if (size < least)
        return sn_fail(err, SN_E_UNSUPPORTED, what,
                       "the %s's table says that it has %zu bytes, and no version has fewer than "
                       "%zu: set `size` to the sizeof of the struct",
                       what, size, least);
    return SN_OK;
}

/* The variants of a caller are an array of its own structs: the first says how large they are. */
static const sn_variant *variant_at(const sn_op *op, size_t i)
{
    return (const sn_variant *)((const char *)op->variants + i * op->variants[0].size);
}

static sn_status count_variants(const sn_op *op, size_t *ret_n, sn_error *err)
{
    size_t n = 0;

    if (op->variants && op->variants[0].name)
        for (; n == 0 || variant_at(op, n)->name; n++)
            if (variant_at(op, n)->size < LEAST_VARIANT ||
                variant_at(op, n)->size != op->variants[0].size)
                return sn_fail(err, SN_E_UNSUPPORTED, op->type,
                               "variant %zu says that it has %zu bytes, and no version has fewer "
                               "than %d, nor may variants differ",
                               n, variant_at(op, n)->size, (int)LEAST_VARIANT);
    *ret_n = n;
    return SN_OK;
}

/* What the planner relies on. */
static sn_status check_variant(const sn_op *op, const sn_variant *v, sn_error *err)
{
    const unsigned fuses = SN_FUSES_AFFINE | SN_FUSES_RESIDUAL | SN_FUSES_ACT | SN_FUSES_IN_PLACE;

    if (!v->fits || !v->forward)
        return sn_fail(err, SN_E_INVALID, op->type,
                       "the variant \"%s\" needs the functions fits and forward", v->name);
    if (!v->packed_bytes != !v->pack)
        return sn_fail(err, SN_E_INVALID, op->type,
                       "the variant \"%s\" has one of the functions packed_bytes and pack, and "
                       "needs both or none",
                       v->name);
    if ((unsigned)v->layout_in > SN_LAYOUT_CHANNELS_LAST ||
        (unsigned)v->layout > SN_LAYOUT_CHANNELS_LAST || v->fuses & ~fuses)
        return sn_fail(
            err, SN_E_UNSUPPORTED, op->type,
            "the variant \"%s\" has layouts %d and %d and fuses 0x%x, which this library "
            "does not know",
            v->name, (int)v->layout_in, (int)v->layout, v->fuses);
    return SN_OK;
}

struct op_copy {
    sn_op      op;
    sn_variant variant[]; /* ended by one without a name */
};

SN_EXPORT sn_status sn_registry_add_op(sn_registry *reg, const sn_op *op, sn_error *err)
{
    struct op_copy *copy;
    const sn_op   **list;
    sn_op           known;
    size_t          n_variants = 0;
    sn_status       rc = check_table("operator", op->size, LEAST_OP, op->abi, SN_OP_ABI, err);

    if (rc != SN_OK) return rc;
    options_read(&known, sizeof known, op);
    rc = check_op(reg, &known, err);
    if (rc == SN_OK) rc = count_variants(&known, &n_variants, err);
    if (rc != SN_OK) return rc;
    list = grow((void *)reg->op, reg->n_ops);
    if (!list) return fail_no_memory(err, op->type);
    reg->op = list;
    copy = calloc(1, sizeof *copy + (n_variants + 1) * sizeof copy->variant[0]);
    if (!copy) return fail_no_memory(err, op->type);
    copy->op = known;
    if (known.variants) copy->op.variants = copy->variant;
    for (size_t i = 0; rc == SN_OK && i < n_variants; i++) {
        options_read(&copy->variant[i], sizeof copy->variant[i], variant_at(&known, i));
        rc = check_variant(&known, &copy->variant[i], err);
    }
    if (rc != SN_OK) {
        free(copy);
        return rc;
    }
    reg->op[reg->n_ops++] = &copy->op;
    return SN_OK;
}

/* ---- policies ---------------------------------------------------------------------------- */

SN_EXPORT sn_status sn_registry_add_policy(sn_registry *reg, const sn_policy_class *cls,
                                           sn_error *err)
{
    const sn_policy_class **list;
    sn_policy_class        *copy;
    sn_status rc = check_table("policy", cls->size, LEAST_POLICY, cls->abi, SN_POLICY_ABI, err);

    if (rc != SN_OK) return rc;
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
    copy = malloc(sizeof *copy);
    if (!copy) return fail_no_memory(err, cls->name);
    options_read(copy, sizeof *copy, cls);
    reg->policy[reg->n_policies++] = copy;
    return SN_OK;
}

/* ---- the registry -------------------------------------------------------------------------- */

void registry_cut(struct sn_registry *reg, size_t n_ops, size_t n_policies)
{
    while (reg->n_ops > n_ops)
        free((void *)reg->op[--reg->n_ops]);
    while (reg->n_policies > n_policies)
        free((void *)reg->policy[--reg->n_policies]);
}

static sn_registry *registry_free(sn_registry *reg)
{
    if (reg) {
        registry_cut(reg, 0, 0);
        free((void *)reg->op);
        free((void *)reg->policy);
        plugin_close_all(reg);
        free(reg);
    }
    return NULL;
}

sn_registry *registry_create(const struct container *container)
{
    sn_registry *reg = calloc(1, sizeof *reg);

    if (!reg) return NULL;
    atomic_init(&reg->n_refs, 1);
    reg->container = container;
    return reg;
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
