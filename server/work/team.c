/* team: see team.h. A barrier costs two cache lines while everybody is awake, and a system
 * call only for who waits so long that sleeping is cheaper. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "work/team.h"

#include <sched.h>
#include <time.h>

enum {
    SPIN_NS = 50000, /* about what a sleeping thread needs to be back */
    YIELD_NS = 3000, /* from here on others of this core may go first */
    LOOKS = 16       /* between two looks at the clock */
};

enum { NO_PART = -1, CLOSED = -2 };

#if defined(__x86_64__) || defined(__i386__)
static void breathe(void)
{
    __builtin_ia32_pause();
}
#elif defined(__aarch64__)
static void breathe(void)
{
    __asm__ volatile("yield");
}
#else
static void breathe(void) {}
#endif

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Waiting awake, from the first turn on. */
struct spin {
    uint64_t since_ns;
    int      n;
};

/* One turn; false: that was long enough. Soon it gives way: what is waited for may have been
 * put on the same core, and would wait for the end of the spinning. */
static bool turn(struct spin *s, uint64_t spin_ns)
{
    if (s->n++ % LOOKS == 0) {
        const uint64_t now = now_ns();

        if (s->n == 1) s->since_ns = now;
        if (now - s->since_ns >= spin_ns) return false;
        if (now - s->since_ns >= YIELD_NS) sched_yield();
    }
    breathe();
    return true;
}

/* On one core whoever spins keeps the others from what it waits for. */
static bool has_one_core(void)
{
    cpu_set_t cores;

    return sched_getaffinity(0, sizeof cores, &cores) == 0 && CPU_COUNT(&cores) == 1;
}

bool team_init(struct team *t)
{
    *t = (struct team){.spin_ns = has_one_core() ? 0 : SPIN_NS};
    if (pthread_mutex_init(&t->lock, NULL)) return false;
    if (pthread_cond_init(&t->done, NULL) == 0) return true;
    pthread_mutex_destroy(&t->lock);
    return false;
}

void team_fini(struct team *t)
{
    pthread_cond_destroy(&t->done);
    pthread_mutex_destroy(&t->lock);
}

static int next_part(uint_fast64_t ticket)
{
    return (int)(ticket & 0xffff);
}

static int n_parts(uint_fast64_t ticket)
{
    return (int)(ticket >> 16 & 0xffff);
}

bool team_has_parts(const struct team *t)
{
    const uint_fast64_t ticket = atomic_load_explicit(&t->ticket, memory_order_relaxed);

    return next_part(ticket) < n_parts(ticket);
}

/* The number of a region in the ticket keeps a slow helper from claiming with the count of
 * an earlier one. */
static int claim(struct team *t)
{
    uint_fast64_t ticket = atomic_load_explicit(&t->ticket, memory_order_acquire);

    do {
        if (ticket == 0) return CLOSED;
        if (next_part(ticket) == n_parts(ticket)) return NO_PART;
    } while (!atomic_compare_exchange_weak_explicit(&t->ticket, &ticket, ticket + 1,
                                                    memory_order_acq_rel, memory_order_acquire));
    return next_part(ticket);
}

void team_open(struct team *t, int n, void (*body)(void *cls, int i), void *cls)
{
    t->body = body;
    t->cls = cls;
    atomic_store_explicit(&t->n_left, n, memory_order_relaxed);
    atomic_store_explicit(&t->ticket, (uint_fast64_t)++t->region << 32 | (uint_fast64_t)n << 16 | 1,
                          memory_order_release);
}

static void wait_for_others(struct team *t)
{
    struct spin spin = {0};

    while (atomic_load_explicit(&t->n_left, memory_order_acquire))
        if (!turn(&spin, t->spin_ns)) {
            pthread_mutex_lock(&t->lock);
            atomic_store(&t->sleeps, true);
            while (atomic_load(&t->n_left))
                pthread_cond_wait(&t->done, &t->lock);
            atomic_store(&t->sleeps, false);
            pthread_mutex_unlock(&t->lock);
        }
}

bool team_work(struct team *t)
{
    int i = 0, own = 0;

    do {
        t->body(t->cls, i);
        own++;
    } while ((i = claim(t)) >= 0);
    if (atomic_fetch_sub_explicit(&t->n_left, own, memory_order_acq_rel) != own) wait_for_others(t);
    return own < n_parts(atomic_load_explicit(&t->ticket, memory_order_relaxed));
}

void team_close(struct team *t)
{
    atomic_store_explicit(&t->ticket, 0, memory_order_relaxed);
}

/* Either the leader sees that nothing is left, or this thread sees that the leader sleeps:
 * both look at the other after they have said their own. */
static void run_part(struct team *t, int i)
{
    t->body(t->cls, i);
    if (atomic_fetch_sub(&t->n_left, 1) == 1 && atomic_load(&t->sleeps)) {
        pthread_mutex_lock(&t->lock);
        pthread_cond_signal(&t->done);
        pthread_mutex_unlock(&t->lock);
    }
}

void team_help(struct team *t, const atomic_size_t *n_waiting)
{
    struct spin spin = {0};

    while (!atomic_load_explicit(n_waiting, memory_order_relaxed)) {
        const int i = claim(t);

        if (i >= 0) {
            run_part(t, i);
            spin = (struct spin){0};
        } else if (i == CLOSED || !turn(&spin, t->spin_ns)) {
            return;
        }
    }
}
