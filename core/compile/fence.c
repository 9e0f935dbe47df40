/* fence: the memory of a plan numbered, for runs between closed pages (core/run/fence.h). Empty in
 * builds without SN_FENCE. */
#ifdef SN_FENCE
#include "run/fence.h"
#include "compile/compile.h"

sn_status plan_fence(struct sn_plan *p, sn_error *err)
{
    struct fence *f = ARENA_NEW(p->mem, struct fence);
    const size_t  most = 1 + (size_t)p->n_values + p->n_steps + p->n_dists;

    if (f) f->bytes = arena_array(p->mem, most, sizeof *f->bytes);
    if (!f || !f->bytes) return fail_no_memory(err, "plan");
    f->n = 1;
    for (int v = 0; v < p->n_values; v++)
        if (p->value[v].root == v && p->value[v].place == PLACE_SCRATCH)
            p->value[v].offset_bytes = f->n++;
    for (size_t i = 0; i < p->n_steps; i++) {
        p->step[i].offset_bytes = p->step[i].scratch_bytes ? f->n : 0;
        if (p->step[i].scratch_bytes) f->bytes[f->n++] = p->step[i].scratch_bytes;
    }
    for (size_t i = 0; i < p->n_dists; i++) {
        p->dist[i].offset_bytes = f->n;
        f->bytes[f->n++] = p->dist[i].n_options * sizeof(float);
    }
    p->fence = f;
    return SN_OK;
}

#endif
