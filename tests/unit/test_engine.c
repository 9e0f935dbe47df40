/* The engine as a whole: what a plan promises whatever kernels it runs. Exactness is what was
 * asked for, threads and batches change no bit, weights are prepared once, plans stay small. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supernet/host.h"
#include "supernet/supernet.h"
#include "support/net.h"
#include "support/threads.h"

enum { SIDE = 20, BATCH = 3, IMAGE = 3 * SIDE * SIDE, OUT = 7 };

/* Every kind of convolution: planes, 3x3 of two widths, in wide and in narrow groups, depthwise
 * and twice as deep, pointwise, crops, squeeze-and-excite, pooling, joined images and a linear
 * layer. */
/* clang-format off */
#define CONV(name, in, out, kernel, more)                                                          \
    "{\"name\": \"" name "\", \"type\": \"Conv2d\", \"in_channels\": " in ", \"out_channels\": " out \
    ", \"kernel_size\": " kernel more "}"
#define NORM(name, n) "{\"name\": \"" name "\", \"type\": \"BatchNorm2d\", \"num_features\": " n "}"
#define MODEL(norm0, norm1)                                                                        \
    "\"inputs\": [{\"name\": \"x\", \"shape\": [\"N\", 3, 20, 20]}], "                             \
    "\"choices\": {\"w\": [32, 48], \"k\": [3, 5]}, "                                              \
    "\"model\": {\"type\": \"Sequential\", \"layers\": ["                                          \
    CONV("stem", "3", "32", "3", ", \"padding\": 1") ","                                           \
    norm0                                                                                          \
    "{\"type\": \"ReLU\"},"                                                                        \
    CONV("wide", "32", "\"w\"", "3", ", \"padding\": 1, \"bias\": false") ","                      \
    norm1                                                                                          \
    "{\"type\": \"Hardswish\"},"                                                                   \
    CONV("slim", "\"w\"", "\"w\"", "3", ", \"padding\": 1, \"groups\": 4") ","                     \
    "{\"name\": \"join\", \"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"y\"], \"nodes\": [" \
    "{\"name\": \"pool\", \"type\": \"MaxPool2d\", \"kernel_size\": 3, \"stride\": 1, "               \
    "\"padding\": 1, \"inputs\": [\"x\"]},"                                                      \
    "{\"name\": \"y\", \"type\": \"Concat\", \"inputs\": [\"x\", \"pool\"]}]},"                     \
    CONV("back", "\"2 * w\"", "32", "3", ", \"padding\": 1") ","                                   \
    CONV("groups", "32", "16", "3", ", \"padding\": 1, \"stride\": 2, \"groups\": 2") ","          \
    CONV("twice", "16", "32", "3", ", \"padding\": 1, \"groups\": 16") ","                         \
    CONV("depth", "32", "32", "\"k\"", ", \"padding\": \"k // 2\", \"groups\": 32") ","            \
    "{\"name\": \"se\", \"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"y\"], \"nodes\": [" \
    "{\"name\": \"mean\", \"type\": \"AdaptiveAvgPool2d\", \"output_size\": 1, \"inputs\": [\"x\"]}," \
    "{\"name\": \"gate\", \"type\": \"Conv2d\", \"in_channels\": 32, \"out_channels\": 32, "       \
    "\"kernel_size\": 1, \"inputs\": [\"mean\"]},"                                                 \
    "{\"name\": \"act\", \"type\": \"Hardsigmoid\", \"inputs\": [\"gate\"]},"                      \
    "{\"name\": \"y\", \"type\": \"Mul\", \"inputs\": [\"x\", \"act\"]}]},"                        \
    CONV("project", "32", "16", "1", "") ","                                                       \
    "{\"type\": \"MaxPool2d\", \"kernel_size\": 2},"                                               \
    "{\"type\": \"AvgPool2d\", \"kernel_size\": 2},"                                               \
    "{\"type\": \"Flatten\"},"                                                                     \
    "{\"name\": \"fc\", \"type\": \"Linear\", \"in_features\": 64, \"out_features\": 7}]}}"
/* clang-format on */
#define HEAD "{\"format\": \"supernet/1\", \"name\": \"t\", "

#define NORMED MODEL(NORM("bn0", "32") ",", NORM("bn1", "\"w\"") ",")

static const char plain[] = HEAD NORMED, fast[] = HEAD "\"winograd\": true, " NORMED;
static const char without_norms[] = HEAD MODEL("", "");

/* Those of the normalisations stand first: a network without them has the rest. */
enum { N_NORMS = 8 };
static const struct net_tensor tensors[] = {
    {"bn0.weight", 1, {32}},
    {"bn0.bias", 1, {32}},
    {"bn0.running_mean", 1, {32}},
    {"bn0.running_var", 1, {32}},
    {"bn1.weight", 1, {48}},
    {"bn1.bias", 1, {48}},
    {"bn1.running_mean", 1, {48}},
    {"bn1.running_var", 1, {48}},
    {"stem.weight", 4, {32, 3, 3, 3}},
    {"stem.bias", 1, {32}},
    {"wide.weight", 4, {48, 32, 3, 3}},
    {"slim.weight", 4, {48, 12, 3, 3}},
    {"slim.bias", 1, {48}},
    {"back.weight", 4, {32, 96, 3, 3}},
    {"back.bias", 1, {32}},
    {"groups.weight", 4, {16, 16, 3, 3}},
    {"groups.bias", 1, {16}},
    {"twice.weight", 4, {32, 1, 3, 3}},
    {"twice.bias", 1, {32}},
    {"depth.weight", 4, {32, 1, 5, 5}},
    {"depth.bias", 1, {32}},
    {"se.gate.weight", 4, {32, 32, 1, 1}},
    {"se.gate.bias", 1, {32}},
    {"project.weight", 4, {16, 32, 1, 1}},
    {"project.bias", 1, {16}},
    {"fc.weight", 2, {7, 64}},
    {"fc.bias", 1, {7}},
    {NULL, 0, {0}},
};

/* Run a batch of `n` images from `first` on, through a plan for BATCH. */
static sn_plan *compile_mode(sn_subnet *subnet, sn_mode mode, sn_exactness exactness, int n_threads)
{
    const sn_desc            in = {SN_F32, {4, {BATCH, 3, SIDE, SIDE}}};
    const sn_compile_options options = {.size = sizeof options,
                                        .in = &in,
                                        .n_in = 1,
                                        .mode = mode,
                                        .exactness = exactness,
                                        .n_threads = n_threads};
    sn_plan                 *plan;

    assert_int_equal(sn_plan_compile(subnet, &options, &plan, NULL), SN_OK);
    return plan;
}

static sn_plan *compile(sn_subnet *subnet, sn_exactness exactness, int n_threads)
{
    return compile_mode(subnet, SN_EVAL, exactness, n_threads);
}

static void run(const sn_plan *plan, int first, int n, const sn_parallel *parallel, float *y)
{
    static float images[BATCH * IMAGE];
    void *scratch = aligned_alloc(64, (sn_plan_describe(plan)->scratch_bytes + 63) / 64 * 64);
    const sn_shape       shape = {4, {n, 3, SIDE, SIDE}}, shape_y = {2, {n, OUT}};
    const sn_tensor      x = sn_tensor_dense(SN_F32, &shape, images + first * IMAGE);
    sn_tensor            out = sn_tensor_dense(SN_F32, &shape_y, y);
    const sn_run_options options = {
        .size = sizeof options, .scratch = scratch, .parallel = parallel};

    for (size_t i = 0; i < BATCH * IMAGE; i++)
        images[i] = (float)((i * 2654435761u >> 12) % 1000) / 500.0f - 1.0f;
    assert_int_equal(sn_plan_forward(plan, &x, &out, &options, NULL), SN_OK);
    free(scratch);
}

struct world {
    void        *bytes;
    sn_supernet *net;
    sn_subnet   *subnet;
};

static struct world open_world(const char *spec, const char *choices)
{
    struct world w;

    w.net = net_load(spec, tensors + (spec == without_norms ? N_NORMS : 0), &w.bytes);
    w.subnet = net_choose(w.net, choices);
    return w;
}

static void close_world(struct world *w)
{
    sn_subnet_unref(w->subnet);
    sn_supernet_unref(w->net);
    free(w->bytes);
}

static void once(const struct world *w, sn_exactness exactness, float *y)
{
    sn_plan *plan = compile(w->subnet, exactness, 1);

    run(plan, 0, BATCH, NULL, y);
    sn_plan_unref(plan);
}

/* The difference to `want`, relative to its largest number. */
static double difference(const float *got, const float *want)
{
    double largest = 0, most = 0;

    for (int i = 0; i < BATCH * OUT; i++) {
        largest = fmax(largest, fabs(want[i]));
        most = fmax(most, fabs((double)got[i] - want[i]));
    }
    return most / largest;
}

/* Training mode takes the plain forward of every operator. */
static void kernels_compute_what_operators_define(void **state)
{
    struct world w = open_world(without_norms, "w=48 k=3");
    sn_plan     *by_definition = compile_mode(w.subnet, SN_TRAIN, SN_EXACTNESS_SPEC, 1);
    float        want[BATCH * OUT], y[BATCH * OUT];

    (void)state;
    run(by_definition, 0, BATCH, NULL, want);
    once(&w, SN_EXACTNESS_DIRECT, y);
    assert_true(difference(y, want) < 2e-6);
    once(&w, SN_EXACTNESS_WINOGRAD, y);
    assert_true(difference(y, want) < 1e-5);
    sn_plan_unref(by_definition);
    close_world(&w);
}

/* Inputs of a choice that are joined lie as the convolutions that make and read them like it. */
static void chosen_images_are_joined(void **state)
{
    /* clang-format off */
    static const char spec[] = HEAD
        "\"inputs\": [{\"name\": \"x\", \"shape\": [\"N\", 3, 20, 20]}], \"model\": "
        "{\"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"y\"], \"nodes\": ["
        "{\"name\": \"a\", \"type\": \"Conv2d\", \"in_channels\": 3, \"out_channels\": 5, "
        "\"kernel_size\": 3, \"bias\": false, \"inputs\": [\"x\"]},"
        "{\"name\": \"b\", \"type\": \"Conv2d\", \"in_channels\": 3, \"out_channels\": 18, "
        "\"kernel_size\": 3, \"bias\": false, \"inputs\": [\"x\"]},"
        "{\"name\": \"both\", \"type\": \"InputChoice\", \"label\": \"which\", "
        "\"n_candidates\": 2, \"n_chosen\": null, \"reduction\": \"concat\", "
        "\"inputs\": [\"a\", \"b\"]},"
        "{\"name\": \"c\", \"type\": \"Conv2d\", \"in_channels\": 23, \"out_channels\": 7, "
        "\"kernel_size\": 18, \"bias\": false, \"inputs\": [\"both\"]},"
        "{\"name\": \"y\", \"type\": \"Flatten\", \"inputs\": [\"c\"]}]}}";
    /* clang-format on */
    static const struct net_tensor weights[] = {
        {"a.weight", 4, {5, 3, 3, 3}},
        {"b.weight", 4, {18, 3, 3, 3}},
        {"c.weight", 4, {7, 23, 18, 18}},
        {NULL, 0, {0}},
    };
    struct world w = {0};
    sn_plan     *by_definition;
    float        want[BATCH * OUT], y[BATCH * OUT];

    (void)state;
    w.net = net_load(spec, weights, &w.bytes);
    w.subnet = net_choose(w.net, "which=0,1");
    by_definition = compile_mode(w.subnet, SN_TRAIN, SN_EXACTNESS_SPEC, 1);
    run(by_definition, 0, BATCH, NULL, want);
    once(&w, SN_EXACTNESS_DIRECT, y);
    assert_true(difference(y, want) < 1e-5);
    sn_plan_unref(by_definition);
    close_world(&w);
}

/* A sum lies where its residual was, unless that is read once more: by the same step, or later. */
static void sums_are_written_over_residuals(void **state)
{
#define STEP(name, from)                                                                           \
    "{\"name\": \"" name "\", \"type\": \"Conv2d\", \"in_channels\": 20, \"out_channels\": 20, "   \
    "\"kernel_size\": 3, \"padding\": 1, \"bias\": false, \"inputs\": [\"" from "\"]},"
#define SUM(name, a, b)                                                                            \
    "{\"name\": \"" name "\", \"type\": \"Add\", \"inputs\": [\"" a "\", \"" b "\"]},"
    /* clang-format off */
    static const char spec[] = HEAD
        "\"inputs\": [{\"name\": \"x\", \"shape\": [\"N\", 3, 20, 20]}], \"model\": "
        "{\"type\": \"Graph\", \"inputs\": [\"x\"], \"outputs\": [\"y\"], \"nodes\": ["
        "{\"name\": \"a\", \"type\": \"Conv2d\", \"in_channels\": 3, \"out_channels\": 20, "
        "\"kernel_size\": 3, \"padding\": 1, \"bias\": false, \"inputs\": [\"x\"]},"
        STEP("b", "a") SUM("c", "b", "a")      /* over its own input: not in place */
        STEP("d", "c") STEP("e", "d") SUM("f", "e", "c") /* in place */
        STEP("g", "f") SUM("h", "g", "d")      /* in place of d, which was read before */
        STEP("i", "h") SUM("j", "i", "f")      /* not yet: f is read once more */
        STEP("k", "j") SUM("l", "k", "f")      /* in place, and this the last */
        "{\"name\": \"z\", \"type\": \"Conv2d\", \"in_channels\": 20, \"out_channels\": 7, "
        "\"kernel_size\": 20, \"bias\": false, \"inputs\": [\"l\"]},"
        "{\"name\": \"y\", \"type\": \"Flatten\", \"inputs\": [\"z\"]}]}}";
    /* clang-format on */
#undef STEP
#undef SUM
    static const struct net_tensor weights[] = {
        {"a.weight", 4, {20, 3, 3, 3}},
        {"b.weight", 4, {20, 20, 3, 3}},
        {"d.weight", 4, {20, 20, 3, 3}},
        {"e.weight", 4, {20, 20, 3, 3}},
        {"g.weight", 4, {20, 20, 3, 3}},
        {"i.weight", 4, {20, 20, 3, 3}},
        {"k.weight", 4, {20, 20, 3, 3}},
        {"z.weight", 4, {7, 20, 20, 20}},
        {NULL, 0, {0}},
    };
    struct world w = {0};
    sn_plan     *by_definition, *shared;
    float        want[BATCH * OUT], y[BATCH * OUT];

    (void)state;
    w.net = net_load(spec, weights, &w.bytes);
    w.subnet = net_choose(w.net, "");
    by_definition = compile_mode(w.subnet, SN_TRAIN, SN_EXACTNESS_SPEC, 1);
    run(by_definition, 0, BATCH, NULL, want);
    for (int exactness = SN_EXACTNESS_DIRECT; exactness <= SN_EXACTNESS_WINOGRAD; exactness++) {
        once(&w, (sn_exactness)exactness, y);
        assert_true(difference(y, want) < 2e-5);
        for (int n_threads = 2; n_threads <= 4; n_threads++) {
            const sn_parallel threads = threads_of(n_threads);
            float             again[BATCH * OUT];

            shared = compile(w.subnet, (sn_exactness)exactness, n_threads);
            run(shared, 0, BATCH, &threads, again);
            assert_memory_equal(again, y, sizeof y);
            sn_plan_unref(shared);
        }
    }
    sn_plan_unref(by_definition);
    close_world(&w);
}

static void winograd_only_where_asked_for(void **state)
{
    struct world a = open_world(plain, "w=32 k=3"), b = open_world(fast, "w=32 k=3");
    float        direct[BATCH * OUT], winograd[BATCH * OUT], y[BATCH * OUT];

    (void)state;
    once(&a, SN_EXACTNESS_DIRECT, direct);
    once(&a, SN_EXACTNESS_WINOGRAD, winograd);
    assert_memory_not_equal(direct, winograd, sizeof direct);
    assert_true(difference(winograd, direct) < 1e-5);
    once(&a, SN_EXACTNESS_SPEC, y);
    assert_memory_equal(y, direct, sizeof y);
    once(&b, SN_EXACTNESS_SPEC, y);
    assert_memory_equal(y, winograd, sizeof y);
    once(&b, SN_EXACTNESS_DIRECT, y);
    assert_memory_equal(y, direct, sizeof y);
    close_world(&a);
    close_world(&b);
}

/* Rows: an exactness. Threads and batches are the columns. */
static void nothing_else_changes_a_bit(void **state)
{
    const sn_exactness exactness = *(const sn_exactness *)*state;
    struct world       w = open_world(plain, "w=48 k=5");
    float              want[BATCH * OUT], y[BATCH * OUT];
    const int          before = threads_parts();

    once(&w, exactness, want);
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        sn_plan          *plan = compile(w.subnet, exactness, n_threads);
        const sn_parallel threads = threads_of(n_threads);

        run(plan, 0, BATCH, &threads, y);
        assert_memory_equal(y, want, sizeof y);
        for (int i = 0; i < BATCH; i++) {
            run(plan, i, 1, &threads, y);
            assert_memory_equal(y, want + i * OUT, OUT * sizeof *y);
        }
        sn_plan_unref(plan);
    }
    assert_true(threads_parts() > before);
    close_world(&w);
}

/* The second subnet finds all weights and normalisations prepared, in whatever widths. */
static void weights_are_prepared_once(void **state)
{
    struct world w = open_world(plain, "w=32 k=3");
    sn_subnet   *other = net_choose(w.net, "w=48 k=5");
    float        y[BATCH * OUT];
    size_t       packed;
    sn_plan     *plan;

    (void)state;
    assert_int_equal(sn_supernet_packed_bytes(w.net), 0);
    once(&w, SN_EXACTNESS_SPEC, y);
    packed = sn_supernet_packed_bytes(w.net);
    assert_true(packed > 0);
    plan = compile(other, SN_EXACTNESS_SPEC, 1);
    assert_int_equal(sn_supernet_packed_bytes(w.net), packed);
    assert_int_equal(sn_plan_describe(plan)->packed_bytes, 0);
    sn_plan_unref(plan);
    sn_subnet_unref(other);
    close_world(&w);
}

/* Eight convolutions that took over norms, activations and the product of squeeze-and-excite; its
 * mean and gate, a pool and what joins it, two more pools, the way back to rows, and the linear
 * layer. Plans are kept by the thousand: about half a kilobyte for a step. */
static void plans_are_small(void **state)
{
    struct world        w = open_world(plain, "w=32 k=3");
    sn_plan            *plan = compile(w.subnet, SN_EXACTNESS_SPEC, 2);
    const sn_plan_info *info = sn_plan_describe(plan);

    (void)state;
    assert_int_equal(info->n_steps, 16);
    assert_in_range(info->plan_bytes, 1, 4096 + 600 * info->n_steps);
    sn_plan_unref(plan);
    close_world(&w);
}

int main(void)
{
    static sn_exactness     direct = SN_EXACTNESS_DIRECT, winograd = SN_EXACTNESS_WINOGRAD;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_compute_what_operators_define),
        cmocka_unit_test(chosen_images_are_joined),
        cmocka_unit_test(sums_are_written_over_residuals),
        cmocka_unit_test(winograd_only_where_asked_for),
        {"threads and batches change no bit of direct sums", nothing_else_changes_a_bit, NULL, NULL,
         &direct},
        {"threads and batches change no bit of Winograd's", nothing_else_changes_a_bit, NULL, NULL,
         &winograd},
        cmocka_unit_test(weights_are_prepared_once),
        cmocka_unit_test(plans_are_small),
    };

    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
