/* shapes: the stages of compiling up to shapes and cost, which read no weight. */
#ifndef COMPILE_SHAPES_H
#define COMPILE_SHAPES_H

#include "base/budget.h"
#include "run/plan.h"

struct live_param; /* live/operand.h */

struct value {
    sn_desc    desc;         /* for the largest batch; SN_NONE: absent */
    sn_growth  growth;       /* how much each axis grows with each sample */
    unsigned   batch_dims;   /* bit i: axis i grows at all */
    sn_shape   unit;         /* for batch 1 */
    sn_layout  layout;       /* of rank 4 */
    int        root;         /* the value whose bytes it shares; itself if none */
    enum place place;        /* of roots */
    int        port;         /* PLACE_INPUT, PLACE_OUTPUT: which */
    size_t     offset_bytes; /* PLACE_SCRATCH */
    int        first, last;  /* roots: steps between which it needs its bytes; -1: before all */
    int        span;         /* roots: whose samples it holds */
};

/* A parameter of several pieces: copied together in the end, if the step still reads it. */
struct gather {
    int      param;
    sn_slice cut;
};

/* Are these options for this plan? */
sn_status plan_check(const struct sn_plan *p, const sn_compile_options *options, sn_error *err);

/* An empty plan whose memory and work are charged to `budget`; *ret is the caller's options in the
 * layout of this library. NULL when memory, or the budget for it, is used up. */
sn_plan *plan_create(sn_subnet *subnet, const sn_compile_options *options, sn_compile_options *ret,
                     struct budget *budget);

/* Before work on `s`: steps of the budget of compiling (base/budget.h), which asks the caller's
 * hook; fails if that is used up. */
sn_status plan_spend(struct sn_plan *p, const struct step *s, uint64_t n_steps, sn_error *err);

/* ---- the first stages of compiling, in this order; all memory from plan->work ------------- */

/* Before n_steps of work (sn_compile_options.step_limit): fails if the budget is used up or the
 * caller asked to stop. */
static inline sn_status plan_ask(const struct sn_plan *p, uint64_t n_steps, sn_error *err)
{
    return budget_step(arena_budget(p->work), n_steps, "plan", err);
}

/* A new value; -1 when memory is out. */
int plan_add_value(struct sn_plan *p);

/* `list` of n items and one more, copied; NULL when memory is out. */
void *plan_append(struct sn_plan *p, const void *list, int n, const void *item, size_t size);

/* Append a copy of `s`, with copies of its lists of values; false when memory is out. */
bool plan_add_step(struct sn_plan *p, const struct step *s);

sn_status plan_lower(struct sn_plan *p, const struct network *w, const sn_desc *in, sn_error *err);

/* The distribution over an argument, or (slot NULL) over a choice; its index. */
sn_status plan_dist(struct sn_plan *p, const struct arg_slot *slot, size_t choice, int *ret_dist,
                    sn_error *err);

/* A step that makes the live part of params[k] under distributions; the value that it makes.
 * `whole`: the arguments of the operator and its whole parameters. */
sn_status plan_blend(struct sn_plan *p, const struct module *m, const sn_call *whole, size_t k,
                     const struct live_param *live, int *ret_value, sn_error *err);

/* Shapes and cost: up to here no stage reads a weight. */
sn_status plan_infer(struct sn_plan *p, const sn_desc *in, sn_error *err);

#endif
