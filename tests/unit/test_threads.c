/* Several threads on one run: the same bits as one, and no more memory than they may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "support/planned.h"
#include "support/threads.h"
#include "thread/balance.h"

#define DOWN(name, from, stride)                                                                   \
    "{\"name\": \"" name "\", \"type\": \"Conv2d\", \"in_channels\": 4, \"out_channels\": 4, "     \
    "\"kernel_size\": 3, \"padding\": 1, \"stride\": " stride ", \"inputs\": [\"" from "\"]}"

/* A chain of ever smaller images with sums across. */
/* clang-format off */
static const char gathering[] = SPEC(
    IN("x", "\"N\", 4, 256, 256"),
    GRAPH("\"x\"",
          DOWN("a", "x", "2") "," DOWN("b", "a", "2") "," DOWN("c", "b", "1") ","
          ADD("d", "b", "c") "," DOWN("e", "d", "2") "," DOWN("f", "e", "4") ","
          DOWN("g", "d", "8") "," ADD("h", "f", "g") "," MEAN("y", "h"),
          "\"h\", \"y\", \"d\""));
/* clang-format on */
static const struct net_tensor gathering_tensors[] = {
    {"a.weight", 4, {4, 4, 3, 3}},
    {"a.bias", 1, {4}},
    {"b.weight", 4, {4, 4, 3, 3}},
    {"b.bias", 1, {4}},
    {"c.weight", 4, {4, 4, 3, 3}},
    {"c.bias", 1, {4}},
    {"e.weight", 4, {4, 4, 3, 3}},
    {"e.bias", 1, {4}},
    {"f.weight", 4, {4, 4, 3, 3}},
    {"f.bias", 1, {4}},
    {"g.weight", 4, {4, 4, 3, 3}},
    {"g.bias", 1, {4}},
    {NULL, 0, {0}},
};
enum { GATHER_MOST = 37, GATHER_OUT = 3, GATHER_SAMPLE = 4 * 256 * 256 };

static float *gathering_input(void)
{
    float *x = malloc((size_t)GATHER_MOST * GATHER_SAMPLE * sizeof *x);

    for (int64_t i = 0; i < (int64_t)GATHER_MOST * GATHER_SAMPLE; i++)
        x[i] = (float)(i * 7919 % 1009) / 1009 - 0.5f;
    return x;
}

/* Some samples ahead, more behind, by one thread or by several of which each takes its own and
 * all what is left: the same bits as alone. */
static void samples_gather_on_their_way(void **state)
{
    static const struct {
        int made_for, run_by;
    } threads[] = {{1, 1}, {2, 2}, {5, 5}, {5, 2}, {2, 5}, {3, 1}};
    sn_shape       shape = {.rank = 4, .dim = {1, 4, 256, 256}};
    float         *x = gathering_input(), *all[GATHER_OUT], *one[GATHER_MOST][GATHER_OUT];
    struct planned w, alone;
    int64_t        n[GATHER_OUT];

    (void)state;
    assert_int_equal(planned_make(&alone, gathering, gathering_tensors, "", &shape, 1, 1), SN_OK);
    for (int i = 0; i < GATHER_MOST; i++)
        planned_run(&alone, &shape, x + i * GATHER_SAMPLE, 1, 1, one[i], n);
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        shape.dim[0] = GATHER_MOST;
        assert_int_equal(
            planned_make(&w, gathering, gathering_tensors, "", &shape, 1, threads[t].made_for),
            SN_OK);
        if (threads[t].made_for == 1)
            assert_true(sn_plan_describe(w.plan)->scratch_bytes <
                        GATHER_MOST / 2 * sn_plan_describe(alone.plan)->scratch_bytes);
        for (int batch = 1; batch <= GATHER_MOST; batch += 12) {
            shape.dim[0] = batch;
            planned_run(&w, &shape, x, batch, threads[t].run_by, all, n);
            for (int i = 0; i < batch; i++)
                for (int k = 0; k < GATHER_OUT; k++)
                    assert_memory_equal(all[k] + i * n[k], one[i][k], (size_t)n[k] * sizeof *x);
            for (int k = 0; k < GATHER_OUT; k++)
                free(all[k]);
        }
        planned_end(&w);
    }
    for (int i = 0; i < GATHER_MOST; i++)
        for (int k = 0; k < GATHER_OUT; k++)
            free(one[i][k]);
    free(x);
    planned_end(&alone);
}

/* Nor does a bit depend on how large the part of a thread is. */
static void uneven_parts_are_the_same_bits(void **state)
{
    static const float shares[][3] = {{1.4f, 0.6f, 1.0f}, {0.4f, 1.6f, 1.0f}, {0.5f, 1.9f, 0.6f}};
    sn_shape           shape = {.rank = 4, .dim = {5, 4, 256, 256}};
    sn_parallel        threads = threads_of(3);
    float             *x = gathering_input(), *want[GATHER_OUT], *y[GATHER_OUT];
    struct planned     w;
    int64_t            n[GATHER_OUT];

    (void)state;
    assert_int_equal(planned_make(&w, gathering, gathering_tensors, "", &shape, 1, 3), SN_OK);
    assert_int_equal(sn_balance_create(3, &threads.balance, NULL), SN_OK);
    for (int batch = 1; batch <= 5; batch += 4) {
        shape.dim[0] = batch;
        planned_run(&w, &shape, x, batch, 1, want, n);
        for (size_t s = 0; s < COUNT(shares); s++) {
            for (int i = 0; i < 3; i++)
                threads.balance->share[i] = shares[s][i];
            planned_run_on(&w, &shape, x, batch, &threads, y, n);
            for (int k = 0; k < GATHER_OUT; k++) {
                assert_memory_equal(y[k], want[k], (size_t)(batch * n[k]) * sizeof *x);
                free(y[k]);
            }
        }
        for (int k = 0; k < GATHER_OUT; k++)
            free(want[k]);
    }
    sn_balance_free(threads.balance);
    free(x);
    planned_end(&w);
}

/* What does not grow with the batch is nobody's sample: no thread may find it half made. */
static void what_samples_share_is_made_once(void **state)
{
    /* clang-format off */
    static const char spec[] = SPEC(
        IN("x", "\"N\", 16, 40, 40") ", " IN("z", "1, 16, 40, 40"),
        GRAPH("\"x\", \"z\"",
              "{\"name\": \"l\", \"type\": \"Softmax\", \"dim\": -1, \"inputs\": [\"z\"]},"
              "{\"name\": \"conv\", \"type\": \"Conv2d\", \"in_channels\": 16, \"out_channels\": 16, "
              "\"kernel_size\": 3, \"padding\": 1, \"inputs\": [\"x\"]}," ADD("y", "conv", "l"),
              "\"l\", \"y\""));
    /* clang-format on */
    static const struct net_tensor tensors[] = {
        {"conv.weight", 4, {16, 16, 3, 3}},
        {"conv.bias", 1, {16}},
        {NULL, 0, {0}},
    };
    enum { SAMPLES = 4, SAMPLE = 16 * 40 * 40 };
    const sn_shape shape[] = {{.rank = 4, .dim = {SAMPLES, 16, 40, 40}},
                              {.rank = 4, .dim = {1, 16, 40, 40}}};
    static float   x[SAMPLES * SAMPLE], z[SAMPLE], l[SAMPLE], y[SAMPLES * SAMPLE],
        want[SAMPLES * SAMPLE];
    const sn_parallel threads = threads_of(SAMPLES);
    const sn_tensor   in[] = {sn_tensor_dense(SN_F32, &shape[0], x),
                              sn_tensor_dense(SN_F32, &shape[1], z)};
    sn_tensor         out[] = {sn_tensor_dense(SN_F32, &shape[1], l),
                               sn_tensor_dense(SN_F32, &shape[0], want)};
    sn_run_options    options = {.size = sizeof options};
    struct planned    w;

    (void)state;
    for (int i = 0; i < SAMPLES * SAMPLE; i++)
        x[i] = z[i % SAMPLE] = (float)(i * 7919 % 1009) / 1009;
    assert_int_equal(planned_make(&w, spec, tensors, "", shape, 2, SAMPLES), SN_OK);
    options.scratch = aligned_alloc(64, (sn_plan_describe(w.plan)->scratch_bytes + 127) / 64 * 64);
    assert_int_equal(sn_plan_forward(w.plan, in, out, &options, &w.err), SN_OK);
    options.parallel = &threads;
    out[1].data = y;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sn_plan_forward(w.plan, in, out, &options, &w.err), SN_OK);
        assert_memory_equal(y, want, sizeof y);
    }
    free(options.scratch);
    planned_end(&w);
}

/* True from the nth time on. */
static bool stops(void *cls)
{
    return atomic_fetch_sub((atomic_int *)cls, 1) <= 1;
}

static void threads_with_their_own_samples_stop(void **state)
{
    const sn_shape    shape = {.rank = 4, .dim = {4, 4, 256, 256}};
    const sn_parallel threads = threads_of(2);
    atomic_int        left;
    sn_run_options    options = {
           .size = sizeof options, .parallel = &threads, .stop = stops, .stop_cls = &left};
    float         *x = gathering_input();
    sn_tensor      in = sn_tensor_dense(SN_F32, &shape, x), out[GATHER_OUT];
    sn_desc        desc[GATHER_OUT];
    struct planned w;

    (void)state;
    assert_int_equal(planned_make(&w, gathering, gathering_tensors, "", &shape, 1, 2), SN_OK);
    options.scratch = aligned_alloc(64, (sn_plan_describe(w.plan)->scratch_bytes + 63) / 64 * 64);
    sn_plan_outputs(w.plan, 4, desc);
    for (int k = 0; k < GATHER_OUT; k++)
        out[k] = sn_tensor_dense(SN_F32, &desc[k].shape,
                                 malloc((size_t)sn_shape_count(&desc[k].shape) * sizeof(float)));
    for (int after = 1; after < 24; after += 5) {
        left = after;
        assert_int_equal(sn_plan_forward(w.plan, &in, out, &options, &w.err), SN_E_STOPPED);
    }
    left = 1000;
    assert_int_equal(sn_plan_forward(w.plan, &in, out, &options, &w.err), SN_OK);
    for (int k = 0; k < GATHER_OUT; k++)
        free(out[k].data);
    free(options.scratch);
    free(x);
    planned_end(&w);
}

/* Threads cost memory for the middles of tensors, but no request that fits without. */
static void room_for_threads_is_no_need(void **state)
{
    /* clang-format off */
    static const char spec[] = SPEC(
        IN("x", "\"N\", 16, 64, 64"),
        GRAPH("\"x\"",
              TURN("a", "x", "16", "64") "," TURN("b", "a", "64", "32") ","
              TURN("c", "b", "32", "32") "," TURN("d", "c", "32", "32") ","
              TURN("e", "d", "32", "32") "," ADD("f", "e", "b") "," MEAN("y", "f"),
              "\"y\""));
    /* clang-format on */
    static const struct net_tensor tensors[] = {
        {"a.weight", 4, {64, 16, 1, 1}}, {"b.weight", 4, {32, 64, 1, 1}},
        {"c.weight", 4, {32, 32, 1, 1}}, {"d.weight", 4, {32, 32, 1, 1}},
        {"e.weight", 4, {32, 32, 1, 1}}, {NULL, 0, {0}},
    };
    const sn_shape     shape = {4, {1, 16, 64, 64}};
    sn_desc            in = {SN_F32, shape};
    sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1, .n_threads = 2};
    struct planned     w;
    sn_plan           *wide, *packed;
    size_t             most;

    (void)state;
    assert_int_equal(planned_make(&w, spec, tensors, "", &shape, 1, 1), SN_OK);
    assert_int_equal(sn_plan_compile(w.subnet, &options, &wide, &w.err), SN_OK);
    most = sn_plan_describe(wide)->scratch_bytes;
    options.scratch_limit_bytes = most - 1;
    assert_int_equal(sn_plan_compile(w.subnet, &options, &packed, &w.err), SN_OK);
    assert_true(sn_plan_describe(packed)->scratch_bytes < most);
    assert_true(most <= sn_plan_describe(packed)->scratch_bytes / 2 * 3);
    sn_plan_unref(wide);
    sn_plan_unref(packed);
    planned_end(&w);
}

/* So do samples that threads take for themselves. */
static void samples_of_threads_are_no_need(void **state)
{
    const sn_shape     shape = {.rank = 4, .dim = {4, 4, 256, 256}};
    const sn_desc      in = {SN_F32, shape};
    sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1};
    struct planned     w;
    sn_plan           *plan;
    size_t             one, four;

    (void)state;
    assert_int_equal(planned_make(&w, gathering, gathering_tensors, "", &shape, 1, 1), SN_OK);
    one = sn_plan_describe(w.plan)->scratch_bytes;
    options.n_threads = 4;
    assert_int_equal(sn_plan_compile(w.subnet, &options, &plan, &w.err), SN_OK);
    four = sn_plan_describe(plan)->scratch_bytes;
    sn_plan_unref(plan);
    assert_true(four > one);
    for (size_t limit = four - 1; limit >= one; limit = limit > one ? (limit + one) / 2 : 0) {
        options.scratch_limit_bytes = limit;
        assert_int_equal(sn_plan_compile(w.subnet, &options, &plan, &w.err), SN_OK);
        assert_in_range(sn_plan_describe(plan)->scratch_bytes, 1, limit);
        sn_plan_unref(plan);
    }
    planned_end(&w);
}

static const struct net_tensor no_tensors[] = {{NULL, 0, {0}}};

/* ---- steps that are no operators of their own ----------------------------------------------- */

#define RELU(name) "{\"name\": \"" name "\", \"type\": \"ReLU\", \"inputs\": [\"x\"]}"
#define CHOICE(reduction)                                                                          \
    "{\"name\": \"y\", \"type\": \"InputChoice\", \"label\": \"which\", \"n_candidates\": 3, "     \
    "\"n_chosen\": 2, \"reduction\": \"" reduction "\", \"inputs\": [\"x\", \"r\", \"x\"]}"

#define OF_X(nodes) SPEC(IN("x", "\"N\", 8, 127, 65"), GRAPH("\"x\"", nodes, "\"y\""))

/* What is made element by element, joined or moved is work for all threads. */
static void elements_are_shared(void **state)
{
    /* clang-format off */
    static const struct {
        const char *spec, *choices;
        int         steps;
    } rows[] = {
        {OF_X(RELU("y")),                          "",          1},
        {OF_X("{\"name\": \"y\", \"type\": \"GELU\", \"inputs\": [\"x\"]}"), "",     1},
        {OF_X("{\"name\": \"y\", \"type\": \"Permute\", \"dims\": [0, 2, 3, 1], "
              "\"inputs\": [\"x\"]}"),           "",          1},
        {OF_X(RELU("r") "," ADD("y", "x", "r")),   "",          2},
        {OF_X(RELU("r") "," CHOICE("sum")),        "which=0,1", 2},
        {OF_X(RELU("r") "," CHOICE("mean")),       "which=0,1", 2},
        {OF_X(RELU("r") "," CHOICE("concat")),     "which=0,1", 2},
    };
    /* clang-format on */
    enum { SIZE = 8 * 127 * 65 };
    const sn_shape shape = {4, {1, 8, 127, 65}};
    static float   x[SIZE];

    (void)state;
    for (int i = 0; i < SIZE; i++)
        x[i] = (float)(i * 7919 % 1009) / 1009 - 0.5f;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int threads = 2; threads <= 5; threads += 3) {
            struct planned w, alone;
            float         *y, *want;
            int64_t        n;
            int            before;

            assert_int_equal(
                planned_make(&w, rows[i].spec, no_tensors, rows[i].choices, &shape, 1, threads),
                SN_OK);
            assert_int_equal(
                planned_make(&alone, rows[i].spec, no_tensors, rows[i].choices, &shape, 1, 1),
                SN_OK);
            planned_run(&alone, &shape, x, 1, 1, &want, &n);
            before = threads_parts();
            planned_run(&w, &shape, x, 1, threads, &y, &n);
            assert_int_equal(threads_parts() - before, threads * rows[i].steps);
            assert_memory_equal(y, want, (size_t)n * sizeof *y);
            free(y);
            free(want);
            planned_end(&w);
            planned_end(&alone);
        }
}

/* Nor do tokens wait for one another, wherever a part of them begins. */
static void tokens_are_shared(void **state)
{
    static const char spec[] =
        SPEC(IN("x", "\"N\", 197, 216"),
             GRAPH("\"x\"",
                   "{\"name\": \"y\", \"type\": \"AbsolutePositionEmbedding\", \"length\": 197, "
                   "\"embed_dim\": 216, \"inputs\": [\"x\"]}",
                   "\"y\""));
    static const struct net_tensor tensors[] = {
        {"y.pos_embed", 3, {1, 197, 216}},
        {NULL, 0, {0}},
    };
    enum { SAMPLE = 197 * 216 };
    const sn_shape shape = {3, {1, 197, 216}};
    static float   x[SAMPLE];

    (void)state;
    for (int i = 0; i < SAMPLE; i++)
        x[i] = (float)(i * 7919 % 1009) / 1009 - 0.5f;
    for (int threads = 2; threads <= 3; threads++) {
        const int      before = threads_parts();
        struct planned w, alone;
        float         *y, *want;
        int64_t        n;

        assert_int_equal(planned_make(&w, spec, tensors, "", &shape, 1, threads), SN_OK);
        assert_int_equal(planned_make(&alone, spec, tensors, "", &shape, 1, 1), SN_OK);
        planned_run(&alone, &shape, x, 1, 1, &want, &n);
        planned_run(&w, &shape, x, 1, threads, &y, &n);
        assert_int_equal(threads_parts() - before, threads);
        assert_memory_equal(y, want, sizeof x);
        assert_memory_not_equal(y, x, sizeof x);
        free(y);
        free(want);
        planned_end(&w);
        planned_end(&alone);
    }
}

/* Axis 0 of attention is that of the sequence unless batch_first says otherwise. */
static void a_sequence_is_not_divided(void **state)
{
    static const char spec[] =
        SPEC(IN("x", "\"N\", 1, 64"),
             GRAPH("\"x\"",
                   "{\"name\": \"y\", \"type\": \"MultiheadAttention\", \"embed_dim\": 64, "
                   "\"num_heads\": 4, \"need_weights\": false, "
                   "\"inputs\": [\"x\", \"x\", \"x\"]}",
                   "\"y\""));
    static const struct net_tensor tensors[] = {
        {"y.in_proj_weight", 2, {192, 64}},
        {"y.in_proj_bias", 1, {192}},
        {"y.out_proj.weight", 2, {64, 64}},
        {"y.out_proj.bias", 1, {64}},
        {NULL, 0, {0}},
    };
    enum { LENGTH = 128 };
    const sn_shape shape = {3, {LENGTH, 1, 64}};
    static float   x[LENGTH * 64];
    struct planned w, alone;
    float         *y, *want;
    int64_t        n;

    (void)state;
    for (int i = 0; i < LENGTH * 64; i++)
        x[i] = (float)(i * 7919 % 1009) / 1009 - 0.5f;
    assert_int_equal(planned_make(&w, spec, tensors, "", &shape, 1, 2), SN_OK);
    assert_int_equal(planned_make(&alone, spec, tensors, "", &shape, 1, 1), SN_OK);
    planned_run(&alone, &shape, x, LENGTH, 1, &want, &n);
    planned_run(&w, &shape, x, LENGTH, 2, &y, &n);
    assert_memory_equal(y, want, sizeof x);
    free(y);
    free(want);
    planned_end(&w);
    planned_end(&alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_shared),
        cmocka_unit_test(tokens_are_shared),
        cmocka_unit_test(a_sequence_is_not_divided),
        cmocka_unit_test(samples_gather_on_their_way),
        cmocka_unit_test(uneven_parts_are_the_same_bits),
        cmocka_unit_test(what_samples_share_is_made_once),
        cmocka_unit_test(threads_with_their_own_samples_stop),
        cmocka_unit_test(room_for_threads_is_no_need),
        cmocka_unit_test(samples_of_threads_are_no_need),
    };

    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
