/* supernet.h - weight-sharing networks: choose, slice, run, export.
 *
 *     specification + weights + registry   ->  sn_supernet   immutable, shared
 *     supernet + a value for every choice  ->  sn_subnet     immutable, shared
 *     subnet + input shapes                ->  sn_plan       immutable, shared
 *     plan + inputs + scratch memory       ->  outputs       no allocation
 *
 * This is what a program calls. Beside it, each for a reader of its own:
 *
 *     pool.h      threads: some to run plans with, or your own
 *     train.h     distributions, policies that learn, running statistics
 *     weights.h   named tensors: made in memory, looked through, written
 *     host.h      to serve what others send, and stay up: limits, memory, files that change
 *     op.h        operators and policies of your own: plug-ins
 *     expr.h      values and expressions by themselves
 *     engine.h    how operators are run and fused: changes with the planner
 *
 * What holds for every function below:
 *
 *   - What can fail returns sn_status, and SN_OK is 0.
 *   - Results come back through ret_* pointers, written on success only.
 *   - `err` is the last parameter, may be NULL, and keeps the first error.
 *   - Every *_unref and *_free accepts NULL and returns NULL:  p = sn_plan_unref(p);
 *   - Immutable objects may be used by many threads at once; drafts, policies,
 *     arenas and registries belong to one thread at a time.
 *   - The library does not log, exit or keep mutable globals. The two exceptions
 *     are process-wide by nature: sn_blas_set_threads, sn_sigbus_install.
 *   - It starts threads only when sn_pool_create() asks for them.
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

enum { SN_MAX_RANK = 8, SN_MAX_PORTS = 64, SN_ALIGN_BYTES = 64 };

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

/* Bytes of one element; 0 for SN_NONE. */
size_t sn_dtype_bytes(sn_dtype dtype);

/* Product of the dimensions; -1: one is negative, there are too many, or the product overflows. */
int64_t sn_shape_count(const sn_shape *shape);

/* A dense row-major view of `data`. */
sn_tensor sn_tensor_dense(sn_dtype dtype, const sn_shape *shape, void *data);

/* ---- values and choices --------------------------------------------------- */

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

/* ---- registry: what exists ------------------------------------------------ */

typedef struct sn_registry sn_registry;

/* A registry with the built-in operators and policies. */
sn_status sn_registry_create(sn_registry **ret_registry, sn_error *err);

/* Open the shared object at `path` and let it add what it has: all of it or, if it
 * reports an error, nothing. It stays loaded as long as the registry lives.
 * SN_E_IO: not a shared object; SN_E_UNSUPPORTED: built for another ABI. */
sn_status sn_registry_load_plugin(sn_registry *reg, const char *path, sn_error *err);

sn_registry *sn_registry_ref(sn_registry *reg);
sn_registry *sn_registry_unref(sn_registry *reg);

/* ---- weights: safetensors, mapped or borrowed ----------------------------- */

typedef struct sn_weights sn_weights;

/* Map `path` read-only. Names, shapes and offsets are checked here, once. The
 * file must be replaced by rename, never rewritten, while it is mapped: see
 * sn_weights_check() in host.h. Regular files only; a pipe or a folder is SN_E_IO. */
sn_status sn_weights_open(const char *path, sn_weights **ret_weights, sn_error *err);

/* The same over memory that the caller keeps alive and unchanged, such as the
 * body of a request; `what` names it in messages. */
sn_status sn_weights_borrow(const void *bytes, size_t n_bytes, const char *what,
                            sn_weights **ret_weights, sn_error *err);

sn_weights *sn_weights_ref(sn_weights *w);
sn_weights *sn_weights_unref(sn_weights *w);

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

/* Parse a `supernet/1` document (see api/spec.md), resolve operators, bound
 * expressions, check that every shared weight has the shape its expressions
 * need and that no tensor is missing or left over. Keeps references to weights
 * and registry. F16 and BF16 weights are widened to F32 here.
 * Without weights (NULL) the space can be looked at, sampled and sealed, but
 * neither compiled nor exported. */
sn_status sn_supernet_load(const char *spec_json, size_t spec_bytes, sn_weights *weights,
                           sn_registry *reg, sn_supernet **ret_net, sn_error *err);

const char    *sn_supernet_name(const sn_supernet *net);
size_t         sn_supernet_n_inputs(const sn_supernet *net);
const sn_port *sn_supernet_input(const sn_supernet *net, size_t i);
size_t         sn_supernet_n_outputs(const sn_supernet *net);
const sn_port *sn_supernet_output(const sn_supernet *net, size_t i);

/* The choices in order of first use; those that nothing uses come last. */
size_t           sn_supernet_n_choices(const sn_supernet *net);
const sn_choice *sn_supernet_choice(const sn_supernet *net, size_t i);
bool             sn_supernet_find_choice(const sn_supernet *net, const char *label, size_t *ret_i);

/* The number of assignments (product over used choices), exact, as decimal digits. */
const char *sn_supernet_space_size(const sn_supernet *net);

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

/* Leave one choice open again. One with a single possible decision is always decided. */
sn_status sn_draft_clear(sn_draft *draft, const char *label, sn_error *err);

/* Decide what a JSON object says, {"label": value, ...}, as sn_subnet_write_choices() writes it,
 * or a part of it: all of it, or nothing if it fails. SN_E_SYNTAX with line and column, SN_E_LIMIT
 * above the limits of the draft, else as sn_draft_set(). */
sn_status sn_draft_read_choices(sn_draft *draft, const char *json, size_t n_bytes, sn_error *err);

/* NULL while the choice is open or soft, and past the end. Good until the draft is changed. */
const sn_value *sn_draft_get(const sn_draft *draft, size_t choice);
sn_draft       *sn_draft_free(sn_draft *draft);

/* Freeze a copy: finds out which choices are active, evaluates every argument
 * of what is alive and checks it. SN_E_UNDECIDED names the first open active choice. */
sn_status sn_draft_seal(const sn_draft *draft, sn_subnet **ret_subnet, sn_error *err);

/* 32 hexadecimal digits: 128 bits of SHA-256 over the specification's digest and
 * the active choices. Equal architectures have equal ids in every process. */
const char *sn_subnet_id(const sn_subnet *subnet);

/* NULL for an inactive or soft choice. */
const sn_value *sn_subnet_value(const sn_subnet *subnet, size_t choice);
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

/* Let a policy decide what is still open; what was set by hand stays. If it fails, what was open
 * is open again. The draft is one of the policy's supernet. Best: with the best values it knows. */
sn_status  sn_policy_create(sn_supernet *net, const char *name, const char *options_json,
                            sn_policy **ret_policy, sn_error *err);
sn_status  sn_policy_resample(sn_policy *policy, sn_rng *rng, sn_draft *draft, sn_error *err);
sn_status  sn_policy_best(sn_policy *policy, sn_rng *rng, sn_draft *draft, sn_error *err);
sn_policy *sn_policy_free(sn_policy *policy);

/* ---- running ------------------------------------------------------------------ */

typedef struct sn_plan  sn_plan;
typedef struct sn_state sn_state;

typedef enum sn_mode { SN_EVAL, SN_TRAIN } sn_mode;

/* How far a plan may go from the sums that define its operators. In evaluation mode and without
 * distributions, all plans of one exactness give the same bits on one CPU, whatever the batch
 * and the number of threads. */
typedef enum sn_exactness {
    SN_EXACTNESS_SPEC,    /* as the specification says: "winograd": true, else direct */
    SN_EXACTNESS_DIRECT,  /* every product is made and added: "--exact" */
    SN_EXACTNESS_WINOGRAD /* 3x3 convolutions may be Winograd's: errors of 1e-5 and not 2e-7 */
} sn_exactness;

typedef struct sn_cost {
    uint64_t macs, params, bytes_moved;
} sn_cost;

/* How fast threads are beside one another: pool.h. */
typedef struct sn_balance sn_balance;

/* A loop the caller may run on several threads: body(cls, i) for i in [0, n), n at most
 * n_threads. It returns when all are done. */
typedef struct sn_parallel {
    void (*run)(void *pool, int n, void (*body)(void *cls, int i), void *cls);
    void       *pool;
    int         n_threads; /* may be another one for the next loop */
    sn_balance *balance;   /* NULL: parts of equal size. Worth it if part i is mostly run by the
                            * same thread */
} sn_parallel;

typedef struct sn_compile_options {
    size_t         size;
    const sn_desc *in; /* one for each input; SN_NONE: absent. The batch dimension
                        * holds the largest batch the plan will be run with */
    size_t       n_in;
    sn_mode      mode;
    size_t       scratch_limit_bytes; /* SN_E_LIMIT above; 0: no limit */
    sn_exactness exactness;
    int          n_threads;  /* the largest sn_parallel.n_threads of a run; 0: 1 */
    bool (*stop)(void *cls); /* asked often, by the calling thread; true: SN_E_STOPPED */
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

/* What `subnet` costs for the inputs options->in: multiply-accumulates, live parameters, bytes read
 * and written by operators, none of them fused. Needs no weights: also for a supernet loaded
 * without them. Either result may be NULL. ret_by_module: one for each module of the supernet, what
 * it computes by itself (containers: 0; all runs of a module that runs several times, whose
 * parameters count once; in evaluation it runs once for the same values). Errors as
 * sn_plan_compile(). */
sn_status sn_subnet_cost(sn_subnet *subnet, const sn_compile_options *options, sn_cost *ret_total,
                         sn_cost *ret_by_module, sn_error *err);

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

/* ---- export --------------------------------------------------------------------- */

/* {"label": value, ...}: the active choices in the order of the space, without derived ones:
 * sn_draft_read_choices() takes them, and sealed they are this subnet again. */
sn_status sn_subnet_write_choices(const sn_subnet *subnet, const sn_sink *sink, sn_error *err);

/* A stand-alone specification, with nothing left to choose, and its weights: the
 * live slices under the names that specification uses. */
sn_status sn_subnet_write_spec(const sn_subnet *subnet, const sn_sink *sink, sn_error *err);
sn_status sn_subnet_write_weights(const sn_subnet *subnet, const sn_sink *sink, sn_error *err);

#ifdef __cplusplus
}
#endif
#endif
