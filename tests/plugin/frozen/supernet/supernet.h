/* The structs of supernet.h as they were in version 2 of the interface of plug-ins, frozen:
 * plugin.sh compiles a plug-in with them that a later library must still take, and layout.py holds
 * the structs of today against them. Never change it. */
#ifndef SUPERNET_FROZEN_2_H
#define SUPERNET_FROZEN_2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    X(SN_E_STOPPED, "the caller asked to stop")

typedef enum sn_status {
#define X(name, text) name,
    SN_STATUS_MAP(X)
#undef X
        SN_STATUS_COUNT
} sn_status;

typedef struct sn_error {
    sn_status code;
    char      where[256];
    char      text[1024];
} sn_error;

#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
sn_status
sn_fail(sn_error *err, sn_status code, const char *where, const char *fmt, ...);

typedef struct sn_sink {
    int (*write)(void *cls, const void *bytes, size_t n_bytes);
    void *cls;
} sn_sink;

enum { SN_MAX_RANK = 8, SN_MAX_PIECES = 3, SN_ALIGN_BYTES = 64 };

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
    int     rank;
    int64_t dim[SN_MAX_RANK];
} sn_shape;

typedef struct sn_desc {
    sn_dtype dtype;
    sn_shape shape;
} sn_desc;

typedef struct sn_tensor {
    sn_dtype dtype;
    sn_shape shape;
    int64_t  stride[SN_MAX_RANK];
    void    *data;
} sn_tensor;

typedef struct sn_range {
    int64_t start, stop;
} sn_range;

typedef struct sn_slice {
    int rank;
    struct {
        int      n;
        sn_range piece[SN_MAX_PIECES];
    } axis[SN_MAX_RANK];
} sn_slice;

typedef struct sn_arena sn_arena;

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

typedef struct sn_choice {
    const char     *label;
    const sn_value *candidate;
    size_t          n_candidates;

    size_t n_chosen;

    bool               several;
    const char *const *user;
    size_t             n_users;

    bool soft_only;

    bool derived;
} sn_choice;

enum { SN_OP_ABI = 1, SN_POLICY_ABI = 1 };
enum { SN_MAX_STEPS = 4, SN_MAX_PARAMS = 16, SN_MAX_ARGS = 16, SN_MAX_PORTS = 64 };

typedef enum sn_mode { SN_EVAL, SN_TRAIN } sn_mode;

typedef enum sn_arg_flags {
    SN_ARG_FIXED = 0,
    SN_ARG_CHOICE = 1,
    SN_ARG_SOFT_MASK = 2,
    SN_ARG_SOFT_FULL = 4,
    SN_ARG_SOFT_REFUSE = 8,
    SN_ARG_COMPONENTS = 16,
    SN_ARG_DERIVED = 32,
    SN_ARG_COMPONENTS_NNI = 64
} sn_arg_flags;

#define SN_KINDS(kind) (1u << (kind))

typedef struct sn_arg_def {
    const char *name;
    unsigned    kinds;
    unsigned    flags;
    const char *fallback;
    const char *keywords;
} sn_arg_def;

typedef struct sn_param_def {
    const char *name;
    unsigned    flags;

    int n_steps;
    int step[SN_MAX_STEPS];
} sn_param_def;

typedef enum sn_param_flags {
    SN_PARAM_STATE = 1,
    SN_PARAM_I64 = 2,
    SN_PARAM_UNUSED = 4
} sn_param_flags;

typedef enum sn_exactness {
    SN_EXACTNESS_SPEC,
    SN_EXACTNESS_DIRECT,
    SN_EXACTNESS_WINOGRAD
} sn_exactness;

typedef struct sn_arg {
    sn_value        value;
    sn_value        super;
    const sn_value *option;
    size_t          n_options;
    bool            soft;
    bool            elastic;
    int             position;
} sn_arg;

typedef struct sn_cost {
    uint64_t macs, params, bytes_moved;
} sn_cost;

typedef struct sn_call {
    size_t           size;
    const char      *where;
    sn_mode          mode;
    bool             nni;
    const sn_arg    *arg;
    const sn_tensor *param;
    const sn_tensor *whole;
    size_t           n_in, n_out;
    const sn_desc   *in;
    sn_desc         *out;
    void            *priv;
    size_t           scratch_bytes;
    int              n_threads;
} sn_call;

typedef struct sn_balance sn_balance;

typedef struct sn_parallel {
    void (*run)(void *pool, int n, void (*body)(void *cls, int i), void *cls);
    void       *pool;
    int         n_threads;
    sn_balance *balance;
} sn_parallel;

typedef struct sn_io {
    size_t             size;
    const sn_tensor   *in;
    sn_tensor         *out;
    const sn_tensor   *param;
    void              *scratch;
    const sn_parallel *parallel;
    const void *const *packed;
    const sn_tensor   *gate;
} sn_io;

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
    const float     *scale, *shift;
    const sn_tensor *residual;
    sn_act           act;
} sn_epilogue;

typedef enum sn_layout { SN_LAYOUT_ROWS, SN_LAYOUT_CHANNELS_LAST } sn_layout;

typedef enum sn_fuses {
    SN_FUSES_AFFINE = 1,
    SN_FUSES_RESIDUAL = 2,
    SN_FUSES_ACT = 4,
    SN_FUSES_IN_PLACE = 8
} sn_fuses;

typedef enum sn_channels { SN_CHANNELS_NONE, SN_CHANNELS_OF_ALL, SN_CHANNELS_OF_SAME } sn_channels;

typedef struct sn_variant {
    size_t      size;
    const char *name;
    sn_layout   layout_in, layout;
    unsigned    fuses;

    bool winograd;

    bool lean;

    bool (*fits)(const sn_call *call);

    size_t (*packed_bytes)(const sn_tensor *whole, size_t k);
    void (*pack)(const sn_tensor *whole, size_t k, void *packed);

    size_t (*scratch_bytes)(const sn_call *call);

    size_t (*gated_bytes)(const sn_call *call);

    sn_channels (*channels)(const sn_call *call);

    void (*forward)(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue);
} sn_variant;

typedef enum sn_op_flags {
    SN_OP_ALIAS = 1,

    SN_OP_POINTWISE = 2,
    SN_OP_ADD = 4,
    SN_OP_MUL = 8,

    SN_OP_SAMPLES = 16
} sn_op_flags;

typedef struct sn_op {
    size_t              size;
    uint32_t            abi;
    const char         *type;
    unsigned            flags;
    const sn_arg_def   *args;
    const sn_param_def *params;
    int                 min_in, max_in;
    const char *const  *in_names;
    int                 n_out;
    const char *const  *out_names;
    size_t              priv_bytes;

    sn_status (*check)(const sn_call *call, sn_error *err);

    sn_status (*shape)(const sn_call *call, size_t k, sn_shape *ret_shape, sn_error *err);

    sn_status (*slice)(const sn_call *call, size_t k, int s, const sn_value *value,
                       sn_slice *ret_slice, sn_error *err);

    sn_status (*infer)(sn_call *call, sn_error *err);

    void (*cost)(const sn_call *call, sn_cost *ret_cost);

    void (*forward)(const sn_call *call, const sn_io *io);

    sn_status (*export_args)(const sn_call *call, sn_value *arg_out, sn_arena *mem, sn_error *err);

    const sn_variant *variants;
    sn_act (*act)(const sn_call *call);
    bool (*affine)(const sn_call *call, float *scale, float *shift);
    bool (*samples)(const sn_call *call);
    bool (*rows)(const sn_call *call);
} sn_op;

typedef struct sn_registry sn_registry;

struct sn_policy_class;

sn_status sn_registry_add_op(sn_registry *reg, const sn_op *op, sn_error *err);
sn_status sn_registry_add_policy(sn_registry *reg, const struct sn_policy_class *cls,
                                 sn_error *err);

enum { SN_PLUGIN_ABI = 2 };

#if defined(__GNUC__)
#define SN_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define SN_PLUGIN_EXPORT
#endif
#define SN_PLUGIN                                                                                  \
    SN_PLUGIN_EXPORT extern const uint32_t sn_plugin_abi[4];                                       \
    SN_PLUGIN_EXPORT const uint32_t sn_plugin_abi[4] = {SN_PLUGIN_ABI, (uint32_t)sizeof(sn_call),  \
                                                        (uint32_t)sizeof(sn_io),                   \
                                                        (uint32_t)sizeof(sn_arg)}

typedef sn_status (*sn_plugin_entry)(sn_registry *reg, sn_error *err);

typedef struct sn_supernet sn_supernet;

typedef struct sn_draft sn_draft;

typedef struct sn_rng {
    uint64_t s[4];
} sn_rng;

typedef struct sn_policy_class {
    size_t      size;
    uint32_t    abi;
    const char *name;
    const char *about;
    size_t      state_bytes;

    sn_status (*init)(void *state, const sn_supernet *net, const char *options_json, sn_error *err);
    void (*fini)(void *state);

    sn_status (*resample)(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                          sn_error *err);

    sn_status (*best)(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                      sn_error *err);

    sn_status (*probs)(void *state, const sn_supernet *net, sn_rng *rng, size_t choice,
                       float *ret_probs, sn_error *err);

    sn_status (*update)(void *state, const sn_supernet *net, const char *update_json,
                        sn_error *err);

    sn_status (*save)(const void *state, const sn_supernet *net, const sn_sink *sink,
                      sn_error *err);
    sn_status (*load)(void *state, const sn_supernet *net, const char *state_json, sn_error *err);
} sn_policy_class;

typedef struct sn_state sn_state;

typedef struct sn_option {
    sn_value value;
    double   weight;
} sn_option;

typedef struct sn_port {
    const char *name;
    sn_desc     desc;
    const char *symbol[SN_MAX_RANK];
    bool        optional;
} sn_port;

typedef struct sn_module {
    const char *path;
    const char *where;
    const char *type;
    int         parent;
    uint64_t    n_params;
} sn_module;

typedef struct sn_compile_options {
    size_t         size;
    const sn_desc *in;
    size_t         n_in;
    sn_mode        mode;
    size_t         scratch_limit_bytes;
    sn_exactness   exactness;
    int            n_threads;
} sn_compile_options;

typedef struct sn_plan_info {
    size_t         n_in, n_out;
    const sn_desc *in, *out;
    int64_t        max_batch;
    size_t         n_steps;
    size_t         scratch_bytes;
    size_t         packed_bytes;
    size_t         plan_bytes;
    sn_cost        cost;
} sn_plan_info;

typedef struct sn_run_options {
    size_t size;
    void  *scratch;
    bool (*stop)(void *cls);
    void *stop_cls;

    const float *const *probs;
    sn_state           *state;
    const sn_parallel  *parallel;
} sn_run_options;

int64_t          sn_shape_count(const sn_shape *shape);
bool             sn_value_int(const sn_value *v, int64_t *ret_integer);
size_t           sn_supernet_n_choices(const sn_supernet *net);
const sn_choice *sn_supernet_choice(const sn_supernet *net, size_t i);
const sn_value  *sn_draft_get(const sn_draft *draft, size_t choice);
sn_status sn_draft_set(sn_draft *draft, const char *label, const sn_value *value, sn_error *err);

#endif
