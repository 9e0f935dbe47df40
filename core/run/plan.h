/* plan: a subnet compiled for input shapes: steps over values at fixed offsets.
 *
 *     network (live nodes)               live/network.h
 *       -> steps and values              compile/lower.c  aliases and repetitions vanish
 *       -> arguments and live parameters live/operand.c   views of the weights, of which no stage
 *       -> shapes, and how they grow     compile/infer.c  reads one up to here; for every batch
 *       -> data that is no view          compile/bind.c   pieces together, statistics of a run
 *       -> how each operator runs        compile/select.c the first of its variants that fits
 *       -> fewer steps that do more      compile/fuse.c   what follows becomes an epilogue
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

#include "live/network.h"
#include "subnet/subnet.h"
#include "supernet/engine.h"

/* ---- values: tensors between steps ------------------------------------------------ */

struct value; /* while it is compiled: compile/shapes.h */

enum place { PLACE_NONE, PLACE_INPUT, PLACE_OUTPUT, PLACE_SCRATCH };

/* ---- distributions: weights of options, computed once per run ------------------------ */

/* Weights over the options of one argument, or over the candidates of one choice, computed in each
 * run from the probabilities of the soft choices. */
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

/* A hash table with chaining, to find equal steps or distributions: the last one with a hash; each
 * knows the one before it with the same hash (`before`). */
struct again {
    int   *last; /* [n] -1: none */
    size_t n;    /* a power of two */
};

/* ---- steps -------------------------------------------------------------------------- */

/* A parameter whose bytes are only known in a run. */
struct patch {
    int    param;
    int    value;        /* the blend that an earlier step made; or, if -1, */
    int    state;        /* a running statistic (training mode), */
    size_t offset_bytes; /* from this byte on */
};

/* The live part of a weight under distributions: the weight times one mask for each
 * slicing step, a mask being the weighted sum of the slices of all options. */
struct blend {
    sn_tensor whole; /* the part that no distribution cuts */
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
    const struct gather *gather; /* compile/shapes.h */
    int                  n_patches;
    const struct patch  *patch;
    int                  before;               /* lower: a step with the same hash, or -1 */
    size_t               chain_from, chain_to; /* steps of its chain; 0, 0: none */
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

/* Consecutive steps that run `samples` samples at a time. Before each such round of a span, the
 * span before it repeats, with fewer samples at a time, until it has made them. Inputs and outputs
 * of the plan hold all samples: they count as belonging to one span more. See compile/span.c. */
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

/* A step as a run sees it. Variants that are lean need no stored call: run_op() makes it on the
 * stack, from the module and `priv`. */
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
    uint8_t              chain;             /* length of the chain that begins here; 0: none does */
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
    size_t       n_combos; /* combinations in all distributions of arguments */
    struct dist *dist;

    struct fence *fence; /* of builds that fence memory; NULL in others */

    /* Only for compiling. Freed by plan_seal(), unless tasks point to steps in it. */
    sn_arena     *work;
    size_t        room; /* first capacity of the lists of steps and values */
    struct again  maps, dists;
    size_t        n_steps, cap_steps;
    struct step  *step;
    int           n_values;
    size_t        cap_values;
    struct value *value;
    const int    *input, *output; /* values; VALUE_ABSENT: absent */
    bool         *counted;        /* by module: its parameters are part of the cost */
};

#endif
