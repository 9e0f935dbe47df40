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
    const sn_desc in = {
        SN_F32, {2, {1, 2}}
    };
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
        {.v = dear,            .unheard_of = abort},
        {.v = ten,                    .unheard_of = abort},
        {.more = "end"}
    };
    struct {
        sn_op op;
        char  more[64];
    } op = {.op = operator_of_now};
    struct {
        sn_policy_class cls;
        char            more[64];
    } policy = {
        {.size = sizeof policy, .abi = SN_POLICY_ABI, .name = "mine", .resample = first},
        {0      }
    };
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
        {0               },
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
    const size_t    old_bytes = offsetof(sn_run_options, stop);
    sn_run_options *older = malloc(old_bytes);
    sn_supernet    *net = net_demo();
    sn_subnet      *subnet;
    sn_plan        *plan = NULL;
    sn_draft       *draft = NULL;
    sn_policy      *policy = NULL;
    sn_rng          rng;
    const sn_desc   in = {
          SN_F32, {4, {1, 1, 8, 8}}
    };
    const sn_compile_options compile = {.size = sizeof compile, .in = &in, .n_in = 1};
    float                    x[64] = {0}, y[10];
    const sn_shape           shape = {
                  2, {1, 10}
    };
    sn_tensor xt = sn_tensor_dense(SN_F32, &in.shape, x), yt = sn_tensor_dense(SN_F32, &shape, y);
    void     *scratch;
    struct {
        sn_limits l;
        char      more[64];
    } limits = {
        .l = {.size = sizeof limits, .stop = never}
    };

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_table_is_read_as_far_as_it_goes),
        cmocka_unit_test(newer_tables_are_cut_and_keep_their_stride),
        cmocka_unit_test(an_older_policy_is_read_as_far_as_it_goes),
        cmocka_unit_test(tables_that_are_no_tables_are_refused),
        cmocka_unit_test(options_are_read_by_their_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
