/* balance: what runs show of the speed of threads, and how it divides loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "thread/balance.h"
#include "thread/share.h"

enum { LOOP = 1000 };

/* A run of threads that are that fast: each does its share of ten milliseconds of work. */
static void one_run(sn_balance *b, int parts, const double *speed, double scale)
{
    for (int i = 0; i < parts; i++) {
        const double work =
            (double)(balance_at(b, LOOP, parts, i + 1) - balance_at(b, LOOP, parts, i));

        balance_note(b, i, work, work / speed[i] / LOOP * 0.01 * scale);
    }
    balance_learn(b, false);
}

static void shares_follow_speeds(void **state)
{
    static const struct {
        int    threads, parts;
        double speed[4];
        int    at[3]; /* where parts 1 and on begin */
    } rows[] = {
        {2, 2, {1, 1}, {500}},           {2, 2, {1, 0.98}, {500}}, /* about equal is equal */
        {2, 2, {1, 0.7}, {588}},         {2, 2, {0.7, 1}, {412}},
        {2, 2, {3, 2.1}, {588}},    /* only beside one another */
        {2, 2, {1, 0.0001}, {790}}, /* at most four to one */
        {3, 3, {1, 1, 0.5}, {400, 800}}, {4, 4, {1, 0.5, 1, 0.5}, {333, 500, 833}},
        {4, 2, {1, 0.5}, {667}}, /* two of four have worked */
    };

    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        const double equal[4] = {1, 1, 1, 1};
        sn_balance  *b;

        assert_int_equal(sn_balance_create(rows[r].threads, &b, NULL), SN_OK);
        for (int i = 0; i < 100; i++)
            one_run(b, rows[r].parts, rows[r].speed, 1);
        for (int i = 1; i < rows[r].parts; i++) {
            const int64_t at = balance_at(b, LOOP, rows[r].parts, i);

            if (at < rows[r].at[i - 1] - 15 || at > rows[r].at[i - 1] + 15)
                fail_msg("row %zu: part %d begins at %d, wanted %d", r, i, (int)at,
                         rows[r].at[i - 1]);
        }
        for (int i = 0; i < 200; i++) /* and back, when the other program has ended */
            one_run(b, rows[r].parts, equal, 1);
        for (int i = 1; i < rows[r].parts; i++)
            assert_int_equal(balance_at(b, LOOP, rows[r].parts, i),
                             (LOOP * i + rows[r].parts / 2) / rows[r].parts);
        sn_balance_free(b);
    }
}

static void one_run_and_short_ones_say_little(void **state)
{
    const double speed[] = {1, 0.5};
    sn_balance  *b;

    (void)state;
    assert_int_equal(sn_balance_create(2, &b, NULL), SN_OK);
    one_run(b, 2, speed, 1);
    assert_in_range(balance_at(b, LOOP, 2, 1), 501, 530);
    sn_balance_free(b);
    assert_int_equal(sn_balance_create(2, &b, NULL), SN_OK);
    for (int i = 0; i < 100; i++)
        one_run(b, 2, speed, 0.001);
    assert_int_equal(balance_at(b, LOOP, 2, 1), 500);
    for (int i = 0; i < 2; i++)
        balance_note(b, i, 1, i + 1.0);
    balance_learn(b, true); /* it was stopped */
    assert_int_equal(balance_at(b, LOOP, 2, 1), 500);
    sn_balance_free(b);
    sn_balance_free(NULL);
}

/* ---- loops ----------------------------------------------------------------------------------- */

enum { MOST = 300 };

static void count(const void *cls, int64_t from, int64_t to, int thread)
{
    int *times = *(int *const *)cls;

    (void)thread;
    for (int64_t i = from; i < to; i++)
        times[i]++;
}

static void run(void *pool, int n, void (*body)(void *cls, int i), void *cls)
{
    (void)pool;
    for (int i = 0; i < n; i++)
        body(cls, i);
}

/* Every unit once, whatever the shares, and some of the work for whoever learns. */
static void loops_are_complete(void **state)
{
    static const double speeds[][4] = {
        {1, 1, 1, 1}, {0.5, 1.5, 1.5, 0.5}, {2, 0.5, 0.5, 0.5}, {1, 1.7, 0.6, 0.7}};
    static const int64_t grains[] = {1, 4, 16};

    (void)state;
    for (size_t s = 0; s < sizeof speeds / sizeof *speeds; s++)
        for (int threads = 1; threads <= 5; threads++)
            for (size_t g = 0; g < sizeof grains / sizeof *grains; g++)
                for (int64_t n = 0; n < MOST; n += n < 40 ? 1 : 37) {
                    sn_parallel parallel = {.run = run, .n_threads = threads};
                    int         times[MOST] = {0}, *cls = times;

                    assert_int_equal(sn_balance_create(4, &parallel.balance, NULL), SN_OK);
                    for (int i = 0; i < 4; i++)
                        parallel.balance->share[i] = speeds[s][i];
                    share_run(&parallel, threads, n, grains[g], 1e9, count, &cls);
                    for (int64_t i = 0; i < MOST; i++)
                        assert_int_equal(times[i], i < n);
                    if (n == 299 && threads == 4)
                        for (int i = 0; i < 4; i++)
                            assert_true(parallel.balance->thread[i].work > 0);
                    sn_balance_free(parallel.balance);
                }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_follow_speeds),
        cmocka_unit_test(one_run_and_short_ones_say_little),
        cmocka_unit_test(loops_are_complete),
    };

    return cmocka_run_group_tests_name("balance", tests, NULL, NULL);
}
