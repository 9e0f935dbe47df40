/* builtin: what every registry starts with. Here alone all operators, containers and policies are
 * known by name: whoever uses them asks a registry. The tables have one line for each. */
#include "registry/registry.h"

#define SN_BUILTIN_OP(op) extern const sn_op op;
#include "builtin/operators.def"
#undef SN_BUILTIN_OP

#define SN_BUILTIN_POLICY(policy) extern const sn_policy_class policy;
#include "builtin/policies.def"
#undef SN_BUILTIN_POLICY

#define SN_BUILTIN_CONTAINER(type, row) extern const struct structure row;
#include "builtin/containers.def"
#undef SN_BUILTIN_CONTAINER

static const sn_op *const operators[] = {
#define SN_BUILTIN_OP(op) &op,
#include "builtin/operators.def"
#undef SN_BUILTIN_OP
};

static const sn_policy_class *const policies[] = {
#define SN_BUILTIN_POLICY(policy) &policy,
#include "builtin/policies.def"
#undef SN_BUILTIN_POLICY
};

static const struct container containers[] = {
#define SN_BUILTIN_CONTAINER(type, row) {type, &row},
#include "builtin/containers.def"
#undef SN_BUILTIN_CONTAINER
    {0},
};

SN_EXPORT sn_status sn_registry_create(sn_registry **ret_registry, sn_error *err)
{
    sn_registry *reg = registry_create(containers);
    sn_status    rc = SN_OK;

    if (!reg) return fail_no_memory(err, "registry");
    for (size_t i = 0; rc == SN_OK && i < COUNT(operators); i++)
        rc = sn_registry_add_op(reg, operators[i], err);
    for (size_t i = 0; rc == SN_OK && i < COUNT(policies); i++)
        rc = sn_registry_add_policy(reg, policies[i], err);
    if (rc != SN_OK) {
        sn_registry_unref(reg);
        return rc;
    }
    *ret_registry = reg;
    return SN_OK;
}
