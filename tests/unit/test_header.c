/* header: what a program may rely on that was compiled with an older or a newer supernet.h, and
 * what the header lets it do without the other formats. */
#include <math.h>
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
#include "supernet/train.h"
#include "support/alloc.h"
#include "support/net.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- tables of another size ---- */

static sn_status infer(sn_call *call, sn_error *err)
{
    (void)err;
    call->out[0] = call->in[0];
    return SN_OK;
}

static void negate(const sn_call *call, const sn_io *io)
{
    const float *x = io->in[0].data;
    float       *y = io->out[0].data;

    (void)call;
    for (int64_t i = 0; i < sn_shape_count(&io->in[0].shape); i++)
        y[i] = -x[i];
}

static bool always(const sn_call *call)
{
    (void)call;
    return true;
}

static void negate_as_variant(const sn_call *call, const sn_io *io, const sn_epilogue *epilogue)
{
    const float *x = io->in[0].data;
    float       *y = io->out[0].data;

    (void)call, (void)epilogue;
    for (int64_t i = 0; i < sn_shape_count(&io->in[0].shape); i++)
        y[i] = -10.0f * x[i]; /* to be told from the other */
}

static sn_status first(void *state, const sn_supernet *net, sn_rng *rng, sn_draft *draft,
                       sn_error *err)
{
    (void)state, (void)net, (void)rng, (void)draft, (void)err;
    return SN_OK;
}

static const char negate_spec[] = "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": "
                                  "[{\"name\": \"x\", \"shape\": [\"N\", "
                                  "2]}], \"model\": {\"type\": \"Negate\"}}";

/* y of one run with x = [1, 2]. */
static void run_negate(sn_registry *reg, float *ret_y)
{
    const sn_desc            in = {SN_F32, {2, {1, 2}}};
    const sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};
    sn_supernet             *net = NULL;
    sn_draft                *draft = NULL;
    sn_subnet               *subnet = NULL;
    sn_plan                 *plan = NULL;
    sn_error                 err = {0};
    float                    x[2] = {1, 2};
    _Alignas(64) char        scratch[4096];
    sn_tensor                xt = sn_tensor_dense(SN_F32, &in.shape, x),
              yt = sn_tensor_dense(SN_F32, &in.shape, ret_y);
    sn_run_options run = {.size = sizeof run, .scratch = scratch};

    if (sn_supernet_load(negate_spec, sizeof negate_spec - 1, NULL, reg, &net, &err) ||
        sn_draft_create(net, &draft, &err) || sn_draft_seal(draft, &subnet, &err) ||
        sn_plan_compile(subnet, &options, &plan, &err))
        fail_msg("%s: %s", err.where, err.text);
    assert_true(sn_plan_describe(plan)->scratch_bytes <= sizeof scratch);
    if (sn_plan_describe(plan)->scratch_bytes == 0) run.scratch = NULL;
    assert_int_equal(sn_plan_forward(plan, &xt, &yt, &run, NULL), SN_OK);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_draft_free(draft);
    sn_supernet_unref(net);
}

static const sn_op operator_of_now = {.size = sizeof(sn_op),
                                      .abi = SN_OP_ABI,
                                      .type = "Negate",
                                      .min_in = 1,
                                      .max_in = 1,
                                      .n_out = 1,
                                      .infer = infer,
                                      .forward = negate};

/* What stands behind the table is not part of it: it must not be read. */
static void an_older_table_is_read_as_far_as_it_goes(void **state)
{
    static const size_t sizes[] = {offsetof(sn_op, variants), offsetof(sn_op, samples),
                                   offsetof(sn_op, rows), offsetof(sn_op, grow)};

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        sn_op       *old = malloc(sizes[i]); /* no longer: a sanitizer watches its end */
        sn_registry *reg = NULL;
        float        y[2];
        size_t       n = 0;

        assert_non_null(old);
        memcpy(old, &operator_of_now, sizes[i]);
        old->size = sizes[i];
        assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
        while (sn_registry_op_at(reg, n))
            n++;
        assert_int_equal(sn_registry_add_op(reg, old, NULL), SN_OK);
        free(old); /* it was copied */
        assert_int_equal(sn_registry_op_at(reg, n)->size, sizeof(sn_op));
        assert_null(sn_registry_op_at(reg, n)->grow);
        assert_null(sn_registry_op_at(reg, n)->variants);
        run_negate(reg, y);
        assert_true(y[0] == -1 && y[1] == -2);
        sn_registry_unref(reg);
    }
}

struct newer_variant {
    sn_variant v;
    void (*unheard_of)(void);
    char more[40];
};

static void newer_tables_are_cut_and_keep_their_stride(void **state)
{
    static const sn_variant    dear = {.size = sizeof(struct newer_variant),
                                       .name = "never",
                                       .winograd = true,
                                       .fits = always,
                                       .forward = negate_as_variant};
    static const sn_variant    ten = {.size = sizeof(struct newer_variant),
                                      .name = "ten",
                                      .fits = always,
                                      .forward = negate_as_variant};
    const struct newer_variant variants[] = {
        {.v = dear, .unheard_of = abort}, {.v = ten, .unheard_of = abort}, {.more = "end"}};
    struct {
        sn_op op;
        char  more[64];
    } op = {.op = operator_of_now};
    struct {
        sn_policy_class cls;
        char            more[64];
    } policy = {{.size = sizeof policy, .abi = SN_POLICY_ABI, .name = "mine", .resample = first},
                {0}};
    sn_registry *reg = NULL;
    const sn_op *known;
    float        y[2];
    size_t       n = 0;

    (void)state;
    memset(op.more, 0xff, sizeof op.more);
    op.op.size = sizeof op;
    op.op.variants = &variants[0].v;
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    while (sn_registry_op_at(reg, n))
        n++;
    assert_int_equal(sn_registry_add_op(reg, &op.op, NULL), SN_OK);
    assert_int_equal(sn_registry_add_policy(reg, &policy.cls, NULL), SN_OK);
    known = sn_registry_op_at(reg, n);
    assert_string_equal(known->variants[0].name, "never");
    assert_string_equal(known->variants[1].name, "ten");
    assert_null(known->variants[2].name);
    assert_int_equal(known->variants[1].size, sizeof(sn_variant));
    run_negate(reg, y);
    assert_true(y[0] == -10 && y[1] == -20);
    sn_registry_unref(reg);
}

static void an_older_policy_is_read_as_far_as_it_goes(void **state)
{
    const sn_policy_class now = {.size = offsetof(sn_policy_class, best),
                                 .abi = SN_POLICY_ABI,
                                 .name = "old",
                                 .resample = first};
    sn_policy_class      *old = malloc(now.size);
    sn_registry          *reg = NULL;
    sn_supernet          *net = NULL;
    sn_policy            *policy = NULL;
    static const char     spec[] =
        "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": "
        "[\"N\", 2]}], \"model\": {\"type\": \"Identity\"}}";

    (void)state;
    memcpy(old, &now, now.size);
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_registry_add_policy(reg, old, NULL), SN_OK);
    free(old);
    assert_int_equal(sn_supernet_load(spec, sizeof spec - 1, NULL, reg, &net, NULL), SN_OK);
    assert_int_equal(sn_policy_create(net, "old", NULL, &policy, NULL), SN_OK);
    assert_int_equal(sn_policy_update(policy, "{}", NULL), SN_E_UNSUPPORTED);
    sn_policy_free(policy);
    sn_supernet_unref(net);
    sn_registry_unref(reg);
}

static void tables_that_are_no_tables_are_refused(void **state)
{
    const sn_variant variants[] = {
        {.size = sizeof(sn_variant) - 8, .name = "a", .fits = always, .forward = negate_as_variant},
        {0},
    };
    sn_op           op = operator_of_now;
    sn_policy_class cls = {.size = 24, .abi = SN_POLICY_ABI, .name = "p", .resample = first};
    sn_registry    *reg = NULL;
    sn_error        err = {0};

    (void)state;
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    op.size = offsetof(sn_op, forward);
    assert_int_equal(sn_registry_add_op(reg, &op, &err), SN_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "set `size` to the sizeof of the struct"));
    op.size = sizeof op;
    op.variants = variants;
    err = (sn_error){0};
    assert_int_equal(sn_registry_add_op(reg, &op, &err), SN_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "variant 0 says that it has"));
    assert_int_equal(sn_registry_add_policy(reg, &cls, NULL), SN_E_UNSUPPORTED);
    sn_registry_unref(reg);
}

/* ---- options of another size ---- */

static bool never(void *cls)
{
    (void)cls;
    return false;
}

static bool at_once(void *cls)
{
    (void)cls;
    return true;
}

static void options_are_read_by_their_size(void **state)
{
    struct {
        sn_run_options o;
        char           more[64];
    } newer = {.o = {.size = sizeof newer}};
    const volatile size_t    old_bytes = offsetof(sn_run_options, stop); /* compilers look ahead */
    sn_run_options          *older = malloc(old_bytes);
    sn_supernet             *net = net_demo();
    sn_subnet               *subnet;
    sn_plan                 *plan = NULL;
    sn_draft                *draft = NULL;
    sn_policy               *policy = NULL;
    sn_rng                   rng;
    const sn_desc            in = {SN_F32, {4, {1, 1, 8, 8}}};
    const sn_compile_options compile = {.size = sizeof compile, .in = &in, .n_in = 1};
    float                    x[64] = {0}, y[10];
    const sn_shape           shape = {2, {1, 10}};
    sn_tensor xt = sn_tensor_dense(SN_F32, &in.shape, x), yt = sn_tensor_dense(SN_F32, &shape, y);
    void     *scratch;
    struct {
        sn_limits l;
        char      more[64];
    } limits = {.l = {.size = sizeof limits, .stop = never}};

    (void)state;
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    sn_draft_limits(draft, &limits.l);
    assert_int_equal(sn_policy_create_with(net, "path", NULL, &limits.l, &policy, NULL), SN_OK);
    sn_rng_seed(&rng, 1);
    assert_int_equal(sn_policy_resample(policy, &rng, draft, NULL), SN_OK);
    assert_int_equal(sn_draft_seal(draft, &subnet, NULL), SN_OK);
    assert_int_equal(sn_plan_compile(subnet, &compile, &plan, NULL), SN_OK);
    scratch = aligned_alloc(64, sn_plan_describe(plan)->scratch_bytes / 64 * 64 + 64);

    /* shorter: stop would be read from behind its end */
    older->size = old_bytes;
    older->scratch = scratch;
    assert_int_equal(sn_plan_forward(plan, &xt, &yt, older, NULL), SN_OK);
    newer.o.scratch = scratch;
    memset(newer.more, 0xff, sizeof newer.more);
    assert_int_equal(sn_plan_forward(plan, &xt, &yt, &newer.o, NULL), SN_OK);
    newer.o.stop = at_once;
    assert_int_equal(sn_plan_forward(plan, &xt, &yt, &newer.o, NULL), SN_E_STOPPED);

    free(scratch);
    free(older);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_policy_free(policy);
    sn_draft_free(draft);
    sn_supernet_unref(net);
}

/* ---- weights without files -------------------------------------------------------------- */

static const char linear_spec[] =
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": "
    "[\"N\", "
    "3, 2, 2]}], \"choices\": {\"w\": [2, 4], \"k\": [1, 3], \"only\": [7]}, \"model\": {\"type\": "
    "\"Sequential\", \"layers\": [{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 3, "
    "\"out_channels\": \"w\", \"kernel_size\": \"k\", \"padding\": \"k // 2\"}, {\"name\": \"bn\", "
    "\"type\": \"BatchNorm2d\", \"num_features\": \"w\"}]}}";

static const struct {
    const char *name;
    sn_desc     desc;
    bool        optional, state;
} needed[] = {
    {"conv.weight", {SN_F32, {4, {4, 3, 3, 3}}}, false, false},
    {"conv.bias", {SN_F32, {1, {4}}}, false, false},
    {"bn.weight", {SN_F32, {1, {4}}}, false, false},
    {"bn.bias", {SN_F32, {1, {4}}}, false, false},
    {"bn.running_mean", {SN_F32, {1, {4}}}, false, true},
    {"bn.running_var", {SN_F32, {1, {4}}}, false, true},
    {"bn.num_batches_tracked", {SN_I64, {0, {0}}}, true, true},
};

static sn_supernet *load(const char *spec, sn_weights *w, sn_error *err)
{
    sn_registry *reg = NULL;
    sn_supernet *net = NULL;

    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    sn_supernet_load(spec, strlen(spec), w, reg, &net, err);
    sn_registry_unref(reg);
    return net;
}

static void a_document_says_which_tensors_it_needs(void **state)
{
    sn_supernet *net = load(linear_spec, NULL, NULL);

    (void)state;
    assert_non_null(net);
    assert_int_equal(sn_supernet_n_tensors(net), COUNT(needed));
    for (size_t i = 0; i < COUNT(needed); i++) {
        const sn_tensor_info *t = sn_supernet_tensor(net, i);

        assert_string_equal(t->name, needed[i].name);
        assert_int_equal(t->desc.dtype, needed[i].desc.dtype);
        assert_true(sn_shape_equal(&t->desc.shape, &needed[i].desc.shape));
        assert_int_equal(t->optional, needed[i].optional);
        assert_int_equal(t->state, needed[i].state);
        assert_string_equal(sn_supernet_module(net, t->module)->path, i < 2 ? "conv" : "bn");
    }
    assert_null(sn_supernet_tensor(net, COUNT(needed)));
    sn_supernet_unref(net);
}

/* What one subnet makes of a fixed input. */
static void run_net(sn_supernet *net, const char *choices, float *ret_y, size_t n)
{
    const sn_desc            in = {SN_F32, {4, {1, 3, 2, 2}}};
    const sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};
    sn_subnet               *subnet = net_choose(net, choices);
    sn_plan                 *plan = NULL;
    float                    x[12];
    sn_desc                  out;
    sn_tensor                xt = sn_tensor_dense(SN_F32, &in.shape, x), yt;
    sn_run_options           run = {.size = sizeof run};

    for (int i = 0; i < 12; i++)
        x[i] = (float)i - 5;
    assert_int_equal(sn_plan_compile(subnet, &options, &plan, NULL), SN_OK);
    run.scratch = aligned_alloc(64, sn_plan_describe(plan)->scratch_bytes / 64 * 64 + 64);
    sn_plan_outputs(plan, 1, &out);
    assert_int_equal(sn_shape_count(&out.shape), n);
    yt = sn_tensor_dense(SN_F32, &out.shape, ret_y);
    assert_int_equal(sn_plan_forward(plan, &xt, &yt, &run, NULL), SN_OK);
    free(run.scratch);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
}

/* Exact in 16 bits. */
static float number(size_t tensor, int64_t i)
{
    return (float)((int)((i * 7 + (int64_t)tensor * 3) % 16) + 1) / 8;
}

static uint16_t half(float v) /* of normal numbers that fit */
{
    uint32_t bits;

    memcpy(&bits, &v, sizeof bits);
    return (uint16_t)((bits >> 16 & 0x8000) | (((bits >> 23 & 0xff) - 112) << 10) |
                      (bits >> 13 & 0x3ff));
}

enum form { VIEWS, COPIES, TRANSPOSED, HALVES, BRAINS, RENAMED, N_FORMS };

/* One tensor of the document in this form; `room` is memory that outlives the weights. */
static void give(sn_weights *w, sn_weights *other, const sn_tensor_info *info, size_t k,
                 enum form form, float *room)
{
    const int64_t n = sn_shape_count(&info->desc.shape);
    uint16_t     *small = (uint16_t *)room;
    sn_tensor     t = sn_tensor_dense(SN_F32, &info->desc.shape, room);
    char          name[64];

    for (int64_t i = 0; i < n; i++)
        if (form == HALVES || form == BRAINS) {
            const float v = number(k, i);
            uint32_t    bits;

            memcpy(&bits, &v, sizeof bits);
            small[i] = form == HALVES ? half(v) : (uint16_t)(bits >> 16);
        } else if (form == TRANSPOSED) { /* the first axis is the fastest, with a gap */
            const int64_t rows = info->desc.shape.dim[0], cols = n / rows;

            room[(i % cols) * (rows + 1) + i / cols] = number(k, i);
        } else {
            room[i] = number(k, i);
        }
    if (form == HALVES) t.dtype = SN_F16;
    if (form == BRAINS) t.dtype = SN_BF16;
    if (form == TRANSPOSED) {
        const int64_t rows = t.shape.dim[0];

        for (int d = 1; d < t.shape.rank; d++)
            t.stride[d] *= rows + 1;
        t.stride[0] = 1;
        assert_int_equal(sn_weights_add_view(w, info->name, &t, NULL),
                         rows == n ? SN_OK : SN_E_UNSUPPORTED);
        if (rows == n) return;
    }
    snprintf(name, sizeof name, "backbone.%s", info->name);
    switch (form) {
    case VIEWS:
        assert_int_equal(sn_weights_add_view(w, info->name, &t, NULL), SN_OK);
        break;
    case RENAMED:
        assert_int_equal(sn_weights_add_copy(other, name, &t, NULL), SN_OK);
        break;
    default:
        assert_int_equal(sn_weights_add_copy(w, info->name, &t, NULL), SN_OK);
        memset(room, 0xff, 1024); /* it was copied */
    }
}

static void weights_come_from_memory_in_any_form(void **state)
{
    static float room[N_FORMS][COUNT(needed)][256];
    float        want[16] = {0}, y[16];

    (void)state;
    for (int form = 0; form < N_FORMS; form++) {
        sn_supernet *bare = load(linear_spec, NULL, NULL), *net;
        sn_weights  *w = NULL, *other = NULL;
        sn_error     err = {0};

        assert_int_equal(sn_weights_create(&w, NULL), SN_OK);
        assert_int_equal(sn_weights_create(&other, NULL), SN_OK);
        for (size_t i = 0; i + 1 < COUNT(needed); i++) /* the last one may be missing */
            give(w, other, sn_supernet_tensor(bare, i), i, (enum form)form, room[form][i]);
        for (size_t i = 0; form == RENAMED && i + 1 < COUNT(needed); i++) {
            char name[64];

            snprintf(name, sizeof name, "backbone.%s", needed[i].name);
            assert_int_equal(sn_weights_add_from(w, needed[i].name, other, name, NULL), SN_OK);
        }
        other = sn_weights_unref(other); /* kept alive by those that took from it */
        assert_int_equal(sn_weights_count(w), COUNT(needed) - 1);
        assert_int_equal(sn_weights_check(w, NULL), SN_OK);
        net = load(linear_spec, w, &err);
        if (!net) fail_msg("form %d: %s: %s", form, err.where, err.text);
        sn_weights_unref(w);
        run_net(net, "w=4 k=3", form ? y : want, 16);
        assert_true(want[0] != 0 && want[15] != 0);
        if (form) assert_memory_equal(y, want, sizeof y);
        sn_supernet_unref(net);
        sn_supernet_unref(bare);
    }
}

static void what_cannot_be_added_is_said(void **state)
{
    _Alignas(8) char bytes[16] = {0};
    const sn_shape   two = {1, {2}}, negative = {1, {-1}}, huge = {2, {INT64_MAX, 2}};
    const sn_shape   nine = {9, {0}};
    const sn_tensor  good = sn_tensor_dense(SN_F32, &two, bytes);
    sn_tensor        t = good;
    sn_weights      *w = NULL, *borrowed = NULL, *made = NULL;
    sn_supernet     *net;
    size_t           n;
    void *document = net_weights((const struct net_tensor[]){{"a", 1, {2}}, {NULL, 0, {0}}}, &n);
    static const char spec[] =
        "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": "
        "[\"N\", 2]}], \"model\": {\"type\": \"Identity\"}}";

    (void)state;
    assert_int_equal(sn_weights_borrow(document, n, "memory", &borrowed, NULL), SN_OK);
    assert_int_equal(sn_weights_create(&w, NULL), SN_OK);
    assert_int_equal(sn_weights_create(&made, NULL), SN_OK);
    assert_int_equal(sn_weights_add_copy(w, "b", &good, NULL), SN_OK);
    assert_int_equal(sn_weights_add_copy(w, "b", &good, NULL), SN_E_INVALID);
    assert_int_equal(sn_weights_add_copy(w, "", &good, NULL), SN_E_INVALID);
    assert_int_equal(sn_weights_add_copy(borrowed, "b", &good, NULL), SN_E_INVALID);
    assert_int_equal(sn_weights_add_from(w, "c", borrowed, "nothing", NULL), SN_E_UNKNOWN_NAME);
    assert_int_equal(sn_weights_add_from(w, "c", w, "b", NULL), SN_E_INVALID);
    assert_int_equal(sn_weights_add_from(w, "c", borrowed, "a", NULL), SN_OK);
    assert_int_equal(sn_weights_add_from(w, "b", borrowed, "a", NULL), SN_E_INVALID);
    t.dtype = SN_NONE;
    assert_int_equal(sn_weights_add_view(w, "d", &t, NULL), SN_E_DTYPE);
    t = good;
    t.data = bytes + 1;
    assert_int_equal(sn_weights_add_view(w, "d", &t, NULL), SN_E_UNSUPPORTED);
    t = good;
    t.data = NULL;
    assert_int_equal(sn_weights_add_view(w, "d", &t, NULL), SN_E_INVALID);
    t = good;
    t.shape = negative;
    assert_int_equal(sn_weights_add_copy(w, "d", &t, NULL), SN_E_SHAPE);
    t.shape = huge;
    assert_int_equal(sn_weights_add_copy(w, "d", &t, NULL), SN_E_SHAPE);
    t.shape = nine;
    assert_int_equal(sn_weights_add_copy(w, "d", &t, NULL), SN_E_SHAPE);
    assert_int_equal(sn_weights_count(w), 2);
    assert_string_equal(sn_weights_at(w, 0, &t), "b");
    assert_string_equal(sn_weights_at(w, 1, &t), "c");
    assert_int_equal(sn_weights_bytes(w), 16);

    assert_int_equal(sn_weights_add_from(made, "x", w, "b", NULL), SN_OK);
    assert_int_equal(sn_weights_add_from(w, "x", made, "x", NULL), SN_E_INVALID); /* no circles */
    sn_weights_unref(made);
    assert_int_equal(sn_weights_create(&made, NULL), SN_OK);
    net = load(spec, made, NULL);
    assert_non_null(net);
    assert_int_equal(sn_weights_add_copy(made, "late", &good, NULL), SN_E_INVALID);
    sn_supernet_unref(net);
    sn_weights_unref(made);
    sn_weights_unref(w);
    sn_weights_unref(borrowed);
    free(document);
}

/* Whatever allocation fails: nothing is added, nothing leaks, and the next one works. */
static void weights_survive_out_of_memory(void **state)
{
    _Alignas(8) char bytes[16] = {0};
    const sn_shape   two = {1, {2}};
    const sn_tensor  t = sn_tensor_dense(SN_F32, &two, bytes);
    bool             failed = true;

    (void)state;
    for (size_t n = 1; failed; n++) {
        sn_weights *from = NULL, *w = NULL;
        size_t      want = 0;

        alloc_fail_at(n);
        if (sn_weights_create(&from, NULL) == SN_OK &&
            sn_weights_add_copy(from, "a", &t, NULL) == SN_OK &&
            sn_weights_create(&w, NULL) == SN_OK) {
            for (int i = 0; i < 40; i++) {
                char      name[8];
                sn_status rc;

                snprintf(name, sizeof name, "t%d", i);
                rc = i % 2 ? sn_weights_add_copy(w, name, &t, NULL)
                           : sn_weights_add_from(w, name, from, "a", NULL);
                assert_true(rc == SN_OK || rc == SN_E_NO_MEMORY);
                want += rc == SN_OK;
                assert_int_equal(sn_weights_count(w), want);
                assert_int_equal(sn_weights_find(w, name, &(sn_tensor){0}), rc == SN_OK);
            }
            assert_true(want >= 39);
        }
        failed = alloc_failed();
        alloc_fail_at(0);
        sn_weights_unref(w);
        sn_weights_unref(from);
        assert_true(n < 1000);
    }
}

static void weights_do_not_count_against_the_limit_of_a_load(void **state)
{
    static const char spec[] =
        "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": "
        "[\"N\", 1024]}], \"model\": {\"type\": \"Sequential\", \"layers\": [{\"name\": \"fc\", "
        "\"type\": \"Linear\", \"in_features\": 1024, \"out_features\": 1024, \"bias\": false}]}}";
    const sn_load_options options = {.size = sizeof options, .memory_limit_bytes = 1 << 20};
    const sn_shape        shape = {2, {1024, 1024}};
    uint16_t             *bytes = calloc(1024 * 1024, 2);
    sn_tensor             t = sn_tensor_dense(SN_F16, &shape, bytes);
    sn_registry          *reg = NULL;
    sn_supernet          *net = NULL;
    sn_weights           *w = NULL;

    (void)state;
    assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
    assert_int_equal(sn_weights_create(&w, NULL), SN_OK);
    assert_int_equal(sn_weights_add_view(w, "fc.weight", &t, NULL), SN_OK);
    assert_int_equal(sn_supernet_load_with(spec, sizeof spec - 1, w, reg, &options, &net, NULL),
                     SN_OK);
    assert_true(sn_supernet_bytes(net) > 4 << 20); /* said nevertheless */
    sn_supernet_unref(net);
    sn_weights_unref(w);
    sn_registry_unref(reg);
    free(bytes);
}

/* ---- choices and values --------------------------------------------------------------------- */

struct sink_text {
    char   at[256];
    size_t n;
};

static int keep(void *cls, const void *bytes, size_t n_bytes)
{
    struct sink_text *t = cls;

    if (t->n + n_bytes >= sizeof t->at) return -1;
    memcpy(t->at + t->n, bytes, n_bytes);
    t->n += n_bytes;
    t->at[t->n] = 0;
    return 0;
}

static void written(const sn_draft *draft, const char *want)
{
    struct sink_text t = {.at = ""};
    const sn_sink    sink = {keep, &t};

    assert_int_equal(sn_draft_write_choices(draft, &sink, NULL), SN_OK);
    assert_string_equal(t.at, want);
}

static sn_status read_text(sn_draft *draft, const char *json, sn_error *err)
{
    return sn_draft_read_choices(draft, json, strlen(json), err);
}

static void choices_are_read_and_written_as_json(void **state)
{
    sn_supernet *net = load(linear_spec, NULL, NULL);
    sn_draft    *draft = NULL;
    sn_error     err = {0};
    static const struct {
        const char *json;
        sn_status   status;
        const char *where, *text;
    } bad[] = {
        {"{\"k\": 1, \"w\": 3}", SN_E_NOT_CANDIDATE, "w", "3 is not one of 2, 4"},
        {"{\"k\": 1, \"W\": 2}", SN_E_UNKNOWN_NAME, "W", "no choice is labelled \"W\""},
        {"{\"k\": 1, \"w\": {}}", SN_E_INVALID, "w", "not an object"},
        {"{\"k\": 1, \"k\": 1}", SN_E_SYNTAX, "choices", "duplicate object key"},
        {"[1]", SN_E_INVALID, "choices", "must be an object {label: value}"},
        {"{\"k\": 1, \"w\": }", SN_E_SYNTAX, "choices", "line 1, column"},
        {"{\"k\": 1, \"w\": NaN}", SN_E_SYNTAX, "choices", "line 1, column"},
    };

    (void)state;
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    written(draft, "{\"only\": 7}");
    assert_int_equal(read_text(draft, "{\"k\": 3}", NULL), SN_OK);
    written(draft, "{\"k\": 3, \"only\": 7}");
    for (size_t i = 0; i < COUNT(bad); i++) { /* nothing of them is taken */
        err = (sn_error){0};
        if (read_text(draft, bad[i].json, &err) != bad[i].status ||
            strcmp(err.where, bad[i].where) != 0 || !strstr(err.text, bad[i].text))
            fail_msg("%s: %s: %s", bad[i].json, err.where, err.text);
        written(draft, "{\"k\": 3, \"only\": 7}");
    }
    assert_int_equal(read_text(draft, "{\"w\": 2.0, \"k\": 1}", NULL), SN_OK); /* 2.0 == 2 */
    written(draft, "{\"w\": 2, \"k\": 1, \"only\": 7}");
    assert_int_equal(read_text(draft, "{}", NULL), SN_OK);
    sn_draft_free(draft);
    sn_supernet_unref(net);
}

static void a_draft_is_cleared_and_starts_from_a_subnet(void **state)
{
    sn_supernet *net = net_demo();
    sn_policy   *policy = NULL;
    sn_draft    *draft = NULL, *again = NULL;
    sn_subnet   *subnet = NULL, *same = NULL;
    sn_rng       rng;
    const char  *label = sn_supernet_choice(net, 0)->label;
    sn_error     err = {0};

    (void)state;
    sn_rng_seed(&rng, 7);
    assert_int_equal(sn_policy_create(net, "path", NULL, &policy, NULL), SN_OK);
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_policy_resample(policy, &rng, draft, NULL), SN_OK);
    assert_int_equal(sn_draft_seal(draft, &subnet, NULL), SN_OK);

    assert_int_equal(sn_draft_create_from(subnet, &again, NULL), SN_OK);
    assert_int_equal(sn_draft_seal(again, &same, NULL), SN_OK);
    assert_string_equal(sn_subnet_id(same), sn_subnet_id(subnet));
    same = sn_subnet_unref(same);
    subnet = sn_subnet_unref(subnet); /* the draft does not need it */

    assert_non_null(sn_draft_get(again, 0));
    assert_int_equal(sn_draft_clear(again, label, NULL), SN_OK);
    assert_null(sn_draft_get(again, 0));
    assert_int_equal(sn_draft_seal(again, &same, &err), SN_E_UNDECIDED);
    assert_int_equal(sn_draft_set(again, label, sn_draft_get(draft, 0), NULL), SN_OK);
    assert_int_equal(sn_draft_seal(again, &same, NULL), SN_OK);
    assert_int_equal(sn_draft_clear(again, "nothing", &err), SN_E_UNKNOWN_NAME);
    assert_int_equal(sn_draft_soften(again, label, NULL), SN_OK);
    assert_true(sn_draft_is_soft(again, 0));
    assert_int_equal(sn_draft_clear(again, label, NULL), SN_OK);
    assert_false(sn_draft_is_soft(again, 0));

    sn_subnet_unref(same);
    sn_draft_free(draft);
    sn_draft_free(again);
    sn_policy_free(policy);
    sn_supernet_unref(net);

    net = load(linear_spec, NULL, NULL); /* a single candidate needs nobody to decide */
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_draft_clear(draft, "only", NULL), SN_OK);
    written(draft, "{\"only\": 7}");
    sn_draft_free(draft);
    sn_supernet_unref(net);
}

static void values_are_read_without_the_union(void **state)
{
    const sn_value items[] = {
        {.kind = SN_KIND_INT, .as.integer = -3},
        {.kind = SN_KIND_FLOAT, .as.real = 0.5},
        {.kind = SN_KIND_BOOL, .as.boolean = true},
        {.kind = SN_KIND_TEXT, .as.text = "same"},
        {.kind = SN_KIND_NULL},
    };
    const sn_value tuple = {.kind = SN_KIND_TUPLE, .as.tuple = {items, COUNT(items)}};
    int64_t        i = 0;
    double         d = 0;
    bool           b = false;

    (void)state;
    assert_int_equal(sn_value_n_items(&tuple), COUNT(items));
    assert_null(sn_value_item(&tuple, COUNT(items)));
    assert_null(sn_value_item(&items[0], 0));
    for (size_t k = 0; k < COUNT(items); k++) {
        const sn_value *v = sn_value_item(&tuple, k);

        assert_int_equal(sn_value_kind(v), items[k].kind);
        assert_int_equal(sn_value_int(v, &i), k == 0 || k == 2);
        assert_int_equal(sn_value_real(v, &d), k <= 2);
        assert_int_equal(sn_value_bool(v, &b), k == 2);
        assert_int_equal(sn_value_string(v) != NULL, k == 3);
        assert_true(i == (k < 2 ? -3 : 1));
        assert_true(d == (k == 0 ? -3.0 : k == 1 ? 0.5 : 1.0));
    }
    assert_true(b);
    assert_string_equal(sn_value_string(&items[3]), "same");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_table_is_read_as_far_as_it_goes),
        cmocka_unit_test(newer_tables_are_cut_and_keep_their_stride),
        cmocka_unit_test(an_older_policy_is_read_as_far_as_it_goes),
        cmocka_unit_test(tables_that_are_no_tables_are_refused),
        cmocka_unit_test(options_are_read_by_their_size),
        cmocka_unit_test(a_document_says_which_tensors_it_needs),
        cmocka_unit_test(weights_come_from_memory_in_any_form),
        cmocka_unit_test(what_cannot_be_added_is_said),
        cmocka_unit_test(weights_survive_out_of_memory),
        cmocka_unit_test(weights_do_not_count_against_the_limit_of_a_load),
        cmocka_unit_test(choices_are_read_and_written_as_json),
        cmocka_unit_test(a_draft_is_cleared_and_starts_from_a_subnet),
        cmocka_unit_test(values_are_read_without_the_union),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
