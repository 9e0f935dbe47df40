/* pool: see supernet/pool.h. The thread of a run, the leader, runs part 0 of a loop and whatever
 * nobody has taken: it waits for the helpers that have a part, never for one to arrive. Helpers
 * wait awake for the next loop of the run, and asleep for the next run. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/base.h"
#include "supernet/pool.h"

enum {
    MOST_THREADS = 1024,
    SPIN_NS = 50000, /* waiting awake: about what a sleeping thread needs to be back */
    YIELD_NS = 3000, /* from here on others of this core may go first */
    LOOKS = 16       /* turns between two looks at the clock */
};

enum { NO_PART = -1 };

struct sn_pool {
    sn_parallel     parallel;
    pthread_mutex_t lock;
    pthread_cond_t  more;
    atomic_int      n_asleep; /* may be too many, never too few; rises under lock */
    atomic_bool     ends;
    int             n_helpers;
    uint32_t        n_loops;

    /* What can be taken: number of the loop << 32 | parts << 16 | next part. By the number a
     * helper that comes late cannot take a part with what it knows of an earlier loop. */
    alignas(64) atomic_uint_fast64_t ticket;
    void (*body)(void *cls, int i); /* valid for who has taken a part */
    void *cls;

    alignas(64) atomic_int n_left; /* parts that are not done */
    pthread_t helper[];
};

/* ---- waiting awake ---- */

struct spin {
    uint64_t since_ns;
    unsigned n;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* One turn; false: that was long enough. Soon it gives way: what is waited for may have been put on
 * the same core. */
static bool turn(struct spin *s)
{
    if (s->n++ % LOOKS == 0) {
        const uint64_t now = now_ns();

        if (s->n == 1) s->since_ns = now;
        if (now - s->since_ns >= YIELD_NS) sched_yield();
        if (now - s->since_ns >= SPIN_NS) return false;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
    return true;
}

/* ---- one loop ---- */

static bool has_parts(uint_fast64_t ticket)
{
    return (ticket & 0xffff) < (ticket >> 16 & 0xffff);
}

static int take(struct sn_pool *p)
{
    uint_fast64_t ticket = atomic_load_explicit(&p->ticket, memory_order_acquire);

    do
        if (!has_parts(ticket)) return NO_PART;
    while (!atomic_compare_exchange_weak_explicit(&p->ticket, &ticket, ticket + 1,
                                                  memory_order_acq_rel, memory_order_acquire));
    return (int)(ticket & 0xffff);
}

static void wake(struct sn_pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->n_asleep, 0);
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
}

static void lead(void *pool, int n, void (*body)(void *cls, int i), void *cls)
{
    struct sn_pool *p = pool;
    struct spin     spin = {0};
    int             i = 0, own = 0;

    if (n < 1) return;
    p->body = body;
    p->cls = cls;
    atomic_store_explicit(&p->n_left, n, memory_order_relaxed);
    /* A helper that goes to sleep says so before it looks for parts, and here it is the other way
     * round: one of both sees the other. */
    atomic_store(&p->ticket, (uint_fast64_t)++p->n_loops << 32 | (uint_fast64_t)n << 16 | 1);
    if (n > 1 && atomic_load(&p->n_asleep)) wake(p);
    do {
        body(cls, i);
        own++;
    } while ((i = take(p)) != NO_PART);
    if (atomic_fetch_sub_explicit(&p->n_left, own, memory_order_acq_rel) == own) return;
    while (atomic_load_explicit(&p->n_left, memory_order_acquire))
        turn(&spin);
}

/* ---- helpers ---- */

static void sleep_until_called(struct sn_pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->n_asleep, 1);
    if (!has_parts(atomic_load(&p->ticket)) && !atomic_load(&p->ends))
        pthread_cond_wait(&p->more, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static void *help(void *pool)
{
    struct sn_pool *p = pool;
    struct spin     spin = {0};

    while (!atomic_load_explicit(&p->ends, memory_order_relaxed)) {
        const int i = take(p);

        if (i != NO_PART) {
            p->body(p->cls, i);
            atomic_fetch_sub_explicit(&p->n_left, 1, memory_order_acq_rel);
            spin = (struct spin){0};
        } else if (!turn(&spin)) {
            sleep_until_called(p);
            spin = (struct spin){0};
        }
    }
    return NULL;
}

/* Signals are the program's own threads', but for those that a fault in a helper raises. */
static bool start_helper(struct sn_pool *p)
{
    sigset_t all, old;
    bool     ok;

    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    ok = pthread_create(&p->helper[p->n_helpers], NULL, help, p) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    p->n_helpers += ok;
    return ok;
}

/* ---- the pool ---- */

static struct sn_pool *allocate(int n_threads)
{
    const size_t    n_bytes = sizeof(sn_pool) + (size_t)n_threads * sizeof(pthread_t);
    struct sn_pool *p = aligned_alloc(alignof(sn_pool), (n_bytes + 63) / 64 * 64);

    if (!p) return NULL;
    *p = (struct sn_pool){.parallel = {.run = lead, .pool = p, .n_threads = n_threads}};
    if (pthread_mutex_init(&p->lock, NULL) == 0) {
        if (pthread_cond_init(&p->more, NULL) == 0) return p;
        pthread_mutex_destroy(&p->lock);
    }
    free(p);
    return NULL;
}

SN_EXPORT sn_status sn_pool_create(int n_threads, sn_pool **ret_pool, sn_error *err)
{
    struct sn_pool *p;
    sn_status       rc;

    if (n_threads < 1 || n_threads > MOST_THREADS)
        return sn_fail(err, SN_E_LIMIT, "pool", "%d threads: there can be 1 to %d", n_threads,
                       MOST_THREADS);
    p = allocate(n_threads);
    if (!p) return fail_no_memory(err, "pool");
    rc = sn_balance_create(n_threads, &p->parallel.balance, err);
    while (rc == SN_OK && p->n_helpers < n_threads - 1)
        if (!start_helper(p))
            rc = sn_fail(err, SN_E_LIMIT, "pool", "thread %d of %d cannot be started",
                         p->n_helpers + 2, n_threads);
    if (rc != SN_OK) {
        sn_pool_free(p);
        return rc;
    }
    *ret_pool = p;
    return SN_OK;
}

SN_EXPORT const sn_parallel *sn_pool_parallel(const sn_pool *pool)
{
    return &pool->parallel;
}

SN_EXPORT sn_pool *sn_pool_free(sn_pool *pool)
{
    if (!pool) return NULL;
    atomic_store(&pool->ends, true);
    wake(pool);
    for (int i = 0; i < pool->n_helpers; i++)
        pthread_join(pool->helper[i], NULL);
    pthread_cond_destroy(&pool->more);
    pthread_mutex_destroy(&pool->lock);
    sn_balance_free(pool->parallel.balance);
    free(pool);
    return NULL;
}
