/* supernet.h - weight-sharing networks: choose, slice, run, export.
 *
 *     specification + weights + registry   ->  sn_supernet   immutable, shared
 *     supernet + a value for every choice  ->  sn_subnet     immutable, shared
 *     subnet + input shapes                ->  sn_plan       immutable, shared
 *     plan + inputs + scratch memory       ->  outputs       no allocation
 *
 * What holds for every function below:
 *
 *   - What can fail returns sn_status, and SN_OK is 0.
 *   - Results come back through ret_* pointers, written on success only.
 *   - `err` is the last parameter, may be NULL, and keeps the first error.
 *   - Every *_unref and *_free accepts NULL and returns NULL:  p = sn_plan_unref(p);
 *   - Immutable objects may be used by many threads at once; drafts, policies,
 *     arenas and registries belong to one thread at a time.
 *   - The library does not log, exit, start threads or keep mutable globals. The two
 *     exceptions are process-wide by nature: sn_blas_set_threads, sn_sigbus_install.
 *   - Sizes count elements; a name that counts bytes ends in _bytes.
 *   - Shapes are written outermost first: x [N, C, H, W].
 *   - A struct whose first member is `size` can grow: set it to sizeof the
 *     struct, zero the rest, and a later library still reads it right, as an
 *     earlier one does (it does not see what it does not know).
 */
#ifndef SUPERNET_H
#define SUPERNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SN_VERSION "0.1.0"

/* The version of the library that is linked, SN_VERSION of its build. */
const char *sn_version(void);

/* ---- status ------------------------------------------------------------ */

/* Full identifiers, so that a search for SN_E_SHAPE finds its definition. */
#define SN_STATUS_MAP(X)                                                                           \
    X(SN_OK, "success")                                                                            \
    X(SN_E_NO_MEMORY, "out of memory")                                                             \
    X(SN_E_IO, "a file could not be opened, read or written")                                      \
    X(SN_E_SYNTAX, "the document is malformed")                                                    \
    X(SN_E_INVALID, "well-formed, but the meaning does not fit")                                   \
    X(SN_E_UNKNOWN_NAME, "no operator, policy, tensor or choice has this name")                    \
    X(SN_E_NOT_CANDIDATE, "the value is not a candidate of the choice")                            \
    X(SN_E_UNDECIDED, "a choice has no value yet")                                                 \
    X(SN_E_EVALUATE, "an expression has no value")                                                 \
    X(SN_E_SHAPE, "shapes do not fit together")                                                    \
    X(SN_E_DTYPE, "element types do not fit together")                                             \
    X(SN_E_UNSUPPORTED, "valid, but not supported by this operator or policy")                     \
    X(SN_E_LIMIT, "a limit was exceeded")                                                          \
    X(SN_E_STOPPED, "the caller asked to stop")                                                    \
    X(SN_E_CHANGED, "a mapped file changed while it was in use")

typedef enum sn_status {
#define X(name, text) name,
    SN_STATUS_MAP(X)
#undef X
        SN_STATUS_COUNT
} sn_status;

typedef struct sn_error {
    sn_status code;
    char      where[256]; /* place in the document: "model.layers[2].padding" */
    char      text[1024]; /* one sentence without full stop or newline */
} sn_error;

/* The sentence of the table above; never NULL, also for unknown codes. */
const char *sn_status_text(sn_status code);

/* Record the first error and hand its code back, so that a check is one line:
 *     if (g < 1) return sn_fail(err, SN_E_INVALID, call->where, "groups is %d", g);
 * For operators and policies in plug-ins as well as for the library itself. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
sn_status
sn_fail(sn_error *err, sn_status code, const char *where, const char *fmt, ...);

/* Receives bytes in order; a non-zero return ends the export with SN_E_IO. */
typedef struct sn_sink {
    int (*write)(void *cls, const void *bytes, size_t n_bytes);
    void *cls;
} sn_sink;

/* ---- tensors: views that own nothing ----------------------------------- */

enum { SN_MAX_RANK = 8, SN_MAX_PIECES = 3, SN_ALIGN_BYTES = 64 };

/* SN_NONE marks what is absent: an optional input that was not connected, an
 * output that was not asked for, a bias that the module does not have. */
typedef enum sn_dtype {
    SN_NONE,
    SN_F32,
    SN_F16,
    SN_BF16,
    SN_F64,
    SN_I64,
    SN_I32,
    SN_I16,
    SN_I8,
    SN_U8,
    SN_BOOL,
    SN_DTYPE_COUNT
} sn_dtype;

typedef struct sn_shape {
    int     rank; /* 0 is a scalar */
    int64_t dim[SN_MAX_RANK];
} sn_shape;

/* What a tensor is, without its data. */
typedef struct sn_desc {
    sn_dtype dtype;
    sn_shape shape;
} sn_desc;

typedef struct sn_tensor {
    sn_dtype dtype;
    sn_shape shape;
    int64_t  stride[SN_MAX_RANK]; /* elements from one neighbour to the next */
    void    *data;                /* kept alive by whoever made the view */
} sn_tensor;

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

/* Bytes of one element; 0 for SN_NONE. The name is that of safetensors ("F32"). */
size_t      sn_dtype_bytes(sn_dtype dtype);
const char *sn_dtype_name(sn_dtype dtype);
bool        sn_dtype_find(const char *name, sn_dtype *ret_dtype);

/* Product of the dimensions; -1 if one is negative, there are too many, or the product overflows.
 */
int64_t sn_shape_count(const sn_shape *shape);
bool    sn_shape_equal(const sn_shape *a, const sn_shape *b);

/* "[2, 3, 8, 8]" into buf; returns buf. */
const char *sn_shape_text(const sn_shape *shape, char *buf, size_t n_bytes);

/* A dense row-major view of `data`. */
sn_tensor sn_tensor_dense(sn_dtype dtype, const sn_shape *shape, void *data);
bool      sn_tensor_is_dense(const sn_tensor *t);

/* Narrow `t` to `s` without copying.
 * SN_E_SHAPE if the slice leaves the tensor, SN_E_UNSUPPORTED if an axis has
 * more than one piece. */
sn_status sn_tensor_slice(const sn_tensor *t, const sn_slice *s, sn_tensor *ret_view,
                          sn_error *err);

/* ---- values and expressions --------------------------------------------- */

/* Memory for values and whatever else a call returns in pieces: nothing in it
 * is freed alone, sn_arena_free() ends all of it. */
typedef struct sn_arena sn_arena;

sn_arena *sn_arena_create(void);                       /* NULL when memory is out */
void     *sn_arena_alloc(sn_arena *a, size_t n_bytes); /* zeroed, 16-byte aligned; NULL when out */
sn_arena *sn_arena_free(sn_arena *a);

/* The kinds of Python that an argument or a choice can have. */
typedef enum sn_kind {
    SN_KIND_NULL,
    SN_KIND_BOOL,
    SN_KIND_INT,
    SN_KIND_FLOAT,
    SN_KIND_TEXT,
    SN_KIND_TUPLE
} sn_kind;

typedef struct sn_value {
    sn_kind kind;
    union {
        bool        boolean;
        int64_t     integer;
        double      real;
        const char *text;
        struct {
            const struct sn_value *item;
            size_t                 n;
        } tuple;
    } as;
} sn_value;

/* Python's ==: 2 == 2.0 == True for 2, 1; "1" != 1; tuples element by element. */
bool sn_value_equal(const sn_value *a, const sn_value *b);

/* Same kind and same content: tells 1, 1.0 and True apart. */
bool sn_value_same(const sn_value *a, const sn_value *b);

/* What a value holds, without a look at the union. false, NULL or 0: it is of another kind.
 * int: of an int or a bool (which counts as 0 or 1, as in Python). real: of a float, an int or a
 * bool. string: of a text; it lives as long as the value. items: of a tuple. */
sn_kind         sn_value_kind(const sn_value *v);
bool            sn_value_int(const sn_value *v, int64_t *ret_integer);
bool            sn_value_real(const sn_value *v, double *ret_real);
bool            sn_value_bool(const sn_value *v, bool *ret_bool);
const char     *sn_value_string(const sn_value *v);
size_t          sn_value_n_items(const sn_value *v);
const sn_value *sn_value_item(const sn_value *v, size_t i); /* NULL past the end */

/* As Python's repr() would print it, into buf, cut if it must be; returns buf. */
const char *sn_value_text(const sn_value *v, char *buf, size_t n_bytes);

typedef struct sn_choice {
    const char     *label;     /* unique; equal labels share one value */
    const sn_value *candidate; /* in the order of the specification */
    size_t          n_candidates;
    /* How many candidates a decision names. 1: the value itself. k > 1: a tuple
     * of k values. 0: any number of them (InputChoice with n_chosen null). */
    size_t n_chosen;
    /* Candidates are the names of a LayerChoice, or the indices of an
     * InputChoice: a decision may also be a tuple of several. */
    bool               several;
    const char *const *user; /* "stem.out_channels": the arguments that read it */
    size_t             n_users;
    /* The operators of an edge of a Cell ("cell/3_1"), for distributions alone: it can be
     * softened, never set, has no users, and is no part of the space. */
    bool soft_only;
    /* Follows from other decisions (the channels of a node of a NasBench101Cell): it is
     * never set, has no users, and is no part of the space. */
    bool derived;
} sn_choice;

typedef struct sn_expr sn_expr;

/* Parse one expression over `choices` (product of labels and constants in Python
 * syntax). Semantics are Python's, see api/spec.md; `where` is put in front of
 * error messages. The choices and their values are copied.
 * SN_E_SYNTAX with the column, SN_E_UNKNOWN_NAME for an unknown label. */
sn_status sn_expr_parse(const char *text, const sn_choice *choices, size_t n_choices,
                        const char *where, sn_expr **ret_expr, sn_error *err);
sn_expr  *sn_expr_free(sn_expr *expr);

/* The labels in reading order with repetitions, `cond` as (if_true, pred, if_false). */
size_t      sn_expr_n_leaves(const sn_expr *expr);
const char *sn_expr_leaf(const sn_expr *expr, size_t i);

/* The value with `value[i]` for `label[i]`; labels that the expression does not
 * read are ignored. Results live in `mem`.
 * SN_E_UNDECIDED: a label has no value. SN_E_NOT_CANDIDATE: a value equals no
 * candidate. SN_E_EVALUATE: what raises in Python, with its reason. */
sn_status sn_expr_evaluate(const sn_expr *expr, const char *const *label, const sn_value *value,
                           size_t n, sn_arena *mem, sn_value *ret_value, sn_error *err);

/* The value with the first candidate of every label. */
sn_status sn_expr_dry_run(const sn_expr *expr, sn_arena *mem, sn_value *ret_value, sn_error *err);

typedef struct sn_option {
    sn_value value;
    double   weight; /* 0 without weights */
} sn_option;

/* Every distinct value over all assignments, ascending; of equal ones (1, 1.0)
 * the first met, the first label varying slowest. With `weights`, weights[i] has
 * n_candidates numbers for label[i], and equal values add theirs.
 * SN_E_EVALUATE: values without a common order. SN_E_LIMIT: too many assignments. */
sn_status sn_expr_options(const sn_expr *expr, const char *const *label,
                          const double *const *weights, const size_t *n_weights, size_t n,
                          sn_arena *mem, sn_option **ret_options, size_t *ret_n, sn_error *err);

/* The only value there is; SN_E_EVALUATE if there are several. */
sn_status sn_expr_constant(const sn_expr *expr, sn_arena *mem, sn_value *ret_value, sn_error *err);

/* The labels of several expressions merged in order of first appearance.
 * SN_E_INVALID when two of them disagree about the candidates of a label. */
sn_status sn_expr_dedup(const sn_expr *const *expr, size_t n, sn_arena *mem,
                        sn_choice **ret_choices, size_t *ret_n, sn_error *err);

/* ---- operators ---------------------------------------------------------- */

enum { SN_OP_ABI = 1, SN_POLICY_ABI = 1 };
enum { SN_MAX_STEPS = 4, SN_MAX_PARAMS = 16, SN_MAX_ARGS = 16, SN_MAX_PORTS = 64 };

typedef enum sn_mode { SN_EVAL, SN_TRAIN } sn_mode;

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

/* How far a plan may go from the sums that define its operators. In evaluation mode and without
 * distributions, all plans of one exactness give the same bits on one CPU, whatever the batch
 * and the number of threads. */
typedef enum sn_exactness {
    SN_EXACTNESS_SPEC,    /* as the specification says: "winograd": true, else direct */
    SN_EXACTNESS_DIRECT,  /* every product is made and added: "--exact" */
    SN_EXACTNESS_WINOGRAD /* 3x3 convolutions may be Winograd's; errors: sn_variant.winograd */
} sn_exactness;

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

typedef struct sn_cost {
    uint64_t macs, params, bytes_moved;
} sn_cost;

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

/* How fast threads are beside one another: cores may be of two kinds, or busy with other
 * programs. Runs measure it, and the next ones divide their loops by it: in evaluation mode no bit
 * depends on that. For one run at a time. */
typedef struct sn_balance sn_balance;

sn_status   sn_balance_create(int n_threads, sn_balance **ret_balance, sn_error *err);
sn_balance *sn_balance_free(sn_balance *balance); /* accepts NULL, returns NULL */

/* A loop the caller may run on several threads: body(cls, i) for i in [0, n), n at most
 * n_threads. It returns when all are done. */
typedef struct sn_parallel {
    void (*run)(void *pool, int n, void (*body)(void *cls, int i), void *cls);
    void       *pool;
    int         n_threads; /* may be another one for the next loop */
    sn_balance *balance;   /* NULL: parts of equal size. Worth it if part i is mostly run by the
                            * same thread */
} sn_parallel;

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

/* What a step does to its result before it stores it:
 *     y = act(x * scale + shift + residual)      scale and shift by channel */
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

typedef struct sn_epilogue {
    const float     *scale, *shift; /* NULL: 1, 0 */
    const sn_tensor *residual;      /* as the output; NULL: none */
    sn_act           act;
} sn_epilogue;

/* How a tensor of rank 4, [N, C, H, W], lies in memory. Others are always row-major. */
typedef enum sn_layout {
    SN_LAYOUT_ROWS,         /* row-major, as in PyTorch */
    SN_LAYOUT_CHANNELS_LAST /* N, H, W, C */
} sn_layout;

typedef enum sn_fuses {
    SN_FUSES_AFFINE = 1,
    SN_FUSES_RESIDUAL = 2,
    SN_FUSES_ACT = 4,
    SN_FUSES_IN_PLACE = 8 /* reads a number of the residual before it writes that of the output:
                           * they may be the same memory, if no input is */
} sn_fuses;

/* What channel i of an output is made of: numbers of any channels of the inputs, or of channel i
 * alone. */
typedef enum sn_channels { SN_CHANNELS_NONE, SN_CHANNELS_OF_ALL, SN_CHANNELS_OF_SAME } sn_channels;

/* Another way to run an operator: in another layout, over weights that are prepared once
 * for the whole supernet and shared by all its plans, with an epilogue. The planner takes
 * the first that fits; results are within rounding of forward's. */
typedef struct sn_variant {
    size_t      size;
    const char *name;
    sn_layout   layout_in, layout; /* of inputs; of outputs and the residual, of rank 4 */
    unsigned    fuses;             /* sn_fuses */
    /* Trades rounding for time (Lavin and Gray, arXiv:1509.09308): relative to the largest
     * output of a layer about 1e-5 instead of 2e-7. Taken only where it is asked for. */
    bool winograd;
    /* forward reads where, mode, nni, whole, priv and n_threads of its call, and of its io all
     * but param: what is live was written down in priv by infer. Its plans are smaller. */
    bool lean;

    /* After infer: can this call run so? Here and in forward, call->n_out leaves out the last
     * outputs that nobody reads. */
    bool (*fits)(const sn_call *call);

    /* Bytes of params[k] prepared (0: as it is), and preparing it. Sees the whole
     * parameter, so that every prefix and crop can be addressed in the result. */
    size_t (*packed_bytes)(const sn_tensor *whole, size_t k);
    void (*pack)(const sn_tensor *whole, size_t k, void *packed);

    /* Temporary memory, instead of call->scratch_bytes of infer; NULL: that. */
    size_t (*scratch_bytes)(const sn_call *call);

    /* Optional: can input 0 [N, C, H, W] of this call be multiplied by a gate [N, C, 1, 1] on the
     * way (squeeze and excite), and is that less work? The temporary memory for it, behind that
     * of scratch_bytes; 0: no. Whether it is 0 must not depend on the batch. */
    size_t (*gated_bytes)(const sn_call *call);

    /* Optional: is forward, of one sample, nothing but a loop of io->parallel over the channels of
     * the output, 16 at a time, without temporary memory? Then a thread may go on with its channels
     * to the next step while others are still at this one. Inputs and output have axes
     * [1, C, ...]; a residual is read by channels. SN_CHANNELS_NONE: it is not. */
    sn_channels (*channels)(const sn_call *call);

    void (*forward)(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue);
} sn_variant;

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

/* ---- registry: what exists ------------------------------------------------ */

typedef struct sn_registry sn_registry;
struct sn_policy_class;

/* A registry with the built-in operators and policies. */
sn_status sn_registry_create(sn_registry **ret_registry, sn_error *err);

/* The tables are copied, as much of them as their `size` says and this library knows: members
 * that are missing are absent (NULL), those behind the last one known are ignored. What a table
 * points to (names, arguments, functions) is borrowed and must outlive the registry and every
 * supernet loaded with it. SN_E_UNSUPPORTED for a foreign abi or unknown flags, SN_E_INVALID for
 * a name already taken. */
sn_status sn_registry_add_op(sn_registry *reg, const sn_op *op, sn_error *err);
sn_status sn_registry_add_policy(sn_registry *reg, const struct sn_policy_class *cls,
                                 sn_error *err);

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
 * it: tables are read by their `size`, and what an older header does not know is absent. */
enum { SN_PLUGIN_N_SIZES = 24 };
#define SN_PLUGIN_SIZES                                                                            \
    (uint32_t)sizeof(sn_call), (uint32_t)sizeof(sn_io), (uint32_t)sizeof(sn_arg),                  \
        (uint32_t)sizeof(sn_op), (uint32_t)sizeof(sn_variant), (uint32_t)sizeof(sn_policy_class),  \
        (uint32_t)sizeof(sn_arg_def), (uint32_t)sizeof(sn_param_def), (uint32_t)sizeof(sn_tensor), \
        (uint32_t)sizeof(sn_desc), (uint32_t)sizeof(sn_shape), (uint32_t)sizeof(sn_growth),        \
        (uint32_t)sizeof(sn_value), (uint32_t)sizeof(sn_slice), (uint32_t)sizeof(sn_choice),       \
        (uint32_t)sizeof(sn_error), (uint32_t)sizeof(sn_rng), (uint32_t)sizeof(sn_sink),           \
        (uint32_t)sizeof(sn_cost), (uint32_t)sizeof(sn_epilogue), (uint32_t)sizeof(sn_parallel),   \
        (uint32_t)sizeof(sn_port), (uint32_t)sizeof(sn_module), (uint32_t)sizeof(sn_tensor_info)
#define SN_PLUGIN                                                                                  \
    SN_PLUGIN_EXPORT extern const uint32_t sn_plugin_abi[];                                        \
    const uint32_t sn_plugin_abi[] = {SN_PLUGIN_ABI, SN_PLUGIN_N_SIZES, SN_PLUGIN_SIZES}

typedef sn_status (*sn_plugin_entry)(sn_registry *reg, sn_error *err);

/* Open the shared object at `path` and let it add what it has: all of it or, if it
 * reports an error, nothing. It stays loaded as long as the registry lives.
 * SN_E_IO: not a shared object; SN_E_UNSUPPORTED: built for another ABI. */
sn_status sn_registry_load_plugin(sn_registry *reg, const char *path, sn_error *err);

/* What is registered, as the library knows it; NULL past the end. */
const sn_op                  *sn_registry_op_at(const sn_registry *reg, size_t i);
const struct sn_policy_class *sn_registry_policy_at(const sn_registry *reg, size_t i);
sn_registry                  *sn_registry_ref(sn_registry *reg);
sn_registry                  *sn_registry_unref(sn_registry *reg);

/* ---- weights: safetensors, mapped or borrowed ----------------------------- */

typedef struct sn_weights sn_weights;

/* Map `path` read-only. Names, shapes and offsets are checked here, once. The
 * file must be replaced by rename, never rewritten, while it is mapped: see
 * sn_weights_check(). Regular files only; a pipe or a folder is SN_E_IO. */
sn_status sn_weights_open(const char *path, sn_weights **ret_weights, sn_error *err);

/* MAP: the kernel reads pages when they are needed and may drop them, all processes share them.
 * COPY: private memory, the whole file is read once; nothing can happen to it afterwards. */
typedef enum sn_weights_mode { SN_WEIGHTS_MAP, SN_WEIGHTS_COPY } sn_weights_mode;

typedef struct sn_weights_options {
    size_t          size;
    sn_weights_mode mode;
    uint64_t        limit_bytes; /* SN_E_LIMIT for a larger file. 0: none */
    bool (*stop)(void *cls); /* asked while a copy is made, every few MB: SN_E_STOPPED; or NULL */
    void *stop_cls;
} sn_weights_options;

/* The same from a descriptor, which stays the caller's and may be closed right after: for
 * programs that have rules about where files may be. `path` is where it was opened, for messages
 * and to see whether it was replaced by rename. NULL for the options: the defaults. */
sn_status sn_weights_open_fd(int fd, const char *path, const sn_weights_options *options,
                             sn_weights **ret_weights, sn_error *err);

/* Weights made in memory: none to begin with. Tensors are added under names until a supernet is
 * loaded with them, by one thread at a time; all element types may be (SN_E_DTYPE comes with the
 * load). A copy takes a tensor with any strides. A view is dense and aligned to its element, and
 * the caller keeps its memory alive and unchanged as long as the weights. From other weights: one
 * of their tensors, under a name of its own and without copying it; they are kept alive, and
 * nothing can be added to them any more.
 * SN_E_INVALID: the name is empty or taken, or nothing can be added to these weights.
 * SN_E_SHAPE, SN_E_DTYPE: the tensor is none. SN_E_UNSUPPORTED: only a copy of it can be used.
 * SN_E_UNKNOWN_NAME: `from` has no such tensor. */
sn_status sn_weights_create(sn_weights **ret_weights, sn_error *err);
sn_status sn_weights_add_copy(sn_weights *w, const char *name, const sn_tensor *tensor,
                              sn_error *err);
sn_status sn_weights_add_view(sn_weights *w, const char *name, const sn_tensor *tensor,
                              sn_error *err);
sn_status sn_weights_add_from(sn_weights *w, const char *name, sn_weights *from,
                              const char *name_there, sn_error *err);

/* Are the bytes still those that were opened? SN_E_CHANGED if the mapped file was truncated or
 * overwritten in place since, now and for ever after. Costs one fstat(). Replacing, moving,
 * deleting and linking the file are no changes. Look after a run, before its result is used;
 * always SN_OK for copies, borrowed memory and NULL. sn_weights_is_changed() asks nobody: it says
 * what was found so far, by this or by the handler of SIGBUS. */
sn_status sn_weights_check(const sn_weights *w, sn_error *err);
bool      sn_weights_is_changed(const sn_weights *w);

/* Reading pages that a truncated file does not have any more raises SIGBUS, which ends the process.
 * After this call zeros are read instead, and sn_weights_check() says it; load, compile,
 * forward and export return SN_E_CHANGED. Faults elsewhere keep the handler that was there
 * before. For the program to call, once, before it has threads; none of them may block SIGBUS. */
sn_status sn_sigbus_install(sn_error *err);

/* The same over memory that the caller keeps alive and unchanged, such as the
 * body of a request; `what` names it in messages. */
sn_status sn_weights_borrow(const void *bytes, size_t n_bytes, const char *what,
                            sn_weights **ret_weights, sn_error *err);

/* Tensors in the order of the header, or as they were added. The view is valid while the weights
 * live; its data is aligned to its element. */
size_t      sn_weights_count(const sn_weights *w);
const char *sn_weights_at(const sn_weights *w, size_t i, sn_tensor *ret_tensor);
bool        sn_weights_find(const sn_weights *w, const char *name, sn_tensor *ret_tensor);

/* A text of the header's __metadata__, or NULL; and by index the key and the text of all of
 * them, NULL past the end. */
const char *sn_weights_metadata(const sn_weights *w, const char *key);
const char *sn_weights_metadata_at(const sn_weights *w, size_t i, const char **ret_text);
size_t      sn_weights_bytes(const sn_weights *w);
sn_weights *sn_weights_ref(sn_weights *w);
sn_weights *sn_weights_unref(sn_weights *w);

/* Named tensors (strided or dense) as one safetensors document, with `n_meta`
 * pairs of metadata. */
sn_status sn_tensors_write(const char *const *names, const sn_tensor *tensors, size_t n,
                           const char *const *meta_keys, const char *const *meta_values,
                           size_t n_meta, const sn_sink *sink, sn_error *err);

/* ---- supernet --------------------------------------------------------------- */

typedef struct sn_supernet sn_supernet;

/* A named input or output. A dimension written as a name ("N") is -1 in
 * desc.shape and named in `symbol`; "N" is the batch. */
typedef struct sn_port {
    const char *name;
    sn_desc     desc; /* outputs: only known for a plan, dtype SN_NONE here */
    const char *symbol[SN_MAX_RANK];
    bool        optional;
} sn_port;

typedef struct sn_module {
    const char *path;  /* prefix of its tensors: "body.blocks.0.op0" */
    const char *where; /* place in the specification: "model.layers[3]" */
    const char *type;
    int         parent;   /* index of the module it is in; -1 for the root */
    uint64_t    n_params; /* elements it owns itself, at full size */
} sn_module;

/* Parse a `supernet/1` document (see api/spec.md), resolve operators, bound
 * expressions, check that every shared weight has the shape its expressions
 * need and that no tensor is missing or left over. Keeps references to weights
 * and registry. F16 and BF16 weights are widened to F32 here.
 * Without weights (NULL) the space can be looked at, sampled and sealed, but
 * neither compiled nor exported. */
sn_status sn_supernet_load(const char *spec_json, size_t spec_bytes, sn_weights *weights,
                           sn_registry *reg, sn_supernet **ret_net, sn_error *err);

/* What a load may take. A document decides how much work and memory it needs, so whoever takes
 * documents from others sets limits; zeros are the defaults. */
typedef struct sn_load_options {
    size_t size;
    bool (*stop)(void *cls); /* asked every 100 microseconds or so, by the calling thread; true
                              * ends the load with SN_E_STOPPED. NULL: never */
    void *stop_cls;
    /* SN_E_LIMIT above: everything but the weights, while it is loaded. 0: 48 MiB. */
    size_t memory_limit_bytes;
    /* SN_E_LIMIT above; a step is about 10 ns. 0: 2^26. */
    uint64_t step_limit;
} sn_load_options;

/* As sn_supernet_load(), which is this with NULL for the options. */
sn_status sn_supernet_load_with(const char *spec_json, size_t spec_bytes, sn_weights *weights,
                                sn_registry *reg, const sn_load_options *options,
                                sn_supernet **ret_net, sn_error *err);

/* Memory that the supernet holds by itself: no mapped file, and what plans have prepared is
 * counted by sn_supernet_packed_bytes(). */
size_t sn_supernet_bytes(const sn_supernet *net);

const char      *sn_supernet_name(const sn_supernet *net);
const char      *sn_supernet_spec(const sn_supernet *net);   /* the document it was loaded from */
const uint8_t   *sn_supernet_digest(const sn_supernet *net); /* SHA-256 of the document, 32 bytes */
size_t           sn_supernet_n_inputs(const sn_supernet *net);
const sn_port   *sn_supernet_input(const sn_supernet *net, size_t i);
size_t           sn_supernet_n_outputs(const sn_supernet *net);
const sn_port   *sn_supernet_output(const sn_supernet *net, size_t i);
size_t           sn_supernet_n_modules(const sn_supernet *net); /* depth first, parents first */
const sn_module *sn_supernet_module(const sn_supernet *net, size_t i);

/* A tensor that the document needs, as large as the largest values make it. */
typedef struct sn_tensor_info {
    const char *name;     /* "body.0.conv.weight" */
    sn_desc     desc;     /* F32, for which F16 and BF16 are taken too, or I64 */
    size_t      module;   /* whose it is: index for sn_supernet_module() */
    bool        optional; /* may be missing: num_batches_tracked */
    bool        state;    /* a buffer that training mode updates: running_mean */
} sn_tensor_info;

/* All of them, module by module, also without weights; NULL past the end. */
size_t                sn_supernet_n_tensors(const sn_supernet *net);
const sn_tensor_info *sn_supernet_tensor(const sn_supernet *net, size_t i);

/* The choices in order of first use; those that nothing uses come last. */
size_t           sn_supernet_n_choices(const sn_supernet *net);
const sn_choice *sn_supernet_choice(const sn_supernet *net, size_t i);
bool             sn_supernet_find_choice(const sn_supernet *net, const char *label, size_t *ret_i);

/* The number of assignments (product over used choices), exact, as decimal digits. */
const char *sn_supernet_space_size(const sn_supernet *net);

/* The weights it was loaded with, borrowed; NULL without. */
const sn_weights *sn_supernet_weights(const sn_supernet *net);

/* Memory of weights that plans had prepared so far (sn_variant.pack), shared by all of them
 * and kept as long as the supernet. Each takes the place of its pages of a mapped file. */
size_t sn_supernet_packed_bytes(const sn_supernet *net);

sn_supernet *sn_supernet_ref(sn_supernet *net);
sn_supernet *sn_supernet_unref(sn_supernet *net);

/* ---- deciding: draft, policy, subnet ---------------------------------------- */

typedef struct sn_draft  sn_draft;
typedef struct sn_policy sn_policy;
typedef struct sn_subnet sn_subnet;

/* An assignment under construction, all choices open. */
sn_status sn_draft_create(sn_supernet *net, sn_draft **ret_draft, sn_error *err);

/* What the subnet has decided, to be changed. Its inactive choices are open. */
sn_status sn_draft_create_from(const sn_subnet *subnet, sn_draft **ret_draft, sn_error *err);

/* Decide one choice, or replace its value. SN_E_UNKNOWN_NAME for the label,
 * SN_E_NOT_CANDIDATE with the allowed values. */
sn_status sn_draft_set(sn_draft *draft, const char *label, const sn_value *value, sn_error *err);

/* Leave one choice to a distribution whose weights come with each run. */
sn_status sn_draft_soften(sn_draft *draft, const char *label, sn_error *err);

/* Leave one choice open again. One with a single possible decision is always decided. */
sn_status sn_draft_clear(sn_draft *draft, const char *label, sn_error *err);

/* Decide what a JSON object says, {"label": value, ...}, as sn_subnet_write_choices() writes it,
 * or a part of it: all of it, or nothing if it fails. SN_E_SYNTAX with line and column, SN_E_LIMIT
 * above the limits of the draft, else as sn_draft_set(). And write what is decided so far. */
sn_status sn_draft_read_choices(sn_draft *draft, const char *json, size_t n_bytes, sn_error *err);
sn_status sn_draft_write_choices(const sn_draft *draft, const sn_sink *sink, sn_error *err);

/* NULL while the choice is open or soft, and past the end. Good until the draft is changed. */
const sn_value *sn_draft_get(const sn_draft *draft, size_t choice);
bool            sn_draft_is_soft(const sn_draft *draft, size_t choice);
sn_draft       *sn_draft_free(sn_draft *draft);

/* Freeze a copy: finds out which choices are active, evaluates every argument
 * of what is alive and checks it. SN_E_UNDECIDED names the first open active choice. */
sn_status sn_draft_seal(const sn_draft *draft, sn_subnet **ret_subnet, sn_error *err);

/* 32 hexadecimal digits: 128 bits of SHA-256 over the specification's digest and
 * the active choices. Equal architectures have equal ids in every process. */
const char *sn_subnet_id(const sn_subnet *subnet);

/* NULL for an inactive or soft choice. */
const sn_value *sn_subnet_value(const sn_subnet *subnet, size_t choice);
bool            sn_subnet_is_active(const sn_subnet *subnet, size_t choice);
bool            sn_subnet_is_soft(const sn_subnet *subnet, size_t choice);
bool            sn_subnet_equal(const sn_subnet *a, const sn_subnet *b);
size_t          sn_subnet_bytes(const sn_subnet *subnet);    /* memory it holds by itself */
sn_supernet    *sn_subnet_supernet(const sn_subnet *subnet); /* borrowed */
sn_subnet      *sn_subnet_ref(sn_subnet *subnet);
sn_subnet      *sn_subnet_unref(sn_subnet *subnet);

/* A stream of numbers that is the same on every machine for a seed. */
typedef struct sn_rng {
    uint64_t s[4];
} sn_rng;

void     sn_rng_seed(sn_rng *rng, uint64_t seed);
uint64_t sn_rng_next(sn_rng *rng);
uint64_t sn_rng_below(sn_rng *rng, uint64_t n); /* uniform in [0, n); 0 for n = 0 */
double   sn_rng_unit(sn_rng *rng);              /* uniform in [0, 1), 53 bits */

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

sn_status sn_policy_create(sn_supernet *net, const char *name, const char *options_json,
                           sn_policy **ret_policy, sn_error *err);

/* What a policy, or a draft, may take: its calls end with SN_E_STOPPED when `stop` says so, and
 * with SN_E_LIMIT above the limits; a policy is then as before the call. */
typedef struct sn_limits {
    size_t size;
    bool (*stop)(void *cls); /* as in sn_load_options */
    void *stop_cls;
    /* 0: 256 MiB of all that a policy holds; 64 MiB for sealing a draft, and for reading choices.
     */
    size_t   memory_limit_bytes;
    uint64_t step_limit; /* of one call, a step being about 10 ns. 0: none for a policy, 2^26 for a
                          * draft */
} sn_limits;

/* As sn_policy_create(), under limits, which hold for later calls too. NULL: the defaults. */
sn_status sn_policy_create_with(sn_supernet *net, const char *name, const char *options_json,
                                const sn_limits *limits, sn_policy **ret_policy, sn_error *err);

/* Other limits for the calls to come; NULL: the defaults. */
void sn_policy_limits(sn_policy *policy, const sn_limits *limits);
void sn_draft_limits(sn_draft *draft, const sn_limits *limits);

/* Memory that the policy holds. */
size_t sn_policy_bytes(const sn_policy *policy);

/* For policies, in plug-ins too, about the `state` that the library gave them. Charge memory
 * before it is taken: false, with nothing charged, where that is above the limit. Discharge what
 * was freed. Go on: false when the caller asked to stop, or after too many steps. A function that
 * got false fails with SN_E_NO_MEMORY or SN_E_STOPPED; the library says which limit it was. */
bool sn_policy_charge(void *state, size_t n_bytes);
void sn_policy_discharge(void *state, size_t n_bytes);
bool sn_policy_go_on(const void *state, uint64_t n_steps);

const char *sn_policy_name(const sn_policy *policy);
sn_policy  *sn_policy_free(sn_policy *policy);

/* Let `policy` decide what is still open; what was set by hand stays. If it fails, what was open
 * is open again. The draft is one of the policy's supernet. */
sn_status sn_policy_resample(sn_policy *policy, sn_rng *rng, sn_draft *draft, sn_error *err);
sn_status sn_policy_best(sn_policy *policy, sn_rng *rng, sn_draft *draft, sn_error *err);
sn_status sn_policy_probs(sn_policy *policy, sn_rng *rng, size_t choice, float *ret_probs,
                          sn_error *err);
sn_status sn_policy_update(sn_policy *policy, const char *update_json, sn_error *err);
sn_status sn_policy_save(const sn_policy *policy, const sn_sink *sink, sn_error *err);
sn_status sn_policy_load(sn_policy *policy, const char *state_json, sn_error *err);

/* Go on over another load of the same document (new weights) with the state as it is, at no cost.
 * SN_E_INVALID: another document, or another registry. SN_E_UNSUPPORTED: the class is not movable;
 * save and load instead. Nobody else uses the policy meanwhile. */
sn_status sn_policy_move(sn_policy *policy, sn_supernet *net, sn_error *err);
bool      sn_policy_is_movable(const sn_policy *policy);

/* ---- running ------------------------------------------------------------------ */

typedef struct sn_plan  sn_plan;
typedef struct sn_state sn_state;

typedef struct sn_compile_options {
    size_t         size;
    const sn_desc *in; /* one for each input; SN_NONE: absent. The batch dimension
                        * holds the largest batch the plan will be run with */
    size_t       n_in;
    sn_mode      mode;
    size_t       scratch_limit_bytes; /* SN_E_LIMIT above; 0: no limit */
    sn_exactness exactness;
    int          n_threads;  /* the largest sn_parallel.n_threads of a run; 0: 1 */
    bool (*stop)(void *cls); /* as in sn_load_options */
    void  *stop_cls;
    size_t memory_limit_bytes; /* of the plan and while it is made, without scratch memory of
                                * runs: SN_E_LIMIT above. 0: none */
    uint64_t step_limit;       /* SN_E_LIMIT above. 0: none */
} sn_compile_options;

typedef struct sn_plan_info {
    size_t         n_in, n_out;
    const sn_desc *in, *out;  /* for the largest batch */
    int64_t        max_batch; /* 0 if no input has a batch dimension */
    size_t         n_steps;
    /* Memory of sn_run_options.scratch: activations and temporaries of one run, at its largest
     * batch and largest n_threads. Whoever runs the plan brings it, SN_ALIGN_BYTES aligned, one
     * for each run at a time; it can be used for any other plan next, and nothing in it has to be
     * kept or cleared between runs. At least 0; inputs, outputs and weights are not in it. */
    size_t  scratch_bytes;
    size_t  packed_bytes; /* weights whose slice is no view */
    size_t  plan_bytes;   /* everything the plan holds, packed_bytes included */
    sn_cost cost;         /* for the largest batch, of all that the subnet computes */
    bool    fixed_batch;  /* runs with max_batch alone: how some shape depends on the batch is
                           * not known, or not linear. Compile one plan for each batch */
} sn_plan_info;

/* Infer shapes, slice or pack weights, lay out scratch memory. */
sn_status sn_plan_compile(sn_subnet *subnet, const sn_compile_options *options, sn_plan **ret_plan,
                          sn_error *err);
const sn_plan_info *sn_plan_describe(const sn_plan *plan);

/* One step of a plan, in the order in which they run. What was fused is part of the step that does
 * it, under the module of the last of them. */
typedef struct sn_step_info {
    size_t      module;  /* index into the modules of the supernet */
    const char *what;    /* the type of an operator; "sum", "mean", "concat", "weighted sum", "copy"
                          * (to another layout) or "blend" (of weights, for a distribution) */
    const char *variant; /* sn_variant.name; NULL: the plain forward, or no operator */
} sn_step_info;

/* False past the last step (sn_plan_info.n_steps of them). */
bool sn_plan_step_at(const sn_plan *plan, size_t i, sn_step_info *ret_step);

/* What `subnet` costs for the inputs options->in: multiply-accumulates, live parameters, bytes read
 * and written by operators, none of them fused. Needs no weights: also for a supernet loaded
 * without them. Either result may be NULL. ret_by_module: one for each module of the supernet, what
 * it computes by itself (containers: 0; all runs of a module that runs several times, whose
 * parameters count once; in evaluation it runs once for the same values). Errors as
 * sn_plan_compile(). */
sn_status  sn_subnet_cost(sn_subnet *subnet, const sn_compile_options *options, sn_cost *ret_total,
                          sn_cost *ret_by_module, sn_error *err);
sn_subnet *sn_plan_subnet(const sn_plan *plan); /* borrowed */

/* Output descriptions for inputs of `batch`, 0 <= batch <= max_batch (max_batch alone if
 * fixed_batch is set). */
void sn_plan_outputs(const sn_plan *plan, int64_t batch, sn_desc *ret_out);

typedef struct sn_run_options {
    size_t size;
    void  *scratch;          /* scratch_bytes, SN_ALIGN_BYTES aligned, one per concurrent run */
    bool (*stop)(void *cls); /* asked between steps, by any thread of `parallel`; may be NULL */
    void *stop_cls;
    /* For soft subnets: probs[i] has n_candidates weights of choice i, NULL where
     * the choice is not soft. */
    const float *const *probs;
    sn_state           *state;    /* training mode: the statistics to use and update */
    const sn_parallel  *parallel; /* may be NULL: one thread */
    /* How many weights probs[i] has: with it, a choice whose weights are missing, too few or too
     * many is SN_E_INVALID. NULL: they are as many as there are candidates. */
    const size_t *n_probs;
} sn_run_options;

/* Run. `in` and `out` are dense and the caller's, of the described shapes with any batch up to the
 * largest (sn_plan_outputs). A batch of 0 is answered without a run where that makes every output
 * empty. Allocates nothing. SN_E_SHAPE, SN_E_DTYPE, SN_E_INVALID: an input, an output or the
 * scratch memory is not what the plan was made for, an output shares memory with another one or an
 * input, or the state is another supernet's; and nothing is written. SN_E_STOPPED if asked to.
 * SN_E_CHANGED if weights were lost (sn_sigbus_install). After these two `out` means nothing, nor
 * does the state: some of its statistics may be updated. */
sn_status sn_plan_forward(const sn_plan *plan, const sn_tensor *in, sn_tensor *out,
                          const sn_run_options *options, sn_error *err);
sn_plan  *sn_plan_ref(sn_plan *plan);
sn_plan  *sn_plan_unref(sn_plan *plan);

/* A private copy of the running statistics, for training mode. */
sn_status   sn_state_create(sn_supernet *net, sn_state **ret_state, sn_error *err);
size_t      sn_state_count(const sn_state *state);
const char *sn_state_at(const sn_state *state, size_t i,
                        sn_tensor *ret_tensor); /* NULL past the end */
sn_state   *sn_state_free(sn_state *state);

/* ---- export --------------------------------------------------------------------- */

/* {"label": value, ...}: the active choices in the order of the space, without derived ones:
 * sn_draft_read_choices() takes them, and sealed they are this subnet again. */
sn_status sn_subnet_write_choices(const sn_subnet *subnet, const sn_sink *sink, sn_error *err);

/* A stand-alone specification, with nothing left to choose, and its weights: the
 * live slices under the names that specification uses. */
sn_status sn_subnet_write_spec(const sn_subnet *subnet, const sn_sink *sink, sn_error *err);
sn_status sn_subnet_write_weights(const sn_subnet *subnet, const sn_sink *sink, sn_error *err);

/* What sn_subnet_write_weights() writes, to be read in pieces of any size from any place: nothing
 * is copied before it is asked for, but what is no part of the supernet's weights (the centre of a
 * kernel). Holds the subnet alive. */
typedef struct sn_weights_reader sn_weights_reader;

sn_status sn_subnet_read_weights(sn_subnet *subnet, sn_weights_reader **ret_reader, sn_error *err);
uint64_t  sn_weights_reader_bytes(const sn_weights_reader *r);      /* of the whole document */
size_t    sn_weights_reader_held_bytes(const sn_weights_reader *r); /* memory of the reader */

/* Bytes from `at` on into `to`: n of them, or fewer at the end of the document; 0 before it if the
 * file of the weights has changed. Any thread, also several at once. */
size_t sn_weights_reader_read(const sn_weights_reader *r, uint64_t at, void *to, size_t n);
sn_weights_reader *sn_weights_reader_free(sn_weights_reader *r);

/* ---- BLAS: one door, process-wide -------------------------------------------------- */

/* Threads of the BLAS under the kernels; call it once, before the first plan runs
 * and before other threads exist. 1 is right whenever requests run in parallel. */
void sn_blas_set_threads(int n);

/* "OpenBLAS 0.3.21 ... Zen", or "reference kernels". */
const char *sn_blas_describe(void);

#ifdef __cplusplus
}
#endif
#endif
