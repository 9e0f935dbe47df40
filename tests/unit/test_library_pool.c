/* library pool: each part of a loop runs exactly once, loops follow each other, a plan gives the
 * same bits as on one thread, and what cannot be had is refused with nothing left behind. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "supernet/pool.h"
#include "support/alloc.h"
#include "support/planned.h"

enum { MOST = 8 };

struct loop {
    int        runs[MOST]; /* not atomic: a part has one thread, and the end of the loop is seen */
    pthread_t  thread[MOST];  /* who ran it */
    atomic_int arrived, wait; /* parts wait until so many have begun */
};

static void count(void *cls, int i)
{
    struct loop *l = cls;

    l->runs[i]++;
    l->thread[i] = pthread_self();
    atomic_fetch_add(&l->arrived, 1);
    while (atomic_load(&l->arrived) < l->wait)
        nanosleep(&(struct timespec){0, 10000}, NULL);
}

static sn_pool *create(int n_threads)
{
    sn_pool *pool = NULL;

    assert_int_equal(sn_pool_create(n_threads, &pool, NULL), SN_OK);
    return pool;
}

static void each_part_runs_once_in_every_loop(void **state)
{
    (void)state;
    for (int n_threads = 1; n_threads <= MOST; n_threads++) {
        sn_pool           *pool = create(n_threads);
        const sn_parallel *parallel = sn_pool_parallel(pool);
        struct loop        loop = {.wait = 0};

        assert_int_equal(parallel->n_threads, n_threads);
        assert_non_null(parallel->balance);
        for (int k = 1; k <= 500; k++) {
            const int n = 1 + k % n_threads;

            memset(loop.runs, 0, sizeof loop.runs);
            parallel->run(parallel->pool, n, count, &loop);
            for (int i = 0; i < MOST; i++)
                assert_int_equal(loop.runs[i], i < n);
        }
        parallel->run(parallel->pool, 0, count, &loop);
        assert_null(sn_pool_free(pool));
    }
}

/* They wait for each other: on one thread this would not end. */
static void parts_run_at_the_same_time_also_after_helpers_slept(void **state)
{
    sn_pool           *pool = create(4);
    const sn_parallel *parallel = sn_pool_parallel(pool);

    (void)state;
    for (int k = 0; k < 20; k++) {
        struct loop loop = {.wait = 4};

        parallel->run(parallel->pool, 4, count, &loop);
        assert_true(pthread_equal(loop.thread[0], pthread_self()));
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < i; j++)
                assert_false(pthread_equal(loop.thread[i], loop.thread[j]));
        nanosleep(&(struct timespec){0, k % 2 * 1000000}, NULL);
    }
    sn_pool_free(pool);
}

/* Two convolutions, large enough for four threads. */
static void a_plan_gives_the_same_bits_as_on_one_thread(void **state)
{
    static const char spec[] = SPEC(
        IN("x", "\"N\", 8, 64, 64"),
        "{\"type\": \"Sequential\", \"layers\": ["
        "{\"type\": \"Conv2d\", \"in_channels\": 8, \"out_channels\": 32, \"kernel_size\": 3}, "
        "{\"type\": \"Conv2d\", \"in_channels\": 32, \"out_channels\": 8, \"kernel_size\": 3}]}");
    static const struct net_tensor tensors[] = {
        {"0.weight", 4, {32, 8, 3, 3}},
        {"0.bias", 1, {32}},
        {"1.weight", 4, {8, 32, 3, 3}},
        {"1.bias", 1, {8}},
        {NULL, 0, {0}},
    };
    const sn_shape shape = {.rank = 4, .dim = {2, 8, 64, 64}};
    float         *x = malloc(sizeof *x * 2 * 8 * 64 * 64), *want, *y;
    sn_pool       *pool = create(4);
    struct planned w;
    int64_t        n;

    (void)state;
    for (int i = 0; i < 2 * 8 * 64 * 64; i++)
        x[i] = (float)(i * 7919 % 1009) / 1009 - 0.5f;
    assert_int_equal(planned_make(&w, spec, tensors, "", &shape, 1, 4), SN_OK);
    planned_run(&w, &shape, x, 2, 1, &want, &n);
    for (int k = 0; k < 50; k++) {
        planned_run_on(&w, &shape, x, 2, sn_pool_parallel(pool), &y, &n);
        assert_memory_equal(y, want, sizeof *y * 2 * (size_t)n);
        free(y);
    }
    free(want);
    free(x);
    planned_end(&w);
    sn_pool_free(pool);
}

static void a_pool_that_nobody_used_ends(void **state)
{
    (void)state;
    for (int n_threads = 1; n_threads <= MOST; n_threads++)
        sn_pool_free(create(n_threads));
    assert_null(sn_pool_free(NULL));
}

static void numbers_of_threads_that_cannot_be_are_refused(void **state)
{
    static const int wrong[] = {0, -1, 1025, INT32_MAX};
    sn_pool         *pool = NULL;
    sn_error         err;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        err = (sn_error){0};
        assert_int_equal(sn_pool_create(wrong[i], &pool, &err), SN_E_LIMIT);
        assert_string_equal(err.where, "pool");
        assert_null(pool);
    }
}

static void memory_that_is_out_is_reported(void **state)
{
    size_t at = 0;
    bool   failed;

    (void)state;
    do {
        sn_pool *pool = NULL;

        alloc_fail_at(++at);
        assert_int_equal(sn_pool_create(2, &pool, NULL), at <= 3 ? SN_E_NO_MEMORY : SN_OK);
        failed = alloc_failed();
        alloc_fail_at(0);
        assert_true(!pool == failed);
        sn_pool_free(pool);
    } while (failed);
    assert_int_equal(at, 4); /* the pool, and two for its balance; then there was enough */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_runs_once_in_every_loop),
        cmocka_unit_test(parts_run_at_the_same_time_also_after_helpers_slept),
        cmocka_unit_test(a_plan_gives_the_same_bits_as_on_one_thread),
        cmocka_unit_test(a_pool_that_nobody_used_ends),
        cmocka_unit_test(numbers_of_threads_that_cannot_be_are_refused),
        cmocka_unit_test(memory_that_is_out_is_reported),
    };

    return cmocka_run_group_tests_name("library pool", tests, NULL, NULL);
}
