/* compile: the stages from shapes (compile/shapes.h) to a plan (run/plan.h), which stands there in
 * their order. */
#ifndef COMPILE_COMPILE_H
#define COMPILE_COMPILE_H

#include "compile/shapes.h"

/* Who reads a value, and who made it. */
struct readers {
    int *n;    /* [n_values] how often a value is read, as an output too */
    int *step; /* [n_values] who reads it last */
    int *made; /* [n_values] by which step; -1: an input */
};

/* ---- the other stages of compiling, in this order; all memory from plan->work ------------- */

/* Data for what is not simply a view of a weight. */
sn_status plan_bind(struct sn_plan *p, sn_error *err);

/* Copy the parameters of several pieces of `s` together: param[k].data, in `mem`. */
sn_status plan_gather(struct sn_plan *p, sn_arena *mem, const struct step *s, sn_tensor *param,
                      sn_error *err);

/* The most temporary memory of `s`, run as `s->variant` (or by forward), over all batches. */
size_t    plan_scratch(struct sn_plan *p, struct step *s);
bool      plan_readers(const struct sn_plan *p, sn_arena *mem, struct readers *ret_readers);
sn_status plan_select(struct sn_plan *p, sn_error *err);
sn_status plan_fuse(struct sn_plan *p, sn_error *err);
sn_status plan_layout(struct sn_plan *p, sn_error *err);
sn_status plan_lives(struct sn_plan *p, sn_error *err);
void      plan_spans(struct sn_plan *p);
void      plan_chain(struct sn_plan *p);
sn_status plan_memory(struct sn_plan *p, sn_error *err);
sn_status plan_seal(struct sn_plan *p, sn_error *err); /* from `work` to `mem` */

/* Builds that fence memory: number the memory of a plan, instead of offsets, and note its sizes. */
#ifdef SN_FENCE
sn_status plan_fence(struct sn_plan *p, sn_error *err);
#else
static inline sn_status plan_fence(struct sn_plan *p, sn_error *err)
{
    (void)p;
    (void)err;
    return SN_OK;
}
#endif

/* Fill the slot of params[k] of a module prepared for its variant `v`, unless it is filled or
 * the variant takes the parameter as it is. Safe on any thread. */
sn_status pack_get(const struct module *m, sn_supernet *net, size_t v, size_t k, sn_error *err);

/* scale and shift that op->affine gives for `call`, as prefixes of those of the whole module,
 * computed once for the supernet; NULL if they are no prefix, or the call is not affine. */
sn_status pack_affine(const struct module *m, sn_supernet *net, const sn_call *call,
                      const float **ret_scale, const float **ret_shift, sn_error *err);

#endif
