/* plan: what is fused, for which batches a plan is good, and the promises of the header:
 * a run allocates nothing, stops when asked, and lack of memory is reported. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supernet/train.h"
#include "supernet/weights.h"
#include "support/alloc.h"
#include "support/net.h"
#include "support/whole.h"

#define CONV_BN                                                                                    \
    "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 2, \"out_channels\": \"w\", "     \
    "\"kernel_size\": 3, \"padding\": 1},"                                                         \
    "{\"name\": \"bn\", \"type\": \"BatchNorm2d\", \"num_features\": \"w\"}"

static const struct net_tensor conv_bn[] = {
    {"conv.weight", 4, {4, 2, 3, 3}},
    {"conv.bias", 1, {4}},
    {"bn.weight", 1, {4}},
    {"bn.bias", 1, {4}},
    {"bn.running_mean", 1, {4}},
    {"bn.running_var", 1, {4}},
    {NULL, 0, {0}},
};

#define HEAD                                                                                       \
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": "     \
    "[\"N\", 2, 5, 5]}], \"choices\": {\"w\": [2, 4]}, \"model\": "

/* Images go as rows; convolutions leave channels last. The first reads planes, having few. */
enum { CONVERSIONS = 1 };

/* A row: this chain takes so many steps between the two, because ... */
static const struct fusion {
    const char *name, *spec;
    size_t      n_steps;
} fusions[] = {
    {"a normalisation becomes the scale and shift of the convolution before it",
     HEAD "{\"type\": \"Sequential\", \"layers\": [" CONV_BN "]}}", 1},
    {"so does the activation behind it",
     HEAD "{\"type\": \"Sequential\", \"layers\": [" CONV_BN ", {\"type\": \"ReLU\"}]}}", 1},
    {"but only one activation",
     HEAD "{\"type\": \"Sequential\", \"layers\": [" CONV_BN
          ", {\"type\": \"ReLU\"}, {\"type\": \"Hardswish\"}]}}",
     2},
    {"what does nothing does not stand between",
     HEAD "{\"type\": \"Sequential\", \"layers\": [" CONV_BN
          ", {\"type\": \"Identity\"}, {\"type\": \"Dropout\"}, {\"type\": \"ReLU\"}]}}",
     1},
    {"a value that is read twice is not fused away",
     HEAD "{\"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"sum\"], \"nodes\": ["
          "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 2, \"out_channels\": \"w\", "
          "\"kernel_size\": 3, \"padding\": 1, \"inputs\": [\"x\"]},"
          "{\"name\": \"bn\", \"type\": \"BatchNorm2d\", \"num_features\": \"w\", \"inputs\": "
          "[\"conv\"]},"
          "{\"name\": \"act\", \"type\": \"ReLU\", \"inputs\": [\"bn\"]},"
          "{\"name\": \"sum\", \"type\": \"Add\", \"inputs\": [\"bn\", \"act\"]}]}}",
     3},
};

static sn_plan *compile(sn_subnet *subnet, int64_t batch, sn_error *err)
{
    const sn_desc            in = {SN_F32, {4, {batch, 2, 5, 5}}};
    const sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};
    sn_plan                 *plan = NULL;

    sn_plan_compile(subnet, &options, &plan, err);
    return plan;
}

/* Run x [batch, 2, 5, 5] into y; returns the status. */
static sn_status run(const sn_plan *plan, int64_t batch, float *x, float *y, void *scratch,
                     bool (*stop)(void *), sn_error *err)
{
    const sn_shape       shape = {4, {batch, 2, 5, 5}};
    const sn_run_options options = {.size = sizeof options, .scratch = scratch, .stop = stop};
    const sn_tensor      in = sn_tensor_dense(SN_F32, &shape, x);
    sn_desc              desc;
    sn_tensor            out;

    sn_plan_outputs(plan, batch, &desc);
    out = sn_tensor_dense(SN_F32, &desc.shape, y);
    return sn_plan_forward(plan, &in, &out, &options, err);
}

static void *scratch_of(const sn_plan *plan)
{
    return aligned_alloc(64, (sn_plan_describe(plan)->scratch_bytes + 127) / 64 * 64);
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((i * 37) % 19) / 9.0f - 1.0f;
}

static void chain_is_fused(void **state)
{
    const struct fusion *row = *state;
    void                *bytes;
    sn_supernet         *net = net_load(row->spec, conv_bn, &bytes);
    sn_subnet           *subnet = net_choose(net, "w=2");
    sn_plan             *plan = compile(subnet, 1, NULL);

    assert_int_equal(sn_plan_describe(plan)->n_steps, CONVERSIONS + row->n_steps);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_supernet_unref(net);
    free(bytes);
}

/* y = relu(bn(conv(x)) + x) element by element, from the definition. */
static void fused_chain_computes_what_it_says(void **state)
{
    static const char spec[] = HEAD
        "{\"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"act\"], \"nodes\": ["
        "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 2, \"out_channels\": \"w\", "
        "\"kernel_size\": 3, \"padding\": 1, \"inputs\": [\"x\"]},"
        "{\"name\": \"bn\", \"type\": \"BatchNorm2d\", \"num_features\": \"w\", \"inputs\": "
        "[\"conv\"]},"
        "{\"name\": \"sum\", \"type\": \"Add\", \"inputs\": [\"x\", \"bn\"]},"
        "{\"name\": \"act\", \"type\": \"ReLU\", \"inputs\": [\"sum\"]}]}}";
    enum { N = 3, C = 2, S = 5, COUNT_X = N * C * S * S };
    float        x[COUNT_X], y[COUNT_X];
    void        *bytes, *scratch;
    sn_supernet *net = net_load(spec, conv_bn, &bytes);
    sn_subnet   *subnet = net_choose(net, "w=2");
    sn_plan     *plan = compile(subnet, N, NULL);
    sn_weights  *w;
    sn_tensor    t[6];
    size_t       n_bytes;
    void        *again = net_weights(conv_bn, &n_bytes);

    (void)state;
    assert_int_equal(sn_plan_describe(plan)->n_steps, 1 + CONVERSIONS + 1); /* x, to be added */
    assert_int_equal(sn_weights_borrow(again, n_bytes, "weights", &w, NULL), SN_OK);
    for (int k = 0; k < 6; k++)
        assert_true(sn_weights_find(w, conv_bn[k].name, &t[k]));
    fill(x, COUNT_X);
    scratch = scratch_of(plan);
    assert_int_equal(run(plan, N, x, y, scratch, NULL, NULL), SN_OK);
    for (int n = 0; n < N; n++)
        for (int o = 0; o < C; o++)
            for (int r = 0; r < S; r++)
                for (int c = 0; c < S; c++) {
                    double sum = ((float *)t[1].data)[o];

                    for (int i = 0; i < C; i++)
                        for (int ky = -1; ky <= 1; ky++)
                            for (int kx = -1; kx <= 1; kx++)
                                if (r + ky >= 0 && r + ky < S && c + kx >= 0 && c + kx < S)
                                    sum += ((float *)t[0]
                                                .data)[((o * 2 + i) * 3 + ky + 1) * 3 + kx + 1] *
                                           x[((n * C + i) * S + r + ky) * S + c + kx];
                    sum = (sum - ((float *)t[4].data)[o]) / sqrt(((float *)t[5].data)[o] + 1e-5) *
                              ((float *)t[2].data)[o] +
                          ((float *)t[3].data)[o];
                    sum += x[((n * C + o) * S + r) * S + c];
                    if (fabs(y[((n * C + o) * S + r) * S + c] - fmax(sum, 0.0)) > 1e-4)
                        fail_msg("image %d, channel %d, row %d, column %d: %g, not %g", n, o, r, c,
                                 (double)y[((n * C + o) * S + r) * S + c], fmax(sum, 0.0));
                }
    sn_weights_unref(w);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_supernet_unref(net);
    free(scratch);
    free(again);
    free(bytes);
}

/* Attention makes its weights only for who reads them. Without, it takes over the addition behind
 * it, and adds up the same. */
static void attention_that_nobody_watches_is_fused(void **state)
{
#define BLOCK(outputs)                                                                             \
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", \"shape\": [2, " \
    "5, "                                                                                          \
    "4]}], \"choices\": {\"h\": [1, 2]}, \"model\": {\"type\": \"Graph\", \"inputs\": [\"x\"], "   \
    "\"outputs\": [" outputs "], \"nodes\": [{\"name\": \"attn\", \"type\": "                      \
    "\"MultiheadAttention\", \"embed_dim\": 4, \"num_heads\": \"h\", \"batch_first\": true, "      \
    "\"inputs\": [\"x\", \"x\", \"x\"]}, {\"name\": \"sum\", \"type\": \"Add\", \"inputs\": "      \
    "[\"x\", "                                                                                     \
    "\"attn\"]}]}}"
    static const char *const spec[] = {BLOCK("\"sum\""), BLOCK("\"sum\", \"attn.1\"")};
    const sn_desc            in = {SN_F32, {3, {2, 5, 4}}};
    const sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};
    float                    x[40], y[2][90];

    (void)state;
    fill(x, 40);
    for (size_t i = 0; i < 2; i++) {
        struct whole w;
        sn_subnet   *subnet;
        sn_plan     *plan = NULL;

        whole_load(&w, spec[i]);
        subnet = net_choose(w.net, "h=2");
        assert_int_equal(sn_plan_compile(subnet, &options, &plan, NULL), SN_OK);
        assert_int_equal(sn_plan_describe(plan)->n_steps, i + 1);
        assert_int_equal(whole_run(subnet, x, y[i], 90), i == 0 ? 40 : 90);
        sn_plan_unref(plan);
        sn_subnet_unref(subnet);
        whole_fini(&w);
    }
    for (int i = 0; i < 40; i++)
        assert_float_equal(y[0][i], y[1][i], 1e-5);
}

/* A plan for 5 images runs 1 to 5, each image as if it were alone; more are refused. */
static void batches_up_to_the_largest(void **state)
{
    enum { IMAGE = 50, OUT = 100 };
    static float x[6 * IMAGE], y[6 * OUT], alone[OUT];
    void        *bytes, *scratch;
    sn_supernet *net = net_load(fusions[1].spec, conv_bn, &bytes);
    sn_subnet   *subnet = net_choose(net, "w=4");
    sn_plan     *plan = compile(subnet, 5, NULL);
    sn_error     err = {0};

    (void)state;
    fill(x, 6 * IMAGE);
    scratch = scratch_of(plan);
    assert_int_equal(sn_plan_describe(plan)->max_batch, 5);
    for (int64_t batch = 1; batch <= 5; batch++) {
        assert_int_equal(run(plan, batch, x, y, scratch, NULL, &err), SN_OK);
        for (int64_t i = 0; i < batch; i++) {
            assert_int_equal(run(plan, 1, x + i * IMAGE, alone, scratch, NULL, &err), SN_OK);
            assert_memory_equal(alone, y + i * OUT, sizeof alone);
        }
    }
    assert_int_equal(run(plan, 6, x, y, scratch, NULL, &err), SN_E_SHAPE);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_supernet_unref(net);
    free(scratch);
    free(bytes);
}

static bool always(void *cls)
{
    (void)cls;
    return true;
}

static void a_run_stops_when_asked(void **state)
{
    static float x[50], y[100];
    void        *bytes, *scratch;
    sn_supernet *net = net_load(fusions[1].spec, conv_bn, &bytes);
    sn_subnet   *subnet = net_choose(net, "w=4");
    sn_plan     *plan = compile(subnet, 1, NULL);
    sn_error     err = {0};

    (void)state;
    scratch = scratch_of(plan);
    assert_int_equal(run(plan, 1, x, y, scratch, always, &err), SN_E_STOPPED);
    assert_int_equal(err.code, SN_E_STOPPED);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_supernet_unref(net);
    free(scratch);
    free(bytes);
}

/* The demo: every operator that a real network has. */
static sn_plan *demo_plan(sn_subnet *subnet, sn_error *err)
{
    const sn_desc            in = {SN_F32, {4, {2, 1, 8, 8}}};
    const sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};
    sn_plan                 *plan = NULL;

    sn_plan_compile(subnet, &options, &plan, err);
    return plan;
}

#define DEMO                                                                                       \
    "width=24 kernel=3 depth=2 op0=mbconv kernel0=5 expand0=2 op1=depthwise kernel1=3 layers=2 "   \
    "heads0=2 ratio0=2 heads1=4 ratio1=1"

static void a_run_allocates_nothing(void **state)
{
    static float         x[2 * 64], y[2 * 10];
    sn_supernet         *net = net_demo();
    sn_subnet           *subnet = net_choose(net, DEMO);
    sn_plan             *plan = demo_plan(subnet, NULL);
    const sn_plan_info  *info = sn_plan_describe(plan);
    const sn_tensor      in = sn_tensor_dense(SN_F32, &info->in[0].shape, x);
    sn_tensor            out = sn_tensor_dense(SN_F32, &info->out[0].shape, y);
    const sn_run_options options = {.size = sizeof options, .scratch = scratch_of(plan)};
    size_t               before;

    (void)state;
    fill(x, 2 * 64);
    before = alloc_count();
    assert_int_equal(sn_plan_forward(plan, &in, &out, &options, NULL), SN_OK);
    assert_int_equal(alloc_count(), before);
    free(options.scratch);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_supernet_unref(net);
}

/* Every error path of compiling, once: fail the 1st, 2nd, 3rd ... allocation until the
 * call gets through. The sanitizer build reports what a path forgot to release. */
static void compiling_survives_out_of_memory(void **state)
{
    sn_supernet *net = net_demo();
    sn_subnet   *subnet = net_choose(net, DEMO);
    sn_plan     *plan = NULL;
    size_t       n = 0;

    (void)state;
    while (!plan) {
        sn_error err = {0};

        alloc_fail_at(++n);
        plan = demo_plan(subnet, &err);
        if (!plan) assert_int_equal(err.code, SN_E_NO_MEMORY);
    }
    alloc_fail_at(0);
    assert_true(n > 3);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_supernet_unref(net);
}

static void sealing_survives_out_of_memory(void **state)
{
    sn_supernet *net = net_demo();
    sn_subnet   *sealed = NULL;
    sn_draft    *draft;
    sn_policy   *policy;
    sn_rng       rng;

    (void)state;
    assert_int_equal(sn_draft_create(net, &draft, NULL), SN_OK);
    assert_int_equal(sn_policy_create(net, "path", NULL, &policy, NULL), SN_OK);
    sn_rng_seed(&rng, 1);
    assert_int_equal(sn_policy_resample(policy, &rng, draft, NULL), SN_OK);
    for (size_t n = 1; !sealed; n++) {
        sn_error err = {0};

        alloc_fail_at(n);
        if (sn_draft_seal(draft, &sealed, &err) != SN_OK)
            assert_int_equal(err.code, SN_E_NO_MEMORY);
    }
    alloc_fail_at(0);
    sn_subnet_unref(sealed);
    sn_policy_free(policy);
    sn_draft_free(draft);
    sn_supernet_unref(net);
}

/* Training mode updates its own copy, and never what is served. */
static void training_keeps_to_its_state(void **state)
{
    static float             x[4 * 50], y[4 * 100];
    void                    *bytes;
    sn_supernet             *net = net_load(fusions[0].spec, conv_bn, &bytes);
    sn_subnet               *subnet = net_choose(net, "w=2");
    const sn_desc            in = {SN_F32, {4, {4, 2, 5, 5}}};
    const sn_compile_options options = {
        .size = sizeof options, .in = &in, .n_in = 1, .mode = SN_TRAIN};
    const sn_tensor tx = sn_tensor_dense(SN_F32, &in.shape, x);
    sn_tensor       ty, mean;
    sn_plan        *plan;
    sn_state       *mine, *fresh;
    sn_run_options  run_options = {.size = sizeof run_options};
    sn_error        err = {0};
    float           before[4];

    (void)state;
    fill(x, 4 * 50);
    assert_int_equal(sn_plan_compile(subnet, &options, &plan, &err), SN_OK);
    ty = sn_tensor_dense(SN_F32, &sn_plan_describe(plan)->out[0].shape, y);
    run_options.scratch = scratch_of(plan);
    assert_int_equal(sn_plan_forward(plan, &tx, &ty, &run_options, &err), SN_E_INVALID);

    assert_int_equal(sn_state_create(net, &mine, NULL), SN_OK);
    assert_string_equal(sn_state_at(mine, 0, &mean), "bn.running_mean");
    memcpy(before, mean.data, sizeof before);
    run_options.state = mine;
    assert_int_equal(sn_plan_forward(plan, &tx, &ty, &run_options, NULL), SN_OK);
    assert_true(((float *)mean.data)[0] != before[0]);
    assert_true(((float *)mean.data)[1] != before[1]);
    assert_true(((float *)mean.data)[2] == before[2]); /* not in this subnet's width */

    assert_int_equal(sn_state_create(net, &fresh, NULL), SN_OK);
    sn_state_at(fresh, 0, &mean);
    assert_memory_equal(mean.data, before, sizeof before);
    sn_state_free(fresh);
    sn_state_free(mine);
    free(run_options.scratch);
    sn_plan_unref(plan);
    sn_subnet_unref(subnet);
    sn_supernet_unref(net);
    free(bytes);
}

int main(void)
{
    enum { N_FUSIONS = sizeof fusions / sizeof fusions[0] };
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(fused_chain_computes_what_it_says),
        cmocka_unit_test(attention_that_nobody_watches_is_fused),
        cmocka_unit_test(batches_up_to_the_largest),
        cmocka_unit_test(a_run_stops_when_asked),
        cmocka_unit_test(a_run_allocates_nothing),
        cmocka_unit_test(compiling_survives_out_of_memory),
        cmocka_unit_test(sealing_survives_out_of_memory),
        cmocka_unit_test(training_keeps_to_its_state),
    };
    struct CMUnitTest tests[N_FUSIONS + sizeof fixed / sizeof fixed[0]];

    for (size_t i = 0; i < N_FUSIONS; i++)
        tests[i] = (struct CMUnitTest){.name = fusions[i].name,
                                       .test_func = chain_is_fused,
                                       .initial_state = (void *)(uintptr_t)&fusions[i]};
    memcpy(tests + N_FUSIONS, fixed, sizeof fixed);
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
