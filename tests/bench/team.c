#include "bench/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "supernet/pool.h"

/* Turns of waiting before the helper sleeps: longer than the gap between two steps of a plan,
 * shorter than anybody notices. */
enum { SPINS = 20000 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t  wake;
    atomic_uint     posted, done; /* loops handed to the helper, and finished by it */
    atomic_bool     asleep;
    void (*body)(void *cls, int i);
    void *cls;
} team = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void relax(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void wait_for(unsigned seen)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&team.posted, memory_order_acquire) != seen) return;
        relax();
    }
    pthread_mutex_lock(&team.lock);
    atomic_store(&team.asleep, true);
    while (atomic_load(&team.posted) == seen)
        pthread_cond_wait(&team.wake, &team.lock);
    atomic_store(&team.asleep, false);
    pthread_mutex_unlock(&team.lock);
}

static void *help(void *unused)
{
    (void)unused;
    for (unsigned seen = 0;; seen++) {
        wait_for(seen);
        team.body(team.cls, 1);
        atomic_store_explicit(&team.done, seen + 1, memory_order_release);
    }
}

static void run(void *unused, int n, void (*body)(void *cls, int i), void *cls)
{
    unsigned posted;

    (void)unused;
    if (n > 1) {
        team.body = body;
        team.cls = cls;
        atomic_fetch_add(&team.posted, 1);
        if (atomic_load(&team.asleep)) {
            pthread_mutex_lock(&team.lock);
            pthread_cond_signal(&team.wake);
            pthread_mutex_unlock(&team.lock);
        }
    }
    if (n > 0) body(cls, 0);
    posted = atomic_load(&team.posted);
    while (atomic_load_explicit(&team.done, memory_order_acquire) != posted)
        relax();
}

const sn_parallel *bench_team(void)
{
    static sn_parallel parallel = {.run = run, .n_threads = 2};
    static pthread_t   thread;

    if (!parallel.balance && sn_balance_create(2, &parallel.balance, NULL)) abort();
    if (!thread) pthread_create(&thread, NULL, help, NULL);
    return &parallel;
}
