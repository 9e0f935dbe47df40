/* share: a parallel for. Kernels compute a number by the same operations in the same order in
 * whichever part it is, so results do not depend on the number of threads. */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#include "thread/share.h"

#include <time.h>

#include "thread/balance.h"

/* Least multiply-adds for each thread, some five microseconds of one core: waking it pays. */
enum { SHARE_WORTH = 400000 };

struct loop {
    share_body *body;
    const void *cls;
    int64_t     n, grain, parts;
    sn_balance *balance; /* NULL: parts of equal size */
    double work; /* of the whole loop, for the balance to measure speeds by; 0: do not measure */
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Where part i begins. If parts cannot be equal, the first ones are larger, for their threads start
 * first. */
static int64_t share_at(const struct loop *s, int64_t i)
{
    const int64_t grains = (s->n + s->grain - 1) / s->grain;
    const int64_t at = s->grain * (s->balance ? balance_at(s->balance, grains, s->parts, i)
                                              : (grains * i + s->parts - 1) / s->parts);

    return at < s->n ? at : s->n;
}

static void share_part(void *cls, int i)
{
    const struct loop *s = cls;
    const int64_t      from = share_at(s, i), to = share_at(s, i + 1);
    const bool         learns = s->work > 0.0;
    const double       start = learns ? now() : 0.0;

    if (from >= to) return;
    s->body(s->cls, from, to, i);
    if (learns)
        balance_note(s->balance, i, s->work * (double)(to - from) / (double)s->n, now() - start);
}

/* The sn_parallel that share_each() gives to thread i: `pool` points to i, and a loop runs its part
 * i only. */
static void run_alone(void *pool, int n, void (*body)(void *cls, int i), void *cls)
{
    const int *part = pool;

    if (*part < n) body(cls, *part);
}

void share_run(const sn_parallel *parallel, int n_threads, int64_t n, int64_t grain, double work,
               share_body *body, const void *cls)
{
    struct loop  s = {.body = body, .cls = cls, .n = n, .grain = grain, .parts = 1};
    const double worth = work / SHARE_WORTH;
    const bool   alone = parallel && parallel->run == run_alone;

    if (n == 0) return;
    if (parallel) {
        const int64_t threads = parallel->n_threads < n_threads ? parallel->n_threads : n_threads;

        s.balance = parallel->balance;
        s.parts = threads;
        if (!alone && worth < (double)s.parts) s.parts = (int64_t)worth;
        if ((n + grain - 1) / grain < s.parts) s.parts = (n + grain - 1) / grain;
        if (s.balance && !alone && s.parts == threads) s.work = work;
    }
    if (s.parts > 1 || alone)
        parallel->run(parallel->pool, (int)s.parts, share_part, &s);
    else
        body(cls, 0, n, 0);
}

struct each {
    const sn_parallel *parallel;
    int                n;
    double             work;
    share_each_body   *body;
    const void        *cls;
};

static void run_each(void *cls, int i)
{
    enum { UNITS = 1 << 16 };
    const struct each *e = cls;
    sn_balance        *b = e->parallel->balance;
    const sn_parallel  alone = {.run = run_alone, .pool = &i, .n_threads = e->n, .balance = b};
    const double       start = b ? now() : 0.0;

    e->body(e->cls, &alone);
    if (b) {
        const int64_t units = balance_at(b, UNITS, e->n, i + 1) - balance_at(b, UNITS, e->n, i);

        balance_note(b, i, e->work * (double)units / UNITS, now() - start);
    }
}

bool share_each(const sn_parallel *parallel, int n_threads, double work, share_each_body *body,
                const void *cls)
{
    const int   threads = parallel ? parallel->n_threads : 1;
    struct each e = {parallel, threads < n_threads ? threads : n_threads, work, body, cls};

    if (e.n < 2 || work < (double)e.n * SHARE_WORTH) return false;
    parallel->run(parallel->pool, e.n, run_each, &e);
    return true;
}
