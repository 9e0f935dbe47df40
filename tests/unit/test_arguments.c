/* arguments: a caller, or a plug-in, may give anything that C lets it write down. What can be seen
 * to be wrong is refused with a reason: nothing is read, written or called that is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supernet/engine.h"
#include "supernet/host.h"
#include "supernet/pool.h"
#include "supernet/train.h"
#include "support/alloc.h"
#include "support/net.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- tables of operators ---- */

static sn_status infer_same(sn_call *call, sn_error *err)
{
    (void)err;
    call->out[0] = call->in[0];
    return SN_OK;
}

static sn_status infer_all_memory(sn_call *call, sn_error *err)
{
    call->scratch_bytes = SIZE_MAX;
    return infer_same(call, err);
}

/* As many elements as can be counted, and more bytes than there are addresses. */
static sn_status infer_too_large(sn_call *call, sn_error *err)
{
    (void)err;
    call->out[0] = (sn_desc){SN_F32, {2, {INT64_C(1) << 31, INT64_C(1) << 31}}};
    return SN_OK;
}

static sn_status infer_without_a_word(sn_call *call, sn_error *err)
{
    (void)call, (void)err;
    return SN_E_SHAPE;
}

static sn_status infer_unknown_status(sn_call *call, sn_error *err)
{
    (void)call;
    return sn_fail(err, (sn_status)99, "here", "no such code");
}

static void forward(const sn_call *call, const sn_io *io)
{
    (void)call, (void)io;
}

static bool fits(const sn_call *call)
{
    (void)call;
    return true;
}

static size_t packed_bytes(const sn_tensor *whole, size_t k)
{
    (void)whole, (void)k;
    return 64;
}

static size_t all_memory(const sn_call *call)
{
    (void)call;
    return SIZE_MAX - 10;
}

static void forward_variant(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    (void)call, (void)io, (void)epilogue;
}

static sn_status shape_one(const sn_call *call, size_t k, sn_shape *ret_shape, sn_error *err)
{
    (void)call, (void)k, (void)err;
    *ret_shape = (sn_shape){.rank = 1, .dim = {1}};
    return SN_OK;
}

static sn_op sound_op(void)
{
    return (sn_op){.size = sizeof(sn_op),
                   .abi = SN_OP_ABI,
                   .type = "Odd",
                   .min_in = 1,
                   .max_in = 1,
                   .n_out = 1,
                   .shape = shape_one,
                   .infer = infer_same,
                   .forward = forward};
}

static void refuse(const sn_op *op, sn_status want, const char *why)
{
    sn_registry *reg = NULL;
    sn_error     err = {0};

    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_registry_add_op(reg, op, &err), want);
    if (!strstr(err.text, why)) fail_msg("%s lacks: %s", err.text, why);
    sn_registry_unref(reg);
}

static void a_table_that_lacks_what_the_planner_calls_is_refused(void **state)
{
    static const char *const  no_name[] = {NULL};
    static const sn_param_def twice[] = {{.name = "w"}, {.name = "w"}, {0}};
    static const sn_param_def unnamed[] = {{.name = ""}, {0}};
    static const sn_arg_def   no_kind[] = {{.name = "k", .kinds = 1u << 30}, {0}};
    const struct {
        sn_variant  variant;
        sn_status   want;
        const char *why;
    } variants[] = {
        {{.name = "v", .fits = fits}, SN_E_INVALID, "needs the functions fits and forward"},
        {{.name = "v", .forward = forward_variant},
         SN_E_INVALID,
         "needs the functions fits and forward"},
        {{.name = "v", .fits = fits, .forward = forward_variant, .packed_bytes = packed_bytes},
         SN_E_INVALID,
         "needs both or none"},
        {{.name = "v", .fits = fits, .forward = forward_variant, .layout = (sn_layout)7},
         SN_E_UNSUPPORTED,
         "layouts 0 and 7"},
        {{.name = "v", .fits = fits, .forward = forward_variant, .fuses = 64},
         SN_E_UNSUPPORTED,
         "fuses 0x40"},
    };
    sn_op op = sound_op();

    (void)state;
    for (size_t i = 0; i < COUNT(variants); i++) {
        sn_variant table[2] = {variants[i].variant};

        table[0].size = sizeof table[0];
        op.variants = table;
        refuse(&op, variants[i].want, variants[i].why);
    }
    op = sound_op();
    op.in_names = no_name;
    refuse(&op, SN_E_INVALID, "input 0 has no name");
    op = sound_op();
    op.out_names = no_name;
    refuse(&op, SN_E_INVALID, "output 0 has no name");
    op = sound_op();
    op.params = twice;
    refuse(&op, SN_E_INVALID, "there are two parameters \"w\"");
    op.params = unnamed;
    refuse(&op, SN_E_INVALID, "parameter 0 has an empty name");
    op = sound_op();
    op.args = no_kind;
    refuse(&op, SN_E_INVALID, "allows no kind of value");
}

static const char odd_spec[] =
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": "
    "\"x\", \"shape\": [\"N\", 2]}], \"model\": {\"type\": \"Odd\"}}";

static sn_status compile_odd(const sn_op *op, sn_error *err)
{
    const sn_desc            in = {SN_F32, {2, {3, 2}}};
    const sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};
    sn_registry             *reg = NULL;
    sn_supernet             *net = NULL;
    sn_weights              *weights = NULL;
    sn_draft                *draft = NULL;
    sn_subnet               *subnet = NULL;
    sn_plan                 *plan = NULL;
    sn_status                rc;

    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_registry_add_op(reg, op, NULL), SN_OK);
    assert_int_equal(sn_weights_create(&weights, NULL), SN_OK);
    assert_int_equal(sn_supernet_load(odd_spec, strlen(odd_spec), weights, reg, &net, NULL), SN_OK);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_draft_seal(draft, &subnet, NULL), SN_OK);
    rc = sn_plan_compile(subnet, &options, &plan, err);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
    sn_supernet_unref(net);
    sn_weights_unref(weights);
    sn_registry_unref(reg);
    return rc;
}

/* The callers of this library, the daemon among them, rely on the code and the text of an error. */
static void what_an_operator_says_of_itself_is_not_believed(void **state)
{
    const sn_variant variants[] = {
        {.size = sizeof(sn_variant),
         .name = "v",
         .fits = fits,
         .scratch_bytes = all_memory,
         .forward = forward_variant},
        {0},
    };
    const struct {
        sn_status (*infer)(sn_call *call, sn_error *err);
        const sn_variant *variants;
        sn_status         want;
        const char       *why;
    } cases[] = {
        {infer_all_memory, NULL, SN_E_LIMIT, "bytes of temporary memory"},
        {infer_same, variants, SN_E_LIMIT, "bytes of temporary memory"},
        {infer_too_large, NULL, SN_E_SHAPE, "impossible shape"},
        {infer_without_a_word, NULL, SN_E_SHAPE, "Odd gave up without saying why"},
        {infer_unknown_status, NULL, SN_E_INVALID, "no such code"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        sn_op    op = sound_op();
        sn_error err = {0};

        op.infer = cases[i].infer;
        op.variants = cases[i].variants;
        assert_int_equal(compile_odd(&op, &err), cases[i].want);
        assert_int_equal(err.code, cases[i].want);
        if (!strstr(err.text, cases[i].why)) fail_msg("%s lacks: %s", err.text, cases[i].why);
    }
}

static sn_act unknown_act(const sn_call *call)
{
    (void)call;
    return (sn_act)77;
}

static void times_ten(const sn_call *call, const sn_io *io)
{
    const float *x = io->in[0].data;
    float       *y = io->out[0].data;

    (void)call;
    for (int64_t i = 0; i < sn_shape_count(&io->in[0].shape); i++)
        y[i] = 10.0f * x[i];
}

/* A newer plug-in may know activations that this library does not: they are not fused. */
static void an_activation_that_nobody_knows_runs_by_itself(void **state)
{
    static const char spec[] =
        "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": "
        "[\"N\", 2]}], \"model\": {\"type\": \"Sequential\", \"layers\": [{\"name\": \"fc\", "
        "\"type\": "
        "\"Linear\", \"in_features\": 2, \"out_features\": 1, \"bias\": false}, {\"type\": "
        "\"Odd\"}]}}";
    const sn_shape wide = {2, {1, 2}}, narrow = {2, {1, 1}};
    float          ones[2] = {1.0f, 1.0f}, y = 0.0f;
    sn_tensor      weight = sn_tensor_dense(SN_F32, &wide, ones);
    sn_tensor      in = weight, out = sn_tensor_dense(SN_F32, &narrow, &y);
    const sn_desc  desc = {SN_F32, wide};

    const sn_compile_options options = {.size = sizeof options, .in = &desc, .n_in = 1};
    sn_run_options           run_options = {.size = sizeof run_options};
    sn_registry             *reg = NULL;
    sn_supernet             *net = NULL;
    sn_weights              *weights = NULL;
    sn_draft                *draft = NULL;
    sn_subnet               *subnet = NULL;
    sn_plan                 *plan = NULL;
    sn_op                    op = sound_op();

    (void)state;
    op.flags = SN_OP_POINTWISE;
    op.act = unknown_act;
    op.forward = times_ten;
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_registry_add_op(reg, &op, NULL), SN_OK);
    assert_int_equal(sn_weights_create(&weights, NULL), SN_OK);
    assert_int_equal(sn_weights_add_copy(weights, "fc.weight", &weight, NULL), SN_OK);
    assert_int_equal(sn_supernet_load(spec, strlen(spec), weights, reg, &net, NULL), SN_OK);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_draft_seal(draft, &subnet, NULL), SN_OK);
    assert_int_equal(sn_plan_compile(subnet, &options, &plan, NULL), SN_OK);
    run_options.scratch =
        aligned_alloc(SN_ALIGN_BYTES, (sn_plan_describe(plan)->scratch_bytes + SN_ALIGN_BYTES) /
                                          SN_ALIGN_BYTES * SN_ALIGN_BYTES);
    assert_int_equal(sn_plan_forward(plan, &in, &out, &run_options, NULL), SN_OK);
    assert_true(y == 20.0f);
    free(run_options.scratch);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
    sn_supernet_unref(net);
    sn_weights_unref(weights);
    sn_registry_unref(reg);
}

static sn_status half_resample(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                               sn_error *err)
{
    const sn_value two = {.kind = SN_KIND_INT, .as.integer = 2};

    (void)state, (void)net, (void)rng;
    assert_int_equal(sn_draft_set(draft, "a", &two, NULL), SN_OK);
    assert_int_equal(sn_draft_soften(draft, "b", NULL), SN_OK);
    return sn_fail(err, SN_E_STOPPED, "half", "stopped half way");
}

static void a_policy_that_fails_decides_nothing(void **state)
{
    static const char spec[] =
        "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": "
        "[\"N\", 2]}], \"choices\": {\"a\": [1, 2], \"b\": [1, 2], \"c\": [1, 2], \"one\": [2]}, "
        "\"model\": {\"type\": \"Linear\", \"in_features\": 2, \"out_features\": "
        "\"a + b + c + one\"}}";
    const sn_policy_class cls = {
        .size = sizeof cls, .abi = SN_POLICY_ABI, .name = "half", .resample = half_resample};
    const sn_value one = {.kind = SN_KIND_INT, .as.integer = 1};
    sn_registry   *reg = NULL;
    sn_supernet   *net = NULL;
    sn_policy     *policy = NULL;
    sn_draft      *draft = NULL;
    sn_rng         rng;
    size_t         c, single;

    (void)state;
    sn_rng_seed(&rng, 1);
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_registry_add_policy(reg, &cls, NULL), SN_OK);
    assert_int_equal(sn_supernet_load(spec, strlen(spec), NULL, reg, &net, NULL), SN_OK);
    assert_int_equal(sn_policy_create(net, "half", NULL, &policy, NULL), SN_OK);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_draft_set(draft, "c", &one, NULL), SN_OK);
    assert_true(sn_supernet_find_choice(net, "c", &c));
    assert_true(sn_supernet_find_choice(net, "one", &single));
    for (int best = 0; best < 2; best++) {
        assert_int_equal((best ? sn_policy_best : sn_policy_resample)(policy, &rng, draft, NULL),
                         SN_E_STOPPED);
        for (size_t i = 0; i < sn_supernet_n_choices(net); i++) {
            assert_int_equal(sn_draft_get(draft, i) != NULL, i == c || i == single);
            assert_false(sn_draft_is_soft(draft, i));
        }
    }
    sn_policy_free(policy);
    sn_draft_free(draft);
    sn_supernet_unref(net);
    sn_registry_unref(reg);
}

static sn_status silent_resample(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                                 sn_error *err)
{
    (void)state, (void)net, (void)rng, (void)draft, (void)err;
    return (sn_status)-1;
}

static void a_policy_that_fails_without_a_word_is_given_one(void **state)
{
    const sn_policy_class cls = {
        .size = sizeof cls, .abi = SN_POLICY_ABI, .name = "silent", .resample = silent_resample};
    sn_registry *reg = NULL;
    sn_supernet *net = NULL;
    sn_policy   *policy = NULL;
    sn_draft    *draft = NULL;
    sn_op        op = sound_op();
    sn_error     err = {0};
    sn_rng       rng;

    (void)state;
    sn_rng_seed(&rng, 1);
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_registry_add_op(reg, &op, NULL), SN_OK);
    assert_int_equal(sn_registry_add_policy(reg, &cls, NULL), SN_OK);
    assert_int_equal(sn_supernet_load(odd_spec, strlen(odd_spec), NULL, reg, &net, NULL), SN_OK);
    assert_int_equal(sn_policy_create(net, "silent", NULL, &policy, NULL), SN_OK);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_policy_resample(policy, &rng, draft, &err), SN_E_INVALID);
    assert_int_equal(err.code, SN_E_INVALID);
    assert_string_equal(err.text, "silent gave up without saying why");
    sn_policy_free(policy);
    sn_policy_free((sn_policy *)NULL);
    assert_int_equal(sn_policy_create(net, "differentiable", NULL, &policy, NULL), SN_OK);
    assert_int_equal(sn_policy_update(policy, NULL, NULL), SN_E_INVALID);
    assert_int_equal(sn_policy_load(policy, NULL, NULL), SN_E_INVALID);
    sn_policy_free(policy);
    sn_draft_free(draft);
    sn_supernet_unref(net);
    sn_registry_unref(reg);
}

/* ---- calls ---- */

static const char norm_spec[] =
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": "
    "[\"N\", "
    "2]}], \"choices\": {\"w\": [1, 2]}, \"model\": {\"type\": \"Sequential\", \"layers\": ["
    "{\"name\": \"fc\", \"type\": \"Linear\", \"in_features\": 2, \"out_features\": \"w\"}, "
    "{\"name\": \"n\", \"type\": \"BatchNorm2d\", \"num_features\": \"w\"}]}}";

static const struct net_tensor norm_tensors[] = {
    {"fc.weight", 2, {2, 2}},
    {"fc.bias", 1, {2}},
    {"n.weight", 1, {2}},
    {"n.bias", 1, {2}},
    {"n.running_mean", 1, {2}},
    {"n.running_var", 1, {2}},
    {0},
};

enum { BATCH = 4 };

struct world {
    void        *bytes, *scratch;
    sn_supernet *net;
    sn_subnet   *subnet;
    sn_plan     *plan; /* training mode: with a state */
    _Alignas(SN_ALIGN_BYTES) float number[64];
    sn_tensor in, out;
};

static sn_status compile(sn_subnet *subnet, sn_mode mode, int exactness, int rank, sn_plan **ret,
                         sn_error *err)
{
    const sn_desc            in = {SN_F32, {rank, {BATCH, 2}}};
    const sn_compile_options options = {.size = sizeof options,
                                        .in = rank == 0 ? NULL : &in,
                                        .n_in = 1,
                                        .mode = mode,
                                        .exactness = (sn_exactness)exactness};

    return sn_plan_compile(subnet, &options, ret, err);
}

static struct world *build(void)
{
    struct world  *w = aligned_alloc(SN_ALIGN_BYTES, (sizeof *w + SN_ALIGN_BYTES - 1) /
                                                         SN_ALIGN_BYTES * SN_ALIGN_BYTES);
    const sn_shape shape = {2, {BATCH, 2}};

    assert_non_null(w);
    *w = (struct world){0};
    w->net = net_load(norm_spec, norm_tensors, &w->bytes);
    w->subnet = net_choose(w->net, "w=2");
    assert_int_equal(compile(w->subnet, SN_TRAIN, 0, 2, &w->plan, NULL), SN_OK);
    w->in = sn_tensor_dense(SN_F32, &shape, w->number);
    w->out = sn_tensor_dense(SN_F32, &shape, w->number + 32);
    for (int i = 0; i < 32; i++)
        w->number[i] = (float)i;
    w->scratch =
        aligned_alloc(SN_ALIGN_BYTES, (sn_plan_describe(w->plan)->scratch_bytes + SN_ALIGN_BYTES) /
                                          SN_ALIGN_BYTES * SN_ALIGN_BYTES);
    return w;
}

static void demolish(struct world *w)
{
    sn_plan_unref(w->plan);
    sn_subnet_unref(w->subnet);
    sn_supernet_unref(w->net);
    free(w->scratch);
    free(w->bytes);
    free(w);
}

static void run(const struct world *w, sn_state *statistics, const sn_tensor *in,
                const sn_tensor *out, const char *why)
{
    const sn_run_options options = {
        .size = sizeof options, .scratch = w->scratch, .state = statistics};
    sn_tensor       to = *out;
    sn_error        err = {0};
    const sn_status rc = sn_plan_forward(w->plan, in, &to, &options, &err);

    if (!why) {
        assert_int_equal(rc, SN_OK);
        return;
    }
    assert_int_not_equal(rc, SN_OK);
    if (!strstr(err.text, why)) fail_msg("%s lacks: %s", err.text, why);
}

static void a_run_refuses_what_is_not_its_own(void **state)
{
    struct world *w = build();
    void         *bytes;
    sn_supernet  *other = net_load(norm_spec, norm_tensors, &bytes);
    sn_state     *mine = NULL, *theirs = NULL;
    sn_tensor     odd;

    (void)state;
    assert_int_equal(sn_state_create(w->net, &mine, NULL), SN_OK);
    assert_int_equal(sn_state_create(other, &theirs, NULL), SN_OK);
    run(w, mine, &w->in, &w->out, NULL);
    run(w, theirs, &w->in, &w->out, "the state is that of another supernet");
    odd = w->out;
    odd.data = w->number + 2;
    run(w, mine, &w->in, &odd, "output 0 shares memory with input 0");
    odd.data = w->number + 2 * BATCH;
    run(w, mine, &w->in, &odd, NULL);
    odd = w->in;
    odd.data = (char *)w->number + 1;
    run(w, mine, &odd, &w->out, "not aligned to its numbers");
    odd = w->out;
    odd.data = (char *)w->number + 129;
    run(w, mine, &w->in, &odd, "not aligned to its numbers");
    odd = w->in;
    odd.shape.rank = 99;
    run(w, mine, &odd, &w->out, "[rank 99]");
    odd.shape.rank = -1;
    run(w, mine, &odd, &w->out, "[rank -1]");
    sn_state_free(mine);
    sn_state_free(theirs);
    sn_supernet_unref(other);
    free(bytes);
    demolish(w);
}

static void a_plan_refuses_options_that_mean_nothing(void **state)
{
    const struct {
        int         mode, exactness, rank;
        const char *why;
    } cases[] = {
        {7, 0, 2, "7 is neither SN_EVAL nor SN_TRAIN"},
        {0, 9, 2, "9 is no sn_exactness"},
        {0, 0, 0, "no inputs are described"},
        {0, 0, 99, "[rank 99]"},
    };
    struct world *w = build();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        sn_plan *plan = NULL;
        sn_error err = {0};

        assert_int_not_equal(compile(w->subnet, (sn_mode)cases[i].mode, cases[i].exactness,
                                     cases[i].rank, &plan, &err),
                             SN_OK);
        assert_null(plan);
        if (!strstr(err.text, cases[i].why)) fail_msg("%s lacks: %s", err.text, cases[i].why);
    }
    demolish(w);
}

/* A limit below what an empty plan takes was none at all. */
static void limits_hold_however_small_they_are(void **state)
{
    const sn_desc in = {SN_F32, {2, {BATCH, 2}}};
    struct world *w = build();

    (void)state;
    for (size_t limit = 1; limit < 4096; limit *= 2) {
        const sn_compile_options options = {
            .size = sizeof options, .in = &in, .n_in = 1, .memory_limit_bytes = limit};
        sn_plan *plan = NULL;
        sn_cost  cost;
        sn_error err = {0};

        assert_int_equal(sn_plan_compile(w->subnet, &options, &plan, &err), SN_E_LIMIT);
        assert_int_equal(err.code, SN_E_LIMIT);
        assert_int_equal(sn_subnet_cost(w->subnet, &options, &cost, NULL, NULL), SN_E_LIMIT);
    }
    demolish(w);
}

/* In training mode a slice of several pieces is copied into the plan. */
static void a_plan_with_copies_of_weights_is_within_its_limit(void **state)
{
    static const char spec[] =
        "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"q\", \"shape\": "
        "[2, "
        "\"N\", \"E\"]}], \"choices\": {\"e\": [124, 128]}, \"model\": {\"type\": \"Graph\", "
        "\"inputs\": [\"q\"], \"nodes\": [{\"name\": \"a\", \"type\": \"MultiheadAttention\", "
        "\"embed_dim\": \"e\", \"num_heads\": 1, \"inputs\": [\"q\", \"q\", \"q\"]}], \"outputs\": "
        "[\"a\"]}}";
    const struct net_tensor tensors[] = {
        {"a.in_proj_weight", 2, {3 * 128, 128}},
        {"a.in_proj_bias", 1, {3 * 128}},
        {"a.out_proj.weight", 2, {128, 128}},
        {"a.out_proj.bias", 1, {128}},
        {0},
    };
    const sn_desc      in = {SN_F32, {3, {2, 3, 124}}};
    sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1, .mode = SN_TRAIN};
    void              *bytes;
    sn_supernet       *net = net_load(spec, tensors, &bytes);
    sn_subnet         *subnet = net_choose(net, "e=124");
    sn_plan           *plan = NULL;
    size_t             plan_bytes;

    (void)state;
    assert_int_equal(sn_plan_compile(subnet, &options, &plan, NULL), SN_OK);
    plan_bytes = sn_plan_describe(plan)->plan_bytes;
    assert_true(sn_plan_describe(plan)->packed_bytes > 3 * 124 * 124 * sizeof(float));
    plan = sn_plan_unref(plan);
    options.memory_limit_bytes = plan_bytes - 1;
    assert_int_equal(sn_plan_compile(subnet, &options, &plan, NULL), SN_E_LIMIT);
    options.memory_limit_bytes = 2 * plan_bytes;
    assert_int_equal(sn_plan_compile(subnet, &options, &plan, NULL), SN_OK);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_supernet_unref(net);
    free(bytes);
}

static const char layers_spec[] =
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": "
    "[\"N\", "
    "2]}], \"model\": {\"type\": \"LayerChoice\", \"label\": \"l\", \"candidates\": [{\"name\": "
    "\"a\", "
    "\"type\": \"ReLU\"}, {\"name\": \"b\", \"type\": \"Tanh\"}, {\"name\": \"c\", \"type\": "
    "\"GELU\"}]}}";

static void a_draft_that_is_changed_for_ever_stays_small(void **state)
{
    static const char *const lists[] = {"{\"l\": [\"a\", \"b\", \"c\"]}",
                                        "{\"l\": [\"c\", \"a\", \"b\"]}"};
    sn_registry             *reg = NULL;
    sn_supernet             *net = NULL;
    sn_draft                *draft = NULL;
    char                     text[64];

    (void)state;
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_supernet_load(layers_spec, strlen(layers_spec), NULL, reg, &net, NULL),
                     SN_OK);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    alloc_peak_reset();
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(sn_draft_read_choices(draft, lists[i % 2], strlen(lists[0]), NULL), SN_OK);
        if (i % 5 == 0) { /* its own value, which must survive what is tidied up */
            const sn_value *own = sn_draft_get(draft, 0);

            assert_int_equal(sn_draft_set(draft, "l", own, NULL), SN_OK);
        }
        assert_string_equal(sn_value_text(sn_draft_get(draft, 0), text, sizeof text),
                            i % 2 ? "('c', 'a', 'b')" : "('a', 'b', 'c')");
    }
    if (alloc_peak_bytes() > 1 << 20) fail_msg("%zu bytes", alloc_peak_bytes());
    sn_draft_free(draft);
    sn_supernet_unref(net);
    sn_registry_unref(reg);
}

static bool at_once(void *cls)
{
    (void)cls;
    return true;
}

/* A tree of JSON is many times its text. */
static void reading_choices_obeys_the_limits_of_the_draft(void **state)
{
    const size_t n = 1 << 20;
    const struct {
        sn_limits limits;
        sn_status want;
    } cases[] = {
        {{.memory_limit_bytes = 1}, SN_E_LIMIT},
        {{.memory_limit_bytes = 4 << 20}, SN_E_LIMIT},
        {{.step_limit = 1000}, SN_E_LIMIT},
        {{.stop = at_once}, SN_E_STOPPED},
    };
    char        *text = malloc(n);
    sn_registry *reg = NULL;
    sn_supernet *net = NULL;
    sn_draft    *draft = NULL;

    (void)state;
    memcpy(text, "{\"l\":[", 6);
    for (size_t i = 6; i + 3 < n; i += 3)
        memcpy(text + i, "[],", 3);
    memcpy(text + n - 5, "   ]}", 5);
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_supernet_load(layers_spec, strlen(layers_spec), NULL, reg, &net, NULL),
                     SN_OK);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    for (size_t i = 0; i < COUNT(cases); i++) {
        sn_limits limits = cases[i].limits;
        sn_error  err = {0};

        limits.size = sizeof limits;
        sn_draft_limits(draft, &limits);
        alloc_peak_reset();
        assert_int_equal(sn_draft_read_choices(draft, text, n, &err), cases[i].want);
        assert_int_equal(err.code, cases[i].want);
        assert_true(alloc_peak_bytes() < 1 << 20);
        assert_null(sn_draft_get(draft, 0));
    }
    sn_draft_free(draft);
    sn_supernet_unref(net);
    sn_registry_unref(reg);
    free(text);
}

static void what_is_past_the_end_is_not_there(void **state)
{
    struct world *w = build();
    sn_state     *statistics = NULL;
    sn_draft     *draft = net_draft(w->net, "w=2");
    sn_balance   *balance = NULL;
    sn_tensor     t;

    (void)state;
    assert_int_equal(sn_state_create(w->net, &statistics, NULL), SN_OK);
    for (size_t past = 1; past < SIZE_MAX / 16; past *= 16) {
        assert_null(sn_subnet_value(w->subnet, past));
        assert_false(sn_subnet_is_active(w->subnet, past));
        assert_false(sn_subnet_is_soft(w->subnet, past));
        assert_null(sn_draft_get(draft, past));
        assert_false(sn_draft_is_soft(draft, past));
        assert_null(sn_state_at(statistics, 2 + past, &t));
        assert_null(sn_supernet_choice(w->net, past));
    }
    assert_int_equal(sn_balance_create(INT32_MAX, &balance, NULL), SN_E_LIMIT);
    sn_state_free(statistics);
    sn_draft_free(draft);
    demolish(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_that_lacks_what_the_planner_calls_is_refused),
        cmocka_unit_test(what_an_operator_says_of_itself_is_not_believed),
        cmocka_unit_test(an_activation_that_nobody_knows_runs_by_itself),
        cmocka_unit_test(a_policy_that_fails_without_a_word_is_given_one),
        cmocka_unit_test(a_policy_that_fails_decides_nothing),
        cmocka_unit_test(a_run_refuses_what_is_not_its_own),
        cmocka_unit_test(a_plan_refuses_options_that_mean_nothing),
        cmocka_unit_test(limits_hold_however_small_they_are),
        cmocka_unit_test(a_plan_with_copies_of_weights_is_within_its_limit),
        cmocka_unit_test(a_draft_that_is_changed_for_ever_stays_small),
        cmocka_unit_test(reading_choices_obeys_the_limits_of_the_draft),
        cmocka_unit_test(what_is_past_the_end_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
