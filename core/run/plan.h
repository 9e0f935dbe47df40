/* plan: a subnet compiled for input shapes: steps over values at fixed offsets.
 *
 *     network (live nodes)               live/network.h
 *       -> steps and values              compile/lower.c  aliases and repetitions vanish
 *       -> live parts of the weights     compile/bind.c   views, packed copies, blends
 *       -> shapes, and how they grow     compile/infer.c  with the batch: derived for all of them
 *       -> fewer steps that do more      compile/fuse.c   epilogues; variants from the table
 *       -> one layout for each value     compile/layout.c conversions where they differ
 *       -> lives of values               compile/memory.c outputs are written where they go
 *       -> samples at a time             compile/span.c   spans of steps, as many as caches hold
 *       -> rows without a barrier        compile/chain.c  threads go through steps on their own
 *       -> offsets in the scratch memory compile/memory.c values that never meet share bytes
 *       -> tasks and slots               compile/seal.c   what a run needs, and nothing else
 *       -> the loop over tasks           run/run.c        allocates nothing; task.c: one of them
 *
 * A plan is immutable and shared; a run has its own scratch memory. */
#ifndef RUN_PLAN_H
#define RUN_PLAN_H

#include "base/budget.h"
#include "live/network.h"

/* ---- values: tensors between steps ------------------------------------------------ */

enum place { PLACE_NONE, PLACE_INPUT, PLACE_OUTPUT, PLACE_SCRATCH };

struct value {
    sn_desc    desc;         /* for the largest batch; SN_NONE: absent */
    sn_growth  growth;       /* derived: by so much an axis grows with each sample */
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

/* ---- distributions: weights of options, computed once per run ------------------------ */

/* Weights over the options of one argument, or over the candidates of one choice,
 * from the probabilities of the soft choices. */
struct dist {
    const struct arg_slot *slot; /* NULL: the candidates of `choice` themselves */
    size_t                 choice;
    size_t                 n_options;
    const sn_option       *option; /* of a slot: ascending */
    size_t                 n_combos, n_soft;
    const size_t          *soft;         /* [n_soft] choices, the first varies slowest */
    const uint32_t        *combo_option; /* [n_combos] */
    const uint32_t        *combo_index;  /* [n_combos, n_soft] */
    size_t                 offset_bytes; /* of n_options floats in the scratch memory */
    int                    before;       /* one with the same hash, or -1 */
};

/* What may occur again, by hash: the last one with it, which knows the one before. */
struct again {
    int   *last; /* [n] -1: none */
    size_t n;    /* a power of two */
};

/* ---- steps -------------------------------------------------------------------------- */

/* A parameter whose bytes are only known in a run. */
struct patch {
    int    param;
    int    value;        /* a blend that an earlier step made; -1: */
    int    state;        /* or a running statistic in training mode, */
    size_t offset_bytes; /* at this place of it */
};

/* A parameter of several pieces: copied together in the end, if the step still reads it. */
struct gather {
    int      param;
    sn_slice cut;
};

/* The live part of a weight under distributions: the weight times one mask for each
 * slicing step, a mask being the weighted sum of the slices of all options. */
struct blend {
    sn_tensor whole; /* what no distribution cuts */
    int       n_masks;
    struct blend_mask {
        int             dist;
        const sn_slice *slice;             /* [n_options] of the distribution */
        bool            axis[SN_MAX_RANK]; /* cut by some slice */
    } mask[SN_MAX_STEPS];
};

enum step_kind {
    STEP_OP,
    STEP_DROPPED, /* fused into another */
    STEP_ALIAS,   /* an operator whose output is its input: inferred, then dropped */
    STEP_SUM,
    STEP_MEAN,
    STEP_CONCAT,
    STEP_WEIGHTED,
    STEP_COPY,
    STEP_BLEND
};

struct step {
    enum step_kind       kind;
    const struct module *module;
    sn_call              call; /* STEP_OP: complete; others: where, n_in, n_out */
    const int           *in;   /* values */
    const int           *out;
    size_t               scratch_bytes, offset_bytes; /* temporary memory of this step */
    int                  n_gathers;
    const struct gather *gather;
    int                  n_patches;
    const struct patch  *patch;
    int                  before;               /* lower: a step with the same hash, or -1 */
    size_t               chain_from, chain_to; /* the chain it is part of; 0, 0: none */
    bool                 chain_of_channels;    /* not of rows */
    bool                 same_shape;           /* STEP_SUM, STEP_WEIGHTED: no broadcasting */
    int                  dist;                 /* STEP_WEIGHTED */
    const uint32_t      *item_option;          /* STEP_WEIGHTED: option of item i; NULL: i */
    const struct blend  *blend;                /* STEP_BLEND */

    /* STEP_OP run as a variant, which may do more than the operator. */
    const sn_variant  *variant; /* NULL: forward */
    const void *const *packed;  /* by parameter; the module's own */
    const float       *scale, *shift;
    bool               adds, gated; /* by the values `residual` and `gate` */
    int                residual, gate;
    sn_act             act;
};

/* ---- what a run reads ------------------------------------------------------------------ */

/* Steps that so many samples go through at a time. Before them, the spans before have taken the
 * same samples, fewer at a time. Outputs and inputs have all samples, as if in one span more. */
struct span {
    size_t  end; /* steps from the end of the span before */
    int64_t samples;
};

enum { MAX_SPANS = 8, CHAIN_MOST = UINT8_MAX };

/* A value: where its bytes are, and its shape for any batch. */
struct slot {
    const int64_t *dim; /* [rank] for batch 0; if some axis grows, [rank] more: by how much */
    size_t         offset_bytes;
    int            port;
    uint8_t        rank;
    uint8_t        batch_dims; /* bit i: axis i grows with the batch */
    uint8_t        dtype, place, layout, span;
};

/* A step. Operators whose variant is lean need no call of their own: it is made on the
 * stack from the module and `priv`. */
struct task {
    const struct module *module;
    const sn_variant    *variant; /* NULL: forward */
    const sn_call       *call;    /* NULL: lean */
    void                *priv;
    const void *const   *packed; /* of the module, by parameter */
    const float         *scale, *shift;
    const struct step   *step; /* blends, distributions, patches; in the plan's `work`, or NULL */
    const int           *io;   /* slots: inputs, then outputs */
    size_t               offset_bytes;   /* temporary memory of this step */
    int                  residual, gate; /* slots, or VALUE_ABSENT */
    uint8_t              kind, act, n_in, n_out;
    uint8_t              chain; /* steps from here on that are a chain; 0: none begins here */
    bool                 chain_of_channels; /* not of rows */
};

struct sn_plan {
    atomic_size_t n_refs;
    sn_subnet    *subnet;
    sn_arena     *mem;
    sn_mode       mode;
    bool          winograd;            /* variants that trade rounding for time may be taken */
    int           n_threads;           /* the most that a run may use */
    size_t        scratch_limit_bytes; /* 0: none */
    sn_plan_info  info;
    int           n_spans;
    struct span   span[MAX_SPANS];
    int           n_lanes;    /* threads that may take samples of their own through all steps */
    size_t        lane_bytes; /* of each, in the scratch memory */
    bool          needs_state;
    sn_cost      *module_cost; /* [modules of the supernet], filled by infer; NULL: nobody asks */

    size_t       n_tasks;
    struct task *task;
    size_t       n_slots;
    struct slot *slot;
    const int   *in_slot, *out_slot; /* VALUE_ABSENT: absent */
    size_t       n_dists, cap_dists;
    size_t       n_combos; /* numbers that the distributions of arguments are made of */
    struct dist *dist;

    struct fence *fence; /* of builds that fence memory; NULL in others */

    /* Of compiling; gone in a plan that needs nothing of it any more. */
    sn_arena     *work;
    size_t        room; /* how many steps and values there will be, about */
    struct again  maps, dists;
    size_t        n_steps, cap_steps;
    struct step  *step;
    int           n_values;
    size_t        cap_values;
    struct value *value;
    const int    *input, *output; /* values; VALUE_ABSENT: absent */
    bool         *counted;        /* by module: its parameters are part of the cost */
};

/* Are these the statistics of `net`? */
bool state_is_of(const sn_state *state, const sn_supernet *net);

/* Are these options for this plan? */
sn_status plan_check(const struct sn_plan *p, const sn_compile_options *options, sn_error *err);

/* A plan of nothing yet, whose work is charged to `budget`, and the options of the caller, who may
 * know fewer members or more. NULL when memory is out, or the budget of it. */

sn_plan *plan_create(sn_subnet *subnet, const sn_compile_options *options, sn_compile_options *ret,
                     struct budget *budget);

/* Before work on `s`: steps of the budget of compiling (base/budget.h), which asks the caller's
 * hook; fails if that is used up. */
sn_status plan_spend(struct sn_plan *p, const struct step *s, uint64_t n_steps, sn_error *err);

/* ---- the stages of compiling, in this order; all memory from plan->work ------------------- */

/* A new value; -1 when memory is out. */
/* Before so much work (steps of sn_compile_options): the caller may have asked to stop. */
static inline sn_status plan_ask(const struct sn_plan *p, uint64_t n_steps, sn_error *err)
{
    return budget_step(arena_budget(p->work), n_steps, "plan", err);
}

int plan_add_value(struct sn_plan *p);

/* Append a copy of `s`, with copies of its lists of values; false when memory is out. */
bool plan_add_step(struct sn_plan *p, const struct step *s);

sn_status plan_lower(struct sn_plan *p, const struct network *w, const sn_desc *in, sn_error *err);

/* Fill s->call with the arguments and live parameters of an operator, s->patch with
 * those that a run must supply. May add blend steps: `s` is not in the plan yet. */
sn_status plan_bind(struct sn_plan *p, const struct module *m, struct step *s, sn_error *err);

/* Copy the parameters of several pieces of `s` together: param[k].data, in `mem`. */
sn_status plan_gather(struct sn_plan *p, sn_arena *mem, const struct step *s, sn_tensor *param,
                      sn_error *err);

/* The distribution over an argument, or (slot NULL) over a choice; its index. */
sn_status plan_dist(struct sn_plan *p, const struct arg_slot *slot, size_t choice, int *ret_dist,
                    sn_error *err);

sn_status plan_infer(struct sn_plan *p, const sn_desc *in, sn_error *err);

/* The most temporary memory of `s`, run as `s->variant` (or by forward), over all batches. */
size_t    plan_scratch(struct sn_plan *p, struct step *s);
sn_status plan_fuse(struct sn_plan *p, sn_error *err);
sn_status plan_variants(struct sn_plan *p, sn_error *err);
sn_status plan_lives(struct sn_plan *p, sn_error *err);
void      plan_stretch(struct sn_plan *p);
void      plan_chain(struct sn_plan *p);
sn_status plan_layout(struct sn_plan *p, sn_error *err);
sn_status plan_seal(struct sn_plan *p, sn_error *err); /* from `work` to `mem` */

/* Fill the slot of params[k] of a module prepared for its variant `v`, unless it is filled or
 * the variant takes the parameter as it is. Safe on any thread. */
sn_status pack_get(const struct module *m, sn_supernet *net, size_t v, size_t k, sn_error *err);

/* scale and shift that op->affine gives for `call`, as prefixes of those of the whole module,
 * computed once for the supernet; NULL if they are no prefix, or the call is not affine. */
sn_status pack_affine(const struct module *m, sn_supernet *net, const sn_call *call,
                      const float **ret_scale, const float **ret_shift, sn_error *err);

/* ---- steps that are no operators ---------------------------------------------------------- */

/* Output shape of STEP_SUM, MEAN, CONCAT, WEIGHTED, COPY from its inputs. */
sn_status combine_infer(const struct step *s, const sn_desc *in, sn_desc *out, sn_error *err);

/* How it grows with the batch, as sn_op.grow. */
bool combine_grow(const struct step *s, const sn_growth *in, sn_growth *out);

/* weight[i] for input i; NULL: all 1. */
void combine_sum(const sn_tensor *in, size_t n, const float *weight, float scale, sn_tensor *out);

/* Elements [from, to) of the output, as they lie in memory. */
void combine_concat(const sn_tensor *in, size_t n, bool channels_last, int64_t from, int64_t to,
                    const sn_tensor *out);

/* Bytes that the masks of a blend need as temporary memory. */
size_t blend_scratch(const struct blend *b);
void   blend_run(const struct blend *b, const float *const *weight, const size_t *n_options,
                 double *mask, sn_tensor *out);

/* weight[n_options] of a distribution from the probabilities of its soft choices. */
void dist_weights(const struct dist *d, const float *const *probs, float *weight);

#endif
