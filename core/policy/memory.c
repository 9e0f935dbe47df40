#include "policy/memory.h"

#include <stdlib.h>

#include "supernet/op.h"

void *policy_calloc(void *policy, size_t n, size_t size)
{
    size_t n_bytes;
    void  *p;

    if (__builtin_mul_overflow(n, size, &n_bytes) || __builtin_add_overflow(n_bytes, 1, &n_bytes))
        n_bytes = SIZE_MAX;
    if (policy && !sn_policy_charge(policy, n_bytes)) return NULL;
    p = n_bytes == SIZE_MAX ? NULL : calloc(1, n_bytes);
    if (policy && !p) sn_policy_discharge(policy, n_bytes);
    return p;
}

void policy_free(void *policy, void *p, size_t n, size_t size)
{
    if (policy && p) sn_policy_discharge(policy, n * size + 1);
    free(p);
}

sn_status policy_step(const void *policy, uint64_t n_steps, sn_error *err)
{
    if (!policy || sn_policy_go_on(policy, n_steps)) return SN_OK;
    return sn_fail(err, SN_E_STOPPED, "policy", "%s", sn_status_text(SN_E_STOPPED));
}
