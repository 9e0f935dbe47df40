#include "builtin/policies.h"

#include "base/base.h"

#define SN_BUILTIN_POLICY(policy) extern const sn_policy_class policy;
#include "builtin/policies.def"
#undef SN_BUILTIN_POLICY

const sn_policy_class *builtin_policy_at(size_t i)
{
    static const sn_policy_class *const all[] = {
#define SN_BUILTIN_POLICY(policy) &policy,
#include "builtin/policies.def"
#undef SN_BUILTIN_POLICY
    };

    return i < COUNT(all) ? all[i] : NULL;
}
