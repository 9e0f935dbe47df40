/* pack: what is prepared once for the whole supernet: weights in the form of a variant, and
 * normalisations folded into scale and shift. A slot is filled by the first thread that needs it:
 * if two prepare it at the same time, one discards its copy. The lock is held for the pointer
 * alone. A slot that is filled is never written again, so that runs read it as it is; to everybody
 * else a supernet looks constant. */
#include <string.h>

#include "base/fence.h"
#include "compile/compile.h"
#include "weights/weights.h"

static void *pack_alloc(size_t *n_bytes)
{
    if (*n_bytes > SIZE_MAX - SN_ALIGN_BYTES) return NULL;
    *n_bytes = (*n_bytes + SN_ALIGN_BYTES - 1) & ~(size_t)(SN_ALIGN_BYTES - 1);
    return fence_alloc(SN_ALIGN_BYTES, *n_bytes);
}

/* Put `mine` into the slot if it is empty; otherwise free it. Returns what the slot holds. */
static const void *pack_publish(_Atomic(void *) *slot, void *mine, size_t n_bytes, sn_supernet *net)
{
    void *now;

    pthread_mutex_lock(&net->publishing);
    now = atomic_load_explicit(slot, memory_order_relaxed);
    if (!now) atomic_store_explicit(slot, mine, memory_order_release);
    pthread_mutex_unlock(&net->publishing);
    if (now) {
        fence_free(mine);
        return now;
    }
    atomic_fetch_add_explicit(&net->packed_bytes, n_bytes, memory_order_relaxed);
    return mine;
}

static size_t bytes_of(const sn_tensor *t)
{
    return (size_t)sn_shape_count(&t->shape) * sn_dtype_bytes(t->dtype);
}

sn_status pack_get(const struct module *m, sn_supernet *net, size_t v, size_t k, sn_error *err)
{
    const sn_variant *variant = &m->op->variants[v];
    const sn_tensor  *whole = &m->param[k];
    _Atomic(void *)  *slot = &m->packed[v * m->n_params + k];
    void             *mine;
    size_t            n_bytes;

    if (!variant->packed_bytes || whole->dtype == SN_NONE ||
        atomic_load_explicit(slot, memory_order_acquire))
        return SN_OK;
    n_bytes = variant->packed_bytes(whole, k);
    if (n_bytes == 0) return SN_OK;
    mine = pack_alloc(&n_bytes);
    if (!mine) return fail_no_memory(err, m->where);
    variant->pack(whole, k, mine);
    pack_publish(slot, mine, n_bytes, net);
    weights_release(net->weights, whole->data, bytes_of(whole));
    return SN_OK;
}

/* The live parameters are prefixes of the whole ones, and nothing else depends on a choice. */
static bool is_prefix(const struct module *m, const sn_call *call)
{
    for (size_t a = 0; a < m->n_args; a++) {
        bool cuts = false;

        for (size_t k = 0; k < m->n_params; k++)
            for (int s = 0; s < m->op->params[k].n_steps; s++)
                cuts = cuts || m->op->params[k].step[s] == (int)a;
        if (call->arg[a].elastic && !cuts) return false;
    }
    for (size_t k = 0; k < m->n_params; k++)
        if (call->param[k].data != m->param[k].data || m->param[k].shape.rank > 1) return false;
    return true;
}

/* The channels of a whole module: of its parameters by channel; 0 if there are none. */
static int64_t super_width(const struct module *m)
{
    for (size_t k = 0; k < m->n_params; k++)
        if (m->param[k].dtype == SN_F32 && m->param[k].shape.rank == 1)
            return m->param[k].shape.dim[0];
    return 0;
}

sn_status pack_affine(const struct module *m, sn_supernet *net, const sn_call *call,
                      const float **ret_scale, const float **ret_shift, sn_error *err)
{
    _Atomic(void *) *slot = &m->packed[m->n_packed - 1];
    const float     *folded = atomic_load_explicit(slot, memory_order_acquire);
    const int64_t    n = super_width(m), room = (n + 15) / 16 * 16; /* kernels read whole vectors */
    size_t           n_bytes = 2 * (size_t)room * sizeof(float);

    *ret_scale = *ret_shift = NULL;
    if (n < call->in[0].shape.dim[1] || !is_prefix(m, call)) return SN_OK;
    if (!folded) {
        sn_call whole = *call;
        sn_desc in = call->in[0];
        sn_arg  arg[SN_MAX_ARGS];
        float  *mine = pack_alloc(&n_bytes);

        if (!mine) return fail_no_memory(err, m->where);
        memset(mine, 0, n_bytes);
        in.shape.dim[1] = n;
        whole.in = &in;
        whole.param = m->param;
        whole.arg = arg;
        for (size_t a = 0; a < m->n_args; a++) {
            arg[a] = call->arg[a];
            arg[a].value = arg[a].super;
        }
        if (!m->op->affine(&whole, mine, mine + room)) {
            fence_free(mine);
            return SN_OK;
        }
        folded = pack_publish(slot, mine, n_bytes, net);
    }
    *ret_scale = folded;
    *ret_shift = folded + room;
    return SN_OK;
}
