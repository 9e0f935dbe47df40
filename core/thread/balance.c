/* balance: see balance.h. A core whose sibling hyperthread runs another program has half to nine
 * tenths of the speed of others, for seconds or hours. With equal parts, every loop would wait for
 * the slowest thread.
 *
 * Shares change slowly, and not at all while threads are about equal: when a border moves, rows
 * have to be fetched from the other core's cache. */
#include "thread/balance.h"

#include <math.h>
#include <stdlib.h>

#include "base/base.h"

enum { MOST_THREADS = 1 << 16 };

static const double LEAST_SECONDS = 50e-6; /* of work in a run, for a speed to count */
static const double LEARNING = 0.125;      /* weight of one run in the moving average */
static const double SLOWEST = 0.5, FASTEST = 2.0;
static const double NOTEWORTHY = 0.03; /* distance of a share from a speed: shares change */
static const double NONE = 0.015;      /* distances of all speeds from 1: they count as equal */

SN_EXPORT sn_status sn_balance_create(int n_threads, sn_balance **ret_balance, sn_error *err)
{
    const size_t n = n_threads > 1 ? (size_t)n_threads : 1;
    sn_balance  *b;
    double      *share;

    if (n > MOST_THREADS)
        return sn_fail(err, SN_E_LIMIT, "balance", "%d threads are too many, at most %d can be",
                       n_threads, MOST_THREADS);
    b = aligned_alloc(_Alignof(sn_balance), sizeof *b + n * sizeof b->thread[0]);
    share = malloc(n * sizeof *share);
    if (!b || !share) {
        free(b);
        free(share);
        return fail_no_memory(err, "balance");
    }
    b->n_threads = (int)n;
    b->share = share;
    for (size_t i = 0; i < n; i++) {
        b->thread[i] = (struct balance_thread){.speed = 1.0};
        share[i] = 1.0;
    }
    *ret_balance = b;
    return SN_OK;
}

SN_EXPORT sn_balance *sn_balance_free(sn_balance *balance)
{
    if (balance) free(balance->share);
    free(balance);
    return NULL;
}

static double share_of(const sn_balance *b, int64_t i)
{
    return i < b->n_threads ? b->share[i] : 1.0;
}

int64_t balance_at(const sn_balance *b, int64_t n, int64_t parts, int64_t i)
{
    double  before = 0.0, all = 0.0;
    int64_t at;

    if (i >= parts) return n;
    for (int64_t k = 0; k < parts; k++) {
        if (k == i) before = all;
        all += share_of(b, k);
    }
    at = (int64_t)((double)n * before / all + 0.5);
    return at < n ? at : n;
}

void balance_note(sn_balance *b, int64_t i, double work, double seconds)
{
    if (i >= b->n_threads) return;
    b->thread[i].work += work;
    b->thread[i].seconds += seconds;
}

static double within(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* How many threads have worked long enough to be compared. Counted from the first: a loop may have
 * fewer parts than threads. */
static int count_known(const sn_balance *b)
{
    int n = 0;

    while (n < b->n_threads && b->thread[n].seconds >= LEAST_SECONDS && b->thread[n].work > 0.0)
        n++;
    return n;
}

/* Update the speeds of the first n threads relative to each other; their sum stays the same. */
static void compare(sn_balance *b, int n)
{
    double work = 0.0, seconds = 0.0, before = 0.0, after = 0.0;

    for (int i = 0; i < n; i++) {
        work += b->thread[i].work;
        seconds += b->thread[i].seconds;
        before += b->thread[i].speed;
    }
    for (int i = 0; i < n; i++) {
        struct balance_thread *t = &b->thread[i];
        const double           speed = t->work / t->seconds * (seconds / work);

        t->speed += LEARNING * (within(speed, SLOWEST, FASTEST) * before / n - t->speed);
        after += t->speed;
    }
    for (int i = 0; i < n; i++)
        b->thread[i].speed *= before / after;
}

/* Set the shares to the speeds, if one is NOTEWORTHY off; to 1 if all threads are about equal. */
static void follow(sn_balance *b)
{
    bool off = false, equal = true;

    for (int i = 0; i < b->n_threads; i++) {
        off = off || fabs(b->share[i] - b->thread[i].speed) > NOTEWORTHY;
        equal = equal && fabs(b->thread[i].speed - 1.0) < NONE;
    }
    for (int i = 0; (off || equal) && i < b->n_threads; i++)
        b->share[i] = equal ? 1.0 : b->thread[i].speed;
}

void balance_learn(sn_balance *b, bool stopped)
{
    const int n = stopped ? 0 : count_known(b);

    if (n > 1) {
        compare(b, n);
        follow(b);
    }
    for (int i = 0; i < b->n_threads; i++)
        b->thread[i].work = b->thread[i].seconds = 0.0;
}
