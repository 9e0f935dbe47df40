/* pack: weights prepared for a variant, once for the whole supernet. A slot is filled by
 * whoever needs it first; two that race both prepare, and one throws its work away, so
 * that nobody waits under a lock. Logically constant. */
#include <stdlib.h>

#include "plan/plan.h"

sn_status pack_get(const struct module *m, sn_supernet *net, size_t v, size_t k, const void **ret,
                   sn_error *err)
{
    const sn_variant *variant = &m->op->variants[v];
    const sn_tensor  *whole = &m->param[k];
    _Atomic(void *)  *slot = &m->packed[v * m->n_params + k];
    void             *now = atomic_load_explicit(slot, memory_order_acquire), *mine;
    size_t            n_bytes;

    *ret = now;
    if (now || !variant->packed_bytes || whole->dtype == SN_NONE) return SN_OK;
    n_bytes = variant->packed_bytes(whole, k);
    if (n_bytes == 0) return SN_OK;
    if (n_bytes > SIZE_MAX - SN_ALIGN_BYTES) return fail_no_memory(err, m->where);
    n_bytes = (n_bytes + SN_ALIGN_BYTES - 1) & ~(size_t)(SN_ALIGN_BYTES - 1);
    mine = aligned_alloc(SN_ALIGN_BYTES, n_bytes);
    if (!mine) return fail_no_memory(err, m->where);
    variant->pack(whole, k, mine);
    if (atomic_compare_exchange_strong_explicit(slot, &now, mine, memory_order_acq_rel,
                                                memory_order_acquire)) {
        atomic_fetch_add_explicit(&net->packed_bytes, n_bytes, memory_order_relaxed);
        *ret = mine;
    } else {
        free(mine);
        *ret = now;
    }
    return SN_OK;
}
