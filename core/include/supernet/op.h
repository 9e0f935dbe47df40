/* op.h - operators and policies of your own, in a program or in a plug-in: see api/plugins.md. */
#ifndef SUPERNET_OP_H
#define SUPERNET_OP_H

#include "supernet/expr.h"
#include "supernet/supernet.h"
#include "supernet/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- slices --------------------------------------------------------------- */

enum { SN_MAX_PIECES = 3 };

typedef struct sn_range {
    int64_t start, stop; /* [start, stop) */
} sn_range;

/* The live part of a weight. One piece on every axis is a view (channel
 * prefix, centred kernel); several pieces need a packed copy (q, k, v rows). */
typedef struct sn_slice {
    int rank;
    struct {
        int      n;
        sn_range piece[SN_MAX_PIECES];
    } axis[SN_MAX_RANK];
} sn_slice;

/* Narrow `t` to `s` without copying.
 * SN_E_SHAPE if the slice leaves the tensor, SN_E_UNSUPPORTED if an axis has
 * more than one piece. */
sn_status sn_tensor_slice(const sn_tensor *t, const sn_slice *s, sn_tensor *ret_view,
                          sn_error *err);

/* ---- operators ------------------------------------------------------------ */

enum { SN_OP_ABI = 1, SN_POLICY_ABI = 1 };
enum { SN_MAX_STEPS = 4, SN_MAX_PARAMS = 16, SN_MAX_ARGS = 16 };

/* What an argument may hold, and what a distribution over it means. */
typedef enum sn_arg_flags {
    SN_ARG_FIXED = 0,          /* a literal only */
    SN_ARG_CHOICE = 1,         /* also an expression */
    SN_ARG_SOFT_MASK = 2,      /* a distribution blends the weights, by masks */
    SN_ARG_SOFT_FULL = 4,      /* a distribution is ignored: the super value */
    SN_ARG_SOFT_REFUSE = 8,    /* a distribution is an error */
    SN_ARG_COMPONENTS = 16,    /* tuples: the super value is the maximum per component */
    SN_ARG_DERIVED = 32,       /* not written by users: `fallback` is an expression
                                * over the names of other arguments of the operator */
    SN_ARG_COMPONENTS_NNI = 64 /* per component under "compatibility" as well, which
                                * otherwise takes the lexicographic maximum */
} sn_arg_flags;

#define SN_KINDS(kind) (1u << (kind))

typedef struct sn_arg_def {
    const char *name;     /* as in PyTorch; NULL ends the table */
    unsigned    kinds;    /* SN_KINDS() of what a value may be; a bool passes for an int */
    unsigned    flags;    /* sn_arg_flags */
    const char *fallback; /* JSON of the default; NULL: the specification must say */
    const char *keywords; /* "same|valid": the texts allowed; they win over labels */
} sn_arg_def;

typedef struct sn_param_def {
    const char *name;  /* suffix of the tensor's name; NULL ends the table */
    unsigned    flags; /* sn_param_flags */
    /* The arguments that cut it, one slicing step each, applied in this order.
     * Under a distribution each step multiplies by its own weighted mask. */
    int n_steps;
    int step[SN_MAX_STEPS]; /* index into sn_op.args */
} sn_param_def;

typedef enum sn_param_flags {
    SN_PARAM_STATE = 1, /* a buffer that training mode updates: running_mean */
    SN_PARAM_I64 = 2,   /* an integer buffer: num_batches_tracked */
    SN_PARAM_UNUSED = 4 /* carried by checkpoints, never read: may be missing */
} sn_param_flags;

/* One argument of one node under one assignment. */
typedef struct sn_arg {
    sn_value        value;  /* where soft: the super value */
    sn_value        super;  /* the largest over all assignments */
    const sn_value *option; /* every value over all assignments, ascending */
    size_t          n_options;
    bool            soft;     /* holds a distribution */
    bool            elastic;  /* written as an expression with labels */
    int             position; /* in the order they were written; -1: the default */
} sn_arg;

/* What an operator sees of one node under one assignment: its whole situation. */
typedef struct sn_call {
    size_t           size;  /* sizeof of the library: at least that of your header */
    const char      *where; /* for messages: "model.layers[2]" */
    sn_mode          mode;
    bool             nni;   /* "compatibility": "nni-2.8" */
    const sn_arg    *arg;   /* in the order of sn_op.args */
    const sn_tensor *param; /* in the order of sn_op.params: whole at load and in slice,
                             * the live part in infer and after; SN_NONE if absent. Without
                             * data before forward if it has several pieces, and in forward
                             * too if a variant has it packed */
    const sn_tensor *whole; /* the whole parameters, also in infer and after */
    size_t           n_in, n_out;
    const sn_desc   *in;   /* n_in of them; SN_NONE for an absent optional input */
    sn_desc         *out;  /* infer fills n_out of them; SN_NONE: not produced */
    void            *priv; /* sn_op.priv_bytes, zeroed; filled by infer, read by the rest.
                            * Must not depend on the batch size. */
    size_t scratch_bytes;  /* set by infer; temporary memory of forward */
    int    n_threads;      /* at least 1: no run of the plan uses more */
} sn_call;

/* The data of one forward call. */
typedef struct sn_io {
    size_t             size;
    const sn_tensor   *in;       /* dense, aligned as its numbers are; a batch of infer's or less */
    sn_tensor         *out;      /* dense, does not overlap `in` unless SN_OP_ALIAS */
    const sn_tensor   *param;    /* the live part; in training mode states may be written */
    void              *scratch;  /* SN_ALIGN_BYTES aligned */
    const sn_parallel *parallel; /* may be NULL */
    const void *const *packed;   /* a variant's prepared weights, by parameter; NULL: none */
    const sn_tensor   *gate;     /* sn_variant.gated_bytes: input 0 counts times this; or NULL */
} sn_io;

/* What a step can apply to each number of its result. */
typedef enum sn_act {
    SN_ACT_NONE,
    SN_ACT_RELU,
    SN_ACT_RELU6,
    SN_ACT_HARDSWISH,
    SN_ACT_HARDSIGMOID,
    SN_ACT_SILU,
    SN_ACT_SIGMOID,
    SN_ACT_TANH,
    SN_ACT_GELU
} sn_act;

/* Another way to run an operator: engine.h. */
typedef struct sn_variant sn_variant;

typedef enum sn_op_flags {
    SN_OP_ALIAS = 1, /* output 0 is input 0 under another shape: nothing to run */
    /* Inputs of one shape: element i of the output depends on elements i alone. io may have parts
     * of them, as tensors of one axis, several at once; call describes the whole. */
    SN_OP_POINTWISE = 2,
    SN_OP_ADD = 4, /* the sum of its inputs */
    SN_OP_MUL = 8, /* their product */
    /* In evaluation mode, and where axis 0 of inputs and outputs is the batch: sample i of the
     * outputs depends on sample i of the inputs alone. Large batches may then come in parts.
     * Where that holds for some calls only, sn_op.samples says for which. */
    SN_OP_SAMPLES = 16,
    /* The temporary memory that infer, or a variant, asks for never shrinks as the batch grows.
     * Without it infer is asked at every batch up to the largest, and the most is reserved. */
    SN_OP_STEADY_SCRATCH = 32
} sn_op_flags;

/* How the shape of a tensor depends on the batch N: axis i has shape.dim[i] elements at the batch
 * that was inferred, and per_sample[i] more for each further sample; 0: it is constant. */
typedef struct sn_growth {
    int64_t per_sample[SN_MAX_RANK];
} sn_growth;

typedef struct sn_op {
    size_t              size; /* sizeof(sn_op) */
    uint32_t            abi;  /* SN_OP_ABI */
    const char         *type; /* "Conv2d", as PyTorch names it */
    unsigned            flags;
    const sn_arg_def   *args;
    const sn_param_def *params;
    int                 min_in, max_in; /* max_in -1: any number */
    const char *const  *in_names;       /* NULL, or max_in names: "query", "key", ... */
    int                 n_out;
    const char *const  *out_names; /* NULL, or n_out names */
    size_t              priv_bytes;

    /* At load: checks over super values and options (call->arg), before any
     * weight is looked at; `where` + "." + the argument's name is the place. NULL: none. */
    sn_status (*check)(const sn_call *call, sn_error *err);

    /* At load: the shape of params[k] from the super values; rank -1: this module
     * has no such parameter. */
    sn_status (*shape)(const sn_call *call, size_t k, sn_shape *ret_shape, sn_error *err);

    /* The part of params[k] that `value` of the argument of step `s` leaves alive,
     * full ranges on the axes that the step does not cut. A pure function: for a
     * distribution it is called once for each value. `call` has the values of
     * the other arguments and the whole parameters. */
    sn_status (*slice)(const sn_call *call, size_t k, int s, const sn_value *value,
                       sn_slice *ret_slice, sn_error *err);

    /* Check inputs, fill call->out, call->priv, call->scratch_bytes. No data is
     * touched. Called for several batch sizes when a plan is compiled. */
    sn_status (*infer)(sn_call *call, sn_error *err);

    /* Multiply-accumulates, live parameters, bytes read and written. */
    void (*cost)(const sn_call *call, sn_cost *ret_cost);

    /* Everything was checked by infer: cannot fail, must not allocate. */
    void (*forward)(const sn_call *call, const sn_io *io);

    /* Plain values for a stand-alone specification, where the values of this
     * assignment do not say it (arg_out starts as a copy of them). Sees arguments
     * and live parameters only: no inputs, no priv. NULL: they say it. */
    sn_status (*export_args)(const sn_call *call, sn_value *arg_out, sn_arena *mem, sn_error *err);

    /* For the planner, all optional. variants: in order of preference, ended by one
     * without a name. act: this call is just that activation. affine: this call is
     * y = x * scale + shift by channel; fills both (for all live channels), or says false. A
     * variant of such an operator finds them in its epilogue. samples: whether SN_OP_SAMPLES
     * holds for this call, which has been inferred; NULL: for every call. rows: whether row i of
     * the output depends on row i of the inputs alone, in bits too, a row being what the last axis
     * counts. Variants without scratch memory may then get some rows in io, residual included, as
     * tensors of two axes, other threads getting others at the same time, while call describes the
     * whole; NULL: for no call. */
    const sn_variant *variants;
    sn_act (*act)(const sn_call *call);
    bool (*affine)(const sn_call *call, float *scale, float *shift);
    bool (*samples)(const sn_call *call);
    bool (*rows)(const sn_call *call);

    /* Called after infer where some input grows with the batch: how the outputs grow (out[k] is
     * zeroed). Says true only if for every batch from 1 on infer would succeed as it did for this
     * one, with the same priv, and give outputs of these shapes. False: the plan is made for one
     * batch (sn_plan_info.fixed_batch). NULL: by the flags. SN_OP_POINTWISE, and inputs that grow
     * alike: the outputs as the inputs. SN_OP_SAMPLES, and inputs of rank 1 or more that all grow
     * alike along axis 0, and nowhere else: the outputs likewise. Otherwise false. */
    bool (*grow)(const sn_call *call, const sn_growth *in, sn_growth *out);
} sn_op;

/* ---- policies ------------------------------------------------------------- */

/* Who decides. State belongs to one instance (sn_policy), never to a supernet. */
typedef struct sn_policy_class {
    size_t      size;        /* sizeof(sn_policy_class) */
    uint32_t    abi;         /* SN_POLICY_ABI */
    const char *name;        /* "path", "differentiable", ... */
    const char *about;       /* one line for people */
    size_t      state_bytes; /* zeroed memory handed to the functions below */

    /* options_json: an object, or NULL. */
    sn_status (*init)(void *state, const sn_supernet *net, const char *options_json, sn_error *err);
    void (*fini)(void *state); /* also after a failed init; may be NULL */

    /* Decide (or soften) every choice that the draft leaves open. */
    sn_status (*resample)(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                          sn_error *err);

    /* The same with the best known values; NULL: as resample. */
    sn_status (*best)(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                      sn_error *err);

    /* Weights of choice i, n_candidates of them; NULL: the policy has none. */
    sn_status (*probs)(void *state, const sn_supernet *net, sn_rng *rng, size_t choice,
                       float *ret_probs, sn_error *err);

    /* Take alphas, rewards, a temperature (a JSON object). NULL: unsupported. */
    sn_status (*update)(void *state, const sn_supernet *net, const char *update_json,
                        sn_error *err);

    /* State as JSON and back, exact. NULL: the policy has no state. */
    sn_status (*save)(const void *state, const sn_supernet *net, const sn_sink *sink,
                      sn_error *err);
    sn_status (*load)(void *state, const sn_supernet *net, const char *state_json, sn_error *err);

    /* The state knows the supernet by the numbers of its choices and candidates alone, never by
     * address, so that it goes on over another load of the same document: sn_policy_move(). */
    bool movable;
} sn_policy_class;

/* For policies, in plug-ins too, about the `state` that the library gave them. Charge memory
 * before it is taken: false, with nothing charged, where that is above the limit. Discharge what
 * was freed. Go on: false when the caller asked to stop, or after too many steps. A function that
 * got false fails with SN_E_NO_MEMORY or SN_E_STOPPED; the library says which limit it was. */
bool sn_policy_charge(void *state, size_t n_bytes);
void sn_policy_discharge(void *state, size_t n_bytes);
bool sn_policy_go_on(const void *state, uint64_t n_steps);

/* ---- registry ------------------------------------------------------------- */

/* The tables are copied, as much of them as their `size` says and this library knows: members
 * that are missing are absent (NULL), those behind the last one known are ignored. What a table
 * points to (names, arguments, functions) is borrowed and must outlive the registry and every
 * supernet loaded with it. SN_E_UNSUPPORTED for a foreign abi or unknown flags, SN_E_INVALID for
 * a name already taken. */
sn_status sn_registry_add_op(sn_registry *reg, const sn_op *op, sn_error *err);
sn_status sn_registry_add_policy(sn_registry *reg, const sn_policy_class *cls, sn_error *err);

/* What is registered, as the library knows it; NULL past the end. */
const sn_op           *sn_registry_op_at(const sn_registry *reg, size_t i);
const sn_policy_class *sn_registry_policy_at(const sn_registry *reg, size_t i);

/* ---- plug-ins ------------------------------------------------------------- */

/* Plug-ins: a shared object that adds operators and policies the way the built-in
 * ones are added. It contains SN_PLUGIN once, and defines sn_plugin_main(), which calls
 * the two functions above. See api/plugins.md. */
enum { SN_PLUGIN_ABI = 3 };

#if defined(__GNUC__)
#define SN_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define SN_PLUGIN_EXPORT
#endif

/* Says with which header a plug-in was compiled: the version, and the sizes of all structs that go
 * back and forth, counted. A later library, whose structs have grown at their ends, still takes
 * it: tables are read by their `size`, and what an older header does not know is absent. Of
 * what stands in engine.h the size is 0 where that is not included. */
enum { SN_PLUGIN_N_SIZES = 24 };
#ifndef SN_SIZEOF_VARIANT
#define SN_SIZEOF_VARIANT  0
#define SN_SIZEOF_EPILOGUE 0
#endif
#define SN_PLUGIN_SIZES                                                                            \
    (uint32_t)sizeof(sn_call), (uint32_t)sizeof(sn_io), (uint32_t)sizeof(sn_arg),                  \
        (uint32_t)sizeof(sn_op), (uint32_t)(SN_SIZEOF_VARIANT), (uint32_t)sizeof(sn_policy_class), \
        (uint32_t)sizeof(sn_arg_def), (uint32_t)sizeof(sn_param_def), (uint32_t)sizeof(sn_tensor), \
        (uint32_t)sizeof(sn_desc), (uint32_t)sizeof(sn_shape), (uint32_t)sizeof(sn_growth),        \
        (uint32_t)sizeof(sn_value), (uint32_t)sizeof(sn_slice), (uint32_t)sizeof(sn_choice),       \
        (uint32_t)sizeof(sn_error), (uint32_t)sizeof(sn_rng), (uint32_t)sizeof(sn_sink),           \
        (uint32_t)sizeof(sn_cost), (uint32_t)(SN_SIZEOF_EPILOGUE), (uint32_t)sizeof(sn_parallel),  \
        (uint32_t)sizeof(sn_port), (uint32_t)sizeof(sn_module), (uint32_t)sizeof(sn_tensor_info)
#define SN_PLUGIN                                                                                  \
    SN_PLUGIN_EXPORT extern const uint32_t sn_plugin_abi[];                                        \
    const uint32_t sn_plugin_abi[] = {SN_PLUGIN_ABI, SN_PLUGIN_N_SIZES, SN_PLUGIN_SIZES}

typedef sn_status (*sn_plugin_entry)(sn_registry *reg, sn_error *err);

#ifdef __cplusplus
}
#endif
#endif
