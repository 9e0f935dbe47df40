/* Chains of steps that threads go through without waiting: where they are, and the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "support/planned.h"
#include "support/threads.h"
#include "thread/balance.h"

#define NORM(name, from)                                                                           \
    "{\"name\": \"" name                                                                           \
    "\", \"type\": \"LayerNorm\", \"normalized_shape\": 48, \"inputs\": [\"" from "\"]}"
#define PROJECT(name, from, in, out)                                                               \
    "{\"name\": \"" name "\", \"type\": \"Linear\", \"in_features\": " in                          \
    ", \"out_features\": " out ", \"inputs\": [\"" from "\"]}"

/* Two blocks of a transformer without what mixes tokens: one chain, behind what makes its input. */
/* clang-format off */
static const char blocks[] = SPEC(
    IN("x", "\"N\", 48, 150"),
    GRAPH("\"x\"",
          "{\"name\": \"p\", \"type\": \"Permute\", \"dims\": [0, 2, 1], \"inputs\": [\"x\"]},"
          NORM("a", "p") "," PROJECT("b", "a", "48", "192") ","
          "{\"name\": \"c\", \"type\": \"GELU\", \"inputs\": [\"b\"]},"
          PROJECT("d", "c", "192", "48") "," ADD("e", "d", "a") "," NORM("f", "e") ","
          PROJECT("g", "f", "48", "96") "," PROJECT("h", "g", "96", "48") "," ADD("i", "h", "e") ","
          NORM("y", "i"),
          "\"y\", \"g\""));
/* clang-format on */
static const struct net_tensor block_tensors[] = {
    {"a.bias", 1, {48}},        {"a.weight", 1, {48}}, {"b.bias", 1, {192}},
    {"b.weight", 2, {192, 48}}, {"d.bias", 1, {48}},   {"d.weight", 2, {48, 192}},
    {"f.bias", 1, {48}},        {"f.weight", 1, {48}}, {"g.bias", 1, {96}},
    {"g.weight", 2, {96, 48}},  {"h.bias", 1, {48}},   {"h.weight", 2, {48, 96}},
    {"y.bias", 1, {48}},        {"y.weight", 1, {48}}, {NULL, 0, {0}},
};
enum { TOKENS = 150, BLOCK_OUT = 2 };

static void block_input(float *x)
{
    for (int i = 0; i < TOKENS * 48; i++)
        x[i] = (float)(i * 7919 % 1009) / 1009 - 0.5f;
}

/* Frees y. */
static void same_bits(float **y, float *const *want, const int64_t *n)
{
    for (int k = 0; k < BLOCK_OUT; k++) {
        assert_memory_equal(y[k], want[k], (size_t)n[k] * sizeof **y);
        free(y[k]);
    }
}

static int loops;

/* Part after part to the end, on one thread: what one leaves behind the others find. */
static void run_forward(void *pool, int n, void (*body)(void *cls, int i), void *cls)
{
    (void)pool;
    loops++;
    for (int i = 0; i < n; i++)
        body(cls, i);
}

static void run_backward(void *pool, int n, void (*body)(void *cls, int i), void *cls)
{
    (void)pool;
    loops++;
    for (int i = n; i-- > 0;)
        body(cls, i);
}

/* Threads do not wait for one another inside a chain, however far one gets. */
static void chains_need_no_waiting(void **state)
{
    const sn_parallel threads[] = {threads_of(2),
                                   threads_of(3),
                                   {.run = run_forward, .n_threads = 3},
                                   {.run = run_backward, .n_threads = 3},
                                   {.run = run_backward, .n_threads = 2}};
    static float      x[TOKENS * 48];
    sn_shape          shape = {3, {1, 48, TOKENS}};
    struct planned    w, alone;
    float            *y[BLOCK_OUT], *want[BLOCK_OUT];
    int64_t           n[BLOCK_OUT];

    (void)state;
    block_input(x);
    assert_int_equal(planned_make(&alone, blocks, block_tensors, "", &shape, 1, 1), SN_OK);
    assert_int_equal(planned_make(&w, blocks, block_tensors, "", &shape, 1, 3), SN_OK);
    planned_run(&alone, &shape, x, 1, 1, want, n);
    for (size_t t = 0; t < COUNT(threads); t++) {
        loops = 0;
        planned_run_on(&w, &shape, x, 1, &threads[t], y, n);
        assert_int_equal(loops / RUN_PASSES,
                         threads[t].run == threads[0].run ? 0 : 1); /* Permute is small */
        same_bits(y, want, n);
    }
    for (int k = 0; k < BLOCK_OUT; k++)
        free(want[k]);
    planned_end(&w);
    planned_end(&alone);
}

/* In training products go to a library whose bits depend on how many rows come at once. */
static void training_has_no_chains(void **state)
{
    const sn_parallel  threads = {.run = run_backward, .n_threads = 2};
    static float       x[TOKENS * 48];
    const sn_shape     shape = {3, {1, 48, TOKENS}};
    const sn_desc      in = {SN_F32, shape};
    sn_compile_options options = {
        .size = sizeof options, .in = &in, .n_in = 1, .n_threads = 2, .mode = SN_TRAIN};
    struct planned w;
    float         *y[BLOCK_OUT], *want[BLOCK_OUT];
    int64_t        n[BLOCK_OUT];

    (void)state;
    block_input(x);
    assert_int_equal(planned_make(&w, blocks, block_tensors, "", &shape, 1, 2), SN_OK);
    sn_plan_unref(w.plan);
    assert_int_equal(sn_plan_compile(w.subnet, &options, &w.plan, &w.err), SN_OK);
    planned_run(&w, &shape, x, 1, 1, want, n);
    loops = 0;
    planned_run_on(&w, &shape, x, 1, &threads, y, n);
    assert_int_equal(loops / RUN_PASSES, 1); /* GELU, element by element */
    same_bits(y, want, n);
    for (int k = 0; k < BLOCK_OUT; k++)
        free(want[k]);
    planned_end(&w);
}

/* Rows of nothing are rows. */
static void empty_rows_end_a_chain(void **state)
{
    static const char spec[] = SPEC(
        IN("x", "\"N\", 150, 48"),
        GRAPH("\"x\"", PROJECT("a", "x", "48", "16") "," PROJECT("y", "a", "16", "0"), "\"y\""));
    static const struct net_tensor tensors[] = {
        {"a.bias", 1, {16}}, {"a.weight", 2, {16, 48}},
        {"y.bias", 1, {0}},  {"y.weight", 2, {0, 16}},
        {NULL, 0, {0}},
    };
    static float   x[TOKENS * 48];
    const sn_shape shape = {3, {1, TOKENS, 48}};
    struct planned w;
    float         *y;
    int64_t        n;

    (void)state;
    assert_int_equal(planned_make(&w, spec, tensors, "", &shape, 1, 2), SN_OK);
    planned_run(&w, &shape, x, 1, 2, &y, &n);
    assert_int_equal(n, 0);
    free(y);
    planned_end(&w);
}

/* They cost memory, too: not where it is short. */
static void chains_are_no_need(void **state)
{
    const sn_parallel  threads = {.run = run_backward, .n_threads = 2};
    static float       x[TOKENS * 48];
    const sn_shape     shape = {3, {1, 48, TOKENS}};
    const sn_desc      in = {SN_F32, shape};
    sn_compile_options options = {.size = sizeof options, .in = &in, .n_in = 1, .n_threads = 2};
    struct planned     w, alone;
    size_t             most, least;
    float             *y[BLOCK_OUT], *want[BLOCK_OUT];
    int64_t            n[BLOCK_OUT];

    (void)state;
    assert_int_equal(planned_make(&alone, blocks, block_tensors, "", &shape, 1, 1), SN_OK);
    assert_int_equal(planned_make(&w, blocks, block_tensors, "", &shape, 1, 2), SN_OK);
    least = sn_plan_describe(alone.plan)->scratch_bytes;
    most = sn_plan_describe(w.plan)->scratch_bytes;
    assert_true(least < most && most <= least / 2 * 3);
    planned_run(&alone, &shape, x, 1, 1, want, n);
    for (size_t limit = least; limit < most; limit += (most - least) / 3) {
        sn_plan_unref(w.plan);
        options.scratch_limit_bytes = limit;
        assert_int_equal(sn_plan_compile(w.subnet, &options, &w.plan, &w.err), SN_OK);
        assert_in_range(sn_plan_describe(w.plan)->scratch_bytes, 1, limit);
        loops = 0;
        planned_run_on(&w, &shape, x, 1, &threads, y, n);
        assert_true(limit > least || loops > 1);
        same_bits(y, want, n);
    }
    for (int k = 0; k < BLOCK_OUT; k++)
        free(want[k]);
    planned_end(&w);
    planned_end(&alone);
}

/* ---- of channels ---- */

enum { SIDE = 11, NARROW = 48, WIDE = 288, IMAGE = NARROW * SIDE * SIDE };

/* A block of a mobile network: it is expanded, filtered and summed up without a barrier. */
/* clang-format off */
static const char inverted[] = SPEC(
    IN("x", "\"N\", 48, 11, 11"),
    GRAPH("\"x\"",
          TURN("a", "x", "48", "288") ","
          "{\"name\": \"b\", \"type\": \"Hardswish\", \"inputs\": [\"a\"]},"
          "{\"name\": \"c\", \"type\": \"Conv2d\", \"in_channels\": 288, \"out_channels\": 288, "
          "\"kernel_size\": 5, \"padding\": 2, \"groups\": 288, \"bias\": false, "
          "\"inputs\": [\"b\"]},"
          "{\"name\": \"d\", \"type\": \"AdaptiveAvgPool2d\", \"output_size\": 1, "
          "\"inputs\": [\"c\"]},"
          TURN("y", "c", "288", "48"),
          "\"y\", \"d\""));
/* clang-format on */
static const struct net_tensor inverted_tensors[] = {
    {"a.weight", 4, {WIDE, NARROW, 1, 1}},
    {"c.weight", 4, {WIDE, 1, 5, 5}},
    {"y.weight", 4, {NARROW, WIDE, 1, 1}},
    {NULL, 0, {0}},
};

static void channels_need_no_waiting(void **state)
{
    const struct {
        sn_parallel threads;
        float       share[3];
        int         most, loops; /* images of the plan; of one image, where they are counted */
    } rows[] = {
        {{.run = run_forward, .n_threads = 3}, {1.0f, 1.0f, 1.0f}, 1, 2},
        {{.run = run_backward, .n_threads = 3}, {1.0f, 1.0f, 1.0f}, 1, 2},
        {{.run = run_backward, .n_threads = 3}, {0.5f, 1.9f, 0.6f}, 1, 2},
        {{.run = run_backward, .n_threads = 2}, {1.4f, 0.6f, 1.0f}, 1, 2},
        {{.run = run_backward, .n_threads = 3}, {1.0f, 1.0f, 1.0f}, 2, 4}, /* no chain */
        {threads_of(2), {1.0f, 1.0f, 1.0f}, 1, 0},
        {threads_of(3), {1.2f, 1.0f, 0.8f}, 1, 0},
    };
    static float   x[IMAGE];
    sn_shape       shape = {4, {1, NARROW, SIDE, SIDE}};
    struct planned alone;
    float         *y[BLOCK_OUT], *want[BLOCK_OUT];
    int64_t        n[BLOCK_OUT];

    (void)state;
    for (int i = 0; i < IMAGE; i++)
        x[i] = (float)(i * 7919 % 1009) / 1009 - 0.5f;
    assert_int_equal(planned_make(&alone, inverted, inverted_tensors, "", &shape, 1, 1), SN_OK);
    planned_run(&alone, &shape, x, 1, 1, want, n);
    for (size_t i = 0; i < COUNT(rows); i++) {
        sn_parallel    threads = rows[i].threads;
        struct planned w;

        shape.dim[0] = rows[i].most;
        assert_int_equal(planned_make(&w, inverted, inverted_tensors, "", &shape, 1, 3), SN_OK);
        assert_int_equal(sn_balance_create(3, &threads.balance, NULL), SN_OK);
        for (int k = 0; k < 3; k++)
            threads.balance->share[k] = rows[i].share[k];
        shape.dim[0] = 1;
        for (int run = 0; run < 5; run++) {
            loops = 0;
            planned_run_on(&w, &shape, x, 1, &threads, y, n);
            assert_int_equal(loops / RUN_PASSES, rows[i].loops);
            same_bits(y, want, n);
        }
        sn_balance_free(threads.balance);
        planned_end(&w);
    }
    for (int k = 0; k < BLOCK_OUT; k++)
        free(want[k]);
    planned_end(&alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_need_no_waiting),   cmocka_unit_test(training_has_no_chains),
        cmocka_unit_test(empty_rows_end_a_chain),   cmocka_unit_test(chains_are_no_need),
        cmocka_unit_test(channels_need_no_waiting),
    };

    return cmocka_run_group_tests_name("chains", tests, NULL, NULL);
}
